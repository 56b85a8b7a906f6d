// View 2, left: where a fresh network is pushed or left alone, in the plane of Blurry's γ (or the cut c) and K.
import { Chart, ink } from "./chart.js";
import { spec, changed, set, state } from "./state.js";

const MOST = Math.log(1000);
const AXES = {
  gamma: { name: "blurry", high: 1.2, label: "γ of Blurry" },
  c: { name: "piecewise_zero", high: 0.5, label: "c of Piecewise-zero" },
};

/** The border: the parameter at which a sample with p = 1/K has no weight. */
export function border(plane, classes) {
  return plane === "gamma" ? 1 / Math.log(classes) : 1 / classes;
}

function axes(plane) {
  const classes = [2, 5, 10, 30, 100, 300, 1000];
  return { x: [0, AXES[plane].high], y: [Math.log(2), MOST], xlabel: AXES[plane].label, ylabel: "classes K",
    yticks: classes.map((k) => [Math.log(k), String(k)]) };
}

/** The loss of the chosen slot as a point of the plane, or null if it is another loss. */
export function point() {
  const loss = state.losses[state.slot];
  return loss.name === AXES[state.plane].name ? loss.params[state.plane] : null;
}

/** Where the point stands, in words. */
export function place() {
  const [at, edge] = [point(), border(state.plane, state.K)];
  const sign = state.plane === "gamma" ? "γ" : "c";
  const rule = state.plane === "gamma" ? `1/ln K = ${edge.toFixed(3)}` : `1/K = ${edge.toFixed(3)}`;
  if (at === null) {
    return `Border at K = ${state.K}: ${sign} = ${rule}. The chosen loss is not on this plane: click into it, or choose ` +
      "the loss in the panel.";
  }
  const beyond = state.plane === "gamma" ? "an even start (p = 1/K) is pushed away from every label"
    : "an even start (p = 1/K) has no weight: nothing moves";
  const loss = state.losses[state.slot];
  const helped = loss.delay || loss.move !== "none" ? " (without its delay, scale or shift)" : "";
  return `${sign} = ${at}, border ${rule}: ${at >= edge ? beyond : "an even start is pulled to its labels"}${helped}.`;
}

export function drawPlane(chart) {
  chart.axes = axes(state.plane);
  chart.begin();
  const edge = [];
  for (let i = 0; i <= 100; i++) {
    const y = Math.log(2) + ((MOST - Math.log(2)) * i) / 100;
    edge.push([border(state.plane, Math.exp(y)), y]);
  }
  shade(chart, edge);
  chart.path(edge, ink("ink"), [], 2);
  words(chart);
  const at = point();
  if (at !== null) {
    const c = chart.context;
    c.beginPath();
    c.arc(chart.px(at), chart.py(Math.log(state.K)), 6, 0, 2 * Math.PI);
    Object.assign(c, { fillStyle: ink(`loss${state.slot}`), strokeStyle: ink("paper"), lineWidth: 2 });
    c.fill();
    c.stroke();
  }
  chart.describe(`${place()}`);
}

function shade(chart, edge) {
  const c = chart.context;
  chart.clipped(() => {
    c.beginPath();
    for (const [x, y] of edge) c.lineTo(chart.px(x), chart.py(y));
    c.lineTo(chart.px(chart.axes.x[1]), chart.py(MOST));
    c.lineTo(chart.px(chart.axes.x[1]), chart.py(Math.log(2)));
    Object.assign(c, { fillStyle: ink("hill") });
    c.fill();
  });
}

function words(chart) {
  const c = chart.context;
  Object.assign(c, { fillStyle: ink("ink"), textAlign: "right", textBaseline: "top" });
  const text = state.plane === "gamma" ? "pushed away" : "stands still";
  c.fillText(text, chart.box.left + chart.box.width - 8, chart.box.top + 8);
  Object.assign(c, { textAlign: "left", textBaseline: "bottom" });
  if (state.plane === "gamma") c.fillText("pulled", chart.box.left + 8, chart.box.top + chart.box.height - 8);
}

/** A click into the plane makes the chosen slot a loss of this plane, with this parameter and this K. */
export function buildPlane(canvas) {
  const chart = new Chart(canvas, axes("gamma"), drawPlane);
  const take = (event) => {
    const [x, y] = chart.at(event);
    const { name, high } = AXES[state.plane];
    const value = Math.round(100 * Math.max(0, Math.min(high, x))) / 100;
    const loss = state.losses[state.slot];
    if (loss.name !== name) state.losses[state.slot] = spec(name, { params: { [state.plane]: value } });
    else loss.params[state.plane] = value;
    set("K", Math.max(2, Math.min(1000, Math.round(Math.exp(y)))));
    changed("losses");
  };
  canvas.addEventListener("pointerdown", take);
  canvas.addEventListener("pointermove", (event) => event.buttons && take(event));
  return chart;
}
