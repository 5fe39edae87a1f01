"""All errors of slosh, in one place.

The rules of this file:

* One tree. Every refusal is a `SloshError`; nothing else is raised on purpose.
* `code` is a short fixed word: programs may depend on it, so it never changes.
* `detail` is a sentence for a person; it says what was wrong and what to do instead.
* Over HTTP an error is an RFC 9457 problem document with the status `status` and the header fields `fields`.

This file is longer than others because the tree is best read in one place.
"""

import json
import math
from http import HTTPStatus
from typing import Final

ALLOW_FILES: Final = "GET, HEAD, OPTIONS"
"""Methods of everything that is only looked at, for the `Allow` field (RFC 9110 §10.2.1)."""
POSTED_TO_TOPICS: Final = " Messages are posted to /topics/<name>."
"""The end of the refusal of a method at a path that is no topic's. It does not say whether a file is there."""
OPEN_FILES: Final = "ulimit -n"
"""The name in errors of the system's limit on open files."""


_LONGEST_VALUE: Final = 60
"""Characters of a value that an error repeats."""


class SloshError(Exception):
    """The root of the tree.

    Attributes:
        code: a short fixed word, the same for every instance of a class.
        status: the HTTP status that this error travels with.
        detail: a sentence that says what was wrong and what to do instead.
        fields: header fields that go with the answer, as (name, value).
        closes: whether the connection must be closed after this error.
        token: the name of the client's token, only for the log, and never the token itself; empty if not known.
    """

    code: str = "internal"
    status: int = 500
    closes: bool = False

    def __init__(self, detail: str, *, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields
        self.token = ""

    @property
    def title(self) -> str:
        """The status in words, as RFC 9457 §4.2.1 asks for problems of type `about:blank`."""
        return HTTPStatus(self.status).phrase

    def facts(self) -> dict[str, object]:
        """Members that the problem document carries besides the standard ones."""
        return {}


class InternalError(SloshError):
    """Something that should not happen did; the log has the details, the client does not."""

    closes = True

    def __init__(self) -> None:
        super().__init__("slosh made a mistake while it answered this; its log says more.")


class SettingError(SloshError):
    """A setting has a value that it cannot have, or two settings contradict each other."""

    code = "setting"


class CannotListen(SloshError):
    """The address asked for cannot be listened on."""

    code = "cannot_listen"


class TooFewFiles(SloshError):
    """The system lets this process open too few files for a server to start."""

    code = "too_few_files"


# Requests that are wrong in themselves.


class BadRequest(SloshError):
    """A request whose framing is valid but whose content is not."""

    code = "bad_request"
    status = 400


class BadTopic(BadRequest):
    """The name of a topic breaks one of the rules for names."""

    code = "bad_topic"


class BadQuery(BadRequest):
    """A query parameter has an invalid value, or cannot be used in this request.

    Attributes:
        parameter: its name.
        tells_value: whether the answer repeats the value. False if any other value would be refused too.
    """

    code = "bad_query"

    def __init__(self, parameter: str, detail: str, *, tells_value: bool = True) -> None:
        super().__init__(detail)
        self.parameter = parameter
        self.tells_value = tells_value

    def with_value(self, value: str) -> "BadQuery":
        """The same error, with the value in its detail."""
        shown = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 3] + "..."
        sentence = "Here it is empty." if not value else f"Here it is {json.dumps(shown, ensure_ascii=False)}."
        return BadQuery(self.parameter, f"{self.detail} {sentence}", tells_value=False)

    def facts(self) -> dict[str, object]:
        """The parameter's name."""
        return {"parameter": self.parameter}


class BadJson(BadRequest):
    """A message is not one JSON value in UTF-8.

    Attributes:
        position: bytes from the beginning of the body, or of the line in a batch, to where it went wrong.
        line: of a batch, from 1 on; 0 if there are no lines.
    """

    code = "bad_json"

    def __init__(self, detail: str, position: int, *, line: int = 0) -> None:
        super().__init__(detail)
        self.position = position
        self.line = line

    def facts(self) -> dict[str, object]:
        """The position, bytes, and the line of a batch."""
        return {"line": self.line, "position": self.position} if self.line else {"position": self.position}


class BadHttp(SloshError):
    """Bytes that are not an HTTP/1.1 request, or that two parsers could read differently."""

    code = "bad_http"
    status = 400
    closes = True


class HttpVersionNotSupported(BadHttp):
    """A version of HTTP that is not supported."""

    code = "http_version"
    status = 505


class MethodUnknown(BadHttp):
    """A method that is not supported (RFC 9110 §9.1)."""

    code = "method_unknown"
    status = 501


