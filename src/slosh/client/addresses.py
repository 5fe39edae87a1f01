"""Where a client's requests go: the server's address, and the paths of topics. No I/O here."""

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import quote, unquote, unquote_to_bytes, urlencode, urlsplit, urlunsplit

from slosh.client.errors import BadUse, show
from slosh.core import patterns
from slosh.core.names import MAX_NAME_BYTES, check_name
from slosh.errors import BadTopic

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `slosh serve` listens when nothing else is said."""
UNIX: Final = "unix:"
"""How the address of a Unix socket begins; the path of its file follows, as it is."""
UNIX_BASE: Final = "http://localhost"
"""What requests through a Unix socket name as their server. Every slosh answers to that name."""

_LONGEST_TARGET: Final = 60_000
"""Characters of a path with its query. The HTTP library takes 65,536 of a whole address, and a server fewer."""
_LONGEST_NAME: Final = 4_000
"""Characters of a topic's name that fit into a request in any case. Whether it is too long is for the server to say."""
_LONGEST_ADDRESS: Final = 4_000
"""Characters of a server's address."""
_IS_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""How an address begins. No topic has such a name, because a segment of it would be empty."""
_IS_SOCKET: Final = re.compile(r"(?i:unix):(?://)?(/.*?\.sock)(?:/(?:(?:topics|view)/(.*?))?)?(?:[?#].*)?")
"""The address of a Unix socket, as it mostly is, and of a topic there. A topic could have such a name, and it is taken
for the address that somebody means."""
_IN_FRONT: Final = re.compile("/(?:topics|view)/")
"""What stands between a server's address and the name of a topic."""
_DOTS: Final = frozenset({".", ".."})
_SAFE: Final = "/-._~"


def find_url(url: str | None) -> str:
    """The server's address, without a slash at its end: `url`, else SLOSH_URL, else this machine's port 8000.

    That of a Unix socket is `unix:` and the path of its file from the root on.

    Raises:
        BadUse: it is no address; the detail says what to write.
    """
    address = url if url is not None else os.environ.get("SLOSH_URL", "") or DEFAULT_URL
    if not isinstance(address, str):
        raise BadUse(f"A server's address is a text such as {DEFAULT_URL}, not {show(address)}.")
    if len(address) > _LONGEST_ADDRESS:
        raise BadUse(f"A server's address has at most {_LONGEST_ADDRESS} characters; write one such as {DEFAULT_URL}.")
    if address[: len(UNIX)].lower() == UNIX:
        return UNIX + _find_socket(address)
    # The value itself is not repeated if it could hold a password.
    shown = show(address) if "@" not in address else "this address"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
        address.encode()
        host.encode("idna")
    except ValueError:
        raise BadUse(f"A server's address looks like {DEFAULT_URL}; {shown} cannot be read.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadUse(
            f"A server's address begins with http://, https:// or unix:, as in {DEFAULT_URL}; {shown} does not."
        )
    if parts.query or parts.fragment:
        raise BadUse(f"A server's address has no query; write the one under which /topics/ is found, as {DEFAULT_URL}.")
    if "/topics/" in f"{parts.path}/":
        raise BadUse(f"A server's address ends in front of /topics, as {DEFAULT_URL}; {shown} goes on behind it.")
    return address.rstrip("/")


def _find_socket(url: str) -> str:
    """The path in the address of a Unix socket, from the root on.

    Raises:
        BadUse: it names no file.
    """
    path = url[len(UNIX) :]
    if path.startswith("///"):  # unix:///run/slosh.sock, as a URL with an empty host
        path = path[2:]
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        path = ""
    if not path.strip("/") or path.startswith("//") or "\0" in path:
        raise BadUse(
            "The address of a Unix socket is unix: and the path of its file, as unix:/run/slosh.sock; "
            f"{show(url)} is none."
        )
    return os.path.abspath(path)  # noqa: PTH100 - Path would leave `..` in it


def socket_path(url: str) -> str:
    """The path of the Unix socket that an address names, as `find_url` gave it; empty if it names none."""
    return url[len(UNIX) :] if url.startswith(UNIX) else ""


def split_login(url: str) -> tuple[str, str]:
    """An address without the login in it, and that login as a value of `Authorization`; empty if it has none.

    So an address may be shown. A proxy in front of a server may ask for such a login (RFC 7617).
    """
    if socket_path(url):
        return url, ""
    parts = urlsplit(url)
    login, mark, _ = parts.netloc.rpartition("@")
    if not mark:
        return url, ""
    secret = b64encode(unquote_to_bytes(login)).decode()
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), f"Basic {secret}"


