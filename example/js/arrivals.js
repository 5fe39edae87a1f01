/** Counts what arrives on a topic: how much, how fast, how much was missed, and whether anybody feeds it at all. */

import { $, count } from "./parts.js";

/** The rate is a mean over this time, in milliseconds. */
const SPAN = 10_000;
/** Silence for this long, in milliseconds, means that nobody feeds the topic. */
const SILENCE = 4000;

export class Arrivals {
  #arrived = [];
  #received = 0;
  #missed = 0;
  #first = true;
  #began = performance.now();
  #lastAt = -Infinity;
  #live = false;

  /** Take an answer into account. Returns true when it was the first one: the history, and not the stream. */
  take({ res, lost = 0 }) {
    const now = performance.now();
    const history = this.#first;
    this.#first = false;
    if (res.length) this.#lastAt = now;
    if (history) return true;
    this.#received += res.length;
    this.#missed += lost;
    this.#arrived.push(...res.map(() => now));
    return false;
  }

  /** Tell what the connection does (the state of `follow`): silence on a dead connection says nothing of the feeder. */
  connection({ name }) {
    if (name === "live" && !this.#live) this.#began = performance.now();
    if (name === "live") this.#live = true;
    else if (name !== "connecting") this.#live = false;
    // What comes first after the first live word is new, even if there was no history.
    if (name === "live") queueMicrotask(() => (this.#first = false));
  }

  /** True while the connection is good and nothing comes. */
  get silent() {
    return this.#live && performance.now() - Math.max(this.#lastAt, this.#began) > SILENCE;
  }

  /** Write the figures into the page. */
  show() {
    const now = performance.now();
    while (this.#arrived.length && now - this.#arrived[0] > SPAN) this.#arrived.shift();
    const span = Math.min(SPAN, Math.max(1000, now - this.#began)) / 1000;
    $("rate").textContent = (this.#arrived.length / span).toFixed(1);
    $("received").textContent = count(this.#received, "message");
    $("missed").textContent = this.#missed.toLocaleString("en");
    $("missed").parentElement.classList.toggle("warn", this.#missed > 0);
    $("silent").hidden = !this.silent;
  }
}
