"""The answer that a reader gets, as JSON. The messages are spliced in as the bytes that were posted."""

from slosh.core.reading import Reading


def cursor_of(reading: Reading) -> bytes:
    """The reader's next cursor."""
    return b"%b.%d" % (reading.epoch.encode("ascii"), reading.newest)


def encode_envelope(reading: Reading, *, timed_out: bool = False) -> bytes:
    """One envelope, without a line's end.

    Args:
        timed_out: whether it is given because `wait` ran out.
    """
    return b'{"max":%d,"saw":%d,"delivering":%d,"res":[%b],"next":"%b"%b%b%b}' % (
        reading.newest,
        reading.saw,
        len(reading.messages),
        b",".join(reading.messages),
        cursor_of(reading),
        b',"lost":%d' % reading.lost if reading.lost else b"",
        b',"reset":true' if reading.reset else b"",
        b',"timeout":true' if timed_out else b"",
    )
