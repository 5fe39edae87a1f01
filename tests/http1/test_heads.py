"""Heads are remembered by what they ask for, and no more of them than there is room for."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.http1.fields import scan
from slosh.http1.handler import Action
from slosh.http1.head import Head, parse_head
from slosh.http1.heads import GENERATION, HEAVIEST, CachedHead, HeadMemory, InternTable, find_meaning
from tests.properties import PROPERTY
from tests.web.harness import Site, request


def known(block: bytes) -> CachedHead:
    return CachedHead(b"", block, block, [], Head(block, "GET", "/", "", 1, [], []), Action())


A_GENERATION = GENERATION // known(b"GET /10000").weight
"""Heads that fit in one."""


def test_what_is_remembered_is_recalled_by_just_its_bytes() -> None:
    memory = HeadMemory()
    one = known(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    memory.remember(one)
    assert memory.recall(one.after) is one
    for other in (one.after[:-1], one.after + b"\n", one.after.lower(), one.after.replace(b": ", b":"), b""):
        assert memory.recall(other) is None


def test_there_are_never_more_than_two_generations() -> None:
    memory = HeadMemory()
    blocks = [b"GET /%d" % number for number in range(10_000, 10_000 + 5 * A_GENERATION)]
    for block in blocks:
        memory.remember(known(block))
    recalled = [block for block in blocks if memory.recall(block) is not None]
    assert recalled[-1] == blocks[-1]
    assert A_GENERATION <= len(recalled) <= 2 * A_GENERATION


def test_what_is_used_stays_whatever_else_comes() -> None:
    """A flood of heads that come once does not drive out those that come again and again."""
    memory = HeadMemory()
    mine = known(b"GET /mine")
    memory.remember(mine)
    for number in range(5 * A_GENERATION):
        memory.remember(known(b"GET /%d" % number))
        if number % (A_GENERATION // 2) == 0:
            assert memory.recall(mine.after) is mine


def test_a_heavy_head_is_not_remembered() -> None:
    memory = HeadMemory()
    longest = 1
    while known(b"x" * (longest + 1)).weight <= HEAVIEST:
        longest += 1
    for length in (longest, longest + 1):
        memory.remember(known(b"x" * length))
    assert memory.recall(b"x" * longest) is not None
    assert memory.recall(b"x" * (longest + 1)) is None
    assert 2000 < longest < HEAVIEST


def test_remembering_one_again_and_again_weighs_once() -> None:
    memory = HeadMemory()
    for _ in range(3):
        memory.remember(known(b"GET /"))
    assert memory.weight == known(b"GET /").weight


HEADS: dict[str, Callable[[int], bytes]] = {
    "a poll": lambda n: request("GET", f"/topics/a?since=x.{n}"),
    "a publish": lambda n: request("POST", "/topics/a", b"1", X=f"{n}")[:-1],
    "a browser's poll": lambda n: request(
        "GET",
        f"/topics/a?{n}",
        User_Agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
        Accept="text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        Accept_Encoding="gzip, deflate, br, zstd",
        Accept_Language="en-US,en;q=0.9",
        Cookie="slosh_0123456789ab=epoch000.12; theme=dark",
        Sec_Fetch_Site="same-origin",
        Sec_Fetch_Mode="cors",
        Cache_Control="no-cache",
    ),
    "very many parameters": lambda n: request("GET", f"/topics/a?n{n}&" + "&".join(f"a{i}" for i in range(50))),
    "very many topics": lambda n: request("GET", f"/topics/n{n}," + ",".join(f"t{i}" for i in range(63))),
    "very many patterns": lambda n: request("GET", f"/topics/n{n}/*," + ",".join(f"t{i}/*" for i in range(50))),
    "a long vector": lambda n: request("GET", f"/topics/**?since=n{n}=a.1," + ",".join(f"t{i}=a.1" for i in range(60))),
    "very many fields": lambda n: request("GET", "/topics/a", N=f"{n}", **{f"X{i}": "" for i in range(60)}),
    "a long cookie": lambda n: request("GET", "/topics/a", Cookie=f"a={n};" + "x" * 2500),
    "a long name": lambda n: request("GET", f"/topics/{n}" + "%41" * 200),
    "a stream": lambda n: request("GET", f"/topics/a?{n}", Accept="text/event-stream"),
    "a websocket": lambda n: request("GET", f"/topics/a?{n}", Upgrade="websocket", Connection="upgrade"),
    "a watcher of topics": lambda n: request("GET", f"/topics?watch&prefix=a{n}"),
    "a file": lambda n: request("GET", f"/a{n}.html", If_None_Match='"x"'),
    "a refusal": lambda n: request("GET", f"/topics/a?since=nonsense{n}"),
}


def test_a_head_that_asks_for_the_same_as_another_weighs_as_if_it_were_the_first(site: Site) -> None:
    """A longer one weighs more: a bound in bytes would be none for clients whose unread fields grow."""
    block = request("GET", "/files/a?b=1&c=2")
    longer = block.replace(b"\r\n\r\n", b"\r\nX-Long: %b\r\n\r\n" % (b"x" * 1000))
    first, fresh = (
        CachedHead(b"", each, b"", [], parse_head(each, site.settings.max_fields), Action()) for each in (block, longer)
    )
    assert first.like(longer, 0, longer, [], b"").weight == fresh.weight > first.weight


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_weighs_as_much_as_it_takes_or_more(site: Site, kind: str) -> None:
    """So that a bound in bytes is one, whatever clients think of."""

    def make(number: int) -> CachedHead:
        block = HEADS[kind](number)
        head = parse_head(block, site.settings.max_fields)
        start, end = site.heads.application.split(block)
        read: list[bytes] = []
        line_end = scan(block, site.settings.max_fields, read, [])
        assert line_end
        meaning = find_meaning(block, line_end, start, end, read)
        return CachedHead(block[:start], block[end:], meaning, read, head, site.heads.application.route(head))

    for number in range(20):
        make(number)
    count = 200
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [make(number) for number in range(1000, 1000 + count)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    taken = (after - before) / count
    weight = kept[0].weight
    assert taken <= weight, f"{taken:.0f} bytes, and it weighs {weight}"
    assert taken >= weight / 6, f"{taken:.0f} bytes, and it weighs {weight}"


def test_what_is_remembered_of_heads_is_bounded_whatever_they_are(site: Site) -> None:
    """Heads with hundreds of parameters took forty times their bytes."""
    client = site.connect()
    for number in range(1300):
        query = "&".join(f"{number}{i}" for i in range(40 + number % 20))
        client.send(request("HEAD", f"/topics/a?{query}"))
    kept = {
        id(each): each.weight for part in (site.heads.memory._young, site.heads.memory._old) for each in part.values()
    }
    assert GENERATION < sum(kept.values()) <= 2 * GENERATION


def test_an_idle_connection_keeps_no_heavy_head(site: Site) -> None:
    client = site.connect()
    client.get("/topics/a?wait=0&" + "&".join(f"a{i}" for i in range(450)), X="x" * 9000).next()
    site.get("/topics/a?wait=0")  # and no other does
    connection = client.connection
    assert (connection._known, connection._head, connection._action) == (None, None, None)
    client.get("/topics/a?wait=0&a=light").next()
    assert connection._known is not None
    assert connection._action is None


@PROPERTY
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=100))
def test_a_head_is_recalled_as_itself_or_not_at_all(steps: Any) -> None:
    memory = HeadMemory()
    latest: dict[bytes, CachedHead] = {}
    for remembers, number in steps:
        block = b"GET /%d" % number
        if remembers:
            latest[block] = known(block)
            memory.remember(latest[block])
        assert memory.recall(block) is latest.get(block)


def spell(number: int) -> str:
    """A text that is an object of its own, each time."""
    return f"key {number}"


def test_equal_texts_are_one_object_and_the_oldest_are_forgotten() -> None:
    texts = InternTable(10)
    first = texts.find(spell(0))
    assert texts.find(spell(0)) is first
    for number in range(1, 100):
        assert texts.find(spell(number)) != first
        assert len(texts) <= 10
    assert texts.find(spell(99)) is texts.find(spell(99))
    assert texts.find(spell(0)) is not first


def test_a_long_text_takes_no_more_memory_than_a_short_one() -> None:
    """Clients say what is in them: 10,000 of 16 kB took 650 MB."""
    texts = InternTable(1000)
    for length in (1, 100_000, 1_000_000):
        assert len(texts.find("x" * length)) == 40
    assert texts.find("\ud800" * 10) != texts.find("\ud800" * 11)
