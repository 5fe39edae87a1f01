"""`slosh pub`: a value, or each line of standard input, with real pipes."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from slosh.cli import main
from slosh.client import Client
from slosh.client.errors import BadUse
from slosh.commands.lines import Encoder, encode_line
from slosh.commands.publishing import LinePublisher, PacedSource, publish_lines
from slosh.commands.shared import EXIT_ENDED, EXIT_FOUND, EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_UNWATCHED, EXIT_USAGE
from tests.cases import each_of
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, clean_environment
from tests.stores.server import Store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=10m", "--queue=1000") as serving:
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


def pub_here(*arguments: str, url: str = "http://127.0.0.1:9") -> "subprocess.CompletedProcess[bytes]":
    """As `pub`, without lines, in this process, which costs a tenth of one's own."""
    done = CliRunner(env=clean_environment(SLOSH_URL=url)).invoke(main, ["pub", *arguments])
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout_bytes, done.stderr_bytes)


def go_on() -> None:
    """Where no input is to be ended."""


def kept(url: str, topic: str) -> list[object]:
    """What is kept of a topic, which this makes active."""
    with Client(url) as client:
        answer = client.connect().get(f"{url}/topics/{topic}?since=earliest&wait=0", timeout=PATIENCE)
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


@pytest.mark.parametrize("words", [(), ("--strict",), ("--spool", "bytes.spool")], ids=["lines", "strict", "spool"])
def test_bytes_that_are_no_utf_8_are_told_once(server: str, words: tuple[str, ...], tmp_path: Path) -> None:
    topic = f"pub/bytes/{tmp_path.name}"
    kept(server, topic)
    words = tuple(str(tmp_path / word) if word == "bytes.spool" else word for word in words)
    done = pub(server, topic, *words, lines=b"1\n\xff\n\xe4\xf6\n\xc3\xa4\n")
    told = done.stderr.decode().splitlines()
    assert done.returncode == 0, told
    assert kept(server, topic) == [1, "\ufffd", "\ufffd\ufffd", "ä"]
    first, second = told
    assert first.startswith("slosh: line 2 is no UTF-8")
    assert second == "slosh: 2 lines were no UTF-8"


def test_a_value_that_is_no_utf_8_is_told(server: str) -> None:
    kept(server, "pub/value-bytes")
    done = pub(server, "pub/value-bytes", "k\udce4se")
    assert (done.returncode, kept(server, "pub/value-bytes")) == (0, ["k\ufffdse"])
    assert done.stderr.decode().startswith("slosh: the value is no UTF-8")


def test_a_topic_that_nobody_watches_is_an_exit_code_of_its_own(server: str) -> None:
    done = pub(server, "pub/nobody", "1")
    assert done.returncode == EXIT_UNWATCHED
    assert b"slosh sub pub/nobody" in done.stderr
    assert b"slosh sub 'pub/no body; ls'" in pub(server, "pub/no body; ls", "1").stderr  # as a shell has to be told


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
    assert b"1 message was not published" in pub(server, "pub/unwatched", lines=b"1\n").stderr


@pytest.mark.parametrize("value", ['{"loss": NaN}', " [1, 2", "{'a': 1}"])
def test_a_value_and_a_line_are_json_where_they_are_json_and_else_a_text(server: str, value: str) -> None:
    """A value that looks like JSON and is none is told: a shell may have taken its quotes away."""
    topic = f"pub/broken/{len(value)}"
    kept(server, topic)
    done = pub_here(topic, value, url=server)
    assert (done.returncode, b"--as json" in done.stderr, b"--as text" in done.stderr) == (0, True, True)
    assert pub(server, topic, lines=value.encode()).returncode == 0
    assert pub_here(topic, value, "--as", "text", url=server).stderr == b""
    assert kept(server, topic) == [value] * 3
    refused = pub_here(topic, value, "--as", "json")
    assert (refused.returncode, b"This is not JSON" in refused.stderr) == (2, True)
    assert b"--as text" in pub_here("--help").stdout


