"""Scripts are called by what Redis calls them."""

from hashlib import sha1

from slosh.engine.redis_scripts import ALL, SYNC, Script
from tests.stores.server import Store


def test_a_script_is_called_by_the_digest_of_its_text() -> None:
    assert SYNC.call(["a", "b"], "c", 3) == ("EVALSHA", sha1(SYNC.text.encode()).hexdigest(), 2, "a", "b", "c", 3)


def test_they_share_what_stands_before_each() -> None:
    assert len({script.digest for script in ALL}) == len(ALL)
    assert all(script.text.startswith("-- What the scripts share") for script in ALL)


def test_a_server_knows_each_by_that_digest(store: Store) -> None:
    for script in ALL:
        assert store.ask("SCRIPT", "LOAD", script.text) == script.digest.encode()


def test_a_script_is_a_file_beside_the_shared_one() -> None:
    assert Script("publish").text.count("local function clock") == 1
