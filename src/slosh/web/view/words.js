/** What the page says in words and numbers: what is left out and why, the newest messages, a summary for those who see no chart, and the table of all lines. */

import { LONGEST } from "./address.js";
import { MAX_LISTED } from "./feed.js";
import { BETWEEN, MAX_LINES, MAX_REST, TURNS } from "./lines.js";
import { clip, clock, duration, howOf, naturally, notation, plural, readable, scaleOf, stepOf, unitOf, withUnit } from "./numbers.js";
import { arrange, make, write } from "./page.js";
import { paintSwatch } from "./panels.js";
import { isolated, nameIn } from "./plot.js";
import { MAX_STATES } from "./states.js";

/** How many of the names of what is not drawn are told; characters shown of one message, and of one in the list. */
const TOLD_REST = 12;
const MAX_TEXT = 20_000;
const MAX_ROW = 1000;
/** Characters of each part of a name in a sentence. */
const MAX_NAME = 60;
/** The table has a filter where there are so many lines. */
const MANY = 8;
/** Rows of it that are shown at a time. */
const MOST_ROWS = 100;
/** Pixels of a character of it, of what stands beside the four numbers, and around each; in a window as narrow as a
 *  phone (36rem in view.css) the first has a row for itself. */
const CHARACTER = 8.1;
const [BESIDE, AROUND] = [210, 16];
const [PHONE, AROUND_ON_PHONE] = [577, 7];

/** The first of some names, for the end of a sentence. */
function named(names) {
  const short = (part) => (part.length > MAX_NAME ? `${Array.from(part).slice(0, MAX_NAME).join("")}…` : part);
  const told = names.slice(0, TOLD_REST).flatMap((parts, i) => [...(i ? [", "] : []), ...isolated(parts.map(short), BETWEEN)]);
  return [...told, names.length > TOLD_REST ? ", …" : "."];
}

/** Sentences on what is not drawn, each a text or a list of texts and elements. `isUnticked` tells whether the table offers a line that is not drawn. */
export function leftOut(lines, feed, view, edge, span, isUnticked) {
  const { rest } = lines;
  const words = [];
  const past = [...feed.pasts.values()];
  if (span === LONGEST) {
    // All that is kept was asked for, and is here.
  } else if (past.length === 1 && past[0].from > edge - span) {
    const [{ kept, from }] = past;
    if (!(lines.first < from - 1)) words.push(`The server keeps ${plural(kept, "message")} of what was before this page: the last ${duration(edge - from)} of ${duration(span)} are here.`);
  } else if (past.some(({ from }) => from > edge - span)) {
    words.push(`Of ${plural(past.length, "topic")} the server keeps less than the last ${duration(span)}.`);
  }
  if (Math.max(view.from, lines.pastTo) < lines.began && lines.states.shown.length) words.push(`Bands begin at ${clock(lines.began, 0, edge - lines.began)}: of the time before, the server kept numbers alone.`);
  if (lines.merged && lines.mergedUntil > view.from) words.push(`Before ${clock(lines.mergedUntil, 0, edge - lines.mergedUntil)} each ${duration(lines.moment)} is one point, with its lowest and highest, because more came than can be kept: ${plural(lines.merged, "point")} merged.`);
  if (lines.dropped) words.push(`Too many came to be kept: ${plural(lines.dropped, "point")} left out.`);
  const undrawn = [...lines.all.values()].filter((line) => !line.isDrawn && !line.isPlace && isUnticked(line));
  const counters = undrawn.filter((line) => line.isCounter);
  const others = undrawn.length - counters.length;
  if (counters.length) words.push(["Not drawn, because they only count or tell the time: ", ...named(counters.map((line) => line.parts))]);
  if (others) words.push([`${others.toLocaleString("en")} more ${others === 1 ? "is" : "are"} not drawn: `, ...named(undrawn.filter((line) => !line.isCounter).map((line) => line.parts))]);
  if (undrawn.length) words.push("Tick what you want to see in the table.");
  if (rest.size) words.push([`${rest.size >= MAX_REST ? "At least " : ""}${rest.size} beyond ${MAX_LINES} lines ${rest.size === 1 ? "is" : "are"} not kept: `, ...named([...rest.values()])]);
  if (lines.states.isFull) words.push(`Of texts and booleans the first ${MAX_STATES} are looked at; there are more.`);
  if (lines.without) words.push(`${plural(lines.without, "message")} had no number where the axis is.`);
  if (view.isLog && [...lines.all.values()].some((line) => line.isDrawn && line.facts?.low <= 0)) words.push("Numbers of 0 and below have no place on a logarithmic axis.");
  if (lines.huge) words.push("Numbers beyond 10³⁰ are not drawn.");
  if (lines.tiny) words.push("Numbers nearer to 0 than 10⁻³⁰⁰ are drawn as 0.");
  if (lines.isPartial) words.push("Some messages were too large to be searched for numbers to their end.");
  return words;
}

