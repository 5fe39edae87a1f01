/**
 * The live viewer: any topic, as charts, without being told anything about it.
 *
 * The rules of this page:
 *
 * 1. What others post is shown as text, never as HTML: `textContent` alone, and no markup made from strings.
 * 2. A message may be as large, as deep and as strange as the server lets it be: every loop over one has a bound.
 * 3. Nothing is left out silently: what was missed, what is not drawn and what is guessed is told on the page.
 * 4. Times are those at which messages arrived, by the server's clock, and the right edge of the charts is now, there.
 * 5. What is chosen is in the page's address, so that a link shows the same.
 */

import { LONGEST, names, readAddress, topicOf, viewOf, writeAddress } from "./address.js";
import { Feed, Past } from "./feed.js";
import { isolatedText, Lines, MAX_DRAWN } from "./lines.js";
import { clock, duration, number, perSecond, plural, widen } from "./numbers.js";
import { isHeld, make, settle, write } from "./page.js";
import { Bands, Panels } from "./panels.js";
import { Paths } from "./paths.js";
import { isolated, newView } from "./plot.js";
import { csvOf, download, pictureOf } from "./save.js";
import { follow } from "./slosh.js";
import { List, leftOut, summary, Table } from "./words.js";

/** Seconds that are kept at least. */
const KEPT = 600;
/** A chart with few points shows at least so many seconds. */
const SHORTEST = 5;
/** Milliseconds between two drawings, at least, and at most while time goes on; between two changes of the texts. */
const FASTEST = 16;
const SLOWEST = 250;
const TEXTS = 250;
const CALM = 1000;
/** Milliseconds until a pattern is tried again for which too many topics were active. */
const AGAIN = 15_000;
/** Characters of the names of lines that have room in an address. */
const LONGEST_CHOICE = 3000;

const $ = (id) => document.getElementById(id);
const tell = (id, text) => write($(id), text);
const shown = readAddress();
const kept = Math.min(LONGEST, Math.max(KEPT, shown.span));
const lines = new Lines(shown.several, shown.by, kept, shown.x);
const feed = new Feed(lines, shown.topic, shown.several);
const view = Object.assign(newView(), { isTime: !shown.x, isZero: shown.isZero, isLog: shown.isLog, smoothing: shown.smoothing });
const calls = { onZoom: zoom, onPan: zoom, onPoint: point, onHide: hide, onSolo: solo, onPin: pin, onChoose: choose, onChange: change };
const panels = new Panels($("charts"), view, shown.units, calls);
const paths = new Paths($("paths"), view, calls);
const bands = new Bands($("bands"), view);
const table = new Table({ body: $("rows"), filter: $("filter"), all: $("draw-all"), none: $("draw-none"), tools: $("table-tools") }, shown.units, calls);
const list = new List({ items: $("list"), message: $("message"), from: $("from") }, shown.several);
const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

/* Drawing */

let isScheduled = false;
let drawings = 0;
let lastDrawn = 0;
let lastTexts = 0;
/** Milliseconds that a drawing takes, with what the browser does to show it, on the average. */
let cost = 0;
/** Where now is while the page is paused; and whether something was chosen that is not drawn yet, which a pause does not hold up. */
let held;
let isChosen = false;
/** The time at which the paths have their rings. */
let ringed;
/** Pixels of what is widest: bands, or the last of charts that stand beside each other. Kept, because to look at it makes the browser
 *  lay the page out, and each answer would. */
let width = 200;
/** Whether more was chosen than the address has room for. */
let isTooLong = false;
/** What was chosen before one line was drawn alone. */
let before;

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  // Half a pixel further is worth a drawing, and one that takes long has to leave room for the rest.
  const half = ((view.to - view.from) * 500) / width;
  const pause = Math.max(isCalm ? CALM : view.isTime ? Math.min(half, SLOWEST) : TEXTS, FASTEST, 2 * cost) - (performance.now() - lastDrawn) - FASTEST / 2;
  const draws = () => requestAnimationFrame(() => {
    isScheduled = false;
    const began = performance.now();
    drawings++;
    draw(began);
    lastDrawn = began;
    measure(began);
    if (!feed.waiting && !document.hidden && feed.newest && !shown.zoom && feed.ended === undefined && view.isTime) schedule();
  });
  if (pause > 0) setTimeout(draws, pause);
  else draws();
}

/** Draw what was chosen: also while the page is paused. */
function change() {
  isChosen = true;
  schedule();
}

