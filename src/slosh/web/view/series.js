/**
 * The points of one line, and what of them is drawn. Nothing here touches the page.
 *
 * The rules of this file:
 *
 * 1. A point holds the lowest, the highest and the mean of what came at its time; of a single message they are the same.
 *    NaN is a break: the line does not go on there, because something is missing or nothing is known.
 * 2. Everything is bounded. Where there are too many points the older half is merged: of each moment one point stays,
 *    so no spike is lost, and breaks stay.
 * 3. What is drawn depends on the width in pixels: few points are drawn as they are, many as one for each moment.
 * 4. A drawing looks at what is new since the last one. Points stay where they are until older ones go; so what is known of
 *    whole blocks of points, and of the moments that are drawn, is kept, and what moves or changes points says so.
 */

/** Points of a line. */
export const MAX_POINTS = 16_384;
const FIRST = 128;
/** Points that are told of together: their lowest, highest, sum and number. */
const BLOCK = 64;
/** Moments that are kept before those that are drawn. */
const BEHIND = 1024;
/** Moments of one drawing. */
const MOST_MOMENTS = 8192;
/** Seconds: less than that lies between no two messages. */
const JUST = 1e-4;

export class Series {
  length = 0;
  /** Points that were merged into others, and until when; points that had to be given up. */
  merged = 0;
  mergedUntil = -Infinity;
  dropped = 0;
  #columns;
  #blocks;
  /** Blocks that are known. */
  #known = 0;
  #moments;
  /** The seconds of each point, where there are none but those that `prepend` put here; else 0. Messages take the place of points of their time. */
  #step = 0;

  constructor() {
    this.#columns = Array.from({ length: 4 }, () => new Float64Array(FIRST));
  }

  get times() {
    return this.#columns[0];
  }

  get low() {
    return this.#columns[1];
  }

  get high() {
    return this.#columns[2];
  }

  get mean() {
    return this.#columns[3];
  }

  /** Whether it has to be made thinner before there is room again. */
  get isFull() {
    return this.length >= MAX_POINTS;
  }

  get first() {
    return this.length ? this.times[0] : undefined;
  }

  get last() {
    return this.length ? this.times[this.length - 1] : undefined;
  }

