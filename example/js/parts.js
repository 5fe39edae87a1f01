/** What several pages of the example share: small helpers for elements, texts and the connection's state. */

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/** Make an element. Text goes in as text, never as HTML: what others post is shown, not run. */
export function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

const WORDS = {
  connecting: "connecting",
  live: "live",
  waiting: "the server asks to wait",
  offline: "connection lost",
  resting: "resting while hidden",
  failed: "refused",
  ended: "the topic has ended",
  closed: "closed",
};

/**
 * Show in `element` what a connection is doing; the result is the `onState` to give to `follow`.
 * `retry` is called when the reader does not want to wait for the next try.
 */
export function stateIn(element, retry) {
  const words = make("span");
  const button = make("button", { type: "button", className: "link", text: "Try now", hidden: true, onclick: retry });
  element.replaceChildren(words, button);
  return ({ name, reason }) => {
    // A retry that is under way after a failure is still "connection lost" to the reader, until it succeeds.
    if (name === "connecting" && ["offline", "waiting"].includes(element.dataset.state)) return;
    element.dataset.state = name;
    element.title = reason ?? "";
    words.textContent = name === "failed" ? `refused: ${reason}` : WORDS[name];
    button.hidden = !["offline", "waiting"].includes(name);
  };
}

/** `1 message`, `2 messages`. */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Bytes for reading: `1.5 kB`, `23 MB`. */
export function bytes(n) {
  if (n == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 || n >= 99.5 ? Math.round(n) : n.toPrecision(2)} ${units[unit]}`;
}

/** The server's address: one folder up from here, so that a proxy's prefix is part of it. */
const ORIGIN = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** Fill the elements marked `data-origin` with their own text, `ORIGIN` replaced by this page's, and let them be copied. */
export function fillCommands() {
  for (const box of document.querySelectorAll(".command")) {
    const code = box.querySelector("code");
    code.textContent = code.textContent.replaceAll("ORIGIN", ORIGIN);
    const button = make("button", { type: "button", text: "Copy" });
    button.setAttribute("aria-label", `Copy the command ${code.textContent}`);
    button.addEventListener("click", () => copy(code, button));
    box.append(button);
  }
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Only pages over HTTPS or on localhost may write to the clipboard: select the text, the reader copies it.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
}