const shownAt = new MessageChannel();

/** Learn what a drawing costs. A message of one's own comes behind the frame: strokes are made into pixels after the script. A
 *  machine that slept meanwhile tells nothing. */
function measure(began) {
  shownAt.port1.onmessage = () => (cost += 0.1 * (Math.min(performance.now() - began, CALM) - cost));
  shownAt.port2.postMessage(null);
}

function draw(now) {
  // Texts that change move what stands below them, and so what is pressed there.
  const isDue = now - lastTexts > TEXTS && !isHeld();
  if (isDue) {
    lastTexts = now;
    showFacts();
  }
  if ((feed.waiting && !isChosen) || !feed.newest) return;
  const edge = move();
  const drawn = drawnLines();
  panels.draw(drawn);
  paths.draw(tracks(), (track) => lines.parts(track), panels.plots[0]?.pointed?.time);
  bands.draw(view.isTime ? lines.states.shown : [], (state) => lines.parts(state), edge);
  if (!isDue) return;
  isChosen = false;
  panels.showValues();
  table.draw([...lines.all.values()], new Set(drawn), view.isTime ? view.from : -Infinity, view.isTime ? view.to : Infinity);
  showTexts(edge);
  width = $("bands").clientWidth || $("charts").lastElementChild?.clientWidth || width;
}

/** Where the charts begin and end. */
function move() {
  if (!view.isTime) {
    [view.from, view.to] = widen(shown.zoom?.from ?? lines.first ?? 0, shown.zoom?.to ?? lines.last ?? 1);
    return view.to;
  }
  const edge = held ?? feed.latest;
  lines.forget(edge - kept);
  // The chart grows with what there is, up to the span.
  const first = lines.first ?? feed.newest.time;
  view.from = shown.zoom?.from ?? Math.max(edge - shown.span, Math.min(first, edge - Math.min(SHORTEST, shown.span)));
  view.to = shown.zoom?.to ?? edge;
  const silentSince = feed.silentSince;
  view.marks = silentSince === undefined || silentSince >= edge ? lines.marks : [...lines.marks, { time: silentSince, until: edge, count: 0, kind: "silent" }];
  return edge;
}

/** The lines that are drawn: those that are chosen; and counters too, where there is nothing else. */
function drawnLines() {
  const all = [...lines.all.values()];
  for (const line of all) {
    lines.name(line);
    if (line.isKnown) continue;
    line.isKnown = true;
    if (shown.only.size) Object.assign(line, { isDrawn: names(shown.only, line), isTouched: true });
    if (names(shown.pinned, line)) Object.assign(line, { isDrawn: true, isPinned: true });
    if (names(shown.hidden, line)) line.shown = false;
  }
  const chosen = all.filter(({ isDrawn }) => isDrawn);
  if (!chosen.length && !all.some((line) => line.isTouched) && !lines.tracks.whole.length) return all.slice(0, MAX_DRAWN);
  return chosen.sort((a, b) => Boolean(b.isPinned) - Boolean(a.isPinned));
}

/** The paths of places that are drawn. */
function tracks() {
  const whole = lines.tracks.whole;
  for (const track of whole) {
    if (track.isKnown) continue;
    track.isKnown = true;
    if (names(shown.hidden, { label: lines.label(track), path: track.path })) track.shown = false;
  }
  return whole;
}

/** The charts' pointer moved. The ring of a path moves with it. */
function point() {
  panels.showValues();
  const at = panels.plots[0]?.pointed?.time;
  if (at === ringed) return;
  ringed = at;
  if (lines.tracks.whole.length) change();
}

function hide(line) {
  line.shown = !line.shown;
  shown.hidden[line.shown ? "delete" : "add"](line.label);
  writeAddress({ hide: shown.hidden });
  panels.show(line);
  change();
}

/** Which lines are drawn was chosen in the table. */
function choose() {
  before = undefined;
  const chosen = [...lines.all.values()].filter((line) => line.isDrawn).map((line) => line.label);
  isTooLong = chosen.join("").length > LONGEST_CHOICE;
  // None is a choice too.
  shown.only = new Set(isTooLong ? [] : chosen.length ? chosen : [""]);
  writeAddress({ only: shown.only });
  change();
}

/** Keep a line on top, and drawn; or no longer. */
function pin(line) {
  line.isPinned = !line.isPinned;
  shown.pinned[line.isPinned ? "add" : "delete"](line.label);
  if (line.isPinned) line.isDrawn = true;
  writeAddress({ pin: shown.pinned });
  change();
}

