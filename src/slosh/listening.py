"""The sockets that a server listens on: made by us, or handed to us. Plain blocking code, before any loop runs.

It is longer than other files because `slosh serve` and `slosh check` refuse the same by the same functions.
"""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator, MutableMapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from slosh.errors import CannotListen, SettingError
from slosh.settings.meanings import split_hosts
from slosh.settings.table import BY_NAME, Settings

BACKLOG: Final = 4096
"""Connections that the system holds for us before they are accepted; it takes the smaller of this and its own
bound (net.core.somaxconn, 4096 on Linux since 5.4)."""

AT_A_TIME: Final = 2
"""Connections that asyncio's own loop accepts in one turn. Its default is as many as `BACKLOG`, which could take more
descriptors than there are before the first of these clients is refused. uvloop accepts one in a turn."""

_FREE_FROM: Final = 1024
"""The lowest port for which a system asks no rights, or fewer."""

_FIRST_HANDED_OVER: Final = 3
"""Number of the first descriptor that systemd hands over (SD_LISTEN_FDS_START in sd_listen_fds(3))."""

_ATTEMPTS: Final = 10
"""How often a free port is looked for that all of a host's addresses can have."""

_KEEPALIVE_PROBES: Final = 3
"""Unanswered probes after which a client counts as gone."""


def listen(
    settings: Settings, environ: MutableMapping[str, str] = os.environ, *, alone: bool = False
) -> list[socket.socket]:
    """Take the sockets that systemd hands over, or make those that the settings ask for. The caller closes them.

    Args:
        environ: says whether this process was given sockets; that is taken out of it, for it is said once.
        alone: whether no other server may have the port too, because its messages would be others.

    Raises:
        CannotListen: an address cannot be had; the detail says which, why, and what to do.
        SettingError: systemd hands over sockets, and a setting names another place; or other machines reach them, and
            there are no rules.
    """
    handed_over = _count_handed_over(environ)
    if settings.fd >= 0:
        sockets = [_take_over(settings.fd, "fd")]
    elif handed_over:
        _check_nothing_else(settings)
        numbers = range(_FIRST_HANDED_OVER, _FIRST_HANDED_OVER + handed_over)
        sockets = [_take_over(number, "LISTEN_FDS") for number in numbers]
    elif settings.uds:
        sockets = [bind_unix(settings.uds)]
    else:
        sockets = _bind_tcp(settings.host, settings.port, shared=settings.workers > 1, alone=alone)
    try:
        check_protected(sockets, settings)
    except SettingError:
        release(sockets, settings)
        raise
    for each in sockets:
        _prepare(each, settings)
    return sockets


def find_impossible(settings: Settings) -> list[str]:
    """Why `listen` will refuse, as far as that shows without listening, each reason in one sentence.

    A port may be another's by the time that a server starts, or free again, so only those are tried, and given back at
    once, that need rights.
    """
    wrong: list[str] = []
    for name, path in (("uds", settings.uds), ("takeover", settings.takeover)):
        with _noting(wrong):
            if path:
                check_path(path, name)
    if settings.fd >= 0:
        # A service manager opens it for the server; a program that only looks may have none.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(settings.fd)) as given, _noting(wrong):
            check_protected([given], settings)
    if settings.uds or settings.fd >= 0:
        return wrong
    reached: dict[str, None] = {}
    for host in split_hosts(settings.host):
        with _noting(wrong):
            reached |= dict.fromkeys(_find_reached(host, settings.port))
    with _noting(wrong):
        _check_reached([*reached], settings)
    return wrong


@contextlib.contextmanager
def _noting(wrong: list[str]) -> Iterator[None]:
    """Add to `wrong` the sentence of what is refused."""
    try:
        yield
    except (CannotListen, SettingError) as error:
        wrong.append(error.detail)


def _find_reached(host: str, port: int) -> list[str]:
    """Those of a host's addresses that other machines reach, as `describe` writes them.

    Raises:
        CannotListen: one of them is not this machine's, or this user may not listen on the port.
    """
    reached = []
    for family, kind, protocol, _, address in _look_up(host, 0):
        try:
            with socket.socket(family, kind, protocol) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                if not _is_local(probe):
                    reached.append(_write_url(str(address[0]), port))
            if 0 < port < _FREE_FROM:
                _see_that_it_may_be_had(family, (address[0], port, *address[2:]))
        except OSError as error:
            raise CannotListen(_explain(host, port, error)) from None
    return reached


def _see_that_it_may_be_had(family: int, address: tuple[Any, ...]) -> None:
    """See that this user may listen at an address, also if somebody does already.

    Raises:
        PermissionError: it may not.
    """
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError:
            raise
        except OSError:
            return


