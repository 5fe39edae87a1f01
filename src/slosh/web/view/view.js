/**
 * The live viewer: any topic, as charts, without being told anything about it.
 *
 * The rules of this file:
 *
 * 1. What others post is shown as text, never as HTML: `textContent` alone, and no markup made from strings.
 * 2. A message may be as large, as deep and as strange as the server lets it be: every loop over one has a bound.
 * 3. Nothing is left out silently: what was missed, what is not drawn and what is guessed is told on the page.
 */

import { Chart, clock, make, shown } from "./chart.js";
import { bounds, clip, findNumbers, number, plural, timeIn } from "./numbers.js";
import { follow } from "./slosh.js";

/** Lines that are drawn; more than these can hardly be told apart. The other numbers are named below the charts. */
const MAX_LINES = 12;
/** Names that are remembered for what is not drawn, and how many of them are told. */
const MAX_REST = 200;
const TOLD_REST = 12;
/** Numbers beyond this are not drawn: an axis that spans them would show nothing else. */
const LARGEST = 1e30;
/** Seconds and points that are kept for the charts. */
const KEPT = 600;
const MAX_POINTS = 20_000;
/** Messages in the list, messages that wait while the page is paused, characters shown of one. */
const MAX_LISTED = 200;
const MAX_WAITING = 5000;
const MAX_TEXT = 20_000;
const MAX_ROW = 1000;
/** Numbers whose sizes differ by more than this factor get charts of their own; they move when it got plainly worse. */
const TOGETHER = 20;
const TOO_FAR = 1.5 * TOGETHER;
/** What was there before the page opened came at an unknown time; it is drawn over so many seconds. */
const BEFORE = 20;
/** The rate is a mean over this time, in seconds. */
const RATE_SPAN = 10;

const $ = (id) => document.getElementById(id);
const topic = decodeURIComponent(location.pathname.slice(location.pathname.indexOf("/view/") + 6));
const several = /[,*]/.test(topic);
const seconds = () => Date.now() / 1000;
/* Keeping them */

/** Times, and for each line a column beside them: a number, undefined (nothing told then), or null (the line breaks). */
const times = [];
const lines = new Map();
const rest = new Set();
let huge = false;
let isPartial = false;

function lineOf(path) {
  const known = lines.get(path);
  if (known) return known;
  if (lines.size >= MAX_LINES) {
    if (rest.size < MAX_REST) rest.add(path);
    return undefined;
  }
  const line = { path, colour: `--s${lines.size + 1}`, column: new Array(times.length), newest: undefined, shown: true };
  lines.set(path, line);
  return line;
}

/** Add a point at its place in time; nearly always that is the end. */
function insert(time, values) {
  let at = times.length;
  while (at > 0 && times[at - 1] > time) at--;
  times.splice(at, 0, time);
  for (const line of lines.values()) line.column.splice(at, 0, values.get(line));
}

function add(source, message, time) {
  const own = timeIn(message, seconds());
  const values = new Map();
  const isWhole = findNumbers(message, own?.name, (path, number) => {
    const line = lineOf(several ? `${source}: ${path}` : path);
    if (!line) return;
    line.newest = number;
    if (Math.abs(number) <= LARGEST) values.set(line, number);
    else huge = true;
  });
  isPartial ||= !isWhole;
  if (values.size) insert(own?.time ?? time, values);
  return own !== undefined;
}

/** Break the lines of a topic: something is missing between what came before and what comes. */
function breakLines(source) {
  if (!times.length) return;
  const mine = [...lines.values()].filter((line) => !several || line.path.startsWith(`${source}: `));
  insert(times.at(-1), new Map(mine.map((line) => [line, null])));
}

function forget(before) {
  let gone = Math.max(0, times.length - MAX_POINTS);
  while (gone + 1 < times.length && times[gone + 1] < before) gone++;
  if (!gone) return;
  times.splice(0, gone);
  for (const line of lines.values()) line.column.splice(0, gone);
}

/* Drawing them */

let charts = [];
let groups = [];
const rows = new Map();

