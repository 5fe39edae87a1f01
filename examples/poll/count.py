"""Counts the votes on `poll/votes`, and publishes how many each choice has on `poll/result`."""

from collections import Counter

from slosh.client import Client


def main() -> None:
    """Count for as long as it runs. A voter's newest vote counts."""
    choices: dict[str, str] = {}
    with Client() as client:
        for item in client.watch("poll/votes", since="earliest"):
            vote = item.message
            if isinstance(vote, dict) and isinstance(vote.get("voter"), str) and isinstance(vote.get("choice"), str):
                choices[vote["voter"][:100]] = vote["choice"][:100]
                client.publish("poll/result", {"votes": Counter(choices.values())})


if __name__ == "__main__":
    main()
