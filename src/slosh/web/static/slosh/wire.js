/**
 * Requests to a slosh server, and the ways its answers travel. Nothing here knows a page, a tab or a retry.
 *
 * A transport connects once and yields answers, each with its `next`; the first one, be it empty, as soon as the server
 * is there. It returns when the server ends the connection and throws when it fails; the caller then connects again
 * from the last `next`.
 */

/** Seconds beyond `wait` after which a poll without an answer is dead, as after a change of network. */
const PATIENCE = 15;
/** A poll that is answered "nothing came" sooner than this was not held: the next one waits for the rest, in milliseconds. */
export const SHORTEST_HOLD = 1000;
/** A stream without a byte for so many milliseconds is cut or buffered: the server sends a heartbeat each 15 s. */
const QUIET = 20_000;

/** Milliseconds of the longest timer: one of more ends at once. */
const LONGEST = 2 ** 31 - 1;

/** Where the topics are: beside the folder these files came from, so that a proxy's `/prefix/` is found too. */
const HOME = new URL("../../", import.meta.url).href;

export const shown = (value) => (typeof value === "function" ? "a function" : (JSON.stringify(value) ?? String(value)).slice(0, 100));

/** A refusal of the server: its problem details, or the plain status. */
export class SloshError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.name = "SloshError";
    this.status = status;
    this.code = problem.code ?? "";
    this.retryAfter = retryAfter ?? 0;
    this.isSoon = retryAfter < 500;
  }

  /** True where the same request may succeed later. */
  get passing() {
    return this.status >= 500 || [408, 425, 429].includes(this.status);
  }
}

/** Nothing comes through a stream. */
export class Silent extends Error {}
const silent = () => new Silent("nothing comes through");
const overdue = () => new DOMException("the server did not answer in time", "TimeoutError");

export function topicURL(topic, server) {
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

/** The header fields that the caller's options ask for. What a function of the caller's throws is told as its own. */
export async function fieldsOf({ token, headers }) {
  let text = token;
  try {
    if (typeof token === "function") text = await token();
  } catch (error) {
    throw Object.assign(new Error(`token: ${error?.message ?? error}`, { cause: error }), { isOwn: true });
  }
  return { ...headers, ...(text ? { Authorization: `Bearer ${text}` } : {}) };
}

/** The long-poll transport. */
export async function* longPoll({ url, since, query, wait, signal, options = {} }) {
  // The first request is not held. It gives a place at once, so that nothing can pass unseen before the next one.
  let hold = 0;
  for (;;) {
    const asked = performance.now();
    const answer = await ask(url, { since, wait: hold, ...query }, signal, options);
    yield answer;
    since = answer.next;
    const held = performance.now() - asked;
    if (hold > 0 && answer.timeout && held < SHORTEST_HOLD) await sleep(SHORTEST_HOLD - held, signal);
    hold = wait;
  }
}

/** The stream transport: events, or for several topics envelopes, for as long as the connection lasts. */
export async function* stream({ url, since, query, signal, options = {}, returns = false, passes = () => false }) {
  const patience = options.patience ?? QUIET;
  const request = new AbortController();
  const { watch, done } = giveUp(request, signal);
  let isFirst = true;
  /** What is no JSON broke on its way, and is asked for again. If it comes again it is passed over, as one that is lost. */
  const parse = (text) => {
    try {
      return JSON.parse(text);
    } catch (error) {
      if (passes()) return { ...NOTHING, lost: 1, saw: 1, unread: true };
      throw error;
    }
  };
  try {
    watch(patience, silent);
    // An event has the places in all topics, an envelope has them once for all its messages.
    const headers = { Accept: /[*,]/.test(url.pathname) ? "application/x-ndjson, text/event-stream;q=0.5" : "text/event-stream" };
    // Elsewhere the field would cost a preflight, and `since` says the same.
    if (returns && (globalThis.location?.origin ?? url.origin) === url.origin) headers["Last-Event-ID"] = since;
    const response = await get(url, { ...query, since }, request.signal, options, headers);
    if (response.status === 204) return yield { ...NOTHING, over: true };
    const kind = response.headers.get("Content-Type") ?? "";
    const read = kind.startsWith("text/event-stream") ? events() : kind.startsWith("application/x-ndjson") ? envelopes : null;
    if (!read) throw new SloshError(406, { detail: `the server answered with ${kind || "something"} instead of a stream` });
    const here = { ...NOTHING, next: response.headers.get("Slosh-Next") ?? undefined, date: dateOf(response) };
    // Envelopes begin with the first message, events at once.
    if (read === envelopes) yield here;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      // Nothing at all: a proxy buffers.
      watch(patience, isFirst ? silent : overdue);
      const { value, done: isOver } = await reader.read();
      watch();
      if (isOver) return;
      if (isFirst && read !== envelopes) yield here;
      isFirst = false;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* read(lines, parse);
    }
  } finally {
    done();
    request.abort();
  }
}

const NOTHING = { saw: 0, delivering: 0, res: [] };

function* envelopes(lines, parse) {
  for (const line of lines) if (line.trim()) yield parse(line);
}

