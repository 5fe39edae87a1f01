/** A chart that moves: a thin layer over uPlot with the sheet's colours, and a key that shows values and hides lines. */

import { gapsOf, rowAt } from "./lines.js";
import { clock, labels, notation, number, resolution, span, stepFor, ticks } from "./numbers.js";
import uPlot from "./uplot/uPlot.esm.js";

/** Pixels between two labels of the y axis, and around the widest one. */
const TICK_SPACE = 34;
const AXIS_ROOM = 14;
/** Pixels within which the pointer means a point. */
const NEAR = 8;
const FONT = "12px system-ui, sans-serif";

/** A colour of the sheet, as it is now: light and dark differ. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Make an element. Text goes in as text, never as HTML. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** What all charts show, in seconds: from where, to where, and what happened at which time. */
export const shown = { from: 0, to: 1, marks: [] };

export class Chart {
  #plot;
  #lines;
  #keys;
  #at;
  #observer;
  #ticks = [];
  #step = 1;
  #scale = 1;
  #how = notation(1, 1);
  #width = 40;

  /** @param {(from: number, to: number) => void} onZoom  called with what was dragged over, in seconds; without arguments to go back */
  constructor(host, group, onZoom) {
    this.#lines = group;
    this.#keys = group.map((line) => this.#key(line));
    this.#at = make("time", { className: "at" });
    const place = make("div", { className: "plot" });
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `Line chart of ${group.map((line) => line.label).join(", ")}`);
    host.append(make("section", { className: "panel chart" }, make("div", { className: "keys" }, ...this.#keys, this.#at), place));
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false }, font: FONT };
    const size = () => ({ width: Math.max(120, place.clientWidth), height: place.clientHeight });
    this.#plot = new uPlot(
      {
        ...size(),
        legend: { show: false },
        padding: [8, 26, 0, 0],
        cursor: {
          sync: { key: "view" }, y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7 },
          dataIdx: (plot, series, row, time) => (series === 0 ? row : this.#rowOf(series - 1, time)),
        },
        scales: { x: { time: true, range: () => [shown.from, shown.to] }, y: { range: (_, low, high) => span(low, high) } },
        axes: [
          { ...axis, space: 80, size: 28, values: (_, found) => timeLabels(found) },
          {
            ...axis, gap: 6, size: (_, texts) => this.#measure(texts),
            // uPlot's own steps end at 10^17; it draws at those that are given.
            space: 1e-30, incrs: () => [10],
            splits: (plot, _, low, high) => this.#split(low, high, plot.height), values: () => labels(this.#ticks, this.#step, this.#how),
          },
        ],
        series: [{}, ...group.map((line) => ({ label: line.label, width: 2, stroke: () => colour(line.colour), dash: line.dash, show: line.shown, gaps: gapsIn, points: { size: 5, fill: () => colour(line.colour) } }))],
        hooks: {
          draw: [drawMarks],
          setCursor: [() => this.#showValues()],
          setSelect: [({ select, posToVal }) => select.width > NEAR && onZoom(posToVal(select.left, "x"), posToVal(select.left + select.width, "x"))],
        },
      },
      [[], ...group.map(() => [])],
      place,
    );
    this.#plot.over.addEventListener("dblclick", () => onZoom());
    this.#observer = new ResizeObserver(() => this.#plot.setSize(size()));
    this.#observer.observe(place);
  }

