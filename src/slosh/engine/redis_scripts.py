"""The scripts that run inside Redis or Valkey, each of them one step that nothing comes between.

What a script takes and gives is told at its head, in `lua/`. They are called by the digest of their text, as EVALSHA
has it, after SCRIPT LOAD has brought them to the server.
"""

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name("lua")

Argument = str | bytes | int
"""What goes to a server as a part of a command; numbers go as their decimal digits."""

Command = tuple[Argument, ...]
"""One command, its name first."""


class Script:
    """One of the scripts.

    Args:
        name: of its file in `lua/`.
    """

    def __init__(self, name: str) -> None:
        common, own = ((_FOLDER / f"{each}.lua").read_text() for each in ("common", name))
        self.text = f"{common}\n{own}"
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: Argument) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


PUBLISH: Final = Script("publish")
SYNC: Final = Script("sync")
FACTS: Final = Script("facts")
ENLIST: Final = Script("enlist")
LISTED: Final = Script("listed")

_RING_ASKED: Final = -3
"""Where in a call of SYNC the epoch of the mirror stands: nothing where there is no mirror yet."""


def gives_ring(command: Command) -> bool:
    """Whether the answer to a command is all that a topic keeps, which may be `queue_bytes`."""
    return command[1:2] == (SYNC.digest,) and not command[_RING_ASKED]


ALL: Final = (PUBLISH, SYNC, FACTS, ENLIST, LISTED)
