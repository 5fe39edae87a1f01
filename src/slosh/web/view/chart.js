/*!
 * A live chart for any page:
 *
 *     <script type="module" src="https://…/-/chart.js"></script>
 *     <slosh-chart topic="kitchen" span="10m"></slosh-chart>
 *
 * Attributes: `topic` (a name, a pattern, several with commas), `span` (`10m`, `all`; 1m), `fields` (paths with commas: only
 * these), `by` (a line for each value of that member), `x` (that number is the x axis), `smooth` (0 to 0.98), `key`, `height` (pixels; 240), `server`, `token`, `heading`, `zero`,
 * `log`. All may change. Colours follow the page: set `--slosh-1` to `--slosh-12`, `--slosh-ink`, `--slosh-panel` and so on.
 * All charts of all tabs share one connection. Pages of another origin need the server's setting `origins`.
 */

import { Feed, Past } from "./feed.js";
import { Lines } from "./lines.js";
import { duration, findNumbers, widen } from "./numbers.js";
import { isHeld, make, settle, write } from "./page.js";
import { Panels } from "./panels.js";
import { Paths } from "./paths.js";
import { isolated, newView } from "./plot.js";
import { follow } from "./slosh.js";
import { pathOf, spanIn } from "./address.js";

const SHORTEST = 5;
/** Paths that are told where nothing is drawn. */
const MOST_TOLD = 12;
const FASTEST = 33;
const SLOWEST = 250;

const SHEET = `
:host { display: block; font: 14px/1.45 system-ui, sans-serif; color: var(--ink);
  --ink: var(--slosh-ink, #13232b); --muted: var(--slosh-muted, #566872); --line: var(--slosh-line, #dbe4e7); --grid: var(--slosh-grid, #e6edef);
  --panel: var(--slosh-panel, #ffffff); --shade: var(--slosh-shade, rgb(19 35 43 / 0.2)); --warn: var(--slosh-warn, #a85b00);
  --s1: var(--slosh-1, #0b8a83); --s2: var(--slosh-2, #d9772b); --s3: var(--slosh-3, #6c5bd0); --s4: var(--slosh-4, #c23b73);
  --s5: var(--slosh-5, #3a7bd5); --s6: var(--slosh-6, #7f8f1f); --s7: var(--slosh-7, #8a5a3c); --s8: var(--slosh-8, #2e9e54);
  --s9: var(--slosh-9, #b04ac4); --s10: var(--slosh-10, #c9a000); --s11: var(--slosh-11, #5f7480); --s12: var(--slosh-12, #d1493f); }
:host([hidden]), [hidden] { display: none !important; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 10px 8px 4px 12px; }
figcaption { display: flex; gap: 8px; align-items: baseline; font-weight: 600; }
.state { margin-left: auto; padding-right: 8px; font-weight: 400; font-size: 12px; color: var(--muted); }
.state[data-state="offline"], .state[data-state="failed"], .state[data-state="waiting"] { color: var(--warn); }
.chart-head { display: flex; flex-wrap: wrap; gap: 10px; align-items: baseline; }
.keys { display: flex; flex-wrap: wrap; gap: 0 6px; flex: 1 1 16em; min-width: 0; container-type: inline-size; margin-left: -6px; max-height: 64px; overflow: auto; scrollbar-width: thin;
  background:
    linear-gradient(var(--panel) 40%, transparent) left 0 top -2px / 100% 20px no-repeat local,
    linear-gradient(transparent, var(--panel) 60%) left 0 bottom -2px / 100% 20px no-repeat local,
    linear-gradient(var(--shade), transparent) 50% 1px / calc(100% - 2px) 9px no-repeat scroll,
    linear-gradient(transparent, var(--shade)) 50% calc(100% - 1px) / calc(100% - 2px) 9px no-repeat scroll; }
.key { outline-offset: -2px; font: inherit; font-size: 13px; border: 0; background: none; padding: 0 6px; min-height: 24px; min-width: 24px; color: var(--muted); display: inline-flex; gap: 6px; align-items: center; cursor: pointer; max-width: 100%; text-align: left; }
.key > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.key b { color: var(--ink); font-variant-numeric: tabular-nums; flex: none; max-width: 70cqw; }
.key::before { content: ""; width: 12px; height: 4px; border-radius: 2px; background: var(--colour); }
.key.dashed::before { background: repeating-linear-gradient(90deg, var(--colour) 0 4px, transparent 4px 5px); }
.key[aria-pressed="false"] { opacity: 0.5; text-decoration: line-through; }
.at, .unit { font-size: 12px; color: var(--muted); white-space: nowrap; padding-right: 8px; }
:is(.at, .unit):empty { display: none; }
.plot { height: var(--height, 240px); }
canvas[role="img"] { display: block; width: 100%; height: var(--height, 240px); }
.waiting { color: var(--muted); display: grid; place-content: center; height: var(--height, 240px); text-align: center; }
.key::before, .u-cursor-pt { forced-color-adjust: none; print-color-adjust: exact; }
.waiting p { margin: 0 8px; overflow-wrap: anywhere; }
.waiting.beside { height: auto; }
.u-over { cursor: crosshair; }
@media print {
  .u-over { display: none; }
  .keys { max-height: none; background: none; }
  .chart, figure > :last-child { break-inside: avoid; }
  :is(.plot, .uplot, .u-wrap, canvas) { width: 100% !important; height: auto !important; }
}`;
/** Paper is light. */
const DARK = `
@media (prefers-color-scheme: dark) { :host {
  --ink: var(--slosh-ink, #e5eef1); --muted: var(--slosh-muted, #93a6af); --line: var(--slosh-line, #233139); --grid: var(--slosh-grid, #1d2a31);
  --panel: var(--slosh-panel, #131d22); --shade: var(--slosh-shade, rgb(229 238 241 / 0.22)); --warn: var(--slosh-warn, #f0b35b);
  --s1: var(--slosh-1, #4ccfc4); --s2: var(--slosh-2, #f2a65a); --s3: var(--slosh-3, #a99bff); --s4: var(--slosh-4, #ff7eb0);
  --s5: var(--slosh-5, #74b2ff); --s6: var(--slosh-6, #c3d35a); --s7: var(--slosh-7, #cfa083); --s8: var(--slosh-8, #6fdc95);
  --s9: var(--slosh-9, #e391f2); --s10: var(--slosh-10, #f0d060); --s11: var(--slosh-11, #a3b7c2); --s12: var(--slosh-12, #ff8d80); } }`;

