"""What the browser's scripts work out, in Node and without a page; `tests/e2e` has them in Chromium."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import slosh
from benchmarks.processes import ProcessGroup
from tests.conftest import need

WEB = Path(slosh.__file__).parent / "web"

Play = Callable[[str, str, str], list[Any]]

FAKES = """
const asked = [];
let answers = [];
/** Answers in their order: a response, or the JSON of a 200. */
globalThis.fetch = async (target, options = {}) => {
  const url = new URL(target);
  asked.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), ...options, signal: undefined });
  const answer = answers.shift();
  if (answer === undefined) throw new TypeError("no answer");
  if (answer instanceof Response) return answer;
  return Response.json(answer);
};
const problem = (status, body, headers = {}) => Response.json(body, { status, headers });
const server = "http://slosh.test";
"""


PLAYER = """
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
for await (const file of createInterface({ input: process.stdin })) {
  const worker = new Worker(file);
  const said = await new Promise((resolve) => {
    worker.once("message", (told) => resolve({ told }));
    worker.once("error", (error) => resolve({ error: String(error?.stack ?? error) }));
    worker.once("exit", () => resolve({ error: "it ended before it had told all" }));
  });
  await worker.terminate();
  console.log(JSON.stringify(said));
}
"""
"""Plays files, each in a thread of its own, which shares nothing with others. A new Node for each costs far more."""


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ProcessGroup[str]]]:
    """A folder with the scripts, and the Node that plays files there."""
    node = need("node")
    folder = tmp_path_factory.mktemp("played") / "scripts"
    shutil.copytree(WEB / "view", folder)
    shutil.copytree(WEB / "static", folder, dirs_exist_ok=True)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "player.mjs").write_text(PLAYER)
    command: list[str | Path] = [node, folder / "player.mjs"]
    with ProcessGroup[str](command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield folder, process


@pytest.fixture
def play(player: tuple[Path, ProcessGroup[str]]) -> Play:
    """Runs a script's own words with all that it exports; gives what they hand to `tell`, one after another."""
    folder, process = player
    words_in, told_out = process.stdin, process.stdout
    assert words_in
    assert told_out

    def run(script: str, names: str, words: str) -> list[Any]:
        file = folder / "words.js"
        port = 'import { parentPort } from "node:worker_threads";'
        tell = "const told = []; const tell = (value) => told.push(value);"
        end = "parentPort.postMessage(JSON.parse(JSON.stringify(told)));"
        file.write_text(f'import {{ {names} }} from "./{script}";\n{port}\n{FAKES}\n{tell}\n{words}\n{end}\n')
        print(file, file=words_in, flush=True)
        said = json.loads(told_out.readline())
        assert "told" in said, said["error"]
        found: list[Any] = said["told"]
        return found

    return run


def test_a_line_of_many_points_breaks_where_something_is_missing(play: Play) -> None:
    """Though what came just before the break is drawn as one moment with it."""
    words = """
    const series = new Series();
    for (let burst = 0; burst < 6; burst++) {
      for (let i = 0; i < 400; i++) series.push(100 + burst, i);
      series.push(100 + burst + 1e-6, NaN);
      // What goes on at once has no room for a break.
      if (burst === 3) for (let i = 0; i < 400; i++) series.push(103 + 2e-6, i);
    }
    const { lines: [{ means }], isBucketed } = frame([series], 99, 107, 300);
    const values = means.flatMap((value, i) => (value === undefined ? [] : [value === null ? "break" : value]));
    tell([isBucketed, values, means.length < 600]);
    """
    broken = [199.5, "break"]
    assert play("series.js", "Series, frame", words) == [[True, [*broken * 3, 199.5, *broken, 199.5], True]]


def test_a_state_is_over_where_something_is_missing_though_another_one_comes_later(play: Play) -> None:
    words = """
    const lines = new Lines(false, null, 600);
    for (const time of [100, 101]) lines.add("t", { on: true }, time);
    lines.breakLines("t", { time: 102, until: 130, kind: "reset", count: 1 });
    for (const time of [130, 131]) lines.add("t", { on: false }, time);
    tell(lines.states.shown[0].changes.map(({ text, from, until }) => [text, from, until]));
    """
    assert play("lines.js", "Lines", words) == [[["true", 100, 101], ["false", 130, 131]]]


@pytest.mark.parametrize(
    ("gap", "until"),
    [
        ("{ v: 1, x: null, on: null }", 3),
        ("{ v: 1, x: 5, on: 1 }", 3),
        ("{ v: 1, x: {}, on: [] }", 3),
        ("{ v: 1 }", 3),
        ("{ on: 3, x: {} }", 3),
        (None, 2),
    ],
)
def test_a_state_ends_where_another_kind_of_value_or_nothing_comes(play: Play, gap: str | None, until: int) -> None:
    words = f"""
    // Small numbers are no times here.
    const SINCE = 1e9;
    const {{ isSilent }} = await import("./states.js");
    const lines = new Lines(false, null, 600);
    for (const time of [0, 1, 2]) lines.add("t", {{ v: 1, x: "n/a", on: true }}, SINCE + time);
    const gap = {gap or "undefined"};
    if (gap) for (const time of [3, 4, 5]) lines.add("t", gap, SINCE + time);
    const now = () => lines.states.shown.map(({{ changes }}) => changes.at(-1).isOver);
    tell(now());
    tell(lines.states.shown.map((state) => isSilent(state, SINCE + 40)));
    lines.add("t", {{ v: 1, x: "n/a", on: true }}, SINCE + 40);
    tell(now());
    const span = ({{ from, until }}) => [from - SINCE, until - SINCE];
    for (const {{ changes }} of lines.states.shown) tell(changes.map(span));
    """
    over, silent, again, *changes = play("lines.js", "Lines", words)
    assert over == [gap is not None] * 2
    assert silent == [True] * 2
    assert again == [False] * 2
    assert changes == [[[0, until], [40, 40]]] * 2


def test_a_state_that_comes_where_it_changes_alone_holds_until_the_next(play: Play) -> None:
    words = """
    const lines = new Lines(false, null, 6000);
    [100, 101, 102, 300, 900].forEach((time, i) => lines.add("t", { open: i % 2 === 0, volts: 3 }, time));
    tell(lines.states.shown[0].changes.map(({ from, until }) => [from, until]));
    """
    assert play("lines.js", "Lines", words) == [[[100, 101], [101, 102], [102, 300], [300, 900], [900, 900]]]


