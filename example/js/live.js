/** Charts of the figures that feeders/machine.py posts. `live.html?topic=name` shows another machine's topic. */

import { follow } from "../-/slosh.js";
import { Arrivals } from "./arrivals.js";
import { Chart, percent, upward } from "./charts.js";
import { $, bytes, fillCommands, stateIn } from "./parts.js";

const topic = new URLSearchParams(location.search).get("topic") || "machine";
/** Figures further apart than this, in seconds, are not joined by a line: nothing is known of the time between. */
const GAP = 3;
/** So much is kept, in seconds: the longest span that can be shown. */
const KEPT = 300;
const perSecond = (n) => `${bytes(n)}/s`;

const arrivals = new Arrivals();
let cpu, memory, network;
/** When the newest figures were measured, in seconds, by the clock of the machine that measured. */
let newest = 0;
/** How far that clock and the way here are behind this browser's clock, in seconds. */
let behind = 0;

function build({ cores }) {
  const many = cores.length > 1;
  const lines = cores.map((_, i) => ({ label: `core ${i + 1}`, colour: "--c4", width: 1, quiet: cores.length > 4 }));
  cpu = new Chart($("cpu-chart"), {
    title: "Processor",
    lines: [...(many ? lines : []), { label: many ? "all cores" : "processor", colour: "--c1", fill: 0.18 }],
    format: (value) => `${Math.round(value)} %`,
    range: percent,
  });
  memory = new Chart($("memory-chart"), {
    title: "Memory in use",
    lines: [{ label: "in use", colour: "--c3", fill: 0.18 }],
    format: (value) => `${Number(value.toFixed(1))} %`,
    range: percent,
  });
  network = new Chart($("network-chart"), {
    title: "Network",
    lines: [
      { label: "loopback", colour: "--c4", width: 1 },
      { label: "sent", colour: "--c2" },
      { label: "received", colour: "--c1", fill: 0.12 },
    ],
    format: perSecond,
    range: upward(10_000),
  });
}

/** Anybody can post anything to a topic: true for what holds a machine's figures. */
function areFigures(message) {
  const { time, cpu: load, cores, memory: used, network: rates } = message ?? {};
  const numbers = [time, load, used?.used, used?.total, used?.percent, rates?.received, rates?.sent, rates?.loopback];
  return Array.isArray(cores) && cores.length > 0 && [...numbers, ...cores].every(Number.isFinite);
}

function add(message) {
  if (!areFigures(message) || message.time <= newest) return;
  const { time, cores, memory: used, network: rates } = message;
  if (!cpu) build(message);
  if (newest && time - newest > GAP) breakLines();
  newest = time;
  cpu.push(time, cores.length > 1 ? [...cores, message.cpu] : [message.cpu]);
  memory.push(time, [used.percent]);
  network.push(time, [rates.loopback, rates.sent, rates.received]);
  showNumbers(message);
}

function breakLines() {
  for (const chart of [cpu, memory, network]) chart.breakAt(newest + 0.001);
}

function showNumbers({ host, cpu: load, cores, memory: used, network: rates }) {
  $("cpu").textContent = `${load.toFixed(1)} %`;
  $("cpu-more").textContent = `${cores.length} ${cores.length === 1 ? "core" : "cores"}, busiest ${Math.round(Math.max(...cores))} %`;
  $("memory").textContent = `${used.percent.toFixed(1)} %`;
  $("memory-more").textContent = `${bytes(used.used)} of ${bytes(used.total)}`;
  $("in").textContent = perSecond(rates.received);
  $("out").textContent = perSecond(rates.sent);
  $("host").textContent = host ? ` on ${host}` : "";
}

function onAnswer(answer) {
  arrivals.take(answer);
  if ((answer.lost || answer.reset) && newest) breakLines();
  answer.res.forEach(add);
  if (newest) behind = Date.now() / 1000 - newest;
  draw();
}

function draw() {
  arrivals.show();
  if (!cpu) return;
  // While figures come, the newest stand at the right edge; in a silence the edge goes on with the clock.
  const edge = arrivals.silent ? Date.now() / 1000 - Math.min(behind, 1) : newest;
  const from = edge - Number($("span").value);
  for (const chart of [cpu, memory, network]) {
    chart.forget(edge - KEPT);
    chart.show(from, edge);
  }
}

$("topic").textContent = topic;
fillCommands();
$("span").addEventListener("change", draw);
// Ticks for what changes without a message: the rate that sinks, the silence.
setInterval(draw, 1000);

const following = follow(topic, {
  since: "-100",
  shared: true,
  onAnswer,
  onState: (state) => {
    arrivals.connection(state);
    showState(state);
  },
});
const showState = stateIn($("state"), () => following.retry());
