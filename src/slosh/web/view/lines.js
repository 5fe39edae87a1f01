/**
 * The points of all lines, as they came. Nothing here touches the page.
 *
 * The rules of this file:
 *
 * 1. All lines share one column of times. A line's own column holds a number, undefined (its messages said nothing then),
 *    or null: the line breaks there, because something is missing or nothing is known.
 * 2. Everything is bounded. What came too fast to be drawn point by point is drawn as its lowest and highest, and counted.
 */

import { bounds, findNumbers, isCounter, textAt } from "./numbers.js";

/** Rows that are kept for the charts. */
export const MAX_ROWS = 20_000;
const PARTS = 4000;
/** Lines that are kept; lines that are drawn before anybody chooses; names that are remembered of all others. */
export const MAX_LINES = 100;
export const MAX_DRAWN = 12;
export const MAX_REST = 200;
/** Numbers beyond this are not drawn: an axis that spans them would show nothing else. */
const LARGEST = 1e30;
/** A line breaks where nothing came for so many times its usual interval, and for so many seconds. */
const SILENT_INTERVALS = 8;
const SILENT = 3;
/** Messages closer together than this, in seconds, say nothing of the usual interval. */
const AT_ONCE = 0.05;
/** Breaks that are marked. */
const MAX_MARKS = 100;
/** Members that name a message's origin, where the page does not say which one does: a line for each of its values. */
const ORIGINS = ["host", "hostname", "device", "device_id", "sensor", "sensor_id", "node", "station", "instance", "worker", "room"];

export class Lines {
  times = [];
  all = new Map();
  rest = new Set();
  marks = [];
  huge = false;
  isPartial = false;
  /** Messages that are drawn as the lowest and highest of a few, and until when; rows that had to be given up. */
  merged = 0;
  mergedUntil = -Infinity;
  dropped = 0;
  #by;
  #several;
  #values = new Set();
  #sorted = 0;

  /**
   * @param {boolean} several  whether messages come from several topics
   * @param {string|null} by   the path whose values have a line each; null to find it, empty for none
   * @param {number} kept  seconds that are kept; of what is too much, the lowest and highest of each 4,000th part stay
   */
  constructor(several, by, kept) {
    this.moment = kept / PARTS;
    this.#several = several;
    this.#by = by;
  }

  /** The member that tells lines apart; undefined where there is none. */
  get by() {
    return this.#by || undefined;
  }

  /** How a line is called; which of several hosts it is stands there only if there are several. */
  label({ source, value, path }) {
    const parts = [path];
    if (value !== undefined && this.#values.size > 1) parts.unshift(value);
    if (this.#several) parts.unshift(source);
    return parts.join(": ");
  }

  /** Add the numbers of a message; call `settle` after the last one. */
  add(source, message, time) {
    const value = this.#origin(message);
    const row = new Map();
    const present = new Set();
    const isWhole = findNumbers(message, (path, number) => {
      const line = this.#line(source, value, path, number, time);
      if (!line) return;
      if (number === null || Math.abs(number) > LARGEST) {
        row.set(line, null);
        this.huge ||= number !== null;
      } else {
        present.add(line);
        row.set(line, number);
      }
      if (number !== null) line.newest = number;
    });
    this.isPartial ||= !isWhole;
    this.#breakMissing(source, value, present, row);
    this.#breakSilent(present, time);
    for (const line of present) this.#note(line, time, present);
    if (row.size) this.#push(time, row);
  }

  /** Break the lines of a topic, or all: something is missing between what came before and what comes. */
  breakLines(source, time, text) {
    const last = this.times.at(-1) ?? time;
    const row = new Map();
    for (const line of this.all.values()) if (source === undefined || line.source === source) row.set(line, null);
    if (row.size) this.#push(last, row);
    const mark = this.marks.at(-1);
    if (mark && mark.text === text && Math.abs(time - mark.time) < 1) return;
    this.marks.push({ time, text });
    if (this.marks.length > MAX_MARKS) this.marks.shift();
  }

  /** Put rows that came out of order into it, and keep no more than fits. */
  settle() {
    const { times } = this;
    let first = this.#sorted;
    for (let i = Math.max(1, first); i < times.length; i++) {
      if (times[i] >= times[i - 1]) continue;
      while (first > 0 && times[first - 1] > times[i]) first--;
      this.#sortFrom(first);
      break;
    }
    if (times.length > MAX_ROWS) this.#thin();
    this.#sorted = times.length;
  }

  /** Forget what is older; one row before it stays, so that the line comes in from the left. */
  forget(before) {
    let gone = 0;
    while (gone + 1 < this.times.length && this.times[gone + 1] < before) gone++;
    // Not at each drawing: the columns are moved for it.
    if (gone > 0 && (gone > 200 || this.times[gone] < before - 10)) this.#cut(gone);
    while (this.marks.length && this.marks[0].time < before) this.marks.shift();
  }

  #origin(message) {
    if (this.#by === null) this.#by = ORIGINS.find((name) => typeof message?.[name] === "string" && Object.hasOwn(message, name)) ?? null;
    const value = this.#by ? textAt(message, this.#by) : undefined;
    if (value !== undefined && this.#values.size <= MAX_LINES) this.#values.add(value);
    return value;
  }

  #line(source, value, path, number, time) {
    if (path === this.#by) return undefined;
    const key = JSON.stringify([source, value, path]);
    const known = this.all.get(key);
    if (known || number === null) return known;
    if (this.all.size >= MAX_LINES) {
      if (this.rest.size < MAX_REST) this.rest.add(this.label({ source, value, path }));
      return undefined;
    }
    const isHidden = isCounter(path, number, time);
    const drawn = [...this.all.values()].filter((line) => line.isDrawn).length;
    const line = {
      source, value, path, column: new Array(this.times.length), newest: undefined, isCounter: isHidden, isDrawn: !isHidden && drawn < MAX_DRAWN,
      shown: true, colour: undefined, last: undefined, interval: undefined, count: 0, row: 0, mates: undefined,
    };
    this.all.set(key, line);
    return line;
  }

  /** A number that stood in the last two messages of its kind and is not in this one leaves a gap. */
  #breakMissing(source, value, present, row) {
    for (const line of this.all.values()) {
      if (line.source !== source || line.value !== value || present.has(line) || row.has(line)) continue;
      const isSameKind = line.mates && [...present].some((other) => !other.isCounter && line.mates.has(other));
      if (!isSameKind) continue;
      if (line.row > 1) row.set(line, null);
      line.row = 0;
    }
  }

  #breakSilent(present, time) {
    const row = new Map();
    for (const line of present) {
      const usual = line.interval ?? (line.count > 10 ? AT_ONCE : Infinity);
      if (time - line.last > Math.max(SILENT, SILENT_INTERVALS * usual)) row.set(line, null);
    }
    if (row.size) this.#push(time, row);
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

  #push(time, row) {
    this.times.push(time);
    for (const line of this.all.values()) line.column.push(row.get(line));
  }

  #sortFrom(first) {
    const tail = this.times.slice(first);
    const order = tail.map((_, i) => i).sort((a, b) => tail[a] - tail[b] || a - b);
    order.forEach((from, to) => (this.times[first + to] = tail[from]));
    for (const { column } of this.all.values()) {
      const values = column.slice(first);
      order.forEach((from, to) => (column[first + to] = values[from]));
    }
  }

