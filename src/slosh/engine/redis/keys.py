"""How the store's keys and channels are called.

All of a topic's keys have its name as their hash tag, so that a cluster keeps them at one server. Names are
percent-encoded in it, because a brace would end the tag early.
"""

from typing import Final
from urllib.parse import quote, unquote

_PLAIN = "/:@!$&'()*+=~ "
"""What stands in a key as it is, besides letters, digits and `_.-`."""

_WATCHED: Final = ":watched"


class Keys:
    """The names of keys.

    Args:
        prefix: that they all begin with, so that several installations can share a store.
    """

    __slots__ = ("_channel_start", "_prefix", "news", "patterns", "topics")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._channel_start = f"{prefix}:{{"
        self.topics = f"{prefix}:topics"
        """The list of active topics."""
        self.patterns = f"{prefix}:patterns"
        """The list of the patterns that are read, each with the node where that is."""
        self.news = f"{prefix}:news"
        """The channel that every node listens to."""

    def channel(self, topic: str) -> str:
        """The channel on which a topic's messages are announced."""
        return f"{self._channel_start}{quote(topic, _PLAIN)}}}"

    def watched(self, topic: str) -> str:
        """The channel on which it is announced that a topic is watched, which was not; sync.lua has it too.

        It is one of its own, so that only nodes which mirror a topic listen to the topic's channel.
        """
        return f"{self.channel(topic)}{_WATCHED}"

    def is_watched(self, channel: str) -> bool:
        """Whether `channel` is one of those."""
        return channel.endswith(_WATCHED)

    def topic_of(self, channel: str) -> str:
        """The topic that a channel is of, whichever of the two."""
        return unquote(channel[len(self._channel_start) : channel.rindex("}")])

    def of_topic(self, topic: str) -> tuple[str, str, str]:
        """The keys of a topic as the scripts take them: what it is, its ring, and who watches it."""
        tag = self.channel(topic)
        return f"{tag}:topic", f"{tag}:ring", f"{tag}:watches"

    def of_publish(self, topic: str, idempotency_key: str) -> str:
        """The key under which the answer to a publish is kept."""
        return f"{self.channel(topic)}:key:{idempotency_key}"
