"""Ours beside the papers': matching, choosing, differences, states and pages, on made-up records."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from robust_lib import gallery, sweeps
from robust_lib.__main__ import main
from robust_lib.gallery import artefacts, comparison, drawings, pages
from robust_lib.gallery.artefacts import ARTEFACTS, State, recorded, state
from robust_lib.gallery.comparison import cells, table
from robust_lib.records import SCALES

ROOT = Path(__file__).parents[2]
SCORES = {
    "f1": 0.9,
    "balanced_accuracy": 0.9,
    "cohens_d": 3.0,
    "wasserstein": 9.0,
    "test_accuracy": 0.9,
    "train_accuracy": 0.9,
    "alpha_t": 0.004,
    "snr": 2.0,
    "test_accuracy_curve": [0.3, 0.6, 0.9],
}


def made(trial, **scores):
    """A record as trials.run writes it, with made-up scores."""
    images = {"mini": 5000, "full": 60000, "features": 50000}[trial.size]
    head = {"key": trial.key, "status": "done", "images": images, "label": f"{trial.loss}{trial.params}"}
    ran = {"device": "H200", "date": "2026-11-20", "commit": "c0ffee", "torch": "2.15.0"}
    ran |= {"threads": 1, "seconds": 60.0}
    pack = {"backbone": "lite0", "pack_md5": "5ca1ab1e"} if trial.size == "features" else {}
    return head | trial.flat() | pack | SCORES | scores | ran


def write(folder, name, records, scale="paper"):
    path = sweeps.path_of(name, scale, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def trials(name, scale="paper", seeds=1, **wanted):
    """The trials of a sweep whose fields have these values."""
    every = sweeps.SWEEPS[name].trials(scale, seeds=seeds)
    return [t for t in every if all(getattr(t, field) == value for field, value in wanted.items())]


def table_of(artefact):
    """The printed numbers that need be ours: not those that the paper quotes."""
    return [row for row in comparison.reported.table(artefact) if not row.mark.startswith("from ")]


def cell(found, **wanted):
    (one,) = (c for c in found if all(getattr(c, field) == value for field, value in wanted.items()))
    return one


# --- matching -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("artefact", comparison.SOURCES)
def test_the_sweeps_fill_every_cell_of_their_artefact_in_the_papers_setting(artefact, tmp_path):
    for name in comparison.SOURCES[artefact].sweeps:
        write(tmp_path, name, [made(trial) for trial in trials(name)])
    complete, words = recorded(artefact, "paper", tmp_path)
    numbers = len(table_of(artefact))
    assert re.fullmatch(rf"{numbers} of {numbers} numbers, at least 1( of \d+)? seeds?\.", words)
    assert complete is (artefact == "HS Fig. 6")  # the paper names its number of trials everywhere else


def test_every_sweep_of_a_paper_is_beside_an_artefact():
    used = {name for source in (comparison.SOURCES | comparison.CURVES).values() for name in source.sweeps}
    of_papers = {name for name in sweeps.SWEEPS if name.startswith(("hs-", "cv-"))}
    assert used == of_papers | {"detectors", "detectors-fashion"}  # HS's rate 0.3 is recorded there


def test_mean_spread_seeds_and_difference(tmp_path):
    some = trials("hs-table6", seeds=3, loss="ce", rate=0.1)
    write(tmp_path, "hs-table6", [made(t, f1=f1) for t, f1 in zip(some, (0.7, 0.8, 0.9), strict=True)])
    found = cells("HS Table 6", folder=tmp_path)
    one = cell(found, loss="CE", rate=0.1)
    assert (one.ours.mean, one.ours.spread) == (pytest.approx(0.8), pytest.approx(0.1))
    assert one.difference == pytest.approx(0.8 - 0.7452)
    text = table(found).splitlines()
    numbers = "0.8000 ± 0.1000 | 0.7452 ± 0.0071 | +0.0548"
    assert text[2] == f"| cifar100 | uniform | 0.1 | CE | f1 | {numbers} | 3 of 3 |  |  |  | H200 |  |"
    # Everything else is a gap: the paper's side stands, ours is empty.
    assert len(text) == 2 + 4 * (1 + 2 + 1)
    assert text[3] == "| cifar100 | uniform | 0.2 | CE | f1 |  | 0.8638 ± 0.0042 |  |  |  |  |  |  |  |"
    assert all(c.ours is None and c.difference is None for c in found if c is not one)


def test_one_seed_has_no_spread(tmp_path):
    write(tmp_path, "hs-table6", [made(trials("hs-table6", loss="ce", rate=0.1)[0], f1=0.75)])
    one = cell(cells("HS Table 6", folder=tmp_path), loss="CE", rate=0.1)
    assert one.ours.spread is None
    assert "| 0.7500 | 0.7452 ± 0.0071 | +0.0048 | 1 of 3 |" in table([one])


def test_the_papers_parameter_is_shown_and_not_the_best_one(tmp_path):
    blurry = trials("hs-table1-mnist", seeds=2, loss="blurry", rate=0.1)
    f1 = {0.1: 0.90, 0.3: 0.20, 0.9: 0.95}  # HS's 0.3 has collapsed
    records = []
    for trial in blurry:
        params = dict(trial.params)
        if params["gamma"] in f1:
            score = f1[params["gamma"]] + 0.01 * params.get("stop_gradient", False)
            records.append(made(trial, f1=score, balanced_accuracy=1 - score))
    write(tmp_path, "hs-table1-mnist", records)
    first = cells("HS Table 1", folder=tmp_path)
    one = cell(first, data="mnist", rate=0.1, loss="BL, true gradient")
    assert (one.ours.parameter, one.ours.mean, one.ours.seeds) == ("γ=0.3", pytest.approx(0.20), 2)
    assert "| 0.979 ± 0.002 | -0.779 | 2 of 20 | γ=0.3 | 3 | γ=0.3 |" in table([one])  # three are recorded
    other = cell(first, data="mnist", rate=0.1, loss="BL, stopped gradient")
    assert other.ours.mean == pytest.approx(0.21)


@pytest.mark.parametrize(("recorded", "shown"), [((0.1, 0.9), 0.1), ((0.3, 0.5), 0.3), ((0.9, 0.5), 0.5)])
def test_without_the_papers_parameter_the_nearest_is_shown(tmp_path, recorded, shown):
    blurry = trials("hs-table1-mnist", loss="blurry", rate=0.2)  # HS: 0.4
    write(tmp_path, "hs-table1-mnist", [made(t) for t in blurry if dict(t.params)["gamma"] in recorded])
    one = cell(cells("HS Table 1", folder=tmp_path), data="mnist", rate=0.2, loss="BL, true gradient")
    assert one.ours.parameter == f"γ={shown:g}"


def test_all_losses_of_a_row_are_of_one_setting(tmp_path):
    """The smaller set of images has the better score, and HS's γ in no better state."""
    ce, blurry = (trials("hs-table1-mnist", "small", loss=loss, rate=0.1)[0] for loss in ("ce", "blurry"))
    few = replace(blurry, params={"gamma": 0.1, "stop_gradient": False}, samples=2000)
    write(tmp_path, "hs-table1-mnist", [made(ce), made(blurry, f1=0.178)], "small")
    zero = replace(trials("hs-table1-mnist", "small", loss="piecewise_zero", rate=0.1)[0], samples=2000)
    write(tmp_path, "hs-fig8", [made(t, f1=0.686) | {"images": 2000} for t in (few, zero)], "small")
    found = cells("HS Table 1", "small", tmp_path)
    assert [(c.loss, c.ours.parameter, c.ours.records[0]["images"]) for c in found] == [
        ("CE", "", 5000),
        ("BL, true gradient", "γ=0.3", 5000),
    ]
    assert found[1].ours.mean == pytest.approx(0.178)


