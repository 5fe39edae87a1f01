/** A chart that moves: a thin layer over uPlot, with the sheet's colours, lines that break, bands, and marks. */

import { clock, howOf, labels, notation, number, resolution, scaleOf, span, stepFor, stepOf, ticks, withUnit } from "./numbers.js";
import { BETWEEN, ENDS, rowAt, wordsOf } from "./lines.js";
import { isHeld, make } from "./page.js";
import { frame, smooth } from "./series.js";
import uPlot from "./uplot/uPlot.min.js";

/** Pixels between two labels of the x axis; and between two with parts of a second. */
const [SPACE, SPACE_OF_PARTS] = [80, 116];
/** Pixels between two labels of the y axis, and around the widest one. */
const TICK_SPACE = 38;
const AXIS_ROOM = 14;
/** Characters of its labels; longer ones say how much more than a round number they are. */
const LONGEST_LABEL = 11;
/** Pixels within which the pointer means a point. */
const NEAR = 8;
/** Room for half a time behind the right edge. */
export const RIGHT = 28;
/** Pixels that are counted on before the chart has its size. */
const USUAL_WIDTH = 600;
export const FONT = "12px system-ui, sans-serif";
/** Lines of one chart that have bands behind them, and an area. */
const MOST_BANDS = 8;

/** Make a canvas as sharp as the screen, and empty: its context, and its size in pixels of the page. */
export function clear(canvas) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [across, up] = [width, height].map((size) => Math.round(size * ratio));
  // To give it a size, if only the same one, costs more than to clear it.
  if (canvas.width !== across || canvas.height !== up) [canvas.width, canvas.height] = [across, up];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

/** Names that strangers chose, with the page's own text between them: none turns the direction of writing of what stands beside it. */
export function isolated(names, between) {
  return names.flatMap((name, i) => [...(i ? [between] : []), make("bdi", { textContent: name.replaceAll(ENDS, "") })]);
}

/** Write the parts of a line's name into an element, where it has another one. */
export function nameIn(element, parts) {
  const name = parts.join(BETWEEN);
  if (element.named === name) return;
  element.named = name;
  element.replaceChildren(...isolated(parts, BETWEEN));
}

/** What several charts show together: from where, to where, what happened when, and how they are drawn. */
export function newView(root = document.documentElement) {
  const colours = new Map();
  return {
    from: 0, to: 1, marks: [], isTime: true, isZero: false, isLog: false, smoothing: 0, gutter: 46, sync: `slosh-${Math.random()}`,
    /** A colour of the sheet, as it is now: light and dark differ. */
    colour(name) {
      if (!colours.has(name)) colours.set(name, getComputedStyle(root).getPropertyValue(name).trim());
      return colours.get(name);
    },
    recolour: () => colours.clear(),
  };
}

const faint = (colour, alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, "0");

export class Plot {
  #plot;
  #lines;
  #view;
  #ticks = [];
  #step = 1;
  #scale = 1;
  #how = notation(1, 1);
  #unit = { factor: 1, text: "" };
  #range = [0, 1];
  /** What is added to each label of the axis, where they would be very long; else 0. */
  #base = 0;
  #texts = [];
  #written = "";
  /** Where the pointer is, in pixels. */
  #left;
  #drawn = { times: [], lines: [] };
  #observer;

