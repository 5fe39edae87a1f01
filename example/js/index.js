/** The front page: the commands with this page's own address, and a box that shows what is posted to `test`. */

import { follow, publish } from "../-/slosh.js";
import { $, count, fillCommands, make, stateIn } from "./parts.js";

const TOPIC = "test";
/** So many lines stay in the box. */
const KEPT = 50;

function row(label, text, className) {
  return make("li", {}, make("span", { className: "offset", text: label }), make("span", { className, text }));
}

function show({ res, max, lost = 0, reset }) {
  $("hint")?.remove();
  const rows = res.map((message, i) => row(max - res.length + 1 + i, JSON.stringify(message), "json"));
  if (lost) rows.unshift(row("", `${count(lost, "message")} missed`, "note"));
  if (reset) rows.unshift(row("", "the topic started again", "note"));
  $("feed").prepend(...rows.reverse());
  while ($("feed").children.length > KEPT) $("feed").lastElementChild.remove();
}

async function post(event) {
  event.preventDefault();
  let value;
  try {
    value = JSON.parse($("message").value);
  } catch {
    $("said").textContent = 'That is not JSON. A text stands in quotes: "hello".';
    return;
  }
  try {
    const answer = await publish(TOPIC, value);
    $("said").textContent = answer.taken
      ? `Taken as number ${answer.max}; ${count(answer.watchers, "reader was", "readers were")} waiting.`
      : "404: nobody watches this topic, so nothing was kept.";
  } catch (error) {
    $("said").textContent = `Not posted: ${error.message}.`;
  }
}

fillCommands();
$("form").addEventListener("submit", post);
const following = follow(TOPIC, {
  shared: true,
  onAnswer: show,
  onState: stateIn($("state"), () => following.retry()),
});