/** Lines of one size share a chart, so that a load of 0.3 does not lie flat below eight billion bytes. */
function regroup(peaks) {
  const isGood =
    groups.flat().length === lines.size &&
    groups.every((group) => {
      const sizes = group.map((line) => peaks.get(line).peak).filter((peak) => peak > 0);
      return sizes.length < 2 || Math.max(...sizes) / Math.min(...sizes) <= TOO_FAR;
    });
  if (isGood) return;
  const all = [...lines.values()];
  const bySize = all.toSorted((a, b) => peaks.get(b).peak - peaks.get(a).peak);
  groups = [];
  for (const line of bySize) {
    const first = groups.at(-1)?.[0];
    const { peak } = peaks.get(line);
    if (first && (peak === 0 || peaks.get(first).peak / peak <= TOGETHER)) groups.at(-1).push(line);
    else groups.push([line]);
  }
  for (const group of groups) group.sort((a, b) => all.indexOf(a) - all.indexOf(b));
  groups.sort((a, b) => all.indexOf(a[0]) - all.indexOf(b[0]));
  for (const chart of charts) chart.destroy();
  $("charts").replaceChildren();
  charts = groups.map((group) => new Chart($("charts"), group));
}

function showRow(line, { low, high }) {
  if (!rows.has(line)) {
    const swatch = make("span", { className: "swatch" });
    swatch.style.setProperty("--colour", `var(${line.colour})`);
    rows.set(line, make("tr", {}, make("td", {}, swatch, line.path), make("td"), make("td"), make("td")));
    $("rows").append(rows.get(line));
  }
  const { cells } = rows.get(line);
  cells[1].textContent = number(line.newest, Math.abs(line.newest) / 1e6);
  [low, high].forEach((value, i) => (cells[i + 2].textContent = number(value)));
}

/* Messages, as they come */

let received = 0;
let missed = 0;
let resets = 0;
let newest;
let unlisted = [];
let arrived = [];
let lastArrival = 0;
let isFirst = true;
let waiting = null;
let dropped = 0;
const opened = seconds();

/** Count an answer at once, also while the page is paused; show its messages then or later. */
function take(answer) {
  const now = seconds();
  for (const [source, each] of answer.topics ? Object.entries(answer.topics) : [[topic, answer]]) {
    const count = each.res.length;
    const isHistory = isFirst;
    received += count;
    // What fell off before the page asked for the first time was never this page's to miss.
    if (!isHistory) missed += each.lost ?? 0;
    if (!isHistory && each.reset) resets++;
    if (!isHistory) arrived.push(...each.res.map(() => now));
    const from = isHistory ? now - BEFORE : Math.max(lastArrival, now - 1);
    const batch = each.res.map((message, i) => ({
      source, message, time: from + ((now - from) * (i + 1)) / count, isHistory,
      breaks: i === 0 && !isHistory && Boolean(each.lost || each.reset),
    }));
    if (waiting) waiting.push(...batch);
    else batch.forEach(show);
  }
  isFirst = false;
  lastArrival = now;
  // Bounded here too: a page in a hidden tab draws nothing, and may stay there for days.
  arrived = arrived.filter((time) => time > now - RATE_SPAN);
  if (times.length > 2 * MAX_POINTS) forget(-Infinity);
  if (waiting?.length > MAX_WAITING) dropped += waiting.splice(0, waiting.length - MAX_WAITING).length;
  schedule();
}

function show({ source, message, time, isHistory, breaks }) {
  if (breaks) breakLines(source);
  const tellsTime = add(source, message, time);
  if (isHistory && !tellsTime) shown.guessedUntil = opened;
  newest = { source, message, time };
  unlisted.push(newest);
  if (unlisted.length > MAX_LISTED) unlisted = unlisted.slice(-MAX_LISTED);
}

let isScheduled = false;
function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    draw();
  });
}

function draw() {
  showFacts();
  if (waiting || !newest) return;
  const now = seconds();
  // The edge goes on with the clock from the newest point, by the clock of whoever told the times.
  const edge = times.length ? Math.max(times.at(-1), times.at(-1) + now - lastArrival) : now;
  forget(edge - KEPT);
  shown.from = edge - Number($("span").value);
  shown.to = edge;
  const peaks = new Map([...lines.values()].map((line) => [line, bounds(line.column)]));
  regroup(peaks);
  for (const chart of charts) chart.draw(times);
  for (const [line, found] of peaks) showRow(line, found);
  showTexts();
}