def test_two_records_of_one_seed_are_refused(tmp_path):
    trial = trials("hs-table1-mnist", loss="piecewise_zero", rate=0.1)[0]
    write(tmp_path, "hs-table1-mnist", [made(trial), made(replace(trial, delay=3))])
    with pytest.raises(ValueError, match="records of one cell must differ in their seeds"):
        cells("HS Table 1", folder=tmp_path)


def test_the_committed_records_show_what_collapsed():
    """At HS's own γ, with the images that the other cells of the row have."""
    found = cells("HS Table 1", "small")
    shown = {
        c.rate: (c.ours.parameter, round(c.ours.mean, 3), c.ours.records[0]["images"])
        for c in found
        if (c.data, c.loss) == ("mnist", "BL, true gradient")
    }
    assert (shown[0.1], shown[0.4]) == (("γ=0.3", 0.178, 5000), ("γ=0.5", 0.561, 5000))
    for place in {(c.data, c.noise, c.rate) for c in found}:
        row = [c for c in found if (c.data, c.noise, c.rate) == place]
        assert len({c.ours.differs for c in row}) == 1, place
    third = [c for c in found if (c.data, c.rate) == ("mnist", 0.3)]
    assert len(third) == 8
    assert all((c.ours.seeds, c.ours.records[0]["folds"]) == (5, 5) for c in third)


def test_a_trial_counts_once_and_a_failed_one_not(tmp_path):
    trial = trials("hs-table1-mnist", loss="ce", rate=0.1)[0]
    write(tmp_path, "hs-table1-mnist", [made(trial, f1=0.8)])
    write(tmp_path, "hs-fig8", [made(trial, f1=0.8)])
    failed = made(replace(trial, seed=1)) | {"status": "failed"}
    write(tmp_path, "hs-table1-cifar10", [{k: v for k, v in failed.items() if k not in SCORES}])
    assert cell(cells("HS Table 1", folder=tmp_path), data="mnist", rate=0.1, loss="CE").ours.seeds == 1
    assert len(comparison.records_of(comparison.TABLE1_SWEEPS, "paper", tmp_path)) == 1


