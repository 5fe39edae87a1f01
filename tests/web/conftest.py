"""Sites for the tests of the edge, ended when their test is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.web.harness import Site
from tests.web.readers import STREAMS, TRANSPORTS, Reader

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site() -> Iterator[MakeSite]:
    """Makes sites with settings of one's own."""
    with ExitStack() as stack:

        def make(*args: Any, **kwargs: Any) -> Site:
            return stack.enter_context(closing(Site(*args, **kwargs)))

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site with all settings at their defaults."""
    return make_site()


@pytest.fixture(params=TRANSPORTS, ids=lambda each: each.transport)
def transport(request: pytest.FixtureRequest) -> type[Reader]:
    """Every way of reading."""
    found: type[Reader] = request.param
    return found


@pytest.fixture(params=STREAMS, ids=lambda each: each.transport)
def stream(request: pytest.FixtureRequest) -> type[Reader]:
    """Every way of reading in which one answer has no end."""
    found: type[Reader] = request.param
    return found
