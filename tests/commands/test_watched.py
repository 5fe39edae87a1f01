"""Which topics an upstream is subscribed for."""

from slosh.commands.watched import WatchedTopics


def test_a_topic_is_wanted_from_its_first_watcher_until_it_is_inactive() -> None:
    topics = WatchedTopics(["home/*"], "", 30.0)
    topics.active("home/a", 1, 0.0)
    topics.active("home/b", 0, 0.0)
    topics.active("other/a", 1, 0.0)
    assert topics.wanted == {"home/a"}
    topics.listed({"home/a": 1, "home/b": 1}, 1.0, 1.0)
    assert topics.wanted == {"home/a", "home/b"}
    topics.inactive("home/a")
    topics.inactive("unknown")
    assert topics.wanted == {"home/b"}


def test_without_a_watcher_it_stays_wanted_for_a_while() -> None:
    """A reader that polls is away between its polls, and misses nothing."""
    topics = WatchedTopics(["**"], "", 30.0)
    topics.active("a", 1, 0.0)
    topics.listed({"a": 0}, 29.0, 29.0)
    assert topics.wanted == {"a"}
    topics.listed({"a": 0}, 30.0, 30.0)
    assert topics.wanted == set()
    assert topics.any_active
    topics.listed({"a": 2}, 31.0, 31.0)
    assert topics.wanted == {"a"}


def test_what_a_list_leaves_out_is_inactive_unless_it_is_newer_than_the_list() -> None:
    topics = WatchedTopics(["**"], "", 30.0)
    topics.active("old", 1, 0.0)
    topics.active("new", 1, 5.0)
    topics.listed({}, 4.0, 6.0)
    assert topics.wanted == {"new"}
    topics.listed({}, 7.0, 7.0)
    assert not topics.any_active


def test_a_prefix_stands_before_the_names_of_an_upstream() -> None:
    topics = WatchedTopics(["prices", "rates/*"], "market/", 30.0)
    for name in ("market/prices", "prices", "market/rates/eur", "market/other"):
        topics.active(name, 1, 0.0)
    assert topics.wanted == {"prices", "rates/eur"}


def test_a_pattern_is_wanted_where_somebody_reads_what_it_takes_in() -> None:
    topics = WatchedTopics(["home/**", "prices"], "", 30.0)
    topics.read_by(["home/kitchen/*", "other/*"], 0.0)
    assert topics.wanted == {"home/kitchen/*"}
    assert topics.is_wanted("home/kitchen/t")
    assert not topics.is_wanted("home/hall/t")
    topics.read_by(["*"], 29.0)
    assert topics.wanted == {"home/kitchen/*", "prices"}
    topics.read_by(["**"], 30.0)
    assert topics.wanted == {"home/**", "prices"}
    topics.read_by([], 60.0)
    assert topics.wanted == set()


def test_none_is_wanted_that_another_one_takes_in_so_nothing_comes_twice() -> None:
    topics = WatchedTopics(["home/**"], "", 30.0)
    for name in ("home/a", "home/a/b"):
        topics.active(name, 1, 0.0)
    topics.read_by(["home/*"], 0.0)
    assert topics.wanted == {"home/*", "home/a/b"}
    topics.read_by(["home/*/b", "home/a/*"], 0.0)
    assert topics.wanted == {"home/**"}, "both take in home/a/b"


def test_a_prefix_stands_before_patterns_too() -> None:
    topics = WatchedTopics(["rates/*"], "market/", 30.0)
    topics.read_by(["market/*/eur", "rates/*"], 0.0)
    assert topics.wanted == {"rates/eur"}
    assert topics.is_wanted("rates/eur")
    topics.read_by(["**"], 0.0)
    assert topics.wanted == {"rates/*"}
