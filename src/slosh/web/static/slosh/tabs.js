/**
 * One connection for all tabs of a browser and all their topics.
 *
 * One tab leads: it has the Web Lock, reads the union of what all tabs follow, and passes the answers on by a
 * BroadcastChannel. The rules of this file:
 *
 * 1. Each member (a `follow` in some tab) holds its own place, and takes of what is passed on exactly what comes next there.
 *    What it has already it leaves out. Where something is missing in between, it asks the server itself, from its place.
 *    So no member depends on what the leader knows, on whether a leader died, or on whether two lead for a moment.
 *    A topic that has left the place of the leader's connection is not active any more, and leaves the members' places.
 * 2. The union changes by a new connection that begins where the old one is; the old one ends when the new one is there.
 * 3. A leader that is gone loses its lock. One that is frozen does not answer, and its lock is taken from it.
 * 4. Where a page has no locks (plain HTTP, other than on localhost), or is refused them (a frame in a sandbox, storage that
 *    is turned off), all that it follows itself still has one connection.
 */

import { ask, fieldsOf, offsetOf, places, stream } from "./wire.js";

/** Milliseconds without a word after which the leader is asked for one, and until the lock is taken from it. */
const QUIET = 5000;
const STEAL = 3000;
/** Milliseconds in which changes of the union are gathered. */
const GATHER = 30;
/** Answers that wait for a member before it would rather ask the server itself. */
const MOST_WAITING = 1000;
/** Characters of an answer beyond which there may be more. */
const PORTION = 200_000;

const hubs = new Map();
let isSharing = false;

/** Whether this page can share with other tabs: only pages over HTTPS or on localhost have locks, and not all may use them. */
export async function canShare() {
  const isThere = globalThis.document && globalThis.navigator?.locks && globalThis.BroadcastChannel;
  return (isSharing = Boolean(isThere) && (await navigator.locks.query().then(() => true, () => false)));
}

/** The transport of a `Following` whose connection is shared. */
export function shared(Following, options) {
  const { server, token, headers, limit, every, key, patience } = options;
  const bounds = { server, token, headers, limit, every, key, patience };
  return async function* (request) {
    const member = new Member(request);
    const name = `slosh ${request.url.origin} ${digest(JSON.stringify([request.url.href.split("/topics/")[0], bounds, await firstOf(token)]))}`;
    if (!hubs.has(name)) hubs.set(name, new Hub(name, Following, bounds));
    const hub = hubs.get(name);
    hub.listen(member);
    try {
      yield* member.read(hub);
    } finally {
      hub.leave(member);
      if (!hub.members.size) {
        hub.close();
        hubs.delete(name);
      }
    }
  };
}

/** Header fields with what functions gave when they were first asked: two functions may look the same and give what allows more or less. */
const firsts = new WeakMap();

async function firstOf(token) {
  if (typeof token !== "function") return token;
  if (!firsts.has(token)) firsts.set(token, await fieldsOf({ token }));
  return firsts.get(token);
}

/** Text that tells two apart and tells nothing: a token must not become a name (FNV-1a, twice). */
function digest(text) {
  const half = (seed) => [...text].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 0x01000193), seed) >>> 0;
  return half(0x811c9dc5).toString(36) + half(0x1234567).toString(36);
}

