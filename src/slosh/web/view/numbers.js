/** Numbers in messages: where they are, when they were, and how they read. Nothing here touches the page. */

/** Parts of one message that are looked at, and how deep, for numbers. */
const MAX_PARTS = 2000;
const MAX_DEPTH = 8;
/** Names by which a message tells its own time. It counts only where it is near this browser's. */
const TIMES = ["t", "time", "timestamp", "ts", "at", "date"];
const MOST_BEHIND = 86_400;
const MOST_AHEAD = 60;

/** The time that a message plainly tells of itself, in seconds and with its name; undefined where there is none. */
export function timeIn(message, now) {
  if (typeof message !== "object" || message === null || Array.isArray(message)) return undefined;
  for (const name of TIMES) {
    if (!Object.hasOwn(message, name)) continue;
    const value = message[name];
    const isDate = typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value);
    const given = isDate ? Date.parse(value) : value;
    for (const time of [given, given / 1000]) {
      if (typeof given === "number" && time > now - MOST_BEHIND && time < now + MOST_AHEAD) return { name, time };
    }
  }
  return undefined;
}

/** Call `found(path, number)` for the numbers in a message: `load[0]`, `cpu.user`, and `value` for one that is a number.
 *  False where a message was too large or too deep to be looked at as a whole. */
export function findNumbers(message, without, found) {
  let parts = 0;
  let isWhole = true;
  const look = (value, path, depth) => {
    if (++parts > MAX_PARTS || depth > MAX_DEPTH) isWhole = false;
    else if (typeof value === "number") found(path || "value", value);
    else if (typeof value === "object" && value !== null) {
      const isArray = Array.isArray(value);
      for (const name in value) {
        if (parts > MAX_PARTS) break;
        if (depth === 0 && name === without) continue;
        look(value[name], isArray ? `${path}[${name}]` : path ? `${path}.${name}` : name, depth + 1);
      }
    }
  };
  look(message, "", 0);
  return isWhole;
}

/** The least, the greatest and the largest size of what a column holds. */
export function bounds(column) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of column) {
    if (value == null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high, peak: Math.max(Math.abs(low), Math.abs(high)) } : { low: undefined, high: undefined, peak: 0 };
}

/** A number for reading; `step` is the distance that must still show. */
export function number(value, step = Math.abs(value) / 1e4) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toExponential(2);
  if (size >= 1e6 && step >= size / 1e4) {
    return value.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 4 });
  }
  const digits = step > 0 ? Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) + 1e-9))) : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/** What the y axis spans: from nothing where that is near, else what is there and a little more. */
export function span(low, high) {
  if (low == null || high == null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.1;
  if (low >= 0 && low <= high * 0.6) return [0, high + room];
  if (high <= 0 && high >= low * 0.6) return [low - room, 0];
  return [low - room, high + room];
}

/** `1 message`, `2,000 messages`. */
export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** A text that is not longer than so many characters, but for the words that tell that it was. */
export const clip = (text, most) => (text.length > most ? `${text.slice(0, most)} … (${plural(text.length, "character")})` : text);
