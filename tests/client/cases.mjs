/** Reads each case of cases.yaml with slosh.js, all at the same time, and prints what each reader was given and told. */

import { readFileSync } from "node:fs";
import { connect } from "node:net";

const { script, cases } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { watch } = await import(script);
const MOST = 25_000;
// Pauses between tries, a twentieth as long: they are tested by themselves.
Math.random = () => -0.9;

/** The end of a server's script: it closes this port then, or has closed it. */
const isUsed = (port) => new Promise((used) => connect(port, "127.0.0.1").on("error", () => {}).on("close", used));

async function read({ case: { topics, options = {}, gives = [], notes = [], over = false, refused = 0, silent = false }, url, used }) {
  const seen = { items: [], notes: [], refused: 0, place: "", over: false };
  const watching = watch(topics, { ...options, server: url, patience: silent ? 5000 : MOST });
  const scriptUsed = isUsed(used);
  const late = setTimeout(() => watching.close(), MOST);
  try {
    for await (const { message, topic, offset, lost, reset, truncated } of watching) {
      if (reset) seen.notes.push(["reset", topic, 0]);
      if (truncated) seen.notes.push(["truncated", topic, 0]);
      if (lost) seen.notes.push(["lost", topic, lost]);
      seen.items.push({ message, offset });
      seen.place = watching.place;
      const isAll = seen.items.length >= gives.length && seen.notes.length >= notes.length;
      // What it should not be given at the end would come in this time.
      if (isAll && !over && !refused) scriptUsed.then(() => setTimeout(() => watching.close(), 200));
    }
    seen.over = watching.state.name === "ended";
    seen.notes.push(...watching.ended.map((topic) => ["ended", topic, 0]));
  } catch (error) {
    seen.refused = error.status;
  }
  clearTimeout(late);
  return seen;
}

console.log(JSON.stringify(await Promise.all(cases.map(read))));
process.exit(0);
