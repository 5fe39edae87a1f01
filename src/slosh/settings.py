"""Every setting of a server, in one table.

The rules of this file:

* A setting is one field of `Settings`: its name, type, unit, default, bounds and help stand there and nowhere else.
  The command line, the environment, slosh.toml, the keywords of a .tac file and docs/settings.md are made from it.
* Times are seconds as float, sizes are bytes as int. Text with units ("2m", "8MiB") is read in doors.py.
* A `Settings` that exists is sound: bounds and relations are checked when it is made.

It is longer than other files because a table is best read in one place.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from ipaddress import ip_address
from typing import Any, Final

from slosh.errors import SettingError
from slosh.setting import DAY, KIB, MIB, Group, Kind, Setting, refused_value, show, wrong_value


def _text(  # noqa: PLR0913 - a row of the table, each by its name
    default: str,
    group: Group,
    about: str,
    *,
    kind: Kind = Kind.TEXT,
    choices: tuple[str, ...] = (),
    empty: str = "",
    secret: bool = False,
    reloads: bool = False,
) -> str:
    row: dict[str, Any] = {"kind": kind, "unit": "", "about": about, "group": group, "choices": choices}
    row |= {"zero": empty, "is_secret": secret, "reloads": reloads}
    value: str = field(default=default, metadata=row, repr=not secret)
    return value


def _number(  # noqa: PLR0913 - a row of the table, each by its name
    default: int,
    group: Group,
    about: str,
    *,
    unit: str,
    lowest: int,
    highest: int,
    zero: str = "",
    reloads: bool = False,
) -> int:
    kind = Kind.BYTES if unit == "bytes" else Kind.NUMBER
    row = {"kind": kind, "unit": unit, "about": about, "group": group, "reloads": reloads}
    row |= {"lowest": lowest, "highest": highest, "zero": zero}
    value: int = field(default=default, metadata=row)
    return value


def _seconds(
    default: float, group: Group, about: str, *, lowest: float = 0.0, zero: str = "", reloads: bool = False
) -> float:
    row = {"kind": Kind.SECONDS, "unit": "seconds", "about": about, "group": group, "reloads": reloads}
    row |= {"lowest": lowest, "highest": DAY, "zero": zero}
    value: float = field(default=default, metadata=row)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one server, each with its default; `Settings(port=0, linger=5.0)`.

    Raises:
        SettingError: a value is of the wrong type or out of its bounds, or two contradict each other.
    """

    host: str = _text(
        "127.0.0.1",
        Group.LISTEN,
        "Addresses to listen on: names or IP addresses, with commas between. 127.0.0.1 is reached from this machine "
        "only; 0.0.0.0 from everywhere over IPv4, and :: from everywhere over IPv6 and IPv4.",
    )
    port: int = _number(
        8000,
        Group.LISTEN,
        "TCP port to listen on.",
        unit="port",
        lowest=0,
        highest=65_535,
        zero="takes a free one and says which",
    )
    uds: str = _text(
        "",
        Group.LISTEN,
        "Path of a Unix domain socket to listen on instead of host and port, as behind nginx on the same machine.",
        kind=Kind.PATH,
    )
    fd: int = _number(
        -1,
        Group.LISTEN,
        "Number of an open listening socket to serve instead; -1 is none. Sockets of systemd's socket activation are "
        "found without it.",
        unit="file descriptor",
        lowest=-1,
        highest=1_000_000,
    )
    root: str = _text(
        "",
        Group.LISTEN,
        "Document root: the folder whose files are served on the same port. example is the one that comes with slosh, "
        "and none serves no files.",
        kind=Kind.PATH,
        empty="the example on a loopback address, else none",
    )
    view: str = _text(
        "on",
        Group.LISTEN,
        "Whether the live viewer is served at /view/<name>. With off it is answered 404.",
        kind=Kind.CHOICE,
        choices=("on", "off"),
    )
    hosts: str = _text(
        "",
        Group.LISTEN,
        "Names that this server answers to, with spaces between, such as slosh.example or *.example; a request for "
        "another is answered 421. IP addresses and localhost always are answered, and * answers all.",
        empty="any; on a loopback address none that a stranger's page could have pointed there",
    )

    trusted_proxies: str = _text(
        "127.0.0.0/8 ::1 unix",
        Group.LISTEN,
        "Proxies in front of this server: addresses and networks with spaces between, and unix for a Unix socket. Only "
        "what these say of the client's address (Forwarded, X-Forwarded-For) and of the prefix of the URL "
        "(X-Forwarded-Prefix) counts. A proxy must write X-Forwarded-For itself, or append to it. none trusts no peer.",
    )

    linger: float = _seconds(
        30.0,
        Group.TOPICS,
        "How long a topic stays active after its last reader left. Then its messages go, and who posts to it is "
        "answered 404.",
        zero="forgets a topic as soon as nobody watches",
        reloads=True,
    )
    queue: int = _number(
        100,
        Group.TOPICS,
        "Messages that one topic keeps. When one more comes the oldest falls out, and who had not read it is told "
        "`lost`.",
        unit="messages",
        lowest=1,
        highest=1_000_000,
    )
    queue_bytes: int = _number(
        8 * MIB,
        Group.TOPICS,
        "Bytes of messages that one topic keeps, whatever their number. The oldest fall out, as with queue.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
    )
    unwatched: str = _text(
        "reject",
        Group.TOPICS,
        "What becomes of a message for a topic that nobody watches: reject answers 404 and stores nothing, so that a "
        "producer can stop working; keep brings the topic to life and keeps the message for linger.",
        kind=Kind.CHOICE,
        choices=("reject", "keep"),
    )

    origins: str = _text(
        "",
        Group.TOPICS,
        "Pages of which other origins may read topics, post to them, and open WebSockets: origins with spaces "
        "between, such as https://app.example or capacitor://localhost, or * for any. Pages of this very server "
        "always may.",
    )
    max_message: int = _number(
        1 * MIB,
        Group.MESSAGES,
        "Largest single message; a larger one is refused with 413.",
        unit="bytes",
        lowest=1,
        highest=1024 * MIB,
    )
    max_body: int = _number(
        8 * MIB,
        Group.MESSAGES,
        "Largest body of one request, which may hold many messages; a larger one is refused with 413, before it is "
        "read where its length is declared.",
        unit="bytes",
        lowest=1,
        highest=1024 * MIB,
    )
    max_batch: int = _number(
        10_000,
        Group.MESSAGES,
        "Most lines of one NDJSON batch; more are answered 413.",
        unit="lines",
        lowest=1,
        highest=1_000_000,
    )
    max_keys: int = _number(
        10_000,
        Group.MESSAGES,
        "Idempotency keys remembered at a time, each for five minutes; beyond that the oldest are forgotten early. A "
        "store that nodes share keeps each its five minutes, within its own maxmemory.",
        unit="keys",
        lowest=1,
        highest=10_000_000,
    )
    max_depth: int = _number(
        512,
        Group.MESSAGES,
        "How deep arrays and objects of a message may stand in one another; a deeper one is refused with 400.",
        unit="levels",
        lowest=1,
        # The JSON parser recurses on the interpreter's own stack, which Python bounds at 1000 levels.
        highest=900,
    )

    default_wait: float = _seconds(
        0.0,
        Group.WAITING,
        "How long a GET that does not say `wait` is held when no message comes; it is then answered with `timeout`.",
        zero="until a message comes",
    )
    max_wait: float = _seconds(
        0.0,
        Group.WAITING,
        "Longest time that any GET is held, whatever its `wait` says. Behind a proxy that cuts silent connections "
        "after a minute (nginx's proxy_read_timeout), 50s keeps readers from seeing errors.",
        zero="no bound",
    )
    stream_life: float = _seconds(
        600.0,
        Group.WAITING,
        "How long a stream (SSE, NDJSON, WebSocket) stays open; each ends up to a fifth earlier, by chance, and its "
        "client comes back with its cursor. So a deploy never meets streams that are days old.",
        zero="for ever",
    )
    drain: float = _seconds(
        10.0,
        Group.WAITING,
        "How long a server that was told to stop has to answer its held readers and to finish what it is writing.",
        zero="closes at once",
        reloads=True,
    )

    max_head: int = _number(
        16 * KIB,
        Group.HTTP,
        "Largest request line with all its header fields; a larger one is answered 431.",
        unit="bytes",
        lowest=256,
        highest=1 * MIB,
    )
    max_fields: int = _number(
        64,
        Group.HTTP,
        "Most header fields of one request; more are answered 431.",
        unit="fields",
        lowest=1,
        highest=10_000,
    )
    head_timeout: float = _seconds(
        10.0,
        Group.HTTP,
        "Time for the request line and header fields to come in, from their first byte; then 408, and the connection "
        "closes.",
        lowest=0.001,
        reloads=True,
    )
    body_timeout: float = _seconds(
        30.0,
        Group.HTTP,
        "Time for a request's body to come in; then 408, and the connection closes.",
        lowest=0.001,
        reloads=True,
    )
    idle_timeout: float = _seconds(
        75.0,
        Group.HTTP,
        "How long a kept-alive connection may stay without a request before it is closed. A held reader is not idle.",
        lowest=0.001,
        reloads=True,
    )
    write_timeout: float = _seconds(
        60.0,
        Group.HTTP,
        "How long a client may take nothing of an answer that waits for it; then the connection is cut.",
        lowest=0.001,
        reloads=True,
    )
    tcp_keepalive: float = _seconds(
        60.0,
        Group.HTTP,
        "Silence on a connection after which the system asks whether the client is still there, three times. So a "
        "reader that vanished without a word stops counting within twice this time, or within write_timeout where that "
        "is longer and something was on its way to it.",
        lowest=1.0,
    )
    compression: str = _text(
        "off",
        Group.HTTP,
        "What is compressed: off is nothing; websocket is the messages of WebSockets, both ways, where a client offers "
        "permessage-deflate, as browsers do. It takes CPU, once for all readers of a message, and saves bytes.",
        kind=Kind.CHOICE,
        choices=("off", "websocket"),
    )

    log_refusals: str = _text(
        "info",
        Group.HTTP,
        "At which level refusals are logged: a line for each reason at most every 10 seconds, with its method, path "
        "and address. debug, info or warning; off logs none. no_watchers is not logged, for it is no fault.",
        kind=Kind.CHOICE,
        choices=("off", "debug", "info", "warning"),
        reloads=True,
    )

    max_connections: int = _number(
        100_000,
        Group.CAPACITY,
        "Open connections in all; one more is answered 503 and closed. Each takes a file descriptor (ulimit -n).",
        unit="connections",
        lowest=1,
        highest=10_000_000,
        reloads=True,
    )
    max_connections_per_address: int = _number(
        0,
        Group.CAPACITY,
        "Open connections from one IP address; one more is answered 503 and closed. Leave it at 0 behind a proxy, "
        "whose address all clients share.",
        unit="connections",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )
    max_downloads: int = _number(
        256,
        Group.CAPACITY,
        "Files above 256 KiB that are being sent at a time, each of which stays open for as long as its client takes; "
        "one more is answered 503 with Retry-After. Where few files may be open (ulimit -n) it is a quarter of them.",
        unit="files",
        lowest=1,
        highest=1_000_000,
    )
    max_topics: int = _number(
        100_000,
        Group.CAPACITY,
        "Active topics in all; a request that would bring one more to life is answered 503 with Retry-After.",
        unit="topics",
        lowest=1,
        highest=100_000_000,
        reloads=True,
    )
    max_topics_per_address: int = _number(
        10_000,
        Group.CAPACITY,
        "Active topics that one client address has brought to life, whoever watches them; a request that would bring "
        "one more to life is answered 429. Behind proxies the address is that which trusted_proxies give: where they "
        "are not named all clients have the proxy's address, and share this. Clients without an address have no share, "
        "and with a store that nodes share nothing is counted.",
        unit="topics",
        lowest=0,
        highest=100_000_000,
        zero="no share",
    )
    max_watchers: int = _number(
        0,
        Group.CAPACITY,
        "Readers waiting on one topic; one more is answered 503.",
        unit="readers",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )

    portion: int = _number(
        256 * KIB,
        Group.CAPACITY,
        "Messages that one answer of a poll holds, and that a stream is given in one turn. What is more follows at "
        "once, with the next poll or in the next turn. A single larger message is given whole.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
    )

    engine: str = _text(
        "memory",
        Group.NODES,
        "Where messages live: memory, of this process alone; or the address of a Redis or Valkey that nodes share: "
        "redis://user:password@host:6379/0, rediss:// over TLS, unix:///run/redis.sock?db=0, "
        "redis+sentinel://host:26379,host:26379/mymaster/0, redis+cluster://host:6379,host:6379. It needs the extra "
        "slosh-server[redis]. What stands on a command line every user of the machine can read: put a password into "
        "SLOSH_ENGINE or slosh.toml.",
        secret=True,
    )
    engine_prefix: str = _text(
        "slosh",
        Group.NODES,
        "What the store's keys begin with. Installations with different prefixes can share a store.",
    )
    engine_timeout: float = _seconds(
        2.0,
        Group.NODES,
        "How long the store may take to answer; then the connection is made anew, and a POST is answered 503 with "
        "Retry-After. Readers that are held stay held.",
        lowest=0.05,
    )
    engine_queue: int = _number(
        10_000,
        Group.NODES,
        "Requests to the store that wait or are under way at most; one more POST is answered 503 with Retry-After.",
        unit="requests",
        lowest=1,
        highest=10_000_000,
    )
    engine_queue_bytes: int = _number(
        64 * MIB,
        Group.NODES,
        "Bytes of messages on their way to the store at most, whatever their number; one more POST is answered 503 "
        "with Retry-After. The only one is taken whatever its size.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
    )
    workers: int = _number(
        1,
        Group.NODES,
        "Processes that serve the same port, each a node of its own. More than one needs an engine that they share.",
        unit="processes",
        lowest=1,
        highest=1024,
    )

    def __post_init__(self) -> None:
        """Check every value and the relations between them."""
        values = {row.name: getattr(self, row.name) for row in TABLE}
        for row in TABLE:
            if wrong := wrong_value(row, values[row.name]):
                raise SettingError(f"{row.name}{refused_value(row, values[row.name])}: {wrong}")
            if row.kind is Kind.SECONDS:  # linger=30 is 30.0 to whoever reads it
                object.__setattr__(self, row.name, float(values[row.name]))
        for wrong in contradictions(values, {}):
            raise SettingError(wrong)


