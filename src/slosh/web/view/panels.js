/** The charts of a page: which lines share one, what its head says, and the bands of states. */

import { clock, naturally, number, unitOf, withUnit } from "./numbers.js";
import { BETWEEN } from "./lines.js";
import { arrange, isHeld, keepFocus, make, write } from "./page.js";
import { clear, FONT, nameIn, Plot, RIGHT } from "./plot.js";
import { COLOURS, isSilent } from "./states.js";

/** Numbers whose sizes differ by more than this factor get charts of their own, so that each has an eighth of the height at
 *  least; they move when it got plainly worse. */
const TOGETHER = 8;
const TOO_FAR = 1.5 * TOGETHER;
/** Milliseconds between two looks at the sizes. */
const REGROUP = 500;
/** Lines that are told apart by dashes, where there are more than colours: of very many each is one of a crowd. */
const MOST_DASHED = 24;
/** Keys above one chart; the table has all. */
export const MOST_KEYS = 24;

export class Panels {
  plots = [];
  #groups = [];
  #drawnAs = { lines: [], labels: [] };
  #lookedAt = 0;
  #host;
  #view;
  #units;
  #calls;
  #keys = new Map();

  constructor(host, view, units, calls) {
    this.#host = host;
    this.#view = view;
    this.#units = units;
    this.#calls = calls;
  }

  /** Draw these lines. */
  draw(lines) {
    // A key that is pressed, and a chart that is dragged over, stay until they are released.
    if (!isHeld()) {
      for (const line of lines) line.unit ??= unitOf(line.path, this.#units);
      const isSame = this.#isSame(lines);
      if (!isSame) dress(lines);
      this.#regroup(lines, isSame);
    }
    for (const plot of this.plots) plot.draw(plot.panel.isSeen);
    if (this.#view.isWider) {
      // One chart needs a wider gutter: all have it.
      this.#view.isWider = false;
      for (const plot of this.plots) plot.redraw();
    }
  }

  /** Draw those that are out of sight too: on paper they are not. */
  drawAll() {
    for (const plot of this.plots) plot.draw();
  }

  /** Whether the same lines are drawn as the last time, under the same names. */
  #isSame(lines) {
    const { isLog } = this.#view;
    const before = this.#drawnAs;
    const isSame = before.isLog === isLog && before.lines.length === lines.length && lines.every((line, i) => line === before.lines[i] && line.label === before.labels[i]);
    if (!isSame) this.#drawnAs = { isLog, lines: [...lines], labels: lines.map(({ label }) => label) };
    return isSame;
  }

