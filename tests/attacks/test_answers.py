"""What answers give away to somebody who sees how long they are."""

from tests.cases import each_of
from tests.web.admission.test_gate import ALMIGHTY, RULES, bearer
from tests.web.conftest import MakeSite
from tests.web.harness import request

PACKED = {"Accept_Encoding": "gzip, br, deflate, zstd"}


@each_of(
    ("method", "target"),
    [
        ("GET", "/topics/a?since=earliest&wait=0"),
        ("GET", "/topics/a?since=earliest&format=sse"),
        ("GET", "/topics/a?since=earliest&format=ndjson"),
        ("GET", "/topics/**?wait=0&since=earliest"),
        ("GET", "/topics"),
        ("GET", "/topics?watch"),
        ("GET", "/topics/a?history=1h"),
        ("GET", "/topics/a?watchers&wait=0"),
        ("GET", "/topics/a?limit=x"),
        ("GET", "/-/session"),
        ("POST", "/-/session"),
        ("GET", "/-/metrics"),
    ],
)
def test_nothing_with_a_secret_beside_a_strangers_text_is_compressed(
    make_site: MakeSite, method: str, target: str
) -> None:
    """BREACH (CVE-2013-3587): the length of a compressed answer tells how much of a guess stands in it already."""
    site = make_site(access=RULES, unwatched="keep")
    site.ask("POST", "/topics/a", b'"' + b"secret" * 500 + b'"', **bearer(ALMIGHTY))
    client = site.connect().send(request(method, target, **PACKED, **bearer(ALMIGHTY)))
    head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 ")
    assert b"content-encoding" not in head