class ExpectationFailed(SloshError):
    """An `Expect` other than 100-continue (RFC 9110 §10.1.1)."""

    code = "expectation_failed"
    status = 417
    closes = True


class HeadTooLarge(SloshError):
    """The request line and the header fields pass `max_head` bytes or `max_fields` fields."""

    code = "head_too_large"
    status = 431
    closes = True


class TooLarge(SloshError):
    """A message or a body is larger than its bound.

    Attributes:
        limit: the bound, bytes.
    """

    code = "too_large"
    status = 413

    def __init__(self, detail: str, limit: int) -> None:
        super().__init__(detail)
        self.limit = limit

    def facts(self) -> dict[str, object]:
        """The bound, bytes."""
        return {"limit": self.limit}


class RequestTimeout(SloshError):
    """A request did not arrive whole in the time that it has."""

    code = "request_timeout"
    status = 408
    closes = True


class UnsupportedEncoding(SloshError):
    """A body in a content coding; slosh takes JSON as it is (RFC 9110 §15.5.16)."""

    code = "unsupported_encoding"
    status = 415


# Things that are not there, or may not be done.


class NotFound(SloshError):
    """Nothing is at this URL. One answer for all reasons, so that it tells nothing of what exists."""

    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is nothing at this address. Topics are at /topics/<name>, and GET /topics lists them.")


class NoWatchers(SloshError):
    """The mailbox rule: nobody watches this topic, so a message for it is not taken."""

    code = "no_watchers"
    status = 404

    def __init__(
        self,
        detail: str = "No one watches this topic, so the message was not stored. It is stored while somebody does: a "
        "GET of the same URL. To store it all the same, start the server with --unwatched keep.",
    ) -> None:
        super().__init__(detail, fields=(("Slosh-Watchers", "0"),))


class TopicEnded(SloshError):
    """A publisher has ended this life of the topic, and it still lingers."""

    code = "ended"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "This topic has ended, so the message was not stored. Its name is free again when nobody has read it for a "
            "while (linger). Publish to a topic of another name, one for each stream."
        )


class PreconditionFailed(SloshError):
    """The file is not the one that the client means any more (RFC 9110 §15.5.13)."""

    code = "precondition_failed"
    status = 412

    def __init__(self) -> None:
        super().__init__(
            "The file has changed since; a GET without If-Match and If-Unmodified-Since gives it as it is."
        )


class MethodNotAllowed(SloshError):
    """A method that is known but means nothing at this URL."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allow: str, advice: str = "") -> None:
        super().__init__(f"This address takes {allow}.{advice}", fields=(("Allow", allow),))


class UpgradeRequired(SloshError):
    """A WebSocket handshake in a version that is not spoken here (RFC 6455 §4.4)."""

    code = "upgrade_required"
    status = 426

    def __init__(self, version: str) -> None:
        fields = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", version))
        super().__init__(f"Version {version} of the WebSocket protocol is spoken here.", fields=fields)


class UnknownHost(SloshError):
    """A request for a name that this server does not answer to (RFC 9110 §15.5.20)."""

    code = "unknown_host"
    status = 421


class ForeignOrigin(SloshError):
    """A page of another origin wants to do what it may not (RFC 6454)."""

    code = "foreign_origin"
    status = 403


CREDENTIALS_NEEDED: Final = "This needs a token: Authorization: Bearer <token>."
"""What a server says if no token came. A client has words of its own for it: it writes that field itself."""
CHALLENGE: Final = 'Bearer realm="slosh"'
"""The value of `WWW-Authenticate` (RFC 6750 §3) if no token came."""


class Unauthorized(SloshError):
    """What was asked for needs a token, and there is none, or one that does not count (RFC 6750 §3.1).

    The detail never holds anything of the token.
    """

    code = "unauthorized"
    status = 401

    def __init__(self, why: str = "", advice: str = "") -> None:
        challenge = f'{CHALLENGE}, error="invalid_token"' if why else CHALLENGE
        detail = f"The token does not count. {why}" if why else CREDENTIALS_NEEDED + advice
        super().__init__(detail, fields=(("WWW-Authenticate", challenge),))


class Forbidden(SloshError):
    """A token that counts, and does not allow this. The same whether or not the topic is active."""

    code = "forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "The token does not allow this. GET /-/session tells what it allows; a pattern has to be covered as a "
            "whole by one that is granted."
        )


class RangeNotSatisfiable(SloshError):
    """No byte of the range asked for exists (RFC 9110 §15.5.17).

    Args:
        size: length of the whole, bytes.
    """

    code = "range_not_satisfiable"
    status = 416

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.", fields=(("Content-Range", f"bytes */{size}"),))


# Requests for which there is no room just now.


class Unavailable(SloshError):
    """A bound of the whole server is reached, or it is shutting down; it is worth trying again."""

    code = "unavailable"
    status = 503
    retry_after: int = 5
    """Seconds after which it is worth trying again."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, fields=(("Retry-After", str(self.retry_after)),))