/** Draw one line alone, beside those that are pinned, or again what was drawn before. */
function solo(line) {
  const isAlone = shown.only.size === 1 && shown.only.has(line.label);
  const all = [...lines.all.values()];
  if (!isAlone) before ??= { only: shown.only, drawn: new Set(all.filter(({ isDrawn }) => isDrawn)) };
  // A page whose address names one line has drawn no others before.
  const drawn = before?.drawn ?? new Set(all.filter(({ isCounter, isPlace }) => !isCounter && !isPlace).slice(0, MAX_DRAWN));
  shown.only = isAlone ? (before?.only ?? new Set()) : new Set([line.label]);
  for (const each of all) Object.assign(each, { isDrawn: each.isPinned || (isAlone ? drawn.has(each) : each === line), isTouched: shown.only.size > 0, shown: true });
  if (isAlone) before = undefined;
  shown.hidden.clear();
  writeAddress({ only: shown.only, hide: shown.hidden });
  change();
}

function zoom(from, to) {
  shown.zoom = from === undefined ? null : { from, to };
  writeAddress({ from: shown.zoom && from.toFixed(3), to: shown.zoom && to.toFixed(3) });
  change();
}

function showFacts() {
  tell("rate", perSecond(feed.rate));
  tell("received", feed.received.toLocaleString("en"));
  tell("missed", feed.missed.toLocaleString("en"));
  $("missed-box").className = feed.missed ? "warn" : "";
  tell("resets", plural(feed.resets, "time"));
  $("resets-box").hidden = !feed.resets;
  tell("newest", feed.lastArrival === undefined ? "" : `newest at ${clock(feed.lastArrival, 0, feed.now - feed.lastArrival)}`);
  showSilence();
  tell("pause", feed.waiting ? "Go on" : "Pause");
  const words = [];
  if (feed.waiting) words.push(`Paused. ${plural(feed.waiting.length + feed.dropped, "message")} came meanwhile.`);
  if (feed.dropped) words.push(`Too many for a pause: ${plural(feed.dropped, "message")} will not be drawn.`);
  tell("notice", words.join(" "));
  $("notice").hidden = !words.length;
}

/** A connection that is good and brings nothing is no "live": say how long. */
function showSilence() {
  const element = $("state");
  if (element.dataset.state !== "live") return;
  const since = feed.silentSince;
  element.dataset.silent = String(since !== undefined || feed.lastArrival === undefined);
  // The seconds of a silence are not read out one after another.
  element.ariaLive = since === undefined ? "polite" : "off";
  tell("state-words", feed.lastArrival === undefined ? "connected, nothing yet" : since !== undefined ? `nothing for ${duration(feed.now - since)}` : WORDS.live);
}

function showTexts(edge) {
  const hasLines = lines.all.size > 0;
  $("empty").hidden = true;
  $("details").hidden = shown.isEmbedded;
  $("values").hidden = !hasLines;
  $("zoomed").hidden = !shown.zoom;
  const told = (at) => (view.isTime ? clock(at, 1, edge - at) : number(at, 0.001, { unit: 1, suffix: "" }));
  if (shown.zoom) tell("zoomed-words", `Zoomed: ${told(shown.zoom.from)} to ${told(shown.zoom.to)}.${feed.waiting ? "" : " New messages are drawn when you go back."}`);
  if ($("messages").hidden && !shown.isEmbedded) {
    $("messages").hidden = false;
    $("messages").open = !hasLines;
  }
  const words = leftOut(lines, feed, view, edge, shown.span, (line) => table.has(line) === false);
  if (isTooLong) words.push("So many lines are chosen that the address has no room for their names: a link does not show the same.");
  const all = make("p", {}, ...words.flatMap((sentence) => [sentence, " "].flat()).slice(0, -1));
  // One that stays as it was can be selected.
  if (all.textContent !== $("rest").textContent) $("rest").replaceChildren(...all.childNodes);
  $("rest").hidden = !words.length;
  list.show(feed, $("messages").open);
}

/* The page */

const WORDS = {
  connecting: "connecting", live: "live", waiting: "the server asks to wait", offline: "connection lost", resting: "resting while hidden",
  failed: "refused", ended: "the topic has ended", closed: "closed",
};
const WAYS = {
  401: "It wants a token: sign in, or ask its operator for one.", 403: "This reader has no right to it.", 404: "There is no slosh server behind this address.",
};

