"""Each mistake in a setting, made once: the error names the setting, the value, and what to write instead; no secret.

The last test holds this table against the source: each place that raises a `SettingError` has a row, or a reason.
"""

import ast
import json
import re
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

import slosh
from slosh.access.rights import NOTHING
from slosh.access.rules import AccessRules, ClientName, parse_access
from slosh.commands import mint
from slosh.engine.redis.client.address import parse_address
from slosh.errors import SettingError
from slosh.http1.proxies import Proxies
from slosh.http1.tls import make_context
from slosh.listening import _check_nothing_else, check_protected
from slosh.parts import check_engine, find_root, make_tls
from slosh.settings import Settings
from slosh.settings.sources import from_keywords, load
from slosh.web.admission.hosts import Hosts
from slosh.web.admission.origins import Origins
from tests.cases import each_of
from tests.http1.certificates import Issuer

PACKAGE = Path(slosh.__file__).parent
SECRET = "hunter2-correct-horse"
"""Stands wherever a secret could: no error may repeat it."""
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)


class Mistake(NamedTuple):
    """A mistake.

    Attributes:
        make: makes it, in a folder of its own.
        setting: what the error calls it.
        value: what was written, as the error repeats it; empty where that could hold a secret, or is a whole table.
        instead: the words that say what to write.
    """

    make: Callable[[Path], object]
    setting: str
    value: str
    instead: str


def in_toml(text: str) -> Callable[[Path], object]:
    def make(folder: Path) -> object:
        (folder / "slosh.toml").write_text(text, encoding="utf-8")
        return load({}, environ={}, config=str(folder / "slosh.toml"))

    return make


def in_access(table: object, **files: str) -> Callable[[Path], object]:
    def make(folder: Path) -> object:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return parse_access(table, folder)

    return make


def in_jwks(*members: object) -> Callable[[Path], object]:
    return in_access({"jwt": {"jwks_file": "keys"}}, keys=json.dumps({"keys": members}))


def at(text: str) -> Callable[[Path], object]:
    return lambda _: parse_address(text)


