"""Breaks of the browser's side."""

from tests.mutations.row import Row

row = Row.of

ROWS: tuple[Row, ...] = (
    row(
        "web/view/numbers.js",
        "if (low >= 0 && low <= high * 0.6) return [0, high + room];",
        "if (low >= 0 && low < high * 0.6) return [0, high + room];",
        "web/test_scripts.py::test_an_axis_begins_at_nothing_where_that_is_near[6-10-expected1]",
    ),
    row(
        "web/view/numbers.js",
        "if (high <= 0 && high >= low * 0.6) return [low - room, 0];",
        "",
        "web/test_scripts.py::test_an_axis_begins_at_nothing_where_that_is_near[-10--6-expected3]",
    ),
    row(
        "web/view/numbers.js",
        "if (low == null || high == null) return [0, 1];",
        "",
        "web/test_scripts.py::test_an_axis_begins_at_nothing_where_that_is_near[None-3-expected8]",
    ),
    row(
        "web/view/numbers.js",
        "const room = (high - low || Math.abs(high) || 1) * 0.1;",
        "const room = (high - low) * 0.1;",
        "web/test_scripts.py::test_an_axis_begins_at_nothing_where_that_is_near[5-5-expected6]",
    ),
    row(
        "web/view/numbers.js",
        'export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;',
        'export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;',
        "web/test_scripts.py::test_a_long_text_is_clipped_and_says_how_long_it_was",
    ),
    row(
        "web/view/slosh.js",
        "return this.status >= 500 || [408, 425, 429].includes(this.status);",
        "return this.status >= 500;",
        "web/test_scripts.py::test_which_refusals_may_pass",
    ),
    row(
        "web/view/slosh.js",
        'if (refusal.code === "no_watchers") return { taken: false, code: "no_watchers" };',
        "",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/view/slosh.js",
        'if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;',
        "",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/view/slosh.js",
        "this.#failures = 0;\nthis.#place = answer.next;",
        "this.#place = answer.next;",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        'if (this.#state.name !== "live") this.#tell({ name: "live" });',
        'this.#tell({ name: "live" });',
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        "const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);",
        "const pause = FIRST_PAUSE;",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        "this.#place = answer.next;",
        "",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        "since = answer.next;",
        "",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
    row(
        "web/view/slosh.js",
        "const retryIn = Math.max(Math.round(pause * (0.5 + Math.random() / 2)), error.retryAfter ?? 0);",
        "const retryIn = Math.round(pause * (0.5 + Math.random() / 2));",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        'const path = encodeURIComponent(topic).replaceAll("%2F", "/").replaceAll("%2C", ",");',
        "const path = encodeURIComponent(topic);",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/view/slosh.js",
        "if (hold > 0 && answer.timeout && held < SHORTEST_HOLD) await sleep(SHORTEST_HOLD - held, signal);",
        "",
        "web/test_scripts.py::test_a_long_poll_that_is_not_held_is_not_asked_in_a_tight_loop",
    ),
    row(
        "web/view/slosh.js",
        "const some = answer.topics && Object.keys(answer.topics).length > 0;",
        "const some = answer.topics;",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/view/slosh.js",
        "if (value !== undefined) target.searchParams.set(name, value);",
        "target.searchParams.set(name, value);",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
    row(
        "web/view/slosh.js",
        "hold = wait;",
        "",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
)
