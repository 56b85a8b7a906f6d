// A canvas with axes, in the page's colours, sharp on every screen.

const INK = ["ink", "faint", "paper", "clean", "flipped", "loss0", "loss1", "loss2", "hill"];
export const DASHES = [[], [7, 4], [2, 3]];
let colours = null;

/** The page's colours, read from the style sheet; light or dark. */
export function ink(name) {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(INK.map((key) => [key, style.getPropertyValue(`--${key}`).trim()]));
  }
  return colours[name];
}

/** Call f when the reader's system turns from light to dark or back. */
export function onColours(f) {
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours = null;
    f();
  });
}

/** Some five round numbers in [low, high]. */
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(8)));
}

export class Chart {
  /** axes: { x: [low, high], y: [low, high], xlabel, ylabel, xticks, yticks }. Redraws by `draw` when its size changes. */
  constructor(canvas, axes, draw) {
    Object.assign(this, { canvas, axes, draw, context: canvas.getContext("2d") });
    this.margin = { left: axes.ylabel ? 46 : 12, right: 10, top: 10, bottom: axes.xlabel ? 36 : 20 };
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  redraw() {
    if (this.canvas.clientWidth) this.draw(this);
  }

  /** Clear the canvas and draw the axes. */
  begin() {
    const { canvas, context } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const dense = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      [canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
    }
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    const { left, right, top, bottom } = this.margin;
    this.box = { left, top, width: width - left - right, height: height - top - bottom };
    this.drawAxes();
  }

  px(x) {
    const [low, high] = this.axes.x;
    return this.box.left + ((x - low) / (high - low)) * this.box.width;
  }

  py(y) {
    const [low, high] = this.axes.y;
    return this.box.top + (1 - (y - low) / (high - low)) * this.box.height;
  }

  /** Where a pointer is, in the chart's own units. */
  at(event) {
    const [xs, ys] = [this.axes.x, this.axes.y];
    const across = (event.offsetX - this.box.left) / this.box.width;
    const down = (event.offsetY - this.box.top) / this.box.height;
    return [xs[0] + across * (xs[1] - xs[0]), ys[1] - down * (ys[1] - ys[0])];
  }

  drawAxes() {
    const { context: c, box, axes } = this;
    const xs = axes.xticks ?? ticks(...axes.x, Math.max(2, box.width / 70)).map((t) => [t, String(t)]);
    const ys = axes.yticks ?? ticks(...axes.y, Math.max(2, box.height / 45)).map((t) => [t, String(t)]);
    c.strokeStyle = ink("faint");
    c.fillStyle = ink("ink");
    c.lineWidth = 1;
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const [at, text] of xs) {
      this.segment(at, axes.y[0], at, axes.y[1]);
      c.fillText(text.replace("-", "−"), this.px(at), box.top + box.height + 4);
    }
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const [at, text] of ys) {
      this.segment(axes.x[0], at, axes.x[1], at);
      c.fillText(text.replace("-", "−"), box.left - 5, this.py(at));
    }
    this.drawLabels();
  }

  drawLabels() {
    const { context: c, box, axes } = this;
    c.textAlign = "center";
    c.textBaseline = "bottom";
    if (axes.xlabel) c.fillText(axes.xlabel, box.left + box.width / 2, this.canvas.clientHeight - 1);
    if (!axes.ylabel) return;
    c.save();
    c.translate(12, box.top + box.height / 2);
    c.rotate(-Math.PI / 2);
    c.textBaseline = "middle";
    c.fillText(axes.ylabel, 0, 0);
    c.restore();
  }

  segment(x1, y1, x2, y2) {
    const c = this.context;
    c.beginPath();
    c.moveTo(this.px(x1), this.py(y1));
    c.lineTo(this.px(x2), this.py(y2));
    c.stroke();
  }

  /** Draw f's parts within the axes only. */
  clipped(f) {
    const { context: c, box } = this;
    c.save();
    c.beginPath();
    c.rect(box.left, box.top - 1, box.width, box.height + 2);
    c.clip();
    f();
    c.restore();
  }

  /** The line of y(x) over the x axis, two pixels a step. A jump is left open. */
  line(y, colour, dash = [], width = 2) {
    const { context: c, box, axes } = this;
    const step = ((axes.x[1] - axes.x[0]) / box.width) * 2;
    const jump = 0.3 * (axes.y[1] - axes.y[0]);
    this.clipped(() => {
      Object.assign(c, { strokeStyle: colour, lineWidth: width });
      c.setLineDash(dash);
      c.beginPath();
      let last = null;
      for (let x = axes.x[0] + step / 2; x <= axes.x[1]; x += step) {
        const at = y(x);
        if (last === null || Math.abs(at - last) > jump) c.moveTo(this.px(x), this.py(at));
        else c.lineTo(this.px(x), this.py(at));
        last = at;
      }
      c.stroke();
    });
  }

  /** A line through points [[x, y], …]. */
  path(points, colour, dash = [], width = 2) {
    const c = this.context;
    this.clipped(() => {
      Object.assign(c, { strokeStyle: colour, lineWidth: width });
      c.setLineDash(dash);
      c.beginPath();
      for (const [x, y] of points) c.lineTo(this.px(x), this.py(y));
      c.stroke();
    });
  }

  /** Bars of heights over equal parts of the x axis, on the axis y = 0. */
  bars(heights, colour, alpha = 1) {
    const { context: c, axes } = this;
    const step = (axes.x[1] - axes.x[0]) / heights.length;
    c.save();
    Object.assign(c, { fillStyle: colour, globalAlpha: alpha });
    heights.forEach((height, i) => {
      const [left, right] = [this.px(axes.x[0] + i * step), this.px(axes.x[0] + (i + 1) * step)];
      c.fillRect(left, this.py(height), right - left, this.py(0) - this.py(height));
    });
    c.restore();
  }

  /** The outline of such bars. */
  outline(heights, colour) {
    const [low, high] = this.axes.x;
    const step = (high - low) / heights.length;
    const corners = [...heights].flatMap((height, i) => [[low + i * step, height], [low + (i + 1) * step, height]]);
    this.path([[low, 0], ...corners, [high, 0]], colour, [], 2);
  }

  /** A clean sample is a filled dot, a flipped one a cross: told apart without their colours. */
  mark(x, y, flipped, size = 2.5) {
    const c = this.context;
    const [px, py] = [this.px(x), this.py(y)];
    if (flipped) {
      c.moveTo(px - size, py - size);
      c.lineTo(px + size, py + size);
      c.moveTo(px - size, py + size);
      c.lineTo(px + size, py - size);
    } else {
      c.moveTo(px + size, py);
      c.arc(px, py, size, 0, 2 * Math.PI);
    }
  }

  /** Many samples at once: place(i) gives [x, y], flipped[i] says which kind. */
  samples(flipped, place, size = 2.5) {
    const c = this.context;
    c.setLineDash([]);
    this.clipped(() => {
      for (const kind of [0, 1]) {
        c.beginPath();
        for (let i = 0; i < flipped.length; i++) {
          if (Number(flipped[i]) === kind) this.mark(...place(i), kind === 1, size);
        }
        Object.assign(c, { fillStyle: ink("clean"), strokeStyle: ink("flipped"), lineWidth: 1.3, globalAlpha: 0.75 });
        if (kind) c.stroke();
        else c.fill();
      }
    });
  }

  /** What the picture shows, for those who do not see it. */
  describe(text) {
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }
}
