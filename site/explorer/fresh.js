// Where training starts: margins of a fresh network, as independent normal scores.
import { margin } from "./losses.js";
import { normal } from "./random.js";

const DRAWS = 2000;
const kept = new Map();

/** Margins of 2,000 samples whose K scores are independent draws from N(0, σ²), sorted; the same for every call. */
export function freshMargins(classes, sigma) {
  const key = `${classes} ${sigma}`;
  if (!kept.has(key)) {
    const next = normal(1);
    const [row, slope] = [new Float64Array(classes), new Float64Array(classes)];
    const draw = () => {
      for (let j = 0; j < classes; j++) row[j] = sigma * next();
      return margin(row, 0, classes, 0, slope);
    };
    if (kept.size > 40) kept.clear();
    kept.set(key, Float64Array.from({ length: DRAWS }, draw).sort());
  }
  return kept.get(key);
}

/** Counts of values in `bins` equal parts of [low, high], what lies beyond in the first and the last. */
export function histogram(values, low, high, bins) {
  const counts = new Float64Array(bins);
  for (const value of values) {
    const bin = Math.floor(((value - low) / (high - low)) * bins);
    counts[Math.max(0, Math.min(bins - 1, bin))]++;
  }
  return counts;
}

/** The mean of f over the values, and the shares where it is negative and where it is zero. */
export function over(values, f) {
  let [mean, negative, zero] = [0, 0, 0];
  for (const value of values) {
    const at = f(value);
    mean += at / values.length;
    if (at < 0) negative += 1 / values.length;
    if (at === 0) zero += 1 / values.length;
  }
  return { mean, negative, zero };
}
