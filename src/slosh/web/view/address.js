/** The page's address: which topics, and how they are shown. What is chosen on the page is written into it. */

import { parseDuration, toldUnits } from "./numbers.js";

/** The longest span, in seconds, which is that of `span=all`; and that of an address that says none. */
export const LONGEST = 31 * 86_400;
const USUAL = 60;

export const home = new URL("../", import.meta.url);

/** A topic's name as a part of an address. */
export const pathOf = (name) => encodeURIComponent(name).replaceAll("%2F", "/").replaceAll("%2C", ",").replaceAll("'", "%27");

export const viewOf = (name) => new URL(`view/${pathOf(name)}`, home);
export const topicOf = (name) => `${new URL("topics/", home).href}${pathOf(name)}`;

/** Seconds of a span such as `10m`, or `all`. */
export const spanIn = (text) => (text === "all" ? LONGEST : Math.min(LONGEST, parseDuration(text) ?? USUAL));

/** Whether a set of an address names a line, by all of its name or by its path. */
export const names = (set, line) => set.has(line.label) || set.has(line.path);

/** What the address says. */
export function readAddress() {
  const asked = new URLSearchParams(location.search);
  const zoom = [asked.get("from"), asked.get("to")].map((text) => (text ? Number(text) : NaN));
  const isFlag = (name) => asked.has(name) && asked.get(name) !== "0";
  const topic = decodeURIComponent(location.pathname.slice(new URL("view/", home).pathname.length));
  return {
    topic,
    several: /[,*]/.test(topic),
    span: spanIn(asked.get("span")),
    by: asked.get("by"),
    key: asked.get("key") || undefined,
    x: asked.get("x") || undefined,
    zoom: zoom[0] < zoom[1] ? { from: zoom[0], to: zoom[1] } : null,
    isZero: isFlag("zero"),
    isLog: isFlag("log"),
    isEmbedded: isFlag("embed"),
    smoothing: Math.min(0.99, Math.max(0, Number(asked.get("smooth")) || 0)),
    hidden: new Set(asked.getAll("hide")),
    only: new Set(asked.getAll("only")),
    pinned: new Set(asked.getAll("pin")),
    units: toldUnits(asked),
  };
}

/** Write some of it into the address; a value of null, false or an empty set takes it out. */
export function writeAddress(changes) {
  const asked = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    asked.delete(name);
    if (value instanceof Set) for (const each of value) asked.append(name, each);
    else if (value === true) asked.set(name, "");
    else if (value !== null && value !== false && value !== undefined) asked.set(name, String(value));
  }
  const text = String(asked).replaceAll(/=(?=&|$)/g, "");
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}
