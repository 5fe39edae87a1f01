"""Settings that contradict each other are refused, each with the way out."""

from typing import Any

import pytest

from slosh.errors import SettingError
from slosh.settings.row import MIB
from slosh.settings.table import Settings
from tests.cases import each_of


@each_of(
    ("values", "sentence"),
    [
        ({"max_message": 9 * MIB}, r"max_message \(9MiB\) may not be larger than max_body \(8MiB\)"),
        ({"queue_bytes": 1000}, r"max_message \(1MiB\) may not be larger than queue_bytes \(1000\)"),
        ({"default_wait": 60.0, "max_wait": 30.0}, r"default_wait \(60s\) may not be longer than max_wait \(30s\)"),
        ({"uds": "/run/a.sock", "port": 9000}, r"uds \(/run/a.sock\) and port \(9000\) name more than one place"),
        ({"uds": "/run/a.sock", "host": "::"}, r"uds .* and host .* Choose one"),
        (
            {"workers": 2, "engine": "redis://h", "takeover": "t"},
            r"takeover \(t\) is for one process, and workers \(2\)",
        ),
        ({"fd": 3, "uds": "/run/a.sock"}, r"uds .* and fd \(3\) .* Choose one"),
        ({"tls_key": "/k"}, r"tls_key \(/k\) means nothing without tls_cert"),
        ({"tls_client_ca": "/c"}, r"tls_client_ca \(/c\) means nothing without tls_cert"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        Settings(**values)


def test_a_bound_of_zero_is_no_bound_on_the_default_wait() -> None:
    assert Settings(default_wait=60.0, max_wait=0.0).default_wait == 60.0
