"""The gallery's pages: the table of detectors, and the committed figures."""

import json
from pathlib import Path

from robust_lib.gallery import pages

ROOT = Path(__file__).parents[2]


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
