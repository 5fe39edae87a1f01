"""Where the body of a request ends: by its length, or by its chunks (RFC 9112 §6.3).

The chunked coding (RFC 9112 §7.1) is read strictly: no extensions, no bare line ends. Extensions mean
nothing to anybody, and servers that skip them differently have been made to disagree about where a
request ends.
"""

import re
from typing import Final, Protocol

from slosh.errors import BadHttp, HeadTooLarge, TooLarge

_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")
_MAX_SIZE_LINE: Final = 10
"""Bytes of the line before a chunk: eight digits and CR LF."""
_PORTION: Final = 256
"""Chunks, or trailers, that are read at a time: a body of very many tiny ones does not make the others wait."""
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")


def fits(length: int, limit: int) -> bool:
    """Whether a body of `length` bytes is within the bound of its action: the one comparison with `max_body`."""
    return length <= limit


def check_size(length: int, limit: int, bound: str, *, is_declared: bool = False) -> None:
    """Refuse a body, or a part of one, of `length` bytes if `limit` are allowed, by the setting `bound`.

    Args:
        is_declared: whether `length` is that of the whole body, as its head says, so that the error may tell it.

    Raises:
        TooLarge: it is larger.
    """
    if not fits(length, limit):
        if not limit:
            raise TooLarge("A body means nothing in this request, and is not read; leave it out.", limit)
        size = f", and this one has {length}" if is_declared else ""
        raise TooLarge(f"The body of this request may have {limit} bytes ({bound}){size}.", limit)


class BodyReader(Protocol):
    """Gathers the body of one request.

    Attributes:
        body: what has come of it.
        rest: what `feed` has not looked at: what came behind the body, once that is whole; else bytes to pass again,
            in another turn and before anything that comes later.
    """

    body: bytearray
    rest: bytes

    def feed(self, data: bytes) -> bool:
        """Take in what arrived. True once the body is whole; do not feed it again then."""


class SizedBody:
    """A body whose length was declared.

    Args:
        length: bytes, at least one.
    """

    __slots__ = ("_length", "body", "rest")

    def __init__(self, length: int) -> None:
        self._length = length
        self.body = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Take in what arrived. True once the body is whole; do not feed it again then."""
        missing = self._length - len(self.body)
        self.body += data[:missing]
        self.rest = data[missing:]
        return len(data) >= missing


class ChunkedBody:
    """A body in chunks.

    A decoder that is fed what arrives and gathers the body.

    Args:
        max_trailers: bytes that all the trailer fields may have together; they are read and dropped.
    """

    __slots__ = ("_left", "_max_trailers", "_pending", "_trailers", "body", "rest")

    def __init__(self, max_trailers: int) -> None:
        self._max_trailers = max_trailers
        self._pending = b""
        self._left = 0  # bytes of the current chunk that are still to come, with its CR LF
        self._trailers = -1  # bytes of trailers so far, once the last chunk was seen
        self.body = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> bool:
        """Take in what arrived, as far as it is one portion. True once the body is whole; do not feed it again then.

        Raises:
            BadHttp: this is not the chunked coding.
            HeadTooLarge: the trailers pass their bound.
        """
        data = self._pending + data
        at, end, lines = 0, len(data), 0
        self._pending = self.rest = b""
        while at < end:
            if self._left > 2:
                piece = data[at : at + self._left - 2]
                self.body += piece
                self._left -= len(piece)
                at += len(piece)
            elif self._left:
                if data[at : at + self._left] != b"\r\n"[2 - self._left :][: end - at]:
                    raise BadHttp("A chunk ends with CR LF (RFC 9112 §7.1).")
                taken = min(self._left, end - at)
                self._left -= taken
                at += taken
            else:
                if lines == _PORTION:
                    self.rest = data[at:]
                    return False
                lines += 1
                stop = data.find(b"\n", at)
                if stop < 0:
                    self._check_unfinished(data, at)
                    break
                line = data[at : stop + 1]
                at = stop + 1
                if self._trailers < 0:
                    self._begin_chunk(line)
                elif line == b"\r\n":
                    self.rest = data[at:]
                    return True
                else:
                    self._take_trailer(line)
        self._pending = data[at:]
        return False

    def _begin_chunk(self, line: bytes) -> None:
        if not line.endswith(b"\r\n") or not _SIZE.fullmatch(line, 0, len(line) - 2):
            raise BadHttp("A chunk begins with its size in hexadecimal digits and CR LF; extensions are not taken.")
        size = int(line[:-2], 16)
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _take_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > self._max_trailers:
            raise HeadTooLarge(f"Trailers have at most {self._max_trailers} bytes (max_head).")
        if not line.endswith(b"\r\n") or not _TRAILER.fullmatch(line, 0, len(line) - 2):
            raise BadHttp("A trailer is a header field that ends with CR LF (RFC 9112 §7.1.2).")

    def _check_unfinished(self, data: bytes, at: int) -> None:
        waiting = len(data) - at
        if self._trailers >= 0:
            # A lone CR is most likely the beginning of the empty line, which does not count.
            if self._trailers + waiting > self._max_trailers and data[at:] != b"\r":
                raise HeadTooLarge(f"Trailers have at most {self._max_trailers} bytes (max_head).")
        elif waiting > _MAX_SIZE_LINE or not _SIZE.fullmatch(data[at:].removesuffix(b"\r")):
            raise BadHttp("A chunk begins with its size in hexadecimal digits and CR LF; extensions are not taken.")
