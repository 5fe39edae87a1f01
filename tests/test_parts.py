"""What a server is put together of follows from its settings, and a setting that cannot be followed says what to do."""

import sys
from pathlib import Path
from typing import Any

import pytest

from slosh.errors import SettingError
from slosh.parts import check_engine, find_root
from slosh.settings import Settings


def test_the_example_is_the_document_root_where_none_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_root(Settings())
    assert found is not None
    assert (found / "index.html").is_file()
    assert find_root(Settings(root=str(tmp_path))) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert find_root(Settings(root="example")) == found
    (tmp_path / "example").mkdir()
    assert find_root(Settings(root="example")) == Path("example")  # a folder of one's own goes before the word
    assert find_root(Settings()) == found


@pytest.mark.parametrize("where", [{"host": "0.0.0.0"}, {"host": "127.0.0.1,::"}, {"uds": "/run/s"}, {"fd": 3}])
def test_the_example_is_not_served_to_others_unless_asked_for(where: dict[str, Any]) -> None:
    """It has a chat in which everybody may write."""
    assert find_root(Settings(**where)) is None
    assert find_root(Settings(root="example", **where)) is not None
    assert find_root(Settings(root="none")) is None


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("redsi://x", "Did you mean redis://?"),
        ("http://:secret@x", "One begins with redis://"),
        ("memroy", "Did you mean memory?"),
        ("redis", "Did you mean redis://?"),
    ],
)
def test_an_address_with_a_mistake_is_told_as_that_also_where_the_library_is_missing(
    monkeypatch: pytest.MonkeyPatch, engine: str, told: str
) -> None:
    """To install a package would not mend it."""
    monkeypatch.setitem(sys.modules, "slosh.engine.redis.client.address", None)
    with pytest.raises(SettingError) as caught:
        check_engine(Settings(engine=engine))
    assert told in caught.value.detail
    assert "pip install" not in caught.value.detail
    assert "secret" not in caught.value.detail
    with pytest.raises(SettingError, match="pip install"):
        check_engine(Settings(engine="redis://x"))
