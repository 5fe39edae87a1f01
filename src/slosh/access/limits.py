"""Rate limits: a token bucket for each client, stored as one number.

The rules of this file:

* A bucket is stored as the time at which it will be full again. So a client that has been quiet needs no entry, and
  nothing has to refill the buckets.
* A client may take more than its bucket holds, as long as that is one unit or more: a batch of messages is accepted
  whole, and the client waits longer afterwards. In the long run the rate is kept.
* An IPv6 client counts by its network of 64 bits, because it usually has all addresses of that.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

REMEMBERED: Final = 50_000
"""Buckets in each of two halves; some 200 bytes each. Beyond that the oldest are forgotten, which fills them."""
_IPV4: Final = 0xFFFF_FFFF
_MAPPED: Final = 0xFFFF
"""The bits before an IPv4 address that is written as IPv6 (RFC 4291 §2.5.5.2)."""


class RateLimit:
    """One rate limit for all clients: a bucket for each key, which stands for an address or a token.

    Both attributes may be changed. A bucket that was going to be full in ten seconds still is then, so a client that
    was over the rate gains nothing by a reload.

    Attributes:
        rate: units a second, more than 0.
        burst: size of a bucket, as seconds of that rate.
    """

    __slots__ = ("_old", "_young", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        """The number of stored buckets. One that was used in both halves counts twice."""
        return len(self._young) + len(self._old)

    def take(self, key: str, amount: int, now: float) -> float:
        """Take `amount` units from the bucket of `key` at `now`, seconds.

        Returns:
            0 if they were taken. Otherwise nothing was: the seconds after which to try again.
        """
        full = self._young.get(key)
        if full is None:
            full = self._old.get(key, now)
        full = max(full, now)
        # A bucket holds one unit at least: with a burst below 1/rate no client could do anything.
        wait = full + 1 / self.rate - now - max(self.burst, 1 / self.rate)
        if wait > 1e-9:  # more than a rounding error
            return wait
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[key] = full + amount / self.rate
        return 0.0


@lru_cache(maxsize=1024)
def address_key(address: str) -> str:
    """The key for a client's address: the network of 64 bits for IPv6, `unix` if empty, else the address itself.

    An IPv4 address that is written as IPv6, as a socket for both reports it, has the key of the IPv4 address.
    """
    if ":" not in address:
        return address or "unix"
    try:
        number = int(ip_address(address))
        return str(IPv4Address(number & _IPV4)) if number >> 32 == _MAPPED else f"{IPv6Address(number >> 64 << 64)}/64"
    except ValueError:  # not an IP address
        return address
