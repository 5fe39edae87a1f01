"""What the memory engine keeps, as another process can go on with it: topics with their messages, idempotency keys.

The rules of this file:

* A life goes on: name, epoch, offsets and times of arrival stay, so a cursor of before means the same afterwards.
* Times are seconds before the snapshot was made, because a clock that nobody sets back begins anywhere.
* The other process has its own settings: rings are cut to its bounds, and topics beyond its `max_topics` are left out.
* Watchers are not in it, for they are connections. Each topic lingers from when it was put back, as after a GET.
* Histories are not in it: they begin again with what the ring holds.
"""

from collections.abc import Iterator
from itertools import groupby

import msgspec

from slosh.core.topic import Topic
from slosh.engine.base import Published
from slosh.engine.memory import MemoryEngine
from slosh.errors import SloshError

FORMAT = 2
"""Of what `take` gives. Raise it when a field changes its meaning; what has another number is not put back."""


class TopicState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One life.

    Attributes:
        name, epoch: of it.
        age: seconds since it began.
        last: offset of the newest message.
        ended: whether a publisher has ended it.
        opener: for whom it counts; see `Hub.opener`.
        fallen: seconds since the newest of the messages had arrived that fell off; `inf` where none did, `-inf` if that
            is not known.
        messages: those that are kept, the oldest first.
        arrivals: how many of them arrived together, how many seconds ago, and when in Unix milliseconds.
    """

    name: str
    epoch: str
    age: float
    last: int
    ended: bool
    opener: str
    fallen: float
    messages: list[bytes]
    arrivals: list[tuple[int, float, int]]


class KeyState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An idempotency key: for how many seconds it is kept, its answer, and the client for whom it counts."""

    topic: str
    key: str
    left: float
    epoch: str
    newest: int
    watchers: int
    accepted: int
    client: str


class Snapshot(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A part of what is kept; all parts together are all of it."""

    topics: list[TopicState] = []
    keys: list[KeyState] = []


_KEYS_AT_A_TIME = 1000
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def take(engine: MemoryEngine, now: float) -> Iterator[bytes]:
    """All that `engine` keeps at the time `now`, seconds, in parts of one topic or some keys each.

    Set `engine.is_handed_over` before, and take the parts whenever you like: nothing is added any more.
    """
    for topic in list(engine.hub):
        if engine.hub.holds(topic) and (topic.watchers or now < topic.active_until):
            yield _encoder.encode(Snapshot(topics=[_state_of(topic, now)]))
    keys = [
        KeyState(topic, key, left, answer.epoch, answer.newest, answer.watchers, answer.accepted, client)
        for topic, key, left, answer, client in engine.replays.all_kept(now)
    ]
    for start in range(0, len(keys), _KEYS_AT_A_TIME):
        yield _encoder.encode(Snapshot(keys=keys[start : start + _KEYS_AT_A_TIME]))


def _state_of(topic: Topic, now: float) -> TopicState:
    runs = [list(run) for _, run in groupby(topic.arrivals(), key=id)]
    return TopicState(
        name=topic.name,
        epoch=topic.epoch,
        age=now - topic.born,
        last=topic.last,
        ended=topic.ended,
        opener=topic.share.opener,
        fallen=now - topic.fallen,
        messages=topic.after(topic.first - 1),
        arrivals=[(len(run), now - run[0].now, run[0].wall) for run in runs],
    )


def put_back(engine: MemoryEngine, part: bytes, now: float) -> int:
    """Let `engine` keep what is in `part` at the time `now`, seconds.

    Returns:
        How many topics were left out, because `max_topics` or `max_bytes` has no room for them.

    Raises:
        ValueError: it is no part of a snapshot.
    """
    snapshot = _decoder.decode(part)
    left_out = 0
    for state in snapshot.topics:
        try:
            _begin_again(engine, state, now)
        except SloshError:
            left_out += 1
    for each in snapshot.keys:
        answer = Published(each.epoch, each.newest, each.watchers, each.accepted)
        engine.replays.put_back(each.topic, each.key, now + each.left, answer, each.client)
    return left_out


def _begin_again(engine: MemoryEngine, state: TopicState, now: float) -> None:
    hub = engine.hub
    hub.opener = state.opener
    try:
        topic = hub.give_birth(state.name, state.epoch, now - state.age, now)
    finally:
        hub.opener = ""
    hub.go_on_behind(topic, state.last - len(state.messages), now - state.fallen)
    at = 0
    for count, ago, wall in state.arrivals:
        hub.mirror(topic, state.messages[at : at + count], now - ago, wall)
        at += count
    if state.ended:
        hub.end(topic)
    hub.forget_old(topic, now)
