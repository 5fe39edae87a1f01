"""Run a command. What it prints is a topic that ends with its exit code.

python build.py TOPIC COMMAND [ARGUMENT...]
"""

import shlex
import signal
import subprocess
import sys

from slosh.client import Client, ClientError, Publisher

NOT_STARTED = 2
NOT_FOUND = 127  # as a shell says it
BY_SIGNAL = 128


def main(topic: str, command: list[str]) -> int:
    """Run `command`, and publish its lines and its exit code to `topic`."""
    with Client() as client:
        try:
            # Before the command runs: a topic that has ended belongs to another build, and takes nothing of this one.
            client.publish(topic, f"$ {shlex.join(command)}", strict=True)
        except ClientError as error:
            print(f"The build was not started: {error}", file=sys.stderr)
            return NOT_STARTED
        code, why = 1, "build.py failed"
        try:
            code, why = run(client, topic, command)
        except KeyboardInterrupt:
            code, why = BY_SIGNAL + signal.SIGINT, "interrupted"
        finally:  # whatever happens: a reader would wait for the end for ever
            tell(client, topic, {"exit": code, "why": why} if why else {"exit": code})
    return code


def run(client: Client, topic: str, command: list[str]) -> tuple[int, str]:
    """Publish the lines of `command`; its exit code, and why it could not run."""
    try:
        running = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        print(error, file=sys.stderr)
        return NOT_FOUND, str(error)
    # In the background: a build does not wait for a server that is away.
    with running, Publisher(client) as lines:
        try:
            for line in running.stdout or ():
                lines.send(topic, line.rstrip("\n"))
            code = running.wait()
        except KeyboardInterrupt:
            running.terminate()
            raise
    if missing := lines.dropped + lines.refused:
        print(f"{missing} {'line was' if missing == 1 else 'lines were'} not stored: {lines.error}", file=sys.stderr)
    return (code if code >= 0 else BY_SIGNAL - code), ""


def tell(client: Client, topic: str, last: dict[str, object]) -> None:
    """Publish the last message and the end, in one step."""
    try:
        client.publish(topic, last, end=True, strict=True)
    except ClientError as error:
        print(f"How it ended was not stored: {error}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a build that is stopped has an end too
    sys.exit(main(sys.argv[1], sys.argv[2:]))
