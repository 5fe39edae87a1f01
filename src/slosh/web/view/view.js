/**
 * The live viewer: any topic, as charts, without being told anything about it.
 *
 * The rules of this file:
 *
 * 1. What others post is shown as text, never as HTML: `textContent` alone, and no markup made from strings.
 * 2. A message may be as large, as deep and as strange as the server lets it be: every loop over one has a bound.
 * 3. Nothing is left out silently: what was missed, what is not drawn and what is guessed is told on the page.
 * 4. Times are those at which messages arrived, by the server's clock, and the right edge of the charts is now, there.
 *
 * The page's address says what is shown: `?span=5m` how much of the past, `?by=host` a line for each value of that
 * member, `?by=` none, `?key=host` only the newest message of each value, as PROTOCOL says.
 */

import { Chart, make, shown } from "./chart.js";
import { Lines, MAX_DRAWN, MAX_LINES, MAX_REST } from "./lines.js";
import { bounds, clip, clock, duration, notation, number, parseDuration, plural, resolution, ServerClock } from "./numbers.js";
import { follow, stream } from "./slosh.js";

/** How many of the names of what is not drawn are told. */
const TOLD_REST = 12;
/** Seconds that are kept at least, and at most. */
const KEPT = 600;
const LONGEST = 86_400;
/** A chart with few points shows at least so many seconds. */
const SHORTEST = 5;
/** Messages in the list, messages that wait while the page is paused, characters shown of one. */
const MAX_LISTED = 200;
const MAX_WAITING = 5000;
const MAX_TEXT = 20_000;
const MAX_ROW = 1000;
/** Numbers whose sizes differ by more than this factor get charts of their own; they move when it got plainly worse. */
const TOGETHER = 20;
const TOO_FAR = 1.5 * TOGETHER;
/** The rate is a mean over this time, in seconds. */
const RATE_SPAN = 10;
/** Silence is told after so many seconds, or after so many times the usual interval. */
const SILENT = 5;
const SILENT_INTERVALS = 4;
/** Milliseconds between two drawings. */
const FRAME = 50;
const COLOURS = 12;

const $ = (id) => document.getElementById(id);
const home = new URL("../", import.meta.url);
const topic = decodeURIComponent(location.pathname.slice(new URL("view/", home).pathname.length));
const several = /[,*]/.test(topic);
const asked = new URLSearchParams(location.search);
const kept = Math.min(LONGEST, Math.max(KEPT, parseDuration(asked.get("span")) ?? 0));
const lines = new Lines(several, asked.get("by"), kept);

/** Seconds by a clock that nobody sets, and by the server's. */
const local = () => (performance.timeOrigin + performance.now()) / 1000;
const server = new ServerClock();
const seconds = () => server.now(local());
const opened = local();

/* Drawing the lines */

let charts = [];
let groups = [];
let drawnAs = "";
let zoom = null;
const rows = new Map();

/** Lines of one size share a chart, so that a load of 0.3 does not lie flat below eight billion bytes. */
function regroup(peaks, drawn) {
  for (const line of drawn) dress(line, drawn);
  const names = drawn.map((line) => line.label).join("\n");
  const isGood =
    names === drawnAs &&
    groups.every((group) => {
      const sizes = group.map((line) => peaks.get(line).peak).filter((peak) => peak > 0);
      return sizes.length < 2 || Math.max(...sizes) / Math.min(...sizes) <= TOO_FAR;
    });
  if (isGood) return;
  drawnAs = names;
  const bySize = drawn.toSorted((a, b) => peaks.get(b).peak - peaks.get(a).peak);
  groups = [];
  for (const line of bySize) {
    const first = groups.at(-1)?.[0];
    const { peak } = peaks.get(line);
    if (first && (peak === 0 || peaks.get(first).peak / peak <= TOGETHER)) groups.at(-1).push(line);
    else groups.push([line]);
  }
  for (const group of groups) group.sort((a, b) => drawn.indexOf(a) - drawn.indexOf(b));
  groups.sort((a, b) => drawn.indexOf(a[0]) - drawn.indexOf(b[0]));
  for (const chart of charts) chart.destroy();
  $("charts").replaceChildren();
  charts = groups.map((group) => new Chart($("charts"), group, showZoom));
}

/** Give a line that is drawn a colour that no other has, as long as there are some; after that it is dashed. */
function dress(line, drawn) {
  if (line.colour && drawn.every((other) => other === line || other.colour !== line.colour || other.dash !== line.dash)) return;
  const taken = drawn.filter((other) => other !== line && other.colour).length;
  const free = Array.from({ length: COLOURS }, (_, i) => `--s${i + 1}`).find((name) => drawn.every((other) => other === line || other.colour !== name));
  line.colour = free ?? `--s${(taken % COLOURS) + 1}`;
  line.dash = free ? undefined : [4 + 2 * Math.floor(taken / COLOURS), 3];
}

