// View 3: the same points learned under each shown loss, side by side.
import { Chart, DASHES, ink } from "./chart.js";
import { make, player, setting } from "./controls.js";
import { curve } from "./losses.js";
import { blobs, flip, predicted, Training } from "./network.js";
import { named, shownLosses } from "./panel.js";
import { onChange, SLOTS, state } from "./state.js";

const POINTS = 240;
const TESTS = 200;
const LAST = 200;
const REACH = 12;
const BUDGET = 5; // milliseconds of training a picture, so that sixty pictures a second stay possible
const CELLS = 36;
const ROWS = 12; // of the regions' cells, looked at anew before each picture of them
const SIDE = 2.4;
const TINTS = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167], [240, 228, 66], [150, 150, 150],
  [140, 109, 31], [120, 110, 220]];
const AFRESH = ["blobs", "spread", "eta", "seed", "losses"];

let [data, test, runs, panels, lines] = [null, null, [], [], null];

function restart() {
  data = blobs(POINTS, state.blobs, state.spread, state.seed);
  test = blobs(TESTS, state.blobs, state.spread, state.seed + 1000);
  Object.assign(data, flip(data.labels, state.blobs, state.eta, state.seed + 2000));
  runs = shownLosses().map(([slot]) => {
    const regions = make("canvas", { width: CELLS, height: CELLS });
    return { slot, training: new Training(data, test, state.blobs, state.seed), regions, nextRow: 0 };
  });
  for (const run of runs) look(run, CELLS);
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

/** Ask the network for the classes of the next rows of cells, and tint them. */
function look(run, rows) {
  const context = run.regions.getContext("2d");
  const line = context.createImageData(CELLS, 1);
  const point = new Float64Array(2);
  for (let k = 0; k < rows; k++, run.nextRow = (run.nextRow + 1) % CELLS) {
    point[1] = SIDE - (2 * SIDE * (run.nextRow + 0.5)) / CELLS;
    for (let i = 0; i < CELLS; i++) {
      point[0] = -SIDE + (2 * SIDE * (i + 0.5)) / CELLS;
      line.data.set([...TINTS[predicted(run.training.network.scores(point, 0))], 80], 4 * i);
    }
    context.putImageData(line, 0, run.nextRow);
  }
}

function drawPlot(run) {
  return (chart) => {
    chart.begin();
    const { left, top, width, height } = chart.box;
    chart.context.imageSmoothingEnabled = false;
    chart.context.drawImage(run.regions, left, top, width, height);
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
  const square = { x: [-SIDE, SIDE], y: [-SIDE, SIDE], xticks: [], yticks: [] };
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

function showPanel({ run, head, text, charts }) {
  charts.forEach((chart) => chart.redraw());
  head.textContent = `${SLOTS[run.slot]}: ${named(state.losses[run.slot])}`;
  text.textContent = `Epoch ${run.training.epoch - 1}: ${summary(run)}`;
}

function show() {
  panels.forEach(showPanel);
  lines.redraw();
}

function build(grid) {
  restart();
  columns(grid);
}

let turn = 0;
/** As many batches as the time of one picture allows; then one column, or the lines beneath, is drawn anew. */
function frame() {
  const end = performance.now() + BUDGET;
  while (performance.now() < end && !finished()) batch();
  if (finished()) {
    for (const run of runs) look(run, CELLS);
    show();
    return false;
  }
  turn = (turn + 1) % (panels.length + 1);
  if (turn === panels.length) lines.redraw();
  else {
    look(panels[turn].run, ROWS);
    showPanel(panels[turn]);
  }
  return true;
}

function oneEpoch() {
  while (!finished() && !batch());
  for (const run of runs) look(run, CELLS);
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
