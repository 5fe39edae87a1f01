/**
 * The slosh client for browsers: follow a topic, publish to a topic.
 *
 *     import { follow, publish } from "/-/slosh.js";
 *
 *     const following = follow("kitchen", {
 *       since: "-50",                                      // the last 50, then everything new
 *       onAnswer: ({ res, lost, reset }) => draw(res),
 *       onState: ({ name, reason }) => show(name, reason),
 *     });
 *     …
 *     following.close();
 *
 *     const { taken } = await publish("kitchen", { t: 21.5 });   // taken is false where nobody watches
 *
 * The rules this file keeps:
 *
 * 1. The page holds its place. Each answer brings `next`, and the next request asks from there, so an answer that
 *    was lost on the way is asked for again. The cookie is never used: two tabs never share a place.
 * 2. Nothing is lost silently. The page gets the whole answer: `saw`, `delivering`, `lost`, `conflated`, `reset`.
 * 3. A dropped connection is not an end. The client says so, waits (longer each time, and never exactly as long as
 *    other clients do), asks again from its place, and says when it is back.
 * 4. How answers travel is a transport's business alone (see `longPoll`), how a page follows is the same for all.
 *
 * Several topics, or a pattern: `follow("kitchen,cellar", …)`, `follow("house/*", …)`. An answer is then
 * `{topics: {kitchen: {res, saw, lost, …}}, next}`, with the topics that have something to say.
 *
 * A browser opens at most six connections to one host over HTTP/1.1, and each topic that is followed holds one of
 * them, counted over all tabs. Follow few topics from one page.
 *
 * No dependencies, no build step. Numbers pass through `JSON.parse`: what a double cannot hold is rounded.
 */

/** How long a request is held before the server answers that nothing came, in seconds. Shorter than the 60 s after
 *  which most proxies cut a silent connection. */
const WAIT = 25;
/** How much longer than `wait` an answer may take before the connection is given up as dead, in seconds. Without
 *  it, a laptop that changed its network would wait for ever on a connection that nobody holds any more. */
const PATIENCE = 15;
/** The pause before the first retry, and the longest one, in milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
/** A held request that is answered "nothing came" sooner than this was not held (the server is going, or its
 *  longest wait is tiny): wait for the rest of this time, in milliseconds, instead of asking in a tight loop. */
const SHORTEST_HOLD = 1000;

/** Where the topics are: beside the folder this file came from, so `/-/slosh.js` means `/topics/`, and a server
 *  behind a proxy's `/prefix/` is found too. Another server: the option `server`, its address. */
const HOME = new URL("../", import.meta.url).href;

/**
 * One answer of the server (PROTOCOL, "GET /topics/<name>").
 * @typedef {object} Answer
 * @property {number} max         offset of the newest message in the topic
 * @property {number} saw         messages since this client's place
 * @property {number} delivering  length of `res`
 * @property {any[]} res          the messages, oldest first
 * @property {string} next        the place to ask from next time
 * @property {number} [lost]      messages that are gone for good: the topic keeps a bounded number
 * @property {number} [conflated] messages left out because `key` or `limit` asked for it
 * @property {boolean} [reset]    the topic began anew since the last answer; what was before is not known
 * @property {boolean} [timeout]  nothing came in the time asked for
 * @property {Object<string, Answer>} [topics]  where several are followed: the answer of each that has one, by its name;
 *   of the other fields only `next` and `timeout` are there then
 */

/**
 * What the connection is doing.
 * @typedef {object} State
 * @property {"connecting"|"live"|"waiting"|"offline"|"failed"|"closed"} name
 *   connecting: the first request (or a retry) is under way. live: the server answers.
 *   waiting: the server answered that it cannot now. offline: the server cannot be reached.
 *   failed: the server refused for good; asking again would not help. closed: `close()` was called.
 * @property {string} [reason]   why, as a sentence; with waiting, offline and failed
 * @property {number} [retryIn]  milliseconds to the next try; with waiting and offline
 */