function takeState(state) {
  if (["offline", "waiting"].includes(state.name)) feed.away();
  if (state.name === "live") fillPast({});
  settle(() => showState(state));
}

function showState({ name, reason, error }) {
  const element = $("state");
  if (name === "connecting" && !reason && ["offline", "waiting", "resting"].includes(element.dataset.state)) return;
  element.dataset.state = name;
  element.title = reason ?? "";
  tell("state-words", WORDS[name]);
  $("retry").hidden = !["offline", "waiting"].includes(name);
  $("post").hidden = name === "ended";
  // A pattern is refused when it begins where too many topics are active; that passes.
  const isTooMany = name === "failed" && error?.code === "bad_topic" && shown.topic.includes("*");
  if (isTooMany) setTimeout(start, AGAIN, following.place);
  const way = isTooMany ? `This page tries again every ${AGAIN / 1000} s.` : (WAYS[error?.status] ?? "");
  const isTold = reason && ["live", "connecting", "failed", "offline", "waiting"].includes(name);
  const begin = name === "live" ? "Not all is shown" : name === "failed" ? "The server refused" : WORDS[name][0].toUpperCase() + WORDS[name].slice(1);
  // How a program sends its token is nothing that a person can do here.
  // The server's words may have names in them.
  $("why").replaceChildren(...(isTold ? [`${begin}: `, ...isolated([reason.replace(/^This needs.+>\./, "")]), ` ${way}`] : []));
  $("why").hidden = !isTold;
  tell("empty-words", name === "failed" ? "This page waits for nothing: see above." : "This page waits for the next message, and every number in it becomes a line.");
  schedule();
}

const past = new Past(kept, lines, topicOf, () => schedule());

function take(answer) {
  feed.take(answer);
  fillPast(answer);
  schedule();
}

/** Ask for the past of the topics that are named, and of those that have come. */
function fillPast({ topics = {} }) {
  if (!shown.x) past.fill([...shown.topic.split(","), ...Object.keys(topics)]);
}

function pause() {
  feed.pause();
  held = feed.waiting ? feed.latest : undefined;
  $("pause").setAttribute("aria-pressed", String(Boolean(feed.waiting)));
  lastTexts = 0;
  change();
}

/** Choose the span of the page's address; one that is not in the list is added to it. */
function chooseSpan() {
  const select = $("span");
  if (![...select.options].some((option) => Number(option.value) === shown.span)) {
    const option = make("option", { value: String(shown.span), textContent: duration(shown.span) });
    select.insertBefore(option, [...select.options].find((other) => Number(other.value) > shown.span) ?? null);
  }
  select.value = String(shown.span);
  select.addEventListener("change", () => {
    writeAddress({ span: Number(select.value) === LONGEST ? "all" : select.value });
    // More of the past is asked for again.
    if (Number(select.value) > kept) location.reload();
    shown.span = Number(select.value);
    shown.zoom = null;
    writeAddress({ from: null, to: null });
    change();
  });
}

function changeSpan(by) {
  const select = $("span");
  const index = Math.min(select.options.length - 1, Math.max(0, select.selectedIndex + by));
  if (index === select.selectedIndex) return;
  select.selectedIndex = index;
  select.dispatchEvent(new Event("change"));
}

async function copy(text, button, element) {
  // It may say what the click before it did.
  const words = (button.words ??= button.textContent);
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Only pages over HTTPS or on localhost may write to the clipboard: select the text, the reader copies it.
    if (element) getSelection().selectAllChildren(element);
    button.textContent = element ? "Selected" : "See the address bar";
  }
  setTimeout(settle, 1500, () => (button.textContent = words));
}

