"""Print the output of a build from its first line on, and exit as it did.

python follow.py TOPIC
"""

import sys

from slosh.client import Client, ClientError

NOT_KNOWN = 1


def main(topic: str) -> int:
    """Print what the build at `topic` printed; its exit code."""
    with Client() as client:
        for item in client.watch(topic, since="earliest"):
            if item.reset:
                print("… the server began again; what it held is gone")
            if item.lost:
                print(f"… {item.lost} {'line is' if item.lost == 1 else 'lines are'} not kept any more")
            if isinstance(item.message, dict) and isinstance(item.message.get("exit"), int):
                if "why" in item.message:
                    print(item.message["why"], file=sys.stderr)
                code: int = item.message["exit"]
                return code
            print(item.message, flush=True)
    print("the build was ended before it said how it went", file=sys.stderr)
    return NOT_KNOWN


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1]))
    except ClientError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
