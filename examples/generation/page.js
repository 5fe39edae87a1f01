import { end, publish, watch } from "/-/slosh.js";

const [form, answer, state, stop] = ["form", "#answer", "#state", "#stop"].map((each) => document.querySelector(each));
let watching;

/** Show the answer that the page's address names, from its first token on: a reload shows all of it again, and goes on. */
async function read() {
  watching?.close();
  const topic = location.hash.slice(1);
  answer.textContent = "";
  if (!topic) return;
  // 50 ms of tokens together are fast enough for eyes. A hidden tab reads on; else its model would stop.
  const mine = (watching = watch(topic, { since: "earliest", every: "50ms", whenHidden: "keep" }));
  state.value = "writing";
  let failed;
  try {
    for await (const { message, lost, reset } of mine) {
      if (reset) answer.textContent = "";
      if (message?.failed) failed = message.failed; // the last message of a model that could not go on
      else answer.append(lost ? `[${lost} ${lost === 1 ? "token is" : "tokens are"} missing] ` : "", typeof message === "string" ? message : JSON.stringify(message));
    }
  } catch (error) {
    failed = error.message;
  }
  if (mine !== watching) return;
  if (failed) state.value = `failed: ${failed}`;
  else state.value = mine.state.name === "ended" ? "done" : "closed";
}

/** Do it, and say what went wrong. */
async function attempt(step) {
  try {
    await step();
  } catch (error) {
    state.value = error.message;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const topic = `answer/${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  location.hash = topic; // the address is all that a reload needs
  attempt(async () => {
    const { taken } = await publish("prompts", { topic, prompt: form.prompt.value });
    if (!taken) state.value = "no model is running: python producer.py";
  });
});
stop.addEventListener("click", () => attempt(() => end(location.hash.slice(1))));
addEventListener("hashchange", read);
read();