/** What the server said no to: its problem details, or the plain status where there were none. */
export class SloshError extends Error {
  /** @param {number} status @param {{code?: string, title?: string, detail?: string}} problem */
  constructor(status, problem, retryAfter = 0) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.name = "SloshError";
    this.status = status;
    this.code = problem.code ?? "";
    /** How long the server asks to be left alone, in milliseconds; 0 where it did not say. */
    this.retryAfter = retryAfter;
  }

  /** True where the same request may succeed later. */
  get passing() {
    return this.status >= 500 || [408, 425, 429].includes(this.status);
  }
}

/**
 * Follow a topic until `close()` is called or `signal` is aborted.
 *
 * @param {string} topic  its name, `kitchen` or `house/kitchen`, not percent-encoded; or a pattern, or several with commas
 * @param {object} [options]
 * @param {string} [options.since]   where to start: `now` (default), `earliest`, `-50`, `90s`, or a place kept from before
 * @param {number} [options.limit]   at most this many, the newest, in one answer
 * @param {string} [options.every]   gather this long before an answer: `250ms`, `1s`
 * @param {string} [options.key]     a path into the message: only the newest of each key
 * @param {(answer: Answer) => void} [options.onAnswer]  called with each answer that has something to say
 * @param {(state: State) => void} [options.onState]     called each time the state changes
 * @param {AbortSignal} [options.signal]
 * @param {string} [options.server]  the server's address; default: the one this file came from
 * @param {number} [options.wait]    how long one request is held, in seconds
 * @param {Transport} [options.transport]  default: `longPoll`
 * @returns {Following}
 */
export function follow(topic, options = {}) {
  return new Following(topic, options);
}

/**
 * Publish one JSON value to a topic.
 *
 * @param {string} topic
 * @param {any} value  anything that `JSON.stringify` takes
 * @param {object} [options]
 * @param {string} [options.idempotencyKey]  the same key within five minutes is stored once: send it with each try
 * @param {AbortSignal} [options.signal]
 * @param {string} [options.server]
 * @returns {Promise<{taken: true, max: number, next: string, watchers: number} | {taken: false, code: "no_watchers"}>}
 *   `taken: false` is no error: nobody watches the topic, so nothing was kept and a producer may rest.
 * @throws {SloshError} the server refused
 * @throws {TypeError}  the server cannot be reached, or the value is not JSON
 */
export async function publish(topic, value, { idempotencyKey, signal, server } = {}) {
  const body = JSON.stringify(value);
  if (body === undefined) throw new TypeError("only a JSON value can be published");
  const headers = { "Content-Type": "application/json" };
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const response = await fetch(topicURL(topic, server), { method: "POST", body, headers, signal, cache: "no-store" });
  if (response.ok) return { taken: true, ...(await response.json()) };
  const refusal = await refusalOf(response);
  if (refusal.code === "no_watchers") return { taken: false, code: "no_watchers" };
  throw refusal;
}

/** A topic being followed; made by `follow`. */
export class Following {
  #options;
  #closing = new AbortController();
  #state = { name: "connecting" };
  #place;
  #failures = 0;
  #endPause = () => {};