def adopt(sockets: list[socket.socket], settings: Settings) -> None:
    """Make ready to serve listening sockets that another server made.

    Raises:
        SettingError: a setting names another place; or other machines reach them, and there are no rules.
    """
    for each in sockets:
        name = each.getsockname()
        wrong = ""
        if settings.uds and name != settings.uds:
            wrong = f"uds says {settings.uds}"
        elif not settings.uds and settings.port and (each.family == socket.AF_UNIX or name[1] != settings.port):
            wrong = f"port says {settings.port}"
        if wrong:
            raise SettingError(
                f"takeover: the server that runs listens on {describe(each)}, which its successor goes on with, and "
                f"{wrong}. Give both the same, or stop the other one first."
            )
    check_protected(sockets, settings)
    for each in sockets:
        _prepare(each, settings)


def check_protected(sockets: Sequence[socket.socket], settings: Settings) -> None:
    """Check that a server that other machines reach has rules, or `open` is on. A Unix socket needs neither.

    Raises:
        SettingError: it has none.
    """
    _check_reached([describe(each) for each in sockets if not _is_local(each)], settings)


def _check_reached(reached: Sequence[str], settings: Settings) -> None:
    """The same for the addresses that other machines reach."""
    if reached and settings.access is None and settings.open != "on":
        raise SettingError(
            f"{' and '.join(reached)}: other machines reach this server, and nothing says who may read and publish "
            f"there. Write a section [access] into slosh.toml, or allow everything to everybody with --open."
        )


def _is_local(listener: socket.socket) -> bool:
    """Whether only programs of this machine reach it."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    return ip_address(str(listener.getsockname()[0]).partition("%")[0]).is_loopback


def _prepare(listener: socket.socket, settings: Settings) -> None:
    listener.settimeout(0.0)
    if settings.tcp_keepalive and listener.family != socket.AF_UNIX:
        _keep_alive(listener, int(settings.tcp_keepalive), settings.write_timeout)


def listen_for_workers(settings: Settings, *, alone: bool = False) -> list[list[socket.socket]]:
    """The sockets of each of `workers` processes on one port. Close each of them, those that are shared once.

    Args:
        alone: as for `listen`; workers with a private store are.

    Raises:
        CannotListen, SettingError: as `listen`.
    """
    first = listen(settings, alone=alone)
    if first[0].family == socket.AF_UNIX or settings.fd >= 0 or not _may_share(first):
        return [first] * settings.workers
    places = [first]
    try:
        for _ in range(settings.workers - 1):
            again = [_listen(socket.socket(each.family, each.type), each.getsockname(), shared=True) for each in first]
            for each in again:
                _prepare(each, settings)
            places.append(again)
    except OSError as error:
        for each in (each for place in places for each in place):
            each.close()
        raise CannotListen(_explain(settings.host, settings.port, error)) from None
    return places


def _may_share(sockets: list[socket.socket]) -> bool:
    """Whether others may be bound to the same addresses; what systemd hands over says so itself (ReusePort=)."""
    option = getattr(socket, "SO_REUSEPORT", None)
    return option is not None and all(each.getsockopt(socket.SOL_SOCKET, option) for each in sockets)


def describe(listener: socket.socket, *, has_tls: bool = False) -> str:
    """Where a socket listens, for people: a URL, or `unix:` and a path."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return _write_url(name[0], name[1], has_tls=has_tls)


def _write_url(host: str, port: int, *, has_tls: bool = False) -> str:
    return f"{'https' if has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def loopback_ports(sockets: list[socket.socket]) -> frozenset[int]:
    """The ports of the sockets, if nobody but this machine's own programs, browsers among them, reaches any of them.

    A Unix socket is out of a browser's reach, so for one there is no port.
    """
    if not all(map(_is_local, sockets)):
        return frozenset()
    internet = (socket.AF_INET, socket.AF_INET6)
    return frozenset(each.getsockname()[1] for each in sockets if each.family in internet)


def release(sockets: list[socket.socket], settings: Settings) -> None:
    """Close what `listen` made for these settings. A socket file goes, unless somebody else made it."""
    if settings.uds and settings.fd < 0:
        with contextlib.suppress(OSError):
            Path(settings.uds).unlink()
    for each in sockets:
        each.close()


def _bind_tcp(host: str, port: int, *, shared: bool, alone: bool) -> list[socket.socket]:
    found = [each for name in split_hosts(host) for each in _look_up(name, port)]
    for attempt in range(_ATTEMPTS):
        sockets: list[socket.socket] = []
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                # Port 0 takes a free one; the host's other addresses then take the same.
                chosen = sockets[0].getsockname()[1] if sockets and not port else port
                where = (address[0], chosen, *address[2:])
                if shared and alone and chosen:
                    # A port that its owner shares with others (SO_REUSEPORT) is refused to those that do not ask so.
                    with socket.socket(family, kind, protocol) as probe:
                        _bind(probe, where, shared=False)
                sockets.append(_listen(socket.socket(family, kind, protocol), where, shared=shared))
        except OSError as error:
            for each in sockets:
                each.close()
            if port or not sockets or attempt == _ATTEMPTS - 1:
                raise CannotListen(_explain(host, port, error)) from None
        else:
            return sockets
    raise AssertionError  # The last attempt has returned or raised.


