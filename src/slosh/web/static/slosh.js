/**
 * The slosh client for JavaScript: watch topics, publish to them. How to call it, with all options: slosh.d.ts.
 *
 *     import { watch, publish } from "/-/slosh.js";
 *
 *     for await (const { message, topic, time, lost } of watch("kitchen", { since: "-50" })) draw(message);
 *     const { taken } = await publish("kitchen", { t: 21.5 });   // taken is false where nobody watches
 *
 * The rules of this file:
 *
 * 1. The page holds its place. Each answer brings `next`, and the next request asks from there, so an answer that was
 *    lost on the way is asked for again. The cookie is never used: two tabs never share a place.
 * 2. Nothing is lost silently: each message says how many are missing before it.
 * 3. A dropped connection is not an end. The client says so, waits (longer each time, and never exactly as long as
 *    other clients do), asks again from its place, and says when it is back.
 * 4. How answers travel is a transport's business alone; how a page follows is the same for all.
 * 5. A mistake of the caller is an error at once, and its text says what to write instead.
 *
 * A browser opens at most six connections to one host over HTTP/1.1, counted over all its tabs. With `shared: true` all
 * topics of all tabs have one. Without it a tab that stays hidden gives its connection back and goes on from its place.
 */

import { fieldsOf, longPoll, offsetOf, places, reasonOf, refusalOf, SHORTEST_HOLD, shown, Silent, sleep, SloshError, stream, topicURL } from "./slosh/wire.js";

export { longPoll, SloshError, stream };

/** Seconds that a poll is held; most proxies cut a silent connection after 60. */
const WAIT = 25;
/** The pause before the first retry, and the longest one, in milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 20_000;
/** The first one where the server asks for a shorter one or none, because the next server is there already. */
const SHORTEST_PAUSE = 50;
/** Milliseconds by which one request may reach the server sooner than another. */
const LEEWAY = 1000;
/** What a hidden tab gathers for, where it asks for less. */
const LESS = "5s";
const SLOW = 5000;
const CROWDED =
  "no answer yet; a browser opens six connections to one host over HTTP/1.1, and other tabs may hold them all: close one";

const HANDLERS = ["onAnswer", "onState", "onMessage"];
const CONNECTION = ["signal", "server", "token", "headers"];
const OPTIONS = ["since", "limit", "every", "key", "times", "wait", "patience", "transport", "whenHidden", "shared", ...CONNECTION];
const PUBLISHING = ["idempotencyKey", "retries", "open", "end", ...CONNECTION];

function checkOptions(options, name, known) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${name} takes its options as an object, not ${shown(options)}: { ${known.slice(0, 2).join(", ")}, … }`);
  }
  for (const each in options) {
    if (!known.includes(each)) throw new TypeError(`${name} has no option "${each}"; it takes ${known.join(", ")}`);
  }
  for (const each of HANDLERS) {
    if (options[each] !== undefined && typeof options[each] !== "function") throw new TypeError(`${each} is to be a function, not ${shown(options[each])}`);
  }
  const { whenHidden, token, headers } = options;
  if (whenHidden !== undefined && !["rest", "less", "keep"].includes(whenHidden)) throw new TypeError(`whenHidden is "rest", "less" or "keep", not ${shown(whenHidden)}`);
  for (const each of ["wait", "patience"]) {
    if (options[each] !== undefined && !(options[each] > 0)) throw new TypeError(`${each} is a number of ${each === "wait" ? "seconds" : "milliseconds"} above 0, not ${shown(options[each])}`);
  }
  if (token !== undefined && !["string", "function"].includes(typeof token)) throw new TypeError("token is a text, or a function that gives one");
  if (headers !== undefined && Object.prototype.toString.call(headers) !== "[object Object]") throw new TypeError(`headers is an object of names and texts, not ${shown(headers)}`);
  topicURL("t", options.server);
}

function checkTopic(topic, name) {
  // A browser takes "." and ".." for steps to another folder: the request would go to another topic.
  if (typeof topic !== "string" || /^$|(^|[/,])\.\.?([/,]|$)/.test(topic)) throw new TypeError(`${name} needs a topic's name, not ${shown(topic)}: ${name}("kitchen", …)`);
  return topic;
}

