"""One grammar of time spans, wherever one is written."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import slosh
from slosh.durations import _DURATION, _UNITS, LONGEST, parse_duration, write_duration
from tests.cases import each_of
from tests.properties import PROPERTY


@each_of(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("25", 25.0),
        ("0.5", 0.5),
        ("250ms", 0.25),
        ("1.5ms", 0.0015),
        ("90s", 90.0),
        ("90 s", 90.0),
        ("10m", 600.0),
        ("1.1m", 66.0),
        ("2h", 7200.0),
        ("1.1h", 3960.0),
        ("1d", 86_400.0),
        ("999999999999999", 999_999_999_999_999.0),
        ("0.000000000000001s", 1e-15),
    ],
)
def test_a_duration_is_a_number_with_or_without_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@each_of(
    "text",
    [
        *(
            "",
            " ",
            "s",
            "ms",
            "-1",
            "+1",
            "-1s",
            "1e3",
            ".5",
            "5.",
            "1,5",
            "1_000",
            "0x10",
            "1 000",
            "1  s",
            " 1",
            "1 ",
        ),
        *(
            "1S",
            "1M",
            "1sec",
            "1min",
            "1w",
            "1y",
            "10s5",
            "1m30s",
            "nan",
            "inf",
            "\u00b2",
            "\uff11",
            "\u0661",
            "1\u017f",
            "9" * 16,
            "1\n",
        ),
    ],
)
def test_everything_else_is_none(text: str) -> None:
    assert parse_duration(text) is None


@PROPERTY
@given(st.text(max_size=8))
def test_any_text_is_taken_without_complaint(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


@given(st.floats(0, LONGEST))
def test_what_is_written_is_read_as_the_same_to_the_microsecond(seconds: float) -> None:
    """Also where Python would write it with an exponent, as 20 days and a tenth of a millisecond."""
    read = parse_duration(write_duration(seconds))
    assert read is not None
    assert abs(read - seconds) <= 0.5e-6 + seconds * 1e-15


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (25, "25"), (0.25, "0.25"), (1728000.0, "1728000"), (1e9, f"1{9 * '0'}")]
)
def test_how_a_duration_is_written(seconds: float, text: str) -> None:
    assert write_duration(seconds) == text


def test_the_viewer_reads_the_same_grammar() -> None:
    """A page's address has durations too, which the page itself reads."""
    script = (Path(slosh.__file__).parent / "web" / "view" / "numbers.js").read_text(encoding="utf-8")
    assert f"/^{_DURATION.pattern}$/" in script
    units = re.search(r"const SECONDS = \{(.*)\};", script)
    assert units is not None
    told = {name: float(seconds.replace("_", "")) for name, seconds in re.findall(r"(\w+): ([\d._]+)", units[1])}
    assert told == {name: ms / 1000 for name, ms in _UNITS.items()}
