"""The tree of errors: every one of them travels as a sound problem document, and says what to do."""

import inspect
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from slosh import errors
from slosh.errors import Draining, SloshError
from slosh.http1.response import problem
from tests.cases import each_of

EXAMPLES: dict[str, Any] = {"detail": "Something is wrong.", "parameter": "wait", "position": 7, "limit": 100}
EXAMPLES |= {
    "allow": "GET, HEAD",
    "size": 10,
    "version": "13",
    "bound": "max_downloads",
    "most": 65536,
    "whose": "Your address",
}


def tree(root: type[SloshError] = SloshError) -> Iterator[type[SloshError]]:
    yield root
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from tree(each)


def example(kind: type[SloshError]) -> SloshError:
    parameters = inspect.signature(kind).parameters
    required = [name for name, each in parameters.items() if each.default is inspect.Parameter.empty]
    return kind(**{name: EXAMPLES[name] for name in required})


KINDS = sorted(set(tree()), key=lambda kind: kind.__name__)


def test_every_exception_of_the_module_stands_in_the_one_tree() -> None:
    here = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BaseException)} - {
        SloshError
    }
    assert here == set(KINDS) - {SloshError}


each_kind = each_of("kind", KINDS, ids=lambda kind: kind.__name__)


class TestEach:
    """Each class of the tree."""

    @each_kind
    def test_its_code_is_a_short_fixed_word(self, kind: type[SloshError]) -> None:
        """Programs depend on it."""
        assert re.fullmatch("[a-z_]{3,24}", kind.code)
        assert example(kind).code == kind.code

    @each_kind
    def test_its_status_is_one_of_http_and_its_title_the_phrase(self, kind: type[SloshError]) -> None:
        """RFC 9457 section 4.2.1, for problems of type about:blank."""
        error = example(kind)
        assert error.status >= 400
        assert error.title == HTTPStatus(error.status).phrase

    @each_kind
    def test_its_detail_is_a_sentence_and_what_str_says(self, kind: type[SloshError]) -> None:
        error = example(kind)
        assert re.fullmatch(r"[A-Za-z].*\.", error.detail)
        assert str(error) == error.detail

    @each_kind
    def test_it_travels_as_a_problem_document(self, kind: type[SloshError]) -> None:
        status, fields, body = problem(example(kind))
        document = json.loads(body)
        assert status == document["status"] == kind.status
        assert {"type", "title", "status", "detail", "code"} <= set(document)
        assert document["code"] == kind.code
        assert all(re.fullmatch(rb"[A-Za-z-]+: [ -~]+", line) for line in fields.split(b"\r\n")[:-1])

    @each_kind
    def test_it_says_what_it_is_for(self, kind: type[SloshError]) -> None:
        assert kind.__doc__


def test_codes_are_told_apart() -> None:
    """One code, one class: only the root and the slip it stands for share theirs."""
    codes: dict[str, list[str]] = {}
    for kind in KINDS:
        codes.setdefault(kind.code, []).append(kind.__name__)
    shared = {code: names for code, names in codes.items() if len(names) > 1}
    assert shared == {"internal": ["InternalError", "SloshError"]}


@each_of("kind", [kind for kind in KINDS if kind.status == 503])
def test_whoever_is_turned_away_is_told_when_to_come_back(kind: type[SloshError]) -> None:
    fields = dict(example(kind).fields)
    assert int(fields["Retry-After"]) == kind.retry_after > 0  # type: ignore[attr-defined]


def test_whoever_is_turned_away_by_one_that_has_a_successor_is_told_to_come_back_at_once() -> None:
    assert ("Retry-After", "0") in Draining(has_successor=True).fields


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (errors.NoWatchers, {"Slosh-Watchers": "0"}),
        (errors.MethodNotAllowed, {"Allow": "GET, HEAD"}),
        (errors.RangeNotSatisfiable, {"Content-Range": "bytes */10"}),
    ],
)
def test_header_fields_that_the_standard_asks_for_are_there(kind: type[SloshError], fields: dict[str, str]) -> None:
    assert dict(example(kind).fields) == fields


@pytest.mark.parametrize("kind", [errors.BadHttp, errors.HeadTooLarge, errors.RequestTimeout, errors.ExpectationFailed])
def test_a_connection_whose_next_request_nobody_can_find_closes(kind: type[SloshError]) -> None:
    assert kind.closes


@pytest.mark.parametrize(
    "kind", [errors.BadJson, errors.NoWatchers, errors.BadQuery, errors.TooManyTopics, errors.NotFound]
)
def test_a_request_with_sound_framing_leaves_the_connection_open(kind: type[SloshError]) -> None:
    assert not kind.closes


@each_of(
    "error",
    [
        errors.TooManyTopics(7),
        errors.TooManyTopics(7, "node"),
        errors.TooManyWatchers(7),
        errors.TooManyHeld("Your token", 7),
        errors.TooManyDownloads("max_downloads"),
        errors.MemoryFull.of_messages(7),
        errors.MemoryFull.of_buffers(7),
    ],
    ids=lambda error: error.detail.partition(":")[0],
)
def test_a_bound_that_is_reached_is_named_and_what_follows_is_said(error: SloshError) -> None:
    """The setting stands in brackets; behind it, what to do, or what became of the request."""
    assert re.search(r"\(max_\w+\).*\. [A-Z][^.]+\.$", error.detail), error.detail
