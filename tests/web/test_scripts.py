"""What the browser's scripts work out, in Node and without a page; `tests/e2e` has them in Chromium."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import slosh
from benchmarks.processes import run_group
from tests.conftest import need

SCRIPTS = Path(slosh.__file__).parent / "web" / "view"

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


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Runs a script's own words with all that it exports at hand; gives what they hand to `tell`, one after another."""
    node = need("node")
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    (tmp_path / "scripts" / "package.json").write_text('{"type": "module"}')

    def run(script: str, names: str, words: str) -> list[Any]:
        file = tmp_path / "scripts" / "played.js"
        tell = "const told = []; const tell = (value) => told.push(value);"
        end = "console.log(JSON.stringify(told)); process.exit(0);"
        file.write_text(f'import {{ {names} }} from "./{script}";\n{FAKES}\n{tell}\n{words}\n{end}\n')
        found: list[Any] = json.loads(run_group([node, file], check=True).stdout)
        return found

    return run


def test_the_least_and_the_greatest_of_a_column_leave_out_what_is_missing(play: Any) -> None:
    told = play("numbers.js", "bounds", "for (const each of [[3, null, -5, 2], [undefined], [0]]) tell(bounds(each));")
    assert told == [{"low": -5, "high": 3, "peak": 5}, {"peak": 0}, {"low": 0, "high": 0, "peak": 0}]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 11]),
        (6, 10, [0, 10.4]),  # nothing is near
        (7, 10, [6.7, 10.3]),
        (-10, -6, [-10.4, 0]),
        (-10, -7, [-10.3, -6.7]),
        (-1, 1, [-1.2, 1.2]),
        (5, 5, [4.5, 5.5]),
        (0, 0, [0, 0.1]),
        (None, 3, [0, 1]),
    ],
)
def test_an_axis_begins_at_nothing_where_that_is_near(play: Any, low: Any, high: Any, expected: list[float]) -> None:
    (told,) = play("numbers.js", "span", f"tell(span({json.dumps(low)}, {json.dumps(high)}));")
    assert told == pytest.approx(expected)


def test_a_long_text_is_clipped_and_says_how_long_it_was(play: Any) -> None:
    words = "tell(clip('12345', 5)); tell(clip('123456', 5)); tell(plural(1, 'line')); tell(plural(2000, 'line'));"
    assert play("numbers.js", "clip, plural", words) == ["12345", "12345 … (6 characters)", "1 line", "2,000 lines"]


STATUSES = [400, 404, 408, 409, 413, 425, 429, 499, 500, 503]


def test_which_refusals_may_pass(play: Any) -> None:
    words = f"for (const each of {STATUSES}) tell(new SloshError(each, {{}}).passing);"
    assert play("slosh.js", "SloshError", words) == [each in {408, 425, 429, 500, 503} for each in STATUSES]


def test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one(play: Any) -> None:
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


def test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on(play: Any) -> None:
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


def test_a_long_poll_that_is_not_held_is_not_asked_in_a_tight_loop(play: Any) -> None:
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


def test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time(play: Any) -> None:
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


def test_a_client_that_is_refused_for_good_asks_no_more(play: Any) -> None:
    words = """const script = [[{ saw: 1, next: "e.1" }], [new SloshError(400, { detail: "no" })], []];"""
    words += FOLLOWS.replace("if (rounds === script.length) following.close();", "")
    states, _, given, asked = play("slosh.js", "follow, SloshError", words)
    assert (states[-1], given, asked) == ("failed", ["e.1"], ["-5", "e.1"])
