/** Numbers, units and times: where they are in messages, and how they read. Nothing here touches the page. */

/** Parts of one message that are looked at, and how deep, for numbers. */
const MAX_PARTS = 2000;
const MAX_DEPTH = 8;
/** Whole numbers with these names only count up: they say which message it is, and are no lines unless asked for. */
const COUNTERS = /^(epoch|step|steps|global_?step|iter|iteration|batch|id|seq|seqno|sequence|offset|index|idx|row|frame|message_?id)$/i;
/** A number this near the present, in seconds, milli-, micro- or nanoseconds since 1970, is a time. */
const NEAR = 86_400;

/** Call `found(path, number, value)` for what stands in a message: `load[0]`, `cpu.user`, and `value` for one that is no
 *  object. The number is null for what is none. False where a message was too large or too deep to be looked at as a whole. */
export function findNumbers(message, found) {
  let parts = 0;
  let isWhole = true;
  const look = (value, path, depth) => {
    if (++parts > MAX_PARTS || depth > MAX_DEPTH) isWhole = false;
    else if (typeof value !== "object" || value === null) found(path || "value", typeof value === "number" ? value : null, value);
    else {
      const isArray = Array.isArray(value);
      for (const name in value) {
        if (parts > MAX_PARTS) break;
        look(value[name], isArray ? `${path}[${name}]` : path ? `${path}.${name}` : name, depth + 1);
      }
    }
  };
  look(message, "", 0);
  return isWhole;
}

/** The number at a dotted path; undefined where there is none. Names may have dots themselves, as in the server's histories. */
export function numberAt(message, path) {
  const value = valueAt(message, path);
  return typeof value === "number" ? value : undefined;
}

/** What stands at a dotted path, as text; undefined where there is no text, number or boolean. */
export function textAt(message, path) {
  const value = valueAt(message, path);
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : undefined;
}

/** What stands at a dotted path; undefined where nothing does. */
export function valueAt(message, path) {
  let value = message;
  for (let left = path.split("."); left.length; ) {
    if (typeof value !== "object" || value === null) return undefined;
    let count = left.length;
    while (count && !Object.hasOwn(value, left.slice(0, count).join("."))) count--;
    if (!count) return undefined;
    value = value[left.slice(0, count).join(".")];
    left = left.slice(count);
  }
  return value;
}

/** Whether a number only says when its message was made, or which one it is. */
export function isCounter(path, value, now) {
  const name = path.slice(path.lastIndexOf(".") + 1);
  return (Number.isInteger(value) && COUNTERS.test(name)) || timeUnit(value, now) !== undefined;
}

/** How many of it a second has, of a number that is a time: 1, 1e3, 1e6 or 1e9; undefined for any other. */
export function timeUnit(value, now) {
  return [1, 1e3, 1e6, 1e9].find((unit) => Math.abs(value / unit - now) < NEAR);
}

/** Digits behind the point that a step needs to be told as it is: 1 for 2.5, 2 for 0.25. */
export function decimals(step) {
  for (let digits = 0; digits < 20; digits++) {
    const scaled = step * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < scaled * 1e-4) return digits;
  }
  return 20;
}

/** The step, 1, 2, 2.5 or 5 times a power of ten, that divides a range into at most so many parts. */
export function stepFor(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9));
}

/** The multiples of a step in a range. */
export function ticks(low, high, step) {
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first;
  // Beyond 2 ** 53 k + 1 may be k.
  for (let i = 0; i <= count && i < 100; i++) {
    const k = first + i;
    // 3 * 0.1 is 0.30000000000000004: take the short one, where it is the same number for the eye.
    const short = Number((k * step).toPrecision(15));
    const value = (Math.abs(short - k * step) < step / 1000 ? short : k * step) + 0;
    if (value !== found.at(-1)) found.push(value);
  }
  return found;
}

const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"]];

/**
 * How numbers up to a size read, so that a distance still shows: each number on one scale reads the same everywhere.
 * @param {number} size  the largest size of a number
 * @param {number} step  the distance that must show
 * @returns {{unit: number, suffix: string, isScientific: boolean}}
 */
export function notation(size, step) {
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return { unit: 1, suffix: "", isScientific: true };
  const [unit, suffix] = UNITS.find(([unit]) => size >= unit) ?? [1, ""];
  // A suffix stands for three digits at least; else the number is as short without it.
  if (unit > 1 && decimals(step / unit) > Math.min(6, Math.log10(unit) - 3)) return { unit: 1, suffix: "", isScientific: false };
  return { unit, suffix, isScientific: false };
}

