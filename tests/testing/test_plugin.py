"""The fixture that users' own tests have, asked for by name as they do."""

from typing import TYPE_CHECKING

import pytest

from slosh.client import publish

if TYPE_CHECKING:
    from slosh.testing.server import TestingServer


def test_a_test_asks_for_a_server_by_name(slosh: "TestingServer") -> None:
    with slosh.watch("kitchen") as seen:
        assert publish("kitchen", {"t": 21.5})  # SLOSH_URL is set
        assert seen.wait(1) == [{"t": 21.5}]


@pytest.mark.slosh(queue=1)
def test_a_mark_holds_settings(slosh: "TestingServer") -> None:
    with slosh.watch("kitchen"):
        slosh.client.publish_many("kitchen", [1, 2])
        with slosh.client.watch("kitchen", since="earliest", notes=True) as watch:
            assert next(watch).kind == "lost"  # type: ignore[union-attr]  # a note, as is asserted