  /**
   * @param {HTMLElement} place  what it fills
   * @param {object[]} lines  with `series`, `colour`, `dash`, `shown`, `unit`
   * @param {object} view  of `newView`
   * @param {{onZoom: Function, onPan: Function, onPoint: Function}} calls  without one of them its gesture does nothing
   */
  constructor(place, lines, view, calls) {
    this.#lines = lines;
    this.#view = view;
    const axis = { stroke: () => view.colour("--muted"), grid: { stroke: () => view.colour("--grid"), width: 1 }, ticks: { show: false }, font: FONT };
    const size = () => ({ width: Math.max(120, place.clientWidth), height: Math.max(60, place.clientHeight) });
    this.#plot = new uPlot(
      {
        ...size(),
        legend: { show: false },
        padding: [10, RIGHT, 0, 0],
        cursor: {
          sync: { key: view.sync }, y: false, drag: { x: Boolean(calls.onZoom), y: false, setScale: false }, points: { size: 8, width: 2 },
          dataIdx: (plot, series, row, time) => (series === 0 ? row : this.#rowOf(series - 1, time)),
        },
        scales: { x: { time: view.isTime, range: () => [view.from, view.to] }, y: { distr: view.isLog ? 3 : 1, range: () => this.#range } },
        axes: [
          { ...axis, space: (_, index, low, high, width) => (view.isTime && ((high - low) / width) * SPACE < 1 ? SPACE_OF_PARTS : SPACE), size: 30, gap: 6, values: (_, found) => (view.isTime ? timeLabels(found, view) : numberLabels(found)) },
          {
            ...axis, gap: 6, size: () => view.gutter,
            // uPlot's own steps end at 10^17; it draws at those that are given.
            space: 1e-30, incrs: () => [10],
            splits: (plot, _, low, high) => this.#split(low, high, plot.height), values: () => this.labels,
          },
        ],
        series: [{}, ...lines.map((line, i) => this.#series(line, i))],
        hooks: {
          drawAxes: [(plot) => drawSpans(plot, view)],
          draw: [(plot) => drawMarks(plot, view)],
          // It is told at each drawing, too.
          setCursor: [({ cursor: { left } }) => {
            if (left === this.#left && isHeld()) return;
            this.#left = left;
            calls.onPoint?.(this);
          }],
          setSelect: [(plot) => selected(plot, calls)],
        },
      },
      [[], ...lines.map(() => [])],
      place,
    );
    if (calls.onZoom) this.#plot.over.addEventListener("dblclick", () => calls.onZoom());
    if (calls.onPan) pannable(this.#plot, view, calls);
    this.fit = () => this.#plot.setSize(size());
    this.#observer = new ResizeObserver(this.fit);
    this.#observer.observe(place);
  }

  #series(line, i) {
    const stroke = () => this.#view.colour(line.colour);
    return {
      // A crowd is drawn with hairlines: a browser without a graphics card makes them in a fraction of the time of wider ones.
      label: line.label, width: this.#lines.length > MOST_BANDS ? 1 : 1.75, stroke,
      // Not searched by uPlot for its lowest and highest: `draw` knows them.
      auto: false, dash: line.dash, show: line.shown, paths: (plot) => this.#paths(plot, i),
      fill: () => faint(stroke(), this.#lines.length > MOST_BANDS ? 0.1 : 0.2), points: { size: 5, fill: stroke, filter: (plot, series, show) => this.#points(i, show) },
    };
  }

  /** Look at what lies between the view's ends, and draw it where the chart is seen. */
  draw(isSeen = true) {
    const { from, to } = this.#view;
    const shown = this.#lines.filter((line) => line.shown);
    let [low, high, size, least] = [Infinity, -Infinity, 0, Infinity];
    for (const line of this.#lines) {
      line.facts = line.series.facts(from, to);
      line.step = stepOf(line);
      if (!line.shown || line.facts.low === undefined) continue;
      low = Math.min(low, line.facts.low);
      high = Math.max(high, line.facts.high);
      size = Math.max(size, line.facts.peak);
    }
    for (const line of shown) {
      // Beside a line that spans more the digits that nobody can see are left out, but for the first four.
      if (line.facts.peak > 0) line.step = Math.max(line.step, Math.min(resolution(low, high), resolution(line.facts.peak)));
      if (line.facts.low !== undefined) least = Math.min(least, line.step);
    }
    if (least === Infinity) least = 1;
    this.#unit = scaleOf(shown[0]?.unit ?? "", size);
    this.#how = notation(size / this.#unit.factor, least / this.#unit.factor);
    // Very large and very small numbers are drawn as such between 1 and 10, which is what uPlot can do.
    this.#scale = this.#how.isScientific && !this.#view.isLog ? 10 ** Math.floor(Math.log10(size)) : 1;
    for (const line of this.#lines) {
      line.scale = this.#unit;
      line.how = howOf(line, this.#how);
    }
    this.#range = this.#view.isLog ? logRange(shown) : spanOf(low, high, this.#view.isZero, this.#unit.text).map((value) => value / this.#scale);
    if (!isSeen) return;
    this.#drawn = frame(this.#lines.map(({ series }) => series), from, to, this.#plot.over.clientWidth || USUAL_WIDTH);
    this.#plot.setData([this.#drawn.times, ...this.#drawn.lines.map(({ means }) => this.#fit(means))]);
  }

  #fit(means) {
    const smoothed = this.#view.smoothing ? smooth(means, this.#view.smoothing) : means;
    const isLog = this.#view.isLog;
    if (this.#scale === 1 && !isLog) return smoothed;
    return smoothed.map((value) => (value == null ? value : isLog && value <= 0 ? null : value / this.#scale));
  }

  /** A line that breaks at nulls and goes on over what is not there, and the band behind it. */
  #paths(plot, i) {
    const { lows, highs } = this.#drawn.lines[i];
    const means = plot.data[i + 1];
    const [times] = plot.data;
    const isBanded = this.#lines.length <= MOST_BANDS;
    const [stroke, fill, clip] = [new Path2D(), new Path2D(), new Path2D()];
    const { left, top, width, height } = plot.bbox;
    clip.rect(left, top, width, height);
    const [x, y] = this.#mapping(plot);
    let first = -1;
    const end = (last) => {
      if (isBanded && last > first && first >= 0) band(first, last);
      first = -1;
    };
    const band = (from, to) => {
      let isWide = false;
      for (let row = from; row <= to && !isWide; row++) isWide = highs[row] > lows[row];
      if (!isWide) return;
      let isBegun = false;
      for (let row = from; row <= to; row++) if (means[row] != null) fill[isBegun ? "lineTo" : ((isBegun = true), "moveTo")](x(times[row]), y(highs[row] / this.#scale));
      for (let row = to; row >= from; row--) if (means[row] != null) fill.lineTo(x(times[row]), y(lows[row] / this.#scale));
      fill.closePath();
    };
    let last = -1;
    for (let row = 0; row < means.length; row++) {
      const value = means[row];
      if (value === undefined) continue;
      if (value === null) {
        end(last);
        continue;
      }
      const [at, height] = [x(times[row]), y(value)];
      if (first < 0) stroke.moveTo(at, height);
      else stroke.lineTo(at, height);
      // Where there is no room for bands a moment's lowest and highest are joined: no spike is left out.
      if (!isBanded && highs[row] > lows[row]) {
        const [low, high] = [y(lows[row] / this.#scale), y(highs[row] / this.#scale)];
        if (low - high > 4) {
          stroke.moveTo(at, low);
          stroke.lineTo(at, high);
          stroke.moveTo(at, height);
        }
      }
      if (first < 0) first = row;
      last = row;
    }
    end(last);
    return { stroke, fill, clip, flags: 3 };
  }

  /** Where a time and a value stand on the canvas: as uPlot does it, once for many points. */
  #mapping(plot) {
    const { left, top, width, height } = plot.bbox;
    const [from, to] = [plot.scales.x.min, plot.scales.x.max];
    const isLog = this.#view.isLog;
    const of = isLog ? (value) => Math.log10(Math.max(value, this.#range[0])) : (value) => value;
    const [low, high] = [of(plot.scales.y.min), of(plot.scales.y.max)];
    const [across, up] = [width / (to - from), height / (high - low)];
    return [(time) => left + (time - from) * across, (value) => top + height - (of(value) - low) * up];
  }

  /** Dots where there are few points, and where one stands alone between breaks. */
  #points(i, show) {
    const means = this.#plot?.data[i + 1] ?? [];
    if (show) return null;
    const alone = [];
    let [last, isOpen] = [-1, false];
    means.forEach((value, row) => {
      if (value === undefined) return;
      if (value !== null && !isOpen) last = row;
      else if (value !== null) last = -1;
      else if (last >= 0) alone.push(last), (last = -1);
      isOpen = value !== null;
    });
    if (last >= 0) alone.push(last);
    return alone;
  }

  #split(low, high, height) {
    const [from, to] = [low * this.#scale, high * this.#scale];
    if (this.#view.isLog) {
      this.#ticks = decades(from, to);
      this.#label();
      return this.#ticks;
    }
    this.#step = stepFor(from / this.#unit.factor, to / this.#unit.factor, Math.max(1, Math.floor((height - 40) / TICK_SPACE)));
    this.#ticks = ticks(from / this.#unit.factor, to / this.#unit.factor, this.#step);
    this.#label();
    return this.#ticks.map((tick) => (tick * this.#unit.factor) / this.#scale);
  }

  /** Write the labels, where the ticks are others than before: texts are dear, and the axis mostly stands still. */
  #label() {
    const all = this.#ticks;
    const written = `${all[0]} ${all.at(-1)} ${this.#step} ${this.#how.unit} ${this.#how.isScientific}`;
    if (written === this.#written) return;
    this.#written = written;
    this.#texts = this.#view.isLog ? numberLabels(all) : labels(all, this.#step, this.#how);
    this.#base = this.#view.isLog ? 0 : baseOf(all, this.#texts);
    if (this.#base) {
      const offsets = all.map((tick) => tick - this.#base);
      const how = notation(Math.max(...offsets.map(Math.abs)), this.#step);
      this.#texts = labels(offsets, this.#step, how).map((text) => (text.startsWith("-") ? text : `+${text}`));
    }
    this.#measure();
  }

  /** All charts of a page have the same gutter, as wide as the widest text, so that their times stand below each other. */
  #measure() {
    const context = (Plot.context ??= document.createElement("canvas").getContext("2d"));
    context.font = FONT;
    const width = Math.ceil(Math.max(...this.labels.map((text) => context.measureText(text).width), 24)) + AXIS_ROOM;
    if (width > this.#view.gutter) {
      this.#view.gutter = width;
      this.#view.isWider = true;
    }
  }

  /** Draw a line or leave it out, as it says now. */
  show(line) {
    const row = this.#lines.indexOf(line) + 1;
    if (this.#plot.series[row].show !== line.shown) this.#plot.setSeries(row, { show: line.shown });
  }

  redraw() {
    // Its labels are measured again.
    this.#written = "";
    this.#plot.redraw(false, true);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  get lines() {
    return this.#lines;
  }

  /** The unit of the axis, as its title tells; before it what is to be added to each of its numbers. */
  get unit() {
    const base = this.#base ? `${this.base} + ` : "";
    return `${base}${this.#unit.text}`.trim();
  }

  /** The number that is to be added, as it is written. */
  get base() {
    return number(this.#base, 10 ** Math.floor(Math.log10(this.#ticks.at(-1) - this.#ticks[0])), this.#how);
  }

  get canvas() {
    return this.#plot.ctx.canvas;
  }

  /** What is drawn: the times, then a column for each line. */
  get data() {
    return this.#plot.data;
  }

  /** The labels of the y axis, as they are drawn. */
  get labels() {
    return this.#texts;
  }

  /** Let the pointer stand at a time, as the keyboard moves it, or nowhere. */
  pointAt(time) {
    this.#plot.setCursor({ left: time === undefined ? -10 : this.#plot.valToPos(time, "x"), top: 10 }, true, true);
  }

  #near() {
    return ((this.#view.to - this.#view.from) / Math.max(1, this.#plot?.over.clientWidth)) * NEAR;
  }

  #rowOf(index, time) {
    return rowAt(this.#plot.data[0], this.#plot.data[index + 1], time, this.#near());
  }

  /** What stands at the pointer: its time, and the text of each line's value; nothing where there is no pointer. */
  get pointed() {
    const { cursor } = this.#plot ?? {};
    if (cursor?.idx == null || cursor.left < 0) return undefined;
    const [times] = this.#plot.data;
    const rows = this.#lines.map((_, i) => cursor.idxs[i + 1]);
    const at = this.#plot.posToVal(cursor.left, "x");
    const nearest = rows.filter((row) => row != null).map((row) => times[row]).sort((a, b) => Math.abs(a - at) - Math.abs(b - at))[0];
    return { time: Math.abs(nearest - at) <= this.#near() ? nearest : at, texts: rows.map((row, i) => this.#textAt(row, i)) };
  }

  #textAt(row, i) {
    const { step, how, scale } = this.#lines[i];
    if (row == null) return "–";
    const { means, lows, highs } = this.#drawn.lines[i];
    const text = withUnit(means[row], step, how, scale);
    return this.#drawn.isBucketed && highs[row] > lows[row] ? `${text} (${withUnit(lows[row], step, how, { factor: scale.factor, text: "" })} to ${withUnit(highs[row], step, how, scale)})` : text;
  }
}

/**
 * A round number that all ticks are a little more than, where their labels would be too long beside the chart: of
 * 1.000000000000002e15 and its like a reader compares the last digits alone.
 */
function baseOf(all, texts) {
  const longest = Math.max(0, ...texts.map((text) => text.length));
  const range = all.at(-1) - all[0];
  if (longest <= LONGEST_LABEL || !(range > 0)) return 0;
  const power = 10 ** Math.ceil(Math.log10(range));
  return Math.floor(all[0] / power) * power;
}

/** What the y axis spans. There is no more than a hundred per cent, but for the width of a line, unless a number says so. */
function spanOf(low, high, isZero, unit) {
  if (!(low <= high)) return [0, 1];
  const [bottom, top] = isZero ? span(Math.min(0, low), Math.max(0, high)) : span(low, high);
  return [bottom, unit === "%" && high <= 100 ? Math.min(top, 100 + (100 - bottom) / 50) : top];
}

function logRange(lines) {
  let [low, high] = [Infinity, -Infinity];
  for (const { series } of lines) {
    for (let row = 0; row < series.length; row++) {
      if (series.low[row] > 0 && series.low[row] < low) low = series.low[row];
      if (series.high[row] > high) high = series.high[row];
    }
  }
  if (!(low <= high) || high <= 0) return [1, 10];
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + 1e-9)];
}

function decades(from, to) {
  const [first, last] = [Math.round(Math.log10(from)), Math.round(Math.log10(to))];
  const every = Math.max(1, Math.ceil((last - first) / 6));
  const found = [];
  for (let power = first; power <= last; power += every) found.push(10 ** power);
  return found;
}

function timeLabels(found, { to, from }) {
  const step = found.length > 1 ? found[1] - found[0] : 1;
  // Of several days a midnight is named by its day, any other time by its hour and minute.
  return found.map((tick) => clock(tick, step < 1 ? 3 : 0, to - from).replace(/, 00.+|^.+, (?!00)(.+):00/, "$1"));
}

const numberLabels = (found) => found.map((tick) => (Math.abs(tick) >= 1e6 || (tick !== 0 && Math.abs(tick) < 1e-3) ? tick.toExponential().replace("e+", "e") : tick.toLocaleString("en")));

/** What was dragged over is zoomed; the other charts show it too, and have no event. uPlot leaves the selection where it was, in pixels,
 *  which then are other times. */
function selected(plot, { onZoom }) {
  const { left, width } = plot.select;
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  if (plot.cursor.event && width > NEAR) onZoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
}

/** With the shift key the time is moved instead of chosen. */
function pannable(plot, view, { onPan }) {
  plot.over.addEventListener("pointerdown", (event) => {
    if (!event.shiftKey || event.button !== 0) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    const [x, from, to] = [event.clientX, view.from, view.to];
    plot.over.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const by = ((x - moved.clientX) / plot.over.clientWidth) * (to - from);
      onPan(from + by, to + by);
    };
    const end = () => {
      plot.over.removeEventListener("pointermove", move);
      plot.over.removeEventListener("lostpointercapture", end);
    };
    plot.over.addEventListener("pointermove", move);
    plot.over.addEventListener("lostpointercapture", end);
  }, { capture: true });
  plot.over.addEventListener("mousedown", (event) => {
    if (event.shiftKey) return event.stopImmediatePropagation();
    // Where the chart is now, and the time that is there now: uPlot would tell other charts those of when the pointer last moved.
    plot.syncRect(true);
    plot.setCursor({ left: event.clientX - plot.rect.left, top: 0 }, true, true);
  }, { capture: true });
}

/** Grey where nothing is known: the server was away, or nothing came. */
function drawSpans(plot, view) {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const { time, until, kind } of view.marks) {
    if (until === undefined || until < view.from || time > view.to) continue;
    const at = (value) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(value, "x", true)));
    ctx.fillStyle = faint(view.colour(kind === "silent" ? "--muted" : "--warn"), 0.1);
    ctx.fillRect(at(time), bbox.top, Math.max(1, at(until) - at(time)), bbox.height);
  }
  ctx.restore();
}

/**
 * A dashed line where something is missing, and beside it what happened. Where there is no room for the words of each, those of
 * the first say what all of its kind come to.
 */
function drawMarks(plot, view) {
  const { ctx, bbox } = plot;
  const ratio = bbox.width / Math.max(1, plot.over.clientWidth);
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  const colourOf = (kind) => view.colour(kind === "silent" || kind === "ended" ? "--muted" : "--warn");
  const right = bbox.left + bbox.width;
  const said = [];
  /** Where the words of a mark begin, and where they end. */
  const lay = (label) => {
    const width = ctx.measureText((label.text = wordsOf(label))).width + 4 * ratio;
    label.left = label.x + width < right ? label.x + 4 * ratio : label.x - width;
    label.end = label.left + width;
    return label;
  };
  for (const { time, kind, count, name } of [...view.marks].sort((a, b) => a.time - b.time)) {
    if (time < view.from || time > view.to) continue;
    ctx.strokeStyle = colourOf(kind);
    const x = Math.round(plot.valToPos(time, "x", true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (!count) continue;
    const label = lay({ x, kind, count, name });
    const before = said.findLast((each) => each.kind === kind);
    if (before?.end > label.left) lay(Object.assign(before, { count: before.count + count }));
    else said.push(label);
  }
  // Words of other kinds that would lie over these stand below them.
  const rows = [];
  for (const { text, kind, left, end } of said) {
    let row = rows.findIndex((free) => left >= free);
    if (row < 0) row = rows.length;
    rows[row] = end;
    ctx.fillStyle = colourOf(kind);
    ctx.fillText(text, left, bbox.top + (2 + 14 * row) * ratio);
  }
  ctx.restore();
}
