"""The loss explorer in a headless browser, from file://: its numbers are the library's, its parts react."""

import base64
import json
import math
import re

import numpy as np
import pytest
import torch

from robust_lib import losses
from robust_lib.losses import weights
from tests.site.conftest import ROOT

PAGE = ROOT / "site" / "explorer.html"
SOURCES = ROOT / "site" / "explorer"
VIEWS = ("curves", "plane", "network", "film")
DELTA = (
    torch.linspace(-30, 30, 1201, dtype=torch.float64) + 0.00123
)  # no point lies on a jump of the losses below
# Two or more settings a loss, the ends of its sliders among them.
CASES = [
    ("ce", {}), ("mae", {}), ("rce", {}),
    *(("focal", {"gamma": gamma}) for gamma in (0, 0.5, 2.0, 5.0)),
    *(("gce", {"q": q}) for q in (0.01, 0.3, 0.7, 1.0)),
    *(("sce", {"alpha": a, "beta": b}) for a, b in ((0, 1), (0.1, 1.0), (6, 0.1))),
    *(("aul", {"a": a, "q": q}) for a, q in ((1.01, 0.05), (1.1, 5.0), (5.5, 3.0), (7, 8))),
    *(("agce", {"a": a, "q": q}) for a, q in ((0.01, 0.05), (0.1, 0.1), (0.6, 0.6), (4, 0.2), (7, 5))),
    *(("ael", {"a": a}) for a in (0.1, 2.5, 6)),
    *(("tce", {"t": t}) for t in (1, 2, 20)),
    *(("phuber_ce", {"tau": tau}) for tau in (1, 2, 10, 50)),
    *(("blurry", {"gamma": gamma}) for gamma in (0, 0.15, 0.5, 1.2)),
    *(("blurry-stopped", {"gamma": gamma}) for gamma in (0, 0.5, 1.2)),
    *(("piecewise_zero", {"c": c}) for c in (0, 0.02, 0.5)),
    *(("logit_bias_mae", {"eps": eps}) for eps in (-2.0, 0.0, 3.0, 10.0)),
]  # fmt: skip
EVALUATE = """([spec, deltas, classes, epoch]) => {
    const now = window.explorer.losses.curve({ move: "none", tau: 2, delay: 0, ...spec }, classes, epoch);
    return [deltas.map(now.value), deltas.map(now.weight)];
}"""


def ours(name: str, params: dict):
    stopped = {"stop_gradient": True} if name.endswith("-stopped") else {}
    return losses.get(name.removesuffix("-stopped"), **params, **stopped)


