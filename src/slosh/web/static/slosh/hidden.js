/** What a tab that is hidden does with its connection. Loaded when one is hidden. */

import { topicURL } from "./wire.js";

/** Milliseconds until it rests, or asks for less. */
const HIDDEN = 5000;
/** Tabs that need not rest. */
const KEEPING = 2;

const watched = new WeakSet();

/**
 * Call `set("rest")` or `set("less")` once the page has been hidden for a while, and `set("")` when it is shown again.
 * @param {Function} set  the same one again changes nothing
 * @param {{whenHidden?: "rest" | "less", server?: string}} options  those of `follow`
 * @param {AbortSignal} closing  ends it
 */
export function watchHidden(set, { whenHidden = "rest", server }, closing) {
  if (watched.has(set) || closing.aborted || !isNeeded(topicURL("t", server))) return;
  watched.add(set);
  let hiding;
  let release = () => {};
  const look = () => {
    clearTimeout(hiding);
    if (!document.hidden) {
      release();
      return set("");
    }
    hiding = setTimeout(async () => {
      const keeps = whenHidden === "rest" && (await keepSlot((done) => (release = done)));
      if (!document.hidden || closing.aborted) release();
      else if (!keeps) set(whenHidden);
    }, HIDDEN);
  };
  document.addEventListener("visibilitychange", look, { signal: closing });
  closing.addEventListener("abort", () => (clearTimeout(hiding), release()));
  look();
}

/** Whether other tabs may need this connection: HTTP/2 and later have one for all. */
function isNeeded(url) {
  const [page] = performance.getEntriesByType?.("navigation") ?? [];
  return !(url.origin === location.origin && /^h[23]/.test(page?.nextHopProtocol));
}

/** True where this hidden tab may keep its connection, until the function handed to `hold` is called. */
async function keepSlot(hold) {
  // Only pages over HTTPS or on localhost have locks; elsewhere each hidden tab rests.
  for (let slot = 0; slot < KEEPING && navigator.locks; slot++) {
    const isMine = await new Promise((resolve) => {
      const take = (lock) => (resolve(lock), lock && new Promise(hold));
      navigator.locks.request(`slosh: hidden tab ${slot}`, { ifAvailable: true }, take).catch(() => resolve());
    });
    if (isMine) return true;
  }
  return false;
}
