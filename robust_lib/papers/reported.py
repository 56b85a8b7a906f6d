"""The papers' own numbers, as data: every cell of their result tables and of their tables of parameters.

    table("HS Table 1")[0]     Reported(artefact="HS Table 1", data="mnist", ..., mean=0.969, spread=0.002)
    frame("CV Table 5")        the same rows as a pandas DataFrame

HS is 'Hard Samples, Bad Labels', CV is 'A Curriculum View of Robust Loss Functions' (arXiv 2305.02139). Of
the third paper, SY, only the abstract was available to us; it states no result in numbers. The numbers are in
reported.csv as printed, errors included (errata.py lists them). Cells that a paper leaves empty have no row.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).with_name("reported.csv")


@dataclass(frozen=True)
class Reported:
    """One printed number, in the paper's unit.

    noise: the paper's word; "none" for clean labels, "web" where the data came with it, "" where it does not
    apply. rate: η, None where the paper gives none. loss: as printed ("BL", "MAE shift", "AUL†": † marks CV's
    inferior hyperparameters; "FL" also where HS Table 4 has "Focal"), "" where the paper names none.
    metric: f1 and balanced_accuracy in [0, 1]; train_accuracy and test_accuracy in percent; diff, accuracy
    minus that with clean labels, in percentage points; snr, cohens_d and wasserstein, no unit; alpha, CV's
    α_t times 10⁴; a, q and tau, CV's parameters; expected_margin; minutes on HS's V100, of
    confident learning, of AUM (aum_minutes), and with each epoch's gradients stored (logged_minutes).
    spread: σ over the trials, None if not printed. trials: random trials or runs behind the number; CV's
    Table 5 is the best of them. parameter, value: the setting of the loss that the table gives for this cell.
    mark: "best" where CV prints bold (HS's bold did not survive in the text we had), "from Zhou et al. 2021"
    for ‡, "exceeded" for "exceeds 99%". decimals: printed digits after the point.
    """

    artefact: str
    data: str
    noise: str
    rate: float | None
    loss: str
    metric: str
    mean: float
    spread: float | None
    trials: int | None
    parameter: str
    value: float | None
    mark: str
    decimals: int


def names() -> list[str]:
    """The artefacts that have numbers, in the papers' order: "HS Table 1", ..., "CV Table 12"."""
    return list(_tables())


def table(artefact: str) -> tuple[Reported, ...]:
    """The rows of one artefact, as printed. Raises ValueError for an unknown name, and lists the names."""
    if artefact not in _tables():
        raise ValueError(f"artefact must be one of {', '.join(names())}; got {artefact!r}")
    return _tables()[artefact]


def frame(artefact: str):
    """The rows of one artefact as a pandas DataFrame with Reported's columns. Raises like table."""
    import pandas

    return pandas.DataFrame(table(artefact))


@functools.cache
def _tables() -> dict[str, tuple[Reported, ...]]:
    tables: dict[str, list[Reported]] = {}
    with PATH.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            tables.setdefault(row["artefact"], []).append(_typed(row))
    return {name: tuple(rows) for name, rows in tables.items()}


def _typed(row: dict[str, str]) -> Reported:
    decimals = len(row["mean"].partition(".")[2])
    numbers = {name: float(row[name]) if row[name] else None for name in ("rate", "mean", "spread", "value")}
    trials = int(row["trials"]) if row["trials"] else None
    return Reported(**row | numbers | {"trials": trials, "decimals": decimals})