  /** What belongs together shares a chart where its unit and its size are the same, so that a load of 0.3 does not lie flat
   *  below eight billion bytes; lines of one name, as of several hosts or cores, always do. */
  #regroup(lines, isSame) {
    const now = performance.now();
    if (isSame && now - this.#lookedAt < REGROUP) return;
    this.#lookedAt = now;
    const [from, to] = this.#view.isTime ? [this.#view.from, this.#view.to] : [-Infinity, Infinity];
    const kinds = new Map();
    for (const line of lines) {
      const name = kindOf(line);
      if (!kinds.has(name)) kinds.set(name, { lines: [], peak: 0 });
      const kind = kinds.get(name);
      kind.lines.push(line);
      kind.peak = Math.max(kind.peak, line.series.facts(from, to).peak);
    }
    const peakOf = (line) => kinds.get(kindOf(line)).peak;
    const isGood = isSame && this.#groups.every((group) => {
      const sizes = group.map(peakOf).filter((peak) => peak > 0);
      return this.#view.isLog || sizes.length < 2 || Math.max(...sizes) / Math.min(...sizes) <= TOO_FAR;
    });
    if (isGood) return;
    this.#groups = [];
    for (const { lines: alike, peak } of [...kinds.values()].sort((a, b) => b.peak - a.peak)) {
      const isSize = (first) => first.unit === alike[0].unit && (this.#view.isLog || peak === 0 || peakOf(first) / peak <= TOGETHER);
      const group = this.#groups.find((lines) => isSize(lines[0]) && alike.some((line) => lines.some((other) => isRelated(line, other))));
      if (group) group.push(...alike);
      else this.#groups.push([...alike]);
    }
    // As they came; of many by their names, house/2 before house/10.
    for (const group of this.#groups) group.sort((a, b) => Boolean(b.isPinned) - Boolean(a.isPinned) || (group.length > COLOURS ? naturally(a.label, b.label) : lines.indexOf(a) - lines.indexOf(b)));
    this.#groups.sort((a, b) => lines.indexOf(a[0]) - lines.indexOf(b[0]));
    // A key may go from one chart to another.
    keepFocus(this.#host, () => this.#build());
  }

  /** Make the charts that are not there yet. What stays keeps its place, the focus, and how far its keys are scrolled. */
  #build() {
    const { isLog } = this.#view;
    const left = new Set(this.plots);
    const claim = (isIt) => {
      const found = [...left].find(isIt);
      left.delete(found);
      return found;
    };
    const looksOf = (group) => `${isLog} ${JSON.stringify(group.map(({ label, dash }) => [label, dash]))}`;
    this.#view.gutter = 46;
    const kept = this.#groups.map((group) => claim(({ looks, lines }) => looks === looksOf(group) && lines.every((line, i) => line === group[i])));
    this.plots = this.#groups.map((group, i) => kept[i] ?? this.#chart(group, looksOf(group), claim(({ lines }) => lines.some((line) => group.includes(line)))));
    for (const plot of left) plot.destroy();
    arrange(this.#host, this.plots.map(({ panel }) => panel.element));
    for (const plot of this.plots) {
      for (const line of plot.lines) this.show(line);
      plot.redraw();
    }
  }

  /** A chart of these lines, in the place of another one where there is one. */
  #chart(group, looks, before) {
    const panel = before?.panel ?? this.#panel();
    before?.destroy();
    panel.place.ariaLabel = `Line chart of ${group.slice(0, MOST_KEYS).map((line) => line.label).join(", ")}`;
    const more = group.length - MOST_KEYS;
    arrange(panel.keys, [...group.slice(0, MOST_KEYS).map((line) => this.#key(line)), ...(more > 0 ? [make("span", { className: "quiet small", textContent: `and ${more} more, in the table` })] : [])]);
    return Object.assign(new Plot(panel.place, group, this.#view, this.#calls), { looks, panel });
  }

  #panel() {
    const [place, keys, at, unit] = [make("div", { className: "plot", role: "img" }), make("div", { className: "keys" }), make("time", { className: "at" }), make("span", { className: "unit" })];
    const element = make("section", { className: "panel chart" }, make("div", { className: "chart-head" }, keys, unit, at), place);
    const panel = { element, place, keys, at, unit, isSeen: true };
    this.#host.append(element);
    // What is scrolled out of sight is not drawn, and comes into sight also while the page is paused.
    new IntersectionObserver((entries) => ((panel.isSeen = entries.at(-1).isIntersecting), this.#calls.onChange?.()), { rootMargin: "100% 0px" }).observe(element);
    return panel;
  }

  #key(line) {
    if (!this.#keys.has(line)) {
      const key = makeKey("Click: hide or show. Double-click, or Alt: only this one");
      key.addEventListener("click", (event) => (event.altKey ? this.#calls.onSolo(line) : this.#calls.onHide(line)));
      key.addEventListener("dblclick", () => this.#calls.onSolo(line));
      this.#keys.set(line, key);
    }
    const key = this.#keys.get(line);
    nameIn(key.firstChild, line.parts);
    return key;
  }

  /** A line was hidden or shown, or looks otherwise. */
  show(line) {
    const key = this.#keys.get(line);
    if (key) dressKey(key, line);
    this.plots.find(({ lines }) => lines.includes(line))?.show(line);
  }

  /** The values at the pointer and its time, else the newest. */
  showValues() {
    for (const plot of this.plots) {
      const { pointed, panel } = plot;
      const span = this.#view.to - this.#view.from;
      write(panel.at, pointed ? (this.#view.isTime ? clock(pointed.time, span > 600 ? 0 : 3, span) : `at ${number(pointed.time, 0.001, { unit: 1, suffix: "" })}`) : "");
      write(panel.unit, plot.unit);
      plot.lines.forEach((line, i) => {
        const key = this.#keys.get(line);
        if (!key) return;
        write(key.lastChild, pointed ? pointed.texts[i] : withUnit(line.newest, line.step, line.how, line.scale));
        fade(key.lastChild, !pointed && this.#view.isTime && isSilent(line, this.#view.to));
      });
    }
  }

  /** Draw with the colours and the sizes that the sheet has now. */
  recolour() {
    this.#view.recolour();
    for (const plot of this.plots) plot.fit(), plot.redraw();
  }
}

/** A line's unit, and what it is called, of several topics, hosts or cores: `cpu` of `cpu[3]`. A number alone is called as its topic is,
 *  and one of a message that is a list by its place there, since such numbers may be of anything. */
const kindOf = ({ unit, path, source }) => `${unit} ${path === "value" ? `/${source.slice(source.lastIndexOf("/") + 1)}` : path.replaceAll(/\[\d+\]/g, "") || path}`;

/** Whether two lines may be compared: those of one topic, and numbers that have no name but their topics'. */
const isRelated = (line, other) => line.source === other.source || (line.path === "value" && other.path === "value");

/** Give each line that is drawn a colour that no other has, as long as there are some; after that they are dashed, and of very
 *  many each colour has as many lines as any other. A line keeps what it has, unless one before it has the same. */
function dress(lines) {
  const isCrowd = lines.length > MOST_DASHED;
  const used = new Map(Array.from({ length: COLOURS }, (_, i) => [`--s${i + 1}`, 0]));
  const taken = new Set();
  const most = Math.ceil(lines.length / COLOURS);
  const bare = [];
  for (const line of lines) {
    if (isCrowd) line.dash = undefined;
    const look = `${line.colour} ${line.dash}`;
    if (!line.colour || (isCrowd ? used.get(line.colour) >= most : taken.has(look))) bare.push(line);
    else {
      taken.add(look);
      used.set(line.colour, used.get(line.colour) + 1);
    }
  }
  for (const line of bare) {
    const [colour, count] = [...used].reduce((least, each) => (each[1] < least[1] ? each : least));
    used.set(colour, count + 1);
    [line.colour, line.dash] = [colour, undefined];
    // A dash that another line of this colour has kept is not given again.
    for (let n = 1; !isCrowd && taken.has(`${colour} ${line.dash}`); n++) line.dash = [4 + 2 * n, 3];
    taken.add(`${colour} ${line.dash}`);
  }
}

/** A button with room for a name and a value. */
export const makeKey = (title) => make("button", { className: "key", title }, make("span"), make("b"));

/** Show in a key whether its line is hidden, and how it looks. */
export function dressKey(key, line) {
  key.ariaPressed = line.shown;
  paintSwatch(key, line);
}

/** Show in a key or a row how its line looks: its colour, and whether it is dashed. */
export function paintSwatch(element, { colour, dash }, isDrawn = true) {
  element.style.setProperty("--colour", isDrawn ? `var(${colour})` : "transparent");
  element.classList.toggle("dashed", isDrawn && Boolean(dash));
}

/** A value of which nothing came for long is faint: it may be another one now. */
const fade = (element, isOld) => (element.style.opacity = isOld ? 0.5 : "");

/** Booleans and states as bands of colour, each below its name. */
export class Bands {
  #host;
  #view;
  #rows = new Map();

  constructor(host, view) {
    this.#host = host;
    this.#view = view;
  }

  draw(states, partsOf, edge) {
    if (!isHeld()) this.#lay(states, partsOf, edge);
    for (const state of states) if (this.#rows.has(state)) this.#paint(this.#rows.get(state).lastChild, state, edge);
  }

  /** Give each a row, with its name and what it is now. */
  #lay(states, partsOf, edge) {
    this.#host.hidden = !states.length;
    for (const [state, row] of this.#rows) {
      if (states.includes(state)) continue;
      row.remove();
      this.#rows.delete(state);
    }
    for (const state of states) {
      if (!this.#rows.has(state)) {
        const row = make("div", { className: "band" }, make("div", { className: "band-head" }, make("span"), make("b")), make("canvas", { role: "img" }));
        this.#rows.set(state, row);
        this.#host.append(row);
      }
      const newest = state.changes.at(-1);
      const parts = partsOf(state);
      const [head, canvas] = this.#rows.get(state).children;
      nameIn(head.firstChild, parts);
      const isOld = isSilent(state, edge);
      write(head.lastChild, newest.isOver ? "–" : newest.text);
      fade(head.lastChild, isOld);
      canvas.ariaLabel = `${parts.join(BETWEEN)}: now ${newest.isOver || isOld ? "unknown" : newest.text}, ${state.changes.length} changes`;
    }
  }

  #paint(canvas, state, edge) {
    const isOld = isSilent(state, edge);
    const [context, width, height] = clear(canvas);
    context.font = FONT;
    context.textBaseline = "middle";
    const { from, to, gutter } = this.#view;
    const x = (time) => gutter + ((Math.min(to, Math.max(from, time)) - from) / (to - from)) * (width - gutter - RIGHT);
    state.changes.forEach((change, i) => {
      const next = state.changes[i + 1];
      // A state holds until the next one, unless something is missing in between.
      const until = change.isOver ? change.until : (next?.from ?? (isOld ? change.until : Math.max(change.until, Math.min(edge, to))));
      if (until < from || change.from > to) return;
      const [left, right] = [x(change.from), x(until)];
      const isOff = /^(false|off|0|no|closed|idle)$/i.test(change.text);
      context.fillStyle = isOff ? this.#view.colour("--line") : this.#view.colour(`--s${state.values.get(change.text) + 1}`);
      context.globalAlpha = isOff ? 1 : 0.85;
      context.fillRect(left, 0, Math.max(1, right - left), height);
      context.globalAlpha = 1;
      const room = right - left - 12;
      // To measure a text is dear, and of many changes none has room for one.
      if (room < 0 || room < context.measureText(change.text).width) return;
      context.fillStyle = isOff ? this.#view.colour("--ink") : "#000";
      context.fillText(change.text, left + 6, height / 2 + 0.5);
    });
  }
}
