// A network of three layers, 2 → 32 → 32 → K with ReLU, trained by Adam on points of the plane.
import { margin } from "./losses.js";
import { normal, shuffled, uniform } from "./random.js";

const HIDDEN = 32;
export const BATCH = 20;

/** `count` points of K blobs on a circle of radius 1, `spread` wide: { x (2·count), labels }. */
export function blobs(count, classes, spread, seed) {
  const draw = normal(seed);
  const labels = Int32Array.from({ length: count }, (_, n) => n % classes);
  const x = new Float64Array(2 * count);
  labels.forEach((label, n) => {
    const angle = (2 * Math.PI * label) / classes + Math.PI / 4;
    x[2 * n] = Math.cos(angle) + spread * draw();
    x[2 * n + 1] = Math.sin(angle) + spread * draw();
  });
  return { x, labels };
}

/** The labels with a share eta of them replaced, each other class as likely; and which were. */
export function flip(labels, classes, eta, seed) {
  const coin = uniform(seed);
  const flipped = new Uint8Array(labels.length);
  const given = labels.map((label, n) => {
    const [hit, other] = [coin() < eta, 1 + Math.floor(coin() * (classes - 1))];
    flipped[n] = hit ? 1 : 0;
    return hit ? (label + other) % classes : label;
  });
  return { given, flipped };
}

class Layer {
  constructor(inputs, outputs, draw) {
    Object.assign(this, { inputs, outputs });
    const size = (inputs + 1) * outputs; // the last row of weights is the bias
    this.w = Float64Array.from({ length: size }, (_, i) => (i < inputs * outputs ? draw() * Math.sqrt(2 / inputs) : 0));
    [this.grad, this.first, this.second] = [0, 0, 0].map(() => new Float64Array(size));
    this.out = new Float64Array(outputs);
    this.back = new Float64Array(inputs);
  }

  forward(x, at = 0) {
    const { inputs, outputs, w, out } = this;
    this.x = x;
    this.at = at;
    for (let j = 0; j < outputs; j++) out[j] = w[inputs * outputs + j];
    for (let i = 0; i < inputs; i++) {
      const value = x[at + i];
      if (value !== 0) for (let j = 0; j < outputs; j++) out[j] += value * w[i * outputs + j];
    }
    return out;
  }

  /** Add this sample's gradient for ∂L/∂out; returns ∂L/∂x. */
  backward(slope) {
    const { inputs, outputs, w, grad, back } = this;
    for (let i = 0; i < inputs; i++) {
      const value = this.x[this.at + i];
      let sum = 0;
      for (let j = 0; j < outputs; j++) {
        sum += slope[j] * w[i * outputs + j];
        grad[i * outputs + j] += value * slope[j];
      }
      back[i] = sum;
    }
    for (let j = 0; j < outputs; j++) grad[inputs * outputs + j] += slope[j];
    return back;
  }

  /** Adam's step t, and the gradient back to zero. */
  step(rate, t) {
    const { w, grad, first, second } = this;
    const size = rate * Math.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t);
    for (let i = 0; i < w.length; i++) {
      first[i] += 0.1 * (grad[i] - first[i]);
      second[i] += 0.001 * (grad[i] * grad[i] - second[i]);
      w[i] -= (size * first[i]) / (Math.sqrt(second[i]) + 1e-8);
      grad[i] = 0;
    }
  }
}

export class Network {
  constructor(classes, seed) {
    const draw = normal(seed);
    this.classes = classes;
    const widths = [2, HIDDEN, HIDDEN, classes];
    this.layers = [0, 1, 2].map((i) => new Layer(widths[i], widths[i + 1], draw));
    const last = this.layers[2].w;
    for (let i = 0; i < last.length; i++) last[i] *= 0.3; // a fresh network is not sure of anything
    this.slope = new Float64Array(classes);
    this.steps = 0;
  }

  scores(x, at) {
    const [first, second, third] = this.layers;
    relu(first.forward(x, at));
    relu(second.forward(first.out));
    return third.forward(second.out);
  }

  /** Δ of one sample; its gradient under -w(Δ)∇Δ goes to the layers, divided by the size of the batch. */
  learn(x, at, y, weight, size) {
    const delta = margin(this.scores(x, at), 0, this.classes, y, this.slope);
    const pull = weight(delta) / size;
    if (pull === 0) return delta;
    for (let j = 0; j < this.classes; j++) this.slope[j] *= -pull;
    const [first, second, third] = this.layers;
    const back = third.backward(this.slope);
    first.backward(gate(second.backward(gate(back, second.out)), first.out));
    return delta;
  }

  step(rate) {
    this.steps++;
    for (const layer of this.layers) layer.step(rate, this.steps);
  }
}

function relu(values) {
  for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
}

function gate(slope, out) {
  for (let i = 0; i < slope.length; i++) if (out[i] === 0) slope[i] = 0;
  return slope;
}

/** The class with the highest score. */
export function predicted(scores) {
  let best = 0;
  for (let j = 1; j < scores.length; j++) if (scores[j] > scores[best]) best = j;
  return best;
}

/** A network in training: batch by batch, so that a picture can be drawn between any two. */
export class Training {
  constructor(data, test, classes, seed) {
    Object.assign(this, { data, test, epoch: 1, position: 0 });
    this.network = new Network(classes, seed + 10);
    this.next = uniform(seed + 20);
    this.order = shuffled(data.labels.length, this.next);
    this.delta = new Float64Array(data.labels.length);
    this.accuracy = [];
    this.measure();
  }

  /** One batch; true where it was an epoch's last one. */
  batch(weight, rate) {
    const { x, given } = this.data;
    const members = this.order.subarray(this.position, this.position + BATCH);
    for (const n of members) this.network.learn(x, 2 * n, given[n], weight, members.length);
    this.network.step(rate);
    this.position += BATCH;
    if (this.position < this.order.length) return false;
    [this.position, this.epoch] = [0, this.epoch + 1];
    this.order = shuffled(this.order.length, this.next);
    this.measure();
    return true;
  }

  /** The margins of the labels given, and the accuracy on clean test points. */
  measure() {
    const { data, test, network } = this;
    const slope = new Float64Array(network.classes);
    for (let n = 0; n < data.labels.length; n++) {
      this.delta[n] = margin(network.scores(data.x, 2 * n), 0, network.classes, data.given[n], slope);
    }
    let right = 0;
    test.labels.forEach((label, n) => (right += predicted(network.scores(test.x, 2 * n)) === label ? 1 : 0));
    this.accuracy.push(right / test.labels.length);
  }
}
