"""What the commands have in common."""

from hashlib import sha256
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from slosh.cli import main
from slosh.client import Client
from slosh.commands.shared import (
    EXIT_REFUSED,
    EXIT_TIMED_OUT,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    complete_topics,
    parse_duration,
    printable,
)
from tests.cases import each_of
from tests.e2e.server import Serving
from tests.http1.certificates import Issuer
from tests.running import PATIENCE

OPTION = click.Option(["--timeout"])


@each_of(("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1.5", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(click.Context(click.Command("x")), OPTION, text) == seconds


@each_of("text", ["", "soon", "0", "-1s", "1w", "1e3", "٣s", "m", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s"):
        parse_duration(click.Context(click.Command("x")), OPTION, text)


def test_a_duration_is_not_longer_than_can_be_waited() -> None:
    with pytest.raises(click.BadParameter, match="too long; write at most 11574d"):
        parse_duration(click.Context(click.Command("x")), OPTION, "11575d")
    assert parse_duration(click.Context(click.Command("x")), OPTION, "11574d") == 11574 * 86400


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "-nan"])
def test_no_option_takes_a_number_that_cannot_be_counted_with(text: str) -> None:
    """Whichever command it is of: NaN is within any bounds."""
    numbers = 0
    group = click.Context(main)
    for name in main.list_commands(group):
        command = main.get_command(group, name)
        assert command is not None
        for option in command.params:
            if isinstance(option.type, click.types.FloatParamType):
                numbers += 1
                with pytest.raises(click.BadParameter, match=r"is no number|is not in the range"):
                    option.type_cast_value(click.Context(command), text)
    assert numbers >= 2


@pytest.mark.parametrize("text", ["inf", "nan", "1e999"])
def test_what_the_error_of_a_number_says_to_write_means_no_bound(text: str) -> None:
    """An option that has a default is left out in vain: it has that then."""
    group = click.Context(main)
    for name, wanted, told in (("replay", "speed", "write 0 for no pauses"), ("pub", "rate", "leave the option out")):
        command = main.get_command(group, name)
        assert command is not None
        (option,) = (each for each in command.params if each.name == wanted)
        with pytest.raises(click.BadParameter, match=told):
            option.type_cast_value(click.Context(command), text)
        assert ("leave" in told) == (option.to_info_dict()["default"] is None)


def test_each_name_of_a_file_is_told_where_it_is_empty() -> None:
    """As `-o "$FILE"` is where that variable is not set; an empty path would be the folder that one is in."""
    names: list[str] = []
    group = click.Context(main)
    for name in main.list_commands(group):
        command = main.get_command(group, name)
        assert command is not None
        for each in command.params:
            context = click.Context(command)
            if each.make_metavar(context).strip("[]") in ("FILE", "--config"):
                names.append(f"{name} {each.name}")
                with pytest.raises(click.BadParameter, match="this is empty; give the name of a file"):
                    each.type_cast_value(context, "")
                assert each.type_cast_value(context, "x") == "x"
    assert {"record output", "relay state", "pub spool", "replay file", "check config", "bridge password_file"} <= {
        *names
    }


@each_of(
    "words",
    [
        *(("sub", "a", "--key={}"), ("sub", "a", "--since={}"), ("sub", "{}"), ("plot", "{}"), ("pub", "{}", "1")),
        *(("record", "a", "-o-", "--since={}"), ("relay", "a", "b", "--since={}"), ("relay", "{}", "b")),
        *(("poll", "http://127.0.0.1:1/{}", "a"), ("poll", "http://{}/", "a"), ("topics", "--url=http://h/{}")),
    ],
    ids=" ".join,
)
@each_of("odd", ["\udcff", "x" * 70_000], ids=["no text", "too long"])
def test_what_no_address_can_have_is_a_sentence_and_no_traceback(words: tuple[str, ...], odd: str) -> None:
    """A byte that is no text, and more than there is room for."""
    done = CliRunner(env={"SLOSH_URL": "http://127.0.0.1:1"}).invoke(main, [each.format(odd) for each in words])
    assert (done.exit_code, done.output[:7]) == (EXIT_USAGE, "Error: "), repr(done.exception)[:200]


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    assert printable("a\x1b[2J\x07\u202e\U000e0001") == "a\\x1b[2J\\x07\\u202e\\U000e0001"
    assert printable("Zürich 日本") == "Zürich 日本"


def test_each_command_of_the_client_tells_of_its_environment() -> None:
    for name in ("pub", "sub", "topics"):
        said = CliRunner().invoke(main, [name, "--help"]).output
        assert all(part in said for part in ("Environment:", "SLOSH_URL", "SLOSH_TOKEN_FILE", "NO_COLOR"))


def test_a_token_may_stand_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text(
        f"[access]\n[[access.tokens]]\nname = 'ann'\nsha256 = '{sha256(b'opensesame').hexdigest()}'\n"
        "read = ['**']\npublish = ['**']\n"
    )
    file = tmp_path / "token"
    with Serving(tmp_path) as serving:
        for text, code, said in (
            ("opensesame\n", 0, "TOPIC"),
            ("swordfish\n", EXIT_REFUSED, "Error: "),
            ("two words", EXIT_USAGE, "SLOSH_TOKEN_FILE"),
            ("", EXIT_USAGE, "is empty"),
        ):
            file.write_text(text)
            done = CliRunner().invoke(main, ["topics", "--url", serving.url], env={"SLOSH_TOKEN_FILE": str(file)})
            assert (done.exit_code, said in done.output) == (code, True), done.output
            assert not text.strip() or text.strip() not in done.output
        without = {"SLOSH_TOKEN": None, "SLOSH_TOKEN_FILE": None}
        for words in (["topics"], ["pub", "a", "1"], ["sub", "a", "--timeout=9s"]):
            done = CliRunner().invoke(main, [*words, "--url", serving.url], env=without)
            assert (done.exit_code, "set SLOSH_TOKEN to it" in done.output) == (EXIT_REFUSED, True), done.output
        done = CliRunner().invoke(main, ["topics", "--url", serving.url], env=without | {"SLOSH_TOKEN": "swordfish"})
        assert "The token came from SLOSH_TOKEN." in done.output
        file.unlink()
        done = CliRunner().invoke(main, ["topics", "--url", serving.url], env={"SLOSH_TOKEN_FILE": str(file)})
        assert (done.exit_code, f"{file}, which cannot be read" in done.output) == (EXIT_USAGE, True)
        named = {"SLOSH_TOKEN": "opensesame", "SLOSH_TOKEN_FILE": str(file)}
        assert CliRunner().invoke(main, ["topics", "--url", serving.url], env=named).exit_code == 0


def test_names_of_topics_are_completed_from_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = click.Context(click.Command("sub"))
    monkeypatch.setattr("slosh.commands.shared._COMPLETING", PATIENCE)
    with Serving(tmp_path, "--unwatched=keep") as serving, Client(serving.url) as client:
        client.publish("kitchen", 1)
        client.publish("garden", 1)
        context.params["url"] = serving.url
        assert complete_topics(context, OPTION, "k") == ["kitchen"]
        assert complete_topics(context, OPTION, "") == ["garden", "kitchen"]
    assert complete_topics(context, OPTION, "k") == []


@pytest.mark.parametrize(
    "words",
    [
        *(("pub", "a", "1", "--timeout=2s"), ("sub", "a", "--timeout=2s"), ("topics",), ("top",)),
        *(("record", "a", "-o", "{folder}/f", "--timeout=2s"), ("plot", "a", "--timeout=2s"), ("doctor",)),
        ("relay", "a", "http://ann:hunter2@127.0.0.1:1/topics/b", "--timeout=2s"),
    ],
    ids=lambda words: words[0],
)
def test_a_password_in_the_address_is_never_shown(
    words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [word.format(folder=tmp_path) for word in words]
    done = CliRunner().invoke(main, [*arguments, "--url", "http://ann:hunter2@127.0.0.1:1"])
    assert done.exit_code in (EXIT_UNREACHABLE, EXIT_TIMED_OUT), done.output
    told = done.output + capfd.readouterr().err
    assert "127.0.0.1:1" in told or words[0] == "plot"
    assert "hunter2" not in told


@pytest.mark.parametrize("url", ["http://[::1", "http://h:port", "http://a..b", "http://127.0.0.1:8000/topics/a"])
def test_an_address_that_cannot_be_used_is_told_with_one_that_can(url: str) -> None:
    done = CliRunner().invoke(main, ["topics", "--url", url])
    assert (done.exit_code, "http://127.0.0.1:8000" in done.output) == (EXIT_USAGE, True), done.output


@pytest.mark.parametrize(
    "words", [("topics",), ("pub", "a", "1", "--timeout=30s"), ("sub", "a", "--timeout=30s"), ("doctor",)]
)
def test_a_wrong_scheme_and_a_certificate_that_is_not_trusted_are_told_as_that(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    issuer = Issuer(tmp_path)
    certificate, key = issuer.issue("localhost", "localhost")
    with Serving(tmp_path, f"--tls-cert={certificate}", f"--tls-key={key}") as serving:
        url = serving.url.replace("http://127.0.0.1", "https://localhost").replace(
            "https://127.0.0.1", "https://localhost"
        )
        done = CliRunner().invoke(main, [*words, "--url", url])
        assert (done.exit_code, "is not trusted" in done.output) == (EXIT_UNREACHABLE, True), done.output
        assert "SSL_CERT_FILE" in done.output
        plain = url.replace("https://", "http://")
        done = CliRunner().invoke(main, [*words, "--url", plain])
        assert done.exit_code == (EXIT_UNREACHABLE if words[0] == "doctor" else EXIT_REFUSED), done.output
        assert f"{plain} speaks TLS; write {url}." in done.output
    with Serving(tmp_path) as serving:
        done = CliRunner().invoke(main, [*words, "--url", serving.url.replace("http://", "https://")])
        assert (done.exit_code, f"does not speak TLS; write {serving.url}" in done.output) == (
            EXIT_UNREACHABLE,
            True,
        ), done.output


@each_of(
    "words",
    [
        *(
            ("sub", "{}"),
            ("pub", "{}", "1"),
            ("plot", "{}"),
            ("record", "{}", "-o", "-"),
            ("topics", "--explain", "{}"),
        ),
        *(("poll", "http://127.0.0.1:1/", "{}"), ("replay", "none", "--to", "{}"), ("sub", "a", "{}")),
        ("bridge", "mqtt://127.0.0.1:1", "{}"),
    ],
)
def test_an_address_in_place_of_a_topic_is_told_with_where_its_parts_go(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [each.format("http://127.0.0.1:8000/topics/kitchen") for each in words])
    assert done.exit_code == EXIT_USAGE, done.output
    said = " ".join(done.output.split())
    assert "Give the topic's name (kitchen); the server goes to --url http://127.0.0.1:8000" in said