def test_what_is_missing_now_has_no_present_value(play: Play) -> None:
    words = """
    const [full, without] = [{ a: 1, b: 2 }, { a: 1 }];
    for (const gap of [{ a: 1, b: null }, { a: 1, b: "n/a" }, { a: 1, b: [] }, without, { c: 7 }]) {
      const lines = new Lines(false, null, 600);
      for (const message of [full, full, gap]) lines.add("t", message, 1e9);
      tell([...lines.all.values()].map(({ newest }) => newest ?? null));
    }
    """
    told = play("lines.js", "Lines", words)
    assert told == [[1, None], [1, None], [1, None], [1, None], [1, 2, 7]], "another kind of message says nothing of it"


def test_what_is_too_large_for_a_browser_reads_as_infinite(play: Play) -> None:
    words = """
    for (const value of [1e400, -1e400, 0, -0]) {
      tell([number(value, 1, notation(5, 1)), number(value, 1e20, notation(1e30, 1e20))]);
    }
    """
    assert play("numbers.js", "number, notation", words) == [["∞"] * 2, ["-∞"] * 2, ["0"] * 2, ["0"] * 2]


def test_a_name_in_a_text_turns_nothing_beside_it(play: Play) -> None:
    names = ["kitchen", "k\u00fcche", "\u05d7\u05dd", "a\u202eb", "a\u2069\u202eb"]
    words = f"""
    for (const name of {json.dumps(names)}) tell(isolatedText(name));
    tell(wordsOf({{ kind: "ended", count: 1, name: "a\u202eb" }}));
    tell(wordsOf({{ kind: "ended", count: 1 }}));
    """
    isolated = ["\u2068\u05d7\u05dd\u2069", "\u2068a\u202eb\u2069", "\u2068a\u202eb\u2069"]
    told = play("lines.js", "isolatedText, wordsOf", words)
    assert told == ["kitchen", "k\u00fcche", *isolated, "\u2068a\u202eb\u2069 ended", "ended"]


def test_a_path_finds_members_with_dots_in_their_names_as_the_server_s_histories_do(play: Play) -> None:
    words = """
    const message = { "a.b": 1, c: { "d.e": { f: 2 }, "": 3 }, host: { name: "web1" } };
    for (const path of ["a.b", "c.d.e.f", "c.", "c.d", "a", "a.b.c", "toString"]) tell(numberAt(message, path) ?? null);
    tell(textAt(message, "host.name"));
    """
    assert play("numbers.js", "numberAt, textAt", words) == [1, 2, 3, None, None, None, None, "web1"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 11]),
        (6, 10, [5.6, 10.4]),
        (0.3, 10, [0, 10.97]),
        (7, 10, [6.7, 10.3]),
        (-10, -6, [-10.4, -5.6]),
        (-10, -7, [-10.3, -6.7]),
        (-1, 1, [-1.2, 1.2]),
        (5, 5, [4.5, 5.5]),
        (0, 0, [0, 0.1]),
        (None, 3, [0, 1]),
    ],
)
def test_an_axis_spans_what_is_there_and_a_tenth_more_but_not_past_zero(
    play: Play, low: Any, high: Any, expected: list[float]
) -> None:
    (told,) = play("numbers.js", "span", f"tell(span({json.dumps(low)}, {json.dumps(high)}));")
    assert told == pytest.approx(expected)


def test_a_long_text_is_clipped_and_says_how_long_it_was(play: Play) -> None:
    words = "tell(clip('12345', 5)); tell(clip('123456', 5)); tell(plural(1, 'line')); tell(plural(2000, 'line'));"
    assert play("numbers.js", "clip, plural", words) == ["12345", "12345 … (6 characters)", "1 line", "2,000 lines"]


STATUSES = [400, 404, 408, 409, 413, 425, 429, 499, 500, 503]


def test_which_refusals_may_pass(play: Play) -> None:
    words = f"for (const each of {STATUSES}) tell(new SloshError(each, {{}}).passing);"
    assert play("slosh.js", "SloshError", words) == [each in {408, 425, 429, 500, 503} for each in STATUSES]


def test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one(play: Play) -> None:
    words = """
    const tooLarge = { code: "too_large", detail: "too large" };
    answers = [{ max: 1 }, problem(404, { code: "no_watchers" }), problem(413, tooLarge)];
    tell(await publish("a/b,c", { t: 1 }, { server: server + "/prefix/", idempotencyKey: "k" }));
    tell(await publish("a b", 1, { server }));
    await publish("a", 1, { server }).catch((error) => tell([error.code, error.message, error.status]));
    await publish("a", undefined, { server }).catch((error) => tell(error.name));
    for (const each of asked) tell([each.method, each.path, each.body, each.headers["Idempotency-Key"] ?? ""]);
    """
    assert play("slosh.js", "publish", words) == [
        {"taken": True, "max": 1},
        {"taken": False, "code": "no_watchers"},
        ["too_large", "too large", 413],
        "TypeError",
        ["POST", "/prefix/topics/a/b,c", '{"t":1}', "k"],
        ["POST", "/topics/a%20b", "1", ""],
        ["POST", "/topics/a", "1", ""],
    ]


def test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on(play: Play) -> None:
    words = """
    answers = [{ saw: 0, next: "e.1" }, { saw: 1, next: "e.2" }, { saw: 0, next: "e.3" }];
    const { signal } = new AbortController();
    const url = new URL("http://slosh.test/topics/a");
    const polls = longPoll({ url, since: "now", query: { limit: 3, key: undefined }, wait: 25, signal });
    for (let round = 0; round < 3; round++) tell((await polls.next()).value.next);
    for (const each of asked) tell(each.query);
    """
    assert play("slosh.js", "longPoll", words) == [
        *("e.1", "e.2", "e.3"),
        {"since": "now", "wait": "0", "limit": "3"},
        {"since": "e.1", "wait": "25", "limit": "3"},
        {"since": "e.2", "wait": "25", "limit": "3"},
    ]


