"""The `websockets` package: prints each message on a line of its own, and comes back with `next` when it is cut off."""

import asyncio
import json
import sys

import websockets


async def main(url: str) -> None:
    place = "now"
    while True:
        try:
            async with websockets.connect(f"{url}?since={place}") as socket:
                response = socket.response
                place = response.headers["Slosh-Next"] if place == "now" and response else place
                async for text in socket:
                    envelope = json.loads(text)
                    for message in envelope["res"]:
                        print(json.dumps(message), flush=True)
                    place = envelope["next"]
        except (OSError, websockets.WebSocketException):
            await asyncio.sleep(0.05)


asyncio.run(main(sys.argv[1]))
