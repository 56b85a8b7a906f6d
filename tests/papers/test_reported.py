"""The papers' numbers: counts, sums taken from the pages by another route, tables that repeat others."""

from collections import Counter
from dataclasses import FrozenInstanceError

import pytest

from robust_lib.papers import reported
from robust_lib.papers.reported import table

# Cells with a number, counted on the page: rows times columns, less the cells that hold "/".
COUNTS = {
    "HS Table 1": 16 * 7,
    "HS Table 2": 16 * 7,
    "HS Table 3": 4 * 4,
    "HS Table 4": 3 * 7,
    "HS Table 5": 4 * 7,
    "HS Table 6": 3 * 4,
    "HS Fig. 6": 2 * 3,
    "HS §5": 3,
    "HS A.1": 11,
    "CV Table 2": 10 * 6 - 4,
    "CV Table 3": 10 * 5 - 4,
    "CV Table 4": 4 * 3,
    "CV Table 5": 6 * 11,
    "CV Table 8": 11,
    "CV Table 9": 4 * 10 + 2,
    "CV Table 10": 10 * 5,
    "CV Table 11": 10 * 5,
    "CV Table 12": 6,
}
# Sums over columns, added up on the page: means, spreads, and the best parameter where a column has one.
HS_COLUMNS = {
    "HS Table 1": {
        "CE": (13.001, 0.056, 0),
        "FL": (13.071, 0.090, 0),
        "GCE": (13.428, 0.055, 0),
        "ANL-CE": (12.880, 0.050, 0),
        "ANL-FL": (12.843, 0.056, 0),
        "BL": (13.670, 0.051, 7.5),
        "PZ": (13.672, 0.054, 0.495),
    },
    "HS Table 2": {
        "CE": (14.358, 0.037, 0),
        "FL": (14.343, 0.065, 0),
        "GCE": (14.921, 0.032, 0),
        "ANL-CE": (14.692, 0.032, 0),
        "ANL-FL": (14.667, 0.033, 0),
        "BL": (14.949, 0.027, 9.2),
        "PZ": (14.946, 0.030, 0.720),
    },
}
# Sums over rows of everything printed in them: mean + spread + parameter.
ROWS = {
    "HS Table 3": {0.1: 2.754, 0.2: 3.125, 0.3: 3.522, 0.4: 3.853},
    "HS Table 6": {"CE": 3.4464, "BL": 3.4868 + 4 * 0.05, "PZ": 3.5818 + 4 * 0.025},
    "CV Table 2": {
        "CE": 496.46,
        "SCE": 414.62,
        "GCE": 417.37,
        "NCE+MAE": 352.61,
        "AUL": 346.14,
        "AGCE": 337.47,
        "NCE": 252.40,
        "MAE": 215.10,
        "AUL†": 98.80 + 92.06 + 3.25 + 9.22 + 8.67 + 0.21,
        "AGCE†": 91.60 + 86.30 + 3.98 + 3.82 + 3.82 + 0.12,
    },
    "CV Table 3": {
        "CE": 161.05,
        "GCE": 180.90,
        "NCE": 80.71,
        "NCE+AUL": 191.34,
        "AGCE": 183.35,
        "AGCE shift": 224.82,
        "AGCE scale": 234.48,
        "MAE": 13.58,
        "MAE shift": 221.01,
        "MAE scale": 258.87,
    },
    "CV Table 4": {"CE": 206.82, "MAE": 4.43, "MAE shift": 167.39 + 5.4, "MAE scale": 210.51 + 5.4},
    "CV Table 5": {"CE": -40.64, "SCE": 32.22, "GCE": -10.30, "AUL": 64.28, "MAE": 71.35, "AGCE": -1.88},
    "CV Table 9": {"MAE shift": 29.4, "MAE scale": 28.0, "AGCE shift": 42.0, "AGCE scale": 35.6, "": 7.814},
    "CV Table 10": {
        "CE": 199.03,
        "GCE": 247.94,
        "NCE": 99.42,
        "NCE+AUL": 264.38,
        "AGCE": 207.35,
        "AGCE shift": 236.98,
        "AGCE scale": 249.57,
        "MAE": 13.96,
        "MAE shift": 208.10,
        "MAE scale": 276.28,
    },
    "CV Table 11": {
        "CE": 288.12,
        "GCE": 284.90,
        "NCE": 131.19,
        "NCE+AUL": 289.64,
        "AGCE": 225.19,
        "AGCE shift": 281.66,
        "AGCE scale": 287.13,
        "MAE": 20.51,
        "MAE shift": 279.84,
        "MAE scale": 312.50,
    },
}