def test_cvs_losses_are_told_apart(tmp_path):
    records = [made(trial) for trial in trials("cv-table2", data="cifar100")]
    assert [comparison.label("CV Table 2", record) for record in records] == [
        *("CE", "SCE", "GCE", "NCE+MAE", "AUL", "AGCE", "NCE", "MAE", "AUL†", "AGCE†")
    ]
    moved = {comparison.label("CV Table 3", made(trial)) for trial in trials("cv-table3")}
    assert moved == {"CE", "MAE", "AGCE", "MAE shift", "MAE scale", "AGCE shift", "AGCE scale"}


def test_accuracy_lost_is_against_the_same_loss_and_seed_without_noise(tmp_path):
    records = []
    for trial in trials("cv-table5", seeds=2, loss="mae"):
        clean, noisy = (0.90, 0.85) if trial.seed == 0 else (0.80, 0.71)
        records.append(made(trial, test_accuracy=clean if trial.noise == "none" else noisy))
    records += [made(trial, test_accuracy=0.1) for trial in trials("cv-table5", loss="gce", noise="none")]
    write(tmp_path, "cv-table5", records)
    found = cells("CV Table 5", folder=tmp_path)
    one = cell(found, noise="symmetric", rate=0.4, loss="MAE", metric="diff")
    assert (one.ours.mean, one.ours.spread) == (pytest.approx(-7), pytest.approx(8**0.5))
    assert one.difference == pytest.approx(-7 + 4.36)
    assert cell(found, noise="none", loss="MAE", metric="test_accuracy").ours.mean == pytest.approx(85)


def test_the_small_version_has_only_what_is_recorded(tmp_path):
    assert cells("HS Table 6", "small", tmp_path) == []
    some = trials("hs-table6", "small", loss="ce")
    write(tmp_path, "hs-table6", [made(t) for t in some], "small")
    found = cells("HS Table 6", "small", tmp_path)
    assert [(c.data, c.rate) for c in found] == [("fashion_mnist", t.rate) for t in some]
    assert all(c.paper is None and c.ours.seeds == 1 for c in found)
    text = table(found)
    assert "a: Not the paper's data; network small_cnn, recipe quick." in text
    assert "b: 5,000 training images of the mini pack, not the full set." in text
    assert text.splitlines()[2].endswith("| H200 | a b |")


def test_a_small_sweep_for_several_tables_gives_each_its_own_noise(tmp_path):
    write(tmp_path, "cv-table3", [made(t) for t in trials("cv-table3", "small")], "small")
    kinds = {
        name: {c.noise for c in cells(name, "small", tmp_path)}
        for name in ("CV Table 3", "CV Table 10", "CV Table 11")
    }
    assert kinds["CV Table 3"] == {"none", "symmetric", "asymmetric"}
    assert kinds["CV Table 10"] == {"none", "symmetric"}
    assert kinds["CV Table 11"] == {"none", "asymmetric"}
    write(tmp_path, "hs-table4", [made(t) for t in trials("hs-table4", "small")], "small")
    kinds = {c.noise for c in cells("HS Table 4", "small", tmp_path)}
    assert kinds == {"uniform", "human-like:cifar10n-worst"}


def test_unknown_artefacts_and_scales_are_named():
    with pytest.raises(ValueError, match="artefact must be one of HS Table 1, .*; got 'HS Table 5'"):
        cells("HS Table 5")
    with pytest.raises(ValueError, match="scale must be one of paper, features, small, got 'quick'"):
        cells("HS Table 1", "quick")


# --- settings that are not the paper's ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, ()),
        ({"network": "resnet34"}, ("ResNet-34 from scratch; the paper's is pretrained on ImageNet.",)),
        ({"network": "small_cnn"}, ("Network small_cnn, not resnet34_imagenet.",)),
        ({"recipe": "quick"}, ("Recipe quick, not hs-cifar.", "step_factor 0.2, not 0.1.")),
        ({"folds": 3, "samples": 1000}, ("The first 1,000 training images only.", "3 folds, not 5.")),
        ({"changes": {"step_factor": 0.2, "epochs": 3}}, ("epochs 3, not 10.",)),
        ({"changes": {}}, ("step_factor 0.1, not 0.2.",)),
    ],
)
def test_differences_from_the_papers_setting_are_said(change, sentences):
    trial = trials("hs-table1-cifar100", loss="ce", rate=0.1)[0]
    record = made(replace(trial, **change))
    assert comparison.differences(record, comparison.SOURCES["HS Table 1"]) == sentences


def test_the_penalty_of_anl_is_part_of_its_loss():
    record = made(trials("hs-table1-mnist", loss="anl_ce", rate=0.1)[0])
    assert record["recipe_l1"] == 1e-6
    assert comparison.differences(record, comparison.SOURCES["HS Table 1"]) == ()


def test_the_papers_setting_goes_before_a_better_score_elsewhere(tmp_path):
    trial = trials("hs-table1-cifar10", loss="gce", rate=0.1)[0]
    elsewhere = [replace(trial, network="resnet34", seed=seed) for seed in (0, 1)]
    write(tmp_path, "hs-table1-cifar10", [made(trial, f1=0.6), *(made(t, f1=0.9) for t in elsewhere)])
    one = cell(cells("HS Table 1", folder=tmp_path), data="cifar10", rate=0.1, loss="GCE")
    assert (one.ours.mean, one.ours.seeds, one.ours.differs) == (0.6, 1, ())


