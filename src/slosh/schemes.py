"""The schemes of web addresses, and the port that is meant if an address names none (RFC 9110 §4.2)."""

from collections.abc import Mapping
from typing import Final

DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
