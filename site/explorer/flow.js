// A small population under gradient flow. All samples belong to one class; by symmetry every other class does the
// same. Their scores are a part that they share, as samples of a class share a network's features, and a part of
// their own, by which a network can learn a sample by heart.
import { normal, uniform } from "./random.js";

export const SIZE = 500;
const PACE = 6; // margin units an epoch that the shared part moves under a weight of 1

export class Population {
  /** K classes, the share eta of labels flipped to another class each as likely, scores from N(0, σ²). */
  constructor(classes, eta, sigma, seed = 1) {
    const [draw, coin] = [normal(seed), uniform(seed + 1)];
    this.classes = classes;
    this.time = 0;
    this.own = Float64Array.from({ length: SIZE * classes }, () => sigma * draw());
    this.shared = new Float64Array(classes);
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
    const { classes, own, shared, labels, row, mean } = this;
    mean.fill(0);
    for (let n = 0; n < SIZE; n++) {
      const [at, y] = [n * classes, labels[n]];
      const sum = this.look(n);
      const pull = PACE * dt * weight(this.delta[n]);
      if (pull === 0) continue;
      const part = -pull / sum; // ∇Δ is 1 at the label, minus the softmax of the others elsewhere
      for (let j = 0; j < classes; j++) {
        const move = j === y ? pull : part * row[j];
        mean[j] += move;
        own[at + j] += kappa * move;
      }
    }
    for (let j = 0; j < classes; j++) shared[j] += mean[j] / SIZE;
    this.time += dt;
  }

  /** Note Δ of sample n and whether its true class leads; leaves e^s of the other classes in `row`, returns their sum. */
  look(n) {
    const { classes, own, shared, row } = this;
    const [at, y] = [n * classes, this.labels[n]];
    let best = 0;
    for (let j = 0; j < classes; j++) {
      row[j] = own[at + j] + shared[j];
      if (row[j] > row[best]) best = j;
    }
    this.right[n] = best === 0 ? 1 : 0;
    const [score, top] = [row[y], row[best]];
    let sum = 0;
    for (let j = 0; j < classes; j++) {
      row[j] = j === y ? 0 : Math.exp(row[j] - top);
      sum += row[j];
    }
    this.delta[n] = score - top - Math.log(sum);
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