/** The chart in a sentence for each line. What is drawn may be older than the newest number: a page that is hidden draws nothing. */
export function summary(topic, drawn, view) {
  const told = drawn.filter((line) => line.facts?.low !== undefined).slice(0, 6).map((line) => {
    const say = (value) => withUnit(value, line.step, line.how, line.scale);
    const { low, high } = line.series.facts(view.from, view.to);
    return `${line.label} is ${say(line.newest)}, between ${say(low)} and ${say(high)}`;
  });
  const over = view.isTime ? ` over the last ${duration(view.to - view.from)}` : "";
  return told.length ? `${topic}: ${told.join("; ")}${over}.` : "";
}

/** A message that is a text as it reads; any other as JSON, and what JSON cannot say, because it was too large for a browser, as a text. What
 *  tells the direction of writing stands there as JSON's escape of it, which is the same and turns nothing. */
const textOf = (message, indent) => typeof message === "string" ? readable(message) : JSON.stringify(message, (_, value) => (value === Infinity ? "∞" : value === -Infinity ? "-∞" : value), indent).replaceAll(
  /[\x85\u2028-\u202e\u2066-\u2069]/g, (each) => `\\u${each.charCodeAt().toString(16).padStart(4, "0")}`);

/** The first so many characters of a message, and words that tell that there are more. A text in it that goes to the left does so within itself. */
function shownOf(message, most, indent) {
  const text = clip(textOf(message, indent), most);
  const [shown, words] = [text.slice(0, most), text.slice(most)];
  const parts = typeof message === "string" || !TURNS.test(shown) ? [shown] : shown.split(/("(?:[^"\\]|\\.)*"?)/);
  return [...parts.flatMap((part) => (TURNS.test(part) ? isolated([part]) : part)), words];
}

/** The newest message as a whole, and the last ones in a list. */
export class List {
  #elements;
  #several;
  #told;

  constructor(elements, several) {
    this.#elements = elements;
    this.#several = several;
  }

  /** Of a list that is closed nothing is made; what has come waits for it, as much as it would show. */
  show(feed, isOpen) {
    if (!feed.newest) return;
    const { items, message, from } = this.#elements;
    const chosen = getSelection();
    // What is selected can be copied.
    if (feed.newest !== this.#told && (chosen.isCollapsed || !chosen.containsNode(message, true))) {
      this.#told = feed.newest;
      from.replaceChildren(...(this.#several ? isolated([feed.newest.source]) : []));
      message.replaceChildren(...shownOf(feed.newest.message, MAX_TEXT, 2));
    }
    if (!isOpen || !feed.unlisted.length) return;
    const rows = feed.unlisted.slice(-MAX_LISTED).map(({ source, message: each, time }) =>
      make("li", {},
        make("span", { className: "quiet" }, clock(time, 0, feed.now - time), ...(this.#several ? [" ", ...isolated([source])] : [])),
        make("span", { className: "json" }, ...shownOf(each, MAX_ROW))),
    );
    feed.unlisted = [];
    items.prepend(...rows.reverse());
    while (items.childElementCount > MAX_LISTED) items.lastChild.remove();
  }
}

/** The table of all lines: what is drawn, and the newest, lowest, mean and highest of what is shown. */
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
    const only = make("button", { className: "link only", textContent: "only", title: "Draw this one alone" });
    only.addEventListener("click", () => this.#calls.onSolo(line));
    const name = make("label", {}, tick, make("span", { className: "swatch" }), make("span", { className: "name" }));
    const pin = make("button", { className: "link pin", title: "Keep it on top, and drawn whatever else is" });
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
