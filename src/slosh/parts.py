"""What a server is put together of, made from its settings: its hub, classes of topics, engine, TLS, document root.

The rules of this file:

* Nothing is opened and nothing is started here. The caller starts the parts that it asked for.
* A setting that cannot be followed is a `SettingError`, before anything listens.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slosh.core.classes import DEFAULT, Bounds, Classes, TopicClass
from slosh.core.hub import Hub
from slosh.engine.base import Engine
from slosh.engine.memory import MemoryEngine
from slosh.errors import SettingError
from slosh.http1.tls import make_context
from slosh.settings.meanings import EXAMPLE, NO_FILES, find_scheme, is_local, no_such_root
from slosh.settings.table import TABLE, Settings

if TYPE_CHECKING:
    import ssl


def make_tls(settings: Settings) -> "ssl.SSLContext | None":
    """The context for TLS, None for plain HTTP.

    Raises:
        SettingError: a file cannot be read or used, or nobody could tell who a client is.
    """
    if settings.access is not None and settings.access.clients and not settings.tls_client_ca:
        raise SettingError(
            "[[access.clients]] names clients by their certificates, and tls_client_ca is not set. Name in it the "
            "certificates of those who issue theirs, or leave the rows out."
        )
    if not settings.tls_cert:
        return None
    return make_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def make_hub(settings: Settings, loop: asyncio.AbstractEventLoop, new_epoch: Callable[[], str]) -> Hub:
    """A hub within the bounds of the settings, which `loop` wakes and whose time it is.

    Args:
        new_epoch: makes the epoch of a topic's new life.
    """

    def flush() -> None:
        hub.flush(loop.time())

    def arm(when: float) -> None:
        loop.call_at(when, lambda: hub.expire(loop.time()))

    hub = Hub(make_bounds(settings), new_epoch=new_epoch, wake=partial(loop.call_soon, flush), arm=arm)
    hub.clock = loop.time
    return hub


def make_bounds(settings: Settings) -> Bounds:
    """The bounds of topics that the settings have."""
    return Bounds(
        make_classes(settings),
        max_topics=settings.max_topics,
        max_watchers=settings.max_watchers,
        max_bytes=settings.max_bytes,
        max_series=settings.max_series,
    )


def make_classes(settings: Settings) -> Classes:
    """The classes of topics that the settings have."""
    return Classes(_make_class(DEFAULT, settings), [_make_class(pattern, settings) for pattern in settings.topics])


def _make_class(pattern: str, settings: Settings) -> TopicClass:
    """A class that has of its own what its table says, and all else as the settings do."""
    own = settings.topics.get(pattern, {})
    values: dict[str, Any] = {row.name: own.get(row.name, getattr(settings, row.name)) for row in TABLE if row.of_class}
    keeps = values.pop("unwatched") == "keep"
    return TopicClass(pattern, keeps=keeps, **values)


def make_engine(hub: Hub, settings: Settings, loop: asyncio.AbstractEventLoop) -> Engine:
    """The engine that the settings ask for, over `hub`. The caller must call `start`, and `stop` at the end.

    Raises:
        SettingError: it is no address of a store, or the library for it is missing.
    """
    if settings.engine == "memory":
        return MemoryEngine(hub, max_keys=settings.max_keys)
    check_engine(settings)
    from slosh.engine.redis.engine import RedisEngine  # noqa: PLC0415 - an extra that not everybody has

    return RedisEngine(hub, settings, now=loop.time, call_at=loop.call_at, random_bits=secrets.randbits)


def check_engine(settings: Settings) -> None:
    """Check that an engine can be made, before anything listens.

    Raises:
        SettingError: it is no address of a store, or the library for it is missing.
    """
    if settings.engine == "memory":
        return
    find_scheme(settings.engine)  # which needs no library
    try:
        from slosh.engine.redis.client.address import parse_address  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise SettingError(
            f"engine: a Redis or Valkey needs the Python package {error.name}: pip install 'slosh-server[redis]'"
        ) from None
    parse_address(settings.engine)


def find_root(settings: Settings) -> Path | None:
    """The document root: the folder that `root` names, or the example that comes with slosh; None for no files.

    If nothing is said the example is served to this machine alone: it holds a chat in which everybody may write.

    Raises:
        SettingError: it is no folder.
    """
    if settings.root == NO_FILES or (not settings.root and not is_local(settings)):
        return None
    path = Path(settings.root)
    if settings.root and path.is_dir():
        return path
    if settings.root not in ("", EXAMPLE):
        raise no_such_root(settings.root, "root")
    packaged = Path(__file__).with_name("example")
    # In a checkout the example stands at the top, beside src.
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "example"