def test_a_long_poll_that_is_not_held_is_not_asked_in_a_tight_loop(play: Play) -> None:
    words = """
    answers = [{ next: "e.1" }, { next: "e.1", timeout: true }, { next: "e.1" }];
    const { signal } = new AbortController();
    const polls = longPoll({ url: new URL("http://slosh.test/topics/a"), since: "now", query: {}, wait: 25, signal });
    const pauses = [];
    globalThis.setTimeout = (call, after) => { pauses.push(after); queueMicrotask(call); };
    globalThis.AbortController = class { signal = { addEventListener() {}, removeEventListener() {} }; abort() {} };
    for (let round = 0; round < 3; round++) await polls.next();
    tell(pauses.filter((pause) => pause > 500 && pause <= 1000).length);
    """
    assert play("slosh.js", "longPoll", words) == [1]


FOLLOWS = """
const pauses = [];
let rounds = 0;
const transport = async function* ({ since }) {
  asked.push(since);
  for (const answer of rounds < script.length ? script[rounds++] : []) {
    if (answer instanceof Error) throw answer;
    yield answer;
  }
  if (rounds === script.length) following.close();
};
Math.random = () => 0;
const wait = globalThis.setTimeout;
globalThis.setTimeout = (call, after) => { pauses.push(after); return wait(call, 0); };
const states = [];
const given = [];
const ended = new Promise((resolve) => {
  globalThis.following = follow("a", {
    server, transport, since: "-5",
    onAnswer: (answer) => given.push(answer.next),
    onState: (state) => { states.push(state); if (["closed", "failed"].includes(state.name)) resolve(); },
  });
});
await ended;
tell(states.map((state) => state.name));
tell(states.filter((state) => state.retryIn).map((state) => state.retryIn));
tell(given);
tell(asked);
"""


def test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time(play: Play) -> None:
    words = """
    const script = [
      [{ saw: 1, next: "e.1" }, { saw: 0, next: "e.2" }, new TypeError("cut")],
      [new TypeError("away")],
      [new SloshError(503, {}, 30000)],
      [{ saw: 0, lost: 2, next: "e.4" }, { saw: 0, reset: true, next: "f.0" }, new TypeError("cut")],
      [{ topics: {}, next: "f.1" }, { topics: { a: {} }, next: "f.2" }],
    ];
    """
    states, pauses, given, asked = play("slosh.js", "follow, SloshError", words + FOLLOWS)
    assert states == [
        *("connecting", "live", "offline", "connecting", "offline", "connecting", "waiting"),
        *("connecting", "live", "offline", "connecting", "live", "closed"),
    ]
    assert pauses == [250, 500, 30000, 250]
    assert given == ["e.1", "e.4", "f.0", "f.2"]
    assert asked == ["-5", "e.2", "e.2", "e.2", "f.0"]


def test_a_client_that_is_told_to_come_back_at_once_does_and_waits_longer_where_it_is_told_so_again(play: Play) -> None:
    """A server whose successor serves already says so, in a stream too; in its last line as well."""
    words = """
    answers = [problem(503, {}, { "Retry-After": "0" })];
    const request = { url: new URL(server), since: "e.1", query: {}, wait: 1, signal: new AbortController().signal };
    const refused = await longPoll(request).next().catch((error) => error);
    const last = new SloshError(503, {}, 150);
    const script = [[refused], [refused], [last], [new SloshError(503, {})], []];
    """
    _, pauses, *_ = play("slosh.js", "follow, longPoll, SloshError", words + FOLLOWS)
    assert pauses == [25, 50, 150, 2000]


@pytest.mark.parametrize(
    ("last", "after"), [("retry: 150\\n", 150), ("retry: 12345\\n", 0)], ids=["a successor serves", "none is there"]
)
def test_the_last_line_of_a_stream_says_whether_the_next_server_is_there(play: Play, last: str, after: int) -> None:
    words = f"""
    const head = {{ headers: {{ "Content-Type": "text/event-stream" }} }};
    answers = [new Response("retry: 2000\\nevent: place\\ndata: {{}}\\nid: e.1\\n\\n{last}\\n", head)];
    const request = {{ url: new URL(server), since: "e.1", query: {{}}, signal: new AbortController().signal }};
    try {{
      for await (const answer of stream(request)) tell(answer.next);
    }} catch (error) {{
      tell([error.status, error.retryAfter]);
    }}
    """
    assert play("slosh.js", "stream", words)[-1] == [503, after]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/event-stream", 'event: incomplete\\ndata: {"incomplete":true}\\n\\n'),
        ("application/x-ndjson", '{"topics":{},"next":"*","incomplete":true}\\n'),
    ],
)
def test_a_client_of_patterns_says_that_topics_are_left_out(play: Play, kind: str, body: str) -> None:
    words = f"""
    answers = [new Response('{body}', {{ headers: {{ "Content-Type": "{kind}" }} }})];
    const states = [];
    const following = follow("a/*", {{ server, transport: stream, onState: (state) => {{
      states.push([state.name, state.incomplete ?? false]);
      if (state.incomplete) following.close();
    }} }});
    while (following.state.name !== "closed") await new Promise((resolve) => setTimeout(resolve, 5));
    tell(states);
    """
    (states,) = play("slosh.js", "follow, stream", words)
    assert states == [["connecting", False], ["live", False], ["live", True], ["closed", False]]


@pytest.mark.parametrize("since", ["", 'since: "now",'])
def test_a_client_whose_first_answer_was_lost_asks_for_what_came_since_then(play: Play, since: str) -> None:
    """Else the messages between its first request and the next would be missed in silence."""
    words = """
    let clock = 5000;
    performance.now = () => (clock += 250.5);
    const cut = new TypeError("cut");
    const script = [[cut], [cut], [{ saw: 0, next: "e.4" }, cut], []];
    """
    *_, asked = play("slosh.js", "follow, SloshError", words + FOLLOWS.replace('since: "-5",', since))
    assert [asked[0], *asked[3:]] == ["now", "e.4"]
    first, second = (int(each.removesuffix("ms")) for each in asked[1:3])
    assert 1000 < first < second < 5000


