"""Files that come with the server: what is left out of them, and who gets them compressed."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import slosh.web
from slosh.web.pages.assets import load, pack, shortened, without_indentation
from tests.cases import each_of
from tests.conftest import need
from tests.web.harness import Site

STATIC = Path(slosh.web.__file__).with_name("static")


@each_of(
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
        'const url="http://a//b";const text="/* stays */";/* stays */',
        "const end=`/**`;",
    ]


def test_in_a_sheet_two_slashes_begin_no_comment() -> None:
    assert shortened("a {\n  //b: c;\n}\n", is_script=False) == "a{//b:c}"


SHEET = """
a:hover > .b , c { margin: 0 auto; content: " { ; } "; }
/*! kept:  as it is ; */
@media (min-width: 9em) {
  :is(a, b) :focus { width: calc(1px + 2px) }
}
"""


def test_a_sheet_loses_the_spaces_around_its_punctuation_and_no_others() -> None:
    assert shortened(SHEET, is_script=False) == (
        'a:hover > .b,c{margin:0 auto;content:" { ; } "}/*! kept:  as it is ; */\n'
        "@media (min-width:9em){:is(a,b) :focus{width:calc(1px + 2px)}}"
    )


STRANGE = r"""
const text = `a  b ${ c ? `d  ${ { e: " } " }.e }  f` : "`" }  g \${ h } \` i`; // gone
const found = /[/"'`]  \/ x/.test(text)  ||  / {2}/u.test(a) ;
const size = (a + b) / 2 / (c  - -d + +e) + f++ + ++g - --h;
const [ i ]  =  "it's  \\" . split ( ' " ' ) , j = k / l ;
class M { static #n  =  1 ; get #o ( ) { return  typeof  this . #n } has (p) { return  #n  in  p } }
const q = (r)  =>  / s  t / . exec ( r )
for (const { u } of  v)  if  (u)  w  =  u  /  2
const o = {
  x, // gone
  y () {
    return
    {
      x
    }
  }
}
let z = x
++z
z = [
  ","
]
const t = `;
{
${ [ x,
  y ] },
}`
(o)
"""


def test_scripts_lose_spaces_alone() -> None:
    """By the parser of node a script has the same parts and the same tree before and after, and so has each of ours."""
    scripts = [("strange", STRANGE, shortened(STRANGE, is_script=True))]
    for path in sorted(STATIC.parent.rglob("*.js")):
        # The one literal over several lines may lose its indentation.
        text = without_indentation(path.read_text(encoding="utf-8"))
        scripts.append((path.name, text, load(path).plain.decode()))
    assert len(scripts) > 20
    command = [need("node"), "--expose-internals", str(Path(__file__).with_name("tokens.cjs"))]
    told = subprocess.run(command, input=json.dumps(scripts), capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == ""
    _, before, after = scripts[0]
    assert len(after) < len(before) * 0.8


#: What is imported where a page follows topics with a connection of its own, which the viewer never does.
NOT_SHARED = "hidden.js"


def viewer_files() -> set[Path]:
    """The sheets of the viewer's page, its picture, and all the scripts that it loads, at once or later."""
    folder = STATIC.with_name("view")
    found = {folder / name for name in ("view.css", "slosh.svg", "again.js", "signin.js")}
    waiting = [folder / "view.js"]
    while waiting:
        script = waiting.pop()
        found.add(script)
        for name in re.findall(r'(?:from|import\()\s*"(\./[^"]+)"', script.read_text(encoding="utf-8")):
            target = next(path for path in (script.parent / name, STATIC / name) if path.exists())
            if target.name != NOT_SHARED and target.resolve() not in found:
                waiting.append(target.resolve())
    return found


def test_the_viewer_is_small(site: Site) -> None:
    """Its page and all that this loads, as they go over the wire. That a browser loads no more, test_view.py sees."""
    found = viewer_files()
    assert len(found) > 15
    page = site.get("/view/kitchen", Accept_Encoding="gzip").body
    assert len(page) + sum(len(load(path).packed or load(path).plain) for path in found) < 80_000


def test_the_client_is_small() -> None:
    """What a page gets that imports it: the file, and the one that it needs at once. Sharing is loaded later."""
    files = [STATIC / "slosh.js", STATIC / "slosh" / "wire.js"]
    assert sum(len(load(path).packed) for path in files) <= 8000
