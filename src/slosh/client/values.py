"""How Python values become messages, and messages Python values.

What JSON has no word for becomes what JSON allows:

| value | message |
| --- | --- |
| NaN, Infinity | `null` |
| numpy scalars and arrays, torch tensors, pandas values (whatever has `tolist` or `item`) | the number, the list |
| times of numpy and pandas | text as ISO 8601, to the microsecond; NaT is `null` |
| dataclasses, msgspec and attrs classes, named tuples | an object, an array |
| datetime, date, UUID, Decimal, Enum | text as ISO 8601, text, text, its value |
| set, frozenset | an array |
| bytes | text in base64 |
| Path, an exception | its text |
"""

import datetime as dt
import decimal
import json
import math
from pathlib import PurePath
from typing import Final

import msgspec

from slosh.client.errors import BadUse

_DIGITS: Final = 4300
"""Digits of the longest number that becomes an `int` or a `float`. Python's own bound is the same
(sys.int_info.default_max_str_digits), because the time to convert more grows with the square of their number."""
_WHAT_CAN: Final = (
    "What can: numbers, texts, booleans, None, bytes, datetimes, arrays of numpy, pandas and torch, and lists, sets, "
    "dicts and dataclasses of these."
)
"""The table above in a sentence."""
_exactly: Final = decimal.Context(traps=[decimal.InvalidOperation])
"""The rules by which a text becomes a Decimal, whatever a program's own are."""


def encode(value: object) -> bytes:
    """One message, as the bytes that are posted.

    >>> encode({"t": 21.5, "broken": float("nan"), "seen": {1}})
    b'{"t":21.5,"broken":null,"seen":[1]}'

    Raises:
        BadUse: the value, or something in it, has no form in JSON.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise BadUse(f"This value cannot be a message: {error}. {_WHAT_CAN}") from error


def encode_many(values: list[object]) -> list[bytes]:
    """Several messages, each without a line's end in it."""
    return [encode(value) for value in values]


def decode(message: str | bytes) -> object:
    """What a message says. Objects are dicts; integers keep all their digits.

    A number is a `decimal.Decimal`, with all its digits, if it is too large for a float, or has more than 4,300 of
    them.

    >>> decode('{"n": 12345678901234567890, "large": 1e400}')
    {'n': 12345678901234567890, 'large': Decimal('1E+400')}

    Raises:
        ValueError: it is no JSON, or has a number beyond the bounds of decimals too.
        RecursionError: it is nested too deep for what the caller has left of Python's stack.
    """
    return _decoder.decode(message if isinstance(message, str) else message.decode())


def _whole_number(text: str) -> int | decimal.Decimal:
    if len(text) <= _DIGITS:
        try:
            return int(text)
        except ValueError:  # the program has set a lower bound (sys.set_int_max_str_digits)
            pass
    return decimal.Decimal(text, _exactly)


def _number(text: str) -> float | decimal.Decimal:
    if len(text) <= _DIGITS:
        number = float(text)
        if math.isfinite(number):
            return number
    try:
        return decimal.Decimal(text, _exactly)
    except decimal.InvalidOperation:
        raise ValueError(f"the number {text[:40]} is beyond all bounds") from None


_decoder: Final = json.JSONDecoder(parse_int=_whole_number, parse_float=_number)


def _plain(value: object) -> object:
    """A value that the encoder knows, in place of one that it does not."""
    if isinstance(value, dt.datetime):  # a subclass, as pandas has; the one that is not equal to itself is NaT
        return dt.datetime.combine(value.date(), value.timetz()) if value == value else None  # noqa: PLR0124 - NaT
    if str(getattr(value, "dtype", "")) == "datetime64[ns]":  # numpy makes integers of nanoseconds
        value = value.astype("datetime64[us]")  # type: ignore[attr-defined]  # what has this dtype has that method
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if isinstance(value, (PurePath, BaseException)):
        return str(value)
    kind = type(value)
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no form in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
