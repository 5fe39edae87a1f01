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
 * 4. How answers travel is a transport's business alone (see `longPoll`, `stream`), how a page follows is the same for all.
 * 5. A mistake of the caller is an error at once, and its text says what to write instead.
 *
 * Several topics, or a pattern: `follow("kitchen,cellar", …)`, `follow("house/*", …)`. An answer is then
 * `{topics: {kitchen: {res, saw, lost, …}}, next}`, with the topics that have something to say.
 *
 * A browser opens at most six connections to one host over HTTP/1.1, counted over all its tabs, and each `follow` holds
 * one of them. So a tab that stays hidden gives its connection back and goes on from its place when it is looked at
 * (state `resting`); two hidden ones may keep theirs. Follow few topics from one page.
 */

/** Seconds that a request is held; most proxies cut a silent connection after 60. */
const WAIT = 25;
/** Seconds beyond `wait` after which a connection without an answer is dead, as after a change of network. */
const PATIENCE = 15;
/** The pause before the first retry, and the longest one, in milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
/** A request that is answered "nothing came" sooner than this was not held: the next one waits for the rest of this
 *  time, in milliseconds. */
const SHORTEST_HOLD = 1000;

/** A stream without a byte for so many milliseconds is cut or buffered: the server sends a heartbeat each 15 s. */
const QUIET = 20_000;
/** Milliseconds until a hidden tab rests; so many need not. */
const HIDDEN = 5000;
const KEEPING = 2;
const SLOW = 5000;
const CROWDED =
  "no answer yet; a browser opens six connections to one host over HTTP/1.1, and other tabs may hold them all: close one";

/** Where the topics are: beside the folder this file came from, so that a proxy's `/prefix/` is found too. */
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
 * @property {boolean} [truncated]  not all of the window that `since` asked for is kept any more
 * @property {boolean} [ended]    the topic has ended; these are its last messages
 * @property {number[]} [times]   with the option `times`: when each of `res` arrived, Unix milliseconds by the server's clock
 * @property {number} [date]      when the server answered, likewise, to the second; where the response told it
 * @property {Object<string, Answer>} [topics]  where several are followed: the answer of each that has one, by its name;
 *   of the other fields only `next` and `timeout` are there then
 */

/**
 * What the connection is doing.
 * @typedef {object} State
 * @property {"connecting"|"live"|"waiting"|"offline"|"resting"|"failed"|"ended"|"closed"} name
 *   connecting: a request is under way. waiting: the server answered that it cannot now. offline: it cannot be reached.
 *   resting: the tab is hidden; the connection goes on when it is shown. ended: the topic has ended.
 *   failed: the server refused for good. closed: `close()` was called.
 * @property {string} [reason]   why, in words
 * @property {number} [retryIn]  milliseconds to the next try; with waiting and offline
 */

/** A refusal of the server: its problem details, or the plain status. */
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
 * @param {boolean} [options.times]  tell with each message when it arrived, by the server's clock
 * @param {(answer: Answer) => void} [options.onAnswer]  called with each answer that has something to say
 * @param {(state: State) => void} [options.onState]     called each time the state changes
 * @param {AbortSignal} [options.signal]
 * @param {string} [options.server]  the server's address; default: the one this file came from
 * @param {number} [options.wait]    how long one request is held, in seconds
 * @param {Transport} [options.transport]  default: `stream` for a pattern, because nothing watches one between two polls,
 *   else `longPoll`. Where no stream comes through, polls take its place.
 * @param {"rest"|"keep"} [options.whenHidden]  `keep`: hold the connection in a hidden tab too
 * @returns {Following}
 * @throws {TypeError} an argument makes no sense
 */
export function follow(topic, options = {}) {
  checkTopic(topic, "follow");
  checkOptions(options);
  return new Following(topic, options);
}

const TAKEN = ["since", "limit", "every", "key", "times", "onAnswer", "onState", "signal", "server", "wait", "transport", "whenHidden"];
const FUNCTIONS = ["onAnswer", "onState", "transport"];

function checkTopic(topic, caller) {
  if (typeof topic === "string" && topic) return;
  throw new TypeError(`${caller} needs a topic's name, not ${shown(topic)}: ${caller}("kitchen", …)`);
}

