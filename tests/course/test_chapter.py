"""What notebooks begin with, and how they show a figure."""

import json

import ipywidgets  # noqa: F401  (before a test puts something in the place of display, which it imports)
import pytest
import torch

from robust_lib import losses
from robust_lib.course import Chapter
from robust_lib.figures import curves

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
