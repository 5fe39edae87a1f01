"""What a reader asks for: which topics, from where, for how long, how much of it, and in which framing.

All of it comes from the request's head, so it is worked out once for all requests with the same head.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from slosh.core.cursor import parse_cursor, parse_offset, read_count, unspell
from slosh.core.names import check_name
from slosh.core.patterns import check_pattern, is_pattern, matches
from slosh.core.reading import Filter, Now, Offset, Since, Unknown, parse_since
from slosh.core.subscription import STAR
from slosh.core.topic import Topic
from slosh.durations import FORMS, parse_duration
from slosh.errors import BadQuery, BadRequest, BadTopic
from slosh.settings import Settings
from slosh.web.accept import Accept
from slosh.web.cookies import cookie_name, find_place, set_cookie
from slosh.web.head import Head
from slosh.web.proxies import is_over_tls
from slosh.web.query import READING, bound_wait, decode, ignored_field, parse_prefer, parse_query, parse_wait

TOPICS: Final = "/topics/"
MAX_TOPICS: Final = 64
"""Topics and patterns that one request may name."""
MAX_MATCHES: Final = 256
"""Topics that one reader may come to by its patterns: their places travel in a URL or a header each time."""

MAX_LINE: Final = 8000
"""Octets of a request line that intermediaries are sure to pass on (RFC 9112 §3). Many bound each other line so too."""

_BESIDE_A_PLACE: Final = 64
"""Bytes of a request that come with a place: `?since=*` or the name of a field, and a little more."""

_MAX_EVERY: Final = 3600.0
"""Seconds: whoever wants less than one answer an hour asks with a cursor."""
_MAX_KEY: Final = 16
"""Names in a dotted path."""
_MAX_KEY_BYTES: Final = 256
"""Bytes of one, in UTF-8."""


class Format(Enum):
    """The framings that a GET can have."""

    JSON = "json"
    SSE = "sse"
    NDJSON = "ndjson"
    WEBSOCKET = "websocket"


_KINDS: Final = {
    Format.JSON: "application/json",
    Format.SSE: "text/event-stream",
    Format.NDJSON: "application/x-ndjson",
}
_RESUMING: Final = frozenset({"lasteventid", "last_event_id", "last-event-id"})
"""Query parameters that stand for the field `Last-Event-ID`, in lower case: several clients cannot send the field."""


class Asked:
    """A reader's request.

    Args:
        head: of the request, whose path begins with `/topics/`.
        settings: bound how long a poll is held.
        prefix: of the URL, which a proxy has cut off.
        same_site: of the cookie, as `Origins.same_site` gives it; nothing for no cookie.

    Raises:
        BadTopic, BadQuery, BadRequest: something in it makes no sense.

    Attributes:
        names: of the topics that are read by name, or were read before by a pattern; each once.
        patterns: that are read.
        room: characters that the reader's places in several topics may have in the URL of its next request, or in its
            `Last-Event-ID`, for that is bounded as this one is.
        resumes: whether `Last-Event-ID`, the field or the parameter, says where to start, whatever else does.
        several: whether the answer is one for several topics.
        wait: how long a poll is held, seconds, `inf` for any time.
        says_wait: whether the request says how long.
        every: how long to gather once there is something, seconds.
        wanted: what the reader can do without.
        format: the framing.
        extensions: what the client of a WebSocket offers.
        minimal: whether an answer without messages is to have no body (`Prefer: return=minimal`).
        cookie: what stands before and after the cursor in the `Set-Cookie` line; None for no cookie.
        parameters: the query, decoded.
        ignored: the header line that names those that mean nothing; often none.
    """

    __slots__ = (
        "_since",
        "_vector",
        "cookie",
        "every",
        "extensions",
        "format",
        "ignored",
        "minimal",
        "names",
        "parameters",
        "patterns",
        "resumes",
        "room",
        "says_wait",
        "several",
        "wait",
        "wanted",
    )

    def __init__(self, head: Head, settings: Settings, prefix: str = "", same_site: str = "Lax") -> None:
        self.names, self.patterns = parse_names(head.path)
        self.several = len(self.names) > 1 or bool(self.patterns)
        self.parameters = parse_query(head.query)
        preferred_wait, self.minimal = parse_prefer(head.tokens(b"prefer"))
        wait = parse_wait(self.parameters["wait"]) if "wait" in self.parameters else preferred_wait
        self.says_wait = wait is not None
        self.wait = bound_wait(wait, settings.default_wait, settings.max_wait)
        self.every = _parse_every(self.parameters)
        self.wanted = Filter(_parse_limit(self.parameters), _parse_key(self.parameters), "times" in self.parameters)
        self.format = _choose_format(head, self.parameters)
        offers = head.all(b"sec-websocket-extensions") if self.format is Format.WEBSOCKET else ()
        self.extensions = tuple(offer.decode("latin-1") for offer in offers)
        self.cookie: tuple[bytes, bytes] | None = None
        self._vector: Mapping[str, Since] = {}
        self._since: Since = Now()
        self.room = _find_room(head, self.format, settings.max_head) if self.several else 0
        self._parse_place(head, prefix, same_site)
        known = READING
        if self.format is not Format.JSON:
            known |= {name for name in self.parameters if name.lower() in _RESUMING}
        self.ignored = ignored_field(self.parameters, known)

    def since(self, name: str) -> Since:
        """Where to start in the topic `name`."""
        return self._vector.get(name, self._since)

    def in_order(self, topics: list[Topic]) -> list[Topic]:
        """The topics in the order in which they are to be read: as in the vector, those that it does not have behind.

        A vector begins with the topics that waited for the next portion, so none starves.
        """
        if not self._vector:
            return topics
        ranks = {name: rank for rank, name in enumerate(self._vector)}
        return sorted(topics, key=lambda topic: ranks.get(topic.name, len(ranks)))

    def _parse_place(self, head: Head, prefix: str, same_site: str) -> None:
        parameters = self.parameters
        resumed = self._find_resumed(head) if self.format is not Format.JSON else ""
        self.resumes = bool(resumed)
        if resumed:
            # What we once gave is never an error, only a place that may mean nothing any more.
            self._resume(resumed)
        elif "since" in parameters:
            self._take_since(parameters["since"])
        elif "n" in parameters:
            if self.several:
                raise BadQuery("n", "n is an offset in one topic; several are asked for with since and a vector.")
            self._since = Offset(parse_offset("n", parameters["n"]))
        elif not self.several:
            name = cookie_name(self.names[0])
            self._since = find_place(head.all(b"cookie"), name) or Now()
            if same_site:
                self.cookie = set_cookie(name, prefix + head.path, secure=is_over_tls(head), same_site=same_site)

    def _find_resumed(self, head: Head) -> str:
        """The place that the client of a stream comes back with, or nothing."""
        text = head.first(b"last-event-id").encode("latin-1").decode("utf-8", "replace")
        if not text:
            text = next((text for name, text in self.parameters.items() if text and name.lower() in _RESUMING), "")
        return text

    def _resume(self, text: str) -> None:
        """Start where `text` says, which we once gave; a topic that it says nothing of begins anew."""
        try:
            self._take_since(text)
        except BadRequest:
            self._vector, self._since = {}, Unknown()
        if isinstance(self._since, Now) and text != "now":
            self._since = Unknown()

    def _take_since(self, text: str) -> None:
        if self.several and ("=" in text or text == STAR):
            self._vector = _parse_vector(text)
            if self.patterns and (text + ",").startswith(STAR + ","):
                # What this reader does not name has come to life since, and is new to it as a whole.
                self._since = Offset(0)
                read_before = [name for name in self._vector if any(matches(each, name) for each in self.patterns)]
                self.names = tuple(dict.fromkeys([*self.names, *read_before]))
            return
        self._since = parse_since(text)
        if self.several and parse_cursor(text):
            raise BadQuery("since", "Several topics are resumed with a vector, a=k3f9.4,b=x01c.9, as next gives it.")


def parse_names(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topics and the patterns that a path names, separated by commas, each once.

    Raises:
        BadTopic, BadRequest: one of them is none, or they are too many.
    """
    texts = path.removeprefix(TOPICS).split(",")
    if len(texts) > MAX_TOPICS:
        raise BadTopic(f"One request names at most {MAX_TOPICS} topics.")
    if len(texts) > 1 and "" in texts:
        raise BadTopic("A comma stands between two topics, as in /topics/a,b; here a name is missing beside one.")
    decoded = dict.fromkeys(decode(text, "topic's name") for text in texts)
    names = tuple(check_name(text) for text in decoded if not is_pattern(text))
    return names, tuple(check_pattern(text) for text in decoded if is_pattern(text))