def test_a_client_that_is_refused_for_good_asks_no_more(play: Play) -> None:
    words = """const script = [[{ saw: 1, next: "e.1" }], [new SloshError(400, { detail: "no" })], []];"""
    words += FOLLOWS.replace("if (rounds === script.length) following.close();", "")
    states, _, given, asked = play("slosh.js", "follow, SloshError", words)
    assert (states[-1], given, asked) == ("failed", ["e.1"], ["-5", "e.1"])


def test_an_iteration_may_be_asked_for_two_at_once_and_gives_nothing_more_once_it_is_closed(play: Play) -> None:
    words = """
    const { getEventListeners } = await import("node:events");
    async function* transport() {
      yield { next: "e.1", saw: 1, res: [1] };
      yield { next: "e.3", saw: 2, res: [2, 3] };
    }
    const abort = new AbortController();
    const watching = watch("t", { server, transport, signal: abort.signal });
    const both = await Promise.all([watching.next(), watching.next()]);
    tell(both.map(({ value }) => value.message));
    tell(getEventListeners(abort.signal, "abort").length > 0);
    abort.abort();
    tell([(await watching.next()).done, getEventListeners(abort.signal, "abort").length]);
    """
    assert play("slosh.js", "watch", words) == [[1, 2], True, [True, 0]]


def test_one_signal_keeps_none_of_what_was_followed_with_it_and_closed(play: Play) -> None:
    words = """
    const { getEventListeners } = await import("node:events");
    const { signal } = new AbortController();
    for (let i = 0; i < 3; i++) follow("t", { server, signal, transport: async function* () {} }).close();
    tell(getEventListeners(signal, "abort").length);
    """
    assert play("slosh.js", "follow", words) == [0]


def test_a_pause_or_a_patience_longer_than_a_timer_takes_is_not_over_at_once(play: Play) -> None:
    """One of more than 24.8 days ends after a millisecond: a server that is to be left alone was asked at once."""
    words = """
    const timers = [];
    const real = globalThis.setTimeout;
    globalThis.setTimeout = (call, ms) => (timers.push(ms), real(call, 1));
    const states = [];
    let rounds = 0;
    async function* transport() {
      if (rounds++) following.close();
      else throw new SloshError(503, {}, 1e11);
    }
    const following = follow("t", { server, transport, onState: (state) => states.push(state) });
    while (following.state.name !== "closed") await new Promise((resolve) => real(resolve, 5));
    tell(states.find(({ name }) => name === "waiting").retryIn);
    answers = [new Response("", { headers: { "Content-Type": "text/event-stream" } })];
    const { signal } = new AbortController();
    const request = { url: new URL(server), since: "e.1", query: {}, signal, options: { patience: Infinity } };
    for await (const answer of stream(request)) tell(answer.saw);
    tell(Math.max(...timers));
    """
    assert play("slosh.js", "follow, SloshError, stream", words) == [100_000_000_000, 2**31 - 1]


def test_what_a_token_function_throws_is_told_as_its_own(play: Play) -> None:
    """It was told as a server that cannot be reached, or as an answer that was cut short."""
    words = """
    const errors = [new Error("signed out"), new TypeError("Failed to fetch"), new SyntaxError("no JSON")];
    const thrown = [...errors, "gone", undefined];
    const token = () => Promise.reject(thrown[0]);
    while (thrown.length) {
      for (const shared of [false, true]) {
        tell(await new Promise((resolve) => {
          const onState = ({ name, reason }) => name === "offline" && (resolve([name, reason]), following.close());
          const following = follow("t", { server, shared, token, onState });
        }));
      }
      await publish("t", 1, { server, token }).catch((error) => tell([error.name, error.message]));
      tell(await publish("t", 1, { server, token }).catch((error) => error.cause.cause === thrown[0]));
      thrown.shift();
    }
    tell(asked.length);
    """
    *told, asked = play("slosh.js", "follow, publish", words)
    for at, text in enumerate(["signed out", "Failed to fetch", "no JSON", "gone", "undefined"]):
        reason = f"token: {text}"
        assert told[4 * at : 4 * at + 4] == [["offline", reason], ["offline", reason], ["TypeError", reason], True]
    assert asked == 0


SERIES = """
const of = (...points) => {
  const series = new Series();
  for (const [time, value] of points) series.push(time, value);
  return series;
};
const toldAs = (value) => (value === undefined ? "" : value);
const columns = (lines) => lines.map(({ means }) => Array.from(means, toldAs));
const plain = ({ times, lines, isBucketed }) => [times, ...columns(lines), isBucketed];
"""


def test_few_points_of_several_lines_are_drawn_as_they_are(play: Play) -> None:
    """An empty text stands for what a line has nothing for; null is where it breaks."""
    words = """
    const a = of([1, 10], [2, 20], [2.000001, NaN], [5, 50]);
    const b = of([1.5, 1], [2, 2]);
    tell(plain(frame([a, b], 0, 10, 1000)));
    tell(plain(frame([a], 0, 10, 1000)));
    tell(plain(frame([a, b], 1.8, 1.9, 1000)));
    """
    assert play("series.js", "Series, frame", SERIES + words) == [
        [[1, 1.5, 2, 2.000001, 5], [10, "", 20, None, 50], ["", 1, 2, "", ""], False],
        [[1, 2, 2.000001, 5], [10, 20, None, 50], False],
        [
            [1, 1.5, 2],
            [10, "", 20],
            ["", 1, 2],
            False,
        ],  # the points on both sides, so that the line comes in and goes out
    ]


def test_many_points_are_drawn_as_the_mean_lowest_and_highest_of_each_moment(play: Play) -> None:
    words = """
    const many = new Series();
    for (let i = 0; i < 10000; i++) many.push(i / 100, i === 5005 ? 1000 : i === 7000 ? NaN : 1);
    const { times, lines: [{ means, lows, highs }], isBucketed } = frame([many], 0, 100, 400);
    const there = (value) => value !== undefined;
    tell([isBucketed, times.length < 410, Math.max(...highs.filter(there)), Math.min(...lows.filter(there))]);
    tell(times.every((time, i) => i === 0 || Math.abs(time - times[i - 1] - (times[1] - times[0])) < 1e-9));
    tell(means.filter((value) => value > 1).length);
    const moved = frame([many], 0.01, 100.01, 400);
    tell(moved.times.filter((time) => !times.includes(time)).length);
    """
    bounds, is_even, high, moved = play("series.js", "Series, frame", SERIES + words)
    assert bounds == [True, True, 1000, 1]
    assert is_even
    assert high == 1, "the mean of one moment"
    assert moved == 0, "the grid stands still while time goes on, so nothing flickers"