def check_text(name: str, value: object) -> str:
    """Give back the text that the argument `name` is.

    Raises:
        BadUse: it is not valid, or has characters that no address can have.
    """
    if not isinstance(value, str):
        raise BadUse(f"{name} is a text, not {show(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadUse(f"{name} is a text of Unicode, and {show(value)} has bytes that are none.") from None
    return value


def write_target(path: str, query: Mapping[str, str]) -> str:
    """A path with its query, as a request has it below the server's address.

    Args:
        path: as `topic_path` gives it, and what of the query stands first.
        query: texts as `check_text` gives them.

    Raises:
        BadUse: it is longer than a request can have it.
    """
    text = urlencode(query, quote_via=quote, safe=".,=*:-~")
    target = f"{path}{'&' if '?' in path else '?'}{text}" if text else path
    if len(target) > _LONGEST_TARGET:
        raise BadUse(
            f"A request has room for {_LONGEST_TARGET} characters of names and options, and these are {len(target)}. "
            "Give fewer or shorter ones."
        )
    return target


def topic_path(topic: object) -> str:
    """The path of one topic, or of one pattern.

    Raises:
        BadUse: it is no name.
    """
    if not isinstance(topic, str) or not topic:
        raise BadUse(f"A topic's name is a text such as 'kitchen' or 'sensors/kitchen', not {show(topic)}.")
    refuse_address(topic)
    if len(topic) > _LONGEST_NAME:
        raise BadUse(f"A topic's name has at most {MAX_NAME_BYTES} bytes, and this one has {len(topic)} characters.")
    if "," in topic:
        raise BadUse(f"A topic's name has no comma; name several topics one by one, not as {show(topic)}.")
    if not _DOTS.isdisjoint(topic.split("/")):  # what makes requests would go up a folder, to another topic
        raise BadUse(f"No segment of a topic's name is '.' or '..'; this one is {show(topic)}.")
    try:
        return quote(topic, safe=_SAFE + "*$!'()+;=@:&")
    except UnicodeEncodeError:
        raise BadUse(f"A topic's name is a text of Unicode, and {show(topic)} has bytes that are none.") from None


def refuse_address(topic: str) -> None:
    """Check that what is to be the name of a topic, or a pattern, is no address.

    Raises:
        BadUse: it is one; the detail says where its parts go, without what could be a password or a token in it.
    """
    if socket := _IS_SOCKET.fullmatch(topic):
        _refuse_address(unquote(socket[2] or ""), UNIX + socket[1] if socket[1].isprintable() else "")
    if not _IS_ADDRESS.match(topic):
        return
    begin, *rest = _IN_FRONT.split(re.split("[?#]", topic)[0], maxsplit=1)
    try:
        server, _ = split_login(find_url(begin))
        name = unquote(rest[0], errors="strict") if rest else ""
    except (BadUse, ValueError):
        server = name = ""
    if not rest or "@" in server:  # its path may be the name, or a piece of a password
        server = ""
    _refuse_address(name, server)


def _refuse_address(name: str, server: str) -> NoReturn:
    """Say where the parts of an address go: a topic's name and a server's address, either empty if it has none."""
    sentence = "This is an address, and no topic's name. Give the topic's name"
    shown = f" ({name})" if name and name.isprintable() else ", such as kitchen"
    where = f"goes to --url {server}" if server else f"goes to --url, such as {DEFAULT_URL}"
    raise BadUse(f"{sentence}{shown}; the server {where}, or to Client(url) or SLOSH_URL.")


def one_topic_path(topic: object) -> str:
    """The path of one topic, which messages are published to.

    Raises:
        BadUse: it is no name, or a pattern.
    """
    path = topic_path(topic)
    if "*" in path:
        raise BadUse(f"A message is published to one topic; {show(topic)} is a pattern, which only readers use.")
    return path


def check_topic(topic: object) -> None:
    """Check that a topic may have this name, before anything is sent: for what publishes later, in the background.

    Raises:
        BadUse: it is no name, also by the rules that only the server knows otherwise.
    """
    one_topic_path(topic)
    try:
        check_name(str(topic))
    except BadTopic as error:
        raise BadUse(error.detail) from error


def check_pattern(pattern: str) -> None:
    """Check that this is a pattern, or a topic's name.

    Raises:
        BadUse: it is not valid.
    """
    refuse_address(pattern)
    try:
        patterns.check_pattern(pattern)
    except BadTopic as error:
        raise BadUse(error.detail) from error