def _parse_vector(text: str) -> dict[str, Since]:
    vector: dict[str, Since] = {}
    for part in text.split(","):
        name, mark, cursor = part.rpartition("=")
        if mark:
            vector[check_name(unspell(name))] = parse_cursor(cursor) or Unknown()
    if len(vector) > MAX_MATCHES:
        raise BadQuery("since", f"A vector has the places in at most {MAX_MATCHES} topics.")
    return vector


def _find_room(head: Head, asked: Format, max_head: int) -> int:
    """How long the place in a request like this one may be, so that it still is within the bounds."""
    others = len(head.raw) + _BESIDE_A_PLACE
    if asked is Format.SSE:  # The place comes in a field of its own.
        return min(max_head - others + len(head.first(b"last-event-id")), MAX_LINE - _BESIDE_A_PLACE)
    line = len(head.method) + len(head.path) + len(head.query) + len("  HTTP/1.1\r\n") + _BESIDE_A_PLACE
    since = sum(len(pair) for pair in head.query.split("&") if pair.startswith("since="))
    return min(max_head - others, MAX_LINE - line) + since


def _parse_limit(parameters: Mapping[str, str]) -> int:
    if "limit" not in parameters:
        return 0
    limit = read_count(parameters["limit"])
    if limit < 1:
        raise BadQuery("limit", "limit is how many of the newest messages to give, 1 or more. Leave it out for all.")
    return limit


