"""The answer that a reader gets, as JSON. The messages are spliced in as the bytes that were posted."""

from typing import Final

from slosh.core.reading import Reading
from slosh.core.subscription import Batch
from slosh.web.jsontext import write_json

_INCOMPLETE: Final = b',"incomplete":true'


def encode_envelope(batch: Batch, *, timed_out: bool = False, cursor: bytes = b"") -> bytes:
    """One envelope, without a line's end.

    Args:
        timed_out: whether it is given because `wait` ran out.
        cursor: that of the batch, if the caller has it already.
    """
    if not batch.several:
        reading = batch.parts[0][1]
        is_usual = not (reading.reset or reading.truncated or reading.ended or timed_out) and reading.times is None
        if reading.saw == 1 == len(reading.messages) and is_usual:
            # The most common of all: the one message that came.
            return b'{"max":%d,"saw":1,"delivering":1,"res":[%b],"next":"%b"}' % (
                reading.newest,
                reading.messages[0],
                cursor or batch.cursor.encode("ascii"),
            )
        return _encode_reading(reading, b',"timeout":true' if timed_out else b"")
    timeout = b',"timeout":true' if timed_out else b""
    topics = b",".join(b"%b:%b" % (write_json(name), _encode_reading(reading)) for name, reading in batch.parts)
    ended = b',"ended":true' if batch.ended else b""
    incomplete = _INCOMPLETE if batch.incomplete else b""
    return b'{"topics":{%b},"next":%b%b%b%b}' % (topics, write_json(batch.cursor), timeout, ended, incomplete)


def encode_place(cursor: str, *, incomplete: bool = False) -> bytes:
    """An envelope that says nothing but where a reader of several topics stands.

    Args:
        incomplete: whether it says, too, that topics are left out which its patterns match.
    """
    return b'{"topics":{},"next":%b%b}' % (write_json(cursor), _INCOMPLETE if incomplete else b"")


def _encode_reading(reading: Reading, timeout: bytes = b"") -> bytes:
    return b'{"max":%d,"saw":%d,"delivering":%d,"res":[%b]%b,"next":"%b"%b%b%b%b%b%b}' % (
        reading.newest,
        reading.saw,
        len(reading.messages),
        b",".join(reading.messages),
        b"" if reading.times is None else b',"times":[%b]' % b",".join([b"%d" % time for time in reading.times]),
        str(reading.cursor).encode("ascii"),
        b',"lost":%d' % reading.lost if reading.lost else b"",
        b',"conflated":%d' % reading.conflated if reading.conflated else b"",
        b',"truncated":true' if reading.truncated else b"",
        b',"reset":true' if reading.reset else b"",
        timeout,
        b',"ended":true' if reading.ended else b"",
    )
