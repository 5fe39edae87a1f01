"""What all readers of a server share."""

from slosh.core.reading import Place, read
from slosh.core.subscription import Batch
from slosh.core.topic import Topic
from slosh.web.readers.state import ReaderState


def test_what_readers_were_told_is_counted() -> None:
    state = ReaderState()
    topic = Topic("a", "k", 0.0)
    topic.append([b"1"] * 5, 0.0, 3, 100)
    reading = read(topic, Place(0))
    state.count_batch(Batch("k.5", {}, (("a", reading),), several=False))
    state.count_batch(Batch("a=k.5,b=k.5", {}, (("a", reading), ("b", reading)), several=True))
    assert (state.answers, state.delivered, state.lost) == (2, 9, 6)