# --- states -------------------------------------------------------------------------------------------


def sidecar(folder, stem, profile="quick"):
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.json").write_text(json.dumps({"profile": profile, "seed": 0}))


def word(name, folder):
    return state(ARTEFACTS[name], folder / "figures", folder / "results").word


def test_the_list_has_every_numbered_figure_and_table():
    counts = {("HS", "Fig."): 11, ("HS", "Table"): 6, ("CV", "Fig."): 10, ("CV", "Table"): 12}
    counts |= {("SY", "Fig."): 1, ("SY", "Table"): 4}
    expected = {f"{paper} {kind} {n}" for (paper, kind), last in counts.items() for n in range(1, last + 1)}
    assert ARTEFACTS.keys() == expected
    assert comparison.SOURCES.keys() | comparison.CURVES.keys() <= expected


def test_with_nothing_there_nothing_is_claimed(tmp_path):
    (tmp_path / "figures").mkdir()
    words = {name: word(name, tmp_path) for name in ARTEFACTS}
    assert words.pop("CV Table 8") == words.pop("CV Table 12") == "taken over"
    for name, found in words.items():
        assert found == ("cannot be had here" if ARTEFACTS[name].cannot else "not yet"), name
    assert words["SY Table 4"] == words["HS Table 5"] == words["CV Table 4"] == "cannot be had here"


def test_figures_count_by_their_names(tmp_path):
    chapters = ("02-hs-fig3-gradients", "14-hs-fig11-delays", "01-hs-fig2", "12-hs-table1-quick")
    for stem in (*chapters, "01-cv-fig2-x"):
        sidecar(tmp_path / "figures", stem)
    found = {name: word(name, tmp_path) for name in ARTEFACTS}
    assert found["HS Fig. 3"] == found["HS Fig. 11"] == "reduced"
    assert found["HS Table 1"] == found["HS Table 2"] == "reduced"
    assert found["HS Fig. 1"] == found["CV Table 10"] == "not yet"  # fig11 is not fig1, table1 not table10
    assert found["HS Fig. 2"] == "paper scale"
    assert found["CV Fig. 2"] == "reduced"  # its margins are not a network's
    three = state(ARTEFACTS["HS Fig. 3"], tmp_path / "figures", tmp_path / "results")
    expected = "Chapter's figure: quick profile, seed 0."
    assert three == State("reduced", expected, ("02-hs-fig3-gradients.png",))


def test_states_grow_with_the_records(tmp_path):
    results = tmp_path / "results"
    assert word("HS Table 6", tmp_path) == "not yet"
    write(results, "hs-table6", [made(t) for t in trials("hs-table6", "small", seeds=2)], "small")
    small = state(ARTEFACTS["HS Table 6"], tmp_path / "figures", results)
    assert small.word == "reduced"
    words = r"Small version: \d+ numbers, at least 2 seeds. Not the paper's data; network"
    assert re.match(words, small.detail)
    every = [made(t) for t in trials("hs-table6", seeds=3)]
    write(results, "hs-table6", every[:-1])
    part = state(ARTEFACTS["HS Table 6"], tmp_path / "figures", results)
    assert part.word == "in part"
    assert part.detail.startswith("12 of 12 numbers, at least 2 of 3 seeds. Small version: ")
    write(results, "hs-table6", every)
    assert word("HS Table 6", tmp_path) == "paper scale"
    assert word("HS Fig. 6", tmp_path) == "in part"  # its distributions are not recorded
    other = [made(replace(t, network="small_cnn")) for t in trials("hs-table6", seeds=3)]
    write(results, "hs-table6", other)
    differs = state(ARTEFACTS["HS Table 6"], tmp_path / "figures", results)
    assert (differs.word, "Network small_cnn, not resnet34." in differs.detail) == ("in part", True)


def test_states_of_curves_count_trials(tmp_path):
    results = tmp_path / "results"
    every = [made(t) for t in sweeps.SWEEPS["cv-fig4"].trials()]
    write(results, "cv-fig4", every[:10])
    found = state(ARTEFACTS["CV Fig. 4"], tmp_path / "figures", results)
    assert (found.word, found.detail) == ("in part", f"10 of {len(every)} trials.")
    extra = made(replace(trials("cv-fig4")[0], network="small_cnn"))
    write(results, "cv-fig4", [*every, extra])
    found = state(ARTEFACTS["CV Fig. 4"], tmp_path / "figures", results)
    assert found.word == "in part"
    assert "1 with other settings or seeds. Network small_cnn, not cv_cnn4." in found.detail
    write(results, "cv-fig4", every)
    assert word("CV Fig. 4", tmp_path) == "paper scale"


# --- on frozen features -------------------------------------------------------------------------------


