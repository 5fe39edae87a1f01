"""Checks requests before their actions run: the client's rights, and how many requests it sends.

The rules of this file:

* A server without `[access]` and without rates has no gate: its actions run directly.
* A head only says which token the client has. The token's rights are looked up when the request runs, so a cached head
  grants nothing after the token has expired or the rules have changed.
* Rates are checked first, then rights, and the engine is asked last. So guessing tokens counts against the sender's
  address, and neither the answer nor its timing shows whether a topic is active.
* A held request is checked again when its token expires, and when the rules change. If the token is not valid any
  more, a poll is answered 401, a stream ends, and a WebSocket is closed with 1008.

Each action has a guard (`guard.py`), which asks the gate.
"""

import logging
import math
from typing import TYPE_CHECKING, Final

from slosh.access.authority import Authority
from slosh.access.jwt import BadToken
from slosh.access.limits import RateLimit, address_key
from slosh.access.rights import ALL, Grant, Rights
from slosh.errors import SloshError, TooManyRequests, Unauthorized
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.state import Client, ServerState
from slosh.http1.turns import TURN
from slosh.settings.table import Settings
from slosh.web.admission.credentials import Credential
from slosh.web.admission.held import HeldRequests

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

log: Final = logging.getLogger("slosh.access")

_PEERS: Final = 10_000
"""Addresses whose rate keys are cached."""
_SOON: Final = 0.25
"""Least seconds between two checks of all held requests, so that tokens which expire together need one check."""
_KEYS_EVERY: Final = 5.0
"""Seconds between two checks of the JWKS file."""
_LONGEST: Final = 60.0
"""Most seconds between two checks of the wall clock, which may have been set."""

_NO_RULES: Final = Grant("public", ALL)


def make_authority(settings: Settings) -> Authority | None:
    """The authority for the rules in the settings, None if there are none.

    Raises:
        SettingError: a file that they name is not valid.
    """
    if settings.access is None:
        return None
    return Authority(settings.access, skew=settings.clock_skew, max_token=settings.max_token)


class GuardedAction(Action):
    """An action whose held requests are checked again."""

    __slots__ = ()

    def look_again(self, connection: Connection) -> SloshError | None:
        """Check the request that `connection` holds again.

        Returns:
            None if it may continue; otherwise the error to end it with.
        """
        raise NotImplementedError


