"""A stream of envelopes, one a line, for programs that read line by line."""

from typing import ClassVar

from slosh.core.subscription import Batch, Subscription
from slosh.web.readers.envelope import encode_envelope, encode_place
from slosh.web.readers.formats import Format
from slosh.web.readers.shared import fits_field
from slosh.web.readers.stream import FRAME, Stream, StreamAction


class NdjsonStream(StreamAction):
    """The action of a GET that accepts `application/x-ndjson`."""

    __slots__ = ()

    format: ClassVar[Format] = Format("ndjson", "application/x-ndjson")
    heartbeat: ClassVar[bytes] = b"\n"
    portion: ClassVar[int] = FRAME
    content_type: ClassVar[bytes] = b"Content-Type: application/x-ndjson\r\n"

    def preamble(self, stream: Stream) -> bytes:
        """Nothing, for the place to start from is in the header `Slosh-Next`; unless it is too long for that."""
        subscription = stream.subscription
        if subscription.is_unsettled() or fits_field(cursor := subscription.cursor()):
            return b""
        return encode_place(cursor) + b"\n"

    def encode(self, batch: Batch) -> bytes:
        """One line. A line's end inside a message is white space there, and becomes a space."""
        return encode_envelope(batch).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"

    def encode_incomplete(self, subscription: Subscription) -> bytes:
        """As the base says, as a line."""
        data = super().encode_incomplete(subscription)
        return data + b"\n" if data else b""
