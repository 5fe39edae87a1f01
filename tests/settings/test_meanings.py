"""What the texts of some settings mean."""

import pytest

from slosh.errors import SettingError
from slosh.settings.meanings import SCHEMES, find_scheme, is_local, no_such_root, split_hosts
from slosh.settings.table import Settings
from tests.cases import each_of


@each_of("scheme", SCHEMES)
def test_the_scheme_of_a_store_is_what_stands_before_its_slashes(scheme: str) -> None:
    assert find_scheme(f"{scheme}://host") == scheme


@pytest.mark.parametrize(
    ("engine", "told"),
    [("redsi://:secret@host", "Did you mean redis://?"), ("memry", "Did you mean memory?"), ("x:y", "One begins with")],
)
def test_an_address_of_no_store_is_refused_with_the_nearest_and_without_what_stands_in_it(
    engine: str, told: str
) -> None:
    with pytest.raises(SettingError) as refused:
        find_scheme(engine)
    assert told in refused.value.detail
    assert "secret" not in refused.value.detail


@each_of(
    ("values", "local"),
    [
        ({}, True),
        ({"host": "localhost, ::1"}, True),
        ({"host": "127.0.0.1, 0.0.0.0"}, False),
        ({"host": "some.name"}, False),
        ({"uds": "/run/a.sock"}, False),
        ({"fd": 3}, False),
    ],
)
def test_a_server_is_local_where_no_other_machine_and_no_proxy_reaches_it(
    values: dict[str, str | int], local: bool
) -> None:
    assert is_local(Settings(**values)) is local  # type: ignore[arg-type]  # settings, each by its name


def test_hosts_stand_between_commas_with_brackets_or_without() -> None:
    assert split_hosts(" [::1], ::, a.example ,") == ["::1", "::", "a.example"]


def test_a_root_that_is_not_there_is_told_by_the_name_of_its_source() -> None:
    assert no_such_root("/no", "--root").detail == (
        "--root='/no': is not a folder. Name the folder whose files are to be served."
    )