class Gate:
    """Shared by all guards of a server.

    Args:
        settings: the rules and the rates.

    Raises:
        SettingError: a file that the rules name is not valid.

    Attributes:
        authority: knows the rights; None without rules.
        requests: the rate of requests for each address and token; None for no bound.
        messages: the rate of published messages; None for no bound.
        held: counts held requests.
        is_needed: whether requests have to be checked at all.
    """

    __slots__ = (
        "_earliest",
        "_generation",
        "_handle",
        "_keys",
        "_peers",
        "_walking",
        "authority",
        "held",
        "is_needed",
        "messages",
        "requests",
    )

    def __init__(self, settings: Settings) -> None:
        self.authority = make_authority(settings)
        self.held = HeldRequests()
        self._earliest = math.inf  # when the first token expires with which something is held
        self._generation = self.authority.generation if self.authority is not None else 0
        self._handle: asyncio.TimerHandle | None = None
        self._keys: asyncio.TimerHandle | None = None  # for the next look at the JWKS file
        self._peers: dict[str, str] = {}  # keys of addresses that are no trusted proxies, empty for those that are
        self._walking: Iterator[Client] | None = None
        self.requests: RateLimit | None = None
        self.messages: RateLimit | None = None
        self._set_rates(settings)

    def replace(self, settings: Settings, server: ServerState) -> None:
        """Apply new rules and rates, and end held requests that they do not allow.

        Raises:
            SettingError: a file that the rules name is not valid; nothing has changed.
        """
        if self.authority is not None and settings.access is not None:
            self.authority.replace(settings.access, skew=settings.clock_skew, max_token=settings.max_token)
        self._set_rates(settings)
        if self.authority is not None:
            self._walk(server)

    def _set_rates(self, settings: Settings) -> None:
        self.requests = _with_rate(self.requests, settings.request_rate, settings.rate_burst)
        self.messages = _with_rate(self.messages, settings.publish_rate, settings.rate_burst)
        self.held.most = settings.max_held_per_address
        self.is_needed = bool(
            self.authority is not None or self.requests is not None or self.messages is not None or self.held.most
        )

    def identify(self, credential: Credential, connection: Connection) -> Grant:
        """The rights of the client that sends the current request.

        Raises:
            Unauthorized: the token that was sent is not valid.
        """
        authority = self.authority
        if authority is None:
            return _NO_RULES
        now = connection.server.wall()
        if self._keys is None and authority.has_key_file:
            self._keys = connection.server.loop.call_later(_KEYS_EVERY, self._look_at_keys, connection.server)
        if credential.is_sent or credential.token:
            try:
                return authority.identify(credential.token, now)
            except BadToken as error:
                if credential.is_sent:
                    raise Unauthorized(str(error)) from None
        if authority.rules.clients:
            names, expires = connection.certificate()
            grant = authority.identify_client(names, expires, now) if names else None
            if grant is not None:
                return grant
        return authority.public

    def check_rate(self, connection: Connection, grant: Grant | None) -> None:
        """Count a request for its address.

        Args:
            grant: of earlier requests with this head; None if there was none.

        Raises:
            TooManyRequests: it is one too many.
        """
        if self.requests is not None:
            self._take(self.requests, "request_rate", self._find_key(connection), 1, connection, grant)

    def check_token_rate(self, connection: Connection, grant: Grant) -> None:
        """Count a request for its token.

        Raises:
            TooManyRequests: it is one too many.
        """
        if self.requests is not None and grant.key:
            self._take(self.requests, "request_rate", grant.key, 1, connection, grant)

    def check_messages(self, connection: Connection, grant: Grant, messages: int) -> None:
        """Count messages that are published, for the address and for the token.

        Raises:
            TooManyRequests: they are too many.
        """
        if messages and self.messages is not None:
            self._take(self.messages, "publish_rate", self._find_key(connection), messages, connection, grant)
            if grant.key:
                self._take(self.messages, "publish_rate", grant.key, messages, connection, grant)

    def note_held(self, connection: Connection, grant: Grant, *, counts: bool) -> None:
        """Note a held request that began with `grant`, so that it ends when the grant does.

        Args:
            counts: whether it counts towards `max_held_per_address`; False while its answer is only being made.
        """
        if counts and self.held.most:
            self.held.add(connection, grant)
        authority = self.authority
        if authority is None:
            return
        self._arm(connection.server, grant.expires)

    def _find_key(self, connection: Connection) -> str:
        """The rate key of the client's address. It is cached for peers that are not trusted proxies."""
        peer = connection.peer
        key = self._peers.get(peer)
        if key is None:
            key = "" if connection.server.proxies.trusts(peer) else address_key(connection.client)
            if len(self._peers) >= _PEERS:
                self._peers.clear()
            self._peers[peer] = key
        return key or address_key(connection.client)

    def _take(
        self, limit: RateLimit, setting: str, key: str, amount: int, connection: Connection, grant: Grant | None
    ) -> None:
        wait = limit.take(key, amount, connection.server.now())
        if wait:
            what = "requests" if limit is self.requests else "messages"
            error = TooManyRequests(
                f"One client may send {limit.rate:g} {what} a second ({setting}). Wait as long as Retry-After says.",
                wait,
            )
            raise named(error, grant)

    # Ending what was begun with a token that does not count any more.

    def _arm(self, server: ServerState, when: float) -> None:
        """Check all held requests at `when`, seconds since 1970, or a little later."""
        if when >= self._earliest:
            return
        self._earliest = when
        if self._handle is not None:
            self._handle.cancel()
        delay = min(max(when - server.wall(), _SOON), _LONGEST)
        self._handle = server.loop.call_later(delay, self._look, server)

    def _look(self, server: ServerState) -> None:
        self._handle = None
        authority, earliest = self.authority, self._earliest
        self._earliest = math.inf
        if authority is None:
            return
        authority.refresh(server.wall())
        if server.wall() >= earliest or authority.generation != self._generation:
            self._walk(server)
        else:
            self._arm(server, earliest)

    def _look_at_keys(self, server: ServerState) -> None:
        """Check regularly whether the JWKS file has changed, from the first request on."""
        self._keys = None
        authority = self.authority
        if authority is not None and authority.has_key_file:
            authority.refresh(server.wall())
            if authority.generation != self._generation:
                self._walk(server)
            self._keys = server.loop.call_later(_KEYS_EVERY, self._look_at_keys, server)

    def _walk(self, server: ServerState) -> None:
        """Check all held requests, a portion in each turn."""
        if self.authority is not None:
            self._generation = self.authority.generation
        is_walking = self._walking is not None
        self._walking = iter(list(server.connections))
        if not is_walking:
            self._walk_on(server)

    def _walk_on(self, server: ServerState) -> None:
        walking, authority = self._walking, self.authority
        if walking is None or authority is None:
            return
        clock = server.turns.clock
        until = clock() + TURN
        for connection in walking:
            try:
                if isinstance(connection, Connection):
                    self._look_at(connection, authority)
            except Exception:
                log.exception("a connection could not be looked at, and is cut")
                connection.abandon()
            if clock() >= until:
                server.loop.call_soon(self._walk_on, server)
                return
        self._walking = None

    def _look_at(self, connection: Connection, authority: Authority) -> None:
        grant, action = connection.grant, connection.held_action
        if grant is None or not isinstance(action, GuardedAction):
            return
        if not authority.is_current(grant, connection.server.wall()):
            error = action.look_again(connection)
            if error is not None:
                connection.server.closed["access"] += 1
                connection.revoke(error)
                return
            grant = connection.grant
        if grant is not None:
            self._arm(connection.server, grant.expires)


def _with_rate(limit: RateLimit | None, rate: float, burst: float) -> RateLimit | None:
    """A limit with this rate: `limit` if given, so that the levels of its buckets are kept; None without a rate."""
    if not rate:
        return None
    if limit is None:
        return RateLimit(rate, burst)
    limit.rate, limit.burst = rate, burst
    return limit


def named(error: SloshError, grant: Grant | None) -> SloshError:
    """`error` with the name of the client's token, if one was sent, for the log."""
    if grant is not None and grant.key:
        error.token = grant.name
    return error


def find_rights(connection: Connection) -> Rights:
    """The rights of the current request; all rights if there are no rules."""
    grant = connection.grant
    return ALL if grant is None else grant.rights
