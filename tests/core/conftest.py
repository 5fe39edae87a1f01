"""A hub on a loop that stands still, for whichever test of the core asks for them."""

import pytest

from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def hub(loop: Loop) -> HubOnLoop:
    return HubOnLoop(loop)
