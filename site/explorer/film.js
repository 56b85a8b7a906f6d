// View 4: the recorded margins of chapter 02, epoch by epoch (FILM is scripts/record_margins.py's record).
import { Chart, ink } from "./chart.js";
import { make, player, setting } from "./controls.js";
import { histogram } from "./fresh.js";
import { curve } from "./losses.js";
import { onChange, set, spec, state } from "./state.js";

const REACH = 20;
const BINS = 60;
const EPOCHS_A_SECOND = 1.5;

const FILM = JSON.parse(document.getElementById("film-record").textContent);
const flippedDigits = Uint8Array.from(FILM.flipped, Number);
const DIGITS = flippedDigits.length;
const LAST_EPOCH = FILM.runs[0].accuracy.length;

/** Margins of a run, epochs × digits, in score units; NaN where the run recorded none. */
export function unpacked(run) {
  const bytes = Int8Array.from(window.atob(run.margins), (letter) => letter.charCodeAt(0));
  return Float64Array.from(bytes, (byte) => (byte === -128 ? NaN : byte * FILM.step));
}

const margins = FILM.runs.map(unpacked);

/** Margins at a moment between two epochs, on the straight line from one to the other. */
function atMoment(run, moment) {
  const [before, share] = [Math.floor(moment) - 1, moment % 1];
  const after = Math.min(before + 1, LAST_EPOCH - 1);
  return Float64Array.from({ length: DIGITS }, (_, n) =>
    (1 - share) * margins[run][before * DIGITS + n] + share * margins[run][after * DIGITS + n]);
}

function drawRun(index) {
  const run = FILM.runs[index];
  const loss = spec(run.name, { params: run.params, delay: run.delay });
  return (chart) => {
    const epoch = Math.round(state.film);
    const now = curve(loss, 10, epoch);
    const values = atMoment(index, state.film);
    const kinds = [0, 1].map((kind) => values.filter((value, n) => flippedDigits[n] === kind && !Number.isNaN(value)));
    const counts = kinds.map((kind) => histogram(kind, -REACH, REACH, BINS));
    const tallest = Math.max(1, ...counts[0], ...counts[1]);
    chart.begin();
    chart.bars(counts[0].map((count) => count / tallest), ink("clean"), 0.6);
    chart.outline(counts[1].map((count) => count / tallest), ink("flipped"));
    chart.path([[-REACH, 0], [REACH, 0]], ink("ink"), [], 1);
    chart.line((delta) => now.weight(delta) / (now.largest || 1), ink("ink"));
    const fitted = kinds.map((kind) => Math.round((100 * kind.filter((x) => x > 0).length) / (kind.length || 1)));
    const text = `Epoch ${epoch}: accuracy on clean test digits ${run.accuracy[epoch - 1].toFixed(3)}; right of zero ` +
      `${fitted[0]} % of the clean, ${fitted[1]} % of the flipped samples${now.waiting ? "; CE, in the delay" : ""}.`;
    chart.text.textContent = text;
    chart.describe(`${run.title}. ${text}`);
  };
}

function columnsOf(grid) {
  const axes = { x: [-REACH, REACH], y: [-0.6, 1.05], xlabel: "soft margin Δ of the given label", yticks: [] };
  const chosen = FILM.runs.map((run, i) => [run, i]).filter(([, i]) => state.shown & (1 << i));
  const charts = chosen.map(([run, i]) => {
    const canvas = make("canvas", { className: "film", role: "img" });
    const chart = new Chart(canvas, axes, drawRun(i));
    chart.text = make("p", { className: "report" });
    chart.element = make("div", {}, make("h3", {}, run.title), canvas, chart.text);
    return chart;
  });
  grid.replaceChildren(...charts.map((chart) => chart.element));
  return charts;
}

function choices() {
  const box = make("fieldset", { className: "choice" }, make("legend", {}, "Losses of chapter 02"));
  FILM.runs.forEach((run, i) => {
    const input = make("input", { type: "checkbox", checked: Boolean(state.shown & (1 << i)) });
    input.addEventListener("change", () => set("shown", state.shown ^ (1 << i)));
    box.append(make("label", {}, input, run.title));
  });
  return box;
}

export function buildFilm(root) {
  const grid = root.querySelector(".columns");
  let charts = columnsOf(grid);
  const show = () => charts.forEach((chart) => chart.redraw());
  const to = (moment) => set("film", Math.min(LAST_EPOCH, moment));
  const buttons = player("film", {
    frame: (seconds) => {
      to(state.film + EPOCHS_A_SECOND * seconds);
      return state.film < LAST_EPOCH;
    },
    step: () => to(Math.floor(state.film) + 1), reset: () => to(1),
    labels: { play: "Play", step: "Next epoch", reset: "First epoch" } });
  root.querySelector(".controls").append(
    setting("film", { label: "Epoch", low: 1, high: LAST_EPOCH, step: 0.05, text: (t) => t.toFixed(1) }), choices(), buttons);
  onChange((key) => {
    if (key === "shown") charts = columnsOf(grid);
  });
  return show;
}