class TooManyConnections(Unavailable):
    """`max_connections` or `max_connections_per_address` is reached."""

    code = "too_many_connections"
    closes = True


class TooManyDownloads(Unavailable):
    """`max_downloads` is reached, or the system gives this process no more files.

    Args:
        bound: which of the two it is: `max_downloads` or `OPEN_FILES`.
    """

    code = "too_many_downloads"

    def __init__(self, bound: str) -> None:
        super().__init__(f"As many large files are being sent as may be ({bound}). Try again in some seconds.")


class TooManyTopics(Unavailable):
    """`max_topics` is reached.

    Args:
        most: the bound.
        where: of what it is: a server, or a node of several.
    """

    code = "too_many_topics"

    def __init__(self, most: int, where: str = "server") -> None:
        super().__init__(
            f"This {where} has all the active topics that it may have: {most} (max_topics). Try again in some seconds: "
            f"a topic ends when nobody has read it for a while (linger)."
        )


class ShareUsedUp(Unavailable):
    """A client has created as many topics as it may have: `max_topics_per_address`."""

    code = "share_used_up"
    status = 429


class MemoryFull(Unavailable):
    """All rings and histories together have `max_bytes`, or all that is coming in `max_buffered`."""

    code = "memory"

    @classmethod
    def of_messages(cls, most: int) -> "MemoryFull":
        """What is stored has `most` bytes, which is `max_bytes`."""
        return cls(
            f"The messages of all topics together have {most} bytes (max_bytes), and every topic that has more than "
            f"its newest message is watched. Nothing was stored."
        )

    @classmethod
    def of_buffers(cls, most: int) -> "MemoryFull":
        """What is on its way in and out has `most` bytes, which is `max_buffered`."""
        return cls(
            f"The bodies that are coming in or are checked, and the answers that clients do not take, have {most} "
            f"bytes together (max_buffered), as many as they may have. Nothing was stored."
        )


class TooManyRequests(Unavailable):
    """A client, or a token, asks or publishes more than it may: `request_rate`, `publish_rate` (RFC 6585 §4)."""

    code = "rate_limited"
    status = 429

    def __init__(self, detail: str, wait: float = 1.0) -> None:
        self.retry_after = max(1, math.ceil(wait))
        super().__init__(detail)


class TooManyHeld(Unavailable):
    """`max_held_per_address` is reached.

    Args:
        whose: of what the bound is: the client's address, or its token.
        most: the bound.
    """

    code = "too_many_held"
    status = 429

    def __init__(self, whose: str, most: int) -> None:
        super().__init__(
            f"{whose} has {most} requests held already (max_held_per_address). End one of them, or read several topics "
            f"in one request."
        )


class TooManyWatchers(Unavailable):
    """`max_watchers` of one topic is reached.

    Args:
        most: the bound.
    """

    code = "too_many_watchers"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This topic has all the watchers that it may have: {most} (max_watchers). Try again in some seconds, when "
            f"one may have left."
        )


class TooManyPatterns(Unavailable):
    """Readers have patterns of too many different shapes. `slosh.core.patterns` tells what that is for."""

    code = "too_many_patterns"


class Draining(Unavailable):
    """The server is shutting down.

    Args:
        has_successor: whether another server takes over or has taken over, so that clients may come back at once.
    """

    code = "draining"

    def __init__(self, *, has_successor: bool = False) -> None:
        if has_successor:
            self.retry_after = 0
            super().__init__("Another server takes over from this one. Send this again at once, on a new connection.")
        else:
            super().__init__(
                "This server is shutting down. Try again in some seconds: the next one may be there by then."
            )


class EngineUnreachable(Unavailable):
    """The store that several nodes share did not answer in time, or cannot be reached."""

    code = "engine_unreachable"
    retry_after = 1


class EngineBusy(Unavailable):
    """The store is slower than what comes in: `engine_queue` or `engine_queue_bytes` is reached."""

    code = "engine_busy"
    retry_after = 1


class EngineFull(Unavailable):
    """The store has no memory left."""

    code = "engine_full"


class EngineFailed(Unavailable):
    """The store refused what it was asked, which should not happen; the log says more."""

    code = "engine_failed"
