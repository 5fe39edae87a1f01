"""What Python values become as messages."""

import dataclasses
import datetime as dt
import decimal
import enum
import sys
import uuid
from pathlib import PurePosixPath
from typing import Any

import pytest

from slosh.client.errors import BadUse
from slosh.client.values import decode, encode
from tests.cases import each_of
from tests.conftest import need


class Colour(enum.Enum):
    """A value with a name."""

    RED = "red"


@dataclasses.dataclass
class Reading:
    """What a sensor gives."""

    t: float
    host: str


class Scalar:
    """What numpy's scalars and torch's tensors have."""

    def __init__(self, value: object) -> None:
        self.value = value

    def tolist(self) -> object:
        return self.value


@each_of(
    ("value", "message"),
    [
        ({"t": 21.5}, b'{"t":21.5}'),
        (float("nan"), b"null"),
        ([float("inf"), -float("inf")], b"[null,null]"),
        (2**70, b"1180591620717411303424"),
        ("Zürich", '"Zürich"'.encode()),
        (Reading(1.0, "a"), b'{"t":1.0,"host":"a"}'),
        (dt.datetime(2026, 11, 28, tzinfo=dt.UTC), b'"2026-11-28T00:00:00Z"'),
        (decimal.Decimal("1.10"), b'"1.10"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Colour.RED, b'"red"'),
        ({1}, b"[1]"),
        (PurePosixPath("/a"), b'"/a"'),
        (ValueError("no"), b'"no"'),
        ({"loss": Scalar(0.5), "w": Scalar([1, 2])}, b'{"loss":0.5,"w":[1,2]}'),
        (Scalar(float("nan")), b"null"),
    ],
)
def test_a_value_has_a_form_in_json(value: Any, message: bytes) -> None:
    assert encode(value) == message


def test_numpy_and_pandas_values_are_numbers_lists_and_texts() -> None:
    """The real libraries: NaN of theirs is null, and no digit of a large integer is lost."""
    numpy = pytest.importorskip(need("module:numpy"))
    pandas = pytest.importorskip(need("module:pandas"))
    value = {
        "float32": numpy.float32(0.5),
        "float64": numpy.float64("nan"),
        "int64": numpy.int64(2**62 + 1),
        "bool": numpy.bool_(True),
        "text": numpy.str_("a"),
        "array": numpy.array([[1.5, numpy.inf], [numpy.nan, 2]]),
        "empty": numpy.array([]),
        "zero": numpy.array(7),
        "time": numpy.datetime64("2026-11-28T00:00:00", "s"),
        "nanoseconds": numpy.array(["2026-11-28T00:00:00.5", "NaT"], dtype="datetime64[ns]"),
        "series": pandas.Series([1, None]),
        "stamps": pandas.Series([pandas.Timestamp("2026-11-28", tz="UTC"), pandas.NaT]),
        "none": pandas.NaT,
    }
    assert encode(value) == (
        b'{"float32":0.5,"float64":null,"int64":4611686018427387905,"bool":true,"text":"a",'
        b'"array":[[1.5,null],[null,2.0]],"empty":[],"zero":7,"time":"2026-11-28T00:00:00",'
        b'"nanoseconds":["2026-11-28T00:00:00.500000",null],'
        b'"series":[1.0,null],"stamps":["2026-11-28T00:00:00Z",null],"none":null}'
    )


@pytest.mark.parametrize("value", [object(), lambda: 1, {"a": object()}, {(1, 2): 3}])
def test_what_has_none_is_told(value: Any) -> None:
    with pytest.raises(BadUse, match="cannot be a message"):
        encode(value)


def test_a_value_that_holds_itself_is_told() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(BadUse):
        encode(value)


def test_integers_keep_their_digits() -> None:
    assert decode("12345678901234567890") == 12345678901234567890


@each_of("text", ["9" * 4301, "-" + "1" * 5000, "1e400", "-1E+400", "0." + "1" * 5000, "9" * 310 + ".5"])
def test_a_number_that_no_int_and_no_float_holds_is_exact(text: str) -> None:
    value = decode(f'{{"n":{text}}}')
    assert isinstance(value, dict)
    assert isinstance(value["n"], decimal.Decimal)
    assert value["n"] == decimal.Decimal(text)
    assert str(value["n"]).count("1") + str(value["n"]).count("9") == text.count("1") + text.count("9")


def test_the_time_for_a_number_grows_with_its_length_alone() -> None:
    """As an int so many digits would take minutes."""
    digits = "7" * 8_000_000
    assert decode(digits) == decimal.Decimal(digits)


def test_a_program_s_own_rules_for_numbers_change_nothing() -> None:
    before = sys.get_int_max_str_digits()
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.InvalidOperation] = False
        sys.set_int_max_str_digits(640)
        try:
            assert decode("9" * 700) == decimal.Decimal("9" * 700)
            with pytest.raises(ValueError, match="beyond all bounds"):
                decode("1e9999999999999999999")
        finally:
            sys.set_int_max_str_digits(before)


def test_what_no_message_can_be_made_of_is_told_with_what_can() -> None:
    """It sent readers to the source of a module. The sentence is that of the table in docs/python.md."""
    for value in (object(), {"a": [object()]}, lambda: 1):
        with pytest.raises(BadUse, match=r"What can: numbers, texts, .*lists, sets, dicts and dataclasses of these\.$"):
            encode(value)
