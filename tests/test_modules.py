"""Each module has its own test file, under the same path; what has none is listed here with its reason."""

from pathlib import Path

import pytest

import slosh

PACKAGE = Path(slosh.__file__).parent
TESTS = Path(__file__).parent

ELSEWHERE = {
    "__init__.py": ("test_exports.py", "tested as what it exports"),
    "__main__.py": ("test_cli.py", "one line that starts the command line"),
    "client/asking.py": ("client/test_synchronous.py", "options and requests, by what a client does with them"),
    "client/errors.py": ("client/test_synchronous.py", "each is raised by what a client cannot do"),
    "client/log_handler.py": ("client/test_publisher.py", "a publisher of log lines"),
    "engine/base.py": ("engine/contract.py", "promises, tested on each engine"),
    "engine/redis_collecting.py": (
        "engine/test_redis_directory.py",
        "the directory collects",
    ),
    "engine/redis_facts.py": ("engine/test_redis_directory.py", "facts are told in lists and to who counts"),
    "engine/redis_listener.py": ("engine/test_redis_link.py", "half of a link, hurt together with the other half"),
    "engine/redis_mirror.py": ("engine/test_redis_mirrors.py", "what the mirrors keep of each topic"),
    "engine/redis_sent.py": ("engine/test_redis_link.py", "what a link settles"),
    "engine/redis_view.py": ("engine/test_redis.py", "what the parts share, without anything of its own"),
    "web/head.py": ("conformance/test_promises.py", "every refusal is a promise on the wire"),
}
"""Modules whose tests stand elsewhere: where, and why."""


def modules() -> list[str]:
    files = (file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))
    return sorted(str(file) for file in files if file.name != "__init__.py" or file.parent == Path())


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_own_test_file(module: str) -> None:
    if module in ELSEWHERE:
        where, reason = ELSEWHERE[module]
        assert reason
    else:
        where = str(Path(module).with_name(f"test_{Path(module).name}"))
    assert (TESTS / where).is_file(), f"{module} has no tests/{where}"


@pytest.mark.parametrize("module", sorted(ELSEWHERE))
def test_an_exception_is_one(module: str) -> None:
    assert (PACKAGE / module).is_file(), f"{module} is gone: take it off the list"
    assert not (TESTS / module).with_name(f"test_{Path(module).name}").is_file(), f"{module} has its own tests now"