def test_a_smoothed_line_begins_at_its_true_height_and_begins_again_after_a_break(play: Play) -> None:
    words = "tell(smooth([4, undefined, 4, null, 8, 0], 0.5).map((value) => (value === undefined ? '' : value)));"
    (found,) = play("series.js", "smooth", words)
    assert found[:5] == [4, "", 4, None, 8]
    assert found[5] == pytest.approx(8 / 3)


def test_messages_take_the_place_of_a_past_that_came_before_them(play: Play) -> None:
    """The two are asked for at the same time. The messages must not be squeezed behind the past, nor be drawn twice."""
    words = """
    for (const first of [981, 988, 989.999, 990]) {
      const lines = new Lines(false, null, 600);
      const rollups = { path: "a", count: [1, 1, 1, 1], min: [1, 2, 3, 4], max: [1, 2, 3, 4], mean: [1, 2, 3, 4] };
      lines.fillPast("t", { from: 960_000, step: 10_000, series: [rollups] });
      for (const [time, a] of [[first, 7], [993, 8], [999, 9]]) lines.add("t", { a }, time);
      const [{ series }] = lines.all.values();
      tell([[...series.times.subarray(0, series.length)], series.values]);
    }
    """
    assert play("lines.js", "Lines", words) == [
        [[965, 975, 981, 993, 999], [1, 2, 7, 8, 9]],
        [[965, 975, 988, 993, 999], [1, 2, 7, 8, 9]],
        [[965, 975, 989.999, 993, 999], [1, 2, 7, 8, 9]],
        [[965, 975, 985, 990, 993, 999], [1, 2, 3, 7, 8, 9]],
    ]


def test_the_past_stands_before_what_came_since(play: Play) -> None:
    words = """
    const lines = new Lines(false, null, 600);
    lines.add("t", { a: 5 }, 1000);
    const none = [null, null, null];
    lines.fillPast("t", { from: 940_000, step: 10_000, series: [
      { path: "a", count: [9, 9, 0, 0, 0, 1, 9], min: [1, 1, ...none, 3, 0],
        max: [4, 4, ...none, 3, 9], mean: [2, 2, ...none, 3, 1] },
    ] });
    const [{ series }] = lines.all.values();
    const { low, high } = series.facts(0, 2000);
    tell([[...series.times.subarray(0, series.length)], series.values, low, high]);
    """
    assert play("lines.js", "Lines", words) == [[[945, 955, 965, 995, 1000], [2, 2, None, 3, 5], 1, 5]]


def test_a_past_of_fewer_messages_than_steps_is_a_line_that_breaks_where_nothing_came_for_long(play: Play) -> None:
    """As it was drawn when it came, so also where a step or two went by without one."""
    words = """
    for (const [every, silent] of [[5, 0], [5, 60], [1, 3]]) {
      const lines = new Lines(false, null, 600);
      const count = Array.from({ length: 200 }, (_, i) => (i % every || i >= 100 || i === 50 ? 0 : 1));
      const from = 1e6 - 1000 * (100 + silent);
      const mean = count.map((each, i) => (each ? i : null));
      const series = [{ path: "a", count: count.slice(0, 100 + silent), min: mean, max: mean, mean }];
      lines.fillPast("t", { from, step: 1000, series });
      const [{ series: drawn }] = lines.all.values();
      tell([drawn.length, drawn.values.flatMap((value, i) => (value === null ? [drawn.values[i - 1]] : []))]);
    }
    """
    assert play("lines.js", "Lines", words) == [[19, []], [20, [95]], [99, []]]


def test_a_topic_without_the_member_that_tells_lines_apart_has_a_past_too(play: Play) -> None:
    """Where another topic of the same page has it."""
    words = """
    answers = [{ from: 1, step: 2, series: [] }, { from: 1, step: 2, series: [{ path: "a" }] }];
    const filled = [];
    const lines = { by: "host", fillPast: (name, { series }) => filled.push([name, series]) };
    await new Promise((resolve) => new Past(600, lines, (name) => `${server}/topics/${name}`, resolve).fill(["t"]));
    tell([filled, asked.map(({ query }) => query)]);
    """
    history = {"history": "600s,all"}
    assert play("feed.js", "Past", words) == [[[["t", [{"path": "a"}]]], [{**history, "by": "host"}, history]]]


def test_the_past_of_what_one_line_shows_is_put_together(play: Play) -> None:
    """Messages that are numbers, and their member `value`, are drawn as one line, and two series of a history."""
    words = """
    const lines = new Lines(false, null, 600);
    lines.fillPast("t", { from: 970_000, step: 10_000, series: [
      { path: "", count: [2, 0, 1, 0], min: [1, null, 3, null], max: [4, null, 3, null], mean: [2, null, 3, null] },
      { path: "value", count: [0, 1, 3, 0], min: [null, 6, 1, null], max: [null, 6, 9, null], mean: [9, 6, 5, 9] },
    ] });
    const [{ series }] = lines.all.values();
    const { low, high } = series.facts(0, 2000);
    tell([lines.all.size, [...series.times.subarray(0, series.length)], series.values, low, high]);
    """
    assert play("lines.js", "Lines", words) == [[1, [975, 985, 995], [2, 6, 4.5], 1, 9]]


def test_what_is_saved_is_a_table_by_time(play: Play) -> None:
    """Messages of the same millisecond all stand in it."""
    words = """
    const line = (label, ...points) => ({ label, series: of(...points) });
    tell(csvOf([line('a "b"', [1, 10], [2, NaN], [3, 30]), line("c", [1, 7], [1, 8], [9, 9])], 0, 5, true));
    """
    (text,) = play("save.js", "csvOf", 'import { Series } from "./series.js";' + SERIES + words)
    assert text.split("\r\n") == [
        'time,"a ""b""",c',
        "1970-01-01T00:00:01.000Z,10,7",
        "1970-01-01T00:00:01.000Z,,8",
        "1970-01-01T00:00:03.000Z,30,",
        "",
    ]


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("latency_ms", "ms"),
        ("disk.read_bytes", "B"),
        ("cpu[3].percent", "%"),
        ("temp_c", "°C"),
        ("items", ""),
        ("terms", ""),
        ("cpu", "%"),
        ("net.bytes_per_second", "B/s"),
    ],
)
def test_units_come_from_names_and_from_the_address(play: Play, path: str, unit: str) -> None:
    words = f"tell(unitOf({path!r}, toldUnits(new URLSearchParams('unit.cpu=%25&span=5m'))));"
    assert play("numbers.js", "unitOf, toldUnits", words) == [unit]


