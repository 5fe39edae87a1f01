"""Tables of classes, `[topics."gen/**"]` in slosh.toml: read, and checked, with each mistake named.

A table has some of the settings that are marked as `of_class`, under the same names and with the same bounds. Settings
that it leaves out are as for all topics.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from slosh.core.patterns import check_pattern, covers
from slosh.errors import BadTopic, SettingError
from slosh.settings.row import Kind, Setting, show, write_refusal, wrong_value

TOPICS: Final = "topics"
"""The table of tables, and the keyword."""

Value = str | int | float
Tables = Mapping[str, Mapping[str, Value]]
"""Of each pattern, in order, its settings by their names, with sound values."""


def called(pattern: str, where: str = "") -> str:
    """What a table is called in messages."""
    return f'[{TOPICS}."{pattern}"]{where}'


def read_tables(
    given: object, rows: Mapping[str, Setting], read: Callable[[Setting, object, str], Value], where: str = ""
) -> dict[str, dict[str, Value]]:
    """Make sound tables of what was given.

    Args:
        given: a mapping of mappings, from TOML or from keywords.
        rows: all settings by name.
        read: makes a value of a setting's type; it gets what the setting is called besides, and raises SettingError.
        where: where the tables stand, for messages: " in slosh.toml".

    Raises:
        SettingError: something in it is no class; the detail names it, and what to write instead.
    """
    if not isinstance(given, Mapping):
        raise SettingError(f'{TOPICS}{where}: is a table of classes, one for each pattern: [{TOPICS}."gen/**"].')
    tables: dict[str, dict[str, Value]] = {}
    for pattern, table in given.items():
        check_place(pattern, tables, where)
        tables[pattern] = read_table(pattern, table, rows, read, where)
    return tables


def read_table(
    pattern: str,
    table: object,
    rows: Mapping[str, Setting],
    read: Callable[[Setting, object, str], Value],
    where: str = "",
) -> dict[str, Value]:
    """Make the sound settings of one class of what was given. See `read_tables`.

    Raises:
        SettingError: it is no table, or one of its settings is wrong.
    """
    if not isinstance(table, Mapping):
        raise SettingError(
            f"{pattern} in [{TOPICS}]{where}: is no class. A class is a table under a pattern of topics' names: "
            f'[{TOPICS}."gen/**"].'
        )
    settings: dict[str, Value] = {}
    for name, value in table.items():
        row = rows.get(str(name))
        if row is None or not row.of_class:
            raise SettingError(f"{name} in {called(pattern, where)}: {_no_setting(str(name), row, rows)}")
        settings[row.name] = read(row, value, f"{name} in {called(pattern, where)}")
    return settings


def check_value(row: Setting, value: object, said: str) -> Value:
    """Give a value back that is sound as it is, as `read_tables` wants it of keywords.

    Raises:
        SettingError: it is not.
    """
    if wrong := wrong_value(row, value):
        raise SettingError(write_refusal(row, value, said, wrong))
    assert isinstance(value, str | int | float)  # noqa: S101 - for the type checker; wrong_value() said so
    return float(value) if row.kind is Kind.SECONDS else value


def contradictions(tables: Tables, default: Mapping[str, Value], rows: Mapping[str, Setting]) -> Iterator[str]:
    """Say which settings of each class contradict each other, or those of all topics, as whole sentences."""
    for pattern, table in tables.items():
        values = {**default, **table}
        for small, large, why in (
            ("max_message", "max_body", "a message comes in a body"),
            ("max_message", "queue_bytes", "a topic must have room for one message"),
            ("max_message", "max_bytes", "all topics together must have room for one message"),
        ):
            if float(values[small]) > float(values[large]):
                shown = [
                    f"{name} ({show(rows[name], values[name])}{'' if name in table else ', as for all topics'})"
                    for name in (small, large)
                ]
                yield f"{called(pattern)}: {shown[0]} may not be larger than {shown[1]}: {why}."


def check_place(pattern: object, before: Iterable[str], where: str) -> None:
    """Check that a class matches topics, behind the classes before it.

    Raises:
        SettingError: it matches none.
    """
    try:
        check_pattern(str(pattern))
    except BadTopic as error:
        raise SettingError(f"{called(str(pattern), where)}: takes in no topic. {error.detail}") from None
    for earlier in before:
        if covers(earlier, str(pattern)):
            raise SettingError(
                f"{called(str(pattern), where)}: takes in no topic, because {called(earlier)} stands before it and "
                f"takes in all of them; the first that does counts. Put it before {called(earlier)}, or drop it."
            )


def _no_setting(name: str, row: Setting | None, rows: Mapping[str, Setting]) -> str:
    known = [each.name for each in rows.values() if each.of_class]
    if row is not None:
        return f"is a setting of the whole server. A class has {', '.join(known[:-1])} and {known[-1]}."
    near = get_close_matches(name.replace("-", "_").lower(), known, n=1, cutoff=0.6)
    return f"is no setting of a class. Did you mean {near[0]}?" if near else f"is none; a class has {', '.join(known)}."
