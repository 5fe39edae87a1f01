"""A training run: its values, step by step, as a topic that `/view/runs/**` shows.

>>> run = slosh.run("train", config={"lr": 0.01})
>>> for step in range(3):
...     run.log(loss=1 / (step + 1))
>>> run.finish()
"""

import contextlib
import threading
import time
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from slosh.client.addresses import check_topic
from slosh.client.errors import BadUse, ClientError, Refused
from slosh.client.publisher import Publisher
from slosh.client.synchronous import Client


class _Values(Publisher):
    """The publisher of a run, which tells by Python's warnings what was not stored. A server that is away is logged."""

    def not_taken(self, error: ClientError) -> None:
        """`Run.log` and `Run.finish` tell it."""

    def lost(self, count: int) -> None:
        """`Run.finish` tells it."""


class Run:
    """Values of a loop, published in the background: the loop never waits for the server.

    Args:
        name: of the run; its topic is `runs/<name>`. One is made of the time if none is given. A name is used
            once: a run that has ended takes no values of another for the server's `linger`, which is told by a warning.
        config: what the run was started with; published as one line of text before the values.
        client: a `Client`, or the server's address; None for the one that SLOSH_URL names.

    Attributes:
        topic: `runs/<name>`.
        publisher: counts what became of the values; see `Publisher`.

    Raises:
        BadUse: no topic can have this name, or the address is not valid.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        config: Mapping[str, object] | None = None,
        client: Client | str | None = None,
    ) -> None:
        self.topic = f"runs/{name or time.strftime('%Y-%m-%dT%H-%M-%S')}"
        check_topic(self.topic)
        self._owned = not isinstance(client, Client)
        self._client = client if isinstance(client, Client) else Client(client)
        self.publisher: Publisher = _Values(self._client)
        self._next = 0
        self._warned = False
        self._told = 0  # of the messages that were dropped, those that a warning has counted
        self._told_unwatched = False
        self._has_config = config is not None
        self._lock = threading.Lock()
        if config is not None:
            shown = ", ".join(f"{key}={value}" for key, value in config.items())
            self.publisher.send(self.topic, {"config": shown})

    def log(self, *, step: int | None = None, **values: object) -> None:
        """Publish the values of one step.

        Args:
            step: its number; the next one if none is given.
            values: by their names; numbers become series, texts lines.

        Raises:
            BadUse: a value has no form in JSON, or there are none.
        """
        if not values:
            raise BadUse("There is nothing to log; give values by their names, as in log(loss=0.5).")
        with self._lock:
            number = self._next if step is None else step
            self._next = number + 1
        self.publisher.send(self.topic, {"step": number, **values})
        self._warn()

    def finish(self) -> None:
        """Send what waits, and end the topic. Its last values stay readable for the server's `linger`.

        A server that is away is no error. It is waited for as long as the publisher waits, 5 s; what was not sent then
        is counted by `publisher.dropped`, and told by a RuntimeWarning. So is what was not stored because nobody
        watched the run then, which `publisher.unwatched` counts.
        """
        before = self.publisher.dropped
        self.publisher.close()
        self._warn()
        if (dropped := self.publisher.dropped) > self._told:
            reason = (
                f": {self.publisher.error}" if self.publisher.error else ", because the server did not answer in time."
            )
            sentence = f"{self._describe(dropped - self._told)} not stored{reason}"
            warnings.warn(sentence, RuntimeWarning, stacklevel=2)
            self._told = dropped
        if (unwatched := self.publisher.unwatched) and not self._told_unwatched:
            self._told_unwatched = True
            what = f"{_count(unwatched, 'message')} of {self.topic} {'was' if unwatched == 1 else 'were'} not stored"
            if not self.publisher.sent:
                what = f"Nothing of {self.topic} was stored"
            hint = 'Open /view/runs/** before a run begins, or give runs/** a class with unwatched = "keep".'
            warnings.warn(f"{what}, because nobody watched it then. {hint}", RuntimeWarning, stacklevel=2)
        if dropped == before:  # else the end may stand in front of what is still on its way
            with contextlib.suppress(ClientError):
                self._client.end(self.topic)
        if self._owned:
            self._client.close()

    def _describe(self, left: int) -> str:
        """This many messages that were dropped, and a verb. Each is a step, but for the config, which is the first."""
        answered = self.publisher.sent + self.publisher.unwatched + self.publisher.refused
        if self._has_config and answered:  # of what was dropped, the config may be one
            return f"{_count(left, 'message')} of {self.topic} {'was' if left == 1 else 'were'}"
        if not self._has_config:
            return f"{_count(left, 'step')} of {self.topic} {'was' if left == 1 else 'were'}"
        steps = f" and {_count(left - 1, 'step')}" if left > 1 else ""
        return f"The config{steps} of {self.topic} {'were' if steps else 'was'}"

    def _warn(self) -> None:
        """Say once that the server refuses the values: the loop goes on, and nobody sees it."""
        if self.publisher.refused and not self._warned:
            self._warned = True
            error = self.publisher.error
            hint = " Give each run a name of its own." if isinstance(error, Refused) and error.reason == "ended" else ""
            sentence = f"The values of {self.topic} are not stored: {error}{hint}"
            warnings.warn(sentence, RuntimeWarning, stacklevel=3)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def run(
    name: str | None = None, *, config: Mapping[str, object] | None = None, client: Client | str | None = None
) -> Run:
    """Begin a training run: `run("train", config=…)`, then `.log(loss=…)` in the loop. See `Run`."""
    return Run(name, config=config, client=client)
