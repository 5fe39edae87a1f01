"""What a client accepts is read with its weights."""

from hypothesis import given
from hypothesis import strategies as st

from slosh.http1.accept import Accept
from slosh.http1.head import Head
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.timing import assert_quick

SSE = "text/event-stream"


def accept(*values: str) -> Accept:
    return Accept(
        Head(b"", "GET", "/", "", 1, [part for each in values for part in (b"accept", each.encode("latin-1"))], [])
    )


@each_of(
    ("values", "weight"),
    [
        ([], 1.0),
        ([""], 1.0),
        ([SSE], 1.0),
        (["Text/Event-Stream"], 1.0),
        ([f"{SSE};q=0"], 0.0),
        ([f"{SSE};q=0.000"], 0.0),
        ([f"{SSE} ; Q=0.5"], 0.5),
        ([f"{SSE};q=.5"], 0.5),
        ([f"{SSE};q=1."], 1.0),
        ([f"{SSE};q=7"], 1.0),
        ([f"{SSE};q=x"], 1.0),
        ([f"{SSE};q="], 1.0),
        ([f"{SSE};q=-1"], 1.0),
        ([f"{SSE};charset=utf-8;q=0.3"], 0.3),
        ([f"{SSE};q=0.3;charset=utf-8"], 0.3),
        ([f'{SSE};x="a,b;q=0.1";q=0.3'], 0.3),
        ([f'{SSE};x="\\",";q=0.3'], 0.3),
        ([f"{SSE};xq=0"], 1.0),
        (["text/*;q=0.4"], 0.4),
        (["*/*;q=0.2"], 0.2),
        ([f"*/*;q=0.2, text/*;q=0.4, {SSE};q=0.6"], 0.6),
        ([f"{SSE};q=0, */*"], 0.0),
        (["text/*;q=0, */*"], 0.0),
        (["application/json"], 0.0),
        (["text"], 1.0),
        (["application/json", f"{SSE};q=0.7"], 0.7),
        ([f"{SSE};q=0.1", f"{SSE};q=0.7"], 0.7),
        ([f',,{SSE};q=0.7,"'], 0.7),
    ],
)
def test_the_most_specific_range_counts(values: list[str], weight: float) -> None:
    assert accept(*values).weight(SSE) == weight


@PROPERTY
@given(st.text(st.sampled_from('ab/*,;q=0.1" \\'), max_size=40))
def test_any_text_is_taken_and_gives_a_weight(text: str) -> None:
    assert 0.0 <= accept(text).weight("a/b") <= 1.0


@each_of("filling", ['"', ",", ";q=", '\\"', "a/b;q=0.5,", '";', ' ;q="'])
def test_a_long_list_takes_milliseconds(filling: str) -> None:
    """CPU time, with room for a slow machine."""
    text = filling * (64_000 // len(filling))
    assert_quick(lambda: accept(text), 0.5)
