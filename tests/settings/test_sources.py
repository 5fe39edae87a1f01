"""Every setting can be set from every source, with units, in one order of precedence, and errors say the way out."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import slosh
from slosh import cli, service
from slosh.errors import SettingError
from slosh.settings.row import Setting
from slosh.settings.sources import CLIENT_VARIABLES, LoadedSettings, from_keywords, load
from slosh.settings.table import BY_NAME, TABLE, Settings
from tests.cases import each_of

DOCS = Path(__file__).parents[2] / "docs"

# For every setting a text that a person may write, and the value that it must become.
WRITTEN: dict[str, tuple[str, object]] = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("0", 0),
    "uds": ("/run/slosh.sock", "/run/slosh.sock"),
    "fd": ("3", 3),
    "takeover": ("/run/slosh/takeover", "/run/slosh/takeover"),
    "root": ("/", "/"),
    "view": ("off", "off"),
    "hosts": ("a.example *.b.example", "a.example *.b.example"),
    "trusted_proxies": ("10.0.0.0/8 unix", "10.0.0.0/8 unix"),
    "open": ("on", "on"),
    "tls_cert": ("/etc/cert.pem", "/etc/cert.pem"),
    "tls_key": ("/etc/key.pem", "/etc/key.pem"),
    "tls_client_ca": ("/etc/ca.pem", "/etc/ca.pem"),
    "proxy_protocol": ("on", "on"),
    "token_in_query": ("on", "on"),
    "max_token": ("2k", 2048),
    "clock_skew": ("1m", 60.0),
    "linger": ("5m", 300.0),
    "queue": ("1_000", 1000),
    "queue_bytes": ("16MiB", 16 * 2**20),
    "age": ("10m", 600.0),
    "history": ("1h", 3600.0),
    "max_series": ("8", 8),
    "unwatched": ("keep", "keep"),
    "frame_origins": ("https://board.example", "https://board.example"),
    "origins": ("https://a.example http://b.example:8080", "https://a.example http://b.example:8080"),
    "max_message": ("64k", 65536),
    "max_body": ("16MB", 16_000_000),
    "max_batch": ("50", 50),
    "max_keys": ("60", 60),
    "max_depth": ("64", 64),
    "default_wait": ("25s", 25.0),
    "max_wait": ("1.5h", 5400.0),
    "stream_life": ("1h", 3600.0),
    "drain": ("500ms", 0.5),
    "max_head": ("32 KiB", 32768),
    "max_fields": ("100", 100),
    "head_timeout": ("5", 5.0),
    "body_timeout": ("0.25", 0.25),
    "idle_timeout": ("2m", 120.0),
    "write_timeout": ("10 s", 10.0),
    "compression": ("websocket", "websocket"),
    "log_refusals": ("warning", "warning"),
    "log_format": ("json", "json"),
    "log_level": ("error", "error"),
    "access_log": ("100", 100),
    "tcp_keepalive": ("1d", 86400.0),
    "max_connections": ("500", 500),
    "max_connections_per_address": ("10", 10),
    "max_downloads": ("5", 5),
    "max_topics": ("7", 7),
    "max_held_per_address": ("11", 11),
    "request_rate": ("12", 12),
    "publish_rate": ("13", 13),
    "rate_burst": ("3s", 3.0),
    "max_topics_per_address": ("6", 6),
    "max_bytes": ("512MiB", 2**29),
    "max_buffered": ("64MiB", 2**26),
    "max_watchers": ("9", 9),
    "portion": ("1MiB", 2**20),
    "engine": ("redis://host:7000/1", "redis://host:7000/1"),
    "engine_prefix": ("slosh:blue", "slosh:blue"),
    "engine_timeout": ("750ms", 0.75),
    "engine_queue": ("500", 500),
    "engine_queue_bytes": ("16MiB", 16 * 2**20),
    "workers": ("4", 4),
}
COMPANY = {"tls_key": ["tls_cert"], "tls_client_ca": ["tls_cert"]}
"""Settings that cannot be set alone, and with which others."""


def together(row: Setting) -> list[Setting]:
    """A setting and those that it needs."""
    return [row, *(BY_NAME[name] for name in COMPANY.get(row.name, []))]


each_setting = each_of("row", TABLE, ids=lambda row: row.name)


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test in an empty folder, without the settings of whoever runs it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SLOSH_")]:
        monkeypatch.delenv(name)


def plain(**said: object) -> LoadedSettings:
    return load(said, environ={})


def expect(settings: Settings, row: Setting) -> None:
    """This setting is as WRITTEN says and all the others are at their defaults."""
    want = {each.name: each.default for each in TABLE} | {each.name: WRITTEN[each.name][1] for each in together(row)}
    got = {each.name: getattr(settings, each.name) for each in TABLE}
    assert got == want
    assert type(got[row.name]) is type(row.default)


def test_the_list_above_is_complete_and_changes_something() -> None:
    assert {row.name: row.default != WRITTEN[row.name][1] for row in TABLE} == dict.fromkeys(WRITTEN, True)


RULES = '[access]\npublic = { read = ["a"] }\n[[access.tokens]]\nname = "t"\nfile = "token"\n'


def test_the_rules_of_access_stand_in_slosh_toml_or_in_a_programs_keyword(tmp_path: Path) -> None:
    assert plain().settings.access is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "token").write_text("slosh_0123456789abcdef")
    (tmp_path / "etc" / "slosh.toml").write_text(RULES)
    found = load({}, environ={}, config="etc/slosh.toml").settings.access
    assert found is not None
    assert found.public.may_read("a")
    assert [each.name for each in found.tokens] == ["t"]  # from the folder of the file
    table = {"public": {"publish": ["b"]}}
    for made in (
        load({"access": table}, environ={}, keywords=True, config="etc/slosh.toml").settings,
        from_keywords({"access": table}, Settings()),
        from_keywords({"access": found}, Settings()),
    ):
        assert made.access is not None
        assert made.access is found or made.access.public.may_publish("b")
    assert from_keywords({"port": 0}, Settings(access=found)).access is found


@pytest.mark.parametrize("make", [lambda said: plain(**said), lambda said: from_keywords(said, Settings())])
def test_a_mistake_in_the_rules_is_never_passed_over(make: Callable[[dict[str, object]], object]) -> None:
    with pytest.raises(SettingError, match="Did you mean public"):
        make({"access": {"publc": {}}})


@pytest.mark.parametrize(("text", "value"), [("open = true", "on"), ("open = false", "off"), ('open = "on"', "on")])
def test_a_switch_in_slosh_toml_is_true_or_false_too(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "slosh.toml").write_text(text)
    assert plain().settings.open == value


def test_a_switch_alone_on_the_command_line_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def run(settings: Settings, again: Callable[[], Settings]) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("slosh.commands.serve.run", run)
    assert CliRunner().invoke(cli.main, ["serve", "--open", "--port", "0"]).exit_code == 0
    assert seen[0].open == "on"


@each_setting
def test_from_the_command_line(row: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def run(settings: Settings, again: Callable[[], Settings]) -> int:
        seen.append(settings)
        assert again() == settings
        return 0

    monkeypatch.setattr("slosh.commands.serve.run", run)
    for option in {row.option, "--" + row.name}:  # --max-body, and --max_body as it is spelled elsewhere
        others = [word for each in together(row)[1:] for word in (each.option, WRITTEN[each.name][0])]
        done = CliRunner().invoke(cli.main, ["serve", option, WRITTEN[row.name][0], *others])
        assert done.exit_code == 0, done.output
        expect(seen.pop(), row)


@each_setting
def test_from_the_command_line_of_twistd(row: Setting) -> None:
    options: Any = service.Options()  # type: ignore[no-untyped-call]  # Twisted's
    options.parseOptions([word for each in together(row) for word in (each.option, WRITTEN[each.name][0])])
    expect(options.loaded.settings, row)


@each_setting
def test_from_the_environment(row: Setting) -> None:
    expect(load({}, environ={each.variable: WRITTEN[each.name][0] for each in together(row)}).settings, row)


@each_setting
def test_from_slosh_toml_as_text(row: Setting, tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text(
        "".join(f'{each.name} = "{WRITTEN[each.name][0]}"\n' for each in together(row))
    )
    expect(plain().settings, row)


@each_setting
def test_from_slosh_toml_in_its_own_types(row: Setting, tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text(
        "".join(f"{each.name} = {WRITTEN[each.name][1]!r}\n" for each in together(row))
    )
    expect(plain().settings, row)


@each_setting
def test_from_the_keywords_of_a_tac(row: Setting) -> None:
    for form in (0, 1):
        expect(service.make_service(**{each.name: WRITTEN[each.name][form] for each in together(row)}).settings, row)


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text("port = 1\nqueue = 1\nlinger = 1\n")
    environ = {"SLOSH_PORT": "2", "SLOSH_QUEUE": "2"}
    loaded = load({"port": "3", "queue": None}, environ=environ)
    settings = loaded.settings
    assert (settings.port, settings.queue, settings.linger, settings.drain) == (3, 2, 1.0, 10.0)
    assert loaded.sources == {"port": "--port", "queue": "SLOSH_QUEUE", "linger": "linger in slosh.toml"}


def test_config_names_another_file_and_its_paths_are_told_from_its_folder(tmp_path: Path) -> None:
    site = tmp_path / "etc" / "site"
    site.mkdir(parents=True)
    file = tmp_path / "etc" / "other.toml"
    file.write_text('root = "site"\n')
    (tmp_path / "slosh.toml").write_text("queue = 1\n")
    for loaded in (load({}, environ={}, config=str(file)), load({}, environ={"SLOSH_CONFIG": str(file)})):
        assert Path(loaded.settings.root) == site
        assert loaded.settings.queue == 100


@each_of(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0", 0),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        (" 2 m ", 120),
        ("1d", 86400),
    ],
)
def test_times_that_are_taken(text: str, seconds: float) -> None:
    assert plain(linger=text).settings.linger == seconds


@each_of(
    ("text", "size"),
    [
        ("1", 1),
        ("1B", 1),
        ("64k", 65536),
        ("64K", 65536),
        ("8MiB", 2**23),
        ("8mib", 2**23),
        ("8 m", 2**23),
        ("8MB", 8_000_000),
        ("64kB", 64_000),
        ("1.5k", 1536),
        ("1g", 2**30),
        ("1GiB", 2**30),
        ("1GB", 10**9),
    ],
)
def test_sizes_that_are_taken(text: str, size: int) -> None:
    assert plain(max_body=text, max_message="1").settings.max_body == size


@each_of(
    "text",
    [
        "",
        "s",
        "1 hour",
        "2M",
        "-1",
        "+1",
        "1e3",
        "nan",
        "inf",
        "1_0",
        "0x10",
        ".5",
        "5.",
        "1,5",
        "٣",
        "1  s",
        "9" * 400,
    ],
)
def test_times_that_are_not_taken(text: str) -> None:
    with pytest.raises(SettingError, match=r"^--linger="):
        plain(linger=text)


@each_of("text", ["", "k", "-1", "1.5", "0.3B", "1 kilo", "8MiBs", "8TB", "1e6", "9" * 100_000])
def test_sizes_that_are_not_taken(text: str) -> None:
    with pytest.raises(SettingError, match=r"^--max-body="):
        plain(max_body=text)


def test_an_error_does_not_repeat_more_of_a_value_than_one_can_read() -> None:
    with pytest.raises(SettingError) as caught:
        plain(max_body="9" * 100_000)
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    ("said", "environ", "toml", "sentence"),
    [
        ({"port": "http"}, {}, "", "--port='http': is not a whole number."),
        ({}, {"SLOSH_PORT": "70000"}, "", "SLOSH_PORT='70000': is out of bounds; port goes from 0 to 65535"),
        ({}, {}, "port = true", "port=True in slosh.toml: is not a whole number."),
        ({}, {}, "linger = '3 days'", "linger='3 days' in slosh.toml: is not a time; write seconds"),
        ({}, {}, "max-body = 3", "max-body in slosh.toml: is no setting of slosh. Did you mean max_body?"),
        ({}, {}, "[slosh]\nport = 1", "[slosh] in slosh.toml: is no table of slosh."),
        ({}, {}, "port = ", "the settings file slosh.toml is not TOML"),
        ({}, {}, "port = 1\nlinger = 30s # long", ' Texts, times and sizes stand in quotes: linger = "30s".'),
        ({}, {}, "host=0.0.0.0", ' Texts, times and sizes stand in quotes: host = "0.0.0.0".'),
        ({}, {}, "# \N{LINE SEPARATOR}\nhost=0.0.0.0", ' Texts, times and sizes stand in quotes: host = "0.0.0.0".'),
        (
            {},
            {},
            'hosts = ["a", "b"]',
            "hosts=['a', 'b'] in slosh.toml: is not a text but a list; write one text: \"a b\".",
        ),
        ({}, {}, 'host = ["a", "b"]', 'write one text: "a,b".'),
        ({}, {}, 'linger = ["1s"]', "is not a time; write seconds"),
        ({}, {}, "hosts = 1", "hosts=1 in slosh.toml: is not a text; write it in quotes."),
        ({}, {}, "root = 1", "root=1 in slosh.toml: is not a path; write it in quotes."),
        (
            {"max_message": "9m"},
            {"SLOSH_MAX_BODY": "2m"},
            "",
            "--max-message (9MiB) may not be larger than SLOSH_MAX_BODY (2MiB)",
        ),
        ({"root": "/no/such"}, {}, "", "--root='/no/such': is not a folder."),
        ({}, {"SLOSH_PORT": "tcp://10.0.0.7:80"}, "", "enableServiceLinks: false"),
        ({"queu": "1"}, {}, "", "queu: is no setting of slosh. Did you mean queue?"),
    ],
)
def test_an_error_names_the_setting_the_value_the_door_and_the_fix(
    said: Mapping[str, object], environ: Mapping[str, str], toml: str, sentence: str, tmp_path: Path
) -> None:
    if toml:
        (tmp_path / "slosh.toml").write_text(toml)
    with pytest.raises(SettingError) as caught:
        load(said, environ=environ)
    assert sentence in caught.value.detail


@pytest.mark.parametrize("toml", ["linger = 30\nlinger = 40\n", "port = 8000\nport = 8001\n", "max_topics = 0123"])
def test_a_line_that_lacks_no_quotes_is_not_told_with_them(toml: str, tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text(toml)
    with pytest.raises(SettingError, match="is not TOML") as caught:
        load({}, environ={})
    assert "quotes" not in caught.value.detail


def test_a_settings_file_that_is_not_there_is_an_error_when_it_was_named() -> None:
    with pytest.raises(SettingError, match=r"the settings file no\.toml cannot be read: no such file"):
        load({}, environ={}, config="no.toml")


def test_an_unknown_name_in_the_environment_is_a_warning_with_the_nearest_one() -> None:
    environ = {"SLOSH_MAXBODY": "1", "SLOSH_SERVICE_HOST": "10.0.0.7", "OTHER": "x", "SLOSH_TOKNE": "x"}
    loaded = load({}, environ=environ)
    assert loaded.settings == Settings()
    assert loaded.warnings == (
        "SLOSH_MAXBODY in the environment is no setting of slosh. Did you mean SLOSH_MAX_BODY?",
        "SLOSH_SERVICE_HOST in the environment is no setting of slosh. It is left aside.",
        "SLOSH_TOKNE in the environment is no setting of slosh. Did you mean SLOSH_TOKEN?",
    )


def test_no_variable_that_slosh_itself_reads_is_taken_for_a_mistake() -> None:
    """Each one that its source or its docs name, but for those with which a name of another is compared."""
    sources = [*Path(slosh.__file__).parent.rglob("*.py"), *DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    words = {word for text in texts for word in re.findall(r"\bSLOSH_[A-Z_]*[A-Z]\b", text)}
    foreign = {"SLOSH_NAME", "SLOSH_SERVICE_HOST"}  # any setting, and what Kubernetes sets
    assert foreign <= words
    named = dict.fromkeys(words - foreign - {row.variable for row in TABLE} - {"SLOSH_CONFIG"}, "x")
    assert set(CLIENT_VARIABLES) == set(named)
    assert load({}, environ=named).warnings == ()


def test_the_other_doors_refuse_in_their_own_way() -> None:
    options: Any = service.Options()  # type: ignore[no-untyped-call]  # Twisted's
    with pytest.raises(SystemExit, match="slosh cannot start: --port='http': is not a whole number"):
        options.parseOptions(["--port", "http"])
    with pytest.raises(SystemExit, match="slosh cannot start: linger='soon': is not a time"):
        service.make_service(linger="soon")
    with pytest.raises(SystemExit, match="Did you mean linger"):
        service.make_service(lingers=3)


@each_of("row", [row for row in TABLE if row.default != ""], ids=lambda row: row.name)
def test_an_empty_text_is_never_taken_for_a_number_or_a_choice(row: Setting) -> None:
    """As `SLOSH_PORT=` in a compose file would be."""
    with pytest.raises(SettingError, match=f"^{row.variable}=''"):
        load({}, environ={row.variable: ""})


@pytest.mark.parametrize("word", ["example", "none"])
def test_the_words_for_a_root_are_no_folders_of_slosh_toml(tmp_path: Path, word: str) -> None:
    (tmp_path / "slosh.toml").write_text(f'root = "{word}"')
    assert plain().settings.root == word


def test_a_byte_order_mark_before_the_settings_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_bytes(b"\xef\xbb\xbfport = 9\r\nlinger = '5s'\r\n")
    assert (plain().settings.port, plain().settings.linger) == (9, 5.0)


@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_settings_in_another_coding_are_told_so(tmp_path: Path, coding: str) -> None:
    (tmp_path / "slosh.toml").write_bytes('root = "\xe9"'.encode(coding))
    with pytest.raises(SettingError, match="Save it as UTF-8"):
        plain()
