"""Keys of one topic stay together in a cluster, and those of two never meet."""

import string

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from slosh.engine.redis.keys import Keys
from tests.properties import PROPERTY

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("{}:%/ "), min_size=1, max_size=40)
PREFIXES = st.text(string.ascii_letters + string.digits + "._:-", min_size=1, max_size=10)


def keys_of(keys: Keys, name: str) -> list[str]:
    return [*keys.of_topic(name), keys.channel(name), keys.of_publish(name, "a key {with} all: sorts")]


@PROPERTY
@given(PREFIXES, NAMES)
def test_all_keys_of_a_topic_are_in_one_slot(prefix: str, name: str) -> None:
    """With any braces in its name."""
    assert len({key_slot(key.encode()) for key in keys_of(Keys(prefix), name)}) == 1


@PROPERTY
@given(NAMES, NAMES)
def test_keys_of_two_topics_are_different(one: str, other: str) -> None:
    keys = Keys("slosh")
    if one != other:
        assert not set(keys_of(keys, one)) & set(keys_of(keys, other))


@PROPERTY
@given(PREFIXES, NAMES)
def test_a_channel_says_which_topic_it_is_of(prefix: str, name: str) -> None:
    keys = Keys(prefix)
    assert keys.topic_of(keys.channel(name)) == name


def test_two_installations_share_no_key() -> None:
    one, other = Keys("slosh"), Keys("slosh:blue")
    mine = {*keys_of(one, "a"), one.topics, one.patterns, one.news}
    assert not mine & {*keys_of(other, "a"), other.topics, other.patterns, other.news}


def test_keys_can_be_read_by_people() -> None:
    assert Keys("slosh").of_topic("house/kitchen")[1] == "slosh:{house/kitchen}:ring"
