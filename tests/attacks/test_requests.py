"""Single requests made to be dear: each is answered or refused, holds the server shortly, and leaves nothing."""

import base64
import json
from collections.abc import Iterator

import pytest

from slosh.access.tokens import hash_token, make_token
from tests.access.tokens import SECRET, sign
from tests.attacks.victim import Bystander, Victim
from tests.timing import assert_quick
from tests.web.harness import request

LONGEST = 0.05
"""Seconds of CPU that one request may take, in the plain build too. Usual ones take a thousandth of it."""
LEFT = 24 * 1024 * 1024
"""Bytes that the server may have more when all is over: what the C library keeps for the next large request."""
TIMES = 4
"""Each is sent so often before it is measured."""
TOKEN = make_token()
TOPICS = 3_000


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def bearer(token: str, method: str = "GET", target: str = "/topics/mine/a?wait=0") -> bytes:
    return request(method, target, Authorization=f"Bearer {token}", Connection="close")


def post(body: bytes, target: str = "/topics/quiet") -> bytes:
    return request("POST", target, body, Connection="close", Authorization=f"Bearer {TOKEN}")


def get(target: str, method: str = "GET", **fields: str) -> bytes:
    return request(method, target, Connection="close", Authorization=f"Bearer {TOKEN}", **fields)


def head(*lines: str) -> bytes:
    return "\r\n".join(["GET /topics/quiet?wait=0 HTTP/1.1", "Host: a", "Connection: close", *lines, "", ""]).encode()


DEEP = "[" * 5_000 + "]" * 5_000
SEGMENTS = "/".join("abcdefghijklmno")
WIDE = [f"{'*/' * 12}x{number}/**" for number in range(50)]
UNSIGNED = encoded(json.dumps({"slosh": {"read": ["**"]}, "exp": 10**12}))
NARROW = ",".join(f"{'*/' * 12}y{number}" for number in range(64))

REQUESTS: dict[str, tuple[bytes, int]] = {
    # Tokens.
    "a JWT with a megabyte of claims": (bearer(sign(more="x" * 1_000_000)), 431),
    "a JWT that fits into a head and is too long": (bearer(sign(more="x" * 9_000)), 401),
    "a JWT whose head is nested 2,500 deep": (
        bearer(encoded('{"alg":"HS256","x":' + DEEP[2500:7500] + "}") + f".{UNSIGNED}.{encoded('x')}"),
        401,
    ),
    "a good JWT whose other claims are nested 900 deep": (bearer(sign(more=json.loads("[" * 900 + "]" * 900))), 200),
    "a JWT of the algorithm none": (bearer(f"{encoded(json.dumps({'alg': 'none'}))}.{UNSIGNED}."), 401),
    "a JWT with 129 patterns": (bearer(sign(slosh={"read": ["a"] * 129})), 401),
    "a JWT with 50 wide patterns, for 64 others": (
        bearer(sign(slosh={"read": WIDE}), target=f"/topics/{NARROW}?wait=0"),
        403,
    ),
    "dots instead of a token": (bearer("eyJ" + "." * 8_000), 401),
    # Bodies.
    "arrays nested 100,000 deep": (post(b"[" * 100_000 + b"]" * 100_000), 400),
    "a megabyte of opening brackets": (post(b"[" * 1_000_000), 400),
    "objects nested 100,000 deep": (post(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), 400),
    "a number of a megabyte": (post(b"9" * 1_000_000), 200),
    "a number with a large exponent": (post(b"1e" + b"9" * 100_000), 200),
    "a megabyte of white space": (post(b" " * 1_000_000), 400),
    "a megabyte of lone surrogates": (post(b'"' + b"\\ud83d" * 160_000 + b'"'), 200),
    "a form": (post(b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"-" * 900_000), 400),
    "10,000 lines": (post(b"1\n" * 10_000, "/topics/quiet?batch=ndjson"), 200),
    # Heads.
    "10,000 equal fields": (head(*["X: v"] * 10_000), 431),
    "a field of a megabyte": (head("X: " + "v" * 1_000_000), 431),
    "a target of a megabyte": (get("/" + "a" * 1_000_000), 431),
    "a cookie of 15 kB": (head("Cookie: " + "a=1; " * 3_000), 401),
    "1,500 ranges": (get("/-/slosh.js", Range="bytes=" + ",".join(f"{n}-{n}" for n in range(1_500))), 200),
    "1,500 tokens in Connection": (head("Connection: " + "a, " * 1_500), 401),
    "2,000 tokens in Accept": (head("Accept: " + "a/b;q=0.1," * 1_400), 401),
    "1,000 addresses in X-Forwarded-For": (head("X-Forwarded-For: " + "192.0.2.1, " * 1_000), 401),
    "1,000 elements in Forwarded": (head("Forwarded: " + 'for="[::1]";by=x,' * 800), 401),
    "a Forwarded that ends in a string": (head('Forwarded: for="' + "\\" * 14_000), 401),
    "65 parameters": (get("/topics/quiet?" + "&".join(f"a{n}=1" for n in range(65))), 400),
    "64 parameters of 200 characters": (get("/topics/quiet?wait=0&" + "&".join("%61" * 60 for n in range(63))), 200),
    # Topics.
    "65 topics": (get("/topics/" + ",".join(f"a{n}" for n in range(65)) + "?wait=0"), 400),
    "64 patterns over all topics": (get("/topics/" + ",".join(f"*/*/{n},*/{n}/*" for n in range(32)), "HEAD"), 400),
    "64 patterns of 16 segments": (
        get("/topics/" + ",".join(f"{'*/' * 14}{n}/*" for n in range(64)) + "?wait=0"),
        400,
    ),
    "a pattern of everything": (get("/topics/**", "HEAD"), 400),
    "a name of 17 segments": (get(f"/topics/{SEGMENTS}/p/q?wait=0"), 400),
    "a place in 257 topics": (get("/topics/**?wait=0&since=*," + ",".join(f"t{n}=a.1" for n in range(257))), 400),
    "a key of 17 names": (get("/topics/quiet?wait=0&key=" + ".".join("abcdefghijklmnopq")), 400),
    "the list of all topics": (get("/topics?limit=1000"), 200),
}
"""What is sent, and the status of the answer."""


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "secret").write_bytes(SECRET)
    (folder / "slosh.toml").write_text(
        f'unwatched = "keep"\nlinger = "1h"\n[access.jwt]\nsecret_file = "secret"\n'
        f'[[access.tokens]]\nname = "all"\nsha256 = "{hash_token(TOKEN).hex()}"\nread = ["**"]\npublish = ["**"]\n'
    )
    with Victim(folder, f"--config={folder / 'slosh.toml'}") as server:
        lines = b"".join(b'{"topic":"t/%d/%d","message":1}\n' % (n % 50, n) for n in range(TOPICS))
        assert b" 200 OK" in server.say(post(lines, "/topics?batch=ndjson"))
        yield server
        server.assert_healthy()


def statuses(answers: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.cpu
@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_answered_and_holds_the_server_shortly(victim: Victim, name: str) -> None:
    sent, status = REQUESTS[name]
    with Bystander(victim, TOKEN) as other:

        def attack() -> None:
            answer = victim.say(sent)
            assert statuses(answer) == [status], answer[:500]

        memory = victim.memory
        for _ in range(TIMES):
            attack()
            other.ask(1)
        assert_quick(attack, LONGEST, victim.cpu)
        assert victim.memory - memory < LEFT
