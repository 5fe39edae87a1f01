/** Files of what is shown: the numbers as CSV, and the charts as a picture. */

import { BETWEEN, isolatedText } from "./lines.js";

/**
 * The points of lines between two times, as CSV (RFC 4180): a column for each line, and for each time as many rows as a line
 * has points there. A name that a spreadsheet would take for a formula has an apostrophe before it.
 */
export function csvOf(lines, from, to, isTime) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // Whoever posts chooses the names, and a spreadsheet would take one that begins so for a formula, and run it.
  const cell = (text) => quoted(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);
  const rows = new Map();
  lines.forEach(({ series }, column) => {
    let [before, nth] = [NaN, 0];
    for (let row = series.find(from); row < series.length && series.times[row] <= to; row++) {
      const value = series.mean[row];
      if (Number.isNaN(value)) continue;
      const time = series.times[row];
      nth = time === before ? nth + 1 : 0;
      before = time;
      if (!rows.has(time)) rows.set(time, []);
      (rows.get(time)[nth] ??= new Array(lines.length).fill(""))[column] = String(value);
    }
  });
  const texts = [...rows].sort(([a], [b]) => a - b).flatMap(([time, several]) => {
    const at = isTime ? new Date(Math.round(time * 1000)).toISOString() : String(time);
    return several.map((values) => [at, ...values].join(","));
  });
  return `${[[isTime ? "time" : "x", ...lines.map(({ label }) => label)].map(cell).join(","), ...texts].join("\r\n")}\r\n`;
}

/** The charts below each other, with their names, on one canvas. */
export function pictureOf(plots, view, title) {
  const ratio = globalThis.devicePixelRatio || 1;
  const head = 30 * ratio;
  const width = Math.max(...plots.map(({ canvas }) => canvas.width)) + 32 * ratio;
  const height = 44 * ratio + plots.reduce((sum, { canvas }) => sum + canvas.height + head, 0);
  const picture = Object.assign(document.createElement("canvas"), { width, height });
  const context = picture.getContext("2d");
  context.fillStyle = view.colour("--panel");
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  context.fillStyle = view.colour("--ink");
  context.font = `600 ${16 * ratio}px system-ui, sans-serif`;
  context.fillText(isolatedText(title), 16 * ratio, 24 * ratio);
  let top = 44 * ratio;
  for (const { canvas, lines } of plots) {
    let left = 16 * ratio;
    context.font = `${12 * ratio}px system-ui, sans-serif`;
    for (const { parts, colour, shown } of lines) {
      const label = parts.map(isolatedText).join(BETWEEN);
      if (!shown || left > width - 80 * ratio) continue;
      context.fillStyle = view.colour(colour);
      context.fillRect(left, top + head / 2 - 2 * ratio, 12 * ratio, 4 * ratio);
      context.fillStyle = view.colour("--muted");
      context.fillText(label, left + 18 * ratio, top + head / 2);
      left += context.measureText(label).width + 36 * ratio;
    }
    context.drawImage(canvas, 16 * ratio, top + head);
    top += head + canvas.height;
  }
  return picture;
}

/** Hand a file to the reader. */
export function download(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
