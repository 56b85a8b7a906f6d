// View 1: a loss as l(p) and as w(Δ), over the margins of fresh samples.
import { FORMULAS } from "./formulas.js";
import { Chart, DASHES, ink } from "./chart.js";
import { choice, make, setting } from "./controls.js";
import { freshMargins, histogram, over } from "./fresh.js";
import { curve, turns } from "./losses.js";
import { named, shownLosses } from "./panel.js";
import { set, SLOTS, spec, state } from "./state.js";

const REACH = 12;
const BINS = 96;

/** Every shown loss with its curve: [slot, loss, curve, factor], factor dividing it by its largest weight if asked. */
function drawn() {
  return shownLosses().map(([slot, loss]) => {
    const now = curve(loss, state.K, state.epoch);
    return [slot, loss, now, state.unit ? 1 / (now.largest || 1) : 1];
  });
}

/** The range of the given functions over the x axis, with zero in it and some air. */
function heights(functions, low, high) {
  let [bottom, top] = [0, 0.1];
  for (const f of functions) {
    for (let i = 0; i <= 240; i++) {
      const y = f(low + ((high - low) * i) / 240);
      [bottom, top] = [Math.min(bottom, y), Math.max(top, y)];
    }
  }
  const air = 0.06 * (top - bottom);
  return [bottom < 0 ? bottom - air : 0, top + air];
}

function drawValues(chart) {
  const lines = drawn().map(([slot, , now, factor]) =>
    [slot, (p) => factor * now.value(Math.log(p / (1 - p)))]);
  chart.axes.y = heights(lines.map(([, y]) => y), 0.02, 0.999);
  chart.axes.ylabel = state.unit ? "loss l / max |w|" : "loss l";
  chart.begin();
  for (const [slot, y] of lines) chart.line(y, ink(`loss${slot}`), DASHES[slot]);
  const p = 1 / (1 + Math.exp(-state.delta));
  chart.path([[p, chart.axes.y[0]], [p, chart.axes.y[1]]], ink("ink"), [1, 3], 1);
  chart.describe(`Values of ${drawn().map(([, loss]) => named(loss)).join("; ")} against the probability of the label.`);
}

function drawWeights(chart) {
  const lines = drawn().map(([slot, , now, factor]) => [slot, (delta) => factor * now.weight(delta)]);
  chart.axes.y = heights(lines.map(([, y]) => y), -REACH, REACH);
  chart.axes.ylabel = state.unit ? "weight w / max |w|" : "weight w";
  chart.begin();
  const counts = histogram(freshMargins(state.K, state.sigma), -REACH, REACH, BINS);
  const tallest = Math.max(...counts);
  chart.bars(counts.map((count) => (0.5 * chart.axes.y[1] * count) / tallest), ink("hill"));
  chart.path([[-REACH, 0], [REACH, 0]], ink("ink"), [], 1);
  for (const [slot, y] of lines) chart.line(y, ink(`loss${slot}`), DASHES[slot]);
  chart.path([[state.delta, chart.axes.y[0]], [state.delta, chart.axes.y[1]]], ink("ink"), [1, 3], 1);
  chart.describe(`Sample weights of ${drawn().map(([, loss]) => named(loss)).join("; ")} against the soft margin, ` +
    `and a hill of fresh margins for ${state.K} classes. The table below has the numbers.`);
}

/** A number for reading: three digits, a true minus. */
function digits(x) {
  const text = Math.abs(x) >= 0.0005 || x === 0 ? x.toFixed(3) : x.toExponential(0);
  return text.replace("-", "−");
}

/** What the weight, in parts of the largest, does to a sample at the reader's margin. */
function verdict(part) {
  if (part < -0.005) return "pushes it away";
  if (part < 0.02) return "ignores it";
  return part > 0.5 ? "pulls hard" : "pulls weakly";
}

/** What the mean weight, in parts of the largest, means for a fresh network. */
function start(part) {
  if (part < 0) return "starts the wrong way";
  return part < 0.1 ? "hardly starts" : "starts";
}

/** One loss in numbers: the cells of its row. */
function row([slot, loss, now, factor]) {
  const fresh = over(freshMargins(state.K, state.sigma), now.weight);
  const here = now.weight(state.delta);
  const signs = turns(now.weight).map((delta) =>
    `Δ = ${digits(delta)}, p = ${digits(1 / (1 + Math.exp(-delta)))}`);
  const share = (x) => `${Math.round(100 * x)} %`;
  return [
    `${slot === null ? "" : `${SLOTS[slot]}: `}${named(loss)}${now.waiting ? " (waiting: CE)" : ""}`,
    `${digits(factor * here)}: ${verdict(here / (now.largest || 1))}`,
    `${digits(fresh.mean / (now.largest || 1))}: ${start(fresh.mean / (now.largest || 1))}`,
    share(fresh.negative), share(fresh.zero),
    signs.length ? signs.join("; ") : "never",
  ];
}

function fill(body, lines) {
  body.replaceChildren(...lines.map((one) => {
    const [first, ...rest] = row(one);
    return make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", {}, text)));
  }));
}

/** Every loss at its usual parameters, as drawn() gives the shown ones. */
function all() {
  return Object.keys(FORMULAS).map((name) => {
    const now = curve(spec(name), state.K);
    return [null, spec(name), now, state.unit ? 1 / (now.largest || 1) : 1];
  });
}

function table(caption) {
  const heads = ["Loss", "Weight at the dotted margin", "Mean weight of fresh samples, in parts of the largest",
    "Fresh samples pushed away", "Fresh samples without any weight", "Turns its sign at"];
  const body = make("tbody");
  const element = make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), body);
  return [make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption }, element), body];
}

export function buildCurves(root) {
  const canvases = root.querySelectorAll("canvas");
  const charts = [
    new Chart(canvases[0], { x: [-REACH, REACH], y: [0, 1], xlabel: "soft margin Δ", ylabel: "weight w" }, drawWeights),
    new Chart(canvases[1], { x: [0, 1], y: [0, 4], xlabel: "probability of the given label p", ylabel: "loss l" }, drawValues),
  ];
  const [scroll, body] = table("The curves in numbers");
  const [scrollAll, bodyAll] = table("Every loss of the library, with its usual parameters");
  const others = make("details", {}, make("summary", {}, "The same for every loss"), scrollAll);
  root.querySelector(".controls").append(
    setting("delta", { label: "Margin to read at Δ", low: -REACH, high: REACH, step: 0.1 }),
    setting("sigma", { label: "Spread σ of fresh scores", low: 0.05, high: 2, step: 0.05 }),
    setting("epoch", { label: "Epoch (for delays)", low: 1, high: 12, step: 1 }),
    choice("unit", "Height of the curves", { 1: "largest weight is 1", 0: "as they are" }, Number),
  );
  root.querySelector(".readout").append(scroll, others);
  others.addEventListener("toggle", () => others.open && fill(bodyAll, all()));
  canvases[0].addEventListener("pointermove", (event) => {
    if (event.buttons) moveTo(charts[0].at(event)[0]);
  });
  canvases[0].addEventListener("pointerdown", (event) => moveTo(charts[0].at(event)[0]));
  return () => {
    charts.forEach((chart) => chart.redraw());
    fill(body, drawn());
    if (others.open) fill(bodyAll, all());
  };
}

function moveTo(delta) {
  set("delta", Math.max(-REACH, Math.min(REACH, Math.round(delta * 10) / 10)));
}