TABLE: Final[tuple[Setting, ...]] = tuple(
    Setting(name=row.name, default=row.default, **row.metadata)
    for row in fields(Settings)
    if row.default is not MISSING
)
"""The table itself, in the order of the fields."""

BY_NAME: Final[Mapping[str, Setting]] = {row.name: row for row in TABLE}


EXAMPLE: Final = "example"
NO_FILES: Final = "none"
"""Words for `root` that are no folder of the user's."""


def is_local(settings: Settings) -> bool:
    """Whether the server is reached from this machine only, as far as its settings tell: not behind a proxy, either."""
    if settings.uds or settings.fd >= 0:
        return False
    try:
        return all(host == "localhost" or ip_address(host).is_loopback for host in split_hosts(settings.host))
    except ValueError:  # a name, which may lead anywhere
        return False


def split_hosts(text: str) -> list[str]:
    """The addresses in the setting `host`, an IPv6 address with or without its brackets."""
    return [each.strip().removeprefix("[").removesuffix("]") for each in text.split(",") if each.strip()]


def contradictions(values: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Say which settings contradict each other, each as a whole sentence with the way out.

    Args:
        values: a sound value for every setting.
        names: what a person called a setting who set it ("--max-body", "SLOSH_MAX_BODY"); its plain name where absent.
    """

    def called(name: str) -> str:
        row = BY_NAME[name]
        return f"{names.get(name, name)} ({show(row, values[name]) or 'empty'})"

    found = [
        f"{called(small)} may not be larger than {called(large)}: {why}. Lower {small} or raise {large}."
        for small, large, why in (
            ("max_message", "max_body", "a message comes in a body"),
            ("max_message", "queue_bytes", "a topic must have room for one message"),
        )
        if values[small] > values[large]
    ]
    if 0 < values["max_wait"] < values["default_wait"]:
        found.append(
            f"{called('default_wait')} may not be longer than {called('max_wait')}, which bounds every wait. "
            f"Lower default_wait, or raise max_wait or set it to 0 for no bound."
        )
    if values["workers"] > 1 and values["engine"] == "memory":
        found.append(
            f"{called('workers')} share nothing but their port, and {called('engine')} is of one process alone: a "
            f"message would reach the readers of one worker only. Name a Redis or Valkey that they share, "
            f"engine=redis://host/0, or leave workers at 1."
        )
    places = [name for name, none in (("uds", ""), ("fd", -1)) if values[name] != none]
    if places:
        places += [name for name in ("host", "port") if values[name] != BY_NAME[name].default]
    if len(places) > 1:
        told = " and ".join(called(name) for name in places)
        found.append(f"{told} name more than one place to listen. Choose one: host and port, uds, or fd.")
    return found
