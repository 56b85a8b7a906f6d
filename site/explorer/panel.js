// The three losses that all views share: which, with which parameters, moved and delayed how.
import { FORMULAS } from "./formulas.js";
import { changed, MOVES, onChange, SLOTS, spec, state } from "./state.js";
import { make, setting, slider } from "./controls.js";
import { moved } from "./losses.js";

const MOVED = { none: "as it is", scale: "scaled: w(aΔ)", shift: "shifted: w(Δ + b)" };

/** A loss in a few words: "Blurry γ=0.5, delay 1". */
export function named(loss) {
  const short = FORMULAS[loss.name].title.split(":")[0];
  const knobs = FORMULAS[loss.name].knobs;
  const params = Object.entries(loss.params).map(([key, value]) => ` ${knobs[key].sign}=${value}`).join(",");
  const move = loss.move === "none" ? "" : `, ${loss.move} τ=${loss.tau}`;
  return short + params + move + (loss.delay ? `, delay ${loss.delay}` : "");
}

/** The losses that are switched on, as [slot, loss]. */
export function shownLosses() {
  return state.losses.map((loss, slot) => [slot, loss]).filter(([, loss]) => loss.on);
}

function choose(slot) {
  const names = Object.entries(FORMULAS);
  const select = make("select", {}, ...names.map(([name, { title }]) => make("option", { value: name }, title)));
  select.setAttribute("aria-label", `Loss ${SLOTS[slot]}`);
  select.value = state.losses[slot].name;
  select.addEventListener("change", () => {
    const { move, tau, delay } = state.losses[slot];
    state.losses[slot] = spec(select.value, { move, tau, delay });
    changed("losses");
  });
  return select;
}

function knobs(slot) {
  const loss = state.losses[slot];
  return Object.entries(FORMULAS[loss.name].knobs).map(([key, knob]) =>
    slider({ ...knob, label: knob.sign, value: loss.params[key], input: (value) => {
      state.losses[slot].params[key] = value;
      changed("params");
    } }));
}

function moves(slot) {
  const loss = state.losses[slot];
  const select = make("select", {}, ...MOVES.map((move) => make("option", { value: move }, MOVED[move])));
  select.setAttribute("aria-label", `Loss ${SLOTS[slot]}: scale or shift`);
  select.value = loss.move;
  select.addEventListener("change", () => {
    state.losses[slot].move = select.value;
    changed("losses");
  });
  const write = (key) => (value) => {
    state.losses[slot][key] = value;
    changed("params");
  };
  const parts = [select];
  if (loss.move !== "none") {
    parts.push(slider({ label: "τ", low: 0.5, high: 6, step: 0.1, value: loss.tau, input: write("tau") }));
    parts.push(make("p", { className: "note moved" }));
  }
  parts.push(slider({ label: "delay", low: 0, high: 6, step: 1, value: loss.delay,
    text: (d) => `${d} epochs of CE`, input: write("delay") }));
  return make("details", { open: loss.move !== "none" || loss.delay > 0 },
    make("summary", {}, "Scale, shift, delay"), ...parts);
}

function card(slot) {
  const loss = state.losses[slot];
  const box = make("input", { type: "checkbox", checked: loss.on });
  box.addEventListener("change", () => {
    state.losses[slot].on = box.checked;
    changed("losses");
  });
  const formula = make("div", { className: "formula" });
  const { formula: value, weightFormula: weight } = FORMULAS[loss.name];
  formula.innerHTML = `${value}<br>${weight}`;
  const legend = make("legend", {}, make("label", {}, box, ` Loss ${SLOTS[slot]}`));
  const sample = make("span", { className: `stroke stroke${slot}` });
  legend.append(sample);
  const children = loss.on ? [choose(slot), ...knobs(slot), formula, moves(slot)] : [];
  return make("fieldset", { className: "card" }, legend, ...children);
}

/** What scale and shift come to for the present number of classes. */
function explainMoves(panel) {
  for (const note of panel.querySelectorAll(".moved")) {
    const slot = Number(note.closest(".card").dataset.slot);
    const [a, b] = moved(state.losses[slot], state.K);
    const what = state.losses[slot].move === "scale" ? `a = τ/|E[Δ]| = ${a.toFixed(3)}` : `b = |E[Δ]| − τ = ${b.toFixed(3)}`;
    note.textContent = `${what} for K = ${state.K}`;
  }
}

/** Build the panel, and rebuild a card when its loss becomes another one; the focus stays where it was. */
export function buildPanel(panel) {
  const cards = SLOTS.map(() => make("div"));
  const rebuild = () => {
    const position = [...panel.querySelectorAll("input, select, summary")].indexOf(document.activeElement);
    SLOTS.forEach((_, slot) => {
      const fresh = card(slot);
      fresh.dataset.slot = slot;
      cards[slot].replaceWith(fresh);
      cards[slot] = fresh;
    });
    explainMoves(panel);
    if (position >= 0) panel.querySelectorAll("input, select, summary")[position]?.focus();
  };
  panel.append(
    setting("K", { label: "Classes K", low: 2, high: 1000, step: 1, log: true }), ...cards);
  rebuild();
  onChange((key) => {
    if (key === "losses") rebuild();
    if (key === "params" || key === "K") explainMoves(panel);
  });
}
