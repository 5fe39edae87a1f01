/** Longitude and latitude drawn as a path: all tracks of the page on one plan, north up, one scale both ways. */

import { decimals, stepFor, ticks } from "./numbers.js";
import { BETWEEN } from "./lines.js";
import { isHeld, make, write } from "./page.js";
import { dressKey, makeKey, MOST_KEYS } from "./panels.js";
import { clear, FONT, nameIn } from "./plot.js";
import { COLOURS, placesOf } from "./states.js";

/** Tracks that are drawn. */
export const MOST_TRACKS = 60;
/** Milliseconds between two drawings, at least: a path of many points is dear. */
const FASTEST = 100;
/** Pixels around the plan, for the degrees at its left and below it; pixels between two of them. */
const [LEFT, BOTTOM, ROOM] = [64, 24, 14];
const [SPACE_X, SPACE_Y] = [110, 48];
/** Pixels between two points that are told apart. */
const APART = 0.7;
/** Degrees that are shown at least, some fifty metres; metres of one. */
const LEAST = 0.0005;
const METRES = 111_320;
/** Degrees without a place, above which a plan is turned: what goes round the world is drawn from -180° to 180°. */
const WIDE = 90;
const FADES = [0.3, 0.5, 0.75, 1];

export class Paths {
  #host;
  #view;
  #calls;
  #parts;
  #keys = new Map();
  #drawn = -Infinity;
  #tracks = [];

  constructor(host, view, calls) {
    this.#host = host;
    this.#view = view;
    this.#calls = calls;
  }

  /** What `pictureOf` takes. */
  get plots() {
    return this.#parts && !this.#host.hidden ? [{ canvas: this.#parts.canvas, lines: this.#tracks }] : [];
  }

  /** The next drawing is not one too many. */
  hurry() {
    this.#drawn = -Infinity;
  }

