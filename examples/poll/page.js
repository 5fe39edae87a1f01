import { publish, watch } from "/-/slosh.js";

const CHOICES = ["Tea", "Coffee", "Water", "Nothing at all"];
const said = document.querySelector("#said");
/** What this browser keeps. It may be told to keep nothing; then all lasts as long as the page. */
const kept = {};
try {
  for (const name of ["poll-voter", "poll-choice"]) kept[name] = localStorage[name];
} catch { /* Nothing is kept. */ }

function keep(name, text) {
  kept[name] = text;
  try {
    localStorage[name] = text;
  } catch { /* As above. */ }
}

/** Which browser this is: one vote for each. */
if (!kept["poll-voter"]) keep("poll-voter", `${Date.now()}-${Math.random()}`);

const buttons = new Map(CHOICES.map((choice) => {
  const button = document.createElement("button");
  button.append(choice, document.createElement("b"));
  button.addEventListener("click", () => vote(choice));
  document.querySelector("#choices").append(button);
  return [choice, button];
}));

async function vote(choice) {
  try {
    await publish("poll/votes", { voter: kept["poll-voter"], choice }, { retries: 3 });
    keep("poll-choice", choice);
    mark();
  } catch (error) {
    said.value = `Your vote was not taken: ${error.message}`;
  }
}

function mark() {
  for (const [choice, button] of buttons) button.setAttribute("aria-pressed", String(choice === kept["poll-choice"]));
}

mark();
for await (const { message } of watch("poll/result", { since: "-1" })) {
  // Anybody can post anything: what is no count is none.
  const votes = new Map(Object.entries(message?.votes ?? {}).filter(([, count]) => count > 0));
  const all = [...votes.values()].reduce((sum, count) => sum + Number(count), 0);
  for (const [choice, button] of buttons) {
    const count = Number(votes.get(choice) ?? 0);
    button.style.setProperty("--share", all ? count / all : 0);
    button.lastChild.textContent = count.toLocaleString("en");
  }
  said.value = `${all.toLocaleString("en")} ${all === 1 ? "vote" : "votes"}`;
}
