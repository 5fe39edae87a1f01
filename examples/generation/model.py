"""A model that makes things up: it writes tokens as a language model does, and needs no network."""

import random
import time
from collections.abc import Iterator

TEXT = """a small server keeps one ring for each topic and no queue for each reader, so a slow reader costs its place
and delays nobody, while every answer says exactly what was missed"""
WORDS = TEXT.split()


def write(prompt: str, tokens: int = 300, pace: float = 0.03) -> Iterator[str]:
    """The answer to a prompt, one token at a time.

    Args:
        prompt: the same prompt has the same answer.
        tokens: how many.
        pace: seconds that each takes.
    """
    chance = random.Random(prompt)
    for number in range(tokens):
        time.sleep(pace)
        yield f"[{number}]" if number % 25 == 24 else chance.choice(WORDS) + " "
