"""Each module has its own test file, under the same path; what has none is listed here with its reason."""

import ast
from pathlib import Path

import slosh

PACKAGE = Path(slosh.__file__).parent
TESTS = Path(__file__).parent

ELSEWHERE = {
    "__init__.py": ("test_exports.py", "tested as what it exports"),
    "__main__.py": ("test_cli.py", "one line that starts the command line"),
    "client/async_iterator.py": ("client/test_asynchronous.py", "the iterator, by what a client is given"),
    "asgi/exchange.py": ("asgi/test_asgi.py", "requests, by real ASGI servers"),
    "asgi/messages.py": ("asgi/test_asgi.py", "what they are written as"),
    "asgi/transport.py": ("asgi/test_asgi.py", "what they are written to"),
    "asgi/websocket.py": ("asgi/test_asgi.py", "WebSockets, by real ASGI servers"),
    "client/errors.py": ("client/test_synchronous.py", "each is raised by what a client cannot do"),
    "client/items.py": ("client/test_protocol.py", "what a reader of topics makes of events and answers"),
    "client/log_handler.py": ("client/test_publisher.py", "a publisher of log lines"),
    "commands/checks.py": ("commands/test_doctor.py", "each check, by the fault of a real proxy that it finds"),
    "commands/publishing.py": ("commands/test_pub.py", "the ways in which it publishes"),
    "commands/examining.py": ("commands/test_doctor.py", "how each of its checks asks"),
    "commands/follower.py": ("commands/test_bridge.py", "what a bridge learns of its slosh, by real readers"),
    "commands/handshake.py": ("commands/test_doctor.py", "one of the checks"),
    "commands/progress.py": ("commands/test_replay.py", "a line on terminals; pipes have none"),
    "commands/remedies.py": ("commands/test_doctor.py", "what is shown for each fault"),
    "commands/spool_sender.py": ("commands/test_spool.py", "what publishes a spool, with the spool"),
    "commands/telling.py": ("commands/test_sub.py", "what sub and relay say beside the messages"),
    "commands/upstream_mqtt.py": ("commands/test_bridge.py", "one of three, by a real broker"),
    "commands/upstream_postgres.py": ("commands/test_bridge.py", "one of three, by a real PostgreSQL"),
    "commands/upstream_redis.py": ("commands/test_bridge.py", "one of three, by a real Redis"),
    "commands/serve.py": ("test_cli.py", "real processes, by the command line"),
    "settings/fields.py": ("settings/test_table.py", "how a row is written, by the table of them"),
    "schemes.py": ("web/admission/test_hosts.py", "two ports, by the hosts that are the same with and without them"),
    "core/several.py": ("core/test_subscription.py", "the same for several topics, by the same model"),
    "web/readers/shared.py": ("web/test_sharing.py", "which readers share an answer, by what each of them is given"),
    "engine/redis/client/cluster.py": ("engine/redis/test_roads.py", "real clusters, while they move their keys"),
    "web/pages/conditions.py": ("web/test_downloads.py", "ranges and conditions, by what a client is given"),
    "web/overview/topic_news.py": ("web/overview/test_topic_list.py", "the list as a stream, beside the list"),
    "web/later.py": ("web/overview/test_topic_list.py", "what lists and counts are answered with"),
    "web/overview/watcher_count.py": ("web/overview/test_topic_list.py", "which topics are active, and whether one is"),
    "version.py": ("test_exports.py", "one name, which the package exports"),
    "engine/base.py": ("engine/contract.py", "promises, tested on each engine"),
    "engine/redis/collecting.py": (
        "engine/redis/test_directory.py",
        "the directory collects",
    ),
    "engine/redis/facts.py": ("engine/redis/test_directory.py", "facts are told in lists and to who counts"),
    "engine/redis/client/listener.py": (
        "engine/redis/client/test_link.py",
        "half of a link, hurt together with the other half",
    ),
    "engine/redis/foreign.py": ("engine/redis/test_directory.py", "a part of what a node knows of the others"),
    "engine/redis/syncing.py": ("engine/redis/test_mirrors.py", "what a mirror asks, by what it is given"),
    "engine/redis/mirror.py": ("engine/redis/test_mirrors.py", "what the mirrors keep of each topic"),
    "engine/redis/client/command.py": ("engine/redis/client/test_link.py", "what a link settles"),
    "engine/redis/view.py": ("engine/redis/test_engine.py", "what the parts share, without anything of its own"),
    "http1/exchange.py": ("http1/test_handler.py", "promises of what holds a request"),
    "http1/wire.py": ("http1/test_outlet.py", "what is written to a client, by what comes out of the other end"),
    "http1/protocol.py": ("http1/test_connection.py", "what the event loop calls, by what clients are given"),
    "http1/request_reader.py": (
        "http1/test_connection.py",
        "the reading half of a connection, with the other",
    ),
    "http1/head.py": ("conformance/test_promises.py", "every refusal is a promise on the wire"),
}
"""Modules whose tests stand elsewhere: where, and why."""


def modules() -> list[str]:
    files = (file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))
    return sorted(str(file) for file in files if file.name != "__init__.py" or file.parent == Path())


def test_each_module_has_its_own_test_file() -> None:
    for module in modules():
        where, reason = ELSEWHERE.get(module, (str(Path(module).with_name(f"test_{Path(module).name}")), "its own"))
        assert reason, module
        assert (TESTS / where).is_file(), f"{module} has no tests/{where}"


def test_each_exception_is_one() -> None:
    for module in ELSEWHERE:
        assert (PACKAGE / module).is_file(), f"{module} is gone: take it off the list"
        assert not (TESTS / module).with_name(f"test_{Path(module).name}").is_file(), f"{module} has its own tests now"


LONG = 400
"""Lines of a file above which its docstring says why they stand together."""


def test_each_long_file_says_why_it_is_one() -> None:
    for file in PACKAGE.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        if source.count("\n") > LONG:
            assert " longer than other" in (ast.get_docstring(ast.parse(source)) or ""), file
