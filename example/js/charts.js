/** Charts that move: a thin layer over uPlot with the page's colours, a key that shows values, and gaps. */

import uPlot from "../-/uplot/uPlot.min.js";
import { make } from "./parts.js";

/** A colour of the sheet, as it is now: light and dark differ. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function translucent(name, alpha) {
  return colour(name) + Math.round(alpha * 255).toString(16).padStart(2, "0");
}

/** Everything drawn so far, to draw it again in new colours or at a new width. */
const charts = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.recolour()));

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {string} colour   a custom property of the sheet, `--c1`
 * @property {number} [width]  in pixels
 * @property {number} [fill]   opacity of the area below it, 0 to 1
 * @property {boolean} [bars]  bars instead of a line
 * @property {boolean} [quiet] no entry in the key
 */

export class Chart {
  #plot;
  #data;
  #keys;
  #format;
  #range;

  /**
   * @param {HTMLElement} host  gets the key and the plot
   * @param {object} options
   * @param {string} options.title
   * @param {Line[]} options.lines
   * @param {(value: number) => string} options.format
   * @param {(lowest: number, highest: number) => [number, number]} options.range  what the y axis spans
   * @param {Array} [options.bands]  uPlot's
   * @param {boolean} [options.days]  the points are days (in UTC), not moments of this day
   */
  constructor(host, { title, lines, format, range, bands, days = false }) {
    this.#format = format;
    this.#data = [[], ...lines.map(() => [])];
    this.#keys = lines.map((line) => {
      const key = make("span", { className: "key", hidden: Boolean(line.quiet) });
      key.style.setProperty("--colour", `var(${line.colour})`);
      key.dataset.label = line.label;
      return key;
    });
    const place = make("div", { className: "plot" });
    host.replaceChildren(make("header", {}, make("h2", { text: title }), ...this.#keys), place);
    const axis = {
      stroke: () => colour("--muted"),
      grid: { stroke: () => colour("--grid"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const size = () => ({ width: Math.max(120, place.clientWidth), height: place.clientHeight });
    this.#plot = new uPlot(
      {
        ...size(),
        legend: { show: false },
        padding: [8, 4, 0, 0],
        cursor: { sync: { key: "slosh" }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: true, range: () => this.#range ?? [0, 1] }, y: { range: (_, low, high) => range(low ?? 0, high ?? 0) } },
        axes: [
          days ? { ...axis, space: 60, size: 44 } : { ...axis, space: 90, size: 28, values: clocks },
          { ...axis, size: 66, gap: 6, space: 36, values: (_, ticks) => ticks.map(format) },
        ],
        series: [{}, ...lines.map(series)],
        tzDate: days ? (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC") : undefined,
        bands: bands?.map((band) => ({ ...band, fill: () => translucent(band.colour, 0.22) })),
        hooks: { setCursor: [() => this.#showValues()] },
      },
      this.#data,
      place,
    );
    new ResizeObserver(() => this.#plot.setSize(size())).observe(place);
    charts.add(this);
  }

  /** Add a point, one value for each line. `time` is in seconds and never goes back (see `clear`). */
  push(time, values) {
    this.#data[0].push(time);
    values.forEach((value, i) => this.#data[i + 1].push(value));
  }

  /** Break the lines at `time`: nothing is known of what comes until the next point. */
  breakAt(time) {
    this.#data.forEach((column, i) => column.push(i === 0 ? time : null));
  }

  /** Forget the points before `time`, but for the newest of them: its line still comes in from the left. */
  forget(time) {
    const times = this.#data[0];
    let gone = 0;
    while (gone + 1 < times.length && times[gone + 1] < time) gone++;
    if (gone) this.#data.forEach((column) => column.splice(0, gone));
  }

  /** Draw the span of time from `from` to `to`, in seconds. */
  show(from, to) {
    this.#range = [from, to];
    this.#plot.setData(this.#data);
    this.#showValues();
  }

  clear() {
    this.#data.forEach((column) => (column.length = 0));
  }

  recolour() {
    this.#plot.redraw(false, true);
  }

  #showValues() {
    const at = this.#plot?.cursor.idx ?? this.#data[0].length - 1;
    this.#keys.forEach((key, i) => {
      const value = this.#data[i + 1][at];
      key.textContent = `${key.dataset.label} ${value == null ? "–" : this.#format(value)}`;
    });
  }
}

/** Half the width of a time on the axis, in pixels. */
const HALF = 26;

/** 17:05:30 for each time in seconds; nothing for the one that the right edge would cut. */
function clocks(plot, times) {
  const last = plot.over.clientWidth - HALF;
  const text = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");
  return times.map((time) => (plot.valToPos(time, "x") > last ? "" : text(time)));
}

function series({ label, colour: name, width = 2, fill, bars }) {
  return {
    label,
    width,
    stroke: () => colour(name),
    fill: fill ? () => translucent(name, fill) : undefined,
    paths: bars ? uPlot.paths.bars({ size: [0.7, 12] }) : undefined,
    points: { show: false },
  };
}

/** The y axis of per cent. */
export const percent = () => [0, 100];

/** A y axis from nothing to a little above the highest value, and at least to `least`. */
export const upward = (least) => (_, highest) => [0, Math.max(least, highest * 1.15)];
