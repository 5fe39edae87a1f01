"""The place in front of a window, as a server's own answers tell it."""

from pathlib import Path

import pytest

from slosh.client import BadUse, Client
from slosh.commands.relay_place import REMEMBERED, PlaceFile, find_begin, moves_on
from slosh.engine.idempotency import REPLAY_SECONDS
from tests.e2e.server import Serving


@pytest.mark.parametrize("since", [None, "now", "-5", "10m", "90", "1.5", "250ms"])
def test_a_window_is_another_one_later(since: str | None) -> None:
    assert moves_on(since)


@pytest.mark.parametrize("since", ["earliest", "k3f9c2aa.4", "*", "a=k3f9c2aa.4,b=k3f9c2aa.1", "*,a=k3f9c2aa.end"])
def test_a_place_is_the_same_later(since: str) -> None:
    assert not moves_on(since)


def test_a_reader_that_begins_there_gets_the_window(tmp_path: Path) -> None:
    with Serving(tmp_path, "--unwatched=keep", "--queue=4") as serving, Client(serving.url) as client:
        client.publish_many("w/ä=1", range(6))
        client.publish_many("w/over", range(3), end=True)

        def begin(topics: str, since: str) -> tuple[str, list[str]]:
            return client._get(f"/topics/{topics}", {"since": since, "wait": "0", "limit": "1"}, find_begin)

        def read(topics: str, since: str) -> dict[str, list[int]]:
            said = client._get(f"/topics/{topics}", {"since": since, "wait": "0"}, dict)
            parts = said.get("topics", {"": said})
            assert isinstance(parts, dict)
            return {name: part["res"] for name, part in parts.items() if part["res"]}

        for topics, since, less in (
            ("w/%C3%A4=1", "-2", []),
            ("w/%C3%A4=1", "-9", [""]),
            ("w/%C3%A4=1", "now", []),
            ("w/over", "-2", []),
            ("w/*", "-2", []),
            ("w/*", "10m", ["w/ä=1"]),
        ):
            place, truncated = begin(topics, since)
            assert truncated == less, (topics, since)
            assert read(topics, place) == read(topics, since), (topics, since)
        assert begin("w/over", "now") == ("", [])
        place, _ = begin("w/*", "now")
        client.publish("w/ä=1", 6)
        client.publish("w/new", 7)
        assert read("w/*", place) == {"w/ä=1": [6], "w/new": [7]}


def test_servers_remember_keys_for_as_long_as_a_relay_believes() -> None:
    assert REMEMBERED == REPLAY_SECONDS


def test_what_the_relay_before_left_is_this_one_s_alone_once_it_is_the_place(tmp_path: Path) -> None:
    """The file beside becomes the place without being written again, so it is locked where it is found."""
    state = tmp_path / "r.place"
    state.write_text("e.1\n")
    state.with_name("r.place.new").write_text("e.2\n")
    kept = PlaceFile(str(state))
    kept.begin("e.2")
    kept.note("e.2")
    assert state.read_text() == "e.2\n"
    with pytest.raises(BadUse, match="Another slosh relay"):
        PlaceFile(str(state))


def test_of_two_relays_that_begin_together_one_has_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there was no file yet both had it: the second had looked before the first made it."""
    state = tmp_path / "r.place"
    look, others = PlaceFile._look_beside, []

    def begin_another(self: PlaceFile, file: Path) -> None:
        monkeypatch.setattr(PlaceFile, "_look_beside", look)
        with pytest.raises(BadUse, match="Another slosh relay"):
            others.append(PlaceFile(str(state)))
        look(self, file)

    monkeypatch.setattr(PlaceFile, "_look_beside", begin_another)
    kept = PlaceFile(str(state))
    kept.note("e.1")
    assert (others, state.read_text()) == ([], "e.1\n")


def test_a_device_is_left_as_it_is(tmp_path: Path) -> None:
    """A file took its place: of /dev/null, for all programs of the machine, if root began the relay."""
    state = tmp_path / "null"  # a link, so that no fault of this test's does so
    state.symlink_to("/dev/null")
    with pytest.raises(BadUse, match=r"null is no ordinary file\. Name"):
        PlaceFile(str(state))
    assert state.is_symlink()


def test_a_relay_that_was_killed_while_it_began_leaves_nothing_that_may_come_twice(tmp_path: Path) -> None:
    """It has written its place beside, to see whether that can be written."""
    state = tmp_path / "r.place"
    for file in (state, state.with_name("r.place.new")):
        file.write_text("e.1\n")
    assert PlaceFile(str(state)).doubtful is None