def test_events_of_several_topics_may_be_of_any_name(play: Play) -> None:
    words = """
    const of = (topic, n) => `data: {"topic":"${topic}","message":${n}}\\nid: ${topic}=e.${n}\\n\\n`;
    const text = of("__proto__", 1) + of("constructor", 2) + of("a", 3);
    answers = [new Response(text, { headers: { "Content-Type": "text/event-stream" } })];
    const request = { url: new URL("http://slosh.test/topics/a,b"), since: "now", query: {} };
    for await (const answer of stream({ ...request, signal: new AbortController().signal })) {
      for (const [topic, { res }] of Object.entries(answer.topics ?? {})) tell([topic, res]);
    }
    tell(Object.keys(Object.prototype));
    """
    assert play("slosh.js", "stream", words) == [["__proto__", [1]], ["constructor", [2]], ["a", [3]], []]


@pytest.mark.parametrize("topic", ["..", "a/../b", "a/.", "x,./y"])
def test_a_name_that_leads_elsewhere_is_refused_at_once(play: Play, topic: str) -> None:
    words = f"""
    for (const call of [() => follow({topic!r}, {{ server }}), () => publish({topic!r}, 1, {{ server }})]) {{
      try {{ await call(); }} catch (error) {{ tell([error.name, error.message]); }}
    }}
    tell(asked.length);
    """
    *told, count = play("slosh.js", "follow, publish", words)
    assert [name for name, _ in told] == ["TypeError"] * 2
    assert all(f'a topic\'s name, not "{topic}"' in text for _, text in told)
    assert count == 0


def test_when_to_come_back_is_told_by_the_servers_clock(play: Play) -> None:
    """That of the page may be hours off."""
    words = """
    const fields = { "Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT", Date: "Thu, 01 Jan 2026 00:00:10 GMT" };
    answers = [problem(503, {}, fields)];
    await publish("a", 1, { server }).catch((error) => tell(error.retryAfter));
    """
    assert play("slosh.js", "publish", words) == [20_000]


def test_a_handler_is_called_after_what_made_it_was_returned(play: Play) -> None:
    """Also where it was aborted before it began."""
    words = """
    const onState = ({ name }) => tell([name, typeof following]);
    const following = follow("a", { server, signal: AbortSignal.abort(), onState });
    await new Promise((resolve) => setTimeout(resolve, 0));
    """
    assert play("slosh.js", "follow", words) == [["closed", "object"]]


def test_a_number_that_no_axis_can_show_is_no_place_on_it(play: Play) -> None:
    words = """
    const lines = new Lines(false, null, 600, "step");
    for (const step of [1, 2, Infinity, -Infinity, 1e300, 3]) lines.add("t", { step, loss: step }, 1000);
    tell([lines.first, lines.last, lines.without]);
    """
    assert play("lines.js", "Lines", words) == [[1, 3, 3]]


@pytest.mark.parametrize("begin", list("=+-@\t\r"))
def test_a_name_that_a_spreadsheet_would_run_is_text_in_what_is_saved(play: Play, begin: str) -> None:
    words = f"tell(csvOf([{{ label: {json.dumps(begin + 'cmd()')}, series: new Series() }}], 0, 5, true));"
    (text,) = play("save.js", "csvOf", 'import { Series } from "./series.js";' + words)
    assert text.partition(",")[2].lstrip('"').startswith(f"'{begin}cmd()")


#: Points that come, go and change in every way, and what is told of them by looking at each one.
HISTORY = """
let seed = 7;
const random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
const plainFacts = (series, from, to) => {
  const rows = [...series.times.subarray(0, series.length)].map((time, row) => row)
    .filter((row) => series.times[row] >= from && series.times[row] <= to && !Number.isNaN(series.mean[row]));
  const means = rows.map((row) => series.mean[row]);
  return [Math.min(...rows.map((row) => series.low[row])), Math.max(...rows.map((row) => series.high[row])),
    means.reduce((sum, value) => sum + value, 0) / means.length];
};
const close = (a, b) =>
  (a ?? null) === (b ?? null) || Math.abs(a - b) <= 1e-9 * Math.abs(b) || (a !== a && b !== b);
const same = (a, b) =>
  a.length === b.length && a.every((value, i) => close(value, b[i]));
const later = (each) => Array.from(each).slice(2);
/** The same series, of which nothing was ever drawn. */
const copyOf = (series) => {
  const copy = new Series();
  const { times, mean, low, high } = series;
  for (let row = 0; row < series.length; row++) copy.push(times[row], mean[row], low[row], high[row]);
  return copy;
};
"""


def test_what_is_kept_of_points_for_the_next_drawing_is_what_all_of_them_tell(play: Play) -> None:
    """Though points come, are merged, forgotten and taken back, and the view moves in all directions."""
    words = """
    const series = new Series();
    let [now, wrong, drawn] = [1000, 0, 0];
    for (let turn = 0; turn < 400; turn++) {
      const what = random();
      for (let i = 0; i < random() * 400; i++) {
        now += random() < 0.001 ? 40 : random() / 40;
        const value = random() < 0.02 ? NaN : random() * 100;
        if (series.isFull) series.thin(0.25);
        series.push(now, value);
      }
      if (what < 0.1) series.forget(now - 100 * random());
      else if (what < 0.15) series.truncate(now - random());
      else if (what < 0.2) series.prepend([[900, 1, 0, 2], [950, NaN], [960, 5, 4, 6]], 10);
      const to = random() < 0.8 ? now : now - 50 * random();
      const from = to - (random() < 0.7 ? 60 : 120 * random());
      const { low, high, mean } = series.facts(from, to);
      const plain = plainFacts(series, from, to);
      if (plain[2] === plain[2] ? !same([low, high, mean], plain) : mean !== undefined) wrong++;
      const [one, other] = [series, copyOf(series)].map((each) => frame([each], from, to, 100));
      drawn += one.isBucketed;
      // The leftmost moment may hold points from before the view, which the copy has too, or has not looked at.
      const columns = ({ lines: [{ means, lows, highs }] }) => [means, lows, highs].map(later);
      if (!same(one.times, other.times) || !columns(one).every((each, i) => same(each, columns(other)[i]))) wrong++;
    }
    tell([wrong, drawn > 100]);
    """
    assert play("series.js", "Series, frame", HISTORY + words) == [[0, True]]