def assert_same_curve(page, spec: dict, loss, classes: int = 10, epoch: int = 99) -> None:
    """Value and weight at 1,201 margins agree to 1e-6 of the larger of 1 and the number itself."""
    value, weight = page.evaluate(EVALUATE, [spec, DELTA.tolist(), classes, epoch])
    np.testing.assert_allclose(value, loss.at(DELTA), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(weight, loss.weight_at(DELTA), rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def page(browser):
    """The page for all tests that only ask for numbers."""
    page = browser.new_page()
    page.goto(PAGE.as_uri())
    yield page
    page.close()


def test_the_page_holds_the_sources_as_they_are():
    text = PAGE.read_text()
    for path in (*SOURCES.glob("*.js"), SOURCES / "style.css"):
        body = path.read_text().split('.js";\n')[-1].replace("export ", "")
        assert body in text, f"{path.name} has changed: python site/build_explorer.py site/explorer.html"
    for body in re.split(r"\{\{ \w+ \}\}", (SOURCES / "page.html").read_text()):
        assert body in text, "page.html has changed: python site/build_explorer.py site/explorer.html"
    film = json.dumps(
        json.loads((SOURCES / "margins.json").read_text()), ensure_ascii=False, separators=(",", ":")
    )
    assert film in text


def test_every_loss_of_p_y_is_there(page):
    known = set(page.evaluate("Object.keys(window.explorer.formulas.FORMULAS)"))
    assert known == {*(name for name in losses.names() if losses.get(name).sees == "p"), "blurry-stopped"}
    assert known == {name for name, _ in CASES}


@pytest.mark.parametrize(("name", "params"), CASES)
def test_curves_are_the_library_s(page, name, params):
    assert_same_curve(page, {"name": name, "params": params}, ours(name, params))


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize(("name", "params"), [("mae", {}), ("gce", {"q": 0.7}), ("blurry", {"gamma": 0.5})])
def test_moved_curves_are_the_library_s(page, name, params, classes):
    spec, loss = {"name": name, "params": params, "tau": 2.6}, ours(name, params)
    assert_same_curve(page, spec | {"move": "scale"}, loss.scaled(2.6, classes), classes)
    assert_same_curve(page, spec | {"move": "shift"}, loss.shifted(2.6, classes), classes)


def test_a_delayed_loss_is_ce_first(page):
    spec, loss = {"name": "mae", "params": {}, "delay": 2}, losses.mae().delayed(2)
    for epoch in (1, 2, 3):
        assert_same_curve(page, spec, loss.at_epoch(epoch), epoch=epoch)


def test_sliders_allow_what_the_library_allows(page):
    for name, facts in page.evaluate("window.explorer.formulas.FORMULAS").items():
        for key, knob in facts["knobs"].items():
            whole = float(knob["step"]).is_integer() and name == "tce"
            for end in (knob["low"], knob["high"], knob["start"]):
                ours(name, {key: int(end) if whole else end})


@pytest.mark.parametrize("gamma", [0.2, 0.5, 1.0])
def test_blurry_turns_at_its_edge(page, gamma):
    found = page.evaluate(
        """(gamma) => { const { curve, turns } = window.explorer.losses;
        return turns(curve({ name: "blurry", params: { gamma }, move: "none", delay: 0 }, 10).weight); }""",
        gamma,
    )
    edge = math.exp(-1 / gamma)
    assert found == pytest.approx([math.log(edge / (1 - edge))], abs=1e-6)


def test_fresh_margins_have_the_mean_of_eq_4(page):
    for classes in (10, 100):
        margins = page.evaluate("(K) => [...window.explorer.fresh.freshMargins(K, 1)]", classes)
        assert np.mean(margins) == pytest.approx(weights.expected_margin(classes), abs=0.1)
        assert page.evaluate("(K) => window.explorer.losses.expectedMargin(K)", classes) == pytest.approx(
            weights.expected_margin(classes)
        )


def test_gradients_of_the_small_network_are_autograd_s(page):
    layers, gradients, x, y = page.evaluate("""() => {
        const { network, losses } = window.explorer;
        const net = new network.Network(4, 3);
        const { x, labels } = network.blobs(16, 4, 0.4, 5);
        const { weight } = losses.curve({ name: "gce", params: { q: 0.7 }, move: "none", delay: 0 }, 4);
        const before = net.layers.map((layer) => [...layer.w]);
        labels.forEach((y, n) => net.learn(x, 2 * n, y, weight, labels.length));
        return [before, net.layers.map((layer) => [...layer.grad]), [...x], [...labels]];
    }""")
    shapes = ((3, 32), (33, 32), (33, 4))
    parts = [torch.tensor(w).double().view(s).requires_grad_() for w, s in zip(layers, shapes, strict=True)]
    hidden = torch.tensor(x).double().view(-1, 2)
    for i, part in enumerate(parts):
        hidden = hidden @ part[:-1] + part[-1]
        hidden = hidden.relu() if i < 2 else hidden
    losses.gce(q=0.7)(hidden, torch.tensor(y)).backward()
    for part, gradient in zip(parts, gradients, strict=True):
        np.testing.assert_allclose(gradient, part.grad.flatten(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("gamma", "sign"), [(0.3, 1), (0.7, -1)])
def test_the_flow_turns_at_the_border(page, gamma, sign):
    """With equal first scores, K = 10: clean samples are pulled below γ = 1/ln K = 0.434, pushed above."""
    before, after = page.evaluate(
        """(gamma) => { const { flow, losses } = window.explorer;
        const { weight } = losses.curve({ name: "blurry", params: { gamma }, move: "none", delay: 0 }, 10);
        const crowd = new flow.Population(10, 0.4, 0.0001, 1);
        const clean = crowd.labels.indexOf(0);
        const before = crowd.delta[clean];
        for (let i = 0; i < 5; i++) crowd.step(weight, 0.02, 0.1);
        return [before, crowd.delta[clean]]; }""",
        gamma,
    )
    assert before == pytest.approx(-math.log(9), abs=0.01)
    assert sign * (after - before) > 0.01


def test_the_film_has_the_recorded_margins(page):
    film = json.loads((SOURCES / "margins.json").read_text())
    for position, run in enumerate(film["runs"]):
        stored = np.frombuffer(base64.b64decode(run["margins"]), dtype=np.int8)
        assert len(stored) == len(film["flipped"]) * len(run["accuracy"])
        shown = page.evaluate(
            """(i) => [...window.explorer.film.unpacked(JSON.parse(
            document.getElementById("film-record").textContent).runs[i])]""",
            position,
        )
        np.testing.assert_array_equal(shown, stored * film["step"])


@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_works_at_every_width(visit, view, width):
    visitor = visit(PAGE, width)
    page = visitor.go(f"#view={view}")
    page.wait_for_timeout(300)
    section = page.locator(f"#{view}")
    assert section.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    labels = section.locator("canvas").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert labels
    assert all(label and len(label) > 20 for label in labels)
    assert visitor.faults == []


def test_keys_move_a_slider_and_everything_follows(visit):
    visitor = visit(PAGE)
    page = visitor.go()
    cell = page.locator("#curves tbody tr").nth(1).locator("td").nth(1)
    before = cell.inner_text()
    page.get_by_label("Classes K").focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert before == "0.320: starts"
    assert cell.inner_text().endswith("hardly starts")
    assert "K=" in page.evaluate("location.hash")
    assert visitor.faults == []


def test_the_address_brings_a_state_back(visit):
    page = visit(PAGE).go(
        "#view=plane&K=100&slot=0&a=piecewise_zero,c=0.3,delay=2&b=!gce,q=0.4&c=mae,shift=3"
    )
    page.wait_for_timeout(300)
    assert page.locator("#plane .readout").inner_text().startswith("c = 0.3") is False  # the plane is γ's
    page.get_by_label("c × K (Piecewise-zero)").check()
    page.wait_for_timeout(400)
    assert "nothing moves" in page.locator("#plane .readout").inner_text()
    address = page.evaluate("location.hash")
    assert "a=piecewise_zero,c=0.3,delay=2&b=!gce,q=0.4&c=mae,shift=3" in address
    assert "K=100" in address


def test_a_broken_address_opens_as_usual(visit):
    visitor = visit(PAGE)
    page = visitor.go("#view=nowhere&K=abc&a=nothing,q=2&b=gce,q=99")
    assert page.locator("#curves").is_visible()
    assert page.evaluate("window.explorer.state.state.losses[1].params.q") == 1
    assert page.evaluate("window.explorer.state.state.losses[0].name") == "ce"
    assert visitor.faults == []


@pytest.mark.parametrize(
    ("view", "step"), [("plane", "One epoch"), ("network", "One epoch"), ("film", "Next epoch")]
)
def test_a_step_changes_the_report(visit, view, step):
    visitor = visit(PAGE)
    page = visitor.go(f"#view={view}")
    report = page.locator(f"#{view} .report").last
    page.wait_for_timeout(300)
    before = report.inner_text()
    page.locator(f"#{view}").get_by_role("button", name=step).click()
    page.wait_for_timeout(400)
    assert report.inner_text() != before
    assert visitor.faults == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows(browser, view, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    )
    page = browser.new_page(color_scheme=scheme)
    page.goto(PAGE.as_uri() + f"#view={view}")
    page.wait_for_timeout(300)
    results = axe.Axe().run(page)
    page.close()
    assert results.violations_count == 0, results.generate_report()
