"""What Python values become as messages."""

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from pathlib import PurePosixPath
from typing import Any

import pytest

from slosh.client.errors import BadUse
from slosh.client.values import decode, encode


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


@pytest.mark.parametrize(
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
