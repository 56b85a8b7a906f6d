// View 3: the same points learned under each shown loss, side by side.
import { Chart, DASHES, ink } from "./chart.js";
import { make, player, setting } from "./controls.js";
import { curve } from "./losses.js";
import { blobs, flip, predicted, Training } from "./network.js";
import { named, shownLosses } from "./panel.js";
import { onChange, SLOTS, state } from "./state.js";

const POINTS = 240;
const TESTS = 400;
const LAST = 200;
const REACH = 12;
const BUDGET = 9; // milliseconds of training a picture, so that sixty pictures a second stay possible
const CELLS = 36;
const AFRESH = ["blobs", "spread", "eta", "seed", "losses"];

let [data, test, runs, panels, lines] = [null, null, [], [], null];

function restart() {
  data = blobs(POINTS, state.blobs, state.spread, state.seed);
  test = blobs(TESTS, state.blobs, state.spread, state.seed + 1000);
  Object.assign(data, flip(data.labels, state.blobs, state.eta, state.seed + 2000));
  runs = shownLosses().map(([slot]) => ({ slot, training: new Training(data, test, state.blobs, state.seed) }));
}

/** One batch for every loss; true where it was an epoch's last. The delay is counted in tens of epochs. */
function batch() {
  let ended = false;
  for (const run of runs) {
    const loss = state.losses[run.slot];
    const waiting = run.training.epoch <= 10 * loss.delay;
    const key = `${JSON.stringify(loss)} ${state.blobs} ${waiting}`;
    if (run.key !== key) {
      run.now = curve(loss, state.blobs, waiting ? 1 : Infinity);
      run.key = key;
    }
    ended = run.training.batch(run.now.weight, state.rate) || ended;
  }
  return ended;
}

function finished() {
  return !runs.length || runs[0].training.epoch > LAST;
}

function regions(chart, network, classes) {
  const c = chart.context;
  const [low, high] = chart.axes.x;
  const step = (high - low) / CELLS;
  const point = new Float64Array(2);
  for (let i = 0; i < CELLS; i++) {
    for (let j = 0; j < CELLS; j++) {
      [point[0], point[1]] = [low + (i + 0.5) * step, low + (j + 0.5) * step];
      const best = predicted(network.scores(point, 0));
      c.fillStyle = `hsl(${Math.round((360 * best) / classes)} 55% 60% / 0.28)`;
      const [left, right] = [i, i + 1].map((k) => Math.round(chart.px(low + k * step)));
      const [top, bottom] = [j + 1, j].map((k) => Math.round(chart.py(low + k * step)));
      c.fillRect(left, top, right - left, bottom - top);
    }
  }
}

function drawPlot(run) {
  return (chart) => {
    chart.begin();
    chart.clipped(() => regions(chart, run.training.network, state.blobs));
    chart.samples(data.flipped, (n) => [data.x[2 * n], data.x[2 * n + 1]], 3);
    chart.describe(`The points of the plane and the regions of the network under ${named(state.losses[run.slot])}.`);
  };
}

function drawStrip(run) {
  return (chart) => {
    const now = run.now ?? curve(state.losses[run.slot], state.blobs);
    chart.begin();
    chart.path([[-REACH, 1.15], [REACH, 1.15]], ink("ink"), [], 1);
    chart.line((delta) => 1.15 + (0.8 * now.weight(delta)) / (now.largest || 1), ink(`loss${run.slot}`));
    const { delta } = run.training;
    chart.samples(data.flipped, (n) => [
      Math.max(-REACH + 0.2, Math.min(REACH - 0.2, delta[n])),
      data.flipped[n] ? -0.1 - 0.75 * ((n * 0.618) % 1) : 0.1 + 0.75 * ((n * 0.618) % 1)]);
    chart.describe(`Margins of clean samples above, flipped below, under ${named(state.losses[run.slot])}: ${summary(run)}`);
  };
}

function summary(run) {
  const [count, over] = [[0, 0], [0, 0]];
  data.flipped.forEach((flipped, n) => {
    count[flipped]++;
    if (run.training.delta[n] > 0) over[flipped]++;
  });
  const part = (k) => `${Math.round((100 * over[k]) / (count[k] || 1))} %`;
  return `accuracy on clean test points ${run.training.accuracy.at(-1).toFixed(2)}; fitted ${part(0)} of the clean, ` +
    `${part(1)} of the flipped samples.`;
}

function drawAccuracy(chart) {
  chart.begin();
  for (const { slot, training } of runs) {
    chart.path(training.accuracy.map((value, epoch) => [epoch, value]), ink(`loss${slot}`), DASHES[slot]);
  }
  chart.describe(`Accuracy on clean test points by epoch: ` +
    runs.map(({ slot, training }) => `${SLOTS[slot]} ${training.accuracy.at(-1).toFixed(2)}`).join(", "));
}

/** A column for every shown loss: its plane, its margins, its numbers. */
function columns(grid) {
  const square = { x: [-2.4, 2.4], y: [-2.4, 2.4], xticks: [], yticks: [] };
  const strip = { x: [-REACH, REACH], y: [-0.95, 2.05], xlabel: "soft margin Δ of the given label", yticks: [] };
  panels = runs.map((run) => {
    const [plot, margins] = ["square", "strip"].map((className) => make("canvas", { className, role: "img" }));
    const text = make("p", { className: "report" });
    const head = make("h3", {}, `${SLOTS[run.slot]}: ${named(state.losses[run.slot])}`);
    return { run, head, text, element: make("div", {}, head, plot, margins, text),
      charts: [new Chart(plot, square, drawPlot(run)), new Chart(margins, strip, drawStrip(run))] };
  });
  grid.replaceChildren(...panels.map(({ element }) => element));
}

function show() {
  for (const { run, head, text, charts } of panels) {
    charts.forEach((chart) => chart.redraw());
    head.textContent = `${SLOTS[run.slot]}: ${named(state.losses[run.slot])}`;
    text.textContent = `Epoch ${run.training.epoch - 1}: ${summary(run)}`;
  }
  lines.redraw();
}

function build(grid) {
  restart();
  columns(grid);
}

/** As many batches as the time of one picture allows. */
function frame() {
  const end = performance.now() + BUDGET;
  let ended = false;
  while (performance.now() < end && !finished()) ended = batch() || ended;
  if (ended) show();
  return !finished();
}

function oneEpoch() {
  while (!finished() && !batch());
  show();
}

export function buildNetwork(root) {
  const grid = root.querySelector(".columns");
  lines = new Chart(root.querySelector(":scope > canvas"),
    { x: [0, LAST], y: [0, 1.02], xlabel: "epoch", ylabel: "accuracy on clean points" }, drawAccuracy);
  build(grid);
  const buttons = player("network", { frame, step: oneEpoch, reset: () => (build(grid), show()),
    labels: { play: "Train", step: "One epoch", reset: "Fresh networks" } });
  root.querySelector(".controls").append(
    setting("eta", { label: "Flipped labels η", low: 0, high: 0.8, step: 0.05 }),
    setting("blobs", { label: "Blobs (classes here)", low: 2, high: 8, step: 1 }),
    setting("spread", { label: "Width of a blob", low: 0.1, high: 0.8, step: 0.05 }),
    setting("rate", { label: "Learning rate (Adam)", low: 0.001, high: 0.1, log: true }),
    setting("seed", { label: "Seed", low: 0, high: 99, step: 1 }),
    buttons);
  onChange((key) => AFRESH.includes(key) && build(grid));
  return show;
}
