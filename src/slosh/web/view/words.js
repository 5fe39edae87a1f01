/** What the page says in words: what is left out and why, the newest messages, and a summary for those who see no chart. */

import { LONGEST } from "./address.js";
import { MAX_LISTED } from "./feed.js";
import { BETWEEN, MAX_LINES, MAX_REST, TURNS } from "./lines.js";
import { clip, clock, duration, plural, readable, withUnit } from "./numbers.js";
import { make } from "./page.js";
import { isolated } from "./plot.js";
import { MAX_STATES } from "./states.js";

/** How many of the names of what is not drawn are told; characters shown of one message, and of one in the list. */
const TOLD_REST = 12;
const MAX_TEXT = 20_000;
const MAX_ROW = 1000;
/** Characters of each part of a name in a sentence. */
const MAX_NAME = 60;

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
  if (Math.max(view.from, lines.pastTo) < lines.began && lines.states.shown.length) words.push(`Bands begin at ${clock(lines.began)}: of the time before, the server kept numbers alone.`);
  if (lines.merged && lines.mergedUntil > view.from) words.push(`Before ${clock(lines.mergedUntil)} each ${duration(lines.moment)} is one point, with its lowest and highest, because more came than can be kept: ${plural(lines.merged, "point")} merged.`);
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
        make("span", { className: "quiet" }, clock(time), ...(this.#several ? [" ", ...isolated([source])] : [])),
        make("span", { className: "json" }, ...shownOf(each, MAX_ROW))),
    );
    feed.unlisted = [];
    items.prepend(...rows.reverse());
    while (items.childElementCount > MAX_LISTED) items.lastChild.remove();
  }
}
