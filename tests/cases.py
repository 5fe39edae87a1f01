"""One test for all cases of a rule, which tries each of them and names those that fail.

`@each_of` stands where `@pytest.mark.parametrize` could, and is written alike. A test by itself costs some milliseconds
in every worker, whatever it does, and most rules have dozens of cases that take microseconds. So it is for cases that
need nothing new: what else the test asks for is there once, for all of them, and so is its time limit, at which the
other cases are left out. One that skips fails, because pytest would skip those that failed with it.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Test = Callable[..., None]


def shorten(value: object) -> str:
    """A value as it is written in Python, or its beginning."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def each_of(
    names: str | Sequence[str],
    values: Iterable[Any],
    ids: Callable[[Any], object] | Iterable[str] | None = None,
) -> Callable[[Test], Test]:
    """Have the test called with each of these values.

    Args:
        names: of its argument; or of several, as `"a, b"` or `("a", "b")`, and then each value is as many.
        values: those that it is called with.
        ids: how one of them is called that failed; as it is written in Python, unless this is given.

    Raises:
        ValueError: there are no values, so the test would say nothing.
    """
    alone = isinstance(names, str) and "," not in names
    arguments = [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)
    tried = list(values)
    if not tried:
        raise ValueError(f"there is no {names} to try")
    called = [str(ids(each)) for each in tried] if callable(ids) else list(ids or map(shorten, tried))

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def try_all(*args: Any, **fixtures: Any) -> None:
            failed: list[str] = []
            first: BaseException | None = None
            for name, value in zip(called, tried, strict=True):
                given = dict(zip(arguments, [value] if alone else value, strict=True))
                try:
                    test(*args, **fixtures, **given)
                except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001  # told below, whatever it is
                    failed.append(f"{name}: {type(error).__name__}: {error}")
                    first = first or error
                    if "from pytest-timeout" in str(error):
                        break  # nothing would end another one
            if failed:
                raise AssertionError(f"{len(failed)} of {len(tried)} failed:\n" + "\n".join(failed)) from first

        wanted = inspect.signature(test)
        others = [each for name, each in wanted.parameters.items() if name not in arguments]
        if len(others) + len(arguments) != len(wanted.parameters):
            raise ValueError(f"{test.__qualname__} does not take {names}")
        try_all.__signature__ = wanted.replace(parameters=others)  # type: ignore[attr-defined]
        return try_all

    return decorate
