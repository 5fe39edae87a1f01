"""Where a fault happens: a store, some nodes that share it, and nginx before them."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.faults.nodes import Front, Node

RING: Final = 50_000
"""Messages that a topic keeps, so that the ring holds what comes in during any of these faults."""
OPTIONS: Final = (f"--queue={RING}", "--queue-bytes=64MiB", "--drain=3", "--max-keys=100000")


class Place(NamedTuple):
    """What a fault can get at.

    Attributes:
        nodes: the nodes of slosh.
        front: nginx, where all clients go.
    """

    nodes: list[Node]
    front: Front


@contextlib.contextmanager
def place(
    folder: Path,
    engine: str,
    count: int = 2,
    *,
    more: Sequence[Node] = (),
    options: Sequence[str] = (),
) -> Iterator[Place]:
    """`count` nodes that share the engine, and `more`, behind nginx; all of them ready, and ended at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    words = (*engine_words(engine), *options)
    nodes = [*(Node(folder, number, words) for number in range(count)), *more]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            node.launch()
            stack.callback(node.kill)
        for node in nodes:
            node.wait()
        yield Place(nodes, stack.enter_context(Front(folder, nodes)))


def engine_words(engine: str) -> tuple[str, ...]:
    """The options of a node with this engine."""
    return (*OPTIONS, f"--engine={engine}")
