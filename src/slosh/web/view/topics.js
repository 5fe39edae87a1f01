/**
 * The topics that are active just now, with how many messages come on each. This page watches none of them.
 *
 * The server tells what has changed, on one stream; a page that is hidden for a while gives it back.
 */

import { home, topicOf, viewOf } from "./address.js";
import { duration, perSecond } from "./numbers.js";
import { arrange, isHeld, make, settle, write } from "./page.js";

/** Seconds between two tellings of the counts, and how many of them a sparkline has. */
const EVERY = 2;
const KEPT = 60;
/** Topics that are shown. */
const MOST = 1000;
/** Milliseconds until a hidden page gives its stream back, and until a stream that was refused is tried again. */
const HIDDEN = 5000;
const AGAIN = 5000;

const $ = (id) => document.getElementById(id);
/** By name: `{facts, since, history}`, and with what the page shows of it where it does. */
const topics = new Map();
let source;
let hiding;
/** Whether names came or went since they were last put into their order. */
let isNew = true;
/** Which telling of all topics this is: what was not told in it is gone, once it is over. */
let telling = 0;

/* What the server tells */

function open() {
  close();
  telling++;
  source = new EventSource(`${new URL("topics", home).href}?watch&every=${EVERY}s`);
  const on = (name, take) => source.addEventListener(name, ({ data }) => take(data && JSON.parse(data)));
  on("active", (facts) => note(facts));
  on("ended", ({ name }) => topics.has(name) && note({ ...topics.get(name).facts, ended: true }));
  on("inactive", ({ name }) => drop(name));
  on("reset", () => telling++);
  on("counted", count);
  on("refused", (problem) => tell("waiting", `The server asks to wait: ${problem.detail}`));
  source.onopen = () => tell("live", "");
  source.onerror = () => (source?.readyState === EventSource.CLOSED ? explain() : tell("offline", "The connection was lost; this page tries again by itself."));
}

function close() {
  source?.close();
  source = undefined;
}

/** Why there is no stream: an `EventSource` does not say. */
async function explain() {
  const again = setTimeout(() => document.hidden || open(), AGAIN);
  try {
    const response = await fetch(`${new URL("topics", home).href}?limit=1`, { cache: "no-store" });
    if (response.ok) return tell("offline", "The connection was lost; this page tries again by itself.");
    if (response.status < 500) clearTimeout(again);
    const { detail } = await response.json().catch(() => ({}));
    tell(response.status < 500 ? "failed" : "waiting", response.status === 401 ? "No topic here is public. Sign in with a token; its operator gives you one." : `The server refused: ${detail ?? response.status}`);
  } catch {
    tell("offline", "The server cannot be reached; this page tries again by itself.");
  }
}

const tell = (state, why) => settle(() => {
  $("state").dataset.state = state;
  $("state").dataset.silent = "false";
  $("state-words").textContent = { live: "live", failed: "refused", waiting: "the server asks to wait", offline: "connection lost" }[state];
  $("why").textContent = why;
  $("why").hidden = !why;
});

function note(facts) {
  const topic = topics.get(facts.name);
  if (topic) return Object.assign(topic, { facts, telling });
  topics.set(facts.name, { facts, telling, began: performance.now() - facts.age * 1000, history: [], row: undefined });
  isNew = true;
  // One that is created is seen at once, and all that come together are put into their order once.
  queueShow();
}

function drop(name) {
  isNew = topics.delete(name) || isNew;
  queueShow();
}

/** All that are active have been told. */
function count() {
  for (const [name, topic] of topics) if (topic.telling !== telling) drop(name);
  for (const { facts, history } of topics.values()) {
    history.push(facts.rate);
    if (history.length > KEPT) history.shift();
  }
  isCounted = true;
  queueShow();
}

/* The page */

let isQueued = false;
/** Whether the sparklines have another point. */
let isCounted = false;

function queueShow() {
  if (isQueued) return;
  isQueued = true;
  requestAnimationFrame(() => {
    isQueued = false;
    // What is pressed stays below the pointer.
    if (isHeld()) queueShow();
    else show();
  });
}

function show() {
  const all = [...topics.values()];
  if (isNew) order(all);
  const shown = all.filter(({ row }) => row);
  for (const { row, facts, began } of shown) {
    write(row.rate, `${perSecond(facts.rate)}/s`);
    write(row.more, `${facts.watchers.toLocaleString("en")} watching · ${facts.max.toLocaleString("en")} so far · for ${duration((performance.now() - began) / 1000)}${facts.ended ? " · ended" : ""}`);
  }
  $("count").textContent = all.length.toLocaleString("en");
  $("rate").textContent = perSecond(all.reduce((sum, { facts }) => sum + facts.rate, 0));
  const watchers = all.reduce((sum, { facts }) => sum + facts.watchers, 0);
  $("watchers").textContent = watchers.toLocaleString("en");
  $("watchers-word").textContent = watchers === 1 ? "watcher" : "watchers";
  $("empty").hidden = all.length > 0;
  $("rest").hidden = all.length <= MOST;
  $("rest").textContent = `The first ${MOST.toLocaleString("en")} by name are here.`;
  if (!isCounted) return;
  isCounted = false;
  // Sizes are read together, before anything is changed: each look behind a change would lay the page out again.
  const sizes = shown.map(({ row: { canvas } }) => [canvas.clientWidth, canvas.clientHeight]);
  const line = getComputedStyle(document.documentElement).getPropertyValue("--s1").trim();
  shown.forEach((topic, i) => spark(topic, ...sizes[i], line));
}

/** Rows stand in the order of their names. */
function order(all) {
  isNew = false;
  all.sort((a, b) => (a.facts.name < b.facts.name ? -1 : 1));
  for (const topic of all.slice(MOST)) topic.row = undefined;
  arrange($("topics"), all.slice(0, MOST).map((topic) => (topic.row ??= makeRow(topic.facts.name)).item));
  sift();
}

function makeRow(name) {
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  const [rate, more] = [make("b"), make("span", { className: "quiet small" })];
  const link = make("a", { href: viewOf(name).href }, make("span", { className: "topic-name", textContent: name }), more);
  return { canvas, rate, more, item: make("li", { title: topicOf(name) }, link, canvas, rate) };
}

function spark({ row: { canvas }, facts: { name }, history }, width, height, line) {
  const ratio = globalThis.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const most = Math.max(...history, 0.1);
  canvas.setAttribute("aria-label", `${name}: up to ${perSecond(most)} messages a second in the last ${duration(history.length * EVERY)}`);
  const at = (i) => [width - 2 - (history.length - 1 - i) * ((width - 4) / (KEPT - 1)), height - 2 - (history[i] / most) * (height - 5)];
  context.beginPath();
  history.forEach((_, i) => context[i ? "lineTo" : "moveTo"](...at(i)));
  Object.assign(context, { strokeStyle: line, lineWidth: 1.5, lineJoin: "round" });
  context.stroke();
  context.lineTo(width - 2, height - 1);
  context.lineTo(at(0)[0], height - 1);
  context.fillStyle = `${line}22`;
  context.fill();
}

function sift() {
  const wanted = $("filter").value.trim().toLowerCase();
  for (const { facts, row } of topics.values()) if (row) row.item.hidden = !facts.name.toLowerCase().includes(wanted);
}

$("filter").addEventListener("input", sift);
$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("where").value.trim();
  if (wanted) location.assign(viewOf(wanted));
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, HIDDEN);
  else if (!source) open();
});
// A page that comes out of the back-forward cache has lost its stream.
addEventListener("pageshow", ({ persisted }) => persisted && open());
addEventListener("pagehide", close);
open();
