"""The scripts that run inside Redis or Valkey, each of them one step that nothing comes between.

What a script takes and gives is told at its head, in `lua/`. They are called by the digest of their text, as EVALSHA
has it, after SCRIPT LOAD has brought them to the server.
"""

import re
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Final

from slosh.engine.redis.client.command import Argument, Command, Scripts

_FOLDER: Final = Path(__file__).with_name("lua")


_ARGUMENTS: Final = re.compile(r"^local ([\w,\s]+?) = unpack\(ARGV, 1, \d+\)$", re.MULTILINE)


class Script:
    """One of the scripts.

    Args:
        name: of its file in `lua/`.

    Attributes:
        text: of it, behind what all of them share.
        digest: by which it is called.
        arguments: the names of what every call gives it, in their order, as its first line has them.
    """

    def __init__(self, name: str) -> None:
        common, own = ((_FOLDER / f"{each}.lua").read_text() for each in ("common", name))
        self.text = f"{common}\n{own}"
        found = _ARGUMENTS.search(own)
        self.arguments = tuple(re.findall(r"\w+", found[1])) if found else ()
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: Argument) -> Command:
        """The command that runs it."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


PUBLISH: Final = Script("publish")
SYNC: Final = Script("sync")
FACTS: Final = Script("facts")
ENLIST: Final = Script("enlist")
LISTED: Final = Script("listed")

_KNOWN_EPOCH: Final = SYNC.arguments.index("known_epoch") - len(SYNC.arguments)
"""Where in a call of SYNC the epoch of the mirror stands, from its end: nothing if there is no mirror yet."""


def gives_ring(command: Command) -> bool:
    """Whether the answer to a command is all that a topic keeps, which may be `queue_bytes`."""
    return command[1:2] == (SYNC.digest,) and not command[_KNOWN_EPOCH]


ALL: Final = (PUBLISH, SYNC, FACTS, ENLIST, LISTED)
SCRIPTS: Final = Scripts(tuple(script.text for script in ALL), gives_ring)
"""What the client of the store has to know of them."""
