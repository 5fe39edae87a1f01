/** The table of all lines: what is drawn, and the newest, lowest, mean and highest of what is shown. */

import { clock, howOf, naturally, notation, scaleOf, stepOf, unitOf, withUnit } from "./numbers.js";
import { arrange, make, write } from "./page.js";
import { paintSwatch } from "./panels.js";
import { nameIn } from "./plot.js";

/** A filter is offered where there are so many lines. */
const MANY = 8;
/** Rows that are shown at a time. */
const MOST_ROWS = 100;
/** Pixels of a character, of what stands beside the four numbers, and around each; in a window as narrow as a
 *  phone (36rem in view.css) the first has a row for itself. */
const CHARACTER = 8.1;
const [BESIDE, AROUND] = [210, 16];
const [PHONE, AROUND_ON_PHONE] = [577, 7];

export class Table {
  #rows = new Map();
  #elements;
  #units;
  #calls;
  #filter = "";
  /** Pixels that the table has. */
  #width = Infinity;

  /** @param elements  `body`, `filter`, `all`, `none`, `tools` */
  constructor(elements, units, calls) {
    this.#elements = elements;
    this.#units = units;
    this.#calls = calls;
    new ResizeObserver(([{ contentRect }]) => (this.#width = contentRect.width)).observe(elements.body.parentElement.parentElement);
    elements.filter.addEventListener("input", () => {
      this.#filter = elements.filter.value.trim().toLowerCase();
      calls.onChange();
    });
    elements.all.addEventListener("click", () => this.#choose(true));
    elements.none.addEventListener("click", () => this.#choose(false));
  }

  #choose(isDrawn) {
    for (const line of this.#rows.keys()) {
      if (!this.#fits(line)) continue;
      Object.assign(line, { isDrawn: isDrawn || line.isPinned, isTouched: true });
    }
    this.#calls.onChoose();
  }

  #fits(line) {
    return !this.#filter || line.label.toLowerCase().includes(this.#filter);
  }

  has(line) {
    return this.#rows.get(line)?.cells[0].querySelector("input").checked;
  }

  draw(lines, drawn, from, to) {
    const { tools } = this.#elements;
    // A filter that the key `f` showed stays for as long as it is used.
    tools.hidden = lines.length < MANY && !this.#filter && !tools.contains(document.activeElement);
    let count = 0;
    let longest = 0;
    let isOrdered = true;
    for (const line of lines) {
      const row = this.#rows.get(line) ?? this.#add(line);
      if (row.pinned !== Boolean(line.isPinned) || row.name !== line.label) {
        this.#name(line, row);
        isOrdered = false;
      }
      const isShown = line.isPinned || (this.#fits(line) && count < MOST_ROWS);
      if (isShown) count++;
      if (row.hidden === isShown) row.hidden = !isShown;
      if (isShown) longest = Math.max(longest, this.#fill(row, line, drawn.has(line), from, to));
    }
    if (!isOrdered) this.#order();
    this.#elements.body.parentElement.classList.toggle("long", longest * CHARACTER > this.#room());
  }

  /** Pixels of a number in one of four columns. */
  #room() {
    return innerWidth < PHONE ? this.#width / 4 - AROUND_ON_PHONE : (this.#width - BESIDE) / 4 - AROUND;
  }

  #add(line) {
    const tick = make("input", { type: "checkbox" });
    tick.addEventListener("change", () => {
      Object.assign(line, { isDrawn: tick.checked, isTouched: true });
      this.#calls.onChoose();
    });
    const only = make("button", { type: "button", className: "link only", textContent: "only", title: "Draw this one alone" });
    only.addEventListener("click", () => this.#calls.onSolo(line));
    const name = make("label", {}, tick, make("span", { className: "swatch" }), make("span", { className: "name" }));
    const pin = make("button", { type: "button", className: "link pin", title: "Keep it on top, and drawn whatever else is" });
    pin.addEventListener("click", () => this.#calls.onPin(line));
    const row = make("tr", {}, make("td", {}, name), make("td"), make("td"), make("td"), make("td"), make("td", { className: "tool" }, pin, only));
    this.#rows.set(line, row);
    return row;
  }

  /** Note how a line is called and whether it is pinned. */
  #name(line, row) {
    [row.pinned, row.name] = [Boolean(line.isPinned), line.label];
    const pin = row.querySelector(".pin");
    pin.ariaPressed = row.pinned;
    pin.textContent = row.pinned ? "pinned" : "pin";
  }

  /** What is pinned stands on top. The others as they came; of many by their names. */
  #order() {
    const rows = [...this.#rows.values()].sort((a, b) => b.pinned - a.pinned || (this.#rows.size > MANY ? naturally(a.name, b.name) : 0));
    arrange(this.#elements.body, rows);
  }

  /** Write what there is into a row; gives the characters of its longest number. */
  #fill(row, line, isDrawn, from, to) {
    const { cells } = row;
    const [tick, swatch, name] = cells[0].firstChild.children;
    if (tick.checked !== isDrawn) tick.checked = isDrawn;
    paintSwatch(swatch, line, isDrawn);
    nameIn(name, line.parts);
    const facts = isDrawn && line.facts ? line.facts : line.series.facts(from, to);
    if (!isDrawn || !line.how) {
      line.unit ??= unitOf(line.path, this.#units);
      line.step = stepOf({ ...line, facts });
      line.scale = scaleOf(line.unit, facts.peak);
      line.how = howOf({ ...line, facts }, notation(facts.peak / line.scale.factor, line.step / line.scale.factor));
    }
    return [line.newest, facts.low, facts.mean, facts.high].reduce((longest, value, i) => {
      const text = line.timeUnit && value !== undefined ? clock(value / line.timeUnit) : withUnit(value, line.step, line.how, line.scale);
      write(cells[i + 1], text);
      return Math.max(longest, text.length);
    }, 0);
  }
}
