"""The upstreams of `slosh bridge`: what each must do, and how its address is parsed.

The rules of this file:

* No text that is shown has a password: show `Address.shown`, the address without its login.
* An upstream does not reconnect by itself, because messages that are missed meanwhile must be reported. It raises
  `UpstreamLost`, and `slosh bridge` closes it and makes another.
"""

import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import unquote, urlsplit

from slosh.client.errors import BadUse

HEARTBEAT: Final = 15.0
"""Seconds without a byte after which an upstream is asked whether it is there; without an answer for as long it counts
as lost."""
CONNECT: Final = 10.0
"""Seconds to connect, and to answer a request."""

SCHEMES: Final = {
    "mqtt": "mqtt",
    "mqtts": "mqtt",
    "redis": "redis",
    "rediss": "redis",
    "postgres": "postgres",
    "postgresql": "postgres",
}
"""How an address may begin, and what is meant."""
_OTHER_NAME: Final = frozenset({62, 63, 64})
"""How OpenSSL says that a certificate is for another host, mail address or IP address (X509_V_ERR_…_MISMATCH)."""
LIBRARIES: Final = {"mqtt": "aiomqtt", "redis": "redis", "postgres": "asyncpg"}


class UpstreamLost(Exception):
    """The upstream does not answer, or its connection has ended. Its text says why, without a password."""


class LoginDenied(Exception):
    """The upstream refuses this login, so there is no use in trying again."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an upstream is.

    Attributes:
        url: as it was given.
        kind: `mqtt`, `redis` or `postgres`.
        shown: scheme, host and port, for people.
        host: its name; empty if the address has none.
        port: its port; None for the usual one.
        user: a name to log in with; None for none.
        password: None for none.
        has_tls: whether the connection is encrypted.
    """

    url: str = field(repr=False)
    kind: str
    shown: str
    host: str
    port: int | None
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    has_tls: bool


def parse_address(url: str, password_file: str | None) -> Address:
    """Read an upstream's address.

    Args:
        password_file: a file that holds the password, which wins over one in the address. None for none.

    Raises:
        BadUse: it is no address, or the file cannot be read.
    """
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in SCHEMES:
        raise BadUse(
            "An upstream begins with mqtt://, mqtts://, redis://, rediss:// or postgres://; this one does not."
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadUse(f"This {scheme}:// address cannot be read; it looks like {scheme}://host:1234.") from None
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        if SCHEMES[scheme] != "postgres":  # whose addresses may name several hosts
            raise BadUse(f"This {scheme}:// address cannot be read; it looks like {scheme}://host:1234.") from None
        host, port = "", None
    if not host and SCHEMES[scheme] == "mqtt":
        raise BadUse(f"This {scheme}:// address names no host; it looks like {scheme}://host:1883.")
    password = unquote(parts.password) if parts.password is not None else None
    if password_file is not None:
        try:
            password = Path(password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise BadUse(f"{password_file} cannot be read: {error}.") from None
    where = f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return Address(
        url=url,
        kind=SCHEMES[scheme],
        shown=f"{scheme}://{where}",
        host=host,
        port=port,
        user=unquote(parts.username) if parts.username else None,
        password=password,
        has_tls=scheme in ("mqtts", "rediss"),
    )


class Upstream(ABC):
    """One connection to a server whose messages are carried. Connect it, and close it whatever happens.

    Args:
        address: where it is.
        tell: says something to a person.

    Attributes:
        takes_patterns: whether `subscribe` takes a pattern too.
    """

    takes_patterns: ClassVar[bool] = True

    def __init__(self, address: Address, tell: Callable[[str], None]) -> None:
        self.address = address
        self.tell = tell

    @abstractmethod
    async def connect(self) -> None:
        """Connect and log in. Call `close` afterwards, even if this raises.

        Raises:
            UpstreamLost: it does not answer.
            LoginDenied: it refuses this login.
        """

    @abstractmethod
    async def subscribe(self, name: str) -> None:
        """Have its messages of this name given by `messages`. A name that it refuses is told, and is no error.

        Args:
            name: or a pattern. Messages of other names may come too if the upstream's patterns are wider.

        Raises:
            UpstreamLost: the connection has ended.
        """

    @abstractmethod
    async def unsubscribe(self, name: str) -> None:
        """End that. Messages that are on their way may still come.

        Raises:
            UpstreamLost: the connection has ended.
        """

    @abstractmethod
    def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """The messages as they come: their name and their bytes.

        Raises:
            UpstreamLost: the connection has ended.
        """

    @abstractmethod
    async def close(self) -> None:
        """End the connection. It raises nothing."""


def reason_of(error: BaseException) -> str:
    """Why it failed, in words; errors of the system come without the address that their text may repeat."""
    if (distrust := _find_distrust(error)) is not None:
        why = distrust.verify_message.rstrip(".")
        if distrust.verify_code in _OTHER_NAME:
            return f"its certificate is for another name: {why}"
        return f"its certificate is not trusted: {why}. Set SSL_CERT_FILE to a file with the authorities to trust"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):  # which has other numbers
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return str(error).strip().rstrip(".") or type(error).__name__


def _find_distrust(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The refusal of a certificate that an error, or what caused it, is."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error
