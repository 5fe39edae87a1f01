/**
 * Which line a number belongs to, and where lines break. Nothing here touches the page.
 *
 * The rules of this file:
 *
 * 1. A line is a topic, a value of the member that tells lines apart (`by`), and a path into the message.
 * 2. A line breaks, and a state ends, where something is missing: a null or another kind of value, a member that is not there,
 *    messages that were missed, silence.
 * 3. Everything is bounded, and what is left out is counted.
 */

import { digitsOf, duration, findNumbers, isCounter, naturally, numberAt, plural, textAt, timeUnit, valueAt } from "./numbers.js";
import { firstAt, Series } from "./series.js";
import { AT_ONCE, end, isBoolean, isSilent, States, Tracks } from "./states.js";

/** Moments that older points are merged to. */
const PARTS = 4000;
/** Lines that are kept; lines that are drawn before anybody chooses; names that are remembered of all others. */
export const MAX_LINES = 300;
export const MAX_DRAWN = 12;
export const MAX_REST = 200;
/** Lines of one path, as of many hosts, that are drawn before anybody chooses. */
const MAX_ALIKE = 60;
/** Numbers beyond this are not drawn: an axis that spans them would show nothing else. */
const LARGEST = 1e30;
/** Numbers nearer to 0 than this are drawn as 0: below some 1e-308 a power of ten, as axes are made of, may be 0 itself. */
const SMALLEST = 1e-300;
/** Seconds behind a point at which its line breaks. */
const JUST_AFTER = 1e-6;
/** The least span of a line that is made thinner: points of one time are one point. */
const TINY = 1e-9;
/** Between the parts of a line's name. */
export const BETWEEN = ": ";
/** Characters that end the isolation of a `bdi`: U+2069, and those that a bidirectional paragraph ends with. None is seen. */
export const ENDS = /[\x1c-\x1e\x85\u2029\u2069]/g;
/** Letters and marks by which writing goes to the left, or is told to: those of Unicode's blocks for such scripts. */
export const TURNS = /[\u0590-\u08ff\u200e-\u202e\u2066-\u2069\ufb1d-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
/** A stranger's name in a text for canvases and titles, which take no elements: it turns nothing beside it either. */
export const isolatedText = (name = "") => (TURNS.test(name) ? `\u2068${name.replaceAll(ENDS, "")}\u2069` : name);
/** Marks that are kept, and seconds within which those of one kind are one. One that stands for several says what all of them come to. */
export const MAX_MARKS = 100;
const MARKED_TOGETHER = 1;
/** Members that name a message's origin, where the page does not say which one does: a line for each of its values. */
const ORIGINS = ["host", "hostname", "device", "device_id", "sensor", "sensor_id", "node", "station", "instance", "worker", "room", "run", "vehicle", "bus", "train", "ship", "tracker"];

export class Lines {
  all = new Map();
  /** By their labels: the parts of the names of lines that are not kept. */
  rest = new Map();
  marks = [];
  states;
  tracks = new Tracks();
  huge = false;
  tiny = false;
  isPartial = false;
  /** Messages without the member that is the x axis. */
  without = 0;
  first;
  last;
  /** Where the messages begin: of the past before them there are numbers alone. And where the first step of the past ends. */
  began;
  pastTo = Infinity;
  #by;
  #x;
  #several;
  #kept;
  #values = new Set();

  /**
   * @param {boolean} several  whether messages come from several topics
   * @param {string|null} by   the path whose values have a line each; null to find it, empty for none
   * @param {number} kept  seconds that are kept; of what is too much, the lowest and highest of each 4,000th part stay
   * @param {string|undefined} x  the path whose number is the x axis, instead of the time
   */
  constructor(several, by, kept, x) {
    this.#kept = x ? LARGEST : kept;
    this.moment = kept / PARTS;
    this.#several = several;
    this.#by = by;
    this.#x = x || undefined;
    this.states = new States(this);
  }

  /** The member that tells lines apart; undefined where there is none. */
  get by() {
    return this.#by || undefined;
  }

  /** Whether there are lines of several of its values, which their names tell. */
  get isApart() {
    return this.#values.size > 1;
  }

  get merged() {
    return this.#sum((series) => series.merged);
  }

  get mergedUntil() {
    return Math.max(-Infinity, ...Array.from(this.all.values(), ({ series }) => series.mergedUntil));
  }

  get dropped() {
    return this.#sum((series) => series.dropped);
  }

  #sum(count) {
    let sum = 0;
    for (const { series } of this.all.values()) sum += count(series);
    return sum;
  }

  /** How a line is called, in one text. */
  label(line) {
    return this.parts(line).join(BETWEEN);
  }

  /** Note at a line how it is called. */
  name(line, isOnePath = false) {
    line.parts = this.parts(line, isOnePath);
    line.label = line.parts.join(BETWEEN);
  }

  /** The parts of how a line is called; which of several hosts it is stands there only if there are several. Where all that is drawn has
   *  `isOnePath`, what tells lines apart is enough. */
  parts({ source, value, path }, isOnePath = false) {
    const parts = [];
    if (this.#several) parts.push(source);
    if (value !== undefined && this.isApart) parts.push(value);
    // A message that is a number by itself has no name but its topic's.
    if (!(path === "value" && this.#several) && !(isOnePath && parts.length)) parts.push(path);
    return parts;
  }

  /** Add the numbers of a message. */
  add(source, message, time) {
    const value = this.#origin(message);
    const at = this.#x === undefined ? time : this.#near(numberAt(message, this.#x));
    // One that is too large to be drawn, as 1e999, would be the end of the axis for ever.
    if (at === undefined || Math.abs(at) > LARGEST) {
      this.without++;
      return;
    }
    // Those of several topics do not come in the order of their times.
    this.first = Math.min(at, this.first ?? at);
    this.began = Math.min(at, this.began ?? at);
    this.last = Math.max(at, this.last ?? at);
    const row = new Map();
    const present = new Set();
    const states = new Set();
    const isWhole = findNumbers(message, (path, found, raw) => {
      const key = JSON.stringify([source, value, path]);
      const state = this.states.note(key, source, value, path, raw, time);
      if (state) states.add(state);
      const line = path === this.#x ? undefined : this.#line(source, value, path, found, time, key);
      if (!line) return;
      if (found === null || Math.abs(found) > LARGEST) {
        row.set(line, NaN);
        this.huge ||= found !== null;
      } else {
        present.add(line);
        row.set(line, found);
      }
      line.newest = found ?? undefined;
      if (found !== null) line.digits = digitsOf(found, line.digits);
    });
    this.isPartial ||= !isWhole;
    if (this.#x === undefined) {
      this.#breakMissing(message, source, value, new Set([...present, ...states]), row, time);
      this.#breakSilent(present, time);
    } else for (const { series } of present) if (at < series.last) series.truncate(at);
    for (const line of present) this.#note(line, time, present);
    // A text may stand in messages of all kinds, and tell them apart.
    const mates = new Set([...present, ...[...states].filter(isBoolean)]);
    for (const state of states) this.#note(state, time, mates);
    for (const [line, number] of row) this.#push(line, at, number);
  }

  /** What is drawn of a number. */
  #near(number) {
    const isTiny = number !== 0 && Math.abs(number) < SMALLEST;
    this.tiny ||= isTiny;
    return isTiny ? 0 : number;
  }

  #push(line, time, number) {
    line.series.push(time, this.#near(number));
    const { series } = line;
    if (!series.isFull) return;
    // Of what is here, not of what could be: a long span begins as fine as a short one. Moments double, so that a later
    // one holds whole earlier ones.
    const halvings = Math.max(0, Math.floor(Math.log2(this.#kept / Math.max(TINY, series.last - series.first))));
    series.thin((this.moment = this.#kept / PARTS / 2 ** halvings));
  }

  /** Break the lines of a topic, or all: something is missing between what came before and what comes. */
  breakLines(source, { time, until, kind, count }) {
    if (this.#x === undefined) {
      for (const line of this.all.values()) if (source === undefined || line.source === source) this.#push(line, (line.series.last ?? time) + JUST_AFTER, NaN);
      this.states.end(source);
    }
    const before = this.marks.findLast((each) => each.kind === kind && Math.abs(time - each.time) < MARKED_TOGETHER);
    if (before) join(before, { time, until, count });
    else this.mark({ time, until, kind, count });
  }

  /** Note that something happened: `{time, kind, count}`, with `until` for what took a while, and `name` for what it happened to. */
  mark(mark) {
    this.marks.push(mark);
    if (this.marks.length > MAX_MARKS) this.#thin();
  }

  /** Of two marks of one kind, those that are nearest to each other, make one. */
  #thin() {
    const last = new Map();
    let [least, first, second] = [Infinity];
    for (const mark of this.marks) {
      const before = last.get(mark.kind);
      last.set(mark.kind, mark);
      if (!before || mark.time - before.time >= least) continue;
      [least, first, second] = [mark.time - before.time, before, mark];
    }
    join(first, second);
    this.marks.splice(this.marks.indexOf(second), 1);
  }

  /** Forget what is older. */
  forget(before) {
    if (this.#x !== undefined) return;
    for (const { series } of this.all.values()) series.forget(before);
    this.states.forget(before);
    if (this.first < before) this.first = before;
    while (this.marks.length && (this.marks[0].until ?? this.marks[0].time) < before) this.marks.shift();
  }

  /** What the server kept of the time before the first message here: columns of lowest, highest and mean. */
  fillPast(source, { from, step, series }) {
    for (const { path, by, count, min, max, mean } of joined(series)) {
      const line = this.#line(source, by, path || "value", 0, from / 1000);
      if (!line) continue;
      if (by !== undefined) this.#values.add(by);
      const until = line.series.first ?? Infinity;
      const points = [];
      const usual = {};
      for (let i = 0; i < count.length; i++) {
        const time = (from + (i + 0.5) * step) / 1000;
        // What the ring holds is known message by message.
        if ((from + (i + 1) * step) / 1000 > until) break;
        if (count[i]) {
          const isHuge = Math.max(max[i], -min[i]) > LARGEST;
          this.huge ||= isHuge;
          points.push(isHuge ? [time, NaN] : [time, ...[mean[i], min[i], max[i]].map((number) => this.#near(number))]);
          this.#note(usual, time);
          usual.came = count[i];
        // A step without a message is none without a line, where less than one comes in each.
        } else if (isSilent({ ...usual, interval: usual.interval / usual.came }, time)) points.push([time, NaN]);
      }
      line.series.prepend(points, step / 1000);
      if (!points.length) continue;
      this.first = Math.min(this.first ?? Infinity, points[0][0]);
      this.pastTo = Math.min(this.pastTo, points[0][0] + step / 2000);
    }
  }

  #origin(message) {
    if (this.#by === null) this.#by = ORIGINS.find((name) => typeof message?.[name] === "string" && Object.hasOwn(message, name)) ?? null;
    const value = this.#by ? textAt(message, this.#by) : undefined;
    if (value !== undefined && this.#values.size <= MAX_LINES) this.#values.add(value);
    return value;
  }

  #line(source, value, path, number, time, key = JSON.stringify([source, value, path])) {
    if (path === this.#by) return undefined;
    const known = this.all.get(key);
    if (known || number === null) return known;
    if (this.all.size >= MAX_LINES) {
      const parts = this.parts({ source, value, path });
      if (this.rest.size < MAX_REST) this.rest.set(parts.join(BETWEEN), parts);
      return undefined;
    }
    const isHidden = isCounter(path, number, time);
    const drawn = [...this.all.values()].filter((line) => line.isDrawn);
    // Many lines of the same kind are seen together; many kinds are too many charts.
    const isFew = drawn.length < MAX_DRAWN || (drawn.length < MAX_ALIKE && drawn.some((line) => line.path === path));
    const line = {
      source, value, path, series: new Series(), newest: undefined, isCounter: isHidden, timeUnit: timeUnit(number, time), isDrawn: !isHidden && isFew,
      shown: true, colour: undefined, last: undefined, interval: undefined, digits: 0, count: 0, row: 0, mates: undefined,
    };
    this.all.set(key, line);
    this.#order();
    this.tracks.note(line);
    return line;
  }

  /** Paths stand as they came, and the lines of each by their names: so each has its place, and its colour, whichever came first. */
  #order() {
    const paths = [...new Set(Array.from(this.all.values(), ({ path }) => path))];
    if (paths.length === this.all.size) return;
    const name = ({ source, value }) => `${source} ${value}`;
    this.all = new Map([...this.all].sort(([, a], [, b]) => paths.indexOf(a.path) - paths.indexOf(b.path) || naturally(name(a), name(b))));
  }

  /** What stood in the last two messages of its kind and is not in this one leaves a gap; so does what is an object or an array now. */
  #breakMissing(message, source, value, present, row, time) {
    for (const line of [...this.all.values(), ...this.states.all.values()]) {
      if (line.source !== source || line.value !== value || present.has(line) || row.has(line)) continue;
      const isOther = typeof valueAt(message, line.path) === "object";
      const isSameKind = line.mates && [...present].some((other) => !other.isCounter && line.mates.has(other));
      if (!isOther && !isSameKind) continue;
      const wasThere = isOther || line.row > 1;
      line.row = 0;
      if (wasThere && line.series) {
        row.set(line, NaN);
        line.newest = undefined;
      } else if (wasThere) end(line, time);
    }
  }

  #breakSilent(present, time) {
    for (const line of present) if (isSilent(line, time)) this.#push(line, line.last + JUST_AFTER, NaN);
  }

  #note(line, time, present) {
    const interval = time - line.last;
    if (interval >= AT_ONCE) {
      const usual = line.interval ?? interval;
      line.interval = usual + 0.2 * (Math.min(interval, 4 * usual) - usual);
    }
    line.last = Math.max(time, line.last ?? time);
    line.count++;
    line.row++;
    line.mates = present;
  }
}

/** Let a mark stand for another one too, and for all between them. */
function join(mark, { time, until, count }) {
  mark.until = Math.max(mark.until ?? mark.time, until ?? time);
  mark.time = Math.min(mark.time, time);
  mark.count += count;
}

/** What a mark says: how many messages, seconds or times it stands for. */
export function wordsOf({ kind, count, name }) {
  switch (kind) {
    case "lost": return `${count.toLocaleString("en")} missed`;
    case "undrawn": return `${count.toLocaleString("en")} not drawn`;
    case "reset": return count === 1 ? "began again" : `began again ${plural(count, "time")}`;
    case "silent": return `silent for ${duration(count)}`;
    default: return count === 1 ? `${isolatedText(name)} ended`.trim() : `${count} ended`;
  }
}

/**
 * The row whose value a line shows at a time: the nearest of the two that the time lies between, if the line joins them;
 * else one that is not further than `near` seconds. null where the line shows nothing.
 */
export function rowAt(times, column, time, near) {
  let isBroken = false;
  let right = firstAt(times, times.length, time);
  let left = right - 1;
  for (; left >= 0 && column[left] == null; left--) isBroken ||= column[left] === null;
  for (; right < times.length && column[right] == null; right++) isBroken ||= column[right] === null;
  const toLeft = left < 0 ? Infinity : time - times[left];
  const toRight = right === times.length ? Infinity : times[right] - time;
  const isJoined = !isBroken && toLeft + toRight < Infinity;
  return isJoined || Math.min(toLeft, toRight) <= near ? (toLeft <= toRight ? left : right) : null;
}

/** The series of a past, of which those are one that one line shows: of messages that are numbers, and of their member `value`. */
function joined(all) {
  const lines = new Map();
  for (const series of all) {
    const key = JSON.stringify([series.by, series.path || "value"]);
    lines.set(key, lines.has(key) ? both(lines.get(key), series) : series);
  }
  return lines.values();
}

function both(one, other) {
  const count = one.count.map((number, i) => number + other.count[i]);
  const column = (name, together) => count.map((_, i) => (!one.count[i] ? other[name][i] : !other.count[i] ? one[name][i] : together(one[name][i], other[name][i], i)));
  const mean = column("mean", (a, b, i) => a * (one.count[i] / count[i]) + b * (other.count[i] / count[i]));
  return { ...one, count, min: column("min", (a, b) => Math.min(a, b)), max: column("max", (a, b) => Math.max(a, b)), mean };
}