def test_a_view_that_moves_on_for_long_keeps_what_it_draws_and_no_more(play: Play) -> None:
    words = """
    const series = new Series();
    let wrong = 0;
    for (let i = 0; i < 16_000; i++) {
      series.push(i / 4, i % 7);
      if (i % 400 < 399 || i < 800) continue;
      const [one, other] = [series, copyOf(series)].map((each) => frame([each], i / 4 - 200, i / 4, 100));
      const columns = ({ lines: [{ means, lows, highs }] }) => [means, lows, highs].map(later);
      if (!one.isBucketed || !columns(one).every((each, k) => same(each, columns(other)[k]))) wrong++;
    }
    tell([wrong, series.moments(2, 3800, series.length).counts.length]);
    """
    assert play("series.js", "Series, frame", HISTORY + words) == [[0, 2048]]


FEED = """
const { Lines, wordsOf } = await import("./lines.js");
const lines = new Lines(false, null, 1e6);
const feed = new Feed(lines, "t", false);
const began = Date.now() - 900_000;
const take = (at, count, more = {}) => {
  const res = Array.from({ length: count }, (_, i) => i);
  feed.take({ res, times: res.map((i) => began + at + i * 0.01), ...more });
};
const sum = (kind) => lines.marks.filter((mark) => mark.kind === kind).reduce((all, { count }) => all + count, 0);
"""


@pytest.mark.parametrize("apart", [20, 100, 999, 1100, 5000])
def test_each_loss_is_marked_shaded_and_counted(play: Play, apart: int) -> None:
    """However close they are, and however many: a mark that stands for several says what all of them come to."""
    words = """
    const apart = APART;
    take(0, 10);
    const gaps = [];
    for (let n = 1; n <= 150; n++) {
      gaps.push([lines.last, (began + n * apart) / 1000]);
      take(n * apart, 10, { lost: 7 });
    }
    tell([feed.missed, sum("lost"), lines.marks.length <= 100]);
    tell(gaps.filter(([from, to]) => !lines.marks.some(({ time, until }) => time <= from && to <= until)));
    """.replace("APART", str(apart))
    assert play("feed.js", "Feed", FEED + words) == [[1050, 1050, True], []]


def test_marks_that_are_too_many_are_joined_with_the_nearest_of_their_kind(play: Play) -> None:
    words = """
    for (let n = 0; n < 300; n++) {
      const [time, kind] = [n * 10 + (n % 2), ["lost", "reset", "silent"][n % 3]];
      if (kind === "silent") lines.mark({ time, until: time + 5, kind, count: 5 });
      else lines.breakLines(undefined, { time, until: time, kind, count: 1 });
    }
    tell([lines.marks.length, sum("lost"), sum("reset"), sum("silent")]);
    tell([["reset", 1], ["reset", 3], ["ended", 1]].map(([kind, count]) => wordsOf({ kind, count, name: "t" })));
    """
    assert play("feed.js", "Feed", FEED + words) == [
        [100, 100, 100, 500],
        ["began again", "began again 3 times", "t ended"],
    ]


def test_what_a_pause_gave_up_is_marked_and_breaks_the_line(play: Play) -> None:
    """Five thousand messages wait. Those before them are counted as not drawn, and what they lost as missed."""
    words = """
    take(0, 10);
    feed.pause();
    take(1000, 100, { lost: 7 });
    take(2000, 5000, { lost: 8 });
    tell(feed.dropped);
    feed.pause();
    tell([sum("undrawn"), sum("lost"), feed.missed]);
    const [{ series }] = lines.all.values();
    tell([series.values.slice(9, 12), series.length]);
    const found = lines.marks.find(({ kind }) => kind === "undrawn");
    tell([found.time * 1000 - began, found.until * 1000 - began].map(Math.round));
    """
    assert play("feed.js", "Feed", FEED + words) == [100, [100, 15, 15], [[9, None, 0], 5011], [1000, 1001]]


def test_the_first_rate_of_a_page_is_that_of_the_messages_before_it(play: Play) -> None:
    words = """
    const { Lines } = await import("./lines.js");
    performance.now = () => 1000;
    const now = Math.floor(Date.now() / 1000) * 1000;
    /** What a page tells that has just begun: messages so many milliseconds apart, the last one `end` ms from now. */
    const rate = (apart, count, end = 0, { part = count, ...more } = {}) => {
      const feed = new Feed(new Lines(false, null, 1e6), "t", false);
      const times = Array.from({ length: count }, (_, i) => now + end - (count - 1 - i) * apart);
      for (let i = 0; i < count; i += part) {
        const some = times.slice(i, i + part);
        feed.take({ res: some, times: some, date: now, ...more });
      }
      return Math.round(feed.rate);
    };
    // A feed that goes on, also where its history comes in parts; one that began four seconds ago; one that stopped.
    tell([rate(333, 1800), rate(333, 1800, 0, { part: 100 }), rate(500, 9), rate(500, 600, -300_000)]);
    // The server's clock was set back: the times of its messages go on, ahead of it.
    tell([rate(500, 900, 7_200_000), rate(500, 900, 7_200_000, { part: 100 })]);
    // Of a fast one the server keeps two seconds.
    tell(Math.abs(rate(20, 100, 0, { truncated: true }) - 50) < 5);
    """
    assert play("feed.js", "Feed", words) == [[3, 3, 2, 0], [2, 2], True]