def test_features_are_beside_the_papers_numbers_and_no_other_scales(tmp_path):
    some = trials("hs-table1-cifar100", "features", seeds=2, loss="ce", rate=0.1)
    some += [replace(t, noise="pair") for t in some]
    write(tmp_path, "hs-table1-cifar100", [made(t, f1=0.5 + t.seed / 10) for t in some], "features")
    one, other = cells("HS Table 1", "features", tmp_path)
    assert (other.noise, other.paper, other.ours.seeds) == ("pair", None, 2)
    assert (one.data, one.loss, one.ours.seeds) == ("cifar100", "CE", 2)
    assert one.difference == pytest.approx(0.55 - 0.503)
    words = "A linear head on frozen features, recipe features, in place of resnet34_imagenet"
    assert one.ours.differs == (f"{words}, all of which the paper trains.",)
    assert cells("HS Table 1", "small", tmp_path) == []
    assert all(c.ours is None for c in cells("HS Table 1", folder=tmp_path))
    expected = f"1 of 112 numbers, at least 2 of 20 seeds. {one.ours.differs[0]}"
    assert recorded("HS Table 1", "features", tmp_path) == (False, expected)


@pytest.mark.parametrize("artefact", comparison.SOURCES)
def test_the_sweeps_on_features_fill_what_cifar_has_of_their_artefact(artefact, tmp_path):
    planned = {name: sweeps.SWEEPS[name] for name in comparison.SOURCES[artefact].sweeps}
    for name, sweep in planned.items():
        if "features" in sweep.seeds:
            write(tmp_path, name, [made(t) for t in sweep.trials("features", seeds=1)], "features")
    cifar = [row for row in table_of(artefact) if row.data.startswith("cifar")]
    of = len(table_of(artefact))
    assert recorded(artefact, "features", tmp_path)[1].startswith(f"{len(cifar)} of {of} numbers")


def test_the_best_is_shown_only_where_it_is_asked_for(tmp_path):
    blurry = trials("hs-table1-cifar10", "features", seeds=2, loss="blurry", rate=0.1)  # HS: 0.5
    f1 = {0.5: 0.2, 0.7: 0.9, 0.9: 0.8}
    some = [t for t in blurry if dict(t.params)["gamma"] in f1 and not dict(t.params)["stop_gradient"]]
    records = [made(t, f1=f1[dict(t.params)["gamma"]] + 0.3 * t.seed * (t.params[0][1] == 0.9)) for t in some]
    write(tmp_path / "results", "hs-table1-cifar10", records, "features")
    (usual,) = cells("HS Table 1", "features", tmp_path / "results")
    (best,) = cells("HS Table 1", "features", tmp_path / "results", best=True)
    assert (usual.ours.parameter, usual.ours.mean) == ("γ=0.5", pytest.approx(0.2))
    assert (best.ours.parameter, best.ours.mean) == ("γ=0.9", pytest.approx(0.95))  # by the mean: 0.8, 1.1
    pages.draw(tmp_path / "figures", tmp_path / "results")
    page = (tmp_path / "figures/papers/hs-table1.md").read_text()
    first, _, second = page.partition("### With the best γ and c, picked on the score shown\n")
    assert "| γ=0.5 | 3 |" in first
    assert "| γ=0.9 | 3 |" not in first
    assert "| γ=0.9 | 3 |" in second
    assert "biased upwards" in second
    assert "With the best" not in (tmp_path / "figures/papers/hs-table6.md").read_text()


def test_pages_say_what_features_stand_for(tmp_path):
    figures, results = tmp_path / "figures", tmp_path / "results"
    write(results, "hs-table6", [made(t) for t in trials("hs-table6", "features", seeds=2)], "features")
    pages.draw(figures, results)
    page = (figures / "papers/hs-table6.md").read_text()
    assert page.index("## At the paper's scale") < page.index("## The paper's data, on frozen features")
    assert "a head on lite0's frozen features (224 px" in page
    assert "recipe features: 10 epochs of adam, learning rate 0.001" in page
    assert "(hs-table6-features.png)" in page
    assert "### Do the paper's orderings hold?" in page
    assert "frozen" not in (figures / "papers/hs-table3.md").read_text()
    about = json.loads((figures / "papers/hs-table6-features.json").read_text())
    assert (about["scale"], about["pack_md5"], about["backbone"]) == ("features", ["5ca1ab1e"], ["lite0"])
    found = state(ARTEFACTS["HS Table 6"], figures, results)
    assert found.word == "features scale"
    assert found.detail.startswith("On frozen features: 12 of 12 numbers, at least 2 of 3 seeds. A linear")
    write(results, "hs-table6", [made(t) for t in trials("hs-table6", "features", seeds=4)], "features")
    more = state(ARTEFACTS["HS Table 6"], figures, results)
    assert more.detail.startswith("On frozen features: 12 of 12 numbers, at least 4 seeds. A linear")
    write(results, "hs-table6", [made(trials("hs-table6")[0])])
    assert state(ARTEFACTS["HS Table 6"], figures, results).word == "in part"


def test_trials_of_sweeps_without_features_are_not_asked_for(tmp_path):
    write(tmp_path, "hs-fig8", [made(trials("hs-fig8", "features")[0])], "features")  # Fig. 8 has MNIST too
    of = len(trials("hs-fig8", "features", seeds=5))
    assert recorded("HS Fig. 8", "features", tmp_path)[1].startswith(f"1 of {of} trials. A linear head")


