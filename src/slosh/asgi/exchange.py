"""One HTTP request of an ASGI server, and its answer.

A request that is answered at once needs no task. Others have one that waits for the client to disconnect, which costs
as much as everything else here does for a short request.
"""

import asyncio

from slosh.asgi.messages import Answer, Message, Receive, Scope, Send, write_head
from slosh.asgi.transport import Transport, open_transport


async def serve_request(
    connection: asyncio.Protocol, scope: Scope, token: str | None, receive: Receive, send: Send
) -> None:
    """Serve one request until its answer has ended or its client has disconnected.

    Args:
        connection: a new one, of `Server.connect`.
        scope, receive, send: as the ASGI server passes them.
        token: as of `write_head`.

    Raises:
        ConnectionError: the answer was cut off. The ASGI server must close its connection.
    """
    transport = open_transport(connection)
    request = _Request(connection, transport, scope, token)
    answer = Answer(scope["method"])
    reading: asyncio.Task[None] | None = None
    try:
        await request.begin(await receive())
        if request.is_whole:
            answer.feed(transport.take_now())
        if not answer.is_done:
            reading = asyncio.ensure_future(request.go_on(receive))
        while True:
            messages, answer.messages = answer.messages, []
            for message in messages:
                await transport.give(send, message)
            transport.taken()
            if answer.is_done:
                break
            data = await transport.take()
            if not data:
                break
            answer.feed(data)
    finally:
        if reading is not None:
            reading.cancel()
        transport.close()
        connection.connection_lost(None)
    if not answer.is_done and not request.is_left:
        raise ConnectionError("the answer was cut")


class _Request:
    """A request that is written to the connection as its parts arrive. Call `begin`, then `go_on`.

    Attributes:
        is_whole: whether all of it was written.
        is_left: whether its client has disconnected.
    """

    def __init__(self, connection: asyncio.Protocol, transport: Transport, scope: Scope, token: str | None) -> None:
        self._connection = connection
        self._transport = transport
        self._scope = scope
        self._token = token
        self._is_chunked = False
        self.is_whole = False
        self.is_left = False

    async def begin(self, message: Message) -> None:
        """Write the head and the first part of the body, which is in `message`."""
        scope = self._scope
        if message["type"] == "http.disconnect":
            self._leave()
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        extra: list[tuple[bytes, bytes]] = []
        if length is not None:
            extra = [(b"content-length", length)]
        elif message.get("more_body") or message.get("body"):
            extra = [(b"transfer-encoding", b"chunked")]
            self._is_chunked = True
        self._connection.data_received(write_head(scope, scope["method"], self._token, extra))
        await self._write_body(message)

    async def go_on(self, receive: Receive) -> None:
        """Write the rest of the body, and wait until the client disconnects."""
        try:
            while not self.is_left:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self._leave()
                else:
                    await self._write_body(message)
        finally:
            self._transport.close()  # Even if the ASGI server fails, so that nobody waits for an answer.

    async def _write_body(self, message: Message) -> None:
        body = message.get("body", b"")
        if body:
            await self._transport.until_read()
            self._connection.data_received(b"%x\r\n%b\r\n" % (len(body), body) if self._is_chunked else body)
        if not message.get("more_body") and not self.is_whole:
            self.is_whole = True
            if self._is_chunked:
                self._connection.data_received(b"0\r\n\r\n")

    def _leave(self) -> None:
        self.is_left = True
        self._transport.close()
