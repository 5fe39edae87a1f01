"""The fixture `slosh` for pytest: a real server for each test, which costs some milliseconds.

    def test_the_sensor_sleeps_while_nobody_looks(slosh):
        sensor = Sensor(slosh.url)
        assert sensor.measured == 0
        with slosh.watch("kitchen") as seen:
            seen.wait(1)

pytest finds it by itself if slosh-server is installed. Settings stand in a mark: `@pytest.mark.slosh(queue=10)`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slosh.testing.server import TestingServer


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark, so that pytest knows it."""
    config.addinivalue_line("markers", "slosh(**settings): settings of the server that the fixture `slosh` starts")


@pytest.fixture
def slosh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator["TestingServer"]:
    """A server of this test's own. `SLOSH_URL` is its address meanwhile, so `slosh.publish` finds it."""
    from slosh.testing.server import TestingServer  # noqa: PLC0415 - loaded by the tests that ask for it only

    mark = request.node.get_closest_marker("slosh")
    with TestingServer(**(mark.kwargs if mark is not None else {})) as server:
        monkeypatch.setenv("SLOSH_URL", server.url)
        yield server