/** The lines that are drawn: those that are chosen; and counters too, where there is nothing else. */
function drawnLines() {
  const all = [...lines.all.values()];
  for (const line of all) line.label = lines.label(line);
  const chosen = all.filter((line) => line.isDrawn);
  return chosen.length || all.some((line) => line.isTouched) ? chosen : all.slice(0, MAX_DRAWN);
}

function showRow(line, { low, high, peak }, isDrawn) {
  if (!rows.has(line)) {
    const tick = make("input", { type: "checkbox" });
    tick.addEventListener("change", () => {
      line.isDrawn = tick.checked;
      line.isTouched = true;
      schedule();
    });
    const name = make("label", {}, tick, make("span", { className: "swatch" }), make("span"));
    rows.set(line, make("tr", {}, make("td", {}, name), make("td"), make("td"), make("td")));
    $("rows").append(rows.get(line));
  }
  const { cells } = rows.get(line);
  const [tick, swatch, name] = cells[0].firstChild.children;
  tick.checked = isDrawn;
  swatch.style.setProperty("--colour", isDrawn ? `var(${line.colour})` : "transparent");
  name.textContent = line.label;
  if (!isDrawn && low !== undefined) {
    line.step = resolution(low, high);
    line.how = notation(peak, line.step);
  }
  [line.newest, low, high].forEach((value, i) => (cells[i + 1].textContent = number(value, line.step, line.how)));
}

function showZoom(from, to) {
  zoom = from === undefined ? null : { from, to };
  schedule();
}

/* Messages, as they come */

let received = 0;
let missed = 0;
let resets = 0;
let newest;
let unlisted = [];
/** How many came when, for the rate; by the local clock. */
let arrived = [];
let began;
let lastArrival;
let interval;
let waiting = null;
let dropped = 0;
let lostAt;
const pasts = new Map();

/** Count an answer at once, also while the page is paused; show its messages then or later. */
function take(answer) {
  const here = local();
  if (answer.date) server.see(answer.date / 1000, here);
  const now = seconds();
  let batch = [];
  for (const [source, each] of answer.topics ? Object.entries(answer.topics) : [[topic, answer]]) {
    const times = each.times?.map((ms) => ms / 1000) ?? each.res.map(() => now);
    // A batch that came in while we were looking tells what the clock is there; one from before does not.
    if (each.times && times.at(-1) > now - 30) server.see(times.at(-1), here);
    received += each.res.length;
    missed += each.lost ?? 0;
    if (each.reset) resets++;
    if (each.truncated) pasts.set(source, { kept: each.res.length, from: times[0] ?? now });
    const isBreak = Boolean(each.lost || each.reset);
    if (isBreak) batch.push({ source, time: Math.min(each.reset ? (lostAt ?? Infinity) : Infinity, times[0] ?? now), breaks: each.reset ? "began again" : `${each.lost.toLocaleString("en")} missed` });
    each.res.forEach((message, i) => batch.push({ source, message, time: times[i] }));
  }
  lostAt = undefined;
  if (answer.topics) batch.sort((a, b) => a.time - b.time);
  const told = batch.filter(({ breaks }) => !breaks);
  began ??= now;
  arrived.push([here, told.filter(({ time }) => time > Math.max(began, now - RATE_SPAN)).length]);
  if (told.length) noteArrival(told.at(-1).time);
  if (waiting) waiting.push(...batch);
  else showAll(batch);
  // Bounded here too: a page in a hidden tab draws nothing, and may stay there for days.
  arrived = arrived.filter(([time]) => time > here - RATE_SPAN);
  if (waiting?.length > MAX_WAITING) dropped += waiting.splice(0, waiting.length - MAX_WAITING).length;
  schedule();
}

function noteArrival(time) {
  if (lastArrival !== undefined && time > lastArrival) interval = interval === undefined ? time - lastArrival : interval + 0.2 * (time - lastArrival - interval);
  lastArrival = Math.max(time, lastArrival ?? time);
}

function showAll(batch) {
  for (const { source, message, time, breaks } of batch) {
    if (breaks) {
      lines.breakLines(several ? source : undefined, time, breaks);
      continue;
    }
    lines.add(source, message, time);
    newest = { source, message, time };
    unlisted.push(newest);
    if (unlisted.length > 2 * MAX_LISTED) unlisted = unlisted.slice(-MAX_LISTED);
  }
  lines.settle();
}

let isScheduled = false;
let lastDrawn = 0;
function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  const draws = () => requestAnimationFrame(() => {
    isScheduled = false;
    lastDrawn = performance.now();
    draw();
  });
  const pause = FRAME - (performance.now() - lastDrawn);
  if (pause > 0) setTimeout(draws, pause);
  else draws();
}

