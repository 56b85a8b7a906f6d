"""The papers' tables as lists of trials."""

import dataclasses

import pytest

from robust_lib import training
from robust_lib.papers import reported
from robust_lib.sweeps import plans, trials
from robust_lib.sweeps.plans import SWEEPS, obstacles

SCALES = [(name, scale) for name, sweep in SWEEPS.items() for scale in sweep.seeds]


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_sweeps_list_distinct_trials(name, scale):
    sweep = SWEEPS[name]
    listed = sweep.trials(scale, seeds=2)
    assert len(listed) == 2 * len(sweep.trials(scale, seeds=1)) == len({t.key for t in listed})
    cells = {}
    for trial in listed:
        cells.setdefault(dataclasses.replace(trial, seed=0).key, []).append(trial.seed)
    assert set(map(tuple, cells.values())) == {(0, 1)}
    files = {"no files of cifar-n", "no files of label-errors"} if scale != "small" else set()
    assert {reason for trial in listed for reason in obstacles(trial)} <= files
    sizes = {"paper": "full", "features": "features", "small": "mini"}
    assert all(t.size.startswith(sizes[scale]) for t in listed)


@pytest.mark.parametrize(("name", "scale"), [one for one in SCALES if one[1] != "paper"])
def test_data_noise_loss_and_recipe_go_together(name, scale):
    listed = [t for t in SWEEPS[name].trials(scale, seeds=1) if t.size in ("mini", "features")]
    for trial in {(t.loss, t.data): t for t in listed if not obstacles(t)}.values():
        trials.Task.of(trial, "cpu")


def test_scales_that_a_sweep_lacks_are_named():
    with pytest.raises(
        ValueError, match="scale of hs-fig8 must be one of paper, features, small, got 'tiny'"
    ):
        SWEEPS["hs-fig8"].trials("tiny")
    with pytest.raises(ValueError, match="scale of cv-tau must be one of features, got 'paper'"):
        SWEEPS["cv-tau"].trials("paper")


def test_detectors_sweep_is_complete():
    small = SWEEPS["detectors"].trials("small")
    assert len(small) == 8 * 3 * 5
    labels = {(t.loss, t.params) for t in small}
    assert ("blurry", (("gamma", 0.4), ("stop_gradient", False))) in labels
    assert ("blurry", (("gamma", 0.4), ("stop_gradient", True))) in labels
    assert {t.changes for t in small if t.loss.startswith("anl")} == {(("l1", 1e-6),)}
    assert {(t.delay, t.params) for t in small if t.loss == "piecewise_zero"} == {(1, (("c", 0.02),))}


@pytest.mark.parametrize("name", ["mnist", "fashion", "cifar10", "cifar100"])
def test_grids_hold_every_value_that_the_paper_reports(name):
    """Each cell of HS Table 1 and 2 has its trials: γ in both gradients, c with a delay of one epoch."""
    listed = SWEEPS[f"hs-table1-{name}"].trials("paper", seeds=1)
    have = {(t.rate, t.loss, dict(t.params).get("gamma", dict(t.params).get("c"))) for t in listed}
    data_name = listed[0].data
    cells = [
        c for table in ("HS Table 1", "HS Table 2") for c in reported.table(table) if c.data == data_name
    ]
    assert len(cells) == 56
    loss_of = {"CE": "ce", "FL": "focal", "GCE": "gce", "ANL-CE": "anl_ce", "ANL-FL": "anl_fl"}
    loss_of |= {"BL": "blurry", "PZ": "piecewise_zero"}
    value = {"focal": 2.0, "anl_fl": 0.5}
    wanted = {(c.rate, loss_of[c.loss], c.value or value.get(loss_of[c.loss])) for c in cells}
    assert wanted - have == set()


@pytest.mark.parametrize(
    ("name", "scale"), [("mnist", "paper"), ("fashion_mnist", "paper"), ("cifar100", "features")]
)
def test_what_the_paper_prints_runs_before_its_grid(name, scale):
    sweep = SWEEPS["hs-table1-" + name.removesuffix("_mnist")]
    listed = sweep.trials(scale)
    cells = [c for c in reported.table("HS Table 1") if c.data == name]
    best = {(c.rate, c.parameter): c.value for c in cells if c.parameter}

    def is_printed(trial):
        params = dict(trial.params)
        if trial.loss == "blurry":
            return params["gamma"] == best[trial.rate, "gamma"]
        return trial.loss != "piecewise_zero" or params["c"] == best[trial.rate, "c"]

    for seed in (0, 1):
        block = listed[32 * seed : 32 * seed + 32]  # seven losses, Blurry with both gradients, four rates
        assert {trial.seed for trial in block} == {seed}
        assert all(map(is_printed, block))
    assert (
        len({trial.key for trial in listed}) == len(listed) == sweep.seeds[scale] * 4 * len(plans._grid(name))
    )
    assert [trial.seed for trial in listed[64:]] == sorted(trial.seed for trial in listed[64:])