/** A message has no event's name. The last four are told before the messages that they are about. */
const KNOWN = ["", "place", "end", "incomplete", "lost", "reset", "conflated", "truncated"];

/** Server-sent events (WHATWG HTML §9.2.6) as answers: one for the events that came together. */
function events() {
  let [event, data, id, retry, retries] = ["", "", undefined, 0, 0];
  return function* (lines, parse) {
    let answer;
    for (const line of lines) {
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
      if (name === "event") event = value;
      else if (name === "data") data += `${value}\n`;
      else if (name === "id") id = value;
      else if (name === "retry" && /^\d+$/.test(value)) [retry, retries] = [Number(value), retries + 1];
      if (line !== "") continue;
      if (event === "refused") {
        const problem = JSON.parse(data);
        throw new SloshError(problem.status ?? 503, problem, retry || undefined);
      }
      if (data || id !== undefined) {
        const told = data && KNOWN.includes(event) ? parse(data) : {};
        if (told.unread) event = "lost";
        const part = answer && partOf(answer, told.topic);
        // What is told before messages stands before them: it begins an answer of its own.
        if (part?.res.length && KNOWN.indexOf(event) > 3) {
          yield answer;
          answer = undefined;
        }
        answer = note(answer ?? {}, event, told, data !== "", id);
      }
      [event, data, id] = ["", "", undefined];
    }
    if (answer) yield answer;
    // A second one is its last line: the server shuts down. Another may be there already, so nobody waits for long.
    if (retries > 1) throw new SloshError(503, { detail: "the server is shutting down" }, retry < SHORTEST_HOLD ? retry : undefined);
  };
}

function partOf(answer, topic) {
  if (topic === undefined) return Object.assign(answer, { ...NOTHING, res: [], times: [], offsets: [], ...answer });
  // Without a prototype: a topic may be named "constructor" or "__proto__".
  answer.topics ??= { __proto__: null };
  return (answer.topics[topic] ??= { ...NOTHING, res: [], times: [], offsets: [] });
}

function note(answer, event, told, hasData, id) {
  if (id !== undefined) answer.next = id;
  const isSeveral = typeof told.topic === "string" && (event !== "" || "message" in told);
  const part = partOf(answer, isSeveral ? told.topic : undefined);
  answer.unread ||= told.unread;
  if (event === "" && hasData) {
    const place = isSeveral ? places(id ?? "").get(told.topic) : id;
    part.next = place ?? part.next;
    part.res.push(told.message);
    part.times.push(told.time);
    part.offsets.push((part.max = offsetOf(place)));
    part.delivering++;
    part.saw++;
  } else if (event === "lost" || event === "conflated") {
    part[event] = (part[event] ?? 0) + told[event];
    part.saw += told[event];
  } else if (["reset", "truncated", "incomplete"].includes(event)) part[event] = true;
  else if (event === "end") part.ended = true;
  return answer;
}

export const offsetOf = (place) => Number(/\.(\d+)$/.exec(place ?? "")?.[1]);

/** The places in each topic, of text such as `*,a=k3f9.4,b/c=x0t6.7`. */
export function places(text) {
  const found = new Map();
  for (const each of text.split(",")) {
    const at = each.lastIndexOf("=");
    if (at > 0) found.set(decodeURIComponent(each.slice(0, at)), each.slice(at + 1));
  }
  return found;
}

/** One GET that is answered once. Gives up when `signal` aborts or the answer is overdue. */
export async function ask(url, query, signal, options = {}) {
  const request = new AbortController();
  const { watch, done } = giveUp(request, signal);
  try {
    watch((query.wait + PATIENCE) * 1000, overdue);
    const response = await get(url, query, request.signal, options);
    const text = await response.text();
    return { ...JSON.parse(text), date: dateOf(response), size: text.length };
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
      if (ms) timer = setTimeout(() => request.abort(reason()), Math.min(ms, LONGEST));
    },
    done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    },
  };
}

async function get(url, query, signal, options, headers) {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) target.searchParams.set(name, value);
  }
  const response = await fetch(target, { signal, cache: "no-store", headers: { ...headers, ...(await fieldsOf(options)) } });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

const dateOf = (response) => Date.parse(response.headers.get("Date")) || undefined;

export async function refusalOf(response) {
  const problem = await response.json().catch(() => ({}));
  const after = response.headers.get("Retry-After");
  // Seconds or a date (RFC 9110 §10.2.3), which is compared with the server's clock: this one may be hours off.
  const ms = after > "" && after * 1000 >= 0 ? after * 1000 : Date.parse(after) - (dateOf(response) ?? Date.now());
  return new SloshError(response.status, problem ?? {}, ms >= 0 ? ms : undefined);
}

/** Why a request failed, in words. */
export async function reasonOf(error, url) {
  if (error instanceof SloshError || error.name === "TimeoutError" || error.isOwn) return error.message;
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
export function sleep(ms, signal, early = () => {}) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, LONGEST));
    signal?.addEventListener("abort", end);
    early(end);
    if (signal?.aborted) end();
  });
}