/** The distance that must show between numbers that lie between these: a fiftieth of what they span, or the fourth digit where there is one number alone. */
export function resolution(low, high) {
  return 10 ** Math.floor(Math.log10(high > low ? (high - low) / 50 : (Math.abs(low) || 1) / 999));
}

/** Digits behind the point of a number, and no fewer than this; Infinity where they are very many. */
export function digitsOf(value, least) {
  for (let digits = least; digits < 9; digits++) {
    const scaled = value * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) <= Math.abs(scaled) * 1e-15) return digits;
  }
  return Infinity;
}

/** The distance that must show between a line's numbers; fractions have no more digits than came. */
export const stepOf = ({ facts, digits }) => (facts.low === undefined ? 1 : Math.max(resolution(facts.low, facts.high), digits && 10 ** -digits));

/** How the numbers of one line read: all of a line that has fractions, or is told in larger units, have the same digits. */
export const howOf = ({ facts, digits, scale }, how) => ({ ...how, isFixed: digits > 0 || (facts.low < facts.high && how.unit * scale.factor > 1) });

/** A number for reading, in a notation, exact to `step`. With `fixed` all of one step have the same digits. */
export function number(value, step, how, fixed = how.isFixed, more = 0) {
  if (value == null) return "–";
  // More than a browser can hold, as 1e400, is infinite to it.
  if (!Number.isFinite(value)) return value < 0 ? "-∞" : "∞";
  if (value === 0 && (!fixed || how.isScientific)) return "0";
  if (how.isScientific) {
    const size = 10 ** Math.floor(Math.log10(Math.abs(value)));
    const digits = Math.min(16, Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9)) + (fixed ? decimalsOfLead(step) : 0) + more);
    return value.toExponential(digits).replace(/\.?0*e/, "e").replace("e+", "e");
  }
  const digits = Math.min(20, decimals(step / how.unit) + more);
  const text = formatOf(digits, fixed).format(value / how.unit);
  return /[1-9]/.test(text) ? text + how.suffix : how.isFixed ? text.replace("-", "") + how.suffix : "0";
}

const formats = new Map();

/** A format is dear to make, and the same few are asked for with each drawing. */
function formatOf(digits, fixed) {
  const key = fixed ? digits : -1 - digits;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en", { maximumFractionDigits: digits, minimumFractionDigits: fixed ? digits : 0 }));
  return formats.get(key);
}

/** 1 for a step such as 2.5e-9, whose leading digit does not tell all of it. */
const decimalsOfLead = (step) => decimals(step / 10 ** Math.floor(Math.log10(step)));

/** The texts of an axis: as many digits as its step needs, and never the same text twice. */
export function labels(values, step, how) {
  for (let more = 0; ; more++) {
    const texts = values.map((value) => number(value, step, how, true, more));
    if (new Set(texts).size === texts.length || more > 16) return texts;
  }
}

/** A range wide enough to be divided. */
export const widen = (low, high) => [low, Math.max(high, low + 1e-9 + Math.abs(low) * 1e-12)];

/** What the y axis spans: what is there and a tenth more on both sides, but not past zero. */
export function span(low, high) {
  if (low == null || high == null) return [0, 1];
  // Numbers that differ by rounding alone are one.
  const size = Math.max(Math.abs(low), Math.abs(high));
  const range = high - low > size * 2e-15 ? high - low : size;
  const room = (range > 1e-300 ? range : 1) * 0.1;
  const beyond = (value) => Math.min(room, Math.abs(value));
  return size > 1e-300 ? [low - beyond(low), high + beyond(high)] : [0, room];
}

/* Units: what a path's name tells of its numbers, and how numbers of a unit read */

const NAMES = [
  [/(^|[_.])(ms|millis|milliseconds)$/i, "ms"],
  [/(^|[_.])(us|micros|microseconds)$/i, "µs"],
  [/(^|[_.])(ns|nanos|nanoseconds)$/i, "ns"],
  [/(^|[_.])(s|sec|secs|seconds|duration|uptime)$/i, "s"],
  [/(bytes_per_second|bytes_per_sec|bps|bytes\/s)$/i, "B/s"],
  [/(^|[_.])bytes?(_|$)/i, "B"],
  [/(^|[_.])(percent|pct|percentage|humidity)$/i, "%"],
  [/(^|[_.])(temp_c|celsius|temperature_c|deg_c)$/i, "°C"],
  [/(^|[_.])(temp_f|fahrenheit)$/i, "°F"],
  [/(^|[_.])(hz)$/i, "Hz"],
  [/(^|[_.])(volts?|voltage)$/i, "V"],
  [/(^|[_.])(watts?|power_w)$/i, "W"],
  [/(^|[_.])(amps?|amperes?)$/i, "A"],
  [/(^|[_.])(hpa)$/i, "hPa"],
  [/(^|[_.])(rpm)$/i, "rpm"],
  [/(^|[_.])(km_h|kmh|kph)$/i, "km/h"],
];

