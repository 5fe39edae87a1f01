import { publish, watch } from "/-/slosh.js";

const [log, name, text, form, said] = ["#log", "#name", "#text", "form", "output"].map((each) => document.querySelector(each));
const room = roomOf(location.hash.slice(1)) || "lobby";
const topic = `chat/${room}`;

function roomOf(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, with a percent sign of its own
  }
}

/** The name that this browser keeps, and that it is to keep. It may be told to keep nothing. */
function keepName(wanted) {
  try {
    return wanted === undefined ? (localStorage.name ?? "") : (localStorage.name = wanted);
  } catch {
    return "";
  }
}

/** What a stranger wrote: as text, and without a say in which direction the words beside it are read. */
const isolated = (textContent, className) => Object.assign(document.createElement("bdi"), { textContent, className });

function add(text, who) {
  const line = document.createElement("p");
  if (who) line.append(isolated(who, "who"));
  line.append(isolated(text, ""));
  log.append(line);
  line.scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await publish(topic, { from: name.value, text: text.value }, { retries: 3 });
    [text.value, said.value] = ["", ""];
  } catch (error) {
    said.value = `Not sent: ${error.message}`;
  }
});

document.querySelector("#room").textContent = room;
name.value = keepName();
name.addEventListener("change", () => keepName(name.value));
addEventListener("hashchange", () => location.reload());
for await (const { message, lost } of watch(topic, { since: "-50" })) {
  if (lost && log.childElementCount) add(`${lost} ${lost === 1 ? "message is" : "messages are"} missing here`);
  add(String(message?.text ?? JSON.stringify(message)), String(message?.from ?? "somebody"));
}