def _look_up(host: str, port: int) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]:
    """The addresses that a host has. `::` is every address of this machine, of IPv4 too (a socket for each family)."""
    try:
        name = None if host == "::" else host
        return [*socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)]
    except OSError as error:
        raise CannotListen(
            f"host: {host} is no address of this machine ({error.strerror}). 127.0.0.1 always is, and 0.0.0.0 is all."
        ) from None


def _listen(listener: socket.socket, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    try:
        _bind(listener, address, shared=shared)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, address: tuple[object, ...], *, shared: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared and hasattr(socket, "SO_REUSEPORT"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)


def _explain(host: str, port: int, error: OSError) -> str:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where} cannot be listened on: {host} is no address of this machine. 127.0.0.1 and 0.0.0.0 (all) are."
    if isinstance(error, PermissionError):
        return f"{where} may not be listened on by this user. Ports below 1024 need rights; take another with port."
    return f"{where} cannot be listened on: {error.strerror}. Take another with port, or 0 for any free one."


def check_path(path: str, setting: str) -> None:
    """Check that a Unix socket can be made at this path, or be replaced there. Nothing is changed.

    Raises:
        CannotListen: it cannot; the detail says why.
    """
    place, folder = Path(path), Path(path).parent
    why = ""
    try:
        if not folder.is_dir():
            why = f"there is no folder {folder}"
        elif place.exists() and not stat.S_ISSOCK(place.stat().st_mode):
            raise CannotListen(f"{setting}: {path} is there already and is no socket. Name a path that is free.")
        elif not os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            why = f"this user may not write into the folder {folder}"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise CannotListen(f"{setting}: {path} cannot be listened on: {why}.")


def bind_unix(path: str, setting: str = "uds") -> socket.socket:
    """Listen on a Unix socket, in place of one that nobody listens on any more.

    Args:
        path: of its file.
        setting: that names it.

    Raises:
        CannotListen: it cannot be had.
    """
    check_path(path, setting)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()
            else:
                raise CannotListen(f"{setting}: somebody listens on {path} already.")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CannotListen(f"{setting}: {path} cannot be listened on: {error.strerror}.") from None
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"{setting}: {path} cannot be listened on: {error.strerror}.") from None
    return listener


def _count_handed_over(environ: MutableMapping[str, str]) -> int:
    """How many sockets the environment says that this process was given, often none (sd_listen_fds(3))."""
    process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    # Of another process, such as our parent, they are none of our business.
    return int(count) if process == str(os.getpid()) and count.isascii() and count.isdecimal() else 0


def _check_nothing_else(settings: Settings) -> None:
    """Check that nobody asks for another place to listen than the sockets that were handed over."""
    for name in ("uds", "host", "port"):
        value = getattr(settings, name)
        if value != BY_NAME[name].default:
            raise SettingError(
                f"{name}: systemd hands over sockets to listen on (LISTEN_FDS), and the setting {name} says {value}. "
                f"Leave {name} out, or disable the .socket unit."
            )


def _take_over(number: int, why: str) -> socket.socket:
    """Listen on a socket that somebody opened for us, as systemd does (sd_listen_fds(3))."""
    try:
        listener = socket.socket(fileno=number)
        listener.set_inheritable(False)  # Processes that we start have no use for it.
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(BACKLOG)
    except OSError as error:
        raise CannotListen(f"{why}: {number} is no socket to listen on ({error.strerror}).") from None
    return listener


def _keep_alive(listener: socket.socket, seconds: int, write_timeout: float) -> None:
    """Let the system find clients that vanished without a word. Accepted sockets inherit it.

    While something that was sent has no acknowledgement the system asks nothing, and sends it again for a quarter of
    an hour. So that time is bounded too (RFC 5482), by the same; but not below `write_timeout`, since the system
    counts a client that is there and takes nothing as well.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    between = max(1, seconds // _KEEPALIVE_PROBES)
    found_within = seconds + _KEEPALIVE_PROBES * between
    for name, value in (
        ("TCP_KEEPIDLE", seconds),
        ("TCP_KEEPINTVL", between),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", int(max(found_within, write_timeout) * 1000)),  # milliseconds
    ):
        option = getattr(socket, name, None)
        if option is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