  constructor(topic, options) {
    this.topic = topic;
    this.#options = options;
    this.#place = String(options.since ?? "now");
    if (options.signal?.aborted) this.close();
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
    // The browser knows before any timer does that the network is back, or that the page left its cache.
    for (const event of ["online", "pageshow"]) {
      globalThis.addEventListener?.(event, () => this.retry(), { signal: this.#closing.signal });
    }
    // The first word to the page comes after `follow` has returned, so that a handler may use what it returned.
    queueMicrotask(() => this.#run());
  }

  /** The place to ask from next: give it as `since` to go on from here, in another page or another day. */
  get place() {
    return this.#place;
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** Stop following. The held request is ended, so the server knows at once. */
  close() {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    if (this.#state.name !== "failed") this.#tell({ name: "closed" });
  }

  /** Ask now instead of after the pause; without effect unless waiting or offline. */
  retry() {
    this.#endPause();
  }

  async #run() {
    const signal = this.#closing.signal;
    const { limit, every, key, server, wait = WAIT, transport = longPoll } = this.#options;
    while (!signal.aborted) {
      this.#tell({ name: "connecting" });
      try {
        const url = topicURL(this.topic, server);
        for await (const answer of transport({ url, since: this.#place, query: { limit, every, key }, wait, signal })) {
          this.#take(answer);
          if (signal.aborted) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SloshError && !error.passing) {
          this.#tell({ name: "failed", reason: error.message });
          return this.close();
        }
        await this.#pauseAfter(error, signal);
      }
    }
  }

  #take(answer) {
    this.#failures = 0;
    this.#place = answer.next;
    if (this.#state.name !== "live") this.#tell({ name: "live" });
    const some = answer.topics && Object.keys(answer.topics).length > 0;
    if (some || answer.saw > 0 || answer.reset || answer.lost) this.#call(this.#options.onAnswer, answer);
  }

  async #pauseAfter(error, signal) {
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);
    const retryIn = Math.max(Math.round(pause * (0.5 + Math.random() / 2)), error.retryAfter ?? 0);
    const name = error instanceof SloshError ? "waiting" : "offline";
    this.#tell({ name, reason: reasonOf(error), retryIn });
    await sleep(retryIn, signal, (end) => (this.#endPause = end));
    this.#endPause = () => {};
  }

  #tell(state) {
    this.#state = state;
    this.#call(this.#options.onState, state);
  }

  /** A mistake in the page's handler is the page's: report it, and go on following. */
  #call(handler, argument) {
    try {
      handler?.(argument);
    } catch (error) {
      globalThis.reportError ? reportError(error) : console.error(error);
    }
  }
}

/**
 * A transport brings answers: it connects once, yields the first answer as soon as the server is known to be there
 * (empty, where there is nothing to say), then each further one, in order and each with its `next`. It throws when the
 * connection fails; `follow` then calls it anew with the last place. Streams (Server-Sent Events, WebSocket) are
 * further functions of this form.
 * @callback Transport
 * @param {{url: URL, since: string, query: object, wait: number, signal: AbortSignal}} request
 * @returns {AsyncIterable<Answer>}
 */

/** The long-poll transport. @type {Transport} */
export async function* longPoll({ url, since, query, wait, signal }) {
  // The first request is not held. It tells at once that the server is there, and gives a place of our own, so that
  // nothing published between it and the next request can pass unseen.
  let hold = 0;
  for (;;) {
    const asked = performance.now();
    const answer = await ask(url, { since, wait: hold, ...query }, signal);
    yield answer;
    since = answer.next;
    const held = performance.now() - asked;
    if (hold > 0 && answer.timeout && held < SHORTEST_HOLD) await sleep(SHORTEST_HOLD - held, signal);
    hold = wait;
  }
}

/** One GET. Gives up when `signal` aborts or the answer is overdue. */
async function ask(url, query, signal) {
  const request = new AbortController();
  const abort = () => request.abort(signal.reason);
  const overdue = setTimeout(
    () => request.abort(new DOMException("the server did not answer in time", "TimeoutError")),
    (query.wait + PATIENCE) * 1000,
  );
  signal.addEventListener("abort", abort);
  try {
    const target = new URL(url);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) target.searchParams.set(name, value);
    }
    const response = await fetch(target, { signal: request.signal, cache: "no-store" });
    if (!response.ok) throw await refusalOf(response);
    return await response.json();
  } finally {
    clearTimeout(overdue);
    signal.removeEventListener("abort", abort);
  }
}

function topicURL(topic, server) {
  // No name has a comma or a star of its own, so those keep their meaning; what else is special is encoded.
  const path = encodeURIComponent(topic).replaceAll("%2F", "/").replaceAll("%2C", ",");
  return new URL(`topics/${path}`, server ? server.replace(/\/*$/, "/") : HOME);
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  return new SloshError(response.status, problem ?? {}, seconds * 1000);
}

function reasonOf(error) {
  if (error instanceof SloshError || error.name === "TimeoutError") return error.message;
  if (error instanceof SyntaxError) return "the answer was cut short";
  return "the server cannot be reached";
}

/** Resolves after `ms`, or when `signal` aborts, or when the function handed to `early` is called. */
function sleep(ms, signal, early = () => {}) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    early(end);
    if (signal.aborted) end();
  });
}