function checkOptions(options) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`follow takes its options as an object, not ${shown(options)}: follow("kitchen", { onAnswer: ({ res }) => … })`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!TAKEN.includes(name)) throw new TypeError(`follow has no option ${shown(name)}; it takes ${TAKEN.join(", ")}`);
    if (value !== undefined && FUNCTIONS.includes(name) && typeof value !== "function") {
      throw new TypeError(`${name} is to be a function, not ${shown(value)}`);
    }
  }
  if (options.whenHidden && !["rest", "keep"].includes(options.whenHidden)) {
    throw new TypeError(`whenHidden is "rest" or "keep", not ${shown(options.whenHidden)}`);
  }
  if (options.wait !== undefined && !(options.wait > 0)) throw new TypeError(`wait is a number of seconds above 0, not ${shown(options.wait)}`);
  topicURL("t", options.server);
}

const shown = (value) => (typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value)).slice(0, 100));

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
 * @throws {TypeError}  the server cannot be reached, or an argument makes no sense; the message says which
 */
export async function publish(topic, value, { idempotencyKey, signal, server } = {}) {
  checkTopic(topic, "publish");
  const body = JSON.stringify(value);
  if (body === undefined) throw new TypeError(`only a JSON value can be published, not ${shown(value)}; send null for nothing`);
  const headers = { "Content-Type": "application/json" };
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const url = topicURL(topic, server);
  const response = await fetch(url, { method: "POST", body, headers, signal, cache: "no-store" }).catch(async (error) => {
    throw signal?.aborted ? error : new TypeError(await reasonOf(error, url), { cause: error });
  });
  if (response.ok) return { taken: true, ...(await response.json()) };
  const refusal = await refusalOf(response);
  if (refusal.code === "no_watchers") return { taken: false, code: "no_watchers" };
  throw refusal;
}

/** A topic being followed; made by `follow`. */
export class Following {
  #options;
  #closing = new AbortController();
  #attempt = new AbortController();
  #state = { name: "connecting" };
  #place;
  #failures = 0;
  #transport;
  #rests = false;
  #endPause = () => {};

