"""What the memory engine keeps, as another process can go on with it: topics with messages and histories, and keys.

The rules of this file:

* A life goes on: name, epoch, offsets and times of arrival stay, so a cursor of before means the same afterwards.
* Times are seconds before the snapshot was made, because a clock that nobody sets back begins anywhere.
* The other process has its own settings: rings are cut to its bounds, and topics beyond its `max_topics` are left out.
* Watchers are not in it, for they are connections. Each topic lingers from when it was put back, as after a GET.
* The series of a history come behind the topic, this many in a part that it stays small. The settings of the other
  process say how much of them it keeps.
"""

from array import array
from collections.abc import Iterator
from itertools import groupby, islice

import msgspec

from slosh.core.buckets import Columns, Level, Series
from slosh.core.groups import Group
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
        fallen: seconds since the newest of the messages had arrived that fell off; `inf` if none did, `-inf` if that
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


class LevelState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The buckets of one width of a series, as `core/buckets.py` has them: columns of numbers as they lie in memory."""

    width: int
    forgotten: int
    numbers: bytes
    counts: bytes
    lows: bytes
    highs: bytes
    means: bytes


class SeriesState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A series of the history of `topic`; see `Rollups.put_back`. Names and value may have halves of characters."""

    topic: str
    by: str
    names: list[bytes]
    value: bytes | None
    span: float
    levels: list[LevelState]


class HistoryState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The history of `topic`, without its series.

    Attributes:
        unlisted, missed: what is not in it.
        groups: the fields that tell series apart, each with the time since which all is in it, Unix milliseconds.
    """

    topic: str
    unlisted: int
    missed: int
    groups: list[tuple[str, int]]


class KeyState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """An idempotency key: for how many seconds it is kept, its answer, and the client for whom it counts.

    Its answer is the rest, in parts: what is new in it stands behind the client, and need not be there.
    """

    topic: str
    key: str
    left: float
    epoch: str
    newest: int
    watchers: int
    accepted: int
    client: str
    ended: bool = False


class Snapshot(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A part of what is kept; all parts together are all of it."""

    topics: list[TopicState] = []
    keys: list[KeyState] = []
    histories: list[HistoryState] = []
    series: list[SeriesState] = []


_KEYS_AT_A_TIME = 1000
_BYTES_AT_A_TIME = 64 * 1024
"""Bytes of one of the five columns of series."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def take(engine: MemoryEngine, now: float) -> Iterator[bytes]:
    """All that `engine` keeps at the time `now`, seconds, in parts of one topic, some series or some keys each.

    Set `engine.is_handed_over` before, and take the parts whenever you like: nothing is added any more.
    """
    for topic in list(engine.hub):
        if engine.hub.holds(topic) and (topic.watchers or now < topic.active_until):
            yield _encoder.encode(Snapshot(topics=[_state_of(topic, now)]))
            yield from _take_history(engine, topic)
    kept = engine.replays.all_kept(now)
    while portion := list(islice(kept, _KEYS_AT_A_TIME)):
        keys = [
            KeyState(topic, key, left, said.epoch, said.newest, said.watchers, said.accepted, client, said.ended)
            for topic, key, left, said, client in portion
        ]
        yield _encoder.encode(Snapshot(keys=keys))


def _take_history(engine: MemoryEngine, topic: Topic) -> Iterator[bytes]:
    """The history of `topic`, if it has one."""
    rollups = topic.rollups
    if rollups is None:
        return
    engine.hub.histories.finish(topic)
    groups = rollups.groups()
    state = HistoryState(topic.name, rollups.unlisted, rollups.missed, [(each.by, each.since) for each in groups])
    yield _encoder.encode(Snapshot(histories=[state]))
    states: list[SeriesState] = []
    size = 0
    for group in groups:
        for names, series in group.named_series():
            states.append(_state_of_series(topic, group, names, series))
            size += sum(len(level.numbers) for level in states[-1].levels)
            if size >= _BYTES_AT_A_TIME:
                yield _encoder.encode(Snapshot(series=states))
                states, size = [], 0
    if states:
        yield _encoder.encode(Snapshot(series=states))


def _state_of_series(topic: Topic, group: Group, names: list[str], series: Series) -> SeriesState:
    series.close()
    path = [name.encode("utf-8", "surrogatepass") for name in names]
    value = None if series.value is None else series.value.encode("utf-8", "surrogatepass")
    levels = [_state_of_level(level) for level in series.levels]
    return SeriesState(topic.name, group.by, path, value, series.span, levels)


def _state_of_level(level: Level) -> LevelState:
    kept = level.since(0)
    columns = (kept.numbers, kept.counts, kept.lows, kept.highs, kept.means)
    return LevelState(level.width, level.forgotten, *[column.tobytes() for column in columns])


def _state_of(topic: Topic, now: float) -> TopicState:
    runs = [list(run) for _, run in groupby(topic.arrivals(), key=id)]
    return TopicState(
        name=topic.name,
        epoch=topic.epoch,
        age=now - topic.created_at,
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
    for history in snapshot.histories:
        _begin_history_again(engine, history, now)
    for series in snapshot.series:
        _put_series_back(engine, series, now)
    for each in snapshot.keys:
        answer = Published(each.epoch, each.newest, each.watchers, each.accepted, ended=each.ended)
        engine.replays.put_back(each.topic, each.key, now + each.left, answer, each.client)
    return left_out


def _begin_history_again(engine: MemoryEngine, state: HistoryState, now: float) -> None:
    topic = engine.hub.find(state.topic, now)
    if topic is not None:  # else there was no room for it
        rollups = engine.hub.histories.put_back(topic)
        rollups.unlisted, rollups.missed = state.unlisted, state.missed
        for by, since in state.groups:
            rollups.put_back_group(by, since)
        engine.hub.fit_history(topic)


def _put_series_back(engine: MemoryEngine, state: SeriesState, now: float) -> None:
    topic = engine.hub.find(state.topic, now)
    rollups = topic.rollups if topic is not None else None
    if rollups is None:
        return
    names = [name.decode("utf-8", "surrogatepass") for name in state.names]
    value = None if state.value is None else state.value.decode("utf-8", "surrogatepass")
    levels = {level.width: (_columns_of(level), level.forgotten) for level in state.levels}
    rollups.put_back(state.by, names, value, state.span, levels)


def _columns_of(state: LevelState) -> Columns:
    numbers, counts = array("q", state.numbers), array("q", state.counts)
    lows, highs, means = (array("d", each) for each in (state.lows, state.highs, state.means))
    if {len(counts), len(lows), len(highs), len(means)} != {len(numbers)}:
        raise ValueError("the columns of a level differ in length")
    return Columns(numbers, counts, lows, highs, means)


def _begin_again(engine: MemoryEngine, state: TopicState, now: float) -> None:
    hub = engine.hub
    hub.opener = state.opener
    try:
        topic = hub.create(state.name, state.epoch, now - state.age, now, is_filled=bool(state.messages))
    finally:
        hub.opener = ""
    hub.continue_after(topic, state.last - len(state.messages), now - state.fallen)
    at = 0
    for count, ago, wall in state.arrivals:
        hub.mirror(topic, state.messages[at : at + count], now - ago, wall)
        at += count
    if state.ended:
        hub.end(topic)
    hub.forget_old(topic, now)
