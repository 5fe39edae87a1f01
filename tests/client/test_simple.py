"""`slosh.publish` and `slosh.watch`: one call, for the server that SLOSH_URL names."""

import pytest

import slosh
import slosh.client
from slosh.client.simple import default_client
from tests.e2e.server import Serving
from tests.running import PATIENCE


def test_they_use_the_server_that_the_environment_names(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep") as serving:
        monkeypatch.setenv("SLOSH_URL", serving.url)
        assert slosh.publish("kitchen", {"t": 21.5}).taken
        assert slosh.publish_many("kitchen", [1, 2]).max == 3
        given = []
        for item in slosh.watch("kitchen", since="earliest", deadline=PATIENCE):
            given.append(item.message)
            if len(given) == 3:
                break
        assert given == [{"t": 21.5}, 1, 2]
        assert default_client() is default_client()
        assert sum(slosh.history("kitchen", "1h", paths=["t"]).series[0].count) == 1
        with slosh.watch("kitchen", since="1h", notes=True, deadline=PATIENCE) as watch:
            assert isinstance(next(watch), slosh.client.Item)
