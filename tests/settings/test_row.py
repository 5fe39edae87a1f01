"""One setting: what is shown can be read back, so that help, documents and errors can be typed in again."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from slosh.settings.row import Setting, describe_default, show
from slosh.settings.sources import GivenValue, read
from slosh.settings.table import BY_NAME, TABLE
from tests.cases import each_of

ROWS = [row for row in TABLE if row.unit]


@given(some.sampled_from(ROWS), some.data())
def test_what_is_shown_reads_back_as_the_same_value(row: Setting, data: some.DataObject) -> None:
    """Times to the tenth of a millisecond; below that nobody sets a timeout."""
    if row.unit == "seconds":
        value: float = data.draw(some.integers(int(row.lowest * 10_000), int(row.highest * 10_000))) / 10_000
    else:
        value = data.draw(some.integers(int(row.lowest), int(row.highest)))
    assert read(GivenValue(row, show(row, value), row.name)) == pytest.approx(value, rel=1e-12)


@each_of(
    ("name", "value", "shown"),
    [
        ("linger", 30.0, "30s"),
        ("linger", 0.5, "500ms"),
        ("linger", 86400.0, "1d"),
        ("linger", 0.0, "0s"),
        ("max_body", 8 * 1024 * 1024, "8MiB"),
        ("max_body", 1000, "1000"),
        ("queue_bytes", 1024**3, "1GiB"),
        ("queue", 100, "100"),
        ("host", "::1", "::1"),
    ],
)
def test_values_are_shown_as_a_person_writes_them(name: str, value: float | str, shown: str) -> None:
    assert show(BY_NAME[name], value) == shown


@each_of(
    ("name", "told"),
    [
        ("linger", "default 30s; 0: forgets a topic as soon as nobody watches"),
        ("max_wait", "default 0: no bound"),
        ("uds", "default none"),
        ("fd", "default none"),
        ("root", "default the example on a loopback address, else none"),
        ("queue", "default 100"),
    ],
)
def test_a_default_is_told_with_what_zero_means(name: str, told: str) -> None:
    assert describe_default(BY_NAME[name]) == told