/** Follow topics, answer by answer. @returns {Following} */
export function follow(topics, options = {}) {
  const topic = Array.isArray(topics) && topics.length ? topics.map((each) => checkTopic(each, "follow")).join(",") : checkTopic(topics, "follow");
  checkOptions(options, "follow", [...OPTIONS, "onAnswer", "onState"]);
  return new Following(topic, options);
}

/** Watch topics, message by message. @returns {Watching} */
export function watch(topics, options = {}) {
  checkOptions(options, "watch", [...OPTIONS, "onMessage", "onState"]);
  return new Watching(topics, options);
}

/** Publish one JSON value. Resolves with `taken: false` where nobody watches. */
export async function publish(topic, value, options = {}) {
  return post(topic, textOf(value), "application/json", options, "publish");
}

/** Publish several values, in their order and next to each other: all of them, or none. */
export async function publishBatch(topic, values, options = {}) {
  const body = Array.from(values, textOf).join("\n");
  return post(topic, body, "application/x-ndjson", options, "publishBatch");
}

/** End a topic without a message. Resolves with `taken: false` where it is not active. */
export async function end(topic, options = {}) {
  return post(topic, undefined, undefined, options, "end");
}

function textOf(value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`only a JSON value can be published, not ${shown(value)}; send null for nothing`);
  return text;
}

async function post(topic, body, type, options, name) {
  checkTopic(topic, name);
  checkOptions(options, name, PUBLISHING);
  const { signal, server, retries = 0, open, end } = options;
  // A try whose answer was lost may have been taken: with its key the next one is not stored again.
  const key = options.idempotencyKey ?? (retries > 0 ? `${Date.now()}-${Math.random()}` : undefined);
  const url = topicURL(topic, server);
  if (open) url.searchParams.set("open", "");
  if (end) url.searchParams.set("end", "");
  for (let failures = 0; ; failures++) {
    let error;
    try {
      const headers = { ...(type ? { "Content-Type": type } : {}), ...(key ? { "Idempotency-Key": key } : {}), ...(await fieldsOf(options)) };
      const response = await fetch(url, { method: type ? "POST" : "DELETE", body, headers, signal, cache: "no-store" });
      if (response.ok) return { taken: true, ...(await response.json()) };
      error = await refusalOf(response);
    } catch (failure) {
      error = failure;
    }
    if (["no_watchers", "ended"].includes(error.code)) return { taken: false, code: error.code };
    const isRefusal = error instanceof SloshError;
    if (signal?.aborted || (isRefusal && !error.passing)) throw error;
    if (failures >= retries) throw isRefusal ? error : new TypeError(await reasonOf(error, url), { cause: error });
    await sleep(pauseAfter(failures, error), signal);
    if (signal?.aborted) throw signal.reason;
  }
}

function pauseAfter(failures, error) {
  const pause = Math.min(LONGEST_PAUSE, (error.isSoon ? SHORTEST_PAUSE : FIRST_PAUSE) * 2 ** failures);
  return Math.max(Math.round(pause * (0.5 + Math.random() / 2)), error.retryAfter ?? 0);
}

/** Topics being followed; made by `follow`. */
export class Following {
  #options;
  #closing = new AbortController();
  #attempt = new AbortController();
  #state = { name: "connecting" };
  #place;
  #failures = 0;
  #stalls = 0;
  #began;
  #hasPlace = false;
  /** Where something came that is no JSON. */
  #broken;
  #transport;
  #hidden = "";
  #endPause = () => {};
  /** Whose topics have one connection: of all tabs of this browser, of this page alone, or this one's alone. */
  sharing = "none";

