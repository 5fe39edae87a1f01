"""The requests of `slosh doctor`: to one server, through the proxies in front of it.

The rules of this file:

* Nothing is left behind: topics have unique names, and become inactive after `linger`.
* Each wait is bounded, because any program may answer.
"""

import contextlib
from types import TracebackType
from typing import Final, Self

import httpx2

from slosh.client.answers import find_problem, read_problem
from slosh.client.connections import explain_lasting, open_connections
from slosh.client.errors import Refused, Unreachable
from slosh.client.request import make_options

PATIENCE: Final = 10.0
"""Seconds that an answer may take which slosh gives at once."""


class Examination:
    """One server, asked through whatever stands in front of it.

    Args:
        url: its address, without a slash at the end.
        topic: that nobody else uses.
        origin: of pages that are to read it from elsewhere.

    Attributes:
        http: its connections.
        url: its address, for people; requests go to `options.base`.
        front: `nginx`, `HAProxy` or `Caddy` if the answers tell, else empty.
    """

    def __init__(self, url: str, topic: str, *, origin: str | None = None) -> None:
        self.options = make_options(url, None, None, PATIENCE)
        self.url = self.options.url
        self.topic = topic
        self.origin = origin
        self.http = open_connections(self.options)
        self.front = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def reach(self) -> None:
        """Check that a slosh answers at all, and that it lets this command do what its checks need.

        Raises:
            Unreachable: none does; the detail says what answered instead.
            Refused: its rules do not allow it; the detail says what to ask for.
        """
        try:
            answer = self.ask_list()
        except httpx2.TransportError as error:
            sentence = (
                explain_lasting(self.url, error)
                or f"Nothing answers at {self.options.where} ({error}). Is this its address?"
            )
            raise Unreachable(sentence) from error
        self._learn_front(answer)
        problem = find_problem(answer.status_code, answer.headers, answer.content, self.options.where)
        if "code" not in problem and "detail" in problem:  # what a client makes of it: another address is to be given
            raise Unreachable(str(problem["detail"]))
        if answer.status_code == 200 and "topics" in read_json(answer):
            self._check_rights()
            return
        self._check_allowed(answer)
        if answer.status_code in (502, 503, 504):
            raise Unreachable(
                f"{self.front or 'The proxy in front'} answers {answer.status_code}: it does not reach slosh. Look "
                "whether slosh runs, and at the address in its configuration (proxy_pass, server, reverse_proxy)."
            )
        raise Unreachable(
            f"{self.url} answers {answer.status_code} for /topics, and not as a slosh does. Below a prefix, give the "
            "address with it, as in https://example.org/slosh, and have the proxy cut it off."
        )

    def _check_rights(self) -> None:
        """Check that topics of this command may be read and published to: every check would fail else.

        Raises:
            Refused: they may not.
        """
        with contextlib.suppress(httpx2.TransportError):  # the checks tell what is wrong
            self._check_allowed(self.open("rights"))
            self._check_allowed(self.http.post(self.at("rights"), json=1))

    def _check_allowed(self, answer: httpx2.Response) -> None:
        """Check that this is no refusal of slosh's own rules.

        Raises:
            Refused: it is.
        """
        problem = read_json(answer)
        if problem.get("code") in ("unauthorized", "forbidden"):
            needed = self.topic.partition("/")[0]
            detail = (
                f"This server has rules. {problem.get('detail')} Let SLOSH_TOKEN hold a token that may read and "
                f"publish {needed}/**, for these checks."
            )
            raise Refused(answer.status_code, {"detail": detail}, self.options.where)

    def at(self, name: str) -> str:
        """The address of one of the topics."""
        return f"{self.options.base}/topics/{self.topic}/{name}"

    def ask_list(self, **query: str) -> httpx2.Response:
        """Ask for one of the active topics."""
        return self.http.get(f"{self.options.base}/topics", params={"limit": "1"} | query)

    def _learn_front(self, answer: httpx2.Response) -> None:
        names = " ".join((answer.headers.get("server", ""), answer.headers.get("via", ""))).lower()
        for name in ("nginx", "HAProxy", "Caddy"):
            if name.lower() in names:
                self.front = name

    def open(self, name: str) -> httpx2.Response:
        """Make a topic active, as a reader does."""
        return self.http.get(self.at(name), params={"wait": "0"})


def read_json(answer: httpx2.Response) -> dict[str, object]:
    """What an answer says, empty if it is no JSON object."""
    return dict(read_problem(answer.content))
