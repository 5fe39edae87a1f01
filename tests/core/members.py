"""One member of one message, as a reading finds it, which makes a finder for all its messages."""

from slosh.core.members import Finder


def find_member(message: bytes, path: tuple[str, ...]) -> bytes | str | None:
    """The member of a message at `path`, None where there is none; equal for equal values."""
    return Finder(path).find(message)
