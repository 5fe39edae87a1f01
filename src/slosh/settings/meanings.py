"""What the texts of some settings mean: `host`, `engine` and `root`."""

from difflib import get_close_matches
from ipaddress import ip_address
from typing import Final

from slosh.errors import SettingError
from slosh.settings.row import refused_value
from slosh.settings.table import BY_NAME, Settings

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
"""How the address of a store may begin, in the setting `engine`."""


def find_scheme(engine: str) -> str:
    """How the address of a store begins.

    Raises:
        SettingError: it is no address. Nothing of it is repeated, because it may hold a password.
    """
    scheme, is_address, _ = engine.partition("://")
    if is_address and scheme in SCHEMES:
        return scheme
    near = get_close_matches(scheme, [*SCHEMES, "memory"], n=1)
    meant = f" Did you mean {near[0]}{'' if near[0] == 'memory' else '://'}?" if near else ""
    known = ", ".join(f"{each}://" for each in SCHEMES)
    raise SettingError(f"engine: this is no address of a store.{meant} One begins with {known}.")


EXAMPLE: Final = "example"
NO_FILES: Final = "none"
"""Words for `root` that are no folder of the user's."""


def no_such_root(root: str, called: str = "root") -> SettingError:
    """The error for a document root that is not there.

    Args:
        root: what it was to be.
        called: what a person called the setting who set it.
    """
    shown = refused_value(BY_NAME["root"], root)
    return SettingError(f"{called}{shown}: is not a folder. Name the folder whose files are to be served.")


def is_local(settings: Settings) -> bool:
    """Whether the server is reached from this machine only, as far as its settings tell: not behind a proxy, either."""
    if settings.uds or settings.fd >= 0:
        return False
    try:
        return all(host == "localhost" or ip_address(host).is_loopback for host in split_hosts(settings.host))
    except ValueError:  # a name, which may lead anywhere
        return False


def split_hosts(text: str) -> list[str]:
    """The addresses in the setting `host`, an IPv6 address with or without its brackets."""
    return [each.strip().removeprefix("[").removesuffix("]") for each in text.split(",") if each.strip()]
