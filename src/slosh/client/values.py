"""How Python values become messages, and messages Python values.

What JSON has no word for becomes what JSON allows:

| value | message |
| --- | --- |
| NaN, Infinity | `null` |
| numpy scalars and arrays, torch tensors, pandas values (whatever has `tolist` or `item`) | the number, the list |
| dataclasses, msgspec and attrs classes, named tuples | an object, an array |
| datetime, date, UUID, Decimal, Enum | text as ISO 8601, text, text, its value |
| set, frozenset | an array |
| bytes | text in base64 |
| Path, an exception | its text |
"""

import json
from pathlib import PurePath

import msgspec

from slosh.client.errors import BadUse


def encode(value: object) -> bytes:
    """One message, as the bytes that are posted.

    Raises:
        BadUse: the value, or something in it, has no form in JSON.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise BadUse(f"This value cannot be a message: {error}. See slosh.client.values for what can.") from error


def encode_many(values: list[object]) -> list[bytes]:
    """Several messages, each without a line's end in it."""
    return [encode(value) for value in values]


def decode(message: str | bytes) -> object:
    """What a message says. Objects are dicts; integers keep all their digits."""
    return json.loads(message)


def _plain(value: object) -> object:
    """A value that the encoder knows, in place of one that it does not."""
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if isinstance(value, (PurePath, BaseException)):
        return str(value)
    kind = type(value)
    raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no form in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
