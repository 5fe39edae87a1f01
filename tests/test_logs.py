"""One line an event, as a sentence or as JSON; nothing in it can move a cursor, forge a line, or tell a secret."""

import io
import json
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slosh.logs import FORMATS, NAME, JsonFormatter, TextFormatter, escape, event, write_logs
from tests.e2e.server import Serving, curl

EVIL = "a\r\nERROR: forged\x1b[2J\x9b31m\u202edesrever\x00\u2028b"
LOUD = ("\r", "\x1b", "\x9b", "\u202e", "\x00", "\u2028")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Slosh's logger, as it was before afterwards."""
    logger = logging.getLogger(NAME)
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers = handlers


Write = Callable[[Callable[[logging.Logger], object]], str]


@pytest.fixture(params=FORMATS)
def written(request: pytest.FixtureRequest, logger: logging.Logger) -> Write:
    """Gives what is written of what a function logs, in each format."""

    def write(call: Callable[[logging.Logger], object]) -> str:
        stream = io.StringIO()
        write_logs(stream, request.param, "info")
        call(logger)
        return stream.getvalue()

    return write


def shown(call: Callable[[logging.Logger], object], logger: logging.Logger, style: str = "json") -> dict[str, Any]:
    stream = io.StringIO()
    write_logs(stream, style, "debug")
    call(logger)
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_an_event_has_a_name_a_sentence_and_fields_as_json(logger: logging.Logger) -> None:
    line = shown(
        lambda log: log.warning("%s is %d", "x", 3, extra=event("thing", which="x", count=3, names=["a", "b"], no="")),
        logger,
    )
    time = line.pop("time")
    assert line == {
        "level": "warning", "event": "thing", "message": "x is 3", "logger": "slosh", "which": "x", "count": 3,
        "names": ["a", "b"],
    }  # fmt: skip
    assert len(time) == len("2026-11-29T07:31:00.123Z")
    assert time.endswith("Z")


def test_what_has_no_name_is_a_note_and_no_field_takes_the_place_of_another(logger: logging.Logger) -> None:
    assert shown(lambda log: log.info("plain"), logger)["event"] == "note"
    line = shown(lambda log: log.info("plain", extra=event("thing", level="x", message="y", time="z")), logger)
    assert (line["level"], line["message"], line["event"]) == ("info", "plain", "thing")
    assert line["time"] != "z"


def test_text_is_the_time_the_level_and_the_sentence() -> None:
    record = logging.LogRecord(NAME, logging.INFO, "", 0, "hello %s", ("you",), None)
    record.created = 1_795_937_460.1239
    assert TextFormatter().format(record) == "2026-11-29T07:31:00.123Z INFO: hello you"
    assert TextFormatter(timed=False, named=False).format(record) == "hello you"
    assert json.loads(JsonFormatter().format(record))["time"] == "2026-11-29T07:31:00.123Z"


def test_systemd_s_journal_has_the_time_already(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    write_logs(stream, "text", "info")
    logger.info("hello")
    assert stream.getvalue() == "INFO: hello\n"


def test_an_event_is_one_line_whatever_is_in_it(written: Write) -> None:
    text = written(lambda log: log.error("it said %s", EVIL, extra=event("thing", said=EVIL, all=[EVIL, {EVIL: 1}])))
    assert text.count("\n") == 1
    assert text.isprintable() or text[:-1].isprintable()
    assert not any(each in text for each in LOUD)


def test_nothing_in_a_traceback_looks_like_a_line_of_the_log(written: Write) -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError(EVIL)  # noqa: TRY301 - that is the test
        except ValueError:
            log.exception("it failed")

    lines = written(fail).splitlines()
    assert "it failed" in lines[0]
    assert all(line.startswith("  | ") for line in lines[1:])
    assert not any(each in "\n".join(lines) for each in LOUD)
    assert any("ValueError" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain", "plain"),
        ("Zürich 日本", "Zürich 日本"),
        ("a\nb", "a\\nb"),
        ("\x1b[0m", "\\x1b[0m"),
        ("\ud83d", "\\ud83d"),
    ],
)
def test_what_people_can_read_stays_as_it_is(text: str, told: str) -> None:
    assert escape(text) == told


def test_a_text_without_end_is_cut() -> None:
    assert len(escape("\x1b" * 1_000_000)) < 10_000


def test_the_level_is_a_setting(logger: logging.Logger) -> None:
    stream = io.StringIO()
    write_logs(stream, "text", "warning")
    logger.info("little")
    logger.warning("much")
    assert "little" not in stream.getvalue()
    assert "much" in stream.getvalue()


def lines_of(server: Serving) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]


def test_a_server_tells_of_its_start_its_settings_its_refusals_and_its_end(tmp_path: Path) -> None:
    """Every line on stderr is JSON, and each event has its fields."""
    settings = tmp_path / "slosh.toml"
    settings.write_text('log_format = "json"\naccess_log = 1\nmax_topics = 5\n')
    with Serving(tmp_path) as server:
        curl(f"{server.url}/topics/a?wait=0&secret=hunter2", "-H", "Authorization: Bearer hunter2")
        curl("-X", "BREW", f"{server.url}/nothing?secret=hunter2")
        server.hear('"event": "refused"')
        settings.write_text('log_format = "json"\naccess_log = 0\nmax_topics = 6\n')
        server.tell(signal.SIGHUP)
        server.hear('"event": "reloaded"')
        settings.write_text("max_topics = nonsense")
        server.tell(signal.SIGHUP)
        server.hear('"event": "reload_failed"')
        curl(f"{server.url}/topics/b?wait=0")
        server.tell(signal.SIGTERM)
        assert server.end() == 0
    lines = lines_of(server)
    told = {line["event"]: line for line in lines}
    events = {"started", "request", "refused", "reloaded", "reload_failed", "stopping", "stopped"}
    assert set(told) == events
    assert told["started"]["addresses"] == [server.url]
    first = next(line for line in lines if line["event"] == "request")
    assert (first["method"], first["path"], first["status"], first["client"]) == ("GET", "/topics/a", 200, "127.0.0.1")
    assert (told["refused"]["code"], told["refused"]["status"]) == ("method_unknown", 501)
    assert told["reloaded"]["changed"]
    assert not any(line.get("path") == "/topics/b" for line in lines), "the access log ended with the setting"
    assert "hunter2" not in server.output
