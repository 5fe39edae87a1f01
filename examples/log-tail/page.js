import { watch } from "/-/slosh.js";

const [lines, filter, more, state] = ["#lines", "#filter", "#more", "#state"].map((each) => document.querySelector(each));
/** Lines that the page keeps. */
const KEPT = 5000;
const KINDS = [["bad", /\b(error|fatal|crit|critical|panic|traceback)\b/i], ["warn", /\b(warn|warning)\b/i]];
let watching;

function row(text, className, time, from) {
  const item = Object.assign(document.createElement("li"), { className });
  if (time) item.append(Object.assign(document.createElement("time"), { textContent: new Date(time).toLocaleTimeString("en-GB") }));
  // A stranger's name has no say in which direction the words beside it are read.
  if (from) item.append(Object.assign(document.createElement("bdi"), { textContent: from }), "  ");
  item.append(text);
  sift(item);
  return item;
}

function sift(item) {
  item.hidden = !item.textContent.toLowerCase().includes(filter.value.toLowerCase());
}

/** Add lines, and stay at the end where the reader was at the end. */
function add(...rows) {
  const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  lines.append(...rows);
  while (lines.children.length > KEPT) lines.firstChild.remove();
  if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  else more.hidden = false;
}

function topicOf(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, with a percent sign of its own
  }
}

async function read() {
  watching?.close();
  const topic = topicOf(location.hash.slice(1)) || "log/**";
  document.querySelector("#topic").textContent = topic;
  lines.replaceChildren();
  watching = watch(topic, { since: "-500", every: "100ms", shared: true, onState: ({ name, reason }) => (state.value = reason ?? name) });
  for await (const { message, time, lost, reset, topic: from } of watching) {
    if (reset) add(row("the log began again", "gap"));
    // Before the first line it is what was there before this page.
    if (lost && lines.childElementCount) add(row(`${lost.toLocaleString("en")} ${lost === 1 ? "line is" : "lines are"} missing here`, "gap"));
    const text = typeof message === "string" ? message : JSON.stringify(message);
    add(row(text, KINDS.find(([, words]) => words.test(text))?.[0] ?? "", time, topic.includes("*") && from));
  }
}

filter.addEventListener("input", () => [...lines.children].forEach(sift));
more.addEventListener("click", () => (lines.scrollTop = lines.scrollHeight));
lines.addEventListener("scroll", () => {
  if (lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40) more.hidden = true;
});
addEventListener("hashchange", read);
read();
