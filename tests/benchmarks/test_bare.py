"""What the event loop alone takes for a connection is measured on connections that are there."""

import asyncio

import uvloop

from benchmarks import bare


def test_a_connection_of_the_loop_alone_takes_some_bytes() -> None:
    """More than the kernel's descriptor in it, and less than a reader of slosh with its buffers ever could."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        each = runner.run(bare.measure(bare.FIRST + 2_000))
    assert 500 < each < 10_000
