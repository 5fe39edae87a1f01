"""One WebSocket of an ASGI server: turns its messages into frames for the connection, and frames into messages."""

import asyncio
import base64
import os
from functools import partial
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from slosh.asgi.messages import Answer, Receive, Scope, Send, write_head
from slosh.asgi.transport import Transport, open_transport

_TEXT: Final = 0x81
"""The first byte of a frame with a whole text (RFC 6455 §5.2). This server sends no fragments."""
_TWO_BYTES: Final = 126
"""As a payload's length this means that the length follows in two bytes; 127, in eight (RFC 6455 §5.2)."""


async def serve_websocket(
    connection: asyncio.Protocol, scope: Scope, token: str | None, receive: Receive, send: Send
) -> None:
    """Serve one WebSocket until either side closes it. Arguments and errors are those of `serve_request`."""
    await receive()  # websocket.connect
    transport = open_transport(connection)
    send = partial(transport.give, send)
    offered = ", ".join(scope.get("subprotocols") or ())
    extra = [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
    extra.append((b"sec-websocket-key", base64.b64encode(os.urandom(16))))
    if offered and not any(name == b"sec-websocket-protocol" for name, _ in scope["headers"]):
        extra.append((b"sec-websocket-protocol", offered.encode("latin-1")))
    connection.data_received(write_head(scope, "GET", token, extra, connection=b"Upgrade"))
    talking: asyncio.Task[None] | None = None
    try:
        head, rest = await _take_head(transport)
        answer = Answer("GET")
        answer.feed(head)
        if answer.status != 101:
            await _refuse_websocket(transport, answer, scope, rest, send)
            return
        chosen = dict(answer.fields).get(b"sec-websocket-protocol")
        fields = [(name, value) for name, value in answer.fields if name != b"sec-websocket-protocol"]
        accepted = {"type": "websocket.accept", "subprotocol": chosen.decode() if chosen else None, "headers": fields}
        await send(accepted)
        frames = Protocol(Side.CLIENT, state=OPEN, max_size=None)
        talking = asyncio.ensure_future(_talk(connection, transport, frames, receive))
        await _listen(connection, transport, frames, rest, send)
    finally:
        if talking is not None:
            talking.cancel()
        transport.close()
        connection.connection_lost(None)


async def _take_head(transport: Transport) -> tuple[bytes, bytes]:
    """The head of an answer, and the bytes that arrived after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = await transport.take()
        if not part:
            break
        transport.taken()
        data += part
    head, mark, rest = data.partition(b"\r\n\r\n")
    return head + mark, rest


async def _refuse_websocket(transport: Transport, answer: Answer, scope: Scope, rest: bytes, send: Send) -> None:
    """Refuse the handshake, with the whole answer if the ASGI server can send it. Otherwise it sends a bare 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    while True:
        answer.feed(rest)
        if answer.is_done:
            break
        rest = await transport.take()
        if not rest:
            break
    for message in answer.messages:
        await send({**message, "type": "websocket." + message["type"]})


async def _talk(connection: asyncio.Protocol, transport: Transport, frames: Protocol, receive: Receive) -> None:
    """Pass the client's messages to the connection, as frames, until the client disconnects."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            transport.close()
            return
        text, data = message.get("text"), message.get("bytes")
        if text is not None:
            frames.send_text(text.encode())
        else:
            frames.send_binary(data or b"")
        await transport.until_read()
        connection.data_received(b"".join(frames.data_to_send()))


async def _listen(
    connection: asyncio.Protocol, transport: Transport, frames: Protocol, data: bytes, send: Send
) -> None:
    """Pass the connection's frames to the client, until it closes. Pings are answered here."""
    while True:
        at = 0
        while (found := find_frame(data, at)) is not None:
            begin, end = found
            if data[at] == _TEXT:  # most readers get no others, and the library takes several times as long
                await send({"type": "websocket.send", "text": data[begin:end].decode()})
            elif await _handle_other(connection, frames, data[at:end], send):
                return
            at = end
        transport.taken()
        more = await transport.take()
        if not more:
            return
        data = data[at:] + more


async def _handle_other(connection: asyncio.Protocol, frames: Protocol, data: bytes, send: Send) -> bool:
    """Handle a frame that is not a text: binary, ping or close. True for the last one, a close."""
    frames.receive_data(data)
    if answer := b"".join(frames.data_to_send()):
        connection.data_received(answer)
    for frame in frames.events_received():
        if not isinstance(frame, Frame):
            continue
        if frame.opcode is Opcode.BINARY:
            await send({"type": "websocket.send", "bytes": bytes(frame.data)})
        elif frame.opcode is Opcode.CLOSE:
            code = frames.close_rcvd.code if frames.close_rcvd is not None else 1000
            reason = frames.close_rcvd.reason if frames.close_rcvd is not None else ""
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return True
    return False


def find_frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Begin and end of the payload of the frame that begins at the index `at`; None if it is incomplete.

    A server's frames have no mask (RFC 6455 §5.1).
    """
    begin = at + 2
    if len(data) < begin:
        return None
    size = data[at + 1]
    if size >= _TWO_BYTES:
        begin += 2 if size == _TWO_BYTES else 8
        size = int.from_bytes(data[at + 2 : begin], "big")
    end = begin + size
    return (begin, end) if end <= len(data) else None