  constructor(topic, options) {
    this.topic = topic;
    this.#options = options;
    this.#place = String(options.since ?? "now");
    this.#transport = options.transport ?? stream;
    // Handlers are called after `follow` has returned, so that they may use what it returned.
    if (options.signal?.aborted) queueMicrotask(() => this.close());
    options.signal?.addEventListener("abort", () => this.close(), { signal: this.#closing.signal });
    // The browser knows first that the network is back, or that the page left its cache.
    for (const event of ["online", "pageshow"]) globalThis.addEventListener?.(event, () => this.retry(), { signal: this.#closing.signal });
    if (!options.shared && options.whenHidden !== "keep" && globalThis.document?.addEventListener) this.#watchVisibility();
    queueMicrotask(() => this.#run());
  }

  /** The place to ask from next: give it as `since` to go on from here, in another page or another day. */
  get place() {
    return this.#place;
  }

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
    if (this.#options.shared && !this.#options.transport && !closed.aborted) {
      // Loaded by those who want it. Where it does not come, a connection of its own is better than none.
      const tabs = await import("./slosh/tabs.js").catch(() => {});
      if (tabs) {
        this.sharing = (await tabs.canShare()) ? "browser" : "page";
        this.#transport = tabs.shared(Following, this.#options);
      }
    }
    while (!closed.aborted) {
      this.#attempt = new AbortController();
      if (this.#hidden === "rest") await this.#rest(closed);
      else await this.#connect(this.#attempt.signal);
    }
  }

  /** Take what comes until the connection ends. */
  async #connect(signal) {
    const { limit, every, key, server, wait = WAIT } = this.#options;
    const url = topicURL(this.topic, server);
    const query = { times: "", limit, every: this.#hidden === "less" ? LESS : every, key };
    const transport = this.#transport;
    const connected = performance.now();
    this.#tell({ name: "connecting" });
    const slow = setTimeout(() => this.#state.name === "connecting" && this.#tell({ name: "connecting", reason: CROWDED }), SLOW);
    try {
      const request = { url, topic: this.topic, since: this.#from(), query, wait, signal, returns: this.#hasPlace, passes: () => this.#broken === this.#place, options: this.#options };
      for await (const answer of transport(request)) {
        clearTimeout(slow);
        const work = this.#take(answer);
        if (work) await work;
        if (signal.aborted) return;
      }
      await sleep(SHORTEST_HOLD - (performance.now() - connected), signal);
    } catch (error) {
      if (signal.aborted) return;
      const isRefusal = error instanceof SloshError;
      if (error instanceof SyntaxError) this.#broken = this.#place;
      // A stream of which nothing came through, or that fell silent twice, meets a proxy that collects.
      const isBuffered = error instanceof Silent || (error.name === "TimeoutError" && performance.now() - connected < 120_000 && ++this.#stalls > 1);
      if (transport === stream && (isBuffered || (isRefusal && [405, 406, 501].includes(error.status)))) {
        this.#transport = longPoll;
        return;
      }
      if (isRefusal && !error.passing) return this.#stop({ name: "failed", reason: error.message, error });
      await this.#pauseAfter(error, url, signal);
    } finally {
      clearTimeout(slow);
    }
  }

  /** Where to ask from. While no answer told a place, `now` is the moment of the first request. */
  #from() {
    if (this.#place !== "now") return this.#place;
    if (this.#began !== undefined) return `${Math.ceil(performance.now() - this.#began) + LEEWAY}ms`;
    this.#began = performance.now();
    return "now";
  }

  #stop(state) {
    this.#tell(state);
    this.close();
  }

  #watchVisibility() {
    const { signal } = this.#closing;
    const set = (hidden) => {
      if (hidden !== this.#hidden) this.#attempt.abort();
      this.#hidden = hidden;
    };
    // Loaded by those that are hidden.
    const look = () => document.hidden && import("./slosh/hidden.js").then(({ watchHidden }) => watchHidden(set, this.#options, signal), () => {});
    document.addEventListener("visibilitychange", look, { signal });
    look();
  }

  async #rest(closed) {
    this.#tell({ name: "resting", reason: "this tab is hidden; when it is shown, it goes on from its place" });
    const { signal } = this.#attempt;
    if (!closed.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }

  #take(answer) {
    // Of a shared connection: what it does just now.
    if (answer.state) return void this.#tell(answer.state);
    this.#failures = 0;
    if (answer.next) [this.#place, this.#hasPlace] = [answer.next, true];
    if (this.#state.name !== "live" && !answer.joining) this.#tell({ name: "live" });
    if (answer.incomplete && this.#state.name === "live" && !this.#state.incomplete) this.#tell({ name: "live", incomplete: true, reason: "too many topics; some are left out" });
    if (answer.unread) this.#tell({ name: "live", reason: "a message that is no JSON was passed over" });
    const some = answer.topics && Object.keys(answer.topics).length > 0;
    let work;
    if (some || answer.saw > 0 || answer.reset || answer.lost || answer.truncated || answer.ended) work = call(this.#options.onAnswer, answer);
    if (answer.ended || answer.over) this.#stop({ name: "ended", reason: "the topic has ended" });
    return work;
  }

  async #pauseAfter(error, url, signal) {
    const retryIn = pauseAfter(this.#failures++, error);
    const name = error instanceof SloshError ? "waiting" : "offline";
    const reason = await reasonOf(error, url);
    if (signal.aborted) return;
    this.#tell({ name, reason, retryIn });
    await sleep(retryIn, signal, (end) => (this.#endPause = end));
    this.#endPause = () => {};
  }

  #tell(state) {
    this.#state = state;
    call(this.#options.onState, state);
  }
}

/** Report a mistake in the page's handler, and go on. A handler that returns a promise is waited for. */
async function call(handler, argument) {
  try {
    await handler?.(argument);
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

const NOTED = { lost: 0, reset: false, truncated: false };

/** Messages of topics being watched, for `for await` or for `onMessage`; made by `watch`. */
export class Watching {
  #following;
  #given = [];
  #place;
  #news;
  #wake = () => {};
  #taken = () => {};
  #notes = new Map();

  constructor(topics, { onMessage, onState, ...options }) {
    this.ended = [];
    this.#place = String(options.since ?? "now");
    this.#following = follow(topics, {
      ...options,
      onAnswer: (answer) => this.#take(answer, onMessage),
      onState: (state) => {
        this.#wake();
        onState?.(state);
      },
    });
  }

  /** Behind the last answer all of whose messages were given. */
  get place() {
    return this.#place;
  }

  get state() {
    return this.#following.state;
  }

  close() {
    this.#following.close();
    this.#taken();
  }

  retry() {
    this.#following.retry();
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    for (;;) {
      const { name, error } = this.state;
      if (name !== "closed" && this.#given.length) {
        const { value, place } = this.#given.shift();
        this.#place = place ?? this.#place;
        if (!this.#given.length) this.#taken();
        return { value, done: false };
      }
      if (name === "failed") throw error;
      if (["closed", "ended"].includes(name)) return { value: undefined, done: true };
      // Several may be asked for at once: all wait for the same.
      await (this.#news ??= new Promise((resolve) => (this.#wake = () => ((this.#news = undefined), resolve()))));
    }
  }

  async return(value) {
    this.close();
    return { value, done: true };
  }

  /** Resolves once the messages were given: a slow reader is told what it lost, and nothing piles up here. */
  async #take(answer, onMessage) {
    const items = [];
    for (const [topic, part] of answer.topics ? Object.entries(answer.topics) : [[this.#following.topic, answer]]) {
      const { res = [], times, offsets, conflated, ended } = part;
      const note = this.#notes.get(topic) ?? { ...NOTED };
      this.#notes.delete(topic);
      note.lost += part.lost ?? 0;
      note.reset ||= Boolean(part.reset);
      note.truncated ||= Boolean(part.truncated);
      const last = conflated ? NaN : offsetOf(part.next);
      res.forEach((message, i) => {
        items.push({ message, topic, time: times?.[i], offset: offsets?.[i] ?? last - res.length + 1 + i, ...(i ? NOTED : note) });
      });
      // What is missing is told with the next message.
      if (!res.length && (note.lost || note.reset || note.truncated)) this.#notes.set(topic, note);
      if (ended) this.ended.push(topic);
    }
    if (onMessage) {
      // A handler that fails at one message is given the next one all the same; one that closed gets none.
      for (const item of items) {
        if (this.state.name === "closed") return;
        await call(onMessage, item);
      }
      this.#place = answer.next ?? this.#place;
    } else if (items.length) {
      this.#given.push(...items.map((value, i) => ({ value, place: i === items.length - 1 ? answer.next : undefined })));
      this.#wake();
      await new Promise((resolve) => (this.#taken = resolve));
    } else this.#place = answer.next ?? this.#place;
  }
}
