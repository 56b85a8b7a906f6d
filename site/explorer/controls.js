// Sliders, buttons and the clock that everything moving shares.
import { onChange, set, state } from "./state.js";

/** An element: make("p", { className: "note" }, "text", child). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A number as text, with a true minus. */
export function plain(number) {
  return String(number).replace("-", "−");
}

let count = 0;

/**
 * A labelled slider with its value in words. { label, low, high, step, value, text(value), log, input(value) }:
 * log spreads the values evenly by their logarithm (whole numbers if step is 1).
 */
export function slider({ label, low, high, step, value, text = plain, log = false, input }) {
  const id = `slider-${count++}`;
  const range = make("input", { type: "range", id });
  Object.assign(range, log ? { min: 0, max: 200, step: 1 } : { min: low, max: high, step });
  const shown = make("output", { htmlFor: id });
  const read = () => {
    if (!log) return Number(range.value);
    const raw = low * (high / low) ** (range.value / 200);
    return step === 1 ? Math.round(raw) : Number(raw.toPrecision(2));
  };
  const show = (number) => {
    if (read() === number && shown.textContent) return; // rounded numbers must not pull the handle back
    range.value = log ? (200 * Math.log(number / low)) / Math.log(high / low) : number;
    shown.textContent = text(number);
    range.setAttribute("aria-valuetext", text(number));
  };
  range.addEventListener("input", () => {
    const number = read();
    shown.textContent = text(number);
    range.setAttribute("aria-valuetext", text(number));
    input(number);
  });
  show(value);
  const row = make("div", { className: "slider" }, make("label", { htmlFor: id }, label), range, shown);
  return Object.assign(row, { show });
}

/** A slider for state[key] that follows the state. */
export function setting(key, options) {
  const row = slider({ ...options, value: state[key], input: (value) => set(key, value) });
  onChange((name) => name === key && row.show(state[key]));
  return row;
}

/** Radio buttons for state[key]: { word: label }. */
export function choice(key, legend, words, read = String) {
  const box = make("fieldset", { className: "choice" }, make("legend", {}, legend));
  const inputs = Object.entries(words).map(([word, label]) => {
    const input = make("input", { type: "radio", name: key, value: word });
    input.addEventListener("change", () => set(key, read(word)));
    box.append(make("label", {}, input, label));
    return input;
  });
  const show = () => inputs.forEach((input) => (input.checked = input.value === String(state[key])));
  onChange((name) => name === key && show());
  show();
  return box;
}

export function button(label, click) {
  const element = make("button", { type: "button" }, label);
  element.addEventListener("click", click);
  return element;
}

/**
 * Play and pause, one step, start again. `frame(seconds)` runs at every picture while it plays and its view is
 * shown; it returns false to stop.
 */
export function player(view, { frame, step, reset, labels }) {
  let [playing, last] = [false, 0];
  const play = button(labels.play, () => (playing ? stop() : start()));
  // What moves is not read out; it is when it stands.
  const speak = (mode) => row.closest("section").querySelector("[aria-live]")?.setAttribute("aria-live", mode);
  const stop = () => {
    playing = false;
    speak("polite");
    play.textContent = labels.play;
  };
  const tick = (now) => {
    if (!playing || state.view !== view) return stop();
    const more = frame(Math.min(0.05, (now - last) / 1000));
    last = now;
    if (more === false) return stop();
    window.requestAnimationFrame(tick);
  };
  const start = () => {
    [playing, last] = [true, performance.now()];
    play.textContent = "Pause";
    speak("off");
    window.requestAnimationFrame(tick);
  };
  const again = () => {
    stop();
    reset();
  };
  const row = make("div", { className: "player" }, play, button(labels.step, () => (stop(), step())),
    button(labels.reset, again));
  return Object.assign(row, { stop, start });
}
