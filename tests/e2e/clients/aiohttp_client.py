"""aiohttp: long-polls, prints each message on a line of its own, and asks again from `next` when it is cut off."""

import asyncio
import json
import sys

import aiohttp


async def main(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        place = ""
        while True:
            # The first answer comes at once, for its place.
            query = f"since={place}" if place else "since=now&wait=0"
            try:
                async with session.get(f"{url}?{query}") as response:
                    envelope = await response.json()
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(0.05)
                continue
            for message in envelope["res"]:
                print(json.dumps(message), flush=True)
            place = envelope["next"]


asyncio.run(main(sys.argv[1]))