@pytest.mark.parametrize(
    ("words", "value"),
    [(("-5",), -5), (("--batch", "7", "-.5"), "-.5"), (("-1e3", "--open"), -1000), (("--", "-x"), "-x")],
)
def test_a_negative_number_is_a_value(server: str, words: tuple[str, ...], value: object) -> None:
    topic = f"pub/negative/{len(words)}{len(str(value))}"
    kept(server, topic)
    done = pub_here(topic, *words, url=server)
    assert (done.returncode, kept(server, topic)) == (0, [value]), done.stderr
    wrong = pub_here(topic, "-x")
    assert (wrong.returncode, b"slosh pub kitchen -- -x" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("words", [(), ("--strict",), ("--spool=spooled",), ("1",), ("--exec=seq 3",)])
def test_a_topic_that_cannot_be_is_told_at_once(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a line is read, and without asking a server. Lines waited for ever."""
    monkeypatch.chdir(tmp_path)
    for topic in ("a,b", "a/*", ".."):
        done = pub_here(topic, *words)
        assert done.returncode == EXIT_USAGE
        assert done.stderr.startswith(b"Error: ")
        assert list(tmp_path.iterdir()) == []


def test_strict_stops_at_the_first_that_nobody_watches(server: str) -> None:
    done = pub(server, "pub/strict", "--strict", lines=b"1\n2\n3\n")
    assert done.returncode == EXIT_UNWATCHED
    assert b"stopped there" in done.stderr


def test_a_refused_line_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    with Serving(tmp_path, "--unwatched=keep", "--max-message=20") as serving:
        for words in ((), ("--strict",), ("--spool", str(tmp_path / "spool"))):
            topic = f"a{len(words)}"
            done = pub(serving.url, topic, *words, lines=b"1\n2\n" + b'"' + b"x" * 50 + b'"\n4\n')
            assert done.returncode == EXIT_REFUSED
            assert b"Line 3 has 52 bytes" in done.stderr, "of the batch, and not of the part that was sent last"
            if words != ("--strict",):
                assert b"refused 1 message" in done.stderr
                assert kept(serving.url, topic) == [1, 2, 4]


CLASSES = '[topics."log/**"]\nqueue = 10000\n[topics.small]\nqueue = 8\n'


@pytest.mark.parametrize(("topic", "posts"), [("log/app", 2), ("small", 1 + 1950 // 4 + 1)])
def test_lines_of_a_file_fill_requests_up_to_half_of_what_the_topic_keeps(
    tmp_path: Path, topic: str, posts: int
) -> None:
    """`small` keeps 8, so 4 go together behind the first request, which nothing was known for."""
    (tmp_path / "slosh.toml").write_text(CLASSES)
    (tmp_path / "lines").write_bytes(b"".join(b"%d\n" % number for number in range(2000)))
    with Serving(tmp_path, "--unwatched=keep") as serving, (tmp_path / "lines").open("rb") as lines:
        command = [*SLOSH, "pub", topic, "--url", serving.url]
        before = serving.metric("slosh_requests_total")
        done = subprocess.run(command, stdin=lines, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert serving.metric("slosh_requests_total") - before - 1 == posts, "one request asked for the count before"
        assert serving.metric("slosh_published_messages_total") == 2000
        assert kept(serving.url, topic)[-8:] == list(range(1992, 2000))


def test_a_server_that_takes_less_at_a_time_gets_less_and_all_of_it_in_order(tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text(CLASSES)
    with Serving(tmp_path, "--unwatched=keep", "--max-body=2000", "--max-message=1000", "--max-batch=300") as serving:
        lines = b"".join(b"%d\n" % number for number in range(3000)) + b'"' + b"x" * 1500 + b'"\n3000\n'
        for words in ((), ("--strict",), ("--spool", str(tmp_path / "spool"))):
            topic = f"log/{len(words)}"
            done = pub(serving.url, topic, *words, lines=lines)
            assert (done.returncode, kept(serving.url, topic)[:3000]) == (EXIT_REFUSED, list(range(3000))), done.stderr
            assert b"max_message" in done.stderr
            if words != ("--strict",):
                assert b"refused 1 message" in done.stderr
                assert kept(serving.url, topic)[-1] == 3000


def test_a_line_that_is_no_json_is_left_out_and_told_and_the_others_are_published(server: str, tmp_path: Path) -> None:
    for words in ((), ("--strict",), ("--spool", str(tmp_path / "spool"))):
        topic = f"pub/broke/{len(words)}"
        kept(server, topic)
        done = pub(server, topic, "--as=json", *words, lines=b"1\n\n2\nthree\n4\n")
        assert (done.returncode, b"line 4 is left out: This is not JSON: 'three'" in done.stderr) == (EXIT_FOUND, True)
        assert b"1 line left out" in done.stderr
        assert kept(server, topic) == [1, 2, 4]


@pytest.mark.parametrize(
    ("form", "lines", "messages", "told"),
    [
        ("logfmt", b"level=info ms=12\n=x\n", [{"level": "info", "ms": 12}], b"line 2 is left out: This is no logfmt"),
        ("csv", b"t,u\n1,2\n3\n5,6\n", [{"t": 1, "u": 2}, {"t": 5, "u": 6}], b"line 3 is left out"),
        ("csv", b't,u\n"a\nb",2\n"c\nd"\n', [{"t": "a\nb", "u": 2}], b"lines 4 to 5 are left out"),
        ("influx", b"cpu\ncpu load=1\n", [{"measurement": "cpu", "load": 1}], b"line 1 is left out"),
        ("json", b"{\n" * 30, [], b"30 lines left out"),
    ],
)
def test_a_line_of_another_form_costs_none_of_the_others(
    server: str, form: str, lines: bytes, messages: list[object], told: bytes
) -> None:
    topic = f"pub/left/{form}/{len(lines)}"
    kept(server, topic)
    done = pub(server, topic, f"--as={form}", lines=lines)
    assert (done.returncode, told in done.stderr) == (EXIT_FOUND, True), done.stderr
    assert kept(server, topic) == messages
    assert done.stderr.count(b"is left out") <= 10


@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_who_ends_it_has_what_was_read_published_or_is_told_how_much_was_not(
    tmp_path: Path, told: signal.Signals, code: int
) -> None:
    """`tail -f x | slosh pub a` ends by Ctrl-C or as a service does, and the last line may have come just then."""
    with Serving(tmp_path, "--unwatched=keep") as serving:
        with publishing("ctrl-c", serving.url) as ours:
            assert ours.stdin is not None
            ours.stdin.write(b"1\n2\n")
            ours.stdin.flush()
            until(lambda: kept(serving.url, "ctrl-c"), lambda messages: messages[:1] == [1])
            ours.send_signal(told)
            assert ours.wait(PATIENCE) == code
        assert kept(serving.url, "ctrl-c") == [1, 2]
    with publishing("ctrl-c", f"http://127.0.0.1:{free_port()}", "--timeout=1s") as ours:
        assert ours.stdin is not None
        assert ours.stderr is not None
        ours.stdin.write(b"3\n4\n")
        ours.stdin.flush()
        assert b"Lines wait meanwhile" in ours.stderr.readline()
        ours.send_signal(told)
        assert ours.wait(PATIENCE) == code
        assert b"2 messages were read and not published" in ours.stderr.read()


def test_what_was_read_when_ctrl_c_comes_is_published_before_it_ends(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slosh.commands.publishing._PARTING", PATIENCE)
    kept(server, "pub/parting")

    def lines() -> Iterator[list[bytes]]:
        yield [b"%d" % number for number in range(900)]
        raise KeyboardInterrupt

    with Client(server) as client:
        publisher = LinePublisher(client, go_on, batch=5, when_watched=False)  # many requests, so few are sent
        with pytest.raises(KeyboardInterrupt):
            publish_lines(
                click.Context(main),
                publisher,
                "pub/parting",
                Encoder("json"),
                PacedSource(lines(), None, time.sleep),
                None,
            )
    assert kept(server, "pub/parting") == list(range(900))


@pytest.mark.parametrize("words", [(), ("--strict",)], ids=["", "--strict"])
def test_lines_that_wait_for_their_time_are_counted_when_it_is_ended(server: str, words: tuple[str, ...]) -> None:
    """They were read, so no other process can read them any more."""
    kept(server, f"pub/waited{len(words)}")
    with publishing(f"pub/waited{len(words)}", server, "--rate=1", *words) as ours:
        assert ours.stdin is not None
        assert ours.stderr is not None
        ours.stdin.write(b"1\n" * 40)
        ours.stdin.flush()
        until(lambda: kept(server, f"pub/waited{len(words)}"), bool)
        ours.send_signal(signal.SIGTERM)
        found = re.search(rb"([0-9]+) messages were read and not published", ours.stderr.read())
        assert found is not None
        assert ours.wait(PATIENCE) == -signal.SIGTERM
    assert len(kept(server, f"pub/waited{len(words)}")) + int(found[1]) == 40


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_lines_that_wait_for_their_time_stay_in_the_spool(server: str, tmp_path: Path, told: signal.Signals) -> None:
    topic = f"pub/paced/{told.name}"
    kept(server, topic)
    spool = str(tmp_path / "spool")
    with publishing(topic, server, "--rate=5", "--spool", spool) as ours:
        assert ours.stdin is not None
        ours.stdin.write(b"".join(b"%d\n" % number for number in range(100)))
        ours.stdin.flush()
        until(lambda: len(kept(server, topic)), lambda number: number > 2)
        ours.send_signal(told)
        ours.wait(PATIENCE)
    assert len(kept(server, topic)) < 100
    assert pub(server, topic, "--spool", spool, "--rate=1000", f"--timeout={PATIENCE}s").returncode == 0
    assert kept(server, topic) == list(range(100))
    assert list(tmp_path.iterdir()) == []


def test_time_that_is_given_for_the_end_is_not_that_of_the_rate(server: str, tmp_path: Path) -> None:
    kept(server, "pub/slowly")
    words = ("--rate=10", "--spool", str(tmp_path / "spool"), "--timeout=2s")
    assert pub(server, "pub/slowly", *words, lines=b"1\n" * 30).returncode == 0
    assert len(kept(server, "pub/slowly")) == 30


def publishing(topic: str, url: str, *words: str) -> "ProcessGroup[bytes]":
    return ProcessGroup(
        [*SLOSH, "pub", topic, *words],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(SLOSH_URL=url),
    )


def test_a_server_that_is_away_is_told_in_a_sentence() -> None:
    for arguments, lines in [(("a", "1"), b""), (("a",), b"1\n2\n")]:
        done = pub("http://127.0.0.1:1", *arguments, "--timeout=1s", lines=lines)
        assert done.returncode == EXIT_UNREACHABLE
        assert b"slosh serve" in done.stderr
        assert b"Traceback" not in done.stderr


@each_of(
    "arguments",
    [
        ("a,b", "1"),
        ("a/*", "1"),
        ("a", "{", "--as", "json"),
        ("a", "--timeout", "soon"),
        ("a", "--rate", "1e-12"),
        ("a", "--rate", "0"),
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
    port = free_port()
    with Serving(tmp_path, "--unwatched=keep", "--queue=1000", port=port) as serving:
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


HALF = 2000
FORMS: dict[str, tuple[str, str]] = {
    "csv": ("number,place", "{0},roof"),
    "logfmt": ("", 'number={0} place="a roof"'),
    "influx": ("# a comment", "air,place=roof number={0} {0}000000"),
    "regex:(?P<number>[0-9]+)": ("no match", "line {0} of many"),
    "json": ("", '{{"number": {0}}}'),
}
"""What stands before the lines, and a line, with its number."""


@pytest.mark.parametrize("spools", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("form", [pytest.param(each, marks=[pytest.mark.long] * (each != "csv")) for each in FORMS])
def test_lines_in_are_messages_out_when_the_server_is_killed_in_the_stream(
    form: str, spools: bool, tmp_path: Path
) -> None:
    """The messages live in a Redis, so the next server shows what became of every line: one message, in its order."""
    first, line = FORMS[form]
    options = ("--unwatched=keep", "--linger=10m", "--queue=10000")
    lines = [line.format(number) for number in range(2 * HALF)]
    words = ("--spool", str(tmp_path / "spool")) if spools else ()
    with Store(tmp_path / "redis") as store, ExitStack() as stack:
        engine = f"--engine={store.url}"
        port = free_port()
        with Serving(tmp_path, *options, engine, port=port) as serving:
            publishing: ProcessGroup[bytes] = stack.enter_context(
                ProcessGroup(
                    [*SLOSH, "pub", "killed", "--as", form, *words],
                    stdin=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=clean_environment(SLOSH_URL=serving.url),
                )
            )
            assert publishing.stdin is not None
            publishing.stdin.write("\n".join([*filter(None, [first]), *lines[:HALF], ""]).encode())
            publishing.stdin.flush()
            with Client(serving.url) as client:
                until(client.topics, bool)
            serving.process.send_signal(signal.SIGKILL)
        publishing.stdin.write("\n".join([*lines[HALF:], ""]).encode())
        publishing.stdin.close()
        with Serving(tmp_path, *options, engine, port=port) as serving:
            assert publishing.wait(60) == 0, publishing.stderr
            with Client(serving.url) as client:
                assert client.topics()[0]["max"] == 2 * HALF
                with client.watch("killed", since="earliest") as watch:
                    found = [item.message for _, item in zip(lines, watch, strict=False)]  # no more are asked for
    assert [each["number"] for each in found if isinstance(each, dict)] == list(range(2 * HALF))


@each_of(
    ("line", "form", "message"),
    [
        (b' {"a":\t1} ', "auto", b'{"a":\t1}'),
        (b"01", "auto", b'"01"'),
        (b"NaN", "auto", b'"NaN"'),
        (b"true", "text", b'"true"'),
        (b'say "x"', "auto", b'"say \\"x\\""'),
        (b'{"a":"\xff"}', "auto", b'"{\\"a\\":\\"\xef\xbf\xbd\\"}"'),
        (b'{"a":"\xc3\xa4"}', "auto", b'{"a":"\xc3\xa4"}'),
    ],
)
def test_a_line_as_a_message(line: bytes, form: str, message: bytes) -> None:
    assert encode_line(line, form) == message


def test_a_line_that_is_to_be_json_and_is_not() -> None:
    for line in (b"{", b'"\xff"'):
        with pytest.raises(BadUse, match="--as text"):
            encode_line(line, "json")


def test_lines_of_a_form_become_objects(server: str) -> None:
    kept(server, "pub/forms")
    done = pub(server, "pub/forms", "--as=csv", lines=b"t,place\n21.5,roof\n22,\n")
    assert done.returncode == 0, done.stderr
    done = pub(server, "pub/forms", r"--as=regex:took (?P<ms>\d+)", lines=b"took 5\nslept\n")
    assert (done.returncode, b"1 line left out" in done.stderr) == (0, True)
    assert kept(server, "pub/forms") == [{"t": 21.5, "place": "roof"}, {"t": 22, "place": None}, {"ms": 5}]
    refused = pub(server, "pub/forms", "--as=logfmt", lines=b'"')
    assert (refused.returncode, b"no logfmt" in refused.stderr) == (EXIT_FOUND, True)
    heading = pub(server, "pub/forms", "--as=csv", lines=b'"\n1,2\n')
    assert (heading.returncode, b"no line of CSV" in heading.stderr) == (EXIT_USAGE, True)


def test_lines_keep_to_a_rate() -> None:
    slept: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slosh.commands.publishing.time.sleep", slept.append)
        patch.setattr("slosh.commands.publishing.time.monotonic", lambda: 100.0 + sum(slept))
        parts = list(PacedSource(iter([[b"x"] * 7, [b"x"] * 3]), 40.0, time.sleep))
    assert [len(part) for part in parts] == [2, 2, 2, 1, 2, 1]
    assert sum(slept) == pytest.approx(9 / 40)  # all but what the last part may take


def test_lines_become_a_stream_with_an_end(server: str) -> None:
    done = pub(server, "pub/ends", "--open", "--end", "--as", "text", lines=b"one\ntwo\n")
    assert done.returncode == 0, done.stderr
    assert kept(server, "pub/ends") == ["one", "two"]
    with Client(server) as client:
        assert client.publish("pub/ends", 3).ended
    for options in ((), ("--open",), ("--strict",)):
        done = pub(server, "pub/ends", *options, lines=b"three\n")
        assert done.returncode == EXIT_ENDED, done.stderr
        assert b"has ended" in done.stderr
    assert pub(server, "pub/ends", "three").returncode == EXIT_ENDED


def test_a_value_may_be_the_first_and_the_last(server: str) -> None:
    assert pub(server, "pub/one", "1", "--open", "--end").returncode == 0
    assert kept(server, "pub/one") == [1]
    assert pub(server, "pub/gone", "--end").returncode == EXIT_UNWATCHED


def test_a_spool_has_no_end(server: str, tmp_path: Path) -> None:
    done = pub(server, "pub/spool", "--spool", str(tmp_path / "spool"), "--end")
    assert done.returncode == EXIT_USAGE


def test_while_no_server_answers_it_says_that_it_tries_again(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which says nothing
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = CliRunner().invoke(main, ["pub", "kitchen", "1", "--timeout=2s", "--url", url])
    assert done.exit_code == 5
    told = done.output + capfd.readouterr().err
    assert f"no answer from {url} yet; trying again" in told
    assert "Start one with `slosh serve`" in told


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that lets nobody publish who has no token."""
    folder = tmp_path_factory.mktemp("closed")
    (folder / "slosh.toml").write_text('[access]\npublic = { read = ["**"] }\n', encoding="utf-8")
    with Serving(folder, "--config=slosh.toml", "--unwatched=keep") as serving:
        yield serving.url


@pytest.mark.parametrize("token", ["", "wrong"])
@pytest.mark.parametrize("spool", [False, True])
def test_a_publisher_without_a_right_ends_at_once_though_its_input_goes_on(
    closed: str, tmp_path: Path, token: str, *, spool: bool
) -> None:
    """`tail -f app.log | slosh pub log` would else run for months and publish nothing. A spool keeps its lines."""
    file = tmp_path / "spool"
    command = (*SLOSH, "pub", "log", *(("--spool", str(file)) if spool else ()))
    environment = clean_environment(SLOSH_URL=closed, **({"SLOSH_TOKEN": token} if token else {}))
    with ProcessGroup(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write("1\n2\n3\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == EXIT_REFUSED  # standard input is open
        said = process.stderr.read()
    assert "SLOSH_TOKEN" in said
    assert file.exists() is spool
    if spool:
        assert "6 bytes of messages wait in" in said
        assert file.read_text() == "1\n2\n3\n"
    else:
        assert "refused 3 messages" in said


def test_lines_that_waited_for_their_time_when_it_was_kept_out_are_counted(closed: str) -> None:
    done = pub(closed, "log", "--rate=0.01", lines=b"".join(b"%d\n" % number for number in range(200)))
    assert done.returncode == EXIT_REFUSED
    # It does not wait for the next one's time, a minute and more away.
    counts = re.findall(rb"(?:refused )?([0-9]+) messages?(?: were read and not published)?", done.stderr)
    assert sum(map(int, counts)) == 200, done.stderr


def test_each_reason_for_which_lines_are_refused_is_told_when_it_begins(
    server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    kept(server, "pub/reasons")
    with Client(server) as client:
        publisher = LinePublisher(client, go_on, batch=1, when_watched=False)
        said = ""
        for messages, reason in ([b"1", b"["], "no JSON"), ([b"[", b"]"], ""), ([b"2"], ""):
            publisher.send_encoded("pub/reasons", messages)
            assert publisher.flush(PATIENCE)
            said = capfd.readouterr().err
            assert said.count("the server refuses what is published") == bool(reason), said
        client.end("pub/reasons")
        publisher.send_encoded("pub/reasons", [b"3"])
        assert publisher.flush(PATIENCE)
        assert "pub/reasons has ended" in capfd.readouterr().err
        publisher.close()
    assert (publisher.sent, publisher.refused, publisher.is_kept_out) == (2, 4, False)


@pytest.mark.parametrize("words", [("a//b", "1"), ("a//b",), ("a*", "1"), ("a//b", "--spool=/nowhere/spool")])
def test_a_topic_that_cannot_be_is_a_wrong_argument(server: str, words: tuple[str, ...]) -> None:
    done = pub(server, *words, lines=b"1\n")
    assert done.returncode == EXIT_USAGE, done.stderr