function showFacts() {
  const now = performance.now() / 1000 - started;
  const since = seconds() - RATE_SPAN;
  arrived = arrived.filter((time) => time > since);
  $("rate").textContent = (arrived.length / Math.min(RATE_SPAN, Math.max(1, now))).toFixed(1);
  $("received").textContent = received.toLocaleString("en");
  $("missed").textContent = missed.toLocaleString("en");
  $("missed-box").className = missed ? "warn" : "";
  $("resets").textContent = plural(resets, "time");
  $("resets-box").hidden = !resets;
  $("newest").textContent = lastArrival && received ? `newest at ${clock(lastArrival)}` : "";
  const behind = waiting ? waiting.length + dropped : 0;
  $("pause").textContent = waiting ? "Go on" : "Pause";
  const words = [];
  if (waiting) words.push(`Paused. ${plural(behind, "message")} came meanwhile.`);
  if (dropped) words.push(`${plural(dropped, "message")} of the pause will not be drawn, they were too many.`);
  $("notice").textContent = words.join(" ");
  $("notice").hidden = !words.length;
}

function showTexts() {
  const hasLines = lines.size > 0;
  $("empty").hidden = true;
  $("details").hidden = false;
  $("values").hidden = !hasLines;
  if ($("messages").hidden) {
    $("messages").hidden = false;
    $("messages").open = !hasLines;
  }
  const told = [...rest].slice(0, TOLD_REST).join(", ");
  const more = rest.size - TOLD_REST;
  const count = rest.size >= MAX_REST ? `At least ${MAX_REST} more are` : rest.size === 1 ? "1 more is" : `${rest.size} more are`;
  const words = [];
  if (rest.size) words.push(`${count} not drawn: ${clip(told, MAX_ROW)}${more > 0 ? ", …" : "."}`);
  if (huge) words.push("Numbers beyond 10³⁰ are not drawn.");
  if (isPartial) words.push("Some messages were too large to be searched for numbers to their end.");
  if (shown.guessedUntil > shown.from && hasLines) words.push("Shaded: came before this page opened, at times that are not known.");
  $("rest").textContent = words.join(" ");
  $("rest").hidden = !words.length;
  if (!unlisted.length) return;
  $("from").textContent = several ? newest.source : "";
  $("message").textContent = clip(JSON.stringify(newest.message, null, 2), MAX_TEXT);
  const items = unlisted.map(({ source, message, time }) =>
    make("li", {},
      make("span", { className: "quiet", textContent: several ? `${clock(time)} ${source}` : clock(time) }),
      make("span", { className: "json", textContent: clip(JSON.stringify(message), MAX_ROW) })),
  );
  unlisted = [];
  $("list").prepend(...items.reverse());
  while ($("list").childElementCount > MAX_LISTED) $("list").lastChild.remove();
}

/* The page */

const WORDS = { connecting: "connecting", live: "live", waiting: "the server asks to wait", offline: "connection lost", failed: "refused", closed: "closed" };

function showState({ name, reason }) {
  const element = $("state");
  if (name === "live") queueMicrotask(() => (isFirst = false)); // What comes after an empty first answer is new.
  if (name === "connecting" && ["offline", "waiting"].includes(element.dataset.state)) return;
  element.dataset.state = name;
  element.title = reason ?? "";
  $("state-words").textContent = name === "failed" ? `refused: ${reason}` : WORDS[name];
  $("retry").hidden = !["offline", "waiting"].includes(name);
}

function pause() {
  const batch = waiting;
  waiting = batch ? null : [];
  $("pause").setAttribute("aria-pressed", String(!batch));
  batch?.forEach(show);
  if (batch) dropped = 0;
  schedule();
}

function path(name) {
  return encodeURIComponent(name).replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("'", "%27");
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    // Only pages over HTTPS or on localhost may write to the clipboard: select the text, the reader copies it.
    getSelection().selectAllChildren($("curl"));
    $("copy").textContent = "Selected";
  }
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
}

const started = performance.now() / 1000;
document.title = `${topic} · slosh`;
$("topic").textContent = topic;
$("where").value = topic;
// A pattern is posted to through a topic that it takes in.
const example = topic.split(",")[0].replaceAll(/\*+/g, "one");
$("curl").textContent = `curl -d '{"value": 21.5}' '${location.origin}/topics/${path(example)}'`;
$("copy").addEventListener("click", copy);
$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("where").value.trim();
  if (wanted) location.assign(`/view/${path(wanted)}`);
});
$("pause").addEventListener("click", pause);
$("span").addEventListener("change", schedule);
addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, select, textarea");
  if (event.key === "p" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) pause();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.recolour()));
// Ticks for what changes without a message: the edge that goes on, the rate that sinks.
setInterval(() => document.hidden || schedule(), 250);
// At most fifty answers a second, however fast the topic is.
const following = follow(topic, { since: "-100", every: "20ms", onAnswer: take, onState: showState });
$("retry").addEventListener("click", () => following.retry());
