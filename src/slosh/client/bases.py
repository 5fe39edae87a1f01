"""What classes of the client have in common, with an event loop and without: `with` blocks, addresses, progress."""

from types import TracebackType
from typing import Self

from slosh.client.protocol import WatchState
from slosh.client.request import Options


class Closeable:
    """Closed at the end of a `with` block."""

    def close(self) -> None:
        """End what was begun."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncCloseable:
    """Closed at the end of an `async with` block."""

    async def aclose(self) -> None:
        """End what was begun."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class OfOneServer:
    """A client of one server, which it reaches as `_options` say."""

    _options: Options

    @property
    def url(self) -> str:
        """The server's address."""
        return self._options.url

    @property
    def where(self) -> str:
        """The server's address, and the proxy of the environment that is asked for it, as errors name both."""
        return self._options.where

    @property
    def base(self) -> str:
        """What the address of each request begins with: `url`, or a name if that is of a Unix socket."""
        return self._options.base


class Progress:
    """How far a watch has come; `_watching` knows."""

    _watching: WatchState

    @property
    def place(self) -> str:
        """The place after the last message given; give it as `since` to go on there. Empty before any."""
        return self._watching.place

    @property
    def lost(self) -> int:
        """How many messages were missed so far."""
        return self._watching.lost

    @property
    def truncated(self) -> bool:
        """Whether a part of the window that `since` asked for had left the ring before this reader came."""
        return self._watching.truncated

    @property
    def incomplete(self) -> bool:
        """Whether the patterns match more topics than one reader may come to, so that some are left out."""
        return self._watching.incomplete

    @property
    def ended(self) -> bool:
        """Whether the topics ended, so that nothing follows."""
        return self._watching.is_over