  constructor(topic, options) {
    this.topic = topic;
    this.#options = options;
    this.#place = String(options.since ?? "now");
    this.#transport = options.transport ?? (topic.includes("*") ? stream : longPoll);
    if (options.signal?.aborted) this.close();
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
    // The browser knows first that the network is back, or that the page left its cache.
    for (const event of ["online", "pageshow"]) {
      globalThis.addEventListener?.(event, () => this.retry(), { signal: this.#closing.signal });
    }
    if (options.whenHidden !== "keep" && sharesConnections(topicURL(topic, options.server))) this.#watchVisibility();
    // Handlers are called after `follow` has returned, so that they may use what it returned.
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
    this.#attempt.abort();
    if (!["failed", "ended"].includes(this.#state.name)) this.#tell({ name: "closed" });
  }

  /** Ask now instead of after the pause. */
  retry() {
    this.#endPause();
  }

  async #run() {
    const closed = this.#closing.signal;
    while (!closed.aborted) {
      this.#attempt = new AbortController();
      if (this.#rests) await this.#rest(closed);
      else await this.#connect(this.#attempt.signal);
    }
  }

  /** Take what comes until the connection ends. */
  async #connect(signal) {
    const { limit, every, key, times, server, wait = WAIT } = this.#options;
    const url = topicURL(this.topic, server);
    const query = { limit, every, key, times: times ? "" : undefined };
    const transport = this.#transport;
    const connected = performance.now();
    this.#tell({ name: "connecting" });
    const slow = setTimeout(() => this.#state.name === "connecting" && this.#tell({ name: "connecting", reason: CROWDED }), SLOW);
    try {
      for await (const answer of transport({ url, since: this.#place, query, wait, signal })) {
        clearTimeout(slow);
        this.#take(answer);
        if (signal.aborted) return;
      }
      await sleep(SHORTEST_HOLD - (performance.now() - connected), signal);
    } catch (error) {
      if (signal.aborted) return;
      const isRefusal = error instanceof SloshError;
      if (transport === stream && (error instanceof Silent || (isRefusal && !error.passing))) {
        this.#transport = longPoll;
        return;
      }
      if (isRefusal && !error.passing) return this.#stop({ name: "failed", reason: error.message });
      await this.#pauseAfter(error, url, signal);
    } finally {
      clearTimeout(slow);
    }
  }

  #stop(state) {
    this.#tell(state);
    this.close();
  }

  #watchVisibility() {
    let hiding;
    let release = () => {};
    const look = () => {
      clearTimeout(hiding);
      if (document.hidden) {
        hiding = setTimeout(async () => {
          const keeps = await keepSlot((done) => (release = done));
          if (!document.hidden) return release();
          if (keeps) return;
          this.#rests = true;
          this.#attempt.abort();
        }, HIDDEN);
      } else {
        release();
        if (this.#rests) this.#attempt.abort();
        this.#rests = false;
      }
    };
    document.addEventListener("visibilitychange", look, { signal: this.#closing.signal });
    this.#closing.signal.addEventListener("abort", () => (clearTimeout(hiding), release()));
    look();
  }

  async #rest(closed) {
    this.#tell({ name: "resting", reason: "this tab is hidden; when it is shown, it goes on from its place" });
    const { signal } = this.#attempt;
    if (!closed.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }

  #take(answer) {
    this.#failures = 0;
    this.#place = answer.next;
    if (this.#state.name !== "live") this.#tell({ name: "live" });
    const some = answer.topics && Object.keys(answer.topics).length > 0;
    if (some || answer.saw > 0 || answer.reset || answer.lost || answer.truncated || answer.ended) this.#call(this.#options.onAnswer, answer);
    if (answer.ended) this.#stop({ name: "ended", reason: "the topic has ended" });
  }

  async #pauseAfter(error, url, signal) {
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures++);
    const retryIn = Math.max(Math.round(pause * (0.5 + Math.random() / 2)), error.retryAfter ?? 0);
    const name = error instanceof SloshError ? "waiting" : "offline";
    const reason = await reasonOf(error, url);
    if (signal.aborted) return;
    this.#tell({ name, reason, retryIn });
    await sleep(retryIn, signal, (end) => (this.#endPause = end));
    this.#endPause = () => {};
  }

  #tell(state) {
    this.#state = state;
    this.#call(this.#options.onState, state);
  }

  /** Report a mistake in the page's handler, and go on following. */
  #call(handler, argument) {
    try {
      handler?.(argument);
    } catch (error) {
      globalThis.reportError ? reportError(error) : console.error(error);
    }
  }
}

/**
 * A transport connects once and yields answers, each with its `next`: the first as soon as the server is there, be it
 * empty. It returns when the server ends the connection and throws when it fails; `follow` then calls it again.
 * @callback Transport
 * @param {{url: URL, since: string, query: object, wait: number, signal: AbortSignal}} request
 * @returns {AsyncIterable<Answer>}
 */

/** The long-poll transport. @type {Transport} */
export async function* longPoll({ url, since, query, wait, signal }) {
  // The first request is not held. It gives a place at once, so that nothing can pass unseen before the next one.
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

/** Nothing comes through a stream. */
class Silent extends Error {}
const silent = () => new Silent("nothing comes through");
const overdue = () => new DOMException("the server did not answer in time", "TimeoutError");

/** The stream transport: envelopes, one a line, for as long as the connection lasts. @type {Transport} */
export async function* stream({ url, since, query, signal }) {
  const request = new AbortController();
  const { watch, done } = giveUp(request, signal);
  let some = false;
  try {
    watch(QUIET, silent);
    const response = await get(url, { since, ...query, format: "ndjson" }, request.signal);
    yield { saw: 0, delivering: 0, res: [], next: response.headers.get("Slosh-Next") ?? since, date: dateOf(response) };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let line = "";
    for (;;) {
      // Nothing at all: a proxy buffers.
      watch(QUIET, some ? overdue : silent);
      const { value, done: isOver } = await reader.read();
      if (isOver) return;
      some = true;
      const parts = value.split("\n");
      parts[0] = line + parts[0];
      line = parts.pop();
      for (const part of parts) if (part.trim()) yield JSON.parse(part);
    }
  } finally {
    done();
    request.abort();
  }
}

/** One GET that is answered once. Gives up when `signal` aborts or the answer is overdue. */
async function ask(url, query, signal) {
  const request = new AbortController();
  const { watch, done } = giveUp(request, signal);
  try {
    watch((query.wait + PATIENCE) * 1000, overdue);
    const response = await get(url, query, request.signal);
    return { ...(await response.json()), date: dateOf(response) };
  } finally {
    done();
  }
}

/** Abort `request` when `signal` does, or with `reason()` when `watch(ms, reason)` was called and nothing since. */
function giveUp(request, signal) {
  let timer;
  const abort = () => request.abort(signal.reason);
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  return {
    watch(ms, reason) {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(reason()), ms);
    },
    done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    },
  };
}

async function get(url, query, signal) {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) target.searchParams.set(name, value);
  }
  const response = await fetch(target, { signal, cache: "no-store" });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

const dateOf = (response) => Date.parse(response.headers.get("Date")) || undefined;

/** Whether other tabs may need this connection: HTTP/2 and later have one for all. */
function sharesConnections(url) {
  if (!globalThis.document?.addEventListener) return false;
  const [page] = performance.getEntriesByType?.("navigation") ?? [];
  return !(url.origin === location.origin && /^h[23]/.test(page?.nextHopProtocol));
}

/** True where this hidden tab may keep its connection, until the function handed to `hold` is called. */
async function keepSlot(hold) {
  for (let slot = 0; slot < KEEPING; slot++) {
    const isMine = await new Promise((resolve) => {
      const take = (lock) => (resolve(Boolean(lock)), lock ? new Promise(hold) : undefined);
      // Only pages over HTTPS or on localhost have locks; elsewhere each hidden tab rests.
      if (!navigator.locks) resolve(false);
      else navigator.locks.request(`slosh: hidden tab ${slot}`, { ifAvailable: true }, take).catch(() => resolve(false));
    });
    if (isMine) return true;
  }
  return false;
}

function topicURL(topic, server) {
  // Commas and stars keep their meaning.
  const path = encodeURIComponent(topic).replaceAll("%2F", "/").replaceAll("%2C", ",");
  return new URL(`topics/${path}`, baseOf(server));
}

function baseOf(server) {
  const text = server === undefined ? HOME : String(server);
  if (!/^https?:\/\/[^/]/i.test(text) || !URL.canParse(text)) {
    if (server === undefined) throw new TypeError('slosh.js came from no server; write server: "http://localhost:8000"');
    const guess = /^[\w.-]+(:\d+)?(\/|$)/.test(text) ? `http://${text}` : "http://localhost:8000";
    throw new TypeError(`server is no address with http:// or https://: ${shown(text)}; write ${shown(guess)}`);
  }
  const url = new URL(text);
  // Not repeated, because it holds a password.
  if (url.username || url.password) throw new TypeError("server holds a user name or password; write the address without them");
  return `${url.origin}${url.pathname.replace(/\/*$/, "/")}`;
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => ({}));
  const after = response.headers.get("Retry-After");
  // Seconds or a date (RFC 9110 §10.2.3).
  const ms = Number(after) * 1000 || Date.parse(after) - Date.now();
  return new SloshError(response.status, problem ?? {}, ms > 0 ? ms : 0);
}

async function reasonOf(error, url) {
  if (error instanceof SloshError || error.name === "TimeoutError") return error.message;
  if (error instanceof SyntaxError) return "the answer was cut short";
  const page = globalThis.location;
  if (!page || page.origin === url.origin) return "the server cannot be reached";
  // The browser does not say why. A request whose answer may not be read shows whether a server is there.
  const health = new URL("-/healthy", url.href.slice(0, url.href.indexOf("/topics/") + 1));
  const isThere = await fetch(health, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(3000) }).then(() => true, () => false);
  if (!isThere) return `${url.origin} cannot be reached`;
  return `${url.origin} answers, but does not allow pages of ${page.origin} to read it; start it with --origins ${page.origin}`;
}

/** Resolves after `ms`, when `signal` aborts, or when the function handed to `early` is called. */
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