def test_alpha_by_epoch_is_drawn_for_the_losses_that_have_it(tmp_path):
    some = trials("cv-table2", "features", data="cifar100")
    curve = [0.5, 0.4, 0.2, 0.1]
    records = [made(t, **({} if "nce" in t.loss else {"alpha_curve": curve})) for t in some]
    assert comparison.records_for("CV Fig. 1", "small", None) == []  # recorded, but without such a curve
    fig = drawings.alpha_curves(records)
    share, plain = fig.axes
    assert (share.get_title(), plain.get_title()) == ("cifar100: share of its maximum", "cifar100: as it is")
    names = [line.get_label() for line in plain.lines]
    assert names == ["CE", "SCE", "GCE", "AUL", "AGCE", "MAE", "AUL†", "AGCE†"]
    np.testing.assert_allclose(share.lines[0].get_ydata(), [1, 0.8, 0.4, 0.2])
    np.testing.assert_allclose(plain.lines[0].get_ydata(), curve)
    np.testing.assert_allclose(plain.lines[0].get_xdata(), [0.1, 0.2, 0.3, 0.4])


def test_tau_is_drawn_where_several_are_recorded(tmp_path):
    table3 = [made(t) for t in trials("cv-table3", "features")]
    assert comparison.of_taus(table3) == []
    write(tmp_path / "results", "cv-table3", table3, "features")
    pages.draw(tmp_path / "figures", tmp_path / "results")
    assert not (tmp_path / "figures/papers/cv-table9.md").exists()
    grid = [made(t, test_accuracy=t.tau / 10) for t in trials("cv-tau", "features", noise="superclass")]
    kept = comparison.of_taus(table3 + grid)
    assert {(row["noise"], row["rate"]) for row in kept} == {("superclass", 0.4)}
    fig = drawings.tau_curves([row for row in kept if not row["move"]] + grid)
    mae, agce = fig.axes
    assert [ax.get_title().split(", $")[0] for ax in (mae, agce)] == ["MAE, asymmetric", "AGCE, asymmetric"]
    lines = {line.get_label(): line for line in agce.lines}
    assert {"shift", "scale", "no move", "CE"} <= lines.keys()
    np.testing.assert_allclose(lines["shift"].get_ydata(), lines["shift"].get_xdata() / 10)
    assert list(lines["CE"].get_xdata()) == [1, 5]
    uprights = {(line.get_color(), line.get_xdata()[0]) for line in agce.lines[4:]}
    assert uprights == {(lines["shift"].get_color(), 4.0), (lines["scale"].get_color(), 3.0)}  # CV Table 9


# --- pages and figures --------------------------------------------------------------------------------


def test_pages_have_gaps_and_figures_only_where_something_is_recorded(tmp_path):
    figures, results = tmp_path / "figures", tmp_path / "results"
    pages.draw(figures, results)
    papers = figures / "papers"
    always = {f"{ARTEFACTS[n].slug}.md" for n in comparison.SOURCES} | {"side-by-side.md"}
    always |= {f"side-by-side-verdicts.{kind}" for kind in ("png", "svg")}
    assert {path.name for path in papers.iterdir()} == always
    text = (papers / "hs-table3.md").read_text()
    assert "Nothing is recorded." in text
    assert text.count("\n| cifar100 | uniform |") == 4 * 5
    write(results, "hs-table3", [made(t) for t in trials("hs-table3", seeds=2, loss="ce", rate=0.1)])
    write(results, "cv-fig4", [made(t) for t in trials("cv-fig4", "small")], "small")
    pages.draw(figures, results)
    first = {path.name: path.read_bytes() for path in papers.iterdir()}
    drawn = {f"{stem}.{kind}" for stem in ("hs-table3", "cv-fig4-small") for kind in ("png", "svg", "json")}
    drawn |= {f"side-by-side-numbers.{kind}" for kind in ("png", "svg")}
    assert first.keys() == always | drawn | {"cv-fig4.md"}
    about = json.loads(first["hs-table3.json"])
    assert (about["trials"], about["device"], about["scale"]) == (2, ["H200"], "paper")
    assert len(about["alt"]) > 20
    assert f"![{about['alt']}](hs-table3.png)" in first["hs-table3.md"].decode()
    pages.draw(figures, results)
    assert {path.name: path.read_bytes() for path in papers.iterdir()} == first
    row = next(line for line in pages.states_table(figures, results).splitlines() if "| HS Table 3 |" in line)
    assert "| in part | 1 of 16 numbers, at least 2 of 3 seeds. |" in row
    assert row.endswith("| [papers/hs-table3.md](papers/hs-table3.md) |")


def test_hs_table_1_has_112_numbers_and_one_of_bl_needs_both_gradients(tmp_path):
    one = trials("hs-table1-mnist", loss="blurry", rate=0.1, params=(("gamma", 0.3), ("stop_gradient", True)))
    other = [replace(one[0], params={"gamma": 0.3, "stop_gradient": False})]
    for records, had in ((one, 0), (one + other, 1)):
        write(tmp_path, "hs-table1-mnist", [made(t) for t in records])
        assert recorded("HS Table 1", "paper", tmp_path)[1].startswith(f"{had} of {16 * 7} numbers")
    committed = recorded("HS Table 1", "paper")[1].partition(",")[0]
    assert re.fullmatch(r"\d+ of 112 numbers", committed)
    assert f" {committed}," in (ROOT / "figures/README.md").read_text()


