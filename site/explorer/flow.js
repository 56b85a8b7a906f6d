// A small population under gradient flow. All samples belong to one class; by symmetry every other class does the
// same. Their scores are a part that they share, as samples of a class share a network's features, and a part of
// their own, by which a network can learn a sample by heart.
import { normal, uniform } from "./random.js";

export const SIZE = 500;
const PACE = 6; // margin units an epoch that the shared part moves under a weight of 1

/** e^x; the moves of one step are so small that a few terms have all digits. */
function exp(x) {
  return Math.abs(x) < 1e-3 ? 1 + x * (1 + (x / 2) * (1 + x / 3)) : Math.exp(x);
}

export class Population {
  /**
   * K classes, the share eta of labels flipped to another class each as likely, scores from N(0, σ²). Scores are kept
   * as e^s, so that a step multiplies where it would take 500 K exponentials: a thousand classes flow, too.
   */
  constructor(classes, eta, sigma, seed = 1) {
    const [draw, coin] = [normal(seed), uniform(seed + 1)];
    this.classes = classes;
    this.time = 0;
    this.own = Float64Array.from({ length: SIZE * classes }, () => Math.exp(sigma * draw()));
    this.shared = new Float64Array(classes).fill(1);
    this.flipped = Uint8Array.from({ length: SIZE }, () => (coin() < eta ? 1 : 0));
    this.labels = Int32Array.from(this.flipped, (flip) => (flip ? 1 + Math.floor(coin() * (classes - 1)) : 0));
    this.jitter = Float64Array.from({ length: SIZE }, () => coin());
    this.delta = new Float64Array(SIZE);
    this.right = new Uint8Array(SIZE); // 1 where the true class, 0, has the highest score
    this.row = new Float64Array(classes);
    this.mean = new Float64Array(classes);
    this.step(() => 0, 0, 0);
  }

  /** A step of `dt` epochs along w(Δ)∇Δ: for the shared part its mean over the samples, for the own part κ times it. */
  step(weight, dt, kappa) {
    const { classes, shared, labels, row, mean } = this;
    mean.fill(0);
    for (let n = 0; n < SIZE; n++) {
      const sum = this.look(n);
      const pull = PACE * dt * weight(this.delta[n]);
      if (pull === 0) continue;
      const [part, y] = [-pull / sum, labels[n]]; // ∇Δ is 1 at the label, minus the softmax of the others elsewhere
      for (let j = 0; j < classes; j++) mean[j] += part * row[j];
      mean[y] += pull;
      if (kappa !== 0) this.keep(n * classes, y, kappa * pull, kappa * part);
    }
    for (let j = 0; j < classes; j++) shared[j] *= exp(mean[j] / SIZE);
    this.time += dt;
  }

  /** Move the own scores of the sample whose row begins at `at`: the label's by `pull`, others by `part` times e^s. */
  keep(at, y, pull, part) {
    const { classes, own, row } = this;
    for (let j = 0; j < classes; j++) own[at + j] *= exp(part * row[j]);
    own[at + y] *= exp(pull);
  }

  /** Note Δ of sample n and whether its true class leads; leaves e^s of the other classes in `row`, returns their sum. */
  look(n) {
    const { classes, own, shared, row } = this;
    const [at, y] = [n * classes, this.labels[n]];
    let [best, sum] = [0, 0];
    const score = own[at + y] * shared[y];
    for (let j = 0; j < classes; j++) {
      const value = own[at + j] * shared[j];
      if (value > best) best = value;
      row[j] = j === y ? 0 : value;
      sum += row[j];
    }
    this.right[n] = own[at] * shared[0] >= best ? 1 : 0;
    this.delta[n] = Math.log(score) - Math.log(sum);
    return sum;
  }

  /** Shares: clean and flipped samples with p > 1/2 for their label, and samples whose true class leads. */
  shares() {
    const count = [0, 0];
    const over = [0, 0];
    let right = 0;
    for (let n = 0; n < SIZE; n++) {
      count[this.flipped[n]]++;
      if (this.delta[n] > 0) over[this.flipped[n]]++;
      right += this.right[n];
    }
    return { clean: over[0] / (count[0] || 1), flipped: over[1] / (count[1] || 1), right: right / SIZE };
  }
}
