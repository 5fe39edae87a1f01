import { watch } from "/-/slosh.js";
import { LAND } from "./land.js";

const [map, day, state, strongest] = ["#map", "#day", "#state", "#strongest"].map((each) => document.querySelector(each));
/** Days of the replay after which a circle is gone; circles that are drawn; rows of the list. */
const FADES = 5;
const MOST = 500;
const LISTED = 12;
const DAY = 86_400;
const isDark = matchMedia("(prefers-color-scheme: dark)");
let quakes = [];
let best = [];
let listed = [];
let now = 0;

function draw() {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [map.clientWidth, map.clientHeight];
  [map.width, map.height] = [width * ratio, height * ratio];
  const context = map.getContext("2d");
  context.scale(ratio, ratio);
  const at = (longitude, latitude) => [((longitude + 180) / 360) * width, ((90 - latitude) / 180) * height];
  context.fillStyle = isDark.matches ? "#13232b" : "#eef4f6";
  context.fillRect(0, 0, width, height);
  context.fillStyle = isDark.matches ? "#2b3d46" : "#cfdcdf";
  for (const outline of LAND) {
    context.beginPath();
    for (let i = 0; i < outline.length; i += 2) context.lineTo(...at(outline[i], outline[i + 1]));
    context.fill();
  }
  for (const { seconds, longitude, latitude, magnitude, depth_km } of quakes) {
    const age = (now - seconds) / DAY / FADES;
    if (age > 1) continue;
    context.globalAlpha = 1 - age;
    context.beginPath();
    // A new one spreads for a moment.
    context.arc(...at(longitude, latitude), 3 * 1.9 ** (magnitude - 4) * (1 + Math.max(0, 0.6 - age * 12)), 0, 2 * Math.PI);
    context.fillStyle = `hsl(${Math.max(0, 30 - depth_km / 8)} 90% 50% / 0.45)`;
    context.fill();
    context.strokeStyle = `hsl(${Math.max(0, 30 - depth_km / 8)} 90% ${isDark.matches ? 65 : 38}%)`;
    context.stroke();
  }
  context.globalAlpha = 1;
  day.value = `day ${Math.floor(now / DAY) + 1}`;
}

/** Write the list again only when another quake is in it, so that its text can be selected. */
function list() {
  if (best.length === listed.length && best.every((quake, i) => quake === listed[i])) return;
  listed = best;
  strongest.replaceChildren(...best.map(({ magnitude, place, seconds }) => {
    const item = document.createElement("li");
    const [size, when] = [document.createElement("b"), document.createElement("span")];
    size.textContent = magnitude.toFixed(1);
    when.textContent = `day ${Math.floor(seconds / DAY) + 1}`;
    item.append(size, String(place), when);
    return item;
  }));
}

function take(message) {
  if (message?.over || message?.seconds < now) [quakes, best] = [[], []]; // the month begins again
  // Anybody can post anything: what is no earthquake is left out.
  const { seconds, longitude, latitude, magnitude, depth_km } = message ?? {};
  if (![seconds, longitude, latitude, magnitude, depth_km].every(Number.isFinite) || !(magnitude > 0)) return;
  now = message.seconds;
  quakes.push(message);
  quakes.splice(0, quakes.length - MOST);
  best = [...best, message].sort((a, b) => b.magnitude - a.magnitude).slice(0, LISTED);
}

addEventListener("resize", draw);
isDark.addEventListener("change", draw);
draw();
watch("quakes", {
  since: "-200", every: "50ms", shared: true,
  onMessage: ({ message }) => take(message),
  onState: ({ name, reason }) => (state.value = name === "live" ? "" : (reason ?? name)),
});
// Messages come more often than a screen shows.
requestAnimationFrame(function show() {
  if (quakes.length) draw();
  list();
  setTimeout(() => requestAnimationFrame(show), 50);
});
/** For tests: what is drawn. */
globalThis.quakes = () => quakes;
