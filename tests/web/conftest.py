"""Sites for the tests of the edge, ended when their test is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.web.harness import Site

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
