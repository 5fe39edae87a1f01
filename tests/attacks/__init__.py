"""Attacks on a real server by real sockets. The list of all of them is in docs/security.md."""
