"""Tables of classes: from each source, with units, and with each mistake named and nothing changed."""

from pathlib import Path
from typing import Any

import pytest

from slosh import service
from slosh.errors import SettingError
from slosh.parts import make_classes
from slosh.server import Server
from slosh.settings import Settings
from slosh.settings.sources import load
from slosh.settings.table import TABLE
from tests.cases import each_of

TOML = """\
queue = 50

[topics."gen/**"]
queue = 20000
queue_bytes = "16MiB"
age = "10m"
linger = "2m"
unwatched = "keep"
max_message = "64KiB"

[topics.alarm]
age = "1d"
"""
TABLES: dict[str, dict[str, str | int | float]] = {
    "gen/**": {
        "queue": 20_000,
        "queue_bytes": 16 * 2**20,
        "age": 600.0,
        "linger": 120.0,
        "unwatched": "keep",
        "max_message": 65_536,
    },
    "alarm": {"age": 86_400.0},
}
WRITTEN: dict[str, Any] = {
    "gen/**": {
        "queue": "20000",
        "queue_bytes": "16MiB",
        "age": "10m",
        "linger": "2m",
        "unwatched": "keep",
        "max_message": "64k",
    },
    "alarm": {"age": "24h"},
}


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def in_file(text: str) -> Settings:
    Path("slosh.toml").write_text(text)
    return load({}, environ={}).settings


def test_from_slosh_toml_in_its_order() -> None:
    settings = in_file(TOML)
    assert (settings.topics, list(settings.topics)) == (TABLES, list(TABLES))


def test_from_a_tac_and_from_keywords_of_a_server_with_units_or_without() -> None:
    for form in (WRITTEN, TABLES):
        assert service.make_service(topics=form).settings.topics == TABLES
        assert Server(topics=form, port=0).settings.topics == TABLES
        assert Server(Settings(queue=7), topics=form).settings.queue == 7
    assert Settings(topics=TABLES).topics == TABLES


def test_a_tac_wins_over_the_file_as_a_whole() -> None:
    Path("slosh.toml").write_text(TOML)
    assert list(service.make_service(topics={"a": {}}).settings.topics) == ["a"]


def test_what_a_table_leaves_out_is_as_for_all_topics() -> None:
    classes = make_classes(in_file(TOML))
    generated, alarm, default = (classes.find(name) for name in ("gen/1", "alarm", "other"))
    assert [each.queue for each in (generated, alarm, default)] == [20_000, 50, 50]
    assert [each.age for each in (generated, alarm, default)] == [600.0, 86_400.0, 0.0]
    assert [each.keeps for each in (generated, alarm, default)] == [True, False, False]


def test_nobody_changes_the_tables_of_a_settings_afterwards() -> None:
    tables: dict[str, Any] = {"a": {"queue": 1}}
    settings = Settings(topics=tables)
    tables["b"], tables["a"]["queue"] = {}, 2
    assert settings.topics == {"a": {"queue": 1}}


@each_of(
    ("text", "sentence"),
    [
        ('[topics."gen/**"]\nqueu = 1', r'queu in \[topics."gen/\*\*"\] in slosh.toml: .* Did you mean queue\?'),
        (
            '[topics."a"]\nport = 1',
            r'port in \[topics."a"\] in slosh.toml: is a setting of the whole server. A class has ',
        ),
        ('[topics."a"]\nzzz = 1', r'zzz in \[topics."a"\] in slosh.toml: is none; a class has '),
        ('[topics."a".b]\nqueue = 1', r'b in \[topics."a"\] in slosh.toml: '),
        ("topics = 3", r"topics in slosh.toml: is a table of classes"),
        ("[topics]\nqueue = 1", r"queue in \[topics\] in slosh.toml: is no class."),
        ('[topics."a"]\nqueue = 0', r'queue=0 in \[topics."a"\] in slosh.toml: is out of bounds; queue goes from 1 '),
        ('[topics."a"]\nage = "soon"', r"age='soon' in \[topics.\"a\"\] in slosh.toml: is not a time; "),
        ('[topics."a"]\nunwatched = "perhaps"', r"unwatched='perhaps' in .*: is unknown; write reject or keep"),
        ('[topics."a/**/b"]\nqueue = 1', r'\[topics."a/\*\*/b"\] in slosh.toml: takes in no topic. In a pattern'),
        ('[topics."/a"]\nqueue = 1', r'\[topics."/a"\] in slosh.toml: takes in no topic. No segment'),
        (
            '[topics."gen/**"]\n[topics."gen/*/raw"]\nqueue = 1',
            r'\[topics."gen/\*/raw"\] in slosh.toml: takes in no topic, because \[topics."gen/\*\*"\] stands before it',
        ),
        (
            '[topics."a"]\nmax_message = "9MiB"',
            r'\[topics."a"\]: max_message \(9MiB\) may not be larger than max_body \(8MiB, as for all topics\)',
        ),
        (
            '[topics."a"]\nqueue_bytes = 1000',
            r'\[topics."a"\]: max_message \(1MiB, as for all topics\) may not be larger than queue_bytes \(1000\)',
        ),
    ],
)
def test_a_mistake_is_named_with_its_table(text: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        in_file(text)


def test_the_other_doors_name_mistakes_too() -> None:
    with pytest.raises(SystemExit, match=r'slosh cannot start: queu in \[topics."a"\]: .* Did you mean queue\?'):
        service.make_service(topics={"a": {"queu": 1}})
    with pytest.raises(SettingError, match=r'queue=0 in \[topics."a"\]: is out of bounds'):
        Server(topics={"a": {"queue": 0}})
    with pytest.raises(SettingError, match=r"is not a whole number"):
        Settings(topics={"a": {"queue": "7"}})
    with pytest.raises(SettingError, match=r"lingers: is no setting of slosh\. Did you mean linger"):
        Server(lingers=1)


def test_each_setting_of_a_class_can_be_changed_while_the_server_runs() -> None:
    assert all(row.reloads for row in TABLE if row.of_class)
