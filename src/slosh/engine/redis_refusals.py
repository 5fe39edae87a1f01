"""What a Redis or Valkey says when it does not do what it is asked, and what that means for people."""

import ssl
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

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

# What Redis and Valkey say of a right that is lacking inside a script, where they leave the word away.
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
    """Why the address of a server that answered so cannot be right; None where the server may only be away.

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


def _is_tls(error: BaseException) -> bool:
    """Whether TLS failed for another reason than that the connection was closed."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and not isinstance(seen, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
