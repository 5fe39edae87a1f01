/**
 * What is drawn and is no line. Booleans and short texts that change now and then, such as `on` or `"heating"`: bands of
 * colour over the time. Longitude and latitude: which two numbers of a message are a place, and the places that one thing
 * has been at. Nothing here touches the page.
 */

import { readable } from "./numbers.js";

/** Colours of lines and states, and so values of one that are told apart; paths that are kept, changes of one, characters of a value. */
export const COLOURS = 12;
export const MAX_STATES = 60;
const MAX_CHANGES = 2000;
const MAX_TEXT = 40;
/** A line breaks where nothing came for so many times its usual interval, and for so many seconds. */
const SILENT_INTERVALS = 8;
const SILENT = 3;
/** Messages closer together than this, in seconds, say nothing of the usual interval. */
export const AT_ONCE = 0.05;

/** Whether a state has been `true` and `false` alone. */
export const isBoolean = ({ values }) => [...values.keys()].every((text) => text === "true" || text === "false");

/** Whether nothing came of a line or a state for so long that nothing is known of it. One that comes where it changes alone holds until the next. */
export function isSilent({ last, interval, count, again }, time) {
  const usual = interval ?? (count > 10 ? AT_ONCE : Infinity);
  return !(again < count / 2) && time - last > Math.max(SILENT, SILENT_INTERVALS * usual);
}

/** End a state that held until this time, or until it last came. */
export function end(state, time = -Infinity) {
  const last = state.changes.at(-1);
  if (!last || last.isOver) return;
  if (!isSilent(state, time)) last.until = Math.max(last.until, time);
  last.isOver = true;
}

/** Give each value a colour by its name alone, whenever it came; of two with one colour the later of the alphabet has the next that is free. */
function colour(values) {
  const taken = new Set();
  for (const text of [...values.keys()].sort()) {
    let hash = Array.from(text).reduce((sum, character) => (31 * sum + character.codePointAt()) % 9973, 0) % COLOURS;
    while (taken.has(hash)) hash = (hash + 1) % COLOURS;
    taken.add(hash);
    values.set(text, hash);
  }
}

export class States {
  all = new Map();
  /** Whether there was no room for one. */
  isFull = false;
  #lines;

  constructor(lines) {
    this.#lines = lines;
  }

  /** Take a value of a message into account; gives its state, if it is one. Any other kind of value ends the state of its path. */
  note(key, source, value, path, raw, time) {
    let state = this.all.get(key);
    if (typeof raw !== "string" && typeof raw !== "boolean") return void (state && end(state, time));
    if (this.#isTold(path)) return undefined;
    if (!state) {
      if (this.all.size >= MAX_STATES) return void (this.isFull ||= !(raw.length > MAX_TEXT));
      state = { source, value, path, changes: [], values: new Map(), count: 0, again: 0, row: 0, isText: false };
      this.all.set(key, state);
    }
    if (state.isText) return undefined;
    const text = readable(String(raw));
    // Texts of many kinds are no states but messages.
    if (text.length > MAX_TEXT || (!state.values.has(text) && state.values.size >= COLOURS)) {
      Object.assign(state, { isText: true, changes: [], values: new Map() });
      return undefined;
    }
    if (!state.values.has(text)) colour(state.values.set(text));
    if (isSilent(state, time)) end(state);
    const last = state.changes.at(-1);
    if (last?.text === text) state.again++;
    // One that is over held until something went missing.
    if (last && !last.isOver) last.until = Math.max(last.until, time);
    if (last?.text !== text || last.isOver) state.changes.push({ text, from: time, until: time, isOver: false });
    if (state.changes.length > MAX_CHANGES) state.changes.shift();
    return state;
  }

  /** Whether the names of lines tell what stands there. */
  #isTold(path) {
    return path === this.#lines.by && this.#lines.isApart;
  }

  /** Nothing is known of what came in between. */
  end(source) {
    for (const state of this.all.values()) if (source === undefined || state.source === source) end(state);
  }

  forget(before) {
    for (const { changes } of this.all.values()) while ((changes.length > 1 || changes[0]?.isOver) && changes[0].until < before) changes.shift();
  }

  /** Those that are bands: booleans, and texts that came again. */
  get shown() {
    return [...this.all.values()].filter(({ path, isText, changes, values, count }) => {
      if (isText || !changes.length || this.#isTold(path)) return false;
      return isBoolean({ values }) || values.size <= count / 2;
    });
  }
}

/** `lat`, `position.latitude`, `gps_lat`; and `geometry.coordinates[1]`, where GeoJSON (RFC 7946 §3.1.1) has longitude first. */
const LATITUDE = [/(^|[._])(?:lat|latitude)$/i, /(coordinates)\[1\]$/i];
const LONGITUDE = [/(^|[._])(?:lon|lng|long|longitude)$/i, /(coordinates)\[0\]$/i];

/** What stands before the name of an axis; undefined for a path that is none. */
function baseOf(path, names) {
  const found = names.map((name) => name.exec(path)).find(Boolean);
  return found && path.slice(0, found.index + found[1].length);
}

export class Tracks {
  all = new Map();

  /** Take a line that is new into account. Two that are a place together are drawn as a path, and no longer by themselves. */
  note(line) {
    const [latitude, longitude] = [baseOf(line.path, LATITUDE), baseOf(line.path, LONGITUDE)];
    const base = latitude ?? longitude;
    if (base === undefined) return;
    const key = JSON.stringify([line.source, line.value, base]);
    if (!this.all.has(key)) {
      const path = base.replace(/[._]$/, "") || "position";
      this.all.set(key, { source: line.source, value: line.value, path, shown: true, latitude: undefined, longitude: undefined });
    }
    const track = this.all.get(key);
    track[latitude === undefined ? "longitude" : "latitude"] = line;
    if (track.latitude && track.longitude) for (const each of [track.latitude, track.longitude]) Object.assign(each, { isDrawn: false, isPlace: true });
  }

  /** Those of which both numbers came. */
  get whole() {
    return [...this.all.values()].filter(({ latitude, longitude }) => latitude && longitude);
  }
}

/** The places of a track between two times, in their order: `{time, latitude, longitude}`, null where something is missing. */
export function placesOf({ latitude: { series: up }, longitude: { series: across } }, from, to) {
  const found = [];
  let other = up.find(from);
  for (let row = across.find(from); row < across.length && across.times[row] <= to; row++) {
    while (other < up.length && up.times[other] < across.times[row]) other++;
    const isBoth = other < up.length && up.times[other] === across.times[row];
    const [latitude, longitude] = [isBoth ? up.mean[other++] : NaN, across.mean[row]];
    // Beyond these it is no place on earth; NaN fails as well.
    const isPlace = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 360;
    if (isPlace) found.push({ time: across.times[row], latitude, longitude });
    else if (found.length && found.at(-1)) found.push(null);
  }
  return found;
}
