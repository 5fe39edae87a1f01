"""Every setting of a server, in one table.

The rules of this file:

* A setting is one field of `Settings`: its name, type, unit, default, bounds and help stand there and nowhere else.
  The command line, the environment, slosh.toml, the keywords of a .tac file and docs/settings.md are made from it.
* Times are seconds as float, sizes are bytes as int. Text with units ("2m", "8MiB") is read in sources.py.
* A `Settings` that exists is sound: bounds and relations are checked when it is made.

It is longer than other files because a table is best read in one place.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Final

from slosh.errors import SettingError
from slosh.settings import classes
from slosh.settings.classes import TOPICS, Tables, check_value, read_tables
from slosh.settings.fields import number, seconds, switch, text
from slosh.settings.relations import contradictions
from slosh.settings.row import KIB, MIB, SWITCH, Group, Kind, Setting, refused_value, wrong_value

if TYPE_CHECKING:
    from slosh.access.rules import AccessRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one server, each with its default; `Settings(port=0, linger=5.0)`.

    Raises:
        SettingError: a value is of the wrong type or out of its bounds, or two contradict each other.
    """

    host: str = text(
        "127.0.0.1",
        Group.LISTEN,
        "Addresses to listen on: names or IP addresses, with commas between. 127.0.0.1 is reached from this machine "
        "only; 0.0.0.0 from everywhere over IPv4, and :: from everywhere over IPv6 and IPv4.",
    )
    port: int = number(
        8000,
        Group.LISTEN,
        "TCP port to listen on.",
        unit="port",
        lowest=0,
        highest=65_535,
        zero="takes a free one and says which",
    )
    uds: str = text(
        "",
        Group.LISTEN,
        "Path of a Unix domain socket to listen on instead of host and port, as behind nginx on the same machine.",
        kind=Kind.PATH,
    )
    fd: int = number(
        -1,
        Group.LISTEN,
        "Number of an open listening socket to serve instead; -1 is none. Sockets of systemd's socket activation are "
        "found without it.",
        unit="file descriptor",
        lowest=-1,
        highest=1_000_000,
    )
    takeover: str = text(
        "",
        Group.LISTEN,
        "Path of a Unix domain socket at which the next server of slosh serve takes over: one that is started with the "
        "same path while this one runs is given its listening sockets and its topics, and this one drains and ends. "
        "For one process.",
        kind=Kind.PATH,
    )
    root: str = text(
        "",
        Group.LISTEN,
        "Document root: the folder whose files are served on the same port. example is the one that comes with slosh, "
        "and none serves no files.",
        kind=Kind.PATH,
        empty="the example on a loopback address, else none",
    )
    view: str = text(
        "on",
        Group.LISTEN,
        "Whether the live viewer is served at /view/<name>. With off it is answered 404.",
        kind=Kind.CHOICE,
        choices=SWITCH,
    )
    frame_origins: str = text(
        "",
        Group.LISTEN,
        "Pages of which other origins may show the viewer in a frame: origins with spaces between, or * for all.",
        empty="only pages of the same origin",
    )
    hosts: str = text(
        "",
        Group.LISTEN,
        "Names that this server answers to, with spaces between, such as slosh.example or *.example; a request for "
        "another is answered 421. IP addresses and localhost always are answered, and * answers all. Without this "
        "setting a server on loopback addresses refuses all other names, so that no web page reads it by a name that "
        "leads to this machine; a Host with another port than the server's own, as behind a proxy, is answered.",
        empty="any, but on loopback addresses only IP addresses and localhost",
    )

    trusted_proxies: str = text(
        "127.0.0.0/8 ::1 unix",
        Group.LISTEN,
        "Proxies in front of this server: addresses and networks with spaces between, and unix for a Unix socket. Only "
        "what these say of the client's address (Forwarded, X-Forwarded-For) and of the prefix of the URL "
        "(X-Forwarded-Prefix) counts. A proxy must write X-Forwarded-For itself, or append to it. none trusts no peer.",
    )

    access: "AccessRules | None" = field(default=None, repr=False)
    """The section `[access]` of slosh.toml; it is no row of the table, because it is no single value."""
    open: str = switch(
        "off",
        Group.ACCESS,
        "Whether a server without [access] may listen on more than loopback addresses, so that everybody who reaches "
        "it may read and publish everything. Without it such a server does not start.",
    )
    tls_cert: str = text(
        "",
        Group.ACCESS,
        "Certificate for TLS, PEM, with those that lead to its issuer behind it. With it this server speaks HTTPS, and "
        "nothing else. Renewed files are read on SIGHUP; no connection is dropped for that.",
        kind=Kind.PATH,
        empty="plain HTTP",
        reloads=True,
    )
    tls_key: str = text(
        "",
        Group.ACCESS,
        "Private key of that certificate, PEM, without a password.",
        kind=Kind.PATH,
        empty="it stands in the file of tls_cert",
        reloads=True,
    )
    tls_client_ca: str = text(
        "",
        Group.ACCESS,
        "Certificates of those who issue certificates to clients, PEM. A client that shows one has the rights that "
        "[[access.clients]] gives to its name; others come with a token.",
        kind=Kind.PATH,
        empty="clients are not asked for certificates",
        reloads=True,
    )
    proxy_protocol: str = switch(
        "off",
        Group.ACCESS,
        "Whether trusted_proxies begin each connection with a header of the PROXY protocol, version 1 or 2, which says "
        "the client's address; send-proxy in HAProxy. With it a connection of theirs without one is refused.",
    )
    token_in_query: str = switch(
        "off",
        Group.ACCESS,
        "Whether a token may stand in the query, ?access_token=, for clients that can send it in no other way. Proxies "
        "and browsers write down queries.",
        reloads=True,
    )
    max_token: int = number(
        8 * KIB,
        Group.ACCESS,
        "Longest token that is looked at; a longer one is answered 401, before anything of it is decoded.",
        unit="bytes",
        lowest=64,
        highest=64 * KIB,
        reloads=True,
    )
    clock_skew: float = seconds(
        10.0,
        Group.ACCESS,
        "How much the clock of the issuer of JWTs may differ from this server's: exp and nbf are met with this "
        "tolerance.",
        reloads=True,
    )

    linger: float = seconds(
        30.0,
        Group.TOPICS,
        "How long a topic stays active after its last reader left. Then its messages are dropped, and a POST to "
        "it is answered 404.",
        zero="forgets a topic as soon as nobody watches",
        reloads=True,
        of_class=True,
    )
    queue: int = number(
        100,
        Group.TOPICS,
        "Messages that one topic keeps. When one more comes, the oldest is dropped, and readers that had not read it "
        "are told `lost`.",
        unit="messages",
        lowest=1,
        highest=1_000_000,
        reloads=True,
        of_class=True,
    )
    queue_bytes: int = number(
        8 * MIB,
        Group.TOPICS,
        "Bytes of messages that one topic keeps, whatever their number. The oldest fall out, as with queue.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
        reloads=True,
        of_class=True,
    )
    age: float = seconds(
        0.0,
        Group.TOPICS,
        "How long a topic keeps a message at most. Older ones fall out, as with queue.",
        zero="as long as queue and queue_bytes have room for it",
        reloads=True,
        of_class=True,
    )
    history: float = seconds(
        0.0,
        Group.TOPICS,
        "How far back the history of a topic's numbers reaches, from the topic's creation on. It takes memory, within "
        "max_bytes, and time for each message.",
        zero="none until somebody asks for it, then an hour from what the topic keeps on",
        reloads=True,
        of_class=True,
    )
    max_series: int = number(
        64,
        Group.TOPICS,
        "Series in the history of one topic: numeric members of its messages, times the values of the field that tells "
        "series apart. Numbers beyond that are counted in `unlisted`.",
        unit="series",
        lowest=1,
        highest=4096,
        reloads=True,
    )
    unwatched: str = text(
        "reject",
        Group.TOPICS,
        "Whether a message for a topic that nobody watches is kept: reject answers 404 and stores nothing, so that a "
        "producer can stop working; keep creates the topic and keeps the message for linger.",
        kind=Kind.CHOICE,
        choices=("reject", "keep"),
        reloads=True,
        of_class=True,
    )

    origins: str = text(
        "",
        Group.TOPICS,
        "Pages of which other origins may read topics, post to them, and open WebSockets: origins with spaces "
        "between, such as https://app.example or capacitor://localhost, or * for any. Pages of this very server "
        "always may.",
    )
    max_message: int = number(
        1 * MIB,
        Group.MESSAGES,
        "Largest single message; a larger one is refused with 413.",
        unit="bytes",
        lowest=1,
        highest=1024 * MIB,
        reloads=True,
        of_class=True,
    )
    max_body: int = number(
        8 * MIB,
        Group.MESSAGES,
        "Largest body of one request, which may hold many messages; a larger one is refused with 413, before it is "
        "read where its length is declared.",
        unit="bytes",
        lowest=1,
        highest=1024 * MIB,
    )
    max_batch: int = number(
        10_000,
        Group.MESSAGES,
        "Most lines of one NDJSON batch; more are answered 413.",
        unit="lines",
        lowest=1,
        highest=1_000_000,
    )
    max_keys: int = number(
        10_000,
        Group.MESSAGES,
        "Idempotency keys remembered at a time, each for five minutes; beyond that the client address that has "
        "the most loses its oldest. A store that nodes share keeps each its five minutes, within its own "
        "maxmemory, and has no share for an address: see publish_rate.",
        unit="keys",
        lowest=1,
        highest=10_000_000,
    )
    max_depth: int = number(
        512,
        Group.MESSAGES,
        "How deep arrays and objects of a message may be nested; a deeper one is refused with 400.",
        unit="levels",
        lowest=1,
        # The JSON parser recurses on the interpreter's own stack, which Python bounds at 1000 levels.
        highest=900,
    )

    default_wait: float = seconds(
        0.0,
        Group.WAITING,
        "How long a GET that does not say `wait` is held when no message comes; it is then answered with `timeout`.",
        zero="until a message comes",
    )
    max_wait: float = seconds(
        0.0,
        Group.WAITING,
        "Longest time that any GET is held, whatever its `wait` says. Behind a proxy that cuts silent connections "
        "after a minute (nginx's proxy_read_timeout), 50s keeps readers from seeing errors.",
        zero="no bound",
    )
    stream_life: float = seconds(
        600.0,
        Group.WAITING,
        "How long a stream (SSE, NDJSON, WebSocket) stays open; each ends up to a fifth earlier, by chance, and its "
        "client comes back with its cursor. So a deploy never meets streams that are days old.",
        zero="for ever",
    )
    drain: float = seconds(
        10.0,
        Group.WAITING,
        "How long a server that was told to stop has to answer its held readers and to finish what it is writing.",
        zero="closes at once",
        reloads=True,
    )

    max_head: int = number(
        16 * KIB,
        Group.HTTP,
        "Largest request line with all its header fields; a larger one is answered 431.",
        unit="bytes",
        lowest=256,
        highest=1 * MIB,
    )
    max_fields: int = number(
        64,
        Group.HTTP,
        "Most header fields of one request; more are answered 431.",
        unit="fields",
        lowest=1,
        highest=10_000,
    )
    head_timeout: float = seconds(
        10.0,
        Group.HTTP,
        "Time for the request line and header fields to come in, from their first byte; then 408, and the connection "
        "closes.",
        lowest=0.001,
        reloads=True,
    )
    body_timeout: float = seconds(
        30.0,
        Group.HTTP,
        "Time for a request's body to come in; then 408, and the connection closes.",
        lowest=0.001,
        reloads=True,
    )
    idle_timeout: float = seconds(
        75.0,
        Group.HTTP,
        "How long a kept-alive connection may stay without a request before it is closed. A held reader is not idle.",
        lowest=0.001,
        reloads=True,
    )
    write_timeout: float = seconds(
        60.0,
        Group.HTTP,
        "How long a client may take nothing of an answer that waits for it; then the connection is cut.",
        lowest=0.001,
        reloads=True,
    )
    tcp_keepalive: float = seconds(
        60.0,
        Group.HTTP,
        "Silence on a connection after which the system asks whether the client is still there, three times. So a "
        "reader that vanished without a word stops counting within twice this time, or within write_timeout where that "
        "is longer and something was on its way to it.",
        lowest=1.0,
    )
    compression: str = text(
        "off",
        Group.HTTP,
        "Compression: off for none; websocket for the messages of WebSockets, both ways, where a client offers "
        "permessage-deflate, as browsers do. It takes CPU, once for all readers of a message, and saves bytes.",
        kind=Kind.CHOICE,
        choices=("off", "websocket"),
    )

    log_refusals: str = text(
        "info",
        Group.HTTP,
        "At which level refusals are logged: a line for each reason at most every 10 seconds, with its method, path "
        "and address. debug, info or warning; off logs none. no_watchers is not logged, for it is no fault.",
        kind=Kind.CHOICE,
        choices=("off", "debug", "info", "warning"),
        reloads=True,
    )

    log_format: str = text(
        "text",
        Group.HTTP,
        "How slosh serve writes its log to stderr: a sentence a line, or a JSON object a line with the event's fields.",
        kind=Kind.CHOICE,
        choices=("text", "json"),
    )
    log_level: str = text(
        "info",
        Group.HTTP,
        "The least level that slosh serve logs: debug, info, warning or error.",
        kind=Kind.CHOICE,
        choices=("debug", "info", "warning", "error"),
    )
    access_log: int = number(
        0,
        Group.HTTP,
        "One in this many requests is logged when it is answered, chosen at random: with its method, path, address, "
        "the name of its token, status and time. 1: each of them.",
        unit="requests",
        lowest=0,
        highest=1_000_000_000,
        zero="none",
        reloads=True,
    )

    max_connections: int = number(
        100_000,
        Group.CAPACITY,
        "Open connections in all; one more is answered 503 and closed. Each takes a file descriptor (ulimit -n).",
        unit="connections",
        lowest=1,
        highest=10_000_000,
        reloads=True,
    )
    max_connections_per_address: int = number(
        0,
        Group.CAPACITY,
        "Open connections from one IP address; one more is answered 503 and closed. A network of 64 bits is one "
        "address in IPv6. Leave it at 0 behind a proxy, whose address all clients share.",
        unit="connections",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )
    max_downloads: int = number(
        256,
        Group.CAPACITY,
        "Files above 256 KiB that are being sent at a time, each of which stays open for as long as its client takes; "
        "one more is answered 503 with Retry-After. Where few files may be open (ulimit -n) it is a quarter of them.",
        unit="files",
        lowest=1,
        highest=1_000_000,
    )
    max_topics: int = number(
        100_000,
        Group.CAPACITY,
        "Active topics in all; a request that would create one more is answered 503 with Retry-After.",
        unit="topics",
        lowest=1,
        highest=100_000_000,
        reloads=True,
    )
    max_held_per_address: int = number(
        0,
        Group.CAPACITY,
        "Requests of one client that are held at a time: polls and streams; one more is answered 429. A request "
        "that is answered without waiting, as with wait=0, does not count. They are counted for its address, which "
        "behind proxies is that which trusted_proxies give, and for its token.",
        unit="requests",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )
    request_rate: int = number(
        0,
        Group.CAPACITY,
        "Requests a second that one client may send, counted for its address and for its token; one more is answered "
        "429 with Retry-After. A network of 64 bits is one address in IPv6. Health checks are not counted. With "
        "several workers each counts for itself.",
        unit="requests",
        lowest=0,
        highest=1_000_000,
        zero="no bound",
        reloads=True,
    )
    publish_rate: int = number(
        0,
        Group.CAPACITY,
        "Messages a second that one client may publish, counted in the same way, each line of a batch and each message "
        "on a WebSocket as one; one more is answered 429 with Retry-After. A batch is taken whole or not at all, and "
        "the client waits the longer after it.",
        unit="messages",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )
    rate_burst: float = seconds(
        10.0,
        Group.CAPACITY,
        "How much of request_rate and publish_rate a client that was quiet may use at once.",
        reloads=True,
    )
    max_topics_per_address: int = number(
        10_000,
        Group.CAPACITY,
        "Active topics that one client address has created, also while others watch them; a request that would create "
        "one more is answered 429. A network of 64 bits is one address in IPv6. Behind proxies the address is "
        "that which trusted_proxies give: where they are not named all clients have the proxy's address, and share "
        "this. Clients without an address have no share. Nor have clients on this machine (127.0.0.1), because "
        "trusted_proxies trusts it by default. With a store each node counts what is created, or first read, "
        "there.",
        unit="topics",
        lowest=0,
        highest=100_000_000,
        zero="no share",
    )
    max_bytes: int = number(
        1024 * MIB,
        Group.CAPACITY,
        "Bytes that the messages and histories of all topics together take, 72 more for each message. When they do, "
        "rings that nobody watches lose their oldest messages first; then those of the addresses that hold more than "
        "their part, which is max_bytes divided by the addresses that have topics; then a POST that needs more is "
        "answered 503, code memory. It holds for each process.",
        unit="bytes",
        lowest=64 * KIB,
        highest=64 * KIB * MIB * KIB,
        reloads=True,
    )
    max_buffered: int = number(
        256 * MIB,
        Group.CAPACITY,
        "Bytes of requests' bodies and WebSocket messages that are coming in, and of answers that clients do not take, "
        "of all connections together. A body beyond it is answered 503, code memory, unless it is the only one; of "
        "clients that take nothing the one that has for the longest is cut.",
        unit="bytes",
        lowest=64 * KIB,
        highest=64 * KIB * MIB * KIB,
        reloads=True,
    )
    max_watchers: int = number(
        0,
        Group.CAPACITY,
        "Readers waiting on one topic; one more is answered 503.",
        unit="readers",
        lowest=0,
        highest=10_000_000,
        zero="no bound",
        reloads=True,
    )

    portion: int = number(
        256 * KIB,
        Group.CAPACITY,
        "Messages that one answer of a poll holds, and that a stream is given in one turn. The rest follows at "
        "once, with the next poll or in the next turn. A single larger message is given whole.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
    )

    engine: str = text(
        "memory",
        Group.NODES,
        "Where messages live: memory, of this process, or of a private Valkey or Redis where there are several "
        "workers; or the address of a Redis or Valkey that nodes share: "
        "redis://user:password@host:6379/0, rediss:// over TLS, unix:///run/redis.sock?db=0, "
        "redis+sentinel://host:26379,host:26379/mymaster/0, redis+cluster://host:6379,host:6379. It needs the extra "
        "slosh-server[redis]. Every user of the machine can read a command line: put a password into "
        "SLOSH_ENGINE or slosh.toml.",
        secret=True,
    )
    engine_prefix: str = text(
        "slosh",
        Group.NODES,
        "How the store's keys begin. Installations with different prefixes can share a store.",
    )
    engine_timeout: float = seconds(
        2.0,
        Group.NODES,
        "How long the store may take to answer; then the connection is made again, and a POST is answered 503 with "
        "Retry-After. Readers that are held stay held.",
        lowest=0.05,
    )
    engine_queue: int = number(
        10_000,
        Group.NODES,
        "Requests to the store that wait or are under way at most; one more POST is answered 503 with Retry-After.",
        unit="requests",
        lowest=1,
        highest=10_000_000,
    )
    engine_queue_bytes: int = number(
        64 * MIB,
        Group.NODES,
        "Bytes of messages on their way to the store at most, whatever their number; one more POST is answered 503 "
        "with Retry-After. The only one is taken whatever its size.",
        unit="bytes",
        lowest=1,
        highest=64 * KIB * MIB,
    )
    workers: int = number(
        1,
        Group.NODES,
        "Processes that serve the same port, each a node of its own. With engine=memory more than one share a private "
        "Valkey or Redis, which is started and ended with them: a program on PATH, or the one that the extra "
        "slosh-server[workers] brings.",
        unit="processes",
        lowest=1,
        highest=1024,
    )

    topics: Tables = field(default_factory=dict, hash=False)
    """Classes of topics: of each pattern of names the settings that its topics have of their own."""

    def __post_init__(self) -> None:
        """Check every value and the relations between them."""
        values = {row.name: getattr(self, row.name) for row in TABLE}
        for row in TABLE:
            if wrong := wrong_value(row, values[row.name]):
                raise SettingError(f"{row.name}{refused_value(row, values[row.name])}: {wrong}")
            if row.kind is Kind.SECONDS:  # linger=30 is 30.0 to its readers
                object.__setattr__(self, row.name, float(values[row.name]))
        # Copied, because nobody else may change what a Settings has.
        object.__setattr__(self, TOPICS, read_tables(self.topics, BY_NAME, check_value))
        for wrong in (*contradictions(values, {}, BY_NAME), *classes.contradictions(self.topics, values, BY_NAME)):
            raise SettingError(wrong)


TABLE: Final[tuple[Setting, ...]] = tuple(
    Setting(name=row.name, default=row.default, **row.metadata)
    for row in fields(Settings)
    if row.default is not MISSING and row.metadata
)
"""The table itself, in the order of the fields."""

BY_NAME: Final[Mapping[str, Setting]] = {row.name: row for row in TABLE}
