"""What the answer to a single request says, and how long to wait before the next try."""

import pytest

from slosh.client.answers import read_patterns, read_published
from slosh.client.errors import NotTaken, Refused


class TestPublished:
    """What the answer to a POST says."""

    def test_a_topic_that_nobody_watches_is_a_result(self) -> None:
        published = read_published(404, {}, b'{"code":"no_watchers"}', "x")
        assert not published
        assert not published.taken

    def test_another_404_is_not(self) -> None:
        """A wrong address must not look like a topic that nobody watches."""
        with pytest.raises(Refused) as caught:
            read_published(404, {}, b"<html>", "http://x")
        assert not isinstance(caught.value, NotTaken)
        assert "http://x answered 404" in str(caught.value)

    def test_what_was_taken(self) -> None:
        published = read_published(200, {}, b'{"max":3,"next":"aaaaaaaa.3","watchers":2}', "x")
        assert published
        assert (published.max, published.watchers, published.next) == (3, 2, "aaaaaaaa.3")
        assert (published.queue, published.queue_bytes) == (0, 0)
        published = read_published(200, {}, b'{"max":3,"accepted":3,"queue":100,"queue_bytes":4096}', "x")
        assert (published.queue, published.queue_bytes) == (100, 4096)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"ok"])
    def test_200_from_something_else_is_no_success(self, body: bytes) -> None:
        with pytest.raises(Refused):
            read_published(200, {}, body, "x")


@pytest.mark.parametrize(
    ("said", "patterns"),
    [
        ({"patterns": ["a/*"]}, ["a/*"]),
        ({"patterns": ["a/*"], "more": True}, ["a/*", "**"]),
        ({"patterns": ["**"], "more": True}, ["**"]),
        ({"topics": []}, []),
    ],
    ids=["all", "more", "more-known", "old-server"],
)
def test_patterns_that_are_read(said: dict[str, object], patterns: list[str]) -> None:
    assert read_patterns(said) == patterns
