"""`slosh pub`: a value, or each line of standard input, with real pipes."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.processes import ProcessGroup
from slosh.cli import main
from slosh.client import Client
from slosh.client.errors import BadUse
from slosh.commands.pub import encode_line
from slosh.commands.shared import EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_UNWATCHED, EXIT_USAGE
from tests.e2e.server import Serving, until
from tests.running import SLOSH, clean_environment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=60s", "--queue=1000") as serving:
        yield serving.url


def pub(url: str, *arguments: str, lines: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*SLOSH, "pub", *arguments],
        input=lines,
        capture_output=True,
        check=False,
        timeout=60,
        env=clean_environment(SLOSH_URL=url),
    )


def kept(url: str, topic: str) -> list[object]:
    """What is kept of a topic, which this makes active."""
    with Client(url) as client:
        answer = client.connect().get(f"{url}/topics/{topic}?since=earliest&wait=0")
        messages: list[object] = json.loads(answer.content)["res"]
        return messages


def test_a_value_is_published(server: str) -> None:
    kept(server, "pub/value")
    done = pub(server, "pub/value", '{"t": 21.5}')
    assert (done.returncode, done.stdout) == (0, b"")
    assert kept(server, "pub/value") == [{"t": 21.5}]


def test_what_is_no_json_is_a_text(server: str) -> None:
    kept(server, "pub/text")
    assert pub(server, "pub/text", "hello there").returncode == 0
    assert pub(server, "pub/text", "12", "--as", "text").returncode == 0
    assert kept(server, "pub/text") == ["hello there", "12"]


def test_a_topic_that_nobody_watches_is_an_exit_code_of_its_own(server: str) -> None:
    done = pub(server, "pub/nobody", "1")
    assert done.returncode == EXIT_UNWATCHED
    assert b"slosh sub pub/nobody" in done.stderr


def test_each_line_is_a_message_and_none_is_lost(server: str) -> None:
    kept(server, "pub/lines")
    done = pub(server, "pub/lines", lines=b"".join(b"%d\n" % number for number in range(777)))
    assert done.returncode == 0, done.stderr
    assert kept(server, "pub/lines") == list(range(777))


def test_lines_of_every_kind(server: str) -> None:
    kept(server, "pub/kinds")
    lines = '{"a": 1}\r\n\nplain text\n"\\u001b[31m"\n\xff\n[1,\n last'.encode("latin-1")
    assert pub(server, "pub/kinds", lines=lines).returncode == 0
    assert kept(server, "pub/kinds") == [{"a": 1}, "plain text", "\x1b[31m", "\ufffd", "[1,", " last"]


def test_lines_that_nobody_watches_are_counted(server: str) -> None:
    done = pub(server, "pub/unwatched", lines=b"1\n2\n3\n")
    assert done.returncode == EXIT_UNWATCHED
    assert b"3 messages were not published" in done.stderr


def test_strict_stops_at_the_first_that_nobody_watches(server: str) -> None:
    done = pub(server, "pub/strict", "--strict", lines=b"1\n2\n3\n")
    assert done.returncode == EXIT_UNWATCHED
    assert b"stopped there" in done.stderr


def test_a_refused_line_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    with Serving(tmp_path, "--unwatched=keep", "--max-message=20") as serving:
        done = pub(serving.url, "a", lines=b"1\n" + b'"' + b"x" * 50 + b'"\n3\n')
        assert done.returncode == EXIT_REFUSED
        assert b"refused 1 messages" in done.stderr
        assert kept(serving.url, "a") == [1, 3]


def test_a_server_that_is_away_is_told_in_a_sentence() -> None:
    for arguments, lines in [(("a", "1"), b""), (("a",), b"1\n2\n")]:
        done = pub("http://127.0.0.1:1", *arguments, "--timeout=1s", lines=lines)
        assert done.returncode == EXIT_UNREACHABLE
        assert b"slosh serve" in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("a,b", "1"),
        ("a/*", "1"),
        ("a", "{", "--as", "json"),
        ("a", "--timeout", "soon"),
        (),
        ("a", "1", "--url", "x:80"),
    ],
)
def test_a_mistake_is_told_with_what_to_type(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, ["pub", *arguments])
    assert done.exit_code == EXIT_USAGE
    assert "Error: " in done.output


def test_a_server_that_is_killed_in_the_middle_of_it(tmp_path: Path) -> None:
    """Each line is published, at the old server or the new one; the lines of a batch that got no answer go again."""
    with Serving(tmp_path, "--unwatched=keep", "--queue=1000") as serving:
        port = int(serving.url.rpartition(":")[2])
        publishing: ProcessGroup[bytes] = ProcessGroup(
            [*SLOSH, "pub", "killed"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(SLOSH_URL=serving.url),
        )
        assert publishing.stdin is not None
        publishing.stdin.write(b"1\n2\n")
        publishing.stdin.flush()
        until(lambda: kept(serving.url, "killed"), lambda messages: messages == [1, 2])
        serving.process.send_signal(signal.SIGKILL)
    publishing.stdin.write(b"3\n4\n")
    publishing.stdin.flush()
    with Serving(tmp_path, "--unwatched=keep", port=port) as serving:
        publishing.stdin.close()
        assert publishing.wait(60) == 0, publishing.stderr
        assert kept(serving.url, "killed") == [3, 4]
    if publishing.stderr is not None:
        publishing.stderr.close()


@pytest.mark.parametrize(
    ("line", "form", "message"),
    [
        (b' {"a":\t1} ', "auto", b'{"a":\t1}'),
        (b"01", "auto", b'"01"'),
        (b"NaN", "auto", b'"NaN"'),
        (b"true", "text", b'"true"'),
        (b'say "x"', "auto", b'"say \\"x\\""'),
    ],
)
def test_a_line_as_a_message(line: bytes, form: str, message: bytes) -> None:
    assert encode_line(line, form) == message


def test_a_line_that_is_to_be_json_and_is_not() -> None:
    with pytest.raises(BadUse, match="--as text"):
        encode_line(b"{", "json")
