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
        "const range = high - low > size * 2e-15 ? high - low : size;",
        "const range = high - low;",
        "web/test_scripts.py::test_an_axis_begins_at_nothing_where_that_is_near[5-5-expected6]",
    ),
    row(
        "web/view/numbers.js",
        'export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;',
        'export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;',
        "web/test_scripts.py::test_a_long_text_is_clipped_and_says_how_long_it_was",
    ),
    row(
        "web/static/slosh/wire.js",
        "return this.status >= 500 || [408, 425, 429].includes(this.status);",
        "return this.status >= 500;",
        "web/test_scripts.py::test_which_refusals_may_pass",
    ),
    row(
        "web/static/slosh.js",
        'if (["no_watchers", "ended"].includes(error.code)) return { taken: false, code: error.code };',
        "",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/static/slosh.js",
        "const key = options.idempotencyKey ?? (retries > 0 ? `${Date.now()}-${Math.random()}` : undefined);",
        "const key = undefined;",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/static/slosh.js",
        "this.#failures = 0;",
        "",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh.js",
        'if (this.#state.name !== "live" && !answer.joining) this.#tell({ name: "live" });',
        'this.#tell({ name: "live" });',
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh.js",
        "const pause = Math.min(LONGEST_PAUSE, (error.isSoon ? SHORTEST_PAUSE : FIRST_PAUSE) * 2 ** failures);",
        "const pause = FIRST_PAUSE;",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh.js",
        "if (answer.next) [this.#place, this.#hasPlace] = [answer.next, true];",
        "",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh/wire.js",
        "since = answer.next;",
        "",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
    row(
        "web/static/slosh.js",
        "return Math.max(Math.round(pause * (0.5 + Math.random() / 2)), error.retryAfter ?? 0);",
        "return Math.round(pause * (0.5 + Math.random() / 2));",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh/wire.js",
        'const path = encodeURIComponent(topic).replaceAll("%2F", "/").replaceAll("%2C", ",");',
        "const path = encodeURIComponent(topic);",
        "web/test_scripts.py::test_a_message_that_nobody_watches_is_no_error_and_any_other_refusal_is_one",
    ),
    row(
        "web/static/slosh/wire.js",
        "if (hold > 0 && answer.timeout && held < SHORTEST_HOLD) await sleep(SHORTEST_HOLD - held, signal);",
        "",
        "web/test_scripts.py::test_a_long_poll_that_is_not_held_is_not_asked_in_a_tight_loop",
    ),
    row(
        "web/static/slosh.js",
        "const some = answer.topics && Object.keys(answer.topics).length > 0;",
        "const some = answer.topics;",
        "web/test_scripts.py::test_a_client_that_follows_goes_on_from_its_place_after_a_failure_and_waits_longer_each_time",
    ),
    row(
        "web/static/slosh/wire.js",
        "if (value !== undefined) target.searchParams.set(name, value);",
        "target.searchParams.set(name, value);",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
    row(
        "web/static/slosh/wire.js",
        "hold = wait;",
        "",
        "web/test_scripts.py::test_a_long_poll_asks_at_once_for_its_place_and_is_held_from_then_on",
    ),
    row(
        "web/static/slosh/wire.js",
        'if (retries > 1) throw new SloshError(503, { detail: "the server is shutting down" }, retry < SHORTEST_HOLD ? retry : undefined);',
        "",
        "e2e/test_client.py::test_a_server_that_shuts_down_says_so_and_another_is_asked_soon",
    ),
    row(
        "web/static/slosh/wire.js",
        "const lines = (rest + value).split(/\\r\\n|\\n|\\r(?!$)/);",
        "const lines = (rest + value).split(/\\n/);",
        "client/test_javascript.py::test_a_script[lines may end as they like]",
    ),
    row(
        "web/static/slosh/wire.js",
        "rest = lines.pop();",
        "lines.pop();",
        "client/test_javascript.py::test_a_stream_is_the_same_in_whatever_pieces_it_comes",
    ),
    row(
        "web/static/slosh/tabs.js",
        "const known = ahead - gone;",
        "const known = 0;",
        "client/test_javascript.py::test_who_shares_a_connection_takes_what_is_new_to_it_and_asks_for_what_is_missing",
    ),
    row(
        "web/static/slosh/tabs.js",
        "if (ahead < 0 || part.conflated) return null;",
        "if (part.conflated) return null;",
        "client/test_javascript.py::test_who_shares_a_connection_takes_what_is_new_to_it_and_asks_for_what_is_missing",
    ),
    row(
        "web/static/slosh/tabs.js",
        'const live = () => (this.#tellWants(), new Promise((resolve) => signal.addEventListener("abort", resolve)));',
        'const live = () => new Promise((resolve) => signal.addEventListener("abort", resolve));',
        "e2e/test_shared.py::test_a_tab_whose_lock_comes_late_is_not_taken_for_gone",
    ),
    row(
        "web/static/slosh/tabs.js",
        "if (!this.names.every((name) => next.names.includes(name))) continue;",
        "if (this.isBehind) continue;",
        "client/test_javascript.py::test_who_shares_a_connection_is_live_when_its_topics_are_on_it",
    ),
    row(
        "web/view/save.js",
        "nth = time === before ? nth + 1 : 0;",
        "nth = 0;",
        "web/test_scripts.py::test_what_is_saved_is_a_table_by_time",
    ),
    row(
        "web/static/slosh/tabs.js",
        "const mine = Object.create(null);",
        "const mine = {};",
        "e2e/test_strange.py::test_a_topic_named_like_something_of_the_language_is_a_topic[__proto__]",
    ),
    row(
        "web/static/slosh/tabs.js",
        'if (typeof token !== "function") return token;',
        "return String(token);",
        "e2e/test_strange.py::test_tokens_of_two_functions_that_look_alike_are_two_tokens",
    ),
    row(
        "web/view/series.js",
        "this.base = base;",
        "",
        "web/test_scripts.py::test_a_view_that_moves_on_for_long_keeps_what_it_draws_and_no_more",
    ),
    row(
        "web/view/series.js",
        "if (this.#moments?.row > row) this.#moments = undefined;",
        "",
        "web/test_scripts.py::test_what_is_kept_of_points_for_the_next_drawing_is_what_all_of_them_tell",
    ),
    row(
        "web/view/tracks.js",
        "else if (found.length && found.at(-1)) found.push(null);",
        "",
        "e2e/test_view_options.py::test_longitude_and_latitude_are_a_path_that_breaks_where_something_is_missing",
    ),
    row(
        "web/view/paths.js",
        "const plan = planOf(all.flat().filter(Boolean), width, height);",
        "const plan = undefined;",
        "e2e/test_view_options.py::test_longitude_and_latitude_are_a_path_that_breaks_where_something_is_missing",
    ),
    row(
        "web/view/again.js",
        "setTimeout(() => location.reload(), FIRST * 2 ** tries);",
        "",
        "e2e/test_view.py::test_a_script_that_did_not_come_is_asked_for_again[kitchen-view.js]",
    ),
)