def test_a_rate_is_that_of_the_last_ten_seconds(play: Play) -> None:
    words = """
    const { Lines } = await import("./lines.js");
    performance.now = () => 1000;
    const feed = new Feed(new Lines(false, null, 1e6), "t", false);
    const began = Math.floor(Date.now() / 1000) * 1000;
    const take = (from, count, apart) => {
      const times = Array.from({ length: count }, (_, i) => began + from + i * apart);
      feed.take({ res: times, times });
      return Math.round(feed.rate);
    };
    tell([take(0, 2000, 5), take(30_000, 50, 200), take(60_000, 1, 0)]);
    """
    assert play("feed.js", "Feed", words) == [[200, 5, 0]]


def test_a_text_reads_as_in_a_terminal_without_its_colours(play: Play) -> None:
    words = r"""
    const all = [
      "\x1b[31mred\x1b[0m \x1b[1;38;5;9mx\x1b[m\x1b[K", "\tindent\nnext",
      "a\0b\x1b]c\x7f\r", "\u00fc \u2603 \\u001b"];
    tell(all.map(readable));
    """
    found = ["red x", "\tindent\nnext", "a\u2400b\u241b]c\u2421\u240d", "\xfc \u2603 \\u001b"]
    assert play("numbers.js", "readable", words) == [found]


def test_a_topic_that_began_again_and_lost_something_since_has_a_mark_of_each(play: Play) -> None:
    words = """
    take(0, 10);
    take(5000, 10, { lost: 7, reset: true });
    tell(lines.marks.map(wordsOf));
    """
    assert play("feed.js", "Feed", FEED + words) == [["began again", "7 missed"]]


def test_a_state_has_the_colour_of_its_name_whatever_came_before_it(play: Play) -> None:
    """And no two of a band have the same."""
    words = """
    // a and m have one colour by their names alone, so the later of the alphabet gives way.
    for (const names of [["open", "opening", "closed"], ["closed", "opening", "open"], "am", "ma", "abcdefghijkl"]) {
      const states = new States({});
      let state;
      [...names].forEach((name, i) => (state = states.note("k", "t", undefined, "door", name, i)));
      tell(Object.fromEntries([...state.values].sort()));
    }"""
    first, second, two, as_two, twelve = play("states.js", "States", words)
    assert first == second
    assert len(set(first.values())) == 3
    assert two == as_two == {"a": 1, "m": 2}
    assert sorted(twelve.values()) == list(range(12))


def test_an_axis_does_not_jump_where_its_numbers_hardly_move(play: Play) -> None:
    words = "for (let low = 200; low >= -200; low--) tell(span(low / 10, 26));"
    bottoms = [bottom for bottom, _ in play("numbers.js", "span", words)]
    assert max(before - after for before, after in pairwise(bottoms)) < 0.21  # twice the step of the lowest


def test_the_numbers_of_a_line_have_the_same_digits(play: Play) -> None:
    """As many as came, and no more than can be told apart."""
    words = """
    const texts = (values, low, high) => {
      const digits = values.reduce((least, value) => digitsOf(value, least), 0);
      const line = { facts: { low, high }, digits, scale: { factor: 1 } };
      return values.map((value) => number(value, stepOf(line), howOf(line, notation(high, stepOf(line)))));
    };
    tell(texts([21.5, 21, 0, -0.04], 20, 22));
    tell(texts([50.90654321, 50.98412345], 50.1, 51.1));
    tell(texts([5, 12, 1461], 5, 1461));
    tell(texts([1200000, 14000], 14000, 1200000));
    tell(texts([1.5e-12], 1.5e-12, 1.5e-12));
    tell(texts([21, 21.5, 22], 21, 22));
    tell(texts([-0.04, 12.5], -0.04, 12.5));
    tell(texts([4.35, 4.3], 4.3, 4.35)); // a hundred times 4.35 is 434.99999999999994
    """
    assert play("numbers.js", "digitsOf, howOf, notation, number, stepOf", words) == [
        ["21.50", "21.00", "0.00", "-0.04"],
        ["50.91", "50.98"],
        ["5", "12", "1,461"],
        ["1.20M", "0.01M"],
        ["1.5e-12"],
        ["21.0", "21.5", "22.0"],
        ["0.0", "12.5"],
        ["4.35", "4.30"],
    ]


def test_a_text_or_a_boolean_that_never_changes_is_a_band_with_its_name(play: Play) -> None:
    """Also the member that would tell lines apart, as long as it has one value; of very many the page says how many."""
    words = """
    const bands = (messages) => {
      const lines = new Lines(false, null, 600);
      messages.forEach((message, i) => lines.add("t", message, 1e9 + i));
      const told = ({ text, from, until }) => [text, until - from];
      tell(lines.states.shown.map((state) => [...lines.parts(state), state.changes.map(told)]));
      tell([[...lines.all.values()].map((line) => lines.label(line)), lines.states.isFull]);
    };
    bands([{ room: "hall", status: "ok", t: 1 }, { room: "hall", status: "ok", t: 2 }]);
    bands([{ room: "hall", t: 1 }, { room: "hall", t: 2 }, { room: "attic", t: 3 }]);
    const many = (count, last) => ({ ...new Array(count).fill(true), last });
    bands([many(59, "x".repeat(41))]);
    bands([many(60, "off")]);
    bands(["once"]);
    """
    told = play("lines.js", "Lines", words)
    assert told[0] == [["room", [["hall", 1]]], ["status", [["ok", 1]]]]
    assert told[1] == [["t"], False]
    assert told[2:4] == [[], [["attic: t", "hall: t"], False]]
    assert (len(told[4]), told[5]) == (59, [[], False])
    assert (len(told[6]), told[7]) == (60, [[], True])
    assert told[-2:] == [[], [[], False]]


def test_lines_of_one_path_stand_in_the_order_of_their_names_whichever_came_first(play: Play) -> None:
    """So a host has its place and its colour again when the page is loaded again."""
    words = """
    for (const hosts of [["n10", "n2", "n1"], ["n1", "n10", "n2"]]) {
      const lines = new Lines(false, null, 600);
      hosts.forEach((host, i) => lines.add("t", { host, up: 1, cpu: 2 }, 1e9 + i));
      tell([...lines.all.values()].map((line) => lines.label(line)));
    }"""
    names = [f"n{n}: {path}" for path in ("up", "cpu") for n in (1, 2, 10)]
    assert play("lines.js", "Lines", words) == [names, names]
