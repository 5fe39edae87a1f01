"""What a Redis or Valkey says when it does not do what it is asked, and what that means for people.

What is told of an error is in our own words, with the facts that tell it apart: the errno, the reason of TLS, the first
words of a server's answer. The library's own texts are never repeated. They show objects with their options, and if
a password was cut out of them a short one could be read from what is missing.
"""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from slosh.errors import SettingError
from slosh.logs import escape

_REASONS: Final = {
    "READONLY": "it is a replica, and waits to be made a master",
    "NOREPLICAS": "too few replicas are connected to it (its min-replicas-to-write)",
    "MISCONF": "it cannot save to its disk (its stop-writes-on-bgsave-error)",
    "NOPERM": "its user may not do all that slosh needs; docs/operations.md lists it",
    "NOAUTH": "it wants a password",
    "MASTERDOWN": "it is a replica, and its master is away",
    "BUSY": "another script keeps it busy",
}
"""What a server may answer to any write, and so to every publish, by its word."""
_PASSING: Final = frozenset(_REASONS) - {"NOPERM", "NOAUTH"}

# The words of Redis and Valkey for a right that is lacking inside a script, if they leave the code away.
_LACKING: Final = ("The user executing the script can't", "ACL failure in script")


def says(error: Exception, kind: type[Exception], word: str) -> bool:
    """Whether an error is of that kind. Redis 6.2 wraps what went wrong inside a script into words of its own."""
    return isinstance(error, kind) or f": -{word} " in str(error)


def word_of(error: Exception) -> str:
    """The word of a refusal that every publish meets; empty for others."""
    text = str(error)
    if says(error, NoPermissionError, "NOPERM") or any(each in text for each in _LACKING):
        return "NOPERM"
    if isinstance(error, AuthenticationError):
        return "NOAUTH"
    return next((word for word in _REASONS if text.startswith(f"{word} ") or f": -{word} " in text), "")


def refusal_of(word: str) -> str:
    """The same as a sentence for a publisher."""
    return f"The messages' store takes no messages: {_REASONS[word]} ({word})."


def why_wrong(error: Exception) -> str | None:
    """Why the address of a server that answered so cannot be right; None if the server may only be away.

    A server that loads its data, a replica that waits for its master, a cluster whose servers do not agree yet and a
    connection that is refused or closed will pass. Waiting does not mend a password.
    """
    text = str(error)
    is_passing = isinstance(error, ReadOnlyError | ClusterDownError | TryAgainError) or word_of(error) in _PASSING
    for is_so, why in (
        (_is_tls(error), "It speaks no TLS that can be trusted: check redis:// or rediss://, and the certificates."),
        (isinstance(error, AuthenticationError) or "AuthenticationError" in text, "It refuses the user or password."),
        (isinstance(error, InvalidResponse) or "Protocol error" in text, "It speaks another protocol than Redis."),
        ("Invalid Database" in text or "DB index" in text, "It has no database of that number."),
        (isinstance(error, ResponseError) and not is_passing, "It refuses what slosh asks first."),
    ):
        if is_so:
            return why
    return None


def unusable(address: str, error: Exception) -> SettingError | None:
    """The error if this address, of a server that answered so, cannot be right; see `why_wrong`.

    Args:
        address: of the store, without secrets.
    """
    wrong = why_wrong(error)
    if wrong is None:
        return None
    return SettingError(f"engine: {address} is there and cannot be used. {wrong} What went wrong: {reason_of(error)}.")


def reason_of(error: BaseException) -> str:
    """What went wrong, as half a sentence that holds nothing of an address's user and password."""
    found = (_reason_of(each) for each in _chain(error))
    return next(filter(None, found), f"the connection broke ({type(error).__name__})")


def _reason_of(error: BaseException) -> str:
    """The same for one error of a chain; empty if it tells nothing."""
    reason = ""
    match error:
        case MasterNotFoundError():
            reason = "no Sentinel answers that knows this master"
        case ssl.SSLCertVerificationError():
            reason = f"its certificate is not trusted: {getattr(error, 'verify_message', 'no more is known')}"
        case ssl.SSLError():
            reason = f"TLS failed ({getattr(error, 'reason', None) or type(error).__name__})"
        case socket.gaierror():
            reason = f"its host's name is not known ({error.strerror})"
        case TimeoutError() | RedisTimeout():
            reason = "it does not answer in time"
        case OSError(errno=int(number)) if number in errno.errorcode:
            reason = f"{os.strerror(number).lower()} ({errno.errorcode[number]})"
        case ResponseError() | AuthenticationError() | BusyLoadingError():
            reason = f"it answers: {_words_of(error)}"
    return reason


def _words_of(error: Exception) -> str:
    """The beginning of what a server says. From the first quotation mark on it repeats what it was asked."""
    text = re.split("[\"'`]|, with args", str(error), maxsplit=1)[0]
    return escape(text.strip(" :,.")[:100]) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _is_tls(error: BaseException) -> bool:
    """Whether TLS failed for another reason than that the connection was closed."""
    return any(
        isinstance(each, ssl.SSLError) and not isinstance(each, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        for each in _chain(error)
    )
