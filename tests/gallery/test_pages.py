"""The gallery's pages: the table of detectors, and the committed figures."""

import json
from pathlib import Path

import pandas as pd

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


def test_every_filter_has_its_score_beside_detectors_that_train_nothing(tmp_path):
    row = {"status": "done", "data": "cifar10", "label": "gce(q=0.7)", "detector": "cl", "key": "a"}
    row |= {"images": 50000, "noise": "uniform", "rate": 0.3, "folds": 5, "runs": 2, "recipe": "features"}
    row |= {"seed": 0, "device": "a CPU", "date": "2026-11-26", "commit": "c0ffee", "backbone": "lite0"}
    row |= {"f1": 0.9, "f1_disagreement": 0.88, "f1_number": 0.8, "f1_prune_by_class": 0.7}
    row |= {"f1_prune_by_noise_rate": 0.6, "average_precision": 0.95}
    free = row | {"label": "none", "recipe": "none", "noise": "human:cifar10n-worst", "rate": 0.0}
    plain = {key: value for key, value in free.items() if not key.startswith("f1_")}
    rows = [row, row | {"key": "b", "f1": 0.94, "seed": 1}, free | {"key": "c", "detector": "knn"}]
    rows += [plain | {"key": "d", "detector": "prototype"}, row | {"key": "e", "status": "failed"}]
    (tmp_path / "features").mkdir()
    (tmp_path / "features/detectors-features.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    page = pages.detectors_on_features(tmp_path)
    first, second = page.partition("## CIFAR-10, uniform 0.3")[2].split("## CIFAR-10, human:cifar10n-worst\n")
    spread = "0.700 ± 0.000 (2) | 0.600 ± 0.000 (2) | 0.880 ± 0.000 (2) | 0.800 ± 0.000 (2) |  |"
    assert f"| gce(q=0.7) | cl | 0.920 ± 0.028 (2) | {spread} 0.950 ± 0.000 (2) |" in first
    knn = "| none | knn | 0.900 (1) | 0.700 (1) | 0.600 (1) | 0.880 (1) | 0.800 (1) |  | 0.950 (1) |"
    assert knn in second
    assert "| none | prototype |  |  |  |  |  | 0.900 (1) | 0.950 (1) |" in second
    assert "recipe features: 10 epochs of adam" in page
    other = row | {"size": "features-128", "network": "mlp", "recipe_epochs": 60}
    (tmp_path / "features/features-robust.jsonl").write_text(json.dumps(other) + "\n")
    page = pages.detectors_on_features(tmp_path)
    assert "| features-128 | mlp | 60 | gce(q=0.7) | 0.900 (1) | 0.700 (1) |" in page.partition("## Other")[2]
    pages.write(tmp_path, tmp_path)
    assert "(detectors-features.md)" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "detectors-features.md").read_text() == page
    assert pages.detectors_on_features(tmp_path / "none") == ""


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


def test_the_readme_counts_the_photographs_as_their_table_does():
    table = pd.read_csv(ROOT / "figures/find-photos/first-50.csv", index_col=["list", "path"])["verdict"]
    known = pd.read_csv(ROOT / "results/photo_verdicts.csv", index_col="path")["verdict"]
    assert (table.reset_index("list", drop=True) == known[table.index.get_level_values("path")]).all()
    assert (table.groupby("list").size() == 50).all()
    lists = [table[name] for name in ("wrong class", "no class here", "in turn")]
    (a, b), (c, d), (e, f) = [(sum(one == "wrong"), sum(one == "doubtful")) for one in lists]
    first = f"the first list {a} were plainly wrong and {b} doubtful"
    assert f"{first}, of the second {c} and {d}, of both in turn {e} and {f} (" in " ".join(
        (ROOT / "README.md").read_text(encoding="utf-8").split()
    )
