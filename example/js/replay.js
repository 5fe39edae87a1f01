/** Charts of the weather that feeders/replay.py streams, one message for one day. */

import { follow } from "../-/slosh.js";
import { Arrivals } from "./arrivals.js";
import { Chart, upward } from "./charts.js";
import { $, fillCommands, stateIn } from "./parts.js";

const topic = new URLSearchParams(location.search).get("topic") || "replay";
const DAY = 86_400;
/** So many days are shown. */
const SHOWN = 365;

const arrivals = new Arrivals();
const degrees = (value) => `${Math.round(value)} °C`;
let temperature, rain;
let charts = [];

/** There is no axis before there is a day on it. */
function build() {
  temperature = new Chart($("temperature-chart"), {
    title: "Temperature",
    lines: [
      { label: "highest", colour: "--c2", width: 1.5 },
      { label: "lowest", colour: "--c1", width: 1.5 },
    ],
    bands: [{ series: [1, 2], colour: "--c2" }],
    days: true,
    format: degrees,
    range: (low, high) => [Math.min(-5, low - 2), Math.max(30, high + 2)],
  });
  rain = new Chart($("rain-chart"), {
    title: "Rain and snow",
    lines: [{ label: "a day", colour: "--c1", width: 0, fill: 0.8, bars: true }],
    days: true,
    format: (value) => `${Number(value.toFixed(1))} mm`,
    range: upward(20),
  });
  charts = [temperature, rain];
}

let newest = 0;
let year = { of: 0, rain: 0 };

function add(message) {
  const time = Date.parse(message?.date) / 1000;
  const { temp_max: high, temp_min: low, precipitation: fallen } = message ?? {};
  // Anybody can post anything: what is no day of weather is left out.
  if (![time, high, low, fallen].every(Number.isFinite)) return;
  // After its last day the replay starts over with the first.
  if (time <= newest) charts.forEach((chart) => chart.clear());
  else if (newest && time - newest > 1.5 * DAY) charts.forEach((chart) => chart.breakAt(newest + 1));
  if (!charts.length) build();
  newest = time;
  temperature.push(time, [high, low]);
  rain.push(time, [fallen]);
  showNumbers(message);
}

function showNumbers({ date, temp_max: high, temp_min: low, precipitation: fallen, wind, weather, row, of }) {
  const day = new Date(date);
  if (year.of !== day.getUTCFullYear()) year = { of: day.getUTCFullYear(), rain: 0 };
  year.rain += fallen;
  $("day").textContent = day.toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  $("day-more").textContent = `${row} of ${of}`;
  $("high").textContent = `${high.toFixed(1)} °C`;
  $("low").textContent = `${low.toFixed(1)} °C`;
  $("rain").textContent = `${fallen.toFixed(1)} mm`;
  $("rain-more").textContent = `${Math.round(year.rain)} mm seen of ${year.of}`;
  $("weather").textContent = weather ?? "";
  $("wind").textContent = Number.isFinite(wind) ? `wind ${wind.toFixed(1)} m/s` : "";
}

function draw() {
  arrivals.show();
  if (!newest) return;
  for (const chart of charts) {
    chart.forget(newest - SHOWN * DAY);
    chart.show(newest - SHOWN * DAY, newest + DAY);
  }
}

$("topic").textContent = topic;
fillCommands();
setInterval(arrivals.show.bind(arrivals), 1000);

const following = follow(topic, {
  since: "-100",
  shared: true,
  onAnswer: (answer) => {
    arrivals.take(answer);
    answer.res.forEach(add);
    draw();
  },
  onState: (state) => {
    arrivals.connection(state);
    showState(state);
  },
});
const showState = stateIn($("state"), () => following.retry());
