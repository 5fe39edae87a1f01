"""How the store's keys and channels are called.

All of a topic's keys have its name as their hash tag, so that a cluster keeps them at one server. Names are
percent-encoded in it, because a brace would end the tag early.
"""

from urllib.parse import quote, unquote

_PLAIN = "/:@!$&'()*+=~ "
"""What stands in a key as it is, besides letters, digits and `_.-`."""


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

    def topic_of(self, channel: str) -> str:
        """The topic that a channel is of."""
        return unquote(channel[len(self._channel_start) : -1])

    def of_topic(self, topic: str) -> tuple[str, str, str]:
        """The keys of a topic as the scripts take them: what it is, its ring, and who watches it."""
        tag = self.channel(topic)
        return f"{tag}:topic", f"{tag}:ring", f"{tag}:watches"

    def of_publish(self, topic: str, idempotency_key: str) -> str:
        """The key under which the answer to a publish is kept."""
        return f"{self.channel(topic)}:key:{idempotency_key}"