  /** Add a point; `value` NaN breaks the line. Times never go back. */
  push(time, value, low = value, high = value) {
    // A point stands in the middle of its time. Times are of milliseconds, and not exact.
    if (this.#step) this.truncate(time - this.#step / 2 + JUST);
    this.#step = 0;
    if (this.length && time < this.last) time = this.last;
    // Several breaks one after another are one.
    if (Number.isNaN(value) && (!this.length || Number.isNaN(this.mean[this.length - 1]))) return;
    if (this.length === this.times.length) this.#grow();
    const row = this.length++;
    [this.times[row], this.low[row], this.high[row], this.mean[row]] = [time, low, high, value];
  }

  /** Put points before all others: `[time, mean, low, high]`, in their order, each of so many seconds. */
  prepend(points, step) {
    const later = [];
    for (let row = 0; row < this.length; row++) later.push([this.times[row], this.mean[row], this.low[row], this.high[row]]);
    this.#change(0);
    this.length = 0;
    for (const point of points.slice(-MAX_POINTS / 2)) this.push(...point);
    for (const point of later) this.push(...point);
    this.#step = later.length ? 0 : step;
  }

  #grow() {
    if (this.length >= MAX_POINTS) throw new RangeError("thin it first");
    this.#columns = this.#columns.map((column) => {
      const larger = new Float64Array(Math.min(MAX_POINTS, 2 * column.length));
      larger.set(column);
      return larger;
    });
  }

  /** Points from this row on are others, or gone. */
  #change(row) {
    this.#known = Math.min(this.#known, Math.floor(row / BLOCK));
    if (this.#moments?.row > row) this.#moments = undefined;
  }

  /** Make room: of each moment, in seconds, of the older half one point stays. */
  thin(moment) {
    if (this.length < MAX_POINTS) return;
    this.#change(0);
    const half = this.length >> 1;
    let [to, row] = [0, 0];
    while (row < half) {
      const at = Math.floor(this.times[row] / moment);
      let [low, high, sum, count] = [Infinity, -Infinity, 0, 0];
      const time = this.times[row];
      while (row < half && !Number.isNaN(this.mean[row]) && Math.floor(this.times[row] / moment) === at) {
        low = Math.min(low, this.low[row]);
        high = Math.max(high, this.high[row]);
        sum += this.mean[row++];
        count++;
      }
      if (count) {
        this.#set(to++, time, sum / count, low, high);
        this.merged += count - 1;
      } else this.#set(to++, this.times[row++], NaN, NaN, NaN);
    }
    this.mergedUntil = this.times[half - 1];
    this.#cut(half, to);
    // Where nearly every point is a break nothing can be merged.
    if (this.length > MAX_POINTS - 1000) {
      this.dropped += half;
      this.#cut(half, 0);
    }
  }

  #set(row, time, mean, low, high) {
    [this.times[row], this.low[row], this.high[row], this.mean[row]] = [time, low, high, mean];
  }

  /** Move all from row `from` on to row `to`. */
  #cut(from, to) {
    for (const column of this.#columns) column.copyWithin(to, from, this.length);
    this.length -= from - to;
    this.#known = 0;
    // Those that went are in no moment that is drawn, or all moments were forgotten.
    if (this.#moments && (this.#moments.row -= from - to) < 0) this.#moments = undefined;
  }

  /** Forget what is older; one point before it stays, so that the line comes in from the left. */
  forget(before) {
    const gone = this.find(before) - 1;
    // Not at each drawing: the columns are moved for it.
    if (gone > 1000 || gone > this.length / 4) this.#cut(gone, 0);
  }

  /** Forget what is later, as where a run went back to an earlier step. */
  truncate(from) {
    this.length = this.find(from);
    this.#change(this.length);
  }

  /** The first row whose time is not before this one. */
  find(time) {
    return firstAt(this.times, this.length, time);
  }

  /** Lowest, highest, mean and largest size of what lies between two times. */
  facts(from, to) {
    const first = this.find(from);
    let last = this.find(to);
    while (last < this.length && this.times[last] === to) last++;
    // The whole blocks, and what lies before and behind them.
    const [begin, end] = [Math.ceil(first / BLOCK), Math.floor(last / BLOCK)];
    const found = [0, 0, Infinity, -Infinity];
    if (begin >= end) return told(this.#gather(first, last, found));
    this.#learn(end);
    this.#gather(first, begin * BLOCK, found);
    const [lows, highs, sums, counts] = this.#blocks;
    for (let block = begin; block < end; block++) {
      found[0] += counts[block];
      found[1] += sums[block];
      if (lows[block] < found[2]) found[2] = lows[block];
      if (highs[block] > found[3]) found[3] = highs[block];
    }
    return told(this.#gather(end * BLOCK, last, found));
  }

  /** Add the number, the sum, the lowest and the highest of some rows to what was found. */
  #gather(first, last, found) {
    const [, lows, highs, means] = this.#columns;
    let [count, sum, low, high] = found;
    for (let row = first; row < last; row++) {
      const value = means[row];
      // A break: NaN is the one number that is not itself.
      if (value !== value) continue;
      if (lows[row] < low) low = lows[row];
      if (highs[row] > high) high = highs[row];
      sum += value;
      count++;
    }
    [found[0], found[1], found[2], found[3]] = [count, sum, low, high];
    return found;
  }

  /** Know of so many blocks. */
  #learn(blocks) {
    const [lows, highs, sums, counts] = (this.#blocks ??= Array.from({ length: 4 }, () => new Float64Array(MAX_POINTS / BLOCK)));
    for (; this.#known < blocks; this.#known++) {
      const block = this.#known;
      [counts[block], sums[block], lows[block], highs[block]] = this.#gather(block * BLOCK, (block + 1) * BLOCK, [0, 0, Infinity, -Infinity]);
    }
  }

  /** What came at each moment of `step` seconds, from the one with the time `from` on, of the rows before `end`. */
  moments(step, from, end) {
    const base = Math.floor(from / step);
    if (this.#moments?.step !== step || base < this.#moments.base || end < this.#moments.row) this.#moments = new Moments(step, base, this.find(base * step));
    const kept = this.#moments;
    if (base - kept.base > BEHIND) kept.drop(base, this.find(base * step));
    kept.take(this.#columns, end);
    return kept;
  }

  /** The values as they are, null for a break: for tests and for files. */
  get values() {
    return Array.from(this.mean.subarray(0, this.length), (value) => (Number.isNaN(value) ? null : value));
  }
}

/** The first of so many times, in their order, that is not before this one. */
export function firstAt(times, length, time) {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

const told = ([count, sum, low, high]) => (count ? { low, high, mean: sum / count, peak: Math.max(Math.abs(low), Math.abs(high)) } : { peak: 0 });

/** Points of a line by the moment at which they came: rows of a fixed grid, so that nothing flickers while the time goes on. */
class Moments {
  /** The number of the first moment since 1970; the next row that is looked at; moments here. */
  constructor(step, base, row) {
    Object.assign(this, { step, base, row, length: 0, counts: new Uint32Array(BEHIND), breaks: new Uint8Array(BEHIND) });
    [this.sums, this.lows, this.highs] = Array.from({ length: 3 }, () => new Float64Array(BEHIND));
  }

  /** Look at the rows up to `end`. */
  take([times, lows, highs, means], end) {
    for (; this.row < end; this.row++) {
      const value = means[this.row];
      const at = Math.floor(times[this.row] / this.step) - this.base;
      if (at < 0) continue;
      if (at >= this.counts.length) this.#grow(at);
      if (at >= this.length) this.length = at + 1;
      // One behind all that came at its moment.
      this.breaks[at] = value !== value;
      if (value !== value) continue;
      if (!this.counts[at]++) [this.sums[at], this.lows[at], this.highs[at]] = [value, lows[this.row], highs[this.row]];
      else {
        this.sums[at] += value;
        if (lows[this.row] < this.lows[at]) this.lows[at] = lows[this.row];
        if (highs[this.row] > this.highs[at]) this.highs[at] = highs[this.row];
      }
    }
  }

  #grow(at) {
    const size = 2 ** Math.ceil(Math.log2(at + 1));
    for (const name of ["sums", "lows", "highs", "counts", "breaks"]) {
      const larger = new this[name].constructor(size);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  /** Forget the moments before `base`, whose first row is this one. */
  drop(base, row) {
    const gone = Math.min(base - this.base, this.length);
    for (const name of ["sums", "lows", "highs", "counts", "breaks"]) this[name].copyWithin(0, gone, this.length).fill(0, this.length - gone, this.length);
    this.length -= gone;
    this.base = base;
    this.row = Math.max(this.row, row);
  }
}

/**
 * What several lines come to on one axis: the times, and for each line its means, its lowest and its highest. A value is
 * undefined where a line has nothing, and null where it breaks.
 * @param {Series[]} all
 * @param {number} width  in pixels
 */
export function frame(all, from, to, width) {
  const spans = all.map((series) => [Math.max(0, series.find(from) - 1), Math.min(series.length, series.find(to) + 1)]);
  const count = spans.reduce((sum, [first, last]) => sum + last - first, 0);
  return count <= 2 * width || !(to > from) ? exact(all, spans, count) : bucketed(all, spans, from, (to - from) / Math.max(100, width / 2));
}

function exact(all, spans, count) {
  const gathered = new Float64Array(count);
  let at = 0;
  all.forEach((series, i) => {
    gathered.set(series.times.subarray(...spans[i]), at);
    at += spans[i][1] - spans[i][0];
  });
  if (all.length > 1) gathered.sort();
  // Messages that came at the same moment stand beside each other, in their order.
  const times = [];
  for (let i = 0; i < count; i++) if (all.length === 1 || times.at(-1) !== gathered[i]) times.push(gathered[i]);
  const lines = all.map((series, i) => {
    const [means, lows, highs] = [new Array(times.length), new Array(times.length), new Array(times.length)];
    let slot = 0;
    for (let row = spans[i][0]; row < spans[i][1]; row++) {
      if (all.length === 1) slot = row - spans[i][0];
      else while (times[slot] < series.times[row]) slot++;
      join(means, lows, highs, slot, series, row);
    }
    return { means, lows, highs };
  });
  return { times, lines, isBucketed: false };
}

function join(means, lows, highs, slot, series, row) {
  const value = series.mean[row];
  if (Number.isNaN(value)) {
    means[slot] = null;
  } else {
    lows[slot] = means[slot] == null ? series.low[row] : Math.min(lows[slot], series.low[row]);
    highs[slot] = means[slot] == null ? series.high[row] : Math.max(highs[slot], series.high[row]);
    means[slot] = value;
  }
}

function bucketed(all, spans, from, rough) {
  const step = 2 ** Math.ceil(Math.log2(rough));
  const kept = all.map((series, i) => series.moments(step, from, spans[i][1]));
  let [first, last] = [Infinity, -Infinity];
  all.forEach((series, i) => {
    if (spans[i][0] >= spans[i][1]) return;
    first = Math.min(first, Math.floor(series.times[spans[i][0]] / step));
    last = Math.max(last, Math.floor(series.times[spans[i][1] - 1] / step));
  });
  // A point far outside of what is shown comes in at the edge.
  const size = Math.min(last - first + 1, MOST_MOMENTS);
  first = last - size + 1;
  const times = Array.from({ length: size }, (_, i) => (first + i + 0.5) * step);
  return { times, lines: all.map((series, i) => drawn(series, spans[i][0], kept[i], first, size)), isBucketed: true };
}

/** The columns of one line, of `size` moments from the one numbered `first` on; `before` is the row that leads in. */
function drawn(series, before, { step, base, length, sums, lows: lowest, highs: highest, counts, breaks }, first, size) {
  const [means, lows, highs] = [new Array(size), new Array(size), new Array(size)];
  const shift = first - base;
  for (let slot = Math.max(0, -shift); slot < size && slot + shift < length; slot++) {
    const at = slot + shift;
    const count = counts[at];
    if (count) [means[slot], lows[slot], highs[slot]] = [sums[at] / count, lowest[at], highest[at]];
    // A break is seen where there is room for it.
    if (breaks[at]) means[slot + (count && 1)] = null;
  }
  if (before < series.length) {
    const slot = Math.max(0, Math.floor(series.times[before] / step) - first);
    if (slot < size && means[slot] === undefined) join(means, lows, highs, slot, series, before);
  }
  means.length = size;
  return { means, lows, highs };
}

/** Means that follow slowly: each one is so much of the one before it, 0 to 1, and begins at its true height. */
export function smooth(means, weight) {
  let [sum, bias] = [0, 1];
  return means.map((value) => {
    if (value === null) [sum, bias] = [0, 1];
    if (value == null) return value;
    sum = sum * weight + (1 - weight) * value;
    bias *= weight;
    return sum / (1 - bias);
  });
}