  /** Merge the older half: of each moment two rows stay, with the lowest and the highest of each line. Breaks stay. */
  #thin() {
    const half = this.times.length >> 1;
    const lines = [...this.all.values()];
    const hasBreak = (row) => lines.some(({ column }) => column[row] === null);
    const times = [];
    const columns = lines.map(() => []);
    const keep = (row) => (times.push(this.times[row]), lines.forEach(({ column }, k) => columns[k].push(column[row])));
    for (let row = 0; row < half; ) {
      const first = row;
      const moment = Math.floor(this.times[row] / this.moment);
      while (row < half && !hasBreak(row) && Math.floor(this.times[row] / this.moment) === moment) row++;
      if (row - first > 2) {
        this.merged += row - first - 2;
        times.push(this.times[first], this.times[row - 1]);
        lines.forEach(({ column }, k) => columns[k].push(...extremes(column.slice(first, row))));
      } else for (let each = first; each < row; each++) keep(each);
      if (row === first) keep(row++);
    }
    this.mergedUntil = this.times[half - 1];
    this.times.splice(0, half, ...times);
    lines.forEach(({ column }, k) => column.splice(0, half, ...columns[k]));
    // Where nearly every row is a break nothing can be merged.
    const over = this.times.length - MAX_ROWS;
    if (over > 0) {
      this.dropped += over + 1000;
      this.#cut(over + 1000);
    }
  }

  #cut(count) {
    this.times.splice(0, count);
    for (const { column } of this.all.values()) column.splice(0, count);
    this.#sorted = Math.max(0, this.#sorted - count);
  }
}

/** The lowest and the highest of some values, in the order in which they came. */
function extremes(values) {
  const told = values.filter((value) => value !== undefined);
  if (told.length < 2) return [told[0], undefined];
  const { low, high } = bounds(told);
  return told.indexOf(low) <= told.lastIndexOf(high) ? [low, high] : [high, low];
}

/**
 * The row whose value a line shows at a time: the nearest of the two that the time lies between, if the line joins them;
 * else one that is not further than `near` seconds. null where the line shows nothing.
 */
export function rowAt(times, column, time, near) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  let isBroken = false;
  let left = low - 1;
  for (; left >= 0 && column[left] == null; left--) isBroken ||= column[left] === null;
  let right = low;
  for (; right < times.length && column[right] == null; right++) isBroken ||= column[right] === null;
  const toLeft = left < 0 ? Infinity : time - times[left];
  const toRight = right === times.length ? Infinity : times[right] - time;
  const isJoined = !isBroken && toLeft + toRight < Infinity;
  return isJoined || Math.min(toLeft, toRight) <= near ? (toLeft <= toRight ? left : right) : null;
}

/** Between which rows a column breaks: from the last value before a null to the first one after it, whatever other lines'
 *  rows lie between. @returns {[number, number][]} */
export function gapsOf(column) {
  const gaps = [];
  let last = -1;
  let isBroken = false;
  for (let i = 0; i < column.length; i++) {
    if (column[i] === undefined) continue;
    if (column[i] === null) {
      isBroken = true;
      continue;
    }
    if (isBroken && last >= 0) gaps.push([last, i]);
    isBroken = false;
    last = i;
  }
  return gaps;
}
