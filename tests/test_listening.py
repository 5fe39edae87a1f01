"""The sockets that a server listens on: made by us, or handed to us."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from slosh.access.rules import AccessRules
from slosh.errors import CannotListen, SettingError
from slosh.listening import bind_unix, describe, listen, listen_for_workers, loopback_ports, release
from slosh.settings import Settings
from tests.running import PATIENCE

Listen = Callable[..., list[socket.socket]]


@pytest.fixture(name="make")
def make_fixture() -> Iterator[Listen]:
    """Listens as settings say, and closes what was made."""
    made: list[socket.socket] = []

    def make(**settings: object) -> list[socket.socket]:
        sockets = listen(Settings(**settings))  # type: ignore[arg-type]  # they are checked there
        made.extend(sockets)
        return sockets

    yield make
    for each in made:
        each.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, so that paths of sockets in it are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def connect(to: socket.socket) -> None:
    """Prove that somebody listens."""
    with closing(socket.socket(to.family)) as client:
        client.settimeout(PATIENCE)
        client.connect(to.getsockname())


def has_ipv6() -> bool:
    with suppress(OSError), closing(socket.socket(socket.AF_INET6)) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_port_0_takes_a_free_one_and_says_which(make: Listen) -> None:
    (one,), (other,) = make(port=0), make(port=0)
    assert describe(one) != describe(other)
    assert describe(one) == f"http://127.0.0.1:{one.getsockname()[1]}"
    connect(one)


def test_sockets_do_not_block(make: Listen) -> None:
    assert make(port=0)[0].gettimeout() == 0


def test_a_name_with_two_addresses_is_listened_on_at_both_with_one_port(
    make: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    six, four = make(host="two.test", port=0)
    port = four.getsockname()[1]
    assert [describe(each) for each in (six, four)] == [f"http://[::1]:{port}", f"http://127.0.0.1:{port}"]
    connect(six)
    connect(four)


@pytest.mark.parametrize("host", ["::", "[::]", "0.0.0.0,[::]", "127.0.0.1, ::1"])
def test_both_families_are_listened_on_with_one_port(make: Listen, host: str) -> None:
    """`::` is every address of this machine; clients of IPv4 have their own, and not one of IPv6 made of it."""
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    sockets = make(host=host, port=0, open="on")
    assert {each.family for each in sockets} == {socket.AF_INET, socket.AF_INET6}
    (port,) = {each.getsockname()[1] for each in sockets}
    for address in ("127.0.0.1", "::1"):
        with closing(socket.create_connection((address, port), timeout=PATIENCE)):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_what_other_machines_reach_has_rules_or_says_that_it_wants_none(make: Listen, host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with pytest.raises(SettingError, match=r"\[access\] into slosh.toml, or allow everything to everybody with --open"):
        make(host=host, port=0)
    assert make(host=host, port=0, open="on")
    assert make(host=host, port=0, access=AccessRules())


def test_a_socket_that_was_handed_over_and_that_other_machines_reach_needs_rules_too(make: Listen) -> None:
    with closing(socket.create_server(("0.0.0.0", 0))) as given:
        with pytest.raises(SettingError, match="--open"):
            make(fd=os.dup(given.fileno()))
        assert make(fd=os.dup(given.fileno()), open="on")


def test_a_refused_server_leaves_its_port_free(make: Listen) -> None:
    port = free_port()
    with pytest.raises(SettingError):
        make(host="0.0.0.0", port=port)
    assert make(host="127.0.0.1", port=port)


@pytest.mark.parametrize(("host", "way_out"), [("203.0.113.9", "0.0.0.0 (all)"), ("no such name", "127.0.0.1")])
def test_an_address_that_is_not_ours_is_told_with_one_that_is(host: str, way_out: str) -> None:
    with pytest.raises(CannotListen) as caught:
        listen(Settings(host=host, port=0))
    assert host in caught.value.detail
    assert way_out in caught.value.detail


def test_keep_alive_is_set_and_inherited_by_the_clients(make: Listen) -> None:
    """A reader that vanished without a word stops counting."""
    (listener,) = make(port=0, tcp_keepalive=60)
    listener.settimeout(PATIENCE)
    with closing(socket.socket()) as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


@pytest.mark.parametrize(
    ("keepalive", "write_timeout", "milliseconds"),
    [(60, 60, 120_000), (1, 1, 4000), (10, 60, 60_000), (10, 0.5, 19_000)],
)
def test_what_is_not_acknowledged_is_given_up_when_silence_would_be(
    make: Listen, keepalive: float, write_timeout: float, milliseconds: int
) -> None:
    """Else a reader that vanished while something was on its way to it would count for a quarter of an hour."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    (listener,) = make(port=0, tcp_keepalive=keepalive, write_timeout=write_timeout)
    listener.settimeout(PATIENCE)
    with closing(socket.socket()) as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds


