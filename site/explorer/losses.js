// A loss of p_y as a curve over the soft margin Δ. FORMULAS is written by the library (build_explorer.py): value
// l(p) and pull w/(1-p) of every loss, from the one line in which the library holds it.
import { FORMULAS } from "./formulas.js";

const PLAIN = { params: {}, move: "none", tau: 2, delay: 0 };

/** E[Δ] of a fresh network whose K scores are independent draws from N(0, σ²): CV Eq. 4. */
export function expectedMargin(classes, sigma = 1) {
  const s2 = sigma * sigma;
  return -Math.log(classes - 1) - s2 / 2 + Math.expm1(s2) / (2 * (classes - 1));
}

/** log sigmoid(Δ), without overflow. */
export function logSigmoid(delta) {
  return delta > 0 ? -Math.log1p(Math.exp(-delta)) : delta - Math.log1p(Math.exp(delta));
}

// Right of this margin every weight is below 1e-12; formulas that divide by 1 - p stay finite left of it.
const FAR_RIGHT = 30;

function valueOf(spec, delta) {
  const r = 1 / (1 + Math.exp(delta));
  return FORMULAS[spec.name].value(spec.params, 1 / (1 + Math.exp(-delta)), logSigmoid(delta), r);
}

function weightOf(spec, delta) {
  const at = Math.min(delta, FAR_RIGHT);
  const r = 1 / (1 + Math.exp(at));
  return r * FORMULAS[spec.name].pull(spec.params, 1 / (1 + Math.exp(-at)), logSigmoid(at), r);
}

/** CV's moves as [a, b]: the weight is w(aΔ + b), the loss l(sigmoid(aΔ + b))/a. */
export function moved(spec, classes) {
  const start = Math.abs(expectedMargin(classes));
  if (spec.move === "scale") return [spec.tau / start, 0];
  if (spec.move === "shift") return [1, start - spec.tau];
  return [1, 0];
}

/**
 * The loss at an epoch (counted from 1): { value(Δ), weight(Δ), largest, waiting }.
 * largest is max |w|; waiting is true while the delay still puts CE in the loss's place.
 */
export function curve(spec, classes, epoch = Infinity) {
  const waiting = epoch <= spec.delay;
  const loss = waiting ? { ...PLAIN, name: "ce" } : spec;
  const [a, b] = moved(loss, classes);
  const weight = (delta) => weightOf(loss, a * delta + b);
  return { value: (delta) => valueOf(loss, a * delta + b) / a, weight, largest: largest(weight), waiting };
}

/** max |w| over |Δ| <= 40: a grid, then a finer one about its best point. */
export function largest(weight) {
  let [low, high, best] = [-40, 40, 0];
  for (let round = 0; round < 3; round++) {
    const step = (high - low) / 800;
    let at = low;
    best = 0;
    for (let i = 0; i <= 800; i++) {
      const size = Math.abs(weight(low + i * step));
      if (size > best) [best, at] = [size, low + i * step];
    }
    [low, high] = [at - step, at + step];
  }
  return best;
}

/** The margins in [low, high] at which w changes its sign, by bisection. */
export function turns(weight, low = -20, high = 15) {
  const found = [];
  const step = 0.05;
  for (let left = low; left < high; left += step) {
    if (weight(left) < 0 === weight(left + step) < 0) continue;
    let [a, b] = [left, left + step];
    const negative = weight(a) < 0;
    for (let i = 0; i < 40; i++) {
      const middle = (a + b) / 2;
      if (weight(middle) < 0 === negative) a = middle;
      else b = middle;
    }
    if (Math.abs(weight(a)) < 1e-6 && Math.abs(a) < 14.9) found.push(a);
  }
  return found;
}

/**
 * Δ and the gradient of one row of scores s[at … at+K-1] for label y. Writes ∂Δ/∂s into out[0 … K-1]: 1 at the
 * label, minus the softmax of the other scores elsewhere. Returns Δ.
 */
export function margin(s, at, classes, y, out) {
  let top = -Infinity;
  for (let j = 0; j < classes; j++) if (j !== y && s[at + j] > top) top = s[at + j];
  let sum = 0;
  for (let j = 0; j < classes; j++) {
    out[j] = j === y ? 0 : Math.exp(s[at + j] - top);
    sum += out[j];
  }
  for (let j = 0; j < classes; j++) out[j] = -out[j] / sum;
  out[y] = 1;
  return s[at + y] - top - Math.log(sum);
}
