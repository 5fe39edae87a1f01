"""The state of a server in a bounded number of bounded lines, whatever clients have done to it."""

import asyncio
import json

from slosh.dump import LINE, dump
from slosh.server import Server
from slosh.settings import Settings

ODD = "\x1b[31m\n"
"""What a terminal would obey."""


def lines_of(server: Server) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in dump(server))


def test_it_is_bounded_and_printable_whatever_topics_are_called() -> None:
    """Long names, and names that would move a terminal's cursor."""

    async def work() -> None:
        server = Server(Settings(port=0, hosts=" ".join(f"{number}.example" for number in range(500))))
        await server.start()
        assert server.engine is not None
        hub = server.engine.hub
        for number in range(50):
            topic = hub.open(ODD * 20 + str(number), 0.0)
            hub.append(topic, (b"1" * number,), 0.0)
        assert server.state is not None
        for number in range(1000):
            server.state.refused[f"{'x' * 100}{number}"] += 1
        lines = lines_of(server)
        assert sum(map(len, lines.values())) < 11 * LINE
        assert all(len(line) <= LINE and line.isascii() and line.isprintable() for line in lines.values())
        largest = json.loads(lines["largest"])
        assert [each["bytes"] for each in largest] == list(range(49, 39, -1))
        assert lines["refused"].endswith("}")
        assert lines["settings"].endswith("...")
        await server.stop()

    asyncio.run(work())


def test_no_setting_that_may_hold_a_password_is_shown() -> None:
    async def work() -> None:
        server = Server(Settings(port=0, engine="redis://me:hidden@127.0.0.1:1/0", linger=7.0))
        await server.start()
        told = lines_of(server)
        assert json.loads(told["settings"])["engine"] == "(set)"
        assert json.loads(told["settings"])["linger"] == "7s"
        assert "hidden" not in "".join(told.values())
        await server.stop()

    asyncio.run(work())


def test_before_the_start_there_is_nothing_to_tell() -> None:
    assert dump(Server(Settings(port=0))) == []