const matcher = (pattern) => {
  if (!pattern.includes("*")) return (name) => name === pattern;
  const escaped = pattern.split("/").map((part) => (part === "**" ? ".+" : part === "*" ? "[^/]+" : part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&")));
  const expression = new RegExp(`^${escaped.join("/")}$`, "s");
  return (name) => expression.test(name);
};

const encode = (name) => encodeURIComponent(name).replaceAll("%2F", "/");

/** Somebody who follows: a place, and what was passed on and not taken yet. */
class Member {
  waiting = [];
  isBehind = true;
  isJoined = false;
  isAlone = false;
  wake = () => {};

  constructor(request) {
    this.request = request;
    this.names = request.topic.split(",");
    this.isSingle = this.names.length === 1 && !request.topic.includes("*");
    this.tests = this.names.map(matcher);
    this.since = request.since;
  }

  has(name) {
    return this.tests.some((test) => test(name));
  }

  get place() {
    if (!this.known) return this.since;
    if (this.isSingle) return this.known.get(this.names[0]);
    const parts = [...this.known].map(([name, cursor]) => `${encode(name)}=${cursor}`);
    return [...(this.request.topic.includes("*") ? ["*"] : []), ...parts].join(",");
  }

  push(answer) {
    this.waiting.push(answer);
    if (this.waiting.length > MOST_WAITING) {
      this.waiting = [];
      this.isBehind = true;
    }
    this.wake();
  }

  /** Answers from the member's place on, as any transport gives them. */
  async *read(hub) {
    const { request } = this;
    for (;;) {
      while (this.isBehind) {
        // What is passed on from now on waits until this is through; too much of it, and this is behind again.
        this.isBehind = false;
        let answer;
        try {
          answer = await ask(request.url, { ...request.query, since: this.place, wait: 0 }, request.signal, request.options);
        } catch (error) {
          // Of a stream what is no JSON twice can be passed over.
          if (!(error instanceof SyntaxError) || !request.passes()) throw error;
          return yield* this.readAlone(hub);
        }
        this.known = this.isSingle ? new Map([[this.names[0], answer.next]]) : places(answer.next);
        this.isBehind ||= answer.size > PORTION;
        // Who is told of this place sooner would have it read from there for all.
        if (!this.isBehind) hub.change();
        yield { ...answer, timeout: undefined, joining: !this.isJoined };
      }
      const next = this.waiting.shift();
      if (!next) {
        if (request.signal.aborted) return;
        const end = () => this.wake();
        request.signal.addEventListener("abort", end, { once: true });
        await new Promise((resolve) => (this.wake = resolve));
        request.signal.removeEventListener("abort", end);
      } else if (next.alone) {
        // All topics together were refused, or no tab leads.
        return yield* this.readAlone(hub);
      } else if (next.state) {
        if (!next.state.incomplete || request.topic.includes("*")) yield { state: next.state };
      } else if (next.unread) {
        this.isBehind = true;
      } else if (next.have !== undefined) {
        // The connection that leads may be one from before this member's topics.
        if (!this.names.every((name) => next.names.includes(name))) continue;
        this.compare(places(next.have));
        this.isJoined = true;
        yield { saw: 0, delivering: 0, res: [], next: this.place };
      } else {
        const fitting = this.fit(next);
        if (fitting) yield fitting;
      }
    }
  }

  /** Read with a connection of its own. */
  readAlone(hub) {
    this.isAlone = true;
    hub.change();
    return stream({ ...this.request, since: this.place });
  }

  /** Where the leader is further on than this member, it has missed something, or has still to be told. */
  compare(there) {
    for (const [name, cursor] of there) {
      if (!this.has(name)) continue;
      const own = this.known.get(name);
      if (own === cursor || (own && epochOf(own) === epochOf(cursor) && offsetOf(own) >= offsetOf(cursor))) continue;
      this.isBehind = true;
    }
  }

  /** What of an answer comes next here; nothing where all of it is known, or where something is missing before it. */
  fit({ topics, gone = [], date }) {
    // A name that was asked for keeps its place: without one it would be read from now on. A leader of an older release tells none.
    for (const [name, cursor] of gone) if (!this.names.includes(name)) forget(this.known, name, cursor);
    // Without a prototype: a topic may be named "__proto__".
    const mine = Object.create(null);
    for (const [name, part] of Object.entries(topics)) {
      if (!this.has(name) || !part.next) continue;
      const fitting = this.fitOne(this.known.get(name), part);
      if (fitting === null) {
        this.isBehind = true;
        return undefined;
      }
      if (fitting) mine[name] = fitting;
    }
    const names = Object.keys(mine);
    if (!names.length) return undefined;
    for (const name of names) this.known.set(name, mine[name].next);
    return this.isSingle ? { ...mine[names[0]], date } : { topics: mine, next: this.place, date };
  }

  /** @returns a part, undefined where all of it is known, null where this member is elsewhere */
  fitOne(own, part) {
    const end = offsetOf(part.next);
    const start = end - part.saw;
    const isSameLife = own !== undefined && epochOf(own) === epochOf(part.next);
    if (!isSameLife) {
      // A topic that a pattern takes in from its first message on, or one that began again.
      const isNew = own === undefined && this.request.topic.includes("*");
      return start === 0 && (isNew || part.reset) ? part : null;
    }
    const ahead = offsetOf(own) - start;
    if (ahead === 0 && !part.reset) return part;
    if (part.saw - ahead <= 0) return part.ended ? { ...part, saw: 0, delivering: 0, res: [], times: [], lost: undefined } : undefined;
    if (ahead < 0 || part.conflated) return null;
    const gone = Math.min(ahead, part.lost ?? 0);
    const known = ahead - gone;
    const res = part.res.slice(known);
    const lost = (part.lost ?? 0) - gone;
    return { ...part, reset: undefined, saw: part.saw - ahead, delivering: res.length, res, times: part.times?.slice(known), lost: lost || undefined };
  }
}

const epochOf = (cursor = "") => cursor.slice(0, cursor.lastIndexOf("."));

/** Drop the place in a topic that is gone, unless it is one of the topic's next life. */
const forget = (known, name, cursor) => epochOf(known.get(name)) === epochOf(cursor) && known.delete(name);

/** A tab's end of a shared connection. */
class Hub {
  members = new Set();
  isLeader = false;
  #id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  #channel;
  #closing = new AbortController();
  #wants = new Map();
  #following;
  #coming;
  #union = "";
  #known = new Map();
  #heard = performance.now();
  #stateText = "";
  #resign = () => {};
  #gathering;
  #session;
  #timer;

  constructor(name, Following, bounds) {
    this.name = name;
    this.Following = Following;
    this.bounds = bounds;
    this.#open();
    const { signal } = this.#closing;
    globalThis.document?.addEventListener?.("visibilitychange", () => (this.#tellWants(), this.#look()), { signal });
    // A page in the back-forward cache hears nothing, and must not lead.
    globalThis.addEventListener?.("pagehide", (event) => event.persisted && this.#shut(), { signal });
    globalThis.addEventListener?.("pageshow", (event) => event.persisted && this.#reopen(), { signal });
  }

  listen(member) {
    this.members.add(member);
  }

  leave(member) {
    this.members.delete(member);
    this.change();
  }

  close() {
    this.#closing.abort();
    this.#shut();
  }

  /** What this tab follows is another. */
  change() {
    if (!this.#closing.signal.aborted) this.#tellWants();
  }

  #open() {
    if (!isSharing) {
      this.#lead();
      return;
    }
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#session = new AbortController();
    const { signal } = this.#session;
    // As long as this tab lives it has a lock of its own: the leader waits for it, and knows when the tab is gone.
    // A leader that heard of this tab sooner may have got that lock first, and has taken the tab for gone.
    const live = () => (this.#tellWants(), new Promise((resolve) => signal.addEventListener("abort", resolve)));
    navigator.locks.request(`slosh tab ${this.#id}`, { signal }, live).catch(() => {});
    this.#queue();
    this.#timer = setInterval(() => this.#look(), QUIET);
  }

  #shut() {
    clearInterval(this.#timer);
    clearTimeout(this.#gathering);
    this.#resign();
    this.#follow(undefined);
    if (!this.#channel) return;
    this.#say({ kind: "gone", id: this.#id });
    this.#session.abort();
    this.#channel.close();
    // A channel that is closed takes no word, and the page goes on for a moment behind its "pagehide".
    this.#channel = undefined;
  }

  #reopen() {
    for (const member of this.members) {
      member.isBehind = true;
      member.wake();
    }
    this.#open();
  }

  #queue(steal = false) {
    const { signal } = this.#session;
    const hold = () => {
      if (signal.aborted) return undefined;
      this.#lead();
      return new Promise((resolve) => {
        this.#resign = () => {
          this.isLeader = false;
          resolve();
        };
      });
    };
    navigator.locks.request(this.name, steal ? { steal } : { signal }, hold).catch(() => {
      // Another tab took it, because this one did not answer.
      if (signal.aborted || !this.isLeader) return;
      this.isLeader = false;
      this.#follow(undefined);
      this.#queue();
    });
  }

  #lead() {
    this.isLeader = true;
    this.#wants.clear();
    this.#known.clear();
    this.#union = "";
    this.#say({ kind: "lead" });
    this.#tellWants();
  }

  /** A leader that is not heard is asked, and one that does not answer has to hand over. */
  #look() {
    if (this.isLeader || !this.#channel || document.hidden || performance.now() - this.#heard < QUIET) return;
    const asked = performance.now();
    this.#channel.postMessage({ kind: "ping" });
    setTimeout(() => {
      if (!this.isLeader && this.#heard < asked && !document.hidden && !this.#session.signal.aborted) this.#queue(true);
    }, STEAL);
  }

  #say(data) {
    this.#channel?.postMessage(data);
  }

  #tellWants() {
    const wants = [...this.members].filter(({ known, isAlone }) => known && !isAlone).map(({ names, known }) => ({ names, places: [...known] }));
    const told = { kind: "want", id: this.#id, wants, hidden: Boolean(globalThis.document?.hidden) };
    if (this.isLeader) this.#hear(told);
    else this.#say(told);
  }

  #hear(data) {
    const { kind } = data;
    if (["lead", "answer", "pong"].includes(kind)) this.#heard = performance.now();
    if (kind === "answer") this.#pass(data.answer);
    else if (kind === "lead") this.#tellWants();
    else if (!this.isLeader) return;
    else if (kind === "ping") this.#say({ kind: "pong" });
    else if (kind === "want") this.#take(data);
    else if (kind === "gone") this.#forget(data.id);
  }

  #pass(answer) {
    for (const member of this.members) member.push(answer);
  }

  #tell(answer) {
    if (this.#wants.size > 1) this.#say({ kind: "answer", answer });
    this.#pass(answer);
  }

  #take({ id, wants, hidden }) {
    if (!this.#wants.has(id) && id !== this.#id) {
      navigator.locks.request(`slosh tab ${id}`, { signal: this.#session.signal }, () => this.#forget(id)).catch(() => {});
    }
    this.#wants.set(id, { wants, hidden });
    for (const { places: own } of wants) for (const [name, cursor] of own) if (!this.#known.has(name)) this.#known.set(name, cursor);
    this.#gather();
  }

  #forget(id) {
    if (this.#wants.delete(id)) this.#gather();
  }

  #gather() {
    clearTimeout(this.#gathering);
    this.#gathering = setTimeout(() => this.isLeader && this.#unite(), GATHER);
  }

  /** Connect to what all tabs want, unless that is what is read already. */
  #unite() {
    const tabs = [...this.#wants.values()];
    const names = [...new Set(tabs.flatMap(({ wants }) => wants.flatMap((each) => each.names)))].sort();
    const every = tabs.every(({ hidden }) => hidden) ? "5s" : this.bounds.every;
    const union = JSON.stringify([names, every]);
    if (union === this.#union) {
      if (this.#following?.state.name === "live") this.#tell({ have: this.#place(names), names });
      if (this.#stateText) this.#tell(JSON.parse(this.#stateText));
      return;
    }
    this.#union = union;
    if (!names.length) return this.#follow(undefined);
    const tests = names.map(matcher);
    for (const name of this.#known.keys()) if (!tests.some((test) => test(name))) this.#known.delete(name);
    const options = { ...this.bounds, every, whenHidden: "keep", since: this.#place(names), transport: stream };
    /** What the connection's place holds; one that is about to be replaced has another. */
    let held = new Map();
    const following = new this.Following(names.join(","), {
      ...options,
      onAnswer: (answer) => {
        const now = answer.topics && answer.next ? places(answer.next) : held;
        this.#answer(names, answer, [...held].filter(([name]) => !now.has(name)));
        held = now;
      },
      onState: (state) => this.#state(following, names, state),
    });
    this.#follow(following);
  }

  /** Replace the connection; the old one goes when the new one is there. */
  #follow(following) {
    this.#coming?.close();
    if (!following) this.#following?.close();
    [this.#following, this.#coming] = following && this.#following ? [this.#following, following] : [following, undefined];
  }

  #place(names) {
    if (names.length === 1 && !names[0].includes("*")) return this.#known.get(names[0]) ?? "now";
    const isStarred = names.some((name) => name.includes("*"));
    return [...(isStarred ? ["*"] : []), ...[...this.#known].map(([name, cursor]) => `${encode(name)}=${cursor}`)].join(",") || "now";
  }

  #answer(names, answer, gone) {
    // Nobody knows whose it was: each member asks for what it may lack.
    if (answer.unread && !answer.next) return this.#tell({ unread: true });
    const topics = answer.topics ?? { [names[0]]: answer };
    for (const [name, part] of Object.entries(topics)) if (part.next) this.#known.set(name, part.next);
    for (const [name, cursor] of gone) if (!names.includes(name)) forget(this.#known, name, cursor);
    this.#tell({ topics, gone, date: answer.date });
  }

  #state(following, names, { name, reason, retryIn, incomplete }) {
    if (following === this.#coming && name === "live") {
      this.#following.close();
      [this.#following, this.#coming] = [following, undefined];
    }
    if (following !== (this.#coming ?? this.#following) || name === "closed") return;
    if (name === "failed") {
      this.#follow(undefined);
      this.#union = "";
      return this.#tell({ alone: true });
    }
    const told = { state: { name, reason, retryIn, incomplete } };
    this.#stateText = name === "live" && !incomplete ? "" : JSON.stringify(told);
    if (name === "live") this.#tell({ have: names.length === 1 && !names[0].includes("*") ? `${encode(names[0])}=${following.place}` : following.place, names });
    if (incomplete || !["live", "connecting"].includes(name)) this.#tell(told);
  }
}
