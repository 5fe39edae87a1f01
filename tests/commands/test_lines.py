"""What a line means in each form."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.client.errors import BadUse
from slosh.commands.lines import (
    BadHeading,
    CsvLines,
    Encoder,
    encode_line,
    make_parser,
    parse_influx,
    parse_logfmt,
    value_of,
)
from tests.cases import each_of

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))
QUOTING = {ord('"'): r"\"", ord("\\"): r"\\"}


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_a_value_that_is_written_as_in_json_is_that_value(value: float) -> None:
    assert value_of(json.dumps(value)) == value


@each_of("text", ["007", "1_000", "0x1f", "NaN", "inf", "+1", "1.", "\u0661", "True", "1e", " 1"])
def test_what_only_looks_like_a_number_stays_a_text(text: str) -> None:
    assert value_of(text) == text


@given(st.lists(TEXTS, min_size=2, max_size=4))
def test_csv_is_read_as_the_library_wrote_it(row: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(row)
    parse = CsvLines()
    assert parse(",".join(f"c{number}" for number in range(len(row)))) is None
    assert parse(written.getvalue()) == {f"c{number}": value_of(each.strip()) for number, each in enumerate(row)}


def test_csv_that_does_not_fit_its_heading_is_an_error() -> None:
    parse = CsvLines()
    parse("t, load ,")
    assert parse("21.5,,x") == {"t": 21.5, "load": None, "column3": "x"}
    with pytest.raises(BadUse, match="2 values, and the heading 3"):
        parse("1,2")
    with pytest.raises(BadUse, match="no line of CSV"):
        parse('"1,2,3')


def encode_all(*lines: bytes, form: str = "csv", together: bool = True) -> tuple[list[object], list[str]]:
    """What lines became, read at once or one by one, and what was told of those that were left out."""
    told: list[str] = []
    source = iter([list(lines)] if together else [[line] for line in lines])
    encoder = Encoder(form)
    made = [
        json.loads(each)
        for several in encoder.encode_all(source, lambda *said: told.append(f"{said[0]}-{said[1]} {said[2].detail}"))
        for each in several
    ]
    assert encoder.number == len(lines)
    assert encoder.made == len(made)
    assert not encoder.held
    return made, told


@each_of(
    ("form", "lines", "first", "count"),
    [
        ("auto", [b"1", b"\xff", b"\xfe"], 2, 2),
        ("csv", [b"\xe4,b", b"1,2"], 1, 1),
        ("logfmt", [b"a=1", b"k\xe4se=2"], 2, 1),
        ("regex:(?P<n>[0-9]+)", [b"\xe4", b"1 \xe4"], 2, 1),
        ("json", [b'"\xff"', b"1"], 0, 0),
        ("text", [b"\xc3\xa4"], 0, 0),
    ],
)
def test_a_line_that_is_no_utf_8_and_is_not_left_out_is_told(
    form: str, lines: list[bytes], first: int, count: int
) -> None:
    told: list[int] = []
    encoder = Encoder(form, told.append)
    list(encoder.encode_all(iter([lines]), lambda *_: None))
    assert (told, encoder.replaced) == ([first] * bool(first), count)


@pytest.mark.parametrize("together", [True, False])
def test_a_value_of_csv_in_quotes_may_have_several_lines(together: bool) -> None:
    """Spreadsheets write them (RFC 4180 §2.6). The rest of such a value is no row of its own."""
    lines = [b"a,b", b'"x', b"", b'y ""1"",",2', b"", b"3,4", b'5,"', b'6,7"', b'8" pipe,"x"', b'"9', b'",""']
    assert encode_all(*lines, together=together) == (
        [
            {"a": 'x\n\ny "1",', "b": 2},
            {"a": 3, "b": 4},
            {"a": 5, "b": "6,7"},
            {"a": '8" pipe', "b": "x"},
            {"a": 9, "b": None},
        ],
        [],
    )


def test_a_heading_of_csv_may_have_several_lines() -> None:
    assert encode_all(b'"a', b'b",c', b"1,2") == ([{"a\nb": 1, "c": 2}], [])


@given(st.lists(st.lists(st.text('a",\n 1', max_size=5), min_size=2, max_size=2), max_size=5))
def test_rows_of_csv_are_read_as_the_library_wrote_them(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    lines = written.getvalue().removesuffix("\n").split("\n") if rows else []
    found, told = encode_all(b"a,b", *(line.encode() for line in lines))
    assert (found, told) == ([{"a": value_of(a.strip()), "b": value_of(b.strip())} for a, b in rows], [])


def test_a_row_of_csv_that_is_none_is_left_out_with_all_its_lines() -> None:
    made, told = encode_all(b"a,b", b'"x', b'y"', b'"x', b'y"z,3', b"1,2", b'3,"4', b"5,6")
    assert made == [{"a": 1, "b": 2}]
    assert [each.split(" ")[0] for each in told] == ["2-3", "4-5", "7-8"]
    assert "1 values, and the heading 2" in told[0]
    assert "a value in quotes has no end" in told[2]


@pytest.mark.parametrize(("line", "last"), [(b"x", 1002), (b"x" * 1000, 133), (b'""' * 500, 133)])
def test_a_quote_too_many_holds_back_no_more_than_a_row_may_have(line: bytes, last: int) -> None:
    made, told = encode_all(b"a,b", b'"x', *[line] * (last - 2), b"1,2")
    assert made == [{"a": 1, "b": 2}]
    assert [each.split(" ")[0] for each in told] == [f"2-{last}"]
    assert "at most 1,000 lines and 131,072 bytes" in told[0]


@each_of("heading", ["a,a", "a, a ", "x,a,y,a", ",column1", "column2,", '"a","a"'])
def test_a_heading_of_csv_that_names_a_column_twice_is_an_error(heading: str) -> None:
    """Of two values with one name one would be lost, so nothing at all is published."""
    with pytest.raises(BadHeading, match=r"names '(a|column1|column2)' twice"):
        CsvLines()(heading)


@pytest.mark.parametrize("line", ["a=1 a=2", "a=1 b=2 a", 'a a="x"', "a= a="])
def test_logfmt_that_names_a_value_twice_is_an_error(line: str) -> None:
    with pytest.raises(BadUse, match="names 'a' twice"):
        parse_logfmt(line)


@each_of(
    ("line", "name"),
    [
        ("cpu,host=a host=3", "host"),
        ("cpu,host=a,host=b load=1", "host"),
        ("cpu load=1,load=2", "load"),
        (r"cpu,a\ b=1 a\ b=2", "a b"),
        ("cpu,measurement=x load=1", "measurement"),
        ("cpu measurement=x", "measurement"),
        ("cpu,time=x load=1 1465839830100400200", "time"),
        ("cpu time=5 1465839830100400200", "time"),
    ],
)
def test_line_protocol_that_names_a_value_twice_is_an_error(line: str, name: str) -> None:
    with pytest.raises(BadUse, match=f"two values for '{name}'"):
        parse_influx(line)
    assert parse_influx("cpu time=5") == {"measurement": "cpu", "time": 5}


@given(st.dictionaries(st.from_regex(r"[a-z_.]+", fullmatch=True), TEXTS, min_size=1))
def test_logfmt_in_quotes_is_read_as_it_was_written(said: dict[str, str]) -> None:
    line = " ".join(
        f'{name}="{text.translate({34: chr(92) + chr(34), 92: chr(92) * 2})}"' for name, text in said.items()
    )
    assert parse_logfmt(line) == said


def test_logfmt() -> None:
    line = r'level=info msg="all \"is\" well\n" took=1.5 n=-3 ok=true none= cached path=/a/b?c  '
    assert parse_logfmt(line) == {
        "level": "info",
        "msg": 'all "is" well\n',
        "took": 1.5,
        "n": -3,
        "ok": True,
        "none": None,
        "cached": True,
        "path": "/a/b?c",
    }
    for wrong in ("=1", 'a="open', 'a=b"c', '"x"'):
        with pytest.raises(BadUse, match="no logfmt"):
            parse_logfmt(wrong)


def test_line_protocol() -> None:
    line = r'air\ quality,place=roof\,top,s=1 temp=21.5,n=7i,wet=f,note="a, \"b\"=c",up=T 1465839830100400200'
    assert parse_influx(line) == {
        "measurement": "air quality",
        "place": "roof,top",
        "s": "1",
        "temp": 21.5,
        "n": 7,
        "wet": False,
        "note": 'a, "b"=c',
        "up": True,
        "time": 1465839830100.4002,
    }
    assert parse_influx("cpu load=1") == {"measurement": "cpu", "load": 1}
    assert parse_influx("# a comment") is None
    for wrong in ("cpu", "cpu load", "cpu load=1 now", ",a=b c=1"):
        with pytest.raises(BadUse, match="no line protocol"):
            parse_influx(wrong)


def test_a_pattern_gives_its_named_groups() -> None:
    parse = make_parser(r"regex:GET (?P<path>\S+) took (?P<ms>[0-9.]+)(?P<hit> hit)?")
    assert parse is not None
    assert parse("x GET /a took 1.5") == {"path": "/a", "ms": 1.5, "hit": None}
    assert parse("POST /a") is None


@pytest.mark.parametrize(
    ("form", "said"),
    [("xml", "csv, logfmt"), ("regex", "regex:PATTERN"), ("regex:(", "no pattern"), ("regex:a", "names no group")],
)
def test_a_form_that_is_none_is_an_error_that_names_the_forms(form: str, said: str) -> None:
    with pytest.raises(BadUse, match=said):
        make_parser(form)


def test_forms_without_a_parser() -> None:
    assert [make_parser(form) for form in ("auto", "json", "text")] == [None] * 3


@pytest.mark.parametrize("number", ["9" * 4301, "1e400", "-1E400", "1e99999999999999999999"])
def test_a_number_that_no_int_and_no_float_holds_goes_as_it_is(number: str) -> None:
    encoder = Encoder("csv")
    encoder.encode(b"n,place")
    assert encoder.encode(f"{number},roof".encode()) == b'{"n":%s,"place":"roof"}' % number.encode()
    assert Encoder("logfmt").encode(f"n={number}".encode()) == b'{"n":%s}' % number.encode()
    assert Encoder("auto").encode(number.encode()) == number.encode()


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff":[]}', "[" * 2000 + "]" * 2000])
def test_json_that_python_has_no_value_for_goes_as_it_is(text: str) -> None:
    assert encode_line(text.encode(), "auto") == encode_line(text.encode(), "json") == text.encode()


def test_an_empty_line_is_a_text_and_in_every_other_form_nothing() -> None:
    """A build's log loses no line of --as text: an argument of "" is a text, too."""
    lines = [b"a", b"", b" ", b"b"]
    texts = Encoder("text").encode_all(iter([lines]), lambda *_: None)
    assert list(texts) == [[b'"a"', b'""', b'" "', b'"b"']]
    assert list(Encoder("auto").encode_all(iter([lines]), lambda *_: None)) == [[b'"a"', b'"b"']]