def test_alt_texts_name_what_is_drawn(tmp_path):
    def alt(artefact, sweep, scale, **wanted):
        write(tmp_path, sweep, [made(t) for t in trials(sweep, scale, **wanted)], scale)
        return pages._alt([c for c in cells(artefact, scale, tmp_path) if c.ours])

    squares = ", the paper's numbers as squares, with bars of one standard deviation."
    first = alt("HS Table 6", "hs-table6", "paper", loss="ce")
    assert first == f"F1 of 1 loss on CIFAR-100: ours as dots{squares}"
    assert alt("HS Table 6", "hs-table6", "small") == "F1 of 3 losses on Fashion-MNIST: ours as dots."
    third = alt("CV Table 2", "cv-table2", "small", loss="ce", seeds=2)
    metrics = "Test accuracy (%), training accuracy (%), α_t · 10⁴"
    bars = ", with bars of one standard deviation."
    assert third == f"{metrics} of 1 loss on MNIST, MNIST pairs: ours as dots{bars}"
    delays = json.loads((ROOT / "figures/papers/hs-fig11-small.json").read_text())["alt"]
    assert delays.endswith(
        "a line for each c; bands from the lowest to the highest seed; MNIST, 2,000 images."
    )  # not CIFAR-100, which HS has there


def test_committed_alt_texts_speak_of_squares_only_where_the_paper_has_numbers():
    for path in (ROOT / "figures/papers").glob("*.json"):
        slug = path.stem.removesuffix("-small").removesuffix("-features")
        page = path.with_name(f"{slug}.md").read_text()
        below = page.partition(f"({path.stem}.png)")[2].partition("\n## ")[0].partition("\n###")[0]
        rows = [line.split("|") for line in below.splitlines() if line.count("|") == 15]
        column = [row[7].strip() for row in rows[2:]]
        assert all(row[7].strip() == "reported" for row in rows[:1])
        assert ("squares" in json.loads(path.read_text())["alt"]) is any(column), path.stem


def test_every_page_says_what_was_picked():
    for name, source in (comparison.SOURCES | comparison.CURVES).items():
        assert len(source.picked) > 20
        recorded = [row for scale in SCALES for row in comparison.records_for(name, scale, None)]
        if name == "CV Table 9":  # its page needs several τ of one loss
            recorded = comparison.of_taus(recorded)
        if recorded:
            page = (ROOT / f"figures/papers/{ARTEFACTS[name].slug}.md").read_text()
            assert f"**What was picked.** {source.picked}\n" in page, name
    third = (ROOT / "figures/papers/hs-table3.md").read_text()
    assert third.count("| γ=0.2 | 2 |") == 4  # the nearest of two, not the better one
    assert "SGD in place of Adam" in (ROOT / "figures/papers/cv-table2.md").read_text()
    assert "The best of a row is the best of 15." in (ROOT / "figures/papers/hs-fig8.md").read_text()


def test_records_from_a_changed_tree_are_counted_on_the_page(tmp_path):
    clean, changed = ([made(t) | {"modified": m} for t in trials("hs-table6", seeds=2, loss=name)]
                      for name, m in (("ce", False), ("piecewise_zero", True)))  # fmt: skip
    write(tmp_path / "results", "hs-table6", clean + changed)
    pages.draw(tmp_path / "figures", tmp_path / "results")
    page = (tmp_path / "figures/papers/hs-table6.md").read_text()
    words = "8 of 16 from a changed tree, one that differs from the commit named: c0ffee (8)."
    assert f"16 trials, up to 2 seeds, H200, 2026-11-20. {words}" in page
    found = state(ARTEFACTS["HS Table 6"], tmp_path / "figures", tmp_path / "results")
    assert "8 of 16 records from a changed tree." in found.detail
    assert pages._provenance(clean) == "8 trials, up to 2 seeds, H200, 2026-11-20."


def test_the_committed_pages_count_what_the_files_say():
    for records, page in (("small/hs-table6", "hs-table6"), ("hs-table1-mnist", "hs-table1")):
        lines = (ROOT / f"results/{records}.jsonl").read_text().splitlines()
        changed = sum(json.loads(line)["modified"] for line in lines)
        text = (ROOT / f"figures/papers/{page}.md").read_text()
        assert f" {changed} of {len(lines)} from a changed tree" in text


def test_a_map_needs_two_values_of_a_parameter(tmp_path):
    one = trials("hs-fig8", data="mnist", loss="ce", rate=0.1)
    write(tmp_path / "results", "hs-fig8", [made(one[0], f1=0.9716)])
    pages.draw(tmp_path / "figures", tmp_path / "results")
    papers = tmp_path / "figures/papers"
    assert "- MNIST, 60,000 images, η = 0.1, ce(): F1 0.972 (1)" in (papers / "hs-fig8.md").read_text()
    assert not (papers / "hs-fig8.png").exists()
    blurry = trials("hs-fig8", data="mnist", loss="blurry", rate=0.1)
    records = [made(t) for t in (*one, *blurry)]
    assert comparison.of_grids(records[:2]) == []
    assert comparison.of_grids(records) == records
    fewer = [record | {"images": 2000} for record in records[:2]]
    assert comparison.of_grids(records + fewer) == records, "each set of images has its own map"


