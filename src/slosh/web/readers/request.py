"""Parses a reader's request: which topics, from which place, for how long, how many messages, in which framing.

All of it comes from the request's head, so it is parsed once for all requests with the same head.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from slosh.core.cursor import STAR, Cursor, parse_cursor, parse_end, unspell
from slosh.core.names import check_name
from slosh.core.patterns import MAX_MATCHES, check_pattern, is_pattern, matches
from slosh.core.reading import Filter, Now, Offset, Since, Unknown
from slosh.core.topic import Topic
from slosh.durations import FORMS, parse_duration
from slosh.errors import BadQuery, BadRequest, BadTopic
from slosh.http1.head import Head
from slosh.http1.proxies import is_over_tls
from slosh.settings import Settings
from slosh.web.query import (
    COUNTING,
    HISTORY,
    READING,
    TOPICS,
    bound_wait,
    decode,
    ignored_field,
    parse_offset,
    parse_prefer,
    parse_query,
    parse_since,
    parse_wait,
    read_count,
    read_flag,
    read_name,
)
from slosh.web.readers.cookies import cookie_name, set_cookie
from slosh.web.readers.formats import AS_JSON, AS_WEBSOCKET, Formats

MAX_TOPICS: Final = 64
"""Topics and patterns that one request may name."""


_MAX_EVERY: Final = 3600.0
"""Seconds at most for `every`: a reader that wants less than one answer an hour can poll with a cursor."""
_MAX_KEY: Final = 16
"""Names in a dotted path, at most."""
_MAX_KEY_BYTES: Final = 256
"""Bytes of a dotted path in UTF-8, at most."""
_RESUMING: Final = frozenset({"lasteventid", "last_event_id", "last-event-id"})
"""Query parameters in place of the field `Last-Event-ID`, in lower case: several clients cannot send the field."""


class ReadRequest:
    """A reader's request.

    Args:
        head: of the request, whose path begins with `/topics/`.
        settings: the bounds on waiting.
        formats: the framings of this server.
        prefix: of the URL, if a proxy has removed one.
        same_site: of the cookie, from `Origins.same_site`; empty for no cookie.

    Raises:
        BadTopic, BadQuery, BadRequest: a part of it is not valid.

    Attributes:
        names: of the topics that are read by name, or were read before through a pattern; each once.
        patterns: the patterns that are read.
        returns: whether the request has a place from an earlier answer, other than in a cookie.
        resumes: whether `Last-Event-ID`, as a field or a parameter, says where to start; it wins over all else.
        several: whether the answer has the form for several topics.
        wait: how long a poll is held, seconds, `inf` for any time; 0 for a HEAD.
        says_wait: whether the request says how long.
        goes_on: whether it reads patterns, and brings its places in the topics that they match.
        every: how long to gather after the first message, seconds.
        wanted: which messages the reader wants to be left out.
        format: the framing.
        extensions: offered by the client of a WebSocket.
        minimal: whether an answer without messages has no body (`Prefer: return=minimal`).
        cookie: the `Set-Cookie` line before and after the cursor; None for no cookie.
        cookie_name: of the cookie that may hold the place, which is read for each request; often empty.
        parameters: the query, decoded.
        counts: whether it asks for the number of watchers, and reads nothing.
        ignored: the header line that names ignored parameters; often empty.
    """

    __slots__ = (
        "_leaves",
        "_left",
        "_max_wait",
        "_part",
        "_part_wait",
        "_since",
        "_vector",
        "cookie",
        "cookie_name",
        "counts",
        "every",
        "extensions",
        "format",
        "goes_on",
        "ignored",
        "minimal",
        "names",
        "parameters",
        "patterns",
        "resumes",
        "returns",
        "says_wait",
        "several",
        "wait",
        "wanted",
    )

    def __init__(
        self, head: Head, settings: Settings, formats: Formats, prefix: str = "", same_site: str = "Lax"
    ) -> None:
        self.names, self.patterns = parse_names(head.path)
        self.several = len(self.names) > 1 or bool(self.patterns)
        self.parameters = parse_query(head.query)
        preferred_wait, self.minimal = parse_prefer(head.tokens(b"prefer"))
        wait = parse_wait(self.parameters["wait"]) if "wait" in self.parameters else preferred_wait
        self.says_wait = wait is not None
        is_head = head.method == "HEAD"  # A HEAD is neither held nor a stream.
        self.wait = 0.0 if is_head else bound_wait(wait, settings.default_wait, settings.max_wait)
        self._max_wait = settings.max_wait
        self._part = b""  # that came last,
        self._part_wait = 0.0  # and how long it says
        self.every = _parse_every(self.parameters)
        self.wanted = Filter(
            _parse_limit(self.parameters), parse_key(self.parameters), read_flag(self.parameters, "times")
        )
        self.format = formats.choose(head, self.parameters)
        offers = head.all(b"sec-websocket-extensions") if self.format is AS_WEBSOCKET else ()
        self.extensions = tuple(offer.decode("latin-1") for offer in offers)
        self.cookie: tuple[bytes, bytes] | None = None
        self.cookie_name = ""
        self._vector: Mapping[str, Since] = {}
        self._left: Mapping[str, str] = {}  # epochs of lives that the reader of patterns was given the end of, by name
        self._leaves = False  # whether a topic that is missing in the vector is one that has ended, if it has
        self._since: Since = Now()
        self.goes_on = False
        self._parse_place(head, prefix, same_site, secure=bool(settings.tls_cert) or is_over_tls(head))
        self.counts = read_flag(self.parameters, "watchers")
        self.ignored = ignored_field(self.parameters, self._known(is_head=is_head), settings.token_in_query)

    def _known(self, *, is_head: bool) -> frozenset[str]:
        """The parameters that are used for this request."""
        if self.counts:
            return COUNTING - {"wait"} if is_head else COUNTING
        if "history" in self.parameters and not is_head:
            return HISTORY
        known = READING - {"watchers"}
        if "since" in self.parameters:
            known -= {"n"}
        if is_head:
            return known - {"wait", "every", "format"}
        if self.format is AS_JSON:
            return known
        known -= {"wait", "format"} if self.format is AS_WEBSOCKET else {"wait"}
        return known | {name for name in self.parameters if name.lower() in _RESUMING}

    def since(self, name: str) -> Since:
        """Where to start in the topic `name`."""
        return self._vector.get(name, self._since)

    def find_wait(self, head: Head) -> float:
        """How long a poll is held whose head asks for the same as that of this request, seconds.

        It differs from `wait` only if the request says how long.
        """
        part = head.part
        if not part:
            return self.wait
        if part != self._part:
            self._part_wait = bound_wait(parse_wait(part.decode("ascii")), 0.0, self._max_wait)
            self._part = part
        return self._part_wait

    @property
    def left(self) -> Iterable[str]:
        """The names of topics whose end the reader of patterns was told before."""
        return self._left

    def has_left(self, topic: Topic) -> bool:
        """Whether the reader of several topics was told the end of `topic` before, and does not read it any more."""
        if self._left.get(topic.name) == topic.epoch:
            return True
        return self._leaves and topic.ended and topic.name not in self._vector

    def in_order(self, topics: list[Topic]) -> list[Topic]:
        """The topics in the order in which they are read: first as in the vector, then the others.

        A vector begins with the topics that waited for the next portion, so none starves.
        """
        if not self._vector:
            return topics
        ranks = {name: rank for rank, name in enumerate(self._vector)}
        return sorted(topics, key=lambda topic: ranks.get(topic.name, len(ranks)))

    def _parse_place(self, head: Head, prefix: str, same_site: str, *, secure: bool) -> None:
        parameters = self.parameters
        resumed = self._find_resumed(head) if self.format is not AS_JSON else ""
        self.returns = self.resumes = bool(resumed)
        if resumed:
            # A place that we once gave is never an error, though it may mean nothing any more.
            self._resume(resumed)
        elif "since" in parameters:
            self._take_since(parameters["since"])
            self.returns = isinstance(self._since, Cursor) or bool(self._vector)
        elif "n" in parameters:
            if self.several:
                raise BadQuery(
                    "n",
                    "n is an offset in one topic; several are asked for with since and a vector.",
                    tells_value=False,
                )
            self._since = Offset(parse_offset("n", parameters["n"]))
        elif not self.several:
            name = cookie_name(self.names[0])
            if head.has(b"cookie"):
                self.cookie_name = name
            if same_site:
                self.cookie = set_cookie(name, prefix + head.path, secure=secure, same_site=same_site)

    def _find_resumed(self, head: Head) -> str:
        """The place with which the client of a stream comes back; empty for none."""
        text = head.first(b"last-event-id").encode("latin-1").decode("utf-8", "replace")
        if not text:
            text = next((text for name, text in self.parameters.items() if text and name.lower() in _RESUMING), "")
        return text

    def _resume(self, text: str) -> None:
        """Start at the place in `text`, which is never refused: topics for which it has no valid place start again."""
        try:
            self._take_since(text)
        except BadRequest:
            self._vector, self._since = {}, Unknown()
        # Topics that a vector does not have begin at `now`, as with `since`.
        if isinstance(self._since, Now) and text != "now" and (self.patterns or not self._vector):
            self._since = Unknown()

    def _take_since(self, text: str) -> None:
        if self.several and ("=" in text or text == STAR):
            self._vector, left = _parse_vector(text)
            # Only those that are asked for: whether others may be read was not looked at.
            self._left = {name: epoch for name, epoch in left.items() if self._asks_for(name)}
            if self.patterns and (text + ",").startswith(STAR + ","):
                # A topic that this reader does not name was created since, and is new to it as a whole.
                self.goes_on = True
                self._since = Offset(0)
                read_on = [name for name in self._vector if name not in self._left and self._asks_for(name)]
                self.names = tuple(dict.fromkeys([*self.names, *read_on]))
            self._leaves = bool(self._vector) and not self.patterns
            return
        self._since = parse_since(text)
        if self.several and parse_cursor(text):
            raise BadQuery(
                "since", "since is a vector where several topics are resumed, a=k3f9.4,b=x01c.9, as next gives it."
            )

    def _asks_for(self, name: str) -> bool:
        return name in self.names or any(matches(pattern, name) for pattern in self.patterns)


def parse_names(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The topics and the patterns that a path names, separated by commas, each once.

    Raises:
        BadTopic, BadRequest: one of them is not valid, or they are too many.
    """
    texts = path.removeprefix(TOPICS).split(",")
    if len(texts) > MAX_TOPICS:
        raise BadTopic(f"One request names at most {MAX_TOPICS} topics.")
    if len(texts) > 1 and "" in texts:
        raise BadTopic("A comma stands between two topics, as in /topics/a,b; here a name is missing beside one.")
    if texts == [""]:
        read_name("")
    decoded = dict.fromkeys(decode(text, "topic's name") for text in texts)
    names = tuple(check_name(text) for text in decoded if not is_pattern(text))
    return names, tuple(check_pattern(text) for text in decoded if is_pattern(text))


def _parse_vector(text: str) -> tuple[dict[str, Since], dict[str, str]]:
    """The places in a vector, and the epochs that it marks as ended, by topic."""
    vector: dict[str, Since] = {}
    left: dict[str, str] = {}
    for part in text.split(","):
        name, mark, cursor = part.rpartition("=")
        if mark:
            name = check_name(unspell(name))
            end = parse_end(cursor)
            if end is not None:
                left[name] = end.epoch
                vector[name] = Offset(0)  # Another life would be new as a whole.
            else:
                vector[name] = parse_cursor(cursor) or Unknown()
    if len(vector) > MAX_MATCHES:
        raise BadQuery("since", f"since is a vector of the places in at most {MAX_MATCHES} topics.")
    return vector, left


def _parse_limit(parameters: Mapping[str, str]) -> int:
    if "limit" not in parameters:
        return 0
    limit = read_count(parameters["limit"])
    if limit < 1:
        raise BadQuery("limit", "limit is how many of the newest messages to give, 1 or more. Leave it out for all.")
    return limit


def parse_key(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The path into the messages that `key` names, often none.

    Raises:
        BadQuery: it is not valid.
    """
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
