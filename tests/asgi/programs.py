"""Programs with slosh inside, as users write them; each is run by a real ASGI server."""

from typing import TYPE_CHECKING

from fastapi import FastAPI

from slosh.asgi import Access, Slosh

if TYPE_CHECKING:
    from slosh.asgi.messages import Scope


def find_access(scope: "Scope") -> Access | None:
    """The user who is logged in, by a field that stands for a real login."""
    user = dict(scope["headers"]).get(b"x-user", b"").decode()
    if not user:
        return None
    return Access(user, read=[f"users/{user}/**"], publish=[f"users/{user}/**"])


app = FastAPI()
live = Slosh(queue=1000)
mine = Slosh(authorize=find_access)
app.mount("/live", live)
app.mount("/mine", mine)


@app.post("/measure/{topic}")
async def measure(topic: str) -> dict[str, object]:
    """Publish without HTTP."""
    published = await live.publish(topic, {"t": 21.5})
    return {"taken": published.taken, "max": published.max}


alone = Slosh(linger=60.0)
