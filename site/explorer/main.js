// The page: four views of the same losses, one shown at a time.
import { onColours } from "./chart.js";
import { buildCurves } from "./curves.js";
import { buildFilm } from "./film.js";
import { buildFlow } from "./flow_view.js";
import { buildNetwork } from "./network_view.js";
import { buildPanel } from "./panel.js";
import { changed, fromHash, onChange, set, state, toHash } from "./state.js";

const BUILD = { curves: buildCurves, plane: buildFlow, network: buildNetwork, film: buildFilm };
const showView = {};

function present() {
  for (const view of Object.keys(BUILD)) {
    const shown = state.view === view;
    document.getElementById(view).hidden = !shown;
    const tab = document.getElementById(`tab-${view}`);
    tab.setAttribute("aria-selected", String(shown));
    tab.tabIndex = shown ? 0 : -1;
  }
  panel.hidden = state.view === "film";
  redraw();
}

let waiting = false;
/** Draw the shown view at the next picture, however often it is asked for before. */
function redraw() {
  if (waiting) return;
  waiting = true;
  window.requestAnimationFrame(() => {
    waiting = false;
    showView[state.view]();
  });
}

function buildTabs() {
  const views = Object.keys(BUILD);
  views.forEach((view, i) => {
    const tab = document.getElementById(`tab-${view}`);
    tab.addEventListener("click", () => set("view", view));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: views.length - 1 }[event.key];
      if (!step) return;
      const next = views[(i + step) % views.length];
      set("view", next);
      document.getElementById(`tab-${next}`).focus();
    });
  });
}

fromHash(window.location.hash);
const panel = document.getElementById("panel");
panel.open = window.matchMedia("(min-width: 56rem)").matches; // else a sheet at the foot of a small screen
buildPanel(panel.querySelector("form"));
for (const [view, build] of Object.entries(BUILD)) showView[view] = build(document.getElementById(view));
buildTabs();
onChange((key) => (key === "view" ? present() : redraw()));
onColours(redraw);
window.addEventListener("hashchange", () => {
  if (window.location.hash !== `#${toHash()}`) window.location.reload();
});
present();
