"""Files that come with the server: what is left out of them, and who gets them compressed."""

import gzip
import re
from pathlib import Path

import pytest

import slosh.web
from slosh.web.assets import load, pack, shortened
from tests.web.harness import Site

STATIC = Path(slosh.web.__file__).with_name("static")


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("*;q=0, br", False),
        ("gzip;q=0, *", False),
        ("xgzip", False),
    ],
)
def test_a_client_that_takes_gzip_gets_it(site: Site, accepted: str, is_packed: bool) -> None:
    asset = load(STATIC / "slosh.js")
    answer = site.get("/-/slosh.js", Accept_Encoding=accepted)
    assert answer["Vary"] == "Accept-Encoding"
    assert ("Content-Encoding" in answer) is is_packed
    assert answer.body == (asset.packed if is_packed else asset.plain)
    assert answer["ETag"] == (asset.packed_tag if is_packed else asset.plain_tag)
    again = site.get("/-/slosh.js", Accept_Encoding=accepted, If_None_Match=answer["ETag"])
    assert (again.status, again["Vary"]) == (304, "Accept-Encoding")


def test_both_forms_are_the_same_content_under_tags_of_their_own() -> None:
    asset = load(STATIC / "slosh.js")
    assert gzip.decompress(asset.packed) == asset.plain
    assert asset.plain_tag != asset.packed_tag
    assert len(asset.packed) < len(asset.plain) / 2


def test_what_gzip_makes_no_smaller_is_sent_as_it_is() -> None:
    assert pack("text/plain", b"x").packed == b""


SCRIPT = """/*! kept */
/** Gone,
 *  all of it. */
const url = "http://a//b"; // stays
  // gone

  const text = "/* stays */"; /* stays */
  /* gone */

const end = `/**`;
"""


def test_indentation_empty_lines_and_comments_on_lines_of_their_own_are_left_out() -> None:
    assert shortened(SCRIPT, is_script=True).splitlines() == [
        "/*! kept */",
        'const url = "http://a//b"; // stays',
        'const text = "/* stays */"; /* stays */',
        "const end = `/**`;",
    ]


def test_in_a_sheet_two_slashes_begin_no_comment() -> None:
    assert shortened("a {\n  //b: c;\n}\n", is_script=False) == "a {\n//b: c;\n}\n"


def test_the_viewer_is_small() -> None:
    """Its page, its sheets, and all the scripts that it loads, as they go over the wire."""
    folder = STATIC.with_name("view")
    found = {
        folder / name for name in ("view.html", "view.css", "slosh.svg", "again.js", "signin.js", "uplot/uPlot.min.css")
    }
    waiting = [folder / "view.js"]
    while waiting:
        script = waiting.pop()
        found.add(script)
        for name in re.findall(r'(?:from|import\()\s*"(\./[^"]+)"', script.read_text(encoding="utf-8")):
            target = next(path for path in (script.parent / name, STATIC / name) if path.exists())
            if target.resolve() not in found:
                waiting.append(target.resolve())
    assert len(found) > 15
    assert sum(len(load(path).packed or load(path).plain) for path in found) < 80 * 1024


def test_the_client_is_small() -> None:
    """What a page gets that imports it: the file, and the one that it needs at once. Sharing is loaded later."""
    files = [STATIC / "slosh.js", STATIC / "slosh" / "wire.js"]
    assert sum(len(load(path).packed) for path in files) <= 8000
