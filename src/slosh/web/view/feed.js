/**
 * What comes in: counted at once, also while the page is paused, and its messages given to the lines then or later; and what the
 * server kept of the time before this page: rollups of `GET /topics/<name>?history=`, where it keeps some.
 */

import { ServerClock } from "./numbers.js";

/** Messages that wait while the page is paused, and those that are listed. */
const MAX_WAITING = 5000;
export const MAX_LISTED = 200;
/** The rate is a mean over this time, in seconds. */
const RATE_SPAN = 10;
/** Silence is told after so many seconds, or after so many times the usual interval. */
const SILENT = 5;
const SILENT_INTERVALS = 4;
/** Silence that is over is marked where it was so much longer than usual, in intervals and in seconds. */
const MARKED_INTERVALS = 10;
const MARKED = 10;
/** Topics of which the past is asked for, and requests at a time. */
const MOST_PASTS = 60;
const AT_ONCE = 3;

/** Seconds by a clock that nobody sets. */
const local = () => (performance.timeOrigin + performance.now()) / 1000;

export class Feed {
  received = 0;
  missed = 0;
  resets = 0;
  newest;
  unlisted = [];
  lastArrival;
  ended;
  /** The messages of a pause, or null while the page is live. */
  waiting = null;
  dropped = 0;
  /** What happened to messages of a pause that are not kept: as much as is marked, by its kind. */
  #given = new Map();
  /** Of topics of which less is kept than was asked for: how many messages came, and from when. */
  pasts = new Map();
  #clock = new ServerClock();
  #opened = local();
  /** How many messages came, by the tenth of a second of the server's clock; and when the first of all did. */
  #counts = new Map();
  #first = Infinity;
  #interval;
  #lostAt;
  #lines;
  #topic;
  #several;

  constructor(lines, topic, several) {
    this.#lines = lines;
    this.#topic = topic;
    this.#several = several;
  }

  /** Now, by the server's clock, in seconds. */
  get now() {
    return this.#clock.now(local());
  }

