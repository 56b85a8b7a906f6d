// Everything that a reader has set, and its form in the page's address (after the #).
import { FORMULAS } from "./formulas.js";

export const SLOTS = ["A", "B", "C"];
export const MOVES = ["none", "scale", "shift"];

/** A loss at its library defaults. */
export function spec(name, changes = {}) {
  const knobs = Object.entries(FORMULAS[name].knobs);
  const params = Object.fromEntries(knobs.map(([key, knob]) => [key, knob.start]));
  return { on: true, name, move: "none", tau: 2.6, delay: 0, ...changes, params: { ...params, ...changes.params } };
}

// Plain settings: [start, low, high], or [start, allowed words].
const SETTINGS = {
  view: ["curves", ["curves", "plane", "network", "film"]],
  K: [10, 2, 1000],
  sigma: [1, 0.05, 2],
  epoch: [1, 1, 12],
  delta: [-8, -12, 12],
  unit: [1, 0, 1],
  plane: ["gamma", ["gamma", "c"]],
  slot: [2, 0, 2],
  eta: [0.4, 0, 0.8],
  own: [0.1, 0, 1],
  blobs: [4, 2, 8],
  spread: [0.4, 0.1, 0.8],
  rate: [0.01, 0.001, 0.1],
  seed: [0, 0, 99],
  film: [1, 1, 12],
  shown: [19, 1, 127],
};

export const state = { losses: [] };
const listeners = [];

/** Call f(key) after every change of the state. */
export function onChange(f) {
  listeners.push(f);
}

/** Tell everyone that state[key] has changed ("losses" for anything about a loss), and keep it in the address. */
export function changed(key) {
  for (const f of listeners) f(key);
  window.clearTimeout(changed.timer);
  changed.timer = window.setTimeout(() => window.history.replaceState(null, "", `#${toHash()}`), 200);
}

export function set(key, value) {
  state[key] = value;
  changed(key);
}

function lossText(loss) {
  const parts = [loss.name, ...Object.entries(loss.params).map(([key, value]) => `${key}=${value}`)];
  if (loss.move !== "none") parts.push(`${loss.move}=${loss.tau}`);
  if (loss.delay) parts.push(`delay=${loss.delay}`);
  return (loss.on ? "" : "!") + parts.join(",");
}

function bounded(text, low, high, otherwise) {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? Math.min(high, Math.max(low, number)) : otherwise;
}

function readLoss(text, otherwise) {
  const [name, ...parts] = text.replace(/^!/, "").split(",");
  if (!Object.hasOwn(FORMULAS, name)) return otherwise;
  const loss = spec(name, { on: !text.startsWith("!") });
  for (const [key, value] of parts.map((part) => part.split("="))) {
    const knob = FORMULAS[name].knobs[key];
    if (knob) loss.params[key] = bounded(value, knob.low, knob.high, knob.start);
    else if (key === "delay") loss.delay = Math.round(bounded(value, 0, 6, 0));
    else if (MOVES.includes(key)) [loss.move, loss.tau] = [key, bounded(value, 0.5, 6, 2.6)];
  }
  return loss;
}

/** The state as text: only what differs from the start, and the losses. */
export function toHash() {
  const parts = Object.entries(SETTINGS).filter(([key, [start]]) => state[key] !== start);
  const losses = state.losses.map((loss, i) => `${SLOTS[i].toLowerCase()}=${lossText(loss)}`);
  return [...parts.map(([key]) => `${key}=${state[key]}`), ...losses].join("&");
}

/** Set the state from such text; what is missing or not understood starts as usual. */
export function fromHash(text) {
  const given = Object.fromEntries(text.replace(/^#/, "").split("&").map((part) => [
    part.slice(0, part.indexOf("=")), decodeURIComponent(part.slice(part.indexOf("=") + 1))]));
  for (const [key, [start, low, high]] of Object.entries(SETTINGS)) {
    if (Array.isArray(low)) state[key] = low.includes(given[key]) ? given[key] : start;
    else state[key] = bounded(given[key], low, high, start);
  }
  const starts = [spec("ce"), spec("mae"), spec("blurry", { params: { gamma: 0.5 } })];
  state.losses = starts.map((start, i) => readLoss(given[SLOTS[i].toLowerCase()] ?? "", start));
}
