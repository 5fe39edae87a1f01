"""Reading and posting over a WebSocket (RFC 6455)."""