def reached_from_elsewhere(_: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        check_protected([listener], Settings())


def with_password(folder: Path) -> object:
    certificate, key = Issuer(folder).issue("a", password=SECRET)
    return make_context(str(certificate), str(key), "")


def with_client_ca(folder: Path) -> object:
    certificate, key = Issuer(folder).issue("a")
    return make_context(str(certificate), str(key), str(folder / "absent.pem"))


def with_other_key(folder: Path) -> object:
    issuer = Issuer(folder)
    return make_context(str(issuer.issue("a")[0]), str(issuer.issue("b")[1]), "")


CLIENTS = AccessRules(NOTHING, (), (ClientName("a", NOTHING, float("inf")),), None)
TOKEN = {"name": "a", "sha256": "0" * 64}
PUBLIC_WEAK = json.loads(RSAAlgorithm.to_jwk(WEAK.public_key()))
ROWS = {
    "bound": Mistake(lambda _: Settings(port=70_000), "port", "70000", "from 0 to 65535"),
    "type": Mistake(lambda _: Settings(linger="30"), "linger", "'30'", "write seconds"),  # type: ignore[arg-type]
    "choice": Mistake(lambda _: Settings(unwatched="drop"), "unwatched", "'drop'", "write reject or keep"),
    "relation": Mistake(lambda _: Settings(tls_key="k.pem"), "tls_key", "k.pem", "Name the certificate"),
    "store in settings": Mistake(lambda _: check_engine(Settings(engine=f"memroy{SECRET}")), "engine", "", "redis://"),
    "option": Mistake(lambda _: load({"port": "http"}, environ={}), "--port", "'http'", "whole number"),
    "options": Mistake(
        lambda _: load({"max_message": "9m"}, environ={"SLOSH_MAX_BODY": "2m"}),
        "--max-message",
        "9MiB",
        "Lower max_message",
    ),
    "folder": Mistake(lambda _: load({"root": "/no/such"}, environ={}), "--root", "/no/such", "Name the folder"),
    "variable": Mistake(lambda _: load({}, environ={"SLOSH_PORT": "x"}), "SLOSH_PORT", "'x'", "whole number"),
    "keyword": Mistake(lambda _: from_keywords({"queu": 1}, Settings()), "queu", "", "Did you mean queue?"),
    "file": Mistake(lambda f: load({}, environ={}, config=str(f / "no.toml")), "settings file", "no.toml", "cannot be"),
    "line": Mistake(in_toml("port = "), "settings file", "slosh.toml", "is not TOML"),
    "name in a file": Mistake(in_toml("prot = 1"), "prot in", "", "Did you mean port?"),
    "engine of a file": Mistake(in_toml(f'engine = "redis://:{SECRET}@h:p"\nport = "x"'), "port", "'x' in", "number"),
    "table": Mistake(in_toml("[acess]\ntokens = []"), "[acess] in", "", "Did you mean [access]?"),
    "classes": Mistake(in_toml("topics = 3"), "topics in", "", '[topics."gen/**"]'),
    "no class": Mistake(in_toml("[topics]\nqueue = 1"), "queue in [topics]", "", '[topics."gen/**"]'),
    "setting of a class": Mistake(in_toml('[topics."a"]\nqueu = 1'), 'queu in [topics."a"]', "", "Did you mean queue?"),
    "value in a class": Mistake(in_toml('[topics."a"]\nqueue = 0'), "queue", '=0 in [topics."a"]', "goes from 1"),
    "value in a program": Mistake(lambda _: Settings(topics={"a": {"queue": 0}}), "queue", "=0 in", "goes from 1"),
    "pattern": Mistake(in_toml('[topics."/a"]\nqueue = 1'), '[topics."/a"]', "", "No segment"),
    "hidden pattern": Mistake(
        in_toml('[topics."a/**"]\n[topics."a/b"]\nqueue = 1'), '[topics."a/b"]', "", 'Put it before [topics."a/**"]'
    ),
    "root": Mistake(lambda _: find_root(Settings(root="/no/such")), "root", "/no/such", "Name the folder"),
    "open": Mistake(reached_from_elsewhere, "0.0.0.0", "", "Write a section [access]"),
    "handed over": Mistake(lambda _: _check_nothing_else(Settings(port=1)), "port", "1", "Leave port out"),
    "proxies": Mistake(lambda _: Proxies("10.0.0.1/8"), "trusted_proxies", "10.0.0.1/8", "Write 10.0.0.0/8"),
    "hosts": Mistake(lambda _: Hosts("https://a"), "hosts", "https://a", "Write names without scheme"),
    "origin": Mistake(lambda _: Origins("app.example"), "origins", "app.example", "looks like https://"),
    "origin of no page": Mistake(lambda _: Origins("null"), "origins", "null", "no origin of one page"),
    "quotes": Mistake(in_toml("max_body = 8MiB"), "max_body", "8MiB", 'max_body = "8MiB"'),
    "password without quotes": Mistake(
        in_toml(f"engine = redis://:{SECRET}@h:1/0\nengine = {SECRET}"), "slosh.toml", "", "is not TOML"
    ),
    "certificate": Mistake(lambda f: make_context(str(f / "c.pem"), "", ""), "tls_cert", "c.pem", "Name one that can"),
    "other key": Mistake(with_other_key, "tls_key", "b.key", "Name the one that does"),
    "locked key": Mistake(with_password, "tls_key", "", "Write it without one"),
    "issuers": Mistake(with_client_ca, "tls_client_ca", "absent.pem", "Name one that can"),
    "clients": Mistake(lambda _: make_tls(Settings(access=CLIENTS)), "[[access.clients]]", "", "tls_client_ca"),
    "store": Mistake(at(f"redi://:{SECRET}@h"), "engine", "", "Did you mean redis://?"),
    "@ in a password": Mistake(at(f"redis://:{SECRET}@h#x"), "engine", "", "%40"),
    "socket with a host": Mistake(at(f"unix://:{SECRET}@h"), "engine", "", "unix:///run/redis.sock"),
    "several hosts": Mistake(at(f"redis://:{SECRET}@a,b"), "engine", "", "redis+cluster://"),
    "port of a store": Mistake(at(f"redis://:{SECRET}@h:x"), "engine", "", "write them as host:6379"),
    "no master": Mistake(at(f"redis+sentinel://:{SECRET}@h"), "engine", "", "add /mymaster"),
    "database of a cluster": Mistake(at(f"redis+cluster://:{SECRET}@h/3"), "engine", "", "leave the path"),
    "database": Mistake(at(f"redis://:{SECRET}@h/x"), "engine", "", "/0"),
    "option of a store": Mistake(
        at(f"redis://:{SECRET}@h?socket_timeot=1"), "engine", "", "Did you mean socket_timeout"
    ),
    "option of TLS": Mistake(at(f"redis://:{SECRET}@h?ssl_keyfile={SECRET}"), "ssl_keyfile", "", "write rediss"),
    "value in a query": Mistake(at(f"redis://:{SECRET}@h?db={SECRET}"), "db in", "", "cannot be used"),
    "no table": Mistake(in_access([SECRET]), "[access]", "", "is a table, with public"),
    "unknown": Mistake(in_access({"publik": {}}), "[access]", "'publik'", "Did you mean public?"),
    "rights": Mistake(in_access({"public": {"read": ["a*"]}}), "read of public", "['a*']", "whole segment"),
    "no list": Mistake(in_access({"tokens": {}}), "tokens in [access]", "", "Write [[access.tokens]]"),
    "no name": Mistake(in_access({"tokens": [{"sha256": SECRET}]}), "name", "", "1 to 64 printable"),
    "no hash": Mistake(in_access({"tokens": [TOKEN | {"sha256": SECRET}]}), "sha256", "", "slosh token"),
    "neither": Mistake(in_access({"tokens": [{"name": "a"}]}), "(a)", "", "write sha256"),
    "expires": Mistake(
        in_access({"tokens": [TOKEN | {"expires": "soon"}]}), "expires", "'soon'", "2027-01-01T00:00:00Z"
    ),
    "same name": Mistake(
        in_access({"tokens": [TOKEN, TOKEN | {"sha256": "1" * 64}]}), "access.tokens", "", "Give each"
    ),
    "same token": Mistake(in_access({"tokens": [TOKEN, TOKEN | {"name": "b"}]}), "access.tokens", "", "Join the two"),
    "no path": Mistake(in_access({"tokens": [{"name": "a", "file": 3}]}), "file", "", "is the path of a file"),
    "no file": Mistake(in_access({"tokens": [{"name": "a", "file": "no"}]}), "(a)", "/no", "Name a file"),
    "no token": Mistake(in_access({"tokens": [{"name": "a", "file": "t"}]}, t="hunter2"), "(a)", "/t", "`slosh token`"),
    "text": Mistake(in_access({"jwt": {"audience": 1}}), "audience", "", "quotation marks"),
    "algorithms": Mistake(in_access({"jwt": {"algorithms": ["none"]}}), "algorithms", "['none']", "HS256, RS256"),
    "no secret": Mistake(in_access({"jwt": {"algorithms": ["HS256"]}}), "secret_file", "", "write both, or neither"),
    "no keys": Mistake(in_access({"jwt": {}}), "jwks_file", "", "need jwks_file"),
    "short secret": Mistake(in_access({"jwt": {"secret_file": "s"}}, s=SECRET), "secret_file", "/s", "openssl rand"),
    "absent keys": Mistake(in_access({"jwt": {"jwks_file": "no"}}), "jwks_file", "/no", "Name a file"),
    "large keys": Mistake(in_access({"jwt": {"jwks_file": "k"}}, k=" " * 2**21), "jwks_file", "/k", "Leave out keys"),
    "no JWKS": Mistake(in_access({"jwt": {"jwks_file": "k"}}, k="[]"), "jwks_file", "/k", 'write {"keys"'),
    "many keys": Mistake(in_jwks(*[{}] * 1000), "jwks_file", "/keys", "write at most"),
    "no key": Mistake(in_jwks(3), "jwks_file", "/keys", "Write public keys"),
    "broken key": Mistake(in_jwks({"kty": "EC", "crv": "P-256", "x": "!"}), "jwks_file", "/keys", "Write public keys"),
    "weak key": Mistake(in_jwks(PUBLIC_WEAK), "jwks_file", "1024 bits", "use one of 2048"),
    "no key for us": Mistake(in_jwks({"kty": "EC", "crv": "P-521"}), "jwks_file", "/keys", "Add one"),
    "secret key": Mistake(in_jwks({"kty": "oct", "k": SECRET}), "jwks_file", "/keys", "secret_file"),
    "nothing to check": Mistake(lambda f: mint.tell(SECRET, _empty(f)), "[access]", "", "Write one"),
    "nothing to sign with": Mistake(lambda _: mint._find_key(None, None), "secret_file", "", "--key"),
    "no private key": Mistake(lambda _: mint._find_key(SECRET, None), "--key", "", "PEM"),
    "end of a token": Mistake(lambda _: mint._parse_end("soon"), "--expires", "'soon'", "1h or 30d"),
}
ELSEWHERE = {
    "listening.py adopt": "tests/test_takeover.py: sockets of a server that listens elsewhere",
    "private_store.py find_program": "tests/test_private_store.py: without the library, and without a program",
    "service.py privilegedStartService": "tests/test_service.py: in a real twistd",
    "parts.py check_engine": "tests/test_server.py: in a Python without the extra",
    "access/jwt.py check_library": "tests/access/test_jwt.py: without the library",
    "engine/redis/client/link.py start": "tests/engine/redis: a store that is there and cannot be used",
    "engine/redis/client/cluster.py _watch": "the same for a cluster",
    "engine/redis/client/cluster.py _look_now": "the same for a cluster",
    "engine/redis/client/address.py _check_options": "tests/engine/redis/client/test_address.py",
    "settings/sources.py _load_file": "tests/settings/test_sources.py: another coding than UTF-8",
    "commands/mint.py _find_key": "tests/commands/test_mint.py: a key of another kind",
    "commands/serve.py check_system": "a system that cannot share a port",
}
"""Places, as file and function, of which not every error is in the table, and where it is tested."""


def _empty(folder: Path) -> str:
    (folder / "slosh.toml").write_text("")
    return str(folder / "slosh.toml")


@each_of("name", ROWS)
def test_a_mistake_is_named_with_what_to_write_instead(name: str, tmp_path: Path) -> None:
    mistake = ROWS[name]
    with TemporaryDirectory(dir=tmp_path) as folder, pytest.raises(SettingError) as caught:
        mistake.make(Path(folder))
    told = caught.value.detail
    assert mistake.setting in told
    assert mistake.value in told
    assert mistake.instead in told
    assert SECRET not in told
    assert "hunter2" not in told
    assert len(told) < 600
    assert re.search(r"[.?\d]$|hex 32$", told), "a whole sentence"


def places() -> Iterator[tuple[str, str, int, int]]:
    """Where the source makes a `SettingError`: file, function, first and last line."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                        called = node.exc.func
                        if isinstance(called, ast.Name) and called.id == "SettingError":
                            last = node.end_lineno or node.lineno
                            yield str(file.relative_to(PACKAGE)), function.name, node.lineno, last


def test_each_place_that_refuses_a_setting_is_in_the_table(tmp_path: Path) -> None:
    met = set()
    for number, mistake in enumerate(ROWS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            mistake.make(folder)
        except SettingError as error:
            met |= {(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)}
    missing = [
        f"{file} {function}, line {first}"
        for file, function, first, last in places()
        if not any((str(PACKAGE / file), line) in met for line in range(first, last + 1))
    ]
    assert not [each for each in missing if each.partition(",")[0] not in ELSEWHERE]
