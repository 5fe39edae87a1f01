"""How `slosh doctor` asks: one server, through whatever stands in front of it.

The rules of this file:

* Nothing is left behind: topics have a name that nobody else uses, and end with their linger.
* What answers may be anything, so each wait is bounded.
"""

from types import TracebackType
from typing import Final, Self

import httpx2

from slosh.client.answers import find_problem
from slosh.client.connections import open_connections, told_lasting
from slosh.client.errors import Unreachable
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
        front: `nginx`, `HAProxy` or `Caddy` where the answers tell, else empty.
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
        """See that a slosh answers at all.

        Raises:
            Unreachable: none does; the detail says what answered instead.
        """
        try:
            answer = self.ask_list()
        except httpx2.TransportError as error:
            told = (
                told_lasting(self.url, error)
                or f"Nothing answers at {self.options.where} ({error}). Is this its address?"
            )
            raise Unreachable(told) from error
        self._learn_front(answer)
        problem = find_problem(answer.status_code, answer.headers, answer.content, self.options.where)
        if "code" not in problem and "detail" in problem:  # what a client makes of it: another address is to be given
            raise Unreachable(str(problem["detail"]))
        if answer.status_code == 200 and "topics" in read_json(answer):
            return
        if answer.status_code in (401, 403) and "code" in read_json(answer):
            raise Unreachable(f"{read_json(answer).get('detail')} Give a token in SLOSH_TOKEN.")
        if answer.status_code in (502, 503, 504):
            raise Unreachable(
                f"{self.front or 'What stands in front'} answers {answer.status_code}: it does not reach slosh. Look "
                "whether slosh runs, and at the address in its configuration (proxy_pass, server, reverse_proxy)."
            )
        raise Unreachable(
            f"{self.url} answers {answer.status_code} for /topics, and not as a slosh does. Below a prefix, give the "
            "address with it, as in https://example.org/slosh, and have the proxy cut it off."
        )

    def at(self, name: str) -> str:
        """The address of one of the topics."""
        return f"{self.options.base}/topics/{self.topic}/{name}"

    def ask_list(self, **query: str) -> httpx2.Response:
        """Ask for one of the active topics."""
        return self.http.get(f"{self.options.base}/topics", params={"limit": "1"} | query)

    def _learn_front(self, answer: httpx2.Response) -> None:
        told = " ".join((answer.headers.get("server", ""), answer.headers.get("via", ""))).lower()
        for name in ("nginx", "HAProxy", "Caddy"):
            if name.lower() in told:
                self.front = name

    def open(self, name: str) -> httpx2.Response:
        """Make a topic active, as a reader does."""
        return self.http.get(self.at(name), params={"wait": "0"})


def read_json(answer: httpx2.Response) -> dict[str, object]:
    """What an answer says, empty where it is no JSON object."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