def test_both_readings_of_the_recipe_differ_as_stated():
    ours, theirs = (training.RECIPES[name] for name in plans.RECIPES)
    assert (ours.batch_size, ours.lr, ours.epochs) == (128, 1e-3, 10)
    assert (theirs.batch_size, theirs.lr, theirs.epochs) == (64, 1e-4, 10)
    assert len(SWEEPS["recipe"].trials()) == 2 * 2 * 4
    runs = SWEEPS["blurry-gradient"].trials()
    assert len(runs) == 2**6
    assert {(t.delay, dict(t.params)["stop_gradient"]) for t in runs} == {
        (d, s) for d in (0, 1) for s in (False, True)
    }


def test_cv_tables_have_every_reported_cell():
    listed = SWEEPS["cv-table3"].trials("paper", seeds=1)
    taus = {(t.noise, t.rate, t.loss, t.move): t.tau for t in listed if t.move}
    assert len(taus) == 40
    assert taus["uniform", 0.8, "mae", "scaled"] == 4.0
    assert taus["human:cifar100n-fine", 0.0, "agce", "shifted"] == 4.0
    assert all(t.unit_max for t in listed)
    params = [dict(t.params) for t in SWEEPS["cv-table2"].trials("paper", seeds=1) if t.data == "cifar100"]
    printed = {(c.loss, c.metric): c.mean for c in reported.table("CV Table 8")}
    for (loss, name), mean in printed.items():
        assert any(row.get(name) == mean for row in params), (loss, name)


def test_fig8_shares_its_trials_with_table1():
    fig8 = {t.key for t in SWEEPS["hs-fig8"].trials("paper", seeds=1)}
    table1 = {
        t.key for name in ("mnist", "cifar100") for t in SWEEPS[f"hs-table1-{name}"].trials("paper", seeds=1)
    }
    assert fig8 == table1
    heads = {
        name: {t.key for t in SWEEPS[name].trials("features")} for name in ("hs-fig8", "hs-table1-cifar100")
    }
    assert heads["hs-fig8"] == heads["hs-table1-cifar100"]


@pytest.mark.parametrize("name", SWEEPS)
def test_recorded_trials_still_have_their_keys(name):
    fields = [f.name for f in dataclasses.fields(plans.Trial) if f.name not in ("params", "changes")]
    for row in (row for scale in SWEEPS[name].seeds for row in plans.read(name, scale)):
        told = {field: row[field] for field in fields if field in row}
        for prefix, group in (("loss_", "params"), ("recipe_", "changes")):
            told[group] = {key.removeprefix(prefix): row[key] for key in row if key.startswith(prefix)}
        assert plans.Trial(**told).key == row["key"]


@pytest.mark.parametrize(("scale", "people"), [("paper", "human:"), ("small", "human-like:")])
def test_both_networks_from_scratch_meet_the_same_labels_and_losses(scale, people):
    listed = SWEEPS["cifar10-scratch"].trials(scale, seeds=1)
    by_network = {}
    for trial in listed:
        by_network.setdefault(trial.network, set()).add((trial.noise, trial.rate, trial.loss))
        changed = dataclasses.replace(training.RECIPES[trial.recipe], **dict(trial.changes))
        assert changed.lr == {"fast_resnet": 0.1, "cv_cnn8": 0.01}[trial.network]
        assert (changed.precision == "bf16") == (scale == "paper")  # a CPU may lack it
    assert by_network["fast_resnet"] == by_network["cv_cnn8"]
    cells = {(noise, rate) for noise, rate, _ in by_network["cv_cnn8"]}
    assert cells == {("none", 0), ("uniform", 0.4), ("asymmetric", 0.4), (people + "cifar10n-worst", 0)}
    assert len(listed) == 2 * 4 * 3
