"""What notebooks begin with, the figures they show and the gallery made from them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from robust_lib import losses
from robust_lib.course import Chapter
from robust_lib.figures import COLOURS, DASHES, curves, dynamics, finds, line_style
from robust_lib.gallery import pages

ROOT = Path(__file__).parents[2]
ALT = "Two curves of sample weight against margin."


@pytest.fixture
def chapter(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return Chapter("quick", seed=3)


def figure():
    return curves.weight_curves({"two": {"CE": losses.ce(), "MAE": losses.mae()}})


def test_opening_reports_the_environment(chapter, capsys):
    Chapter("quick")
    report = capsys.readouterr().out
    assert f"torch {torch.__version__.split('+')[0]}" in report
    assert "profile quick, device cpu" in report
    assert (chapter.quick, chapter.size, chapter.device) == (True, "mini", "cpu")


def test_unknown_profile_is_named():
    with pytest.raises(ValueError, match="profile must be one of quick, full, got 'fast'"):
        Chapter("fast")


def test_show_displays_the_picture_with_its_alt_text(chapter, monkeypatch):
    monkeypatch.delenv("ROBUST_FIGURES", raising=False)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    chapter.show(figure(), "curves", ALT)
    assert shown[0]["text/plain"] == ALT
    assert len(shown[0]["image/png"]) > 5000
    with pytest.raises(ValueError, match="alt must describe the figure in words, got 'curve'"):
        chapter.show(figure(), "curves", "curve")


def test_same_figure_same_bytes_and_a_sidecar(chapter, monkeypatch, tmp_path):
    for folder in ("one", "two"):
        monkeypatch.setenv("ROBUST_FIGURES", str(tmp_path / folder))
        chapter.show(figure(), "curves", ALT)
    for kind in ("png", "svg"):
        one, two = ((tmp_path / folder / f"curves.{kind}").read_bytes() for folder in ("one", "two"))
        assert one == two
        assert len(one) > 5000
    about = json.loads((tmp_path / "one" / "curves.json").read_text())
    assert (about["alt"], about["profile"], about["seed"]) == (ALT, "quick", 3)
    assert {"commit", "device", "seconds_into_run", "torch", "python"} <= set(about)


def test_sliders_are_skipped_headless(chapter, monkeypatch, capsys):
    monkeypatch.setenv("ROBUST_HEADLESS", "1")
    chapter.slider(None, gamma=(0.5, 0.0, 1.0))
    assert "run this cell in Jupyter" in capsys.readouterr().out


def test_a_slider_draws_at_its_start(chapter, monkeypatch):
    monkeypatch.delenv("ROBUST_HEADLESS", raising=False)
    drawn = []

    def draw(gamma):
        drawn.append(gamma)
        return figure()

    chapter.slider(draw, gamma=(0.5, 0.0, 1.0))
    assert drawn == [0.5]


# --- figures ------------------------------------------------------------------------------------------


def test_weight_curves_draw_the_losses_weights():
    ax = curves.weight_curves({"g": {"GCE": losses.gce(q=0.7)}}, {"start": torch.randn(500) - 2}).axes[0]
    line = next(line for line in ax.lines if line.get_label() == "GCE")
    delta, weight = (torch.as_tensor(np.asarray(part)) for part in line.get_data())
    torch.testing.assert_close(weight, losses.gce(q=0.7).weight_at(delta))
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_loss_curves_draw_the_losses_values():
    line = curves.loss_curves({"g": {"PZ": losses.piecewise_zero(c=0.1)}}).axes[0].lines[0]
    p, value = line.get_data()
    expected = torch.where(torch.as_tensor(p) > 0.1, -torch.as_tensor(p).log(), 0.0)
    torch.testing.assert_close(torch.as_tensor(np.asarray(value)), expected)


def test_the_loss_curve_of_a_small_gamma_rises_from_zero_at_the_left_edge():
    line = curves.loss_curves({"g": {"BL": losses.blurry(gamma=0.1)}}).axes[0].lines[0]
    p, value = (np.asarray(part) for part in line.get_data())
    assert (value[0] < 1e-5, p[0] < 1e-4) == (True, True)
    assert value.max() == pytest.approx(10 / math.e, rel=1e-3)  # 1/(γ e), reached at e^(-1/γ)
    assert math.log(p[value.argmax()]) == pytest.approx(-10, abs=0.5)


def test_lines_differ_by_more_than_colour():
    styles = [line_style(n) for n in range(len(COLOURS))]
    assert len({str(style["linestyle"]) for style in styles}) == len(DASHES) == len(COLOURS)


def test_dynamics_figures_have_a_panel_per_run_and_epoch():
    delta, flipped = torch.randn(4, 60), torch.arange(60) < 20
    runs = {"CE": (delta, losses.ce(), 0.9), "MAE": (delta, losses.mae(), 0.8)}
    assert len(dynamics.margin_histograms(runs, flipped, [1, 4]).axes) == 4
    boxes = dynamics.epoch_boxes({"CE": delta, "MAE": delta}, flipped, "p", symlog=True)
    assert [ax.get_yscale() for ax in boxes.axes] == ["symlog", "symlog"]
    curve = dynamics.learning_curves({"CE": [0.1, 0.5]}).axes[0].lines[0]
    assert list(curve.get_ydata()) == [0.1, 0.5]


def test_detection_figures_show_what_they_are_given():
    counts = np.arange(9).reshape(3, 3)
    written = {text.get_text() for text in finds.counts_matrix(counts, ["a", "b", "c"], "t").axes[0].texts}
    assert written == {"1", "2", "3", "5", "6", "7"}
    ax = finds.score_dots({"CE": {"f1": [0.5, 0.7]}}, {"f1": "F1"}).axes[0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.5, 0.7], [0.6]]
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    sheet = finds.contact_sheet(images, ["x", "y", "z"], [True, False, True], columns=2)
    frames = [ax.spines["left"].get_linestyle() for ax in sheet.axes[:3]]
    assert frames == ["-", "--", "-"]


# --- the gallery --------------------------------------------------------------------------------------


def test_gallery_lists_every_sidecar(tmp_path):
    run = {"profile": "quick", "seed": 0, "device": "CPU", "torch": "2"}
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"alt": f"alt of {name}"} | run))
    pages.write(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert page.index("![alt of a](a.png)") < page.index("![alt of b](b.png)")


def test_the_gallerys_tables_are_those_of_the_library():
    assert (ROOT / "figures/losses.md").read_text() == pages.losses_page()
    assert (ROOT / "figures/errata.md").read_text() == pages.errata_page()
    assert (ROOT / "figures/detectors.md").read_text() == pages.detectors_page()


def test_every_loss_has_its_mean_and_spread_for_each_detector(tmp_path):
    row = {"status": "done", "data": "mnist", "label": "gce(q=0.7)", "detector": "cl", "key": "a"}
    row |= {"images": 5000, "rate": 0.3, "folds": 5, "device": "a CPU", "f1": 0.9}
    row |= {"seed": 0, "date": "2026-11-20", "commit": "c0ffee", "estimated_rate": 0.3}
    rows = [row, row | {"f1": 0.94, "key": "b"}, row | {"detector": "aum", "f1": 0.97, "key": "c"}]
    rows += [row | {"key": "d", "status": "failed"}]
    (tmp_path / "small").mkdir()
    (tmp_path / "small/detectors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "| gce(q=0.7) | 0.920 ± 0.028 (2) | 0.970 (1) |  |" in pages.detectors_page(tmp_path)
    assert "lack `estimated_rate`" not in pages.detectors_page(tmp_path)
    assert pages.detectors_page(tmp_path / "none").endswith("Nothing is recorded yet.\n")
    assert "7 of the 80 records for *cl* lack `estimated_rate`" in pages.detectors_page()


def test_every_committed_figure_belongs_to_a_notebook_and_the_gallery():
    notebooks = "".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    page = (ROOT / "figures/README.md").read_text()
    sidecars = sorted((ROOT / "figures").glob("*.json"))
    assert sidecars
    for sidecar in sidecars:
        assert f'\\"{sidecar.stem}\\"' in notebooks
        assert f"({sidecar.stem}.png)" in page
        assert (sidecar.with_suffix(".png")).exists()
        assert (sidecar.with_suffix(".svg")).exists()