export class SloshChart extends HTMLElement {
  static observedAttributes = ["topic", "span", "fields", "by", "key", "height", "server", "token", "heading", "zero", "log", "x", "smooth"];
  #root = this.attachShadow({ mode: "open" });
  #sheet = new CSSStyleSheet();
  #parts;
  #end = () => {};
  #isRestarting = false;
  #told;

  connectedCallback() {
    this.#restart();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#restart();
  }

  /** Several attributes that change together begin one chart. */
  #restart() {
    if (this.#isRestarting) return;
    this.#isRestarting = true;
    queueMicrotask(() => {
      this.#isRestarting = false;
      this.#end();
      if (this.isConnected) this.#start();
    });
  }

  #start() {
    this.#build();
    const topic = this.getAttribute("topic");
    if (!topic) return this.#tell("failed", "slosh-chart needs a topic");
    const span = spanIn(this.getAttribute("span"));
    const isSeveral = /[,*]/.test(topic);
    const x = this.getAttribute("x") || undefined;
    const lines = new Lines(isSeveral, this.getAttribute("by"), span, x);
    const feed = new Feed(lines, topic, isSeveral);
    const view = Object.assign(newView(this), { isZero: this.hasAttribute("zero"), isLog: this.hasAttribute("log"), isTime: !x });
    view.smoothing = Math.min(0.98, Math.max(0, Number(this.getAttribute("smooth")) || 0));
    const fields = this.getAttribute("fields")?.split(",").map((field) => field.trim());
    const calls = {
      onPoint: () => panels.showValues(),
      onHide: (line) => ((line.shown = !line.shown), panels.show(line)), onSolo: (only) => {
        for (const line of lines.all.values()) panels.show(Object.assign(line, { shown: line === only }));
      },
    };
    const panels = new Panels(this.#parts.charts, view, new Map(), calls);
    const paths = new Paths(this.#parts.paths, view, calls);
    let timer;
    let isOver = false;
    const draw = () => {
      if (isOver || !feed.newest) return;
      const edge = feed.latest;
      const { first = edge, last } = lines;
      lines.forget(edge - span);
      [view.from, view.to] = x ? widen(first, last ?? 0) : [Math.max(edge - span, Math.min(first, edge - SHORTEST)), edge];
      view.marks = lines.marks;
      const all = [...lines.all.values()];
      for (const line of all) lines.name(line, fields?.length === 1);
      const drawn = fields ? all.filter(({ path, isPlace }) => fields.includes(path) && !isPlace) : all.filter((line) => line.isDrawn);
      panels.draw(drawn);
      const isWanted = ({ latitude, longitude }) => !fields || [latitude, longitude].every(({ path }) => fields.includes(path));
      const tracks = lines.tracks.whole.filter(isWanted);
      paths.draw(tracks, (track) => lines.parts(track), panels.plots[0]?.pointed?.time);
      if (isHeld()) return;
      panels.showValues();
      const left = fields ? 0 : lines.rest.size + all.filter(({ isDrawn, isCounter, isPlace }) => !isDrawn && !isCounter && !isPlace).length;
      const recent = all.filter(({ last }) => !(last < feed.now - span));
      this.#tellMissing(x && !all.length ? [x] : (fields ?? []).filter((field) => !all.some(({ path }) => path === field)), drawn.length + tracks.length > 0, recent, feed.newest.message, left);
      const since = feed.silentSince;
      const { state } = this.#parts;
      if (state.dataset.state === "live") write(state, since === undefined ? state.title : `nothing for ${duration(feed.now - since)}`);
    };
    const tick = () => {
      if (isOver) return;
      if (!document.hidden) requestAnimationFrame(draw);
      timer = setTimeout(tick, Math.min(SLOWEST, Math.max(FASTEST, (span * 500) / Math.max(200, this.clientWidth))));
    };
    let following;
    const home = this.getAttribute("server") ?? new URL("../", import.meta.url).href;
    const past = new Past(span, lines, (name) => `${home.replace(/\/*$/, "")}/topics/${pathOf(name)}`);
    const fillPast = ({ topics = {} }) => x || past.fill([...topic.split(","), ...Object.keys(topics)]);
    try {
      const server = this.getAttribute("server") ?? undefined;
      following = follow(topic, {
        server, since: `${span}s`, every: "20ms", shared: true, key: this.getAttribute("key") || undefined, token: this.getAttribute("token") ?? undefined,
        onAnswer: (answer) => (feed.take(answer), fillPast(answer)),
        onState: ({ name, reason }) => {
          if (name === "live") fillPast({});
          if (["offline", "waiting"].includes(name)) feed.away();
          this.#tell(name, reason ?? (name === "live" ? "" : name));
        },
      });
    } catch (error) {
      return this.#tell("failed", error.message);
    }
    const dark = matchMedia("(prefers-color-scheme: dark)");
    /** Draw with the colours that the sheet has now, or for paper, where a chart that is out of sight is seen too. */
    const recolour = ({ type }) => {
      this.#dress(type === "beforeprint");
      panels.recolour();
      paths.hurry();
      draw();
      panels.drawAll();
    };
    const told = [[dark, "change"], [globalThis, "beforeprint"], [globalThis, "afterprint"]];
    for (const [target, type] of told) target.addEventListener(type, recolour);
    tick();
    this.#end = () => {
      isOver = true;
      clearTimeout(timer);
      following.close();
      for (const [target, type] of told) target.removeEventListener(type, recolour);
      for (const plot of panels.plots) plot.destroy();
      this.#end = () => {};
    };
    /** For tests: what is drawn. */
    this.view = { lines, feed, shown: view, plots: () => panels.plots };
  }

