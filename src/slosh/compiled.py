"""The compiled build: whether this is it, and what the source says to its compiler.

slosh is plain Python. `make wheel` also makes a wheel in which mypyc has compiled the modules that every message goes
through, from the same source (see `hatch_build.py`). Both do the same; nothing has to be said to use it.
"""

from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slosh.version import __version__

__all__ = ["describe_build", "describe_version", "i64", "is_compiled", "mypyc_attr"]

if TYPE_CHECKING:
    from mypy_extensions import i64, mypyc_attr
else:
    i64 = int  # a whole number of 64 bits to the compiler, which is no object and cannot overflow where it counts bytes

    def mypyc_attr(**_said: object) -> Callable[[type], type]:
        """Do nothing, if the source runs as it is. mypy_extensions' own would be a dependency at run time."""
        return lambda kind: kind


def is_compiled() -> bool:
    """Whether the hot modules are compiled."""
    spec = find_spec("slosh.core.hub")
    return spec is not None and spec.origin is not None and spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def describe_version() -> str:
    """The version, for a person."""
    return f"{__version__} (compiled)" if is_compiled() else __version__


def describe_build() -> str:
    """Which build this is, and how to get the faster one, in a few words for a person."""
    return "compiled" if is_compiled() else "plain Python; for the faster, compiled build: make wheel"
