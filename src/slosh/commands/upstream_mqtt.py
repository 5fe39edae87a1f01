"""Messages from an MQTT broker, for `slosh bridge`."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiomqtt

from slosh.commands.shared import printable
from slosh.commands.upstream import CONNECT, HEARTBEAT, Address, LoginDenied, Upstream, UpstreamLost, reason_of

_LOGIN: Final = frozenset({4, 5, 134, 135})
"""Why a broker refuses a connection: a bad user name or password, or none that may connect (MQTT 3.1.1 §3.2.2.3 and
MQTT 5 §3.2.2.2)."""
_REFUSED: Final = 0x80
"""From here on, the answer to a subscription says that there is none (MQTT 3.1.1 §3.9.3)."""
_QOS: Final = 1
"""Messages that their publisher sends with QoS 1 or 2 are sent again until they are acknowledged."""


class MqttUpstream(Upstream):
    """An MQTT broker. A name is a topic there; its retained message comes when it is subscribed to."""

    def __init__(self, address: Address, tell: Callable[[str], None]) -> None:
        super().__init__(address, tell)
        quiet = logging.getLogger("slosh.bridge.mqtt")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False  # what it would say is raised too
        self._client = aiomqtt.Client(
            address.host,
            address.port or (8883 if address.has_tls else 1883),
            username=address.user,
            password=address.password,
            keepalive=int(HEARTBEAT),
            timeout=CONNECT,
            tls_context=ssl.create_default_context() if address.has_tls else None,
            logger=quiet,
        )
        self._connected = False

    async def connect(self) -> None:
        """Connect and log in."""
        try:
            async with asyncio.timeout(CONNECT):
                await self._client.__aenter__()
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            code = getattr(error, "rc", None)
            number = getattr(code, "value", code)
            if number in _LOGIN:
                raise LoginDenied(reason_of(error)) from error
            raise UpstreamLost(reason_of(error)) from error
        self._connected = True

    async def subscribe(self, name: str) -> None:
        """Subscribe to a topic of this name."""
        if "+" in name or "#" in name:
            self.tell(f"{printable(name)} cannot be a topic of MQTT: + and # mean others there")
            return
        try:
            granted = await self._client.subscribe(_filter(name), qos=_QOS)
        except aiomqtt.MqttError as error:
            raise UpstreamLost(reason_of(error)) from error
        codes = [getattr(each, "value", each) for each in granted]
        if any(code >= _REFUSED for code in codes):
            self.tell(f"{self.address.shown} refuses the topic {printable(name)}")

    async def unsubscribe(self, name: str) -> None:
        """Unsubscribe from it."""
        if "+" in name or "#" in name:
            return
        try:
            await self._client.unsubscribe(_filter(name))
        except aiomqtt.MqttError as error:
            raise UpstreamLost(reason_of(error)) from error

    async def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """The messages as they come."""
        try:
            async for message in self._client.messages:
                yield str(message.topic), bytes(message.payload)
        except aiomqtt.MqttError as error:
            raise UpstreamLost(reason_of(error.__cause__ or error)) from error

    async def close(self) -> None:
        """Say good-bye."""
        if self._connected:
            self._connected = False
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await self._client.__aexit__(None, None, None)


def _filter(name: str) -> str:
    """A name, or a pattern as MQTT spells it (MQTT 3.1.1 §4.7.1)."""
    return "/".join({"*": "+", "**": "#"}.get(segment, segment) for segment in name.split("/"))
