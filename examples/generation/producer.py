"""Answers the questions that come in on the topic `prompts`. Each answer is a topic of its own, which ends.

python producer.py [seconds for each token]
"""

import sys
import threading

from model import write

from slosh.client import Client

PACE = float(sys.argv[1]) if len(sys.argv) > 1 else 0.03


def answer(client: Client, topic: str, prompt: str) -> None:
    """Publish the answer to `prompt`, for as long as somebody reads it."""
    if not client.open(topic):  # so that the first token is kept before the page is there
        print(f"{topic}: this topic has ended; a question needs a topic of its own", flush=True)
        return
    try:
        for number, token in enumerate(write(prompt, pace=PACE)):
            if not (published := client.publish(topic, token)):
                why = "its reader ended it" if published.ended else "nobody reads"  # for the class's `linger`
                print(
                    f"{topic}: stopped after {number} {'token' if number == 1 else 'tokens'}, because {why}", flush=True
                )
                return
    except Exception as error:  # whatever a model raises: its reader would wait for more
        client.publish(topic, {"failed": str(error)}, end=True)
        raise
    client.end(topic)
    print(f"{topic}: written", flush=True)


def main() -> None:
    """Answer each question in a thread of its own."""
    with Client() as client:
        for item in client.watch("prompts"):
            asked = item.message
            if isinstance(asked, dict) and str(asked.get("topic")).startswith("answer/"):
                of_question = (client, asked["topic"], str(asked.get("prompt")))
                threading.Thread(target=answer, args=of_question, daemon=True).start()


if __name__ == "__main__":
    main()
