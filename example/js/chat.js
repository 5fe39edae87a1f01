/**
 * The chat: a topic with people around it. `chat.html?room=garden` is a room of its own.
 *
 * The server keeps the last messages of a topic only as long as somebody watches it (and a little longer), so a room
 * that everybody left starts again. What people type goes into the page as text and never as HTML.
 */

import { follow, publish } from "../-/slosh.js";
import { $, count, make, stateIn } from "./parts.js";

const room = new URLSearchParams(location.search).get("room")?.trim();
const topic = room ? `chat/${room}` : "chat";
/** Which messages are this page's own; nicknames are not unique. */
const me = crypto.randomUUID?.() ?? String(Math.random());
/** How many earlier messages somebody who joins gets to see. */
const HISTORY = 50;
/** The page keeps so many lines. */
const KEPT = 500;
/** Closer to the end than this, in pixels, counts as reading along. */
const NEAR = 60;
/** Lines of one person that follow each other within this time, in milliseconds, stand together. */
const TOGETHER = 120_000;

let joined = false;
let dropped = false;
let last = { from: null, at: 0 };
/** The text that is being sent and its key: whoever sends the same text again after a failure says it once. */
let sending = { text: "", key: "" };

function inventName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  return `${pick(["Calm", "Brisk", "Merry", "Bright", "Quiet", "Bold"])} ${pick(["Otter", "Heron", "Seal", "Gull", "Crab", "Wren"])}`;
}

/** What a message holds, made safe to draw: anybody can post anything to a topic. */
function read(message) {
  const isOurs = message !== null && typeof message === "object" && typeof message.text === "string";
  if (!isOurs) return { from: "somebody", text: JSON.stringify(message), at: Date.now(), page: null };
  const { from, text, at, page } = message;
  const time = typeof at === "number" && Number.isFinite(new Date(at).getTime()) ? at : Date.now();
  return { from: typeof from === "string" && from.trim() ? from.trim().slice(0, 24) : "somebody", text, at: time, page };
}

/** Hues that are told apart at a glance. */
const HUES = [190, 20, 265, 130, 335, 45, 215, 300, 95, 0];

/** A hue for a name: the same in every browser (FNV-1a). */
function hue(name) {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return HUES[(hash >>> 0) % HUES.length];
}

function line(message) {
  const { from, text, at, page } = read(message);
  const mine = page === me;
  const more = last.from === from && last.page === page && at - last.at < TOGETHER;
  last = { from, page, at };
  const time = make("time", {
    dateTime: new Date(at).toISOString(),
    text: new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
  });
  const row = make(
    "div",
    { className: `line${mine ? " mine" : ""}${more ? " more" : ""}` },
    make("span", { className: "badge", ariaHidden: "true", text: [...from][0].toUpperCase() }),
    make("span", { className: "who" }, make("span", { text: mine ? "You" : from }), time),
    make("span", { className: "text", text }),
  );
  row.style.setProperty("--hue", hue(from));
  return row;
}

function notice(text, warn = false) {
  last = { from: null, at: 0 };
  return make("p", { className: `notice${warn ? " warn" : ""}`, text });
}

/** Add rows, and stay at the end where the reader was at the end. */
function add(rows) {
  const log = $("log");
  const along = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  $("nobody")?.remove();
  log.append(...rows);
  while (log.children.length > KEPT) log.firstElementChild.remove();
  if (along) log.scrollTop = log.scrollHeight;
  else $("latest").hidden = false;
}

function onAnswer({ res, lost = 0, reset }) {
  const rows = [];
  if (reset) {
    rows.push(notice("The server started again. What was said while the connection was down may be missing.", true));
  }
  if (lost) {
    const words = joined ? "missed: the room keeps only the latest" : "said before that, no longer kept";
    rows.push(notice(`${count(lost, "message")} ${words}`, joined));
  }
  rows.push(...res.map(line));
  joined = true;
  add(rows);
}

function onState(state) {
  showState(state);
  if (state.name === "live") {
    if (dropped) add([notice("Connected again.")]);
    dropped = false;
    joined = true;
  } else if (["offline", "waiting"].includes(state.name) && !dropped) {
    dropped = true;
    if (joined) add([notice(`Connection lost: ${state.reason}. Trying again by itself.`, true)]);
  }
}

async function send(event) {
  event.preventDefault();
  const text = $("text").value.trim();
  const from = $("nick").value.trim();
  if (!text || !from) return;
  if (sending.text !== text) sending = { text, key: crypto.randomUUID?.() };
  try {
    const message = { from, text, at: Date.now(), page: me };
    const answer = await publish(topic, message, { idempotencyKey: sending.key });
    if (!answer.taken) return tell("Not sent: nobody is in the room, this page neither until it is connected again.", "bad");
    sending = { text: "", key: "" };
    if ($("text").value.trim() === text) $("text").value = "";
    tell("");
    $("log").scrollTop = $("log").scrollHeight;
  } catch (error) {
    tell(`Not sent: ${error.message}. Your words are still here.`, "bad");
  }
}

function tell(text, kind = "") {
  $("said").textContent = text;
  $("said").dataset.kind = kind;
}

/** Storage may be forbidden; then the name lives as long as the page. */
function keepName(name) {
  try {
    if (name) localStorage.setItem("slosh-nick", name);
    return localStorage.getItem("slosh-nick");
  } catch {
    return null;
  }
}

if (room) $("title").textContent = `Chat: ${room}`;
$("nick").value = keepName() || inventName();
$("nick").addEventListener("change", () => keepName($("nick").value.trim()));
$("say").addEventListener("submit", send);
$("latest").addEventListener("click", () => ($("log").scrollTop = $("log").scrollHeight));
$("log").addEventListener("scroll", () => {
  const log = $("log");
  if (log.scrollHeight - log.scrollTop - log.clientHeight < NEAR) $("latest").hidden = true;
});
new ResizeObserver(() => ($("log").scrollTop = $("log").scrollHeight)).observe($("log"));

const following = follow(topic, { since: `-${HISTORY}`, shared: true, onAnswer, onState });
const showState = stateIn($("state"), () => following.retry());