  #dress(isForPaper = false) {
    this.#sheet.replaceSync(isForPaper ? SHEET : SHEET + DARK);
  }

  #build() {
    const state = make("span", { className: "state" });
    const heading = make("span", { textContent: this.getAttribute("heading") ?? this.getAttribute("topic") ?? "" });
    const waiting = make("div", { className: "waiting", textContent: "Nothing has come yet" });
    const charts = make("div");
    const paths = make("div", { hidden: true });
    this.#told = undefined;
    this.#parts = { state, waiting, charts, paths };
    this.#root.adoptedStyleSheets = [this.#sheet];
    this.#dress();
    const link = make("link", { rel: "stylesheet", href: new URL("uplot/uPlot.min.css", import.meta.url).href });
    const figure = make("figure", {}, make("figcaption", {}, heading, state), waiting, charts, paths);
    const height = Number(this.getAttribute("height"));
    if (height > 0) figure.style.setProperty("--height", `${height}px`);
    this.#root.replaceChildren(link, figure);
  }

  /** Say which paths no message has had a number at, what there is instead where nothing is drawn, and how many lines are left out. */
  #tellMissing(missing, isDrawn, recent, message, left) {
    const { waiting } = this.#parts;
    waiting.hidden = isDrawn && !missing.length && !left;
    waiting.classList.toggle("beside", isDrawn);
    if (waiting.hidden) return;
    const found = new Set(isDrawn ? [] : recent.map(({ path }) => path));
    // A message without a number where the axis is has no lines.
    if (!isDrawn) findNumbers(message, (path, number) => number !== null && found.size <= MOST_TOLD && found.add(path));
    const paths = [...found].slice(0, MOST_TOLD);
    const told = JSON.stringify([left, missing, found.size, paths]);
    if (told === this.#told) return;
    this.#told = told;
    const at = missing.length ? [" at ", ...isolated(missing, ", ")] : [];
    const there = paths.length ? [" There is: ", ...isolated(paths, ", "), found.size > MOST_TOLD ? ", …" : "."] : [];
    const words = isDrawn && left ? [`${left.toLocaleString("en")} more ${left === 1 ? "is" : "are"} not drawn; name what is, in fields.`] : missing.length || !paths.length ? ["No message has had a number", ...at, "."] : ["Nothing is drawn by itself; name what is, in fields."];
    waiting.replaceChildren(make("p", {}, ...words, ...there));
  }

  #tell(name, words) {
    const { state, waiting } = this.#parts;
    settle(() => {
      state.dataset.state = name;
      state.textContent = words;
      state.title = words;
      if (name === "failed" && this.#told === undefined) waiting.textContent = "";
    });
  }
}

if (!customElements.get("slosh-chart")) customElements.define("slosh-chart", SloshChart);