def _parse_key(parameters: Mapping[str, str]) -> tuple[str, ...]:
    if "key" not in parameters:
        return ()
    key = parameters["key"]
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise BadQuery("key", f"key has at most {_MAX_KEY_BYTES} bytes, and this one has {len(key.encode())}.")
    path = tuple(key.split("."))
    if not all(path) or len(path) > _MAX_KEY:
        raise BadQuery("key", f"key is a dotted path into the messages of at most {_MAX_KEY} names, such as host.name.")
    return path


def _parse_every(parameters: Mapping[str, str]) -> float:
    if "every" not in parameters:
        return 0.0
    seconds = parse_duration(parameters["every"])
    if seconds is None or seconds > _MAX_EVERY:
        raise BadQuery("every", f"every is how long to gather, {FORMS}, at most 1h.")
    return seconds


def asks_for_events(head: Head) -> bool:
    """Whether a request is one that is answered with an event stream, as far as its head makes sense."""
    if head.method != "GET" or not (head.path + "/").startswith(TOPICS):
        return False
    try:
        parameters = parse_query(head.query)
        if head.path + "/" == TOPICS:
            return "watch" in parameters
        return "watchers" not in parameters and _choose_format(head, parameters) is Format.SSE
    except BadRequest:
        return False


def _choose_format(head: Head, parameters: Mapping[str, str]) -> Format:
    # RFC 9110 §7.8: what HTTP/1.0 says of an upgrade is ignored.
    if head.minor and "websocket" in head.tokens(b"upgrade") and "upgrade" in head.tokens(b"connection"):
        return Format.WEBSOCKET
    if "format" in parameters:
        try:
            chosen = Format(parameters["format"])
        except ValueError:
            chosen = Format.WEBSOCKET
        if chosen is Format.WEBSOCKET:
            raise BadQuery("format", "format is json, sse or ndjson; a WebSocket is asked for with Upgrade.")
        return chosen
    accept = Accept(head)
    if not accept.is_there:
        return Format.JSON

    def rank(chosen: Format) -> tuple[float, bool, int]:
        """By weight. Of equal ones a stream that is named wins over JSON, and JSON over what a range takes in."""
        kind, weight = _KINDS[chosen], accept.weight(_KINDS[chosen])
        is_named = weight > 0 and chosen is not Format.JSON and accept.names(kind)
        return weight, is_named, accept.position(kind) if is_named else int(chosen is Format.JSON)

    return max(_KINDS, key=rank)