def grouped(rows, *keys):
    groups = {}
    for row in rows:
        key = tuple(getattr(row, key) for key in keys)
        groups.setdefault(key if len(keys) > 1 else key[0], []).append(row)
    return groups


def cells(artefact, *keys):
    return {key: row for key, (row,) in grouped(table(artefact), *keys).items()}


def best(rows, count=1):
    """The losses with the largest means."""
    return [row.loss for row in sorted(rows, key=lambda row: -row.mean)[:count]]


def test_every_table_has_all_its_cells_once():
    assert {name: len(table(name)) for name in reported.names()} == COUNTS
    for name in COUNTS:
        seen = Counter((row.data, row.noise, row.rate, row.loss, row.metric) for row in table(name))
        assert max(seen.values()) == 1


@pytest.mark.parametrize("artefact", HS_COLUMNS)
def test_column_sums_of_hs(artefact):
    for loss, rows in grouped(table(artefact), "loss").items():
        sums = [sum(getattr(row, name) or 0 for row in rows) for name in ("mean", "spread", "value")]
        assert sums == pytest.approx(HS_COLUMNS[artefact][loss], abs=1e-9), loss


@pytest.mark.parametrize("artefact", ROWS)
def test_row_sums(artefact):
    by = "rate" if artefact == "HS Table 3" else "loss"
    groups = grouped(table(artefact), by)
    sums = {key: sum(r.mean + (r.spread or 0) + (r.value or 0) for r in rows) for key, rows in groups.items()}
    assert sums == pytest.approx(ROWS[artefact], abs=1e-9)


def test_sums_of_the_tables_of_human_and_web_noise():
    four = {key: sum(r.mean for r in rows) for key, rows in grouped(table("HS Table 4"), "noise").items()}
    assert four == pytest.approx({"human_aggregate": 4.695, "human": 5.054, "human_worst": 5.837})
    five = grouped(table("HS Table 5"), "data", "metric")
    assert [sum(r.mean for r in rows) for rows in five.values()] == pytest.approx(
        [3.023, 4.626, 4.089, 4.618]
    )
    assert sum(row.spread for row in table("HS Table 5")) == pytest.approx(0.025 + 0.030 + 0.092 + 0.085)


def test_hs_says_how_far_the_proposed_losses_lead():
    for rows in grouped(table("HS Table 3"), "rate").values():
        assert best(rows) == ["PZ"]  # "best in all cases"
    for rows in grouped(table("HS Table 4"), "data", "noise").values():
        assert set(best(rows, 2)) <= {"BL", "PZ", "GCE"}  # "best (and second best) in all cases"
        assert set(best(rows)) <= {"BL", "PZ"}
    for rows in grouped(table("HS Table 5"), "data", "metric").values():
        assert set(best(rows, 2)) == {"BL", "PZ"}
    for artefact in ("HS Table 1", "HS Table 2"):  # "in nearly all cases"
        first = [best(rows)[0] for rows in grouped(table(artefact), "data", "rate").values()]
        assert first.count("BL") + first.count("PZ") >= 14, first
    six = cells("HS Table 6", "loss", "rate")
    assert six["PZ", 0.1].mean - six["CE", 0.1].mean == pytest.approx(0.1365)  # errata hs-3


def test_parameters_stand_beside_the_losses_that_have_one():
    for artefact in ("HS Table 1", "HS Table 2", "HS Table 3", "HS Table 4", "HS Table 5", "HS Table 6"):
        for row in table(artefact):
            assert row.parameter == {"BL": "gamma", "PZ": "c"}.get(row.loss, "")
            assert (row.value is None) == (row.parameter == "")
            low, high = {"gamma": (0.05, 0.9), "c": (0.005, 0.3), "": (0, 0)}[row.parameter]
            assert low <= (row.value or 0) <= high