function draw() {
  showFacts();
  if (waiting || !newest) return;
  // Now by the server's clock; a message cannot have come later.
  const edge = Math.max(seconds(), lines.times.at(-1) ?? 0);
  lines.forget(edge - kept);
  const span = Number($("span").value);
  // The chart grows with what there is, up to the span.
  const first = lines.times[0] ?? edge;
  shown.from = zoom?.from ?? Math.max(edge - span, Math.min(first, edge - SHORTEST));
  shown.to = zoom?.to ?? edge;
  shown.marks = lines.marks;
  const drawn = drawnLines();
  const peaks = new Map([...lines.all.values()].map((line) => [line, bounds(line.column)]));
  regroup(peaks, drawn);
  for (const chart of charts) chart.draw(lines.times, peaks);
  for (const [line, found] of peaks) showRow(line, found, drawn.includes(line));
  showTexts(edge, span);
}

function showFacts() {
  const here = local();
  arrived = arrived.filter(([time]) => time > here - RATE_SPAN);
  const came = arrived.reduce((sum, [, count]) => sum + count, 0);
  $("rate").textContent = (came / Math.min(RATE_SPAN, Math.max(1, here - opened))).toFixed(1);
  $("received").textContent = received.toLocaleString("en");
  $("missed").textContent = missed.toLocaleString("en");
  $("missed-box").className = missed ? "warn" : "";
  $("resets").textContent = plural(resets, "time");
  $("resets-box").hidden = !resets;
  $("newest").textContent = lastArrival === undefined ? "" : `newest at ${clock(lastArrival)}`;
  showSilence();
  const behind = waiting ? waiting.length + dropped : 0;
  $("pause").textContent = waiting ? "Go on" : "Pause";
  const words = [];
  if (waiting) words.push(`Paused. ${plural(behind, "message")} came meanwhile.`);
  if (dropped) words.push(`${plural(dropped, "message")} of the pause will not be drawn, they were too many.`);
  $("notice").textContent = words.join(" ");
  $("notice").hidden = !words.length;
}

/** A connection that is good and brings nothing is no "live": say how long. */
function showSilence() {
  const element = $("state");
  if (element.dataset.state !== "live") return;
  const age = seconds() - lastArrival;
  const isSilent = age >= Math.max(SILENT, SILENT_INTERVALS * (interval ?? 0));
  element.dataset.silent = String(isSilent || lastArrival === undefined);
  $("state-words").textContent = lastArrival === undefined ? "connected, nothing yet" : isSilent ? `nothing for ${duration(age)}` : WORDS.live;
}

function showTexts(edge, span) {
  const hasLines = lines.all.size > 0;
  $("empty").hidden = true;
  $("details").hidden = false;
  $("values").hidden = !hasLines;
  $("zoomed").hidden = !zoom;
  if (zoom) $("zoomed-words").textContent = `Zoomed: ${clock(zoom.from, 1)} to ${clock(zoom.to, 1)}. New messages are drawn when you go back.`;
  if ($("messages").hidden) {
    $("messages").hidden = false;
    $("messages").open = !hasLines;
  }
  const words = whatIsLeftOut(edge, span);
  $("rest").textContent = words.join(" ");
  $("rest").hidden = !words.length;
  if (!unlisted.length) return;
  $("from").textContent = several ? newest.source : "";
  $("message").textContent = clip(JSON.stringify(newest.message, null, 2), MAX_TEXT);
  const items = unlisted.slice(-MAX_LISTED).map(({ source, message, time }) =>
    make("li", {},
      make("span", { className: "quiet", textContent: several ? `${clock(time)} ${source}` : clock(time) }),
      make("span", { className: "json", textContent: clip(JSON.stringify(message), MAX_ROW) })),
  );
  unlisted = [];
  $("list").prepend(...items.reverse());
  while ($("list").childElementCount > MAX_LISTED) $("list").lastChild.remove();
}