/** What is ticked on the page is drawn at once; what the lines are made by needs them again. */
function bindOptions() {
  const bind = (id, name, take) => {
    const input = $(id);
    input.addEventListener(input.type === "range" ? "input" : "change", () => {
      writeAddress({ [name]: take(input) });
      change();
    });
  };
  $("zero").checked = view.isZero;
  $("log").checked = view.isLog;
  $("smooth").value = String(view.smoothing);
  $("by").value = shown.by ?? "";
  $("x").value = shown.x ?? "";
  bind("zero", "zero", ({ checked }) => (view.isZero = checked));
  bind("log", "log", ({ checked }) => (view.isLog = checked));
  bind("smooth", "smooth", ({ value }) => ((view.smoothing = Number(value)), view.smoothing || null));
  for (const name of ["by", "x"]) {
    $(name).addEventListener("change", () => {
      writeAddress({ [name]: $(name).value.trim() || null });
      location.reload();
    });
  }
  $("png").addEventListener("click", () => pictureOf([...panels.plots, ...paths.plots], view, shown.topic).toBlob((blob) => download(`${fileName()}.png`, blob)));
  $("csv").addEventListener("click", () => {
    const places = tracks().filter((track) => track.shown).flatMap(({ latitude, longitude }) => [latitude, longitude]);
    const all = [...new Set([...drawnLines().filter((line) => line.shown), ...places])];
    download(`${fileName()}.csv`, new Blob([csvOf(all, view.from, view.to, view.isTime)], { type: "text/csv" }));
  });
  $("link").addEventListener("click", ({ target }) => copy(location.href, target));
  addEventListener("click", ({ target }) => $("menu").contains(target) || ($("menu").open = false));
}

const fileName = () => shown.topic.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 80) || "slosh";

const KEYS = {
  p: pause, " ": pause, "0": () => zoom(), "+": () => changeSpan(1), "=": () => changeSpan(1), "-": () => changeSpan(-1),
  z: () => $("zero").click(), l: () => $("log").click(), f: () => ($("table-tools").hidden = false, $("filter").focus()), 
  ArrowLeft: (event) => arrow(event, -1), ArrowRight: (event) => arrow(event, 1),
};
let pointedAt;

/** The pointer by the keyboard; with shift the time moves. */
function arrow(event, way) {
  const by = (way * (view.to - view.from)) / (event.shiftKey ? 4 : 60);
  if (event.shiftKey) return zoom(view.from + by, view.to + by);
  pointedAt = Math.min(view.to, Math.max(view.from, (pointedAt ?? view.to) + by));
  panels.plots[0]?.pointAt(pointedAt);
}

document.title = `${isolatedText(shown.topic)} · slosh`;
document.body.classList.toggle("embedded", shown.isEmbedded);
document.body.classList.toggle("across", Boolean(shown.x));
$("topic").textContent = shown.topic;
$("where").value = shown.topic;
$("empty-title").textContent = "Nothing has come yet";
// A pattern is posted to through a topic that it takes in.
const example = shown.topic.split(",")[0].replaceAll(/\*+/g, "one");
$("curl").textContent = `curl -d '{"value": 21.5}' '${topicOf(example)}'`;
$("copy").addEventListener("click", () => copy($("curl").textContent, $("copy"), $("curl")));
$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("where").value.trim();
  if (wanted) location.assign(viewOf(wanted));
});
$("pause").addEventListener("click", pause);
$("messages").addEventListener("toggle", () => list.show(feed, $("messages").open));
$("unzoom").addEventListener("click", () => zoom());
chooseSpan();
bindOptions();
addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if ($("menu").open && $("menu").contains(event.target)) $("menu").firstElementChild.focus();
    $("menu").open = false;
    pointedAt = undefined;
    panels.plots[0]?.pointAt();
  }
  const isOf = (elements) => event.target.closest?.(elements);
  // Letters are typed into some, and the space bar presses others.
  const isTheirs = isOf("input:not([type=checkbox]), select") || (isOf("button, summary") && event.key !== "p") || (event.key === " " && isOf("input"));
  if (event.ctrlKey || event.metaKey || event.altKey || isTheirs || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key](event);
});
/** Draw with the colours that the sheet has now, or for paper, where those that are out of sight are seen too. */
function recolour({ type }) {
  document.documentElement.className = type === "beforeprint" ? "paper" : "";
  panels.recolour();
  paths.hurry();
  isChosen = true;
  draw(0);
  panels.drawAll();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
addEventListener("beforeprint", recolour);
addEventListener("afterprint", recolour);
// Ticks for what changes without a message: the rate that sinks, the silence that grows.
setInterval(() => document.hidden || schedule(), TEXTS);
setInterval(() => feed.newest && (move(), tell("summary", summary(shown.topic, drawnLines(), view))), 15_000);
let following;
function start(since) {
  // At most fifty answers a second, however fast the topic is.
  following = follow(shown.topic, { since, every: "20ms", key: shown.key, shared: true, onAnswer: take, onState: takeState });
}
start(`${kept}s`);
$("retry").addEventListener("click", () => following.retry());
/** For tests: what is drawn. */
globalThis.sloshView = { lines, shown: view, feed, get following() { return following; }, plots: () => panels.plots, cost: () => cost, drawings: () => drawings };