  #key(line) {
    const key = make("button", { type: "button", className: "key", title: "Show or hide this line" }, make("span", { textContent: line.label }), make("b"));
    key.style.setProperty("--colour", `var(${line.colour})`);
    key.setAttribute("aria-pressed", String(line.shown));
    key.addEventListener("click", () => {
      line.shown = !line.shown;
      key.setAttribute("aria-pressed", String(line.shown));
      this.#plot.setSeries(this.#lines.indexOf(line) + 1, { show: line.shown });
    });
    return key;
  }

  /** Draw again: a column of the line for each, beside the times. `found` has the bounds of each line. */
  draw(times, found) {
    let size = 0;
    for (const line of this.#lines) {
      const { low, high, peak } = found.get(line);
      size = Math.max(size, peak);
      line.step = low === undefined ? 1 : resolution(low, high);
    }
    this.#how = notation(size, Math.min(...this.#lines.map((line) => line.step)));
    // Very large and very small numbers are drawn as such between 1 and 10, which is what uPlot can do.
    this.#scale = this.#how.isScientific ? 10 ** Math.floor(Math.log10(size)) : 1;
    for (const line of this.#lines) line.how = this.#how;
    this.#plot.setData([times, ...this.#lines.map(({ column }) => this.#scaled(column))]);
    this.#showValues();
  }

  #scaled(column) {
    return this.#scale === 1 ? column : column.map((value) => (value == null ? value : value / this.#scale));
  }

  #split(low, high, height) {
    const [from, to] = [low * this.#scale, high * this.#scale];
    this.#step = stepFor(from, to, Math.floor((height - 40) / TICK_SPACE));
    this.#ticks = ticks(from, to, this.#step);
    return this.#ticks.map((tick) => tick / this.#scale);
  }

  /** As wide as the widest text; a little narrower is no reason to move everything. */
  #measure(texts) {
    if (!texts) return this.#width;
    const context = (Chart.context ??= document.createElement("canvas").getContext("2d"));
    context.font = FONT;
    const width = Math.ceil(Math.max(26, ...texts.map((text) => context.measureText(text).width))) + AXIS_ROOM;
    if (width > this.#width || width < this.#width - 16) this.#width = width;
    return this.#width;
  }

  recolour() {
    this.#plot.redraw(false, true);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  /** What is drawn: the times, then a column for each line. */
  get data() {
    return this.#plot.data;
  }

  /** The labels of the y axis, as they are drawn. */
  get labels() {
    return labels(this.#ticks, this.#step, this.#how);
  }

  #rowOf(index, time) {
    const { column } = this.#lines[index];
    const near = ((shown.to - shown.from) / Math.max(1, this.#plot?.over.clientWidth)) * NEAR;
    return rowAt(this.#plot.data[0], column, time, near);
  }

  /** The values at the pointer and its time, else the newest. */
  #showValues() {
    const { cursor } = this.#plot ?? {};
    const isThere = cursor?.idx != null && cursor.left >= 0;
    const rows = isThere ? this.#lines.map((_, i) => cursor.idxs[i + 1]) : [];
    const [times] = this.#plot?.data ?? [[]];
    if (isThere) {
      const pointed = this.#plot.posToVal(cursor.left, "x");
      const told = rows.filter((row) => row != null).map((row) => times[row]);
      const nearest = told.sort((a, b) => Math.abs(a - pointed) - Math.abs(b - pointed))[0];
      const near = ((shown.to - shown.from) / this.#plot.over.clientWidth) * NEAR;
      this.#at.textContent = clock(Math.abs(nearest - pointed) <= near ? nearest : pointed, 3);
    } else this.#at.textContent = "";
    this.#keys.forEach((key, i) => {
      const { column, newest, step, how } = this.#lines[i];
      key.lastChild.textContent = number(isThere ? column[rows[i]] : newest, step, how);
    });
  }
}

function timeLabels(found) {
  const step = found.length > 1 ? found[1] - found[0] : 1;
  return found.map((tick) => clock(tick, step < 1 ? 3 : 0));
}

/** uPlot's own gaps end at the rows beside a null, which may be another line's. */
function gapsIn(plot, series) {
  const [times] = plot.data;
  const at = (row) => Math.round(plot.valToPos(times[row], "x", true));
  return gapsOf(plot.data[series]).map(([from, to]) => [at(from), at(to)]);
}

/** A dashed line where something is missing, and beside it what happened, where there is room. */
function drawMarks(plot) {
  const { ctx, bbox } = plot;
  const ratio = bbox.width / Math.max(1, plot.over.clientWidth);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--warn");
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  let free = -Infinity;
  for (const { time, text } of shown.marks) {
    if (time < shown.from || time > shown.to) continue;
    const x = Math.round(plot.valToPos(time, "x", true));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(text).width + 4 * ratio;
    const at = x + width < bbox.left + bbox.width ? x + 4 * ratio : x - width;
    if (at < free) continue;
    ctx.fillText(text, at, bbox.top + 2 * ratio);
    free = at + width;
  }
  ctx.restore();
}