def test_a_port_that_is_taken_is_named_with_a_way_out(make: Listen) -> None:
    port = make(port=0)[0].getsockname()[1]
    with pytest.raises(CannotListen) as caught:
        make(port=port)
    assert f"127.0.0.1:{port}" in caught.value.detail
    assert "already in use" in caught.value.detail
    assert "0 for any free one" in caught.value.detail


def test_workers_with_a_store_of_their_own_take_no_port_that_those_of_another_server_have(make: Listen) -> None:
    """Else the system hands a part of the clients to each, and messages to one reach no reader of the other."""
    port = make(port=0, workers=2)[0].getsockname()[1]
    with pytest.raises(CannotListen, match="already in use"):
        listen_for_workers(Settings(port=port, workers=2), alone=True)
    make(port=port, workers=2)


def test_a_port_that_needs_rights_is_named(make: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(CannotListen, match=r"127\.0\.0\.1:80 may not be listened on by this user"):
        make(port=80)


@pytest.mark.parametrize("host", ["198.51.100.7", "no such host.invalid"])
def test_an_address_that_is_not_ours_is_named(make: Listen, host: str) -> None:
    with pytest.raises(CannotListen) as caught:
        make(host=host, port=0)
    assert host in caught.value.detail


def test_nothing_stays_open_when_one_of_two_addresses_cannot_be_had(
    make: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("198.51.100.7", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(CannotListen):
        make(host="two.test", port=0)
    assert len(list(Path("/dev/fd").iterdir())) == before


# Unix sockets.


def test_a_unix_socket_is_made_and_goes_with_the_server(make: Listen, folder: Path) -> None:
    (listener,) = sockets = make(uds="s")
    assert describe(listener) == "unix:s"
    connect(listener)
    release(sockets, Settings(uds="s"))
    assert not (folder / "s").exists()
    assert listener.fileno() == -1


def test_a_socket_that_nobody_listens_on_any_more_is_replaced(make: Listen, folder: Path) -> None:
    """As after kill -9."""
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind("s")
    assert (folder / "s").exists()
    connect(make(uds="s")[0])


def test_a_socket_that_somebody_listens_on_is_left_alone(make: Listen, folder: Path) -> None:
    (first,) = make(uds="s")
    with pytest.raises(CannotListen, match="somebody listens on s already"):
        make(uds="s")
    connect(first)


def test_a_file_that_is_no_socket_is_left_alone(make: Listen, folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(CannotListen, match="uds: s is there already and is no socket"):
        make(uds="s")
    assert (folder / "s").read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(make: Listen, folder: Path) -> None:
    with pytest.raises(CannotListen, match="uds: nothing/s cannot be listened on"):
        make(uds="nothing/s")


# Sockets that are handed over.


def test_an_open_socket_is_taken_over(make: Listen) -> None:
    """As systemd hands it over."""
    with closing(socket.socket()) as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.listen()
        (ours,) = make(fd=os.dup(theirs.fileno()))
        assert describe(ours) == f"http://127.0.0.1:{theirs.getsockname()[1]}"
        assert ours.gettimeout() == 0
    connect(ours)


def test_a_bound_socket_that_does_not_listen_yet_is_made_to(make: Listen) -> None:
    with closing(socket.socket()) as theirs:
        theirs.bind(("127.0.0.1", 0))
        connect(make(fd=os.dup(theirs.fileno()))[0])


def test_a_unix_socket_of_others_is_not_removed(make: Listen, folder: Path) -> None:
    """The program that made it, such as systemd, wants to find it again."""
    with closing(socket.socket(socket.AF_UNIX)) as theirs:
        theirs.bind("s")
        theirs.listen()
        number = os.dup(theirs.fileno())
        release(make(fd=number), Settings(fd=number))
        assert (folder / "s").exists()


@pytest.mark.parametrize("setting", ["uds", "takeover"])
def test_a_path_of_something_else_than_a_socket_is_told_and_left_alone(folder: Path, setting: str) -> None:
    (folder / "notes").write_text("mine")
    for path in (folder / "notes", folder):
        with pytest.raises(CannotListen, match=f"{setting}: .* is there already and is no socket"):
            bind_unix(str(path), setting)
    assert (folder / "notes").read_text() == "mine"


def test_a_descriptor_that_is_no_socket_is_named(make: Listen, folder: Path) -> None:
    with (folder / "file").open("w") as file, pytest.raises(CannotListen, match="is no socket to listen on"):
        make(fd=file.fileno())
    with pytest.raises(CannotListen, match="fd: 999999 is no socket to listen on"):
        make(fd=999_999)


@pytest.mark.parametrize(
    ("settings", "direct"),
    [
        ({"port": 0}, True),
        ({"host": "localhost", "port": 0}, True),
        ({"host": "127.3.2.1", "port": 0}, True),
        ({"host": "0.0.0.0", "port": 0, "open": "on"}, False),
        ({"uds": "s"}, False),
    ],
)
def test_it_is_known_which_ports_only_this_machine_reaches(
    make: Listen, folder: Path, settings: dict[str, object], direct: bool
) -> None:
    """Where strangers' names can only stand for a stranger's page (DNS rebinding)."""
    assert folder.is_dir()
    sockets = make(**settings)
    assert loopback_ports(sockets) == ({sockets[0].getsockname()[1]} if direct else set())


def test_the_ipv6_loopback_is_one(make: Listen) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    (listener,) = make(host="::1", port=0)
    assert loopback_ports([listener]) == {listener.getsockname()[1]}


def test_one_address_that_others_reach_makes_all_of_them_reached_from_elsewhere(make: Listen) -> None:
    (near,), (far,) = make(port=0), make(host="0.0.0.0", port=0, open="on")
    assert loopback_ports([near, far]) == set()


def test_a_socket_that_was_handed_over_is_judged_like_our_own(make: Listen) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as given:
        port = given.getsockname()[1]
        assert loopback_ports(make(fd=os.dup(given.fileno()))) == {port}


# Socket activation (sd_listen_fds(3)).


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Two sockets of others, with neighbouring numbers, where systemd's would be."""
    with closing(socket.create_server(("127.0.0.1", 0))) as one, closing(socket.create_server(("127.0.0.1", 0))) as two:
        first = 900
        os.dup2(one.fileno(), first)
        os.dup2(two.fileno(), first + 1)
        monkeypatch.setattr("slosh.listening._FIRST_HANDED_OVER", first)
        yield [one, two]
        for number in (first, first + 1):
            with suppress(OSError):
                os.close(number)


def environment(count: object, process: int | None = None) -> dict[str, str]:
    return {"LISTEN_PID": str(process or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": "a:b", "HOME": "/"}


@pytest.mark.parametrize("count", [1, 2])
def test_the_sockets_that_systemd_hands_over_are_served(handed: list[socket.socket], count: int) -> None:
    """And nobody that we start is told of them again, or has them open."""
    environ = environment(count)
    sockets = listen(Settings(), environ)
    try:
        assert [each.getsockname() for each in sockets] == [each.getsockname() for each in handed[:count]]
        assert not any(each.get_inheritable() for each in sockets)
        assert environ == {"HOME": "/"}
        for each in sockets:
            connect(each)
    finally:
        release(sockets, Settings())


@pytest.mark.parametrize(
    "environ",
    [environment(1, os.getppid()), environment(0), environment("x"), environment("-1"), environment("\u0661"), {}],
)
def test_what_was_handed_to_somebody_else_is_left_alone(
    handed: list[socket.socket], make: Listen, environ: dict[str, str]
) -> None:
    """The environment of a parent comes down to its children."""
    assert handed
    sockets = listen(Settings(port=0), environ)
    try:
        assert describe(sockets[0]) not in {describe(each) for each in handed}
    finally:
        release(sockets, Settings())
    assert "LISTEN_FDS" not in environ
    assert make(port=0)


@pytest.mark.parametrize("setting", [{"port": 9000}, {"host": "0.0.0.0"}, {"uds": "s"}])
def test_another_place_beside_them_is_a_contradiction(handed: list[socket.socket], setting: dict[str, object]) -> None:
    assert handed
    with pytest.raises(SettingError, match=r"LISTEN_FDS.*Leave (port|host|uds) out, or disable"):
        listen(Settings(**setting), environment(1))  # type: ignore[arg-type]  # they are checked there


def test_fd_says_itself_which_it_is(handed: list[socket.socket]) -> None:
    number = os.dup(handed[1].fileno())
    (ours,) = listen(Settings(fd=number), environment(1))
    with closing(ours):
        assert describe(ours) == describe(handed[1])


def test_what_is_handed_over_and_is_no_socket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slosh.listening._FIRST_HANDED_OVER", 999_999)
    with pytest.raises(CannotListen, match="LISTEN_FDS: 999999 is no socket to listen on"):
        listen(Settings(), environment(1))