  /** The end of all that can be drawn: now, by the server's clock, or where the topic ended. A message cannot have come later. */
  get latest() {
    return this.ended ?? Math.max(this.now, this.#lines.last ?? 0);
  }

  /** Messages a second, over the last ten, or since the first that is known of. Those before the page count like any other. */
  get rate() {
    const { now } = this;
    const begin = Math.floor(10 * Math.max(now - RATE_SPAN, Math.min(now - local() + this.#opened, this.#first), ...Array.from(this.pasts.values(), ({ from }) => from))) + 1;
    let came = 0;
    for (const [tenth, count] of this.#counts) if (tenth >= begin) came += count;
    return came / Math.max(1, now - begin / 10);
  }

  /** Take an answer of the server. */
  take(answer) {
    const here = local();
    if (answer.date) this.#clock.see(answer.date / 1000, here);
    const now = this.now;
    const batch = [];
    for (const [source, each] of answer.topics ? Object.entries(answer.topics) : [[this.#topic, answer]]) this.#sort(source, each, now, here, batch);
    this.#lostAt = undefined;
    if (answer.topics) batch.sort((a, b) => a.time - b.time);
    const told = batch.filter(({ kind }) => !kind);
    for (const { time } of told) {
      const tenth = Math.floor(time * 10);
      if (!this.#counts.has(tenth)) for (const each of this.#counts.keys()) if (each < tenth - 10 * RATE_SPAN) this.#counts.delete(each);
      this.#counts.set(tenth, (this.#counts.get(tenth) ?? 0) + 1);
      this.#first = Math.min(this.#first, time);
    }
    if (told.length) this.#noteArrival(told[0].time, told.at(-1).time, told.length);
    if (this.waiting) {
      this.waiting.push(...batch);
      for (const each of this.waiting.splice(0, Math.max(0, this.waiting.length - MAX_WAITING))) this.#give(each);
    } else this.#show(batch);
  }

  #sort(source, each, now, here, batch) {
    const { res = [] } = each;
    const times = each.times?.length ? each.times.map((ms) => ms / 1000) : res.map(() => now);
    // A batch that came in while we were looking tells what the clock is there; one from before does not.
    if (each.times?.length && times.at(-1) > now - 30) this.#clock.see(times.at(-1), here);
    this.received += res.length;
    this.missed += each.lost ?? 0;
    if (each.reset) this.resets++;
    const first = times[0] ?? now;
    if (each.truncated) this.pasts.set(source, { kept: res.length, from: first });
    const since = Math.min(this.lastArrival ?? first, first);
    if (each.reset) batch.push({ source, time: Math.min(this.#lostAt ?? first, first), until: first, kind: "reset", count: 1 });
    if (each.lost) batch.push({ source, time: since, until: first, kind: "lost", count: each.lost });
    res.forEach((message, i) => batch.push({ source, message, time: times[i] }));
    if (each.ended) {
      this.ended = times.at(-1) ?? this.lastArrival ?? now;
      this.#lines.mark({ time: this.ended, kind: "ended", count: 1, name: this.#several ? source : undefined });
    }
  }

  #noteArrival(first, last, count) {
    const before = this.lastArrival;
    if (before !== undefined) {
      const pause = first - before;
      if (pause > Math.max(MARKED, MARKED_INTERVALS * (this.#interval ?? Infinity))) {
        this.#lines.mark({ time: before, until: first, kind: "silent", count: pause });
      }
      const usual = (last - before) / count;
      if (usual > 0) this.#interval = this.#interval === undefined ? usual : this.#interval + 0.2 * (usual - this.#interval);
    }
    this.lastArrival = Math.max(last, before ?? last);
  }

  #show(batch) {
    for (const each of batch) {
      const { source, message, time } = each;
      if (each.kind) {
        this.#lines.breakLines(this.#several ? source : undefined, each);
        continue;
      }
      this.#lines.add(source, message, time);
      this.newest = { source, message, time };
      this.unlisted.push(this.newest);
    }
    if (this.unlisted.length > 2 * MAX_LISTED) this.unlisted = this.unlisted.slice(-MAX_LISTED);
  }

  /** The connection is away: what comes after it may have begun again. */
  away() {
    this.#lostAt ??= this.now;
  }

  /** Since when nothing came, in seconds by the server's clock; undefined while it comes as usual. */
  get silentSince() {
    if (this.lastArrival === undefined || this.ended !== undefined) return undefined;
    const age = this.now - this.lastArrival;
    return age >= Math.max(SILENT, SILENT_INTERVALS * (this.#interval ?? 0)) ? this.lastArrival : undefined;
  }

  /** Give up what came in a pause, but for what is marked of it. */
  #give({ time, until = time, kind = "undrawn", count = 1 }) {
    if (kind === "undrawn") this.dropped++;
    const given = this.#given.get(kind) ?? { time, until, kind, count: 0 };
    [given.time, given.until, given.count] = [Math.min(given.time, time), Math.max(given.until, until), given.count + count];
    this.#given.set(kind, given);
  }

  /** Hold the picture, or go on with what came meanwhile. */
  pause() {
    const batch = this.waiting;
    this.waiting = batch ? null : [];
    // All lines break where something was given up, whichever topic it was of.
    for (const given of this.#given.values()) this.#lines.breakLines(undefined, given);
    this.#given.clear();
    if (batch) this.#show(batch);
    this.dropped = 0;
  }
}

export class Past {
  #kept;
  #lines;
  #topicOf;
  #asked = new Map();
  #waiting = [];
  #busy = 0;
  #onFilled;

  /**
   * @param {number} kept  seconds that are asked for
   * @param {object} lines  what is filled
   * @param {Function} topicOf  the address of a topic
   * @param {Function} onFilled  called when something was
   */
  constructor(kept, lines, topicOf, onFilled = () => {}) {
    [this.#kept, this.#lines, this.#topicOf, this.#onFilled] = [kept, lines, topicOf, onFilled];
  }

  /**
   * Ask for the past of these topics, each once, and again once it is known by which member lines are told apart. Of a
   * pattern there is a past of each topic that it takes in, as soon as one of its messages has come.
   * @param {Iterable<string>} names
   */
  fill(names) {
    const by = this.#lines.by ?? "";
    for (const name of names) {
      if (name.includes("*") || this.#asked.get(name) === by || (!this.#asked.has(name) && this.#asked.size >= MOST_PASTS)) continue;
      this.#asked.set(name, by);
      this.#waiting.push([name, by]);
    }
    while (this.#busy < AT_ONCE && this.#waiting.length) this.#begin(...this.#waiting.shift());
  }

  async #begin(name, by) {
    this.#busy++;
    const history = await ask(this.#topicOf(name), by, this.#kept);
    this.#busy--;
    // Meanwhile lines may have come to be told apart by a member.
    if (history && this.#asked.get(name) === by) {
      this.#lines.fillPast(name, history);
      this.#onFilled();
    }
    this.fill([]);
  }
}

/** The history of one topic, as far back as there is one; undefined where there is none. */
async function ask(url, by, kept) {
  try {
    const response = await fetch(`${url}?history=${Math.ceil(kept)}s,all${by && `&by=${encodeURIComponent(by)}`}`, { cache: "no-store" });
    if (!response.ok) return undefined;
    const history = await response.json();
    // Of several topics some may have no such member.
    if (history.series?.length) return history;
    return by ? ask(url, "", kept) : undefined;
  } catch {
    // The page goes on with what the ring holds; that the server cannot be reached is told by the connection itself.
    return undefined;
  }
}
