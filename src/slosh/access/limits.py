"""How often somebody may do something: a token bucket for each key, in one number.

The rules of this file:

* A bucket is kept as the time at which it will be full again. So a key that has been quiet needs no entry, and time
  is an argument.
* More may be taken than is left, as long as something is: a batch of messages is taken whole, and the client that
  sent it waits the longer afterwards. In the long run the rate is kept.
* An IPv6 client counts by its network of 64 bits, of which it has all addresses.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

REMEMBERED: Final = 50_000
"""Keys in each of two generations; some 200 bytes each. Beyond that the oldest are forgotten, and begin full."""
_IPV4: Final = 0xFFFF_FFFF
_MAPPED: Final = 0xFFFF
"""What stands before an IPv4 address that is written as IPv6 (RFC 4291 §2.5.5.2)."""


class Buckets:
    """A bucket for each key.

    Both attributes may be changed. A bucket that is to be full in ten seconds is so afterwards too: nobody who is over
    the rate starts again.

    Attributes:
        rate: units a second, more than 0.
        burst: seconds of that rate which may be used at once.
    """

    __slots__ = ("_old", "_young", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        """How many keys are remembered; those that were used recently may count twice."""
        return len(self._young) + len(self._old)

    def take(self, key: str, amount: int, now: float) -> float:
        """Take `amount` from the bucket of `key` at `now`, seconds. Gives 0, or in how many seconds to try again."""
        full = self._young.get(key)
        if full is None:
            full = self._old.get(key, now)
        full = max(full, now)
        # One unit may always be used by who has used none: burst below 1/rate would let nobody do anything.
        wait = full + 1 / self.rate - now - max(self.burst, 1 / self.rate)
        if wait > 1e-9:  # times are sums of fractions
            return wait
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = full + amount / self.rate
        return 0.0


@lru_cache(maxsize=1024)
def address_key(address: str) -> str:
    """The key of a client's address: the network of 64 bits for IPv6, else the address itself.

    IPv4 that is written as IPv6, as a socket for both has it, is the IPv4 address.
    """
    if ":" not in address:
        return address or "unix"
    try:
        number = int(ip_address(address))
        return str(IPv4Address(number & _IPV4)) if number >> 32 == _MAPPED else f"{IPv6Address(number >> 64 << 64)}/64"
    except ValueError:  # with a zone
        return address
