"""Random schedules of publishing, polling, cutting, slowing down, overflowing, expiring and restarting.

Every transport runs them against one slow, obvious model, which knows all that was ever published: what a
reader is given comes in order and once; what it is not given is counted in `lost` or `conflated`, or stands
behind a `reset`; and nothing is lost that the ring still holds.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties import STORIES
from tests.web.harness import Site
from tests.web.transports import TRANSPORTS, Event, Reader

QUEUE = 4
LINGER = 5.0
PORTION = 40_000
FILTERS: list[dict[str, str]] = [{}, {"limit": "1"}, {"limit": "3"}, {"key": "k"}, {"key": "k", "limit": "2"}]
TOPICS = {"one": ("a", ["a"]), "several": ("a,b", ["a", "b"]), "pattern": ("*", ["a", "b"])}


class Ledger:
    """What one reader has been told of one topic, against what was published.

    Args:
        world: knows what was published.
        topic: which.
    """

    def __init__(self, world: "World", topic: str) -> None:
        self.world = world
        self.topic = topic
        self.at: tuple[str, int] | None = None  # the life and the offset that the reader has come to
        self.begins_again = False
        self.skipped = 0
        self.counted = 0

    def take(self, kind: str, value: Any) -> None:
        """Check one thing that the reader is told."""
        if kind == "reset":
            self.begins_again = True
        elif kind == "message":
            self._take_message(value)
        else:
            assert value > 0
            assert kind == "lost" or self.world.filter, "conflated, and nobody asked for it"
            self.counted += value

    def _take_message(self, message: dict[str, Any]) -> None:
        topic, life, offset = self.world.where[message["n"]]
        assert topic == self.topic
        if self.begins_again:
            assert self.at is None or self.at[0] != life, "a reset within one life"
            self.at, self.begins_again = (life, 0), False
        elif self.at is None:
            self.at = (life, 0)  # it was created since, and is new to the reader as a whole
        assert self.at[0] == life, "another life, and no reset was told"
        gap = offset - self.at[1] - 1
        assert gap >= 0, "doubled, or out of order"
        if not self.world.filter:
            newest = len(self.world.lives[topic, life])
            assert not gap or offset - 1 <= newest - QUEUE, "lost, and the ring still held it"
        self.skipped += gap
        self.at = (life, offset)

    def move(self, life: str, offset: int) -> None:
        """The reader is told that it has come to this place."""
        if self.begins_again:
            self.at, self.begins_again = (life, offset), False
            assert offset == 0
        elif self.at is None:
            self.at = (life, offset)
        assert self.at == (life, offset)

    def balance(self) -> None:
        """Check that all that was left out is accounted for."""
        assert self.skipped == self.counted

    def come_back(self, place: tuple[str, int] | None) -> None:
        """The reader was cut, and goes on from `place`; what it heard and did not keep is heard again."""
        self.at = place
        self.begins_again = False
        self.skipped = self.counted = 0


class World:
    """A server, one reader, and a publisher.

    Args:
        transport: how the reader reads.
        kind: of the topics that it reads.
        query: what it can do without, and for how long it gathers.
    """

    def __init__(self, transport: type[Reader], kind: str, query: dict[str, str]) -> None:
        self.lives: dict[tuple[str, str], list[int]] = {}
        self.where: dict[int, tuple[str, str, int]] = {}
        self.numbers = itertools.count()
        self.epochs = itertools.count()
        self.filter = {name: value for name, value in query.items() if name != "every"}
        self.sites: list[Site] = []
        self.seen = 0
        self.path, self.topics = TOPICS[kind]
        self.ledgers = {topic: Ledger(self, topic) for topic in self.topics}
        self._start()
        self.reader = transport(self.site, self.path, **query)
        self._begin_now()

    def _start(self) -> None:
        self.site = Site(queue=QUEUE, linger=LINGER, portion=PORTION)
        self.sites.append(self.site)
        self.site.hub._new_epoch = lambda: f"life{next(self.epochs)}"

    def close(self) -> None:
        """End all loops."""
        for site in self.sites:
            site.close()

    # The publisher.

    def publish(self, topic: int, count: int, size: int, batch: bool) -> None:
        """Somebody posts."""
        name = self.topics[topic % len(self.topics)]
        messages = [{"n": next(self.numbers), "k": count % 3, "pad": "x" * size} for _ in range(count)]
        lines = [json.dumps(message).encode() for message in messages]
        for body, group in (
            [(b"\n".join(lines), messages)] if batch else zip(lines, ([m] for m in messages), strict=True)
        ):
            answer = self.site.post(f"/topics/{name}", body, Content_Type="application/x-ndjson")
            if answer.status == 404:
                return  # the publisher knows that it was not taken
            life, _, newest = answer.json["next"].partition(".")
            offsets = self.lives.setdefault((name, life), [])
            for message in group:
                number = message["n"]
                assert isinstance(number, int)
                offsets.append(number)
                self.where[number] = (name, life, len(offsets))
            assert len(offsets) == int(newest)

    # The reader.

    def listen(self) -> None:
        """It reads what has come."""
        self.reader.listen()
        self._check()

    def stall(self) -> None:
        """It takes nothing from now on."""
        self.reader.stall()

    def take_some(self, more: int) -> None:
        """It takes a little more."""
        self.reader.drain(more)
        self._check()

    def drain(self) -> None:
        """It takes all again."""
        self.reader.drain()
        self._check()

    def cut(self, seen: int | None) -> None:
        """It loses its connection in the middle of something."""
        self.reader.cut(seen)
        self._check()
        places = self._places(self.reader.place)
        for topic, ledger in self.ledgers.items():
            ledger.come_back(places.get(topic))

    def connect(self) -> None:
        """The reader comes, or comes back."""
        if self.reader.client is not None:
            return
        self.reader.site = self.site
        self.reader.connect()
        if not self.reader.place:
            self._begin_now()

    # The world.

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.site.advance(seconds)

    def restart(self) -> None:
        """The server forgets everything."""
        if self.reader.client is not None:
            self.cut(None)
        self._start()

    # The model.

    def _begin_now(self) -> None:
        """The reader has no place yet, so it begins with what comes from now on."""
        for topic, ledger in self.ledgers.items():
            living = self.site.hub.find(topic, self.site.loop.time())
            ledger.come_back((living.epoch, living.last) if living else None)

    def _places(self, cursor: str) -> dict[str, tuple[str, int]]:
        places = {}
        for part in cursor.split(","):
            if part not in ("", "*"):
                topic, _, place = part.rpartition("=")
                life, _, offset = place.partition(".")
                places[topic or self.topics[0]] = (life, int(offset))
        return places

    def _check(self) -> None:
        events: list[Event] = self.reader.events[self.seen :]
        self.seen = len(self.reader.events)
        for event in events:
            if event.kind == "place":
                for topic, place in self._places(event.value).items():
                    self.ledgers[topic].move(*place)
            else:
                self.ledgers[event.topic].take(event.kind, event.value)
        if self.reader.is_idle():
            for ledger in self.ledgers.values():
                ledger.balance()
        if self.reader.client is not None and self.reader.ended:
            self.cut(None)

    def finish(self) -> None:
        """The reader comes back, takes all that is there, and has missed nothing that it was not told of."""
        if self.reader.client is None:
            self.connect()
        for _ in range(3):
            if self.reader.client is None:
                self.connect()
            self.drain()
            self.site.advance(0.3)  # what is gathered comes
        if self.reader.client is None:
            self.connect()
        self.drain()
        now = self.site.loop.time()
        for topic, ledger in self.ledgers.items():
            living = self.site.hub.find(topic, now)
            if living is None or not living.last or ledger.at is None:
                continue
            ledger.balance()
            assert ledger.at == (living.epoch, living.last)


Step = Callable[[World], None]


def step(name: str, **values: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """A step of a schedule: a method of the world, with what it is given."""

    def bind(chosen: dict[str, Any]) -> Step:
        def take(world: World) -> None:
            if name == "connect" or name in ("publish", "wait", "restart") or world.reader.client is not None:
                getattr(world, name)(**chosen)

        take.__name__ = take.__qualname__ = f"{name}({chosen})"
        return take

    return st.fixed_dictionaries(values).map(bind)


PUBLISH = step(
    "publish",
    topic=st.integers(0, 1),
    count=st.sampled_from([1, 1, 2, 3, 6]),
    size=st.sampled_from([0, 0, 30_000]),
    batch=st.booleans(),
)
STEPS = [PUBLISH] * 6 + [step("listen")] * 4 + [step("connect")] * 4 + [step("drain")] * 2
STEPS += [
    step("take_some", more=st.integers(1, 50_000)),
    step("stall"),
    step("wait", seconds=st.sampled_from([0.1, 0.3])),
]
STEPS += [step("cut", seen=st.one_of(st.none(), st.integers(0, 400), st.integers(0, 100_000)))]
RARE = [step("wait", seconds=st.sampled_from([LINGER + 1, 16.0, 61.0, 125.0, 700.0])), step("restart")]
SCHEDULES = st.lists(st.sampled_from([*STEPS * 3, *RARE]).flatmap(lambda chosen: chosen), min_size=30, max_size=60)
QUERIES = st.builds(
    lambda wanted, every: wanted | every, st.sampled_from(FILTERS), st.sampled_from([{}, {}, {"every": "200ms"}])
)


@pytest.mark.parametrize("kind", TOPICS)
@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda each: each.transport)
@settings(deadline=None, max_examples=STORIES)
@given(query=QUERIES, schedule=SCHEDULES)
def test_nothing_goes_missing_in_silence(
    transport: type[Reader], kind: str, query: dict[str, str], schedule: list[Step]
) -> None:
    world = World(transport, kind, query)
    try:
        for take in schedule:
            take(world)
        world.finish()
    finally:
        world.close()
