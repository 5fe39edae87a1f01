/** Units: what a path's name tells of its numbers, and how numbers of a unit read. Nothing here touches the page. */

import { number } from "./numbers.js";

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
  [/(^|[_.])(hz|frequency_hz)$/i, "Hz"],
  [/(^|[_.])(volts?|voltage)$/i, "V"],
  [/(^|[_.])(watts?|power_w)$/i, "W"],
  [/(^|[_.])(amps?|amperes?)$/i, "A"],
  [/(^|[_.])(hpa|pressure_hpa)$/i, "hPa"],
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
