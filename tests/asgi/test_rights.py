"""What a program around slosh lets its users do."""

import asyncio
import itertools
import json

import pytest

from slosh.access.authority import ProgramAuthority
from slosh.asgi import Access, Slosh
from slosh.errors import BadTopic
from tests.asgi.test_asgi import Asking, ask
from tests.timing import cost


def test_the_rights_of_very_many_users_are_found_as_quickly_as_those_of_few() -> None:
    async def main() -> None:
        asked = "first"
        live = Slosh(authorize=lambda _: Access(asked, read=["**"]))

        async def look(name: str) -> int:
            nonlocal asked
            asked = name
            return await ask(live, "GET", "/topics/a?wait=0", Asking())

        assert await look("first") == 200
        admitting = live._admitting
        assert admitting is not None
        users = itertools.count()
        first = admitting.admit("first", ["**"], ())
        for _ in range(10_000):
            admitting.admit(f"{next(users)}", (), ())
            assert admitting.admit("first", ["**"], ()) == first, "one that is there all the time is kept"

        def admit(which: ProgramAuthority) -> float:
            return cost(lambda: [which.admit(f"{next(users)}", (), ()) for _ in range(100)])

        # By turns: a machine may be slow for seconds, and then both are.
        rounds = [(admit(ProgramAuthority(skew=0.0, max_token=1000)), admit(admitting)) for _ in range(10)]
        assert min(many for _, many in rounds) < 10 * min(few for few, _ in rounds)
        again = admitting.admit("0", (), ())
        assert admitting.admit("0", (), ()) == again, "one that was forgotten is remembered again"
        assert await look("first") == 200
        await live.stop()

    asyncio.run(main())


def test_rights_that_are_none_are_told_each_time_and_not_remembered() -> None:
    """A program that makes a pattern of a name which somebody chose meets a comma, or an asterisk."""

    async def main() -> None:
        live = Slosh(authorize=lambda _: Access("ann", read=["users/a,b/**"]))
        for _ in range(2):
            with pytest.raises(BadTopic):
                await ask(live, "GET", "/topics/a?wait=0", Asking())
        await live.stop()

    asyncio.run(main())


def test_no_client_keeps_rights_in_a_cookie_that_the_program_gives_it_no_more() -> None:
    """The token behind an `Access` is the server's own. A client that had it would keep its rights after a logout."""

    async def main() -> None:
        access: Access | None = Access("ann", read=["**"])
        live = Slosh(authorize=lambda _: access)
        opening = Asking()
        assert await ask(live, "POST", "/-/session", opening) == 405
        assert b"set-cookie" not in dict(opening.answer[0]["headers"])
        telling = Asking()
        assert await ask(live, "GET", "/-/session", telling) == 200
        assert json.loads(telling.body)["name"] == "ann"
        await live.stop()

    asyncio.run(main())