@pytest.mark.parametrize("artefact", ["CV Table 10", "CV Table 11"])
def test_cvs_appendix_repeats_table_3_but_for_one_row(artefact):
    main, more = (cells(name, "loss", "noise", "rate") for name in ("CV Table 3", artefact))
    shared = main.keys() & more.keys()
    assert len(shared) == {"CV Table 10": 30, "CV Table 11": 20}[artefact]
    differ = {
        key for key in shared if (main[key].mean, main[key].spread) != (more[key].mean, more[key].spread)
    }
    expected = {("MAE shift", "none", 0), ("MAE shift", "symmetric", 0.4), ("MAE shift", "symmetric", 0.8)}
    assert differ == (expected if artefact == "CV Table 10" else set())  # errata cv-8


def test_cvs_bold_is_the_best_of_its_column():
    for artefact in ("CV Table 3", "CV Table 4", "CV Table 10", "CV Table 11"):
        columns = grouped(table(artefact), "data", "noise", "rate")
        for (_, noise, _), rows in columns.items():
            (bold,) = (row for row in rows if row.mark == "best")
            assert bold.loss == "MAE scale"
            # With clean labels CE, quoted from another paper, is above it.
            own = [row for row in rows if noise != "none" or row.mark != "from Zhou et al. 2021"]
            assert bold.mean == max(row.mean for row in own)


def test_cvs_tables_agree_with_each_other_in_kind():
    with_tau = {(row.loss, row.noise, row.rate) for row in table("CV Table 9") if row.metric == "tau"}
    moved = {
        (row.loss, row.noise, row.rate)
        for name in ("CV Table 3", "CV Table 10", "CV Table 11")
        for row in table(name)
        if row.loss.endswith(("shift", "scale"))
    }
    assert moved == with_tau
    five = cells("CV Table 5", "loss", "noise", "rate", "metric")
    assert all(row.mean < 0 for key, row in five.items() if key[3] == "diff")
    assert all(0.3 <= row.mean <= 3.6 for key, row in five.items() if key[3] == "snr")
    with_parameters = {row.loss for row in table("CV Table 12")}
    assert with_parameters | {"CE", "MAE"} == {row.loss for row in table("CV Table 5")}
    two = {row.loss for row in table("CV Table 2")}
    assert {row.loss for row in table("CV Table 8")} | {"CE", "MAE", "NCE"} == two
    a_and_q = {(row.loss, row.metric): row.mean for row in table("CV Table 8")}
    assert (a_and_q["AUL", "a"], a_and_q["AUL", "q"], a_and_q["AGCE†", "a"]) == (1.1, 5.0, 1.6)
    assert sum(a_and_q.values()) == pytest.approx(5.8 + 9.1)
    assert sum(row.mean for row in table("CV Table 12")) == pytest.approx(5 + 7.35)


def test_units_ranges_and_digits():
    for name in reported.names():
        for row in table(name):
            if row.metric in ("f1", "balanced_accuracy"):
                assert 0.3 < row.mean < 1
                assert row.decimals == (4 if name == "HS Table 6" else 3)
                assert 0 <= row.spread < 0.05
            if row.metric.endswith("accuracy") and row.metric != "balanced_accuracy":
                assert 0 < row.mean <= 100
    trials = {name: {row.trials for row in table(name)} for name in reported.names()}
    assert [trials[f"HS Table {n}"] for n in range(1, 7)] == [{20}, {20}, {3}, {5}, {5}, {3}]
    assert [trials[f"CV Table {n}"] for n in (2, 3, 4, 5, 10, 11)] == [{3}, {3}, {1}, {5}, {3}, {3}]


def test_separations_of_hs_figure_6():
    six = cells("HS Fig. 6", "metric", "loss")
    assert [six["cohens_d", loss].mean for loss in ("CE", "BL", "PZ")] == [3.20, 3.43, 3.82]
    assert [six["wasserstein", loss].mean for loss in ("CE", "BL", "PZ")] == [6.11, 8.40, 13.72]


def test_access_rows_frames_and_unknown_names():
    first = table("HS Table 1")[0]
    assert (first.data, first.rate, first.loss) == ("mnist", 0.1, "CE")
    assert (first.mean, first.spread, first.decimals) == (0.969, 0.002, 3)
    with pytest.raises(FrozenInstanceError):
        first.mean = 1.0
    frame = reported.frame("HS Table 1")
    assert frame.groupby("loss")["mean"].sum()["BL"] == pytest.approx(13.670)
    assert len(frame) == 112
    with pytest.raises(ValueError, match="one of HS Table 1, HS Table 2, .*CV Table 12; got 'HS Table 7'"):
        table("HS Table 7")