/** The unit of a path: as the page's address says (`unit.cpu=%`), else as its name tells; empty where there is none. */
export function unitOf(path, told = new Map()) {
  const bare = path.replaceAll(/\[\d+\]/g, "");
  const own = told.get(path) ?? told.get(bare);
  if (own !== undefined) return own;
  return NAMES.find(([name]) => name.test(bare))?.[1] ?? "";
}

/** The units that a page's address tells. */
export function toldUnits(query) {
  return new Map([...query].filter(([name]) => name.startsWith("unit.")).map(([name, unit]) => [name.slice(5), unit.slice(0, 12)]));
}

const BINARY = [[2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];

/** How a unit's numbers up to a size are told: divided by `factor`, with `text` behind. */
export function scaleOf(unit, size) {
  if (unit === "B" || unit === "B/s") {
    const [factor, text] = BINARY.find(([least]) => size >= least) ?? [1, "B"];
    return { factor, text: text + unit.slice(1) };
  }
  return { factor: 1, text: unit };
}

/** A value with its unit. A percent sign and degrees stand close. */
export function withUnit(value, step, how, scale) {
  // A step of so many bytes is none of so many MiB: the next smaller power of ten is.
  const fine = scale.factor === 1 ? step : 10 ** Math.floor(Math.log10(step / scale.factor));
  const text = number(value == null ? value : value / scale.factor, fine, how);
  if (!scale.text || value == null) return text;
  return text + (/^[%°]/.test(scale.text) ? "" : "\u202f") + scale.text;
}

/* Times */

/** 17:05:30, or 17:05:30.250 with 3 digits, of a time in seconds; behind its day, where it is one of more than a day's time. */
export function clock(time, digits = 0, span = 0) {
  const ms = Math.floor(Math.round(time * 1e6) / 1e3);
  const text = new Date(ms).toLocaleTimeString("en-GB", span > 86_400 ? { day: "numeric", month: "short" } : undefined);
  const part = String(((ms % 1000) + 1000) % 1000).padStart(3, "0");
  return digits > 0 ? `${text}.${part.slice(0, digits)}` : text;
}

/** `66 s`, `5 minutes`, `2.5 hours`. */
export function duration(seconds) {
  if (seconds < 1) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 100) return `${seconds < 10 && seconds % 1 >= 0.05 ? seconds.toFixed(1) : Math.floor(seconds + 0.05)} s`;
  if (seconds < 6000) return `${Number((seconds / 60).toFixed(seconds < 600 ? 1 : 0))} minutes`;
  return `${Number((seconds / 3600).toFixed(1))} hours`;
}

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of `90s`, `10m`, `1h` or a bare number, in the grammar of durations.py; undefined for anything else. */
export function parseDuration(text) {
  const [, count, unit] = /^([0-9]{1,15}(?:\.[0-9]{1,15})?)(?: ?(ms|s|m|h|d))?$/.exec(text ?? "") ?? [];
  return Number(count) > 0 ? Number(count) * SECONDS[unit ?? "s"] : undefined;
}

/** The server's clock, by what its answers tell of it. Times are in seconds; `local` is a clock that nobody sets. */
export class ServerClock {
  #samples = [];

  /** Learn that it was not earlier than `time` there when it was `local` here. The least delayed of the last ones counts. */
  see(time, local) {
    this.#samples.push(time - local);
    if (this.#samples.length > 20) this.#samples.shift();
  }

  now(local) {
    return local + (this.#samples.length ? Math.max(...this.#samples) : 0);
  }
}

/** `0.5`, `2,142.6`: how many a second. */
export const perSecond = (rate) => formatOf(1, true).format(rate);

/** Compares names: house/2 stands before house/10. */
export const naturally = new Intl.Collator("en", { numeric: true }).compare;

/** `1 message`, `2,000 messages`. */
export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** A text that is not longer than so many characters, but for the words that tell that it was. */
export const clip = (text, most) => (text.length > most ? `${text.slice(0, most)} … (${plural(text.length, "character")})` : text);

/** A text as a terminal would have it, but for its colours; control characters other than tabs and ends of lines have a picture. */
export const readable = (text) => text.replaceAll(/\x1b\[[\d;:]*[mK]/g, "").replaceAll(/[^\P{Cc}\t\n]/gu, (each) => String.fromCharCode(0x2400 + Math.min(33, each.codePointAt())));
