/** A chart that moves: a thin layer over uPlot with the sheet's colours, and a key that shows values and hides lines. */

import { number, span } from "./numbers.js";
import uPlot from "./uplot/uPlot.esm.js";

/** A colour of the sheet, as it is now: light and dark differ. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** 17:05:30, of a time in seconds. */
export const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");

/** Make an element. Text goes in as text, never as HTML. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** What all charts show, in seconds: from where, to where, and until when the times of the points are guessed. */
export const shown = { from: 0, to: 1, guessedUntil: 0 };

export class Chart {
  #plot;
  #lines;
  #keys;
  #observer;

  constructor(host, group) {
    this.#lines = group;
    this.#keys = group.map((line) => this.#key(line));
    const place = make("div", { className: "plot" });
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", `Line chart of ${group.map((line) => line.path).join(", ")}`);
    host.append(make("section", { className: "panel chart" }, make("div", { className: "keys" }, ...this.#keys), place));
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const size = () => ({ width: Math.max(120, place.clientWidth), height: place.clientHeight });
    this.#plot = new uPlot(
      {
        ...size(),
        legend: { show: false },
        padding: [8, 26, 0, 0],
        cursor: { sync: { key: "view" }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: true, range: () => [shown.from, shown.to] }, y: { range: (_, low, high) => span(low, high) } },
        axes: [
          { ...axis, space: 80, size: 28, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 62, gap: 6, space: 34, values: (_, ticks) => ticks.map((tick) => number(tick, Math.abs(ticks[1] - ticks[0]) || undefined)) },
        ],
        series: [{}, ...group.map((line) => ({ label: line.path, width: 2, stroke: () => colour(line.colour), show: line.shown, points: { size: 5, fill: () => colour(line.colour) } }))],
        hooks: { drawClear: [shadeGuessed], setCursor: [() => this.#showValues()] },
      },
      [[], ...group.map((line) => [])],
      place,
    );
    this.#observer = new ResizeObserver(() => this.#plot.setSize(size()));
    this.#observer.observe(place);
  }

  #key(line) {
    const key = make("button", { type: "button", className: "key", title: "Show or hide this line" }, make("span", { textContent: line.path }), make("b"));
    key.style.setProperty("--colour", `var(${line.colour})`);
    key.setAttribute("aria-pressed", String(line.shown));
    key.addEventListener("click", () => {
      line.shown = !line.shown;
      key.setAttribute("aria-pressed", String(line.shown));
      this.#plot.setSeries(this.#lines.indexOf(line) + 1, { show: line.shown });
    });
    return key;
  }

  /** Draw anew: a column of the line for each, beside the times. */
  draw(times) {
    this.#plot.setData([times, ...this.#lines.map((line) => line.column)]);
    this.#showValues();
  }

  recolour() {
    this.#plot.redraw(false, true);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  /** The values under the pointer, else the newest. */
  #showValues() {
    const at = this.#plot?.cursor.idx;
    this.#keys.forEach((key, i) => {
      const { column, newest } = this.#lines[i];
      key.lastChild.textContent = number(at == null ? newest : column[at]);
    });
  }
}

function shadeGuessed(plot) {
  if (shown.guessedUntil <= shown.from) return;
  const right = Math.min(plot.valToPos(shown.guessedUntil, "x", true), plot.bbox.left + plot.bbox.width);
  plot.ctx.fillStyle = colour("--sunken");
  plot.ctx.fillRect(plot.bbox.left, plot.bbox.top, right - plot.bbox.left, plot.bbox.height);
}