  /** Draw these tracks, with a ring where each was at the time that is pointed at. */
  draw(tracks, partsOf, pointed) {
    if (!isHeld()) this.#host.hidden = !tracks.length;
    if (!tracks.length || this.#host.hidden || performance.now() - this.#drawn < FASTEST) return;
    this.#drawn = performance.now();
    this.#parts ??= this.#build();
    this.#tracks = tracks.slice(0, MOST_TRACKS);
    this.#tracks.forEach((track, i) => {
      const parts = partsOf(track);
      Object.assign(track, { parts, label: parts.join(BETWEEN), colour: `--s${(i % COLOURS) + 1}` });
    });
    const { from, to } = this.#view;
    const all = this.#tracks.map((track) => (track.shown ? placesOf(track, from, to) : []));
    if (!isHeld()) this.#tell(all, tracks.length);
    this.#paint(all, pointed);
  }

  #build() {
    const keys = make("div", { className: "keys" });
    const canvas = make("canvas", { role: "img" });
    this.#host.replaceChildren(make("div", { className: "chart-head" }, keys), canvas);
    return { keys, canvas };
  }

  #tell(all, count) {
    const { keys, canvas } = this.#parts;
    this.#tracks.slice(0, MOST_KEYS).forEach((track, i) => {
      if (!this.#keys.has(track)) {
        const key = makeKey("Click: hide or show");
        key.addEventListener("click", () => (this.hurry(), this.#calls.onHide(track)));
        this.#keys.set(track, key);
        keys.append(key);
      }
      const key = this.#keys.get(track);
      dressKey(key, track);
      nameIn(key.firstChild, track.parts);
      const newest = all[i].at(-1);
      write(key.lastChild, newest === null ? "–" : newest ? `${newest.latitude.toFixed(4)}°, ${newest.longitude.toFixed(4)}°` : "");
    });
    const told = this.#tracks.slice(0, 6).map((track) => `${track.label} is at ${this.#keys.get(track)?.lastChild.textContent}`);
    canvas.ariaLabel = `Map of ${count === 1 ? "a path" : `${count} paths`}, north up: ${told.join("; ")}`;
  }

  #paint(all, pointed) {
    const [context, width, height] = clear(this.#parts.canvas);
    const found = all.flat().filter(Boolean);
    if (!found.length) return;
    const plan = planOf(found, width, height);
    drawGrid(context, plan, this.#view);
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT, height - BOTTOM);
    context.clip();
    const colours = this.#tracks.map(({ colour }) => this.#view.colour(colour));
    all.forEach((places, i) => drawPath(context, places, colours[i], this.#view.colour("--warn")));
    all.forEach((places, i) => drawNow(context, places, colours[i], this.#view.colour("--panel"), pointed));
    context.restore();
    drawScale(context, plan, this.#view);
  }
}

/** How degrees become pixels, so that all places are seen; notes at each place where it stands. */
function planOf(places, width, height) {
  turn(places);
  let [south, north, west, east] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { latitude, longitude } of places) {
    [south, north] = [Math.min(south, latitude), Math.max(north, latitude)];
    [west, east] = [Math.min(west, longitude), Math.max(east, longitude)];
  }
  const [middle, level] = [(west + east) / 2, (south + north) / 2];
  // A degree of longitude is shorter, the further from the equator.
  const shrink = Math.max(0.05, Math.cos((level * Math.PI) / 180));
  const [across, up] = [width - LEFT - 2 * ROOM, height - BOTTOM - 2 * ROOM];
  const scale = Math.min(across / Math.max(LEAST, (east - west) * shrink), up / Math.max(LEAST, north - south));
  const [middleX, middleY] = [LEFT + (width - LEFT) / 2, (height - BOTTOM) / 2];
  const x = (longitude) => middleX + (longitude - middle) * shrink * scale;
  const y = (latitude) => middleY - (latitude - level) * scale;
  for (const place of places) [place.x, place.y] = [x(place.longitude), y(place.latitude)];
  return { width, height, scale, x, y, longitudeAt: (left) => (left - middleX) / (shrink * scale) + middle, latitudeAt: (top) => (middleY - top) / scale + level };
}

/** Count longitudes on from the middle of the widest part of the world in which no place is: the shorter way round is drawn, also across 180°. */
function turn(places) {
  const taken = [...new Set(places.map(({ longitude }) => Math.floor(longitude + 720) % 360))].sort((a, b) => a - b);
  let [before, widest, west] = [taken.at(-1) - 360, WIDE, -180];
  for (const at of taken) {
    if (at - before > widest) [widest, west] = [at - before, (at + before) / 2];
    before = at;
  }
  for (const place of places) place.longitude = west + ((place.longitude - west + 720) % 360);
}

function drawGrid(context, { width, height, x, y, longitudeAt, latitudeAt }, view) {
  Object.assign(context, { font: FONT, fillStyle: view.colour("--muted"), strokeStyle: view.colour("--grid"), lineWidth: 1 });
  const [right, bottom] = [width, height - BOTTOM];
  context.beginPath();
  Object.assign(context, { textAlign: "center", textBaseline: "top" });
  for (const [at, text] of degrees(longitudeAt(LEFT), longitudeAt(right), (right - LEFT) / SPACE_X)) {
    const left = Math.round(x(at)) + 0.5;
    context.moveTo(left, 0);
    context.lineTo(left, bottom);
    const half = context.measureText(text).width / 2;
    if (left - half > LEFT - 8 && left + half < right) context.fillText(text, left, bottom + 6);
  }
  Object.assign(context, { textAlign: "right", textBaseline: "middle" });
  for (const [at, text] of degrees(latitudeAt(bottom), latitudeAt(0), bottom / SPACE_Y)) {
    const top = Math.round(y(at)) + 0.5;
    context.moveTo(LEFT, top);
    context.lineTo(right, top);
    if (top > 6 && top < bottom - 6) context.fillText(text, LEFT - 8, top);
  }
  context.stroke();
}

/** Round numbers of degrees, each with its text: beyond 180° they go on from -180°. */
function degrees(low, high, most) {
  const step = stepFor(low, high, most);
  return ticks(low, high, step).map((at) => [at, `${(at - 360 * Math.ceil((at - 180) / 360)).toFixed(decimals(step))}°`]);
}

/** The older, the fainter; dashed over what is missing. */
function drawPath(context, places, colour, warn) {
  Object.assign(context, { lineWidth: 2, lineJoin: "round", lineCap: "round", strokeStyle: colour });
  const part = Math.max(1, places.length / FADES.length);
  const gaps = new Path2D();
  let before;
  let isMissing = false;
  FADES.forEach((alpha, i) => {
    context.globalAlpha = alpha;
    context.beginPath();
    if (before) context.moveTo(before.x, before.y);
    for (const place of places.slice(Math.ceil(i * part), Math.ceil((i + 1) * part))) {
      if (!place) {
        isMissing = true;
        continue;
      }
      const { x, y, longitude } = place;
      // Around the back of the world no line is drawn across all of it.
      const isJoined = before && Math.abs(before.longitude - longitude) <= 180;
      if (isJoined && !isMissing) {
        if (Math.hypot(x - before.x, y - before.y) < APART && place !== places.at(-1)) continue;
        context.lineTo(x, y);
      } else {
        if (isJoined) {
          gaps.moveTo(before.x, before.y);
          gaps.lineTo(x, y);
        }
        context.moveTo(x, y);
      }
      [before, isMissing] = [place, false];
    }
    context.stroke();
  });
  Object.assign(context, { globalAlpha: 1, lineWidth: 1, strokeStyle: warn });
  context.setLineDash([3, 3]);
  context.stroke(gaps);
  context.setLineDash([]);
}

/** A dot where it is now, and a ring where it was at the time that is pointed at. */
function drawNow(context, places, colour, ground, pointed) {
  const circle = ({ x, y }, fillStyle, strokeStyle) => {
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle, strokeStyle, lineWidth: 2 });
    context.fill();
    context.stroke();
  };
  const newest = places.at(-1);
  if (newest) circle(newest, colour, ground);
  const at = places.findLast((place) => place && place.time <= pointed);
  if (at) circle(at, ground, colour);
}

/** A bar as long as a round number of metres. */
function drawScale(context, { width, height, scale }, view) {
  const most = (120 / scale) * METRES;
  const metres = [5, 2, 1].map((factor) => factor * 10 ** Math.floor(Math.log10(most))).find((each) => each <= most) ?? most;
  const long = (metres / METRES) * scale;
  const [right, bottom] = [width - 12, height - BOTTOM - 10];
  const text = metres >= 1000 ? `${(metres / 1000).toLocaleString("en")} km` : `${metres.toLocaleString("en", { maximumSignificantDigits: 2 })} m`;
  Object.assign(context, { strokeStyle: view.colour("--muted"), fillStyle: view.colour("--muted"), lineWidth: 1.5, textAlign: "right", textBaseline: "bottom" });
  context.beginPath();
  context.moveTo(right - long, bottom - 4);
  context.lineTo(right - long, bottom);
  context.lineTo(right, bottom);
  context.lineTo(right, bottom - 4);
  context.stroke();
  context.fillText(text, right, bottom - 6);
}
