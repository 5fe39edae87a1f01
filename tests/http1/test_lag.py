"""How late the event loop is, on a clock that a test moves."""

from slosh.http1.lag import EVERY, LoopLag
from tests.web.wire import VirtualLoop


def test_what_holds_the_loop_up_is_counted_as_its_lag() -> None:
    loop = VirtualLoop()
    held_up = 0.0
    lag = LoopLag(loop)
    lag.clock = lambda: loop.time() + held_up
    lag.start()
    loop.advance(EVERY)
    assert lag.latest < 0.01
    held_up = 0.3  # A turn that took so long comes between.
    loop.advance(EVERY)
    assert 0.29 < lag.latest < 0.31
    told = dict(lag.histogram.buckets())
    assert (told["0.01"], told["0.2"], told["0.5"]) == (1, 1, 2)
    lag.stop()
    loop.advance(10 * EVERY)
    assert dict(lag.histogram.buckets())["+Inf"] == 2
