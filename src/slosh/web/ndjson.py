"""A stream of envelopes, one a line, for programs that read line by line."""

from slosh.core.subscription import Batch
from slosh.web.envelope import encode_envelope
from slosh.web.stream import Stream, StreamAction


class NdjsonStream(StreamAction):
    """The action of a GET that accepts `application/x-ndjson`."""

    __slots__ = ()

    heartbeat = b"\n"
    content_type = b"Content-Type: application/x-ndjson\r\n"

    def preamble(self, stream: Stream) -> bytes:  # noqa: ARG002 - the same for all
        """Nothing: the place to start from is in the header `Slosh-Next`."""
        return b""

    def encode(self, batch: Batch) -> bytes:
        """One line. A line's end inside a message is white space there, and becomes a space."""
        return encode_envelope(batch).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
