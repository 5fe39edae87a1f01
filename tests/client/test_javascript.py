"""The cases that know no language (cases.yaml), against slosh.js in Node."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

import slosh
from benchmarks.processes import run_group
from slosh.client import Item, Note
from tests.client.scripted import Scripted
from tests.client.test_cases import CASES, Seen, judge
from tests.conftest import need

SCRIPT = Path(slosh.__file__).parent / "web" / "static" / "slosh.js"
RUNNER = Path(__file__).with_name("cases.mjs")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Seen, Scripted]]:
    """What each case came to: all are read at the same time, so a pause in one costs nothing."""
    folder = tmp_path_factory.mktemp("scripts")
    script = scripts_in(folder)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Scripted(case["connections"])) for case in CASES]
        told = {
            "script": str(script),
            "cases": [
                {"case": case, "url": server.url, "used": server.used_port}
                for case, server in zip(CASES, servers, strict=True)
            ],
        }
        (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
        done = run_group([need("node"), RUNNER, folder / "told.json"], check=True)
        return list(zip(map(read, json.loads(done.stdout)), servers, strict=True))


def scripts_in(folder: Path) -> Path:
    """slosh.js with what it imports, where Node takes them for modules."""
    for path in (SCRIPT, *SCRIPT.with_suffix("").glob("*.js")):
        copy = folder / path.relative_to(SCRIPT.parent)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (folder / "package.json").write_text('{"type": "module"}')
    return folder / "slosh.js"


def read(found: dict[str, Any]) -> Seen:
    """What a reader in another language was given, as the other clients' tests have it."""
    seen = Seen()
    for each in found["items"]:
        seen.items.append(Item(each["message"], "", each["offset"], None, ""))
    seen.notes = [Note(kind, topic, count) for kind, topic, count in found["notes"]]
    seen.refused, seen.place, seen.over = found["refused"], found["place"], found["over"]
    return seen


@pytest.mark.parametrize("number", range(len(CASES)), ids=[each["name"] for each in CASES])
def test_a_script(played: list[tuple[Seen, Scripted]], number: int) -> None:
    judge(CASES[number], *played[number])


#: A connection for two; the first one's stream is answered only once the second one was asked for its place.
SHARING = """
import http from "node:http";
import { follow } from %(script)s;
const seen = [];
let answerFirst;
const asked = new Promise((resolve) => (answerFirst = resolve));
const server = http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (searchParams.get("wait") === "0") {
    const topic = pathname.slice("/topics/".length);
    response.end(JSON.stringify({ saw: 0, delivering: 0, res: [], max: 0, next: topic === "a" ? "e.0" : "*" }));
    if (topic !== "a") setTimeout(answerFirst);
    return;
  }
  if (!pathname.includes("*")) {
    follow("c/*", note("c/*"));
    await asked;
  }
  seen.push("stream of " + pathname.slice("/topics/".length));
  const type = pathname.includes(",") ? "application/x-ndjson" : "text/event-stream";
  response.writeHead(200, { "Content-Type": type, "Slosh-Next": "*,a=e.0" });
  response.write(type === "text/event-stream" ? ": here\\n\\n" : "\\n");
});
const note = (topic) => ({
  server: `http://127.0.0.1:${server.address().port}`,
  shared: true,
  onState: ({ name }) => {
    if (name === "live") seen.push("live: " + topic);
    if (name === "live" && topic !== "a") (console.log(JSON.stringify(seen)), process.exit());
  },
});
server.listen(0, "127.0.0.1", () => follow("a", note("a")));
"""


def test_who_shares_a_connection_is_live_when_its_topics_are_on_it(tmp_path: Path) -> None:
    """A publish to a topic of a reader that calls itself live is not refused because nobody watches."""
    (tmp_path / "sharing.mjs").write_text(SHARING % {"script": json.dumps(str(scripts_in(tmp_path)))}, encoding="utf-8")
    done = run_group([need("node"), tmp_path / "sharing.mjs"], check=True)
    assert json.loads(done.stdout) == ["stream of a", "live: a", "stream of a,c/*", "live: c/*"]


#: Each byte is a piece of its own.
PIECES = """
import { stream } from %(script)s;
const sent = 'retry: 10\\n\\nid: e.1\\ndata: {"message":"\u00e4 b"}\\n\\nid: e.2\\ndata: {"message":2}\\n\\n';
const pieces = [...new TextEncoder().encode(sent)].map((byte) => new Uint8Array([byte]));
const body = new ReadableStream({
  pull: (controller) => (pieces.length ? controller.enqueue(pieces.shift()) : controller.close()),
});
globalThis.fetch = async () => new Response(body, { headers: { "Content-Type": "text/event-stream" } });
const seen = [];
const { signal } = new AbortController();
const request = { url: new URL("http://x/topics/a"), since: "e.0", query: {}, signal };
for await (const { res } of stream(request)) seen.push(...res);
console.log(JSON.stringify(seen));
process.exit();
"""


def test_a_stream_is_the_same_in_whatever_pieces_it_comes(tmp_path: Path) -> None:
    script = scripts_in(tmp_path).parent / "slosh" / "wire.js"
    (tmp_path / "pieces.mjs").write_text(PIECES % {"script": json.dumps(str(script))}, encoding="utf-8")
    done = run_group([need("node"), tmp_path / "pieces.mjs"], check=True)
    assert json.loads(done.stdout) == ["ä b", 2]


#: A connection for two. What comes through it begins before the second one's place, and then behind both.
MEETING = """
import http from "node:http";
import { follow } from %(script)s;
const got = { first: [], second: [] };
const part = (last, ...res) => ({ saw: res.length, delivering: res.length, res, max: last, next: `e.${last}` });
const several = (a) => JSON.stringify({ topics: a ? { a } : {}, next: `a=${a ? a.next : "e.0"},b=e.0` });
let answers = [several(part(0)), several(part(2, 1, 2))];
let live;
const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, "http://localhost");
  if (searchParams.get("wait") === "0") {
    const next = answers.length ? answers.shift() : several(part(5, 4, 5));
    return response.end(next);
  }
  response.writeHead(200, { "Content-Type": "application/x-ndjson", "Slosh-Next": "a=e.0,b=e.0" });
  response.write("\\n");
  live = response;
});
const options = (name) => ({
  server: `http://127.0.0.1:${server.address().port}`,
  shared: true,
  onState: (state) => {
    if (state.name === "live" && name === "first") follow("a,b", options("second"));
  },
  onAnswer: ({ topics = {} }) => {
    got[name].push(...(topics.a?.res ?? []));
    const seen = [got.first.length, got.second.length].join();
    if (seen === "0,2") live.write(several(part(3, 1, 2, 3)) + "\\n");
    if (seen === "3,3") live.write(several(part(5, 5)) + "\\n");
    if (got.first.at(-1) === 5 && got.second.at(-1) === 5) (console.log(JSON.stringify(got)), process.exit());
  },
});
server.listen(0, "127.0.0.1", () => follow("a,b", options("first")));
"""


def test_who_shares_a_connection_takes_what_is_new_to_it_and_asks_for_what_is_missing(tmp_path: Path) -> None:
    """Each message once, in its order, wherever the connection is that is shared."""
    script = json.dumps(str(scripts_in(tmp_path)))
    (tmp_path / "meeting.mjs").write_text(MEETING % {"script": script}, encoding="utf-8")
    done = run_group([need("node"), tmp_path / "meeting.mjs"], check=True)
    assert json.loads(done.stdout) == {"first": [1, 2, 3, 4, 5], "second": [1, 2, 3, 4, 5]}
