"""An HTTP/1.1 server on asyncio's transports."""