function whatIsLeftOut(edge, span) {
  const { rest } = lines;
  const words = [];
  const past = [...pasts.values()];
  if (past.length === 1 && past[0].from > edge - span) {
    const [{ kept: count, from }] = past;
    words.push(`The server keeps ${plural(count, "message")} of what was before this page: the last ${duration(edge - from)} of ${duration(span)} are here.`);
  } else if (past.some(({ from }) => from > edge - span)) {
    words.push(`Of ${plural(past.length, "topic")} the server keeps less than the last ${duration(span)}.`);
  }
  if (lines.merged && lines.mergedUntil > shown.from) words.push(`Before ${clock(lines.mergedUntil)} lines go through the lowest and the highest of each ${duration(lines.moment)}, because more came than can be drawn: ${plural(lines.merged, "point")} left out.`);
  if (lines.dropped && lines.times[0] > edge - span) words.push(`The charts hold the last ${duration(edge - lines.times[0])} of ${duration(span)}; ${plural(lines.dropped, "point")} before that were too many.`);
  const undrawn = [...lines.all.values()].filter((line) => !line.isDrawn && rows.get(line)?.cells[0].firstChild.firstChild.checked === false);
  const counters = undrawn.filter((line) => line.isCounter);
  const others = undrawn.length - counters.length;
  if (counters.length) words.push(`Not drawn, because they only count or tell the time: ${named(counters.map((line) => line.label))}`);
  if (others) words.push(`${others.toLocaleString("en")} more ${others === 1 ? "is" : "are"} not drawn: ${named(undrawn.filter((line) => !line.isCounter).map((line) => line.label))}`);
  if (undrawn.length) words.push("Tick what you want to see in the table.");
  if (rest.size) words.push(`${rest.size >= MAX_REST ? "At least " : ""}${rest.size} beyond ${MAX_LINES} lines are not kept: ${named([...rest])}`);
  if (lines.huge) words.push("Numbers beyond 10³⁰ are not drawn.");
  if (lines.isPartial) words.push("Some messages were too large to be searched for numbers to their end.");
  return words;
}

const named = (names) => `${clip(names.slice(0, TOLD_REST).join(", "), MAX_ROW)}${names.length > TOLD_REST ? ", …" : "."}`;

/* The page */

const WORDS = {
  connecting: "connecting", live: "live", waiting: "the server asks to wait", offline: "connection lost", resting: "resting while hidden",
  failed: "refused", ended: "the topic has ended", closed: "closed",
};

function showState({ name, reason }) {
  const element = $("state");
  if (["offline", "waiting"].includes(name)) lostAt ??= seconds();
  if (name === "connecting" && !reason && ["offline", "waiting", "resting"].includes(element.dataset.state)) return;
  element.dataset.state = name;
  element.title = reason ?? "";
  $("state-words").textContent = WORDS[name];
  $("retry").hidden = !["offline", "waiting"].includes(name);
  const isTold = reason && ["connecting", "failed", "offline", "waiting"].includes(name);
  $("why").textContent = isTold ? `${name === "failed" ? "The server refused" : WORDS[name][0].toUpperCase() + WORDS[name].slice(1)}: ${reason}` : "";
  $("why").hidden = !isTold;
  $("empty-words").textContent = name === "failed" ? "This page waits for nothing: see above." : "This page waits for the next message, and every number in it becomes a line.";
  schedule();
}

function pause() {
  const batch = waiting;
  waiting = batch ? null : [];
  $("pause").setAttribute("aria-pressed", String(!batch));
  if (batch) {
    showAll(batch);
    dropped = 0;
  }
  schedule();
}

/** Choose the span of the page's address; one that is not in the list is added to it. */
function chooseSpan() {
  const wanted = Math.min(LONGEST, parseDuration(asked.get("span")) ?? 60);
  const select = $("span");
  if (![...select.options].some((option) => Number(option.value) === wanted)) {
    const option = make("option", { value: String(wanted), textContent: duration(wanted) });
    select.insertBefore(option, [...select.options].find((other) => Number(other.value) > wanted) ?? null);
  }
  select.value = String(wanted);
  select.addEventListener("change", () => {
    asked.set("span", select.value);
    history.replaceState(null, "", `?${asked}`);
    schedule();
  });
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

document.title = `${topic} · slosh`;
$("topic").textContent = topic;
$("where").value = topic;
$("empty-title").textContent = "Nothing has come yet";
// A pattern is posted to through a topic that it takes in.
const example = topic.split(",")[0].replaceAll(/\*+/g, "one");
$("curl").textContent = `curl -d '{"value": 21.5}' '${new URL("topics/", home).href}${path(example)}'`;
$("copy").addEventListener("click", copy);
$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("where").value.trim();
  if (wanted) location.assign(new URL(`view/${path(wanted)}`, home));
});
$("pause").addEventListener("click", pause);
$("unzoom").addEventListener("click", () => showZoom());
chooseSpan();
addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input:not([type=checkbox]), select, textarea");
  if (event.key === "p" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) pause();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.recolour()));
// Ticks for what changes without a message: the edge that goes on, the rate that sinks, the silence that grows.
setInterval(() => document.hidden || schedule(), 250);
// At most fifty answers a second, however fast the topic is. A stream, because the socket holds what a moment of work delays.
const following = follow(topic, {
  since: `${kept}s`, every: "20ms", key: asked.get("key") || undefined, times: true, transport: stream, onAnswer: take, onState: showState,
});
$("retry").addEventListener("click", () => following.retry());
/** For tests: what is drawn. */
globalThis.sloshView = { lines, shown, charts: () => charts };