def test_the_command_draws_before_it_writes(monkeypatch):
    called = []
    for name in ("draw", "write"):
        monkeypatch.setattr(gallery, name, lambda folder, name=name: called.append((name, folder)))
    assert CliRunner().invoke(main, ["figures"]).exit_code == 0
    assert called == [("draw", ROOT / "figures"), ("write", ROOT / "figures")]


def test_the_committed_gallery_lists_every_artefact_and_overstates_none():
    order = artefacts.WORDS
    page = (ROOT / "figures/README.md").read_text()
    rows = re.findall(r"^\| ((?:HS|CV|SY) (?:Fig\.|Table) \d+) \| [^|]+ \| ([^|]+) \|", page, re.M)
    assert [name for name, _ in rows] == list(ARTEFACTS)
    for name, claimed in rows:
        assert order.index(claimed) >= order.index(state(ARTEFACTS[name], ROOT / "figures").word), name


def test_dots_are_ours_and_squares_the_papers(tmp_path):
    write(tmp_path, "hs-table6", [made(t, f1=0.5) for t in trials("hs-table6", seeds=2)])
    fig = drawings.dots(cells("HS Table 6", folder=tmp_path))
    assert len(fig.axes) == 4
    drawn = [line for line in fig.axes[0].lines if line.get_marker() in "os"]
    points = {(line.get_marker(), float(line.get_xdata()[0])) for line in drawn}
    assert points == {("o", 0.5), ("s", 0.7452), ("s", 0.7591), ("s", 0.8817)}
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["the paper", "ours"]


def test_a_number_that_would_squeeze_the_others_is_a_triangle_at_the_edge(tmp_path):
    some = [made(t, f1=0.02 if t.loss == "piecewise_zero" else 0.8) for t in trials("hs-table6", seeds=2)]
    write(tmp_path, "hs-table6", some)
    ax = drawings.dots(cells("HS Table 6", folder=tmp_path)).axes[0]
    (edge,) = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "<"]
    assert 0.65 < edge < 0.7452  # left of the printed numbers
    assert ax.get_xlim()[0] > 0.6
    assert [text.get_text() for text in ax.texts] == ["0.02"]


def test_heat_maps_show_means_and_leave_gaps():
    kept = {"ce": [None], "gce": [0.7], "blurry": [0.1, 0.2], "piecewise_zero": [0.005, 0.01, 0.1]}

    def wanted(t):
        value = next((v for name, v in t.params if name in ("q", "gamma", "c")), None)
        return t.rate in (0.1, 0.4) and value in kept.get(t.loss, []) and (t.loss, t.rate) != ("ce", 0.4)

    some = [t for t in trials("hs-fig8", seeds=2, data="mnist") if wanted(t)]
    records = [made(t, f1=0.6 + 0.2 * t.seed) for t in some]
    baselines = {(0.1, "CE"), (0.1, "GCE"), (0.4, "GCE")}
    grid = drawings.grid_scores(records)["baselines"].droplevel("setting")
    assert grid.stack().dropna().to_dict() == dict.fromkeys(baselines, pytest.approx(0.7))
    fig = drawings.heat_maps(records[::-1])  # the order is HS's, not the records'
    titles = ["baselines", "BL, true gradient, γ", "BL, stopped gradient, γ", "PZ, c"]
    assert [ax.get_title() for ax in fig.axes] == titles
    assert fig.axes[0].get_ylabel().startswith("mnist\n60,000 images\nhs_mnist\n")
    assert [len(ax.texts) for ax in fig.axes] == [3, 4, 4, 6]
    ticks = [[t.get_text() for t in fig.axes[n].get_xticklabels()] for n in (0, 3)]
    assert ticks == [["CE", "GCE"], ["0.005", "0.01", "0.1"]]
    fewer = [record | {"images": 2000} for record in records]
    settings = drawings.grid_scores(records + fewer).index.unique("setting")
    assert len(settings) == 2, "settings are not averaged over"


def test_curves_are_means_over_seeds():
    some = trials("hs-fig11", "small", seeds=2)
    records = [made(t, f1=t.delay / 10 + 0.02 * t.seed) for t in some]
    fig = drawings.delay_curves(records)
    panel = next(ax for ax in fig.axes if "0.4" in ax.get_title())
    x, y = (np.asarray(part, dtype=float) for part in panel.lines[0].get_data())
    assert list(x) == sorted({t.delay for t in some if t.rate == 0.4})
    np.testing.assert_allclose(y, x / 10 + 0.01)
    fig = drawings.learning_curves([made(t) for t in trials("cv-fig4", "small")])
    lines = [line for ax in fig.axes for line in ax.lines]
    assert len(lines) == len(trials("cv-fig4", "small"))
    assert list(lines[0].get_ydata()) == [0.3, 0.6, 0.9]
