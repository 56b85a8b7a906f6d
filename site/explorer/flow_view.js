// View 2, right: the population of flow.js on the Δ axis, under the chosen loss.
import { Chart, ink } from "./chart.js";
import { choice, make, player, setting } from "./controls.js";
import { Population, SIZE } from "./flow.js";
import { curve } from "./losses.js";
import { named } from "./panel.js";
import { buildPlane, place } from "./plane.js";
import { onChange, SLOTS, state } from "./state.js";

const REACH = 12;
const EPOCHS_A_SECOND = 0.7;
const LAST = 12;
const STEP = 0.02;
const FRESH = ["K", "sigma", "eta"]; // these make another population

let population = null;
let track = [];

function restart() {
  population = new Population(state.K, state.eta, state.sigma);
  track = [[0, population.shares()]];
  owed = 0;
}

let owed = 0;
/** Move on by so many epochs, in whole steps short enough to follow the flow; a rest waits for the next call. */
function advance(epochs) {
  owed += epochs;
  const before = population.time;
  for (; owed > STEP - 1e-9; owed -= STEP) population.step(curveAt(population.time).weight, STEP, state.own);
  if (population.time > before) track.push([population.time, population.shares()]);
  return population.time > before;
}

let kept = null;
/** The loss in use at a time; kept as long as nobody moves a slider. */
function curveAt(time) {
  const loss = state.losses[state.slot];
  const key = `${JSON.stringify(loss)} ${state.K} ${time < loss.delay}`;
  if (kept?.key !== key) kept = { key, now: curve(loss, state.K, time < loss.delay ? 1 : Infinity) };
  return kept.now;
}

function drawFlow(chart) {
  const now = curveAt(population.time);
  chart.begin();
  const size = now.largest || 1;
  chart.path([[-REACH, 1.15], [REACH, 1.15]], ink("ink"), [], 1);
  chart.line((delta) => 1.15 + (0.8 * now.weight(delta)) / size, ink(`loss${state.slot}`));
  const { flipped, delta, jitter } = population;
  chart.samples(flipped, (n) => [
    Math.max(-REACH + 0.1, Math.min(REACH - 0.1, delta[n])), flipped[n] ? -0.1 - 0.75 * jitter[n] : 0.05 + 0.75 * jitter[n]]);
  const c = chart.context;
  Object.assign(c, { textAlign: "left", textBaseline: "top" });
  [["clean", 0.85], ["flipped", -0.05]].forEach(([kind, y]) => {
    c.fillStyle = ink(kind);
    c.fillText(`${kind} labels`, chart.box.left + 4, chart.py(y));
  });
}

function drawTrack(chart) {
  chart.begin();
  const lines = [["clean", "clean", []], ["flipped", "flipped", [6, 3]], ["right", "ink", [2, 3]]];
  for (const [key, colour, dash] of lines) {
    chart.path(track.map(([time, shares]) => [time, shares[key]]), ink(colour), dash);
  }
  const now = population.shares();
  chart.describe(`After ${population.time.toFixed(1)} epochs ${percent(now.clean)} of the clean and ` +
    `${percent(now.flipped)} of the flipped samples are fitted.`);
}

function percent(x) {
  return `${Math.round(100 * x)} %`;
}

function report(text, fact) {
  const now = population.shares();
  const loss = state.losses[state.slot];
  const phase = population.time < loss.delay ? " (in its delay: CE)" : "";
  text.textContent = `${named(loss)}${phase}, epoch ${population.time.toFixed(1)}: fitted (p > ½) are ${percent(now.clean)} ` +
    `of the clean and ${percent(now.flipped)} of the flipped samples; the true class leads in ${percent(now.right)}.`;
  fact.textContent = place();
}

export function buildFlow(root) {
  const [plane, flow, trace] = root.querySelectorAll("canvas");
  restart();
  const charts = [
    buildPlane(plane),
    new Chart(flow, { x: [-REACH, REACH], y: [-0.95, 2.05], xlabel: "soft margin Δ of the given label", yticks: [] }, drawFlow),
    new Chart(trace, { x: [0, LAST], y: [0, 1.02], xlabel: "epoch", ylabel: "share" }, drawTrack),
  ];
  charts[1].describe(`${SIZE} samples on the axis of the soft margin, clean ones above, flipped ones below, under the weight curve.`);
  const [text, fact] = [make("p", { className: "report" }), make("p", { className: "report" })];
  const show = () => {
    charts.forEach((chart) => chart.redraw());
    report(text, fact);
  };
  const go = (epochs) => {
    if (population.time > LAST - 1e-6) return false;
    if (!advance(Math.min(epochs, LAST - population.time))) return true; // this picture stays
    charts[1].redraw();
    charts[2].redraw();
    report(text, fact);
    return true;
  };
  const buttons = player("plane", {
    frame: (seconds) => go(EPOCHS_A_SECOND * seconds), step: () => go(1), reset: () => (restart(), show()),
    labels: { play: "Let it flow", step: "One epoch", reset: "Fresh samples" } });
  root.querySelector(".controls").append(
    choice("plane", "Plane", { gamma: "γ × K (Blurry)", c: "c × K (Piecewise-zero)" }),
    choice("slot", "Loss that drives the samples", Object.fromEntries(SLOTS.map((name, i) => [i, name])), Number),
    setting("eta", { label: "Flipped labels η", low: 0, high: 0.8, step: 0.05 }),
    setting("own", { label: "Learning by heart κ", low: 0, high: 1, step: 0.05 }),
    buttons);
  root.querySelector(".readout").append(fact, text);
  onChange((key) => FRESH.includes(key) && restart());
  return show;
}
