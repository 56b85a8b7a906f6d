"""Class probabilities of the user's own network: which row is whose, which column is which class."""

import os
from pathlib import Path

import numpy as np
import torch

from robust_lib.detection.confident import ROW_SUM_TOLERANCE
from robust_lib.find.features import row_of
from robust_lib.find.labels import in_order, in_words
from robust_lib.find.listing import Listing, few

ARRAYS = ("probs", "pred_probs")  # how the array of an .npz may be called
LOOKS_TRAINED_ON = 0.99  # the share of given labels from which rows look like those of the training set


def load(probs, samples: int) -> tuple[np.ndarray, list[str]]:
    """The array (N, K) and the names of its columns, if it has any; from an .npy, .npz, .csv or .tsv as well,
    or a DataFrame, whose columns are names unless they are pandas' own numbers.

    samples: how many rows are needed, which tells whether a CSV's first line of 0 and 1 is a header.
    ValueError if it is no (N, K >= 2) of numbers.
    """
    names: list[str] = []
    if isinstance(probs, str | os.PathLike):
        try:
            probs, names = _from_file(Path(probs), samples)
        except Exception as error:  # zip, header, pickle and CSV errors alike
            raise ValueError(f"probs cannot be read from {probs}: {error}") from None
    if isinstance(probs, torch.Tensor):
        probs = probs.detach().cpu().float().numpy()
    columns = getattr(probs, "columns", [])
    if list(columns) != list(range(len(columns))):
        names = [in_words(name) for name in columns]
    probs = np.asarray(probs)
    if probs.ndim != 2 or probs.dtype.kind not in "buif" or probs.shape[1] < 2 or not len(probs):
        raise ValueError(f"probs must be numbers (N, 2 classes or more), got {probs.dtype} {probs.shape}")
    if names and (len(names) != probs.shape[1] or len(set(names)) < len(names)):
        raise ValueError(f"probs must name its {probs.shape[1]} columns, each once, got {', '.join(names)}")
    return probs.astype(np.float64), names


def _from_file(file: Path, samples: int) -> tuple[np.ndarray, list[str]]:
    if file.suffix.lower() in (".csv", ".tsv"):
        return _from_csv(file, samples)
    array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.lib.npyio.NpzFile):
        return array, []
    with array as pack:
        name = next((name for name in ARRAYS if name in pack.files), None)
        if name is None:
            raise ValueError(f"it must hold {' or '.join(ARRAYS)}, got {', '.join(pack.files) or 'nothing'}")
        return pack[name], [in_words(name) for name in pack["classes"]] if "classes" in pack.files else []


def _from_csv(file: Path, samples: int) -> tuple[np.ndarray, list[str]]:
    """The first line names the columns unless it is a row of probabilities that is needed."""
    import pandas as pd

    options = {"sep": "\t" if file.suffix.lower() == ".tsv" else ",", "header": None, "encoding": "utf-8-sig"}
    table = pd.read_csv(file, dtype=str, keep_default_na=False, **options)
    first = pd.to_numeric(table.iloc[0], errors="coerce").to_numpy()
    is_row = (first >= 0).all() and abs(first.sum() - 1) <= ROW_SUM_TOLERANCE
    names = [] if is_row and len(table) != samples + 1 else [in_words(cell) for cell in table.iloc[0]]
    rows = table.iloc[1:] if names else table
    return rows.replace("", "nan").to_numpy().astype(np.float64), names


def take(listing: Listing, probs, paths) -> np.ndarray:
    """listing.probs become rows for all samples, listing.columns their names; samples without any are left
    out. Returns as row_of. ValueError for rows that are no probabilities."""
    given, listing.columns = load(probs, len(listing.paths))
    if not listing.columns and listing.source.is_dir():
        listing.columns = _columns_of_folder(listing, given.shape[1], paths)
    rows = row_of(listing, paths, len(given), "probs")
    listing.drop(np.flatnonzero(rows < 0), "it has no row of probabilities")
    listing.drop(np.flatnonzero(np.isnan(given).any(1)[rows]), "its probabilities hold NaN")
    used, classes = rows[listing.usable], len(set(listing.labels) - {""})
    few = f"; {given.shape[1]} columns for {classes} classes" if given.shape[1] < classes else ""
    _check(given[used], used, few)
    listing.probs = given[rows]
    return rows


def _columns_of_folder(listing: Listing, width: int, paths) -> list[str]:
    """[] where the classes have one order. torchvision's ImageFolder has 10 before 2, find 2 before 10:
    ValueError where it cannot be known which of them is meant."""
    by_number, as_text = in_order(set(listing.labels), ()), sorted(set(listing.labels))
    if list(by_number) == as_text:
        return []
    if paths == "imagefolder" and len(as_text) == width:
        return as_text
    raise ValueError(
        f"probs must have names for its columns, for {listing.source.name} has classes whose order by number "
        f"({few(by_number)}) is not that of torchvision.ImageFolder ({few(as_text)}): name them in a CSV's "
        "header or an .npz's classes; or say that rows and columns are torchvision's, by paths 'imagefolder'"
    )


def _check(probs: np.ndarray, rows: np.ndarray, remark: str) -> None:
    """rows: of each of probs (N, K), its place in the file. remark: what else may be wrong."""
    outside = (probs < -1e-6) | (probs > 1 + 1e-6)
    hint = "are these logits? their softmax is needed"
    if outside.any():
        n, k = np.argwhere(outside)[0]
        raise ValueError(f"probs must lie in 0 … 1, got {probs[n, k]:.6g} in row {rows[n]}: {hint}")
    wrong = np.abs(probs.sum(1) - 1) > ROW_SUM_TOLERANCE
    if wrong.any():
        n = wrong.argmax()
        count = f"{wrong.sum():,} of {len(probs):,} rows do not, the first is row {rows[n]}"
        raise ValueError(f"probs must have rows that sum to 1, got {probs[n].sum():.6g}: {count}{remark}")


def of_classes(listing: Listing, index: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """The rows of the samples `index`, float64 (N, K): a column for each class that is used, in their order.

    Columns without a name are the classes of all labels, in the order in which find counts them. Where
    columns go, rows are divided by what is left of their sums.
    """
    everything = in_order(set(listing.labels) - {""}, listing.classes)
    width, names = listing.probs.shape[1], listing.columns
    if not names:
        fits = [known for known in (everything, classes) if len(known) == width]
        if not fits:
            known = f"each of {len(everything)} classes ({few(everything)})"
            raise ValueError(
                f"probs must have a column for {known}, got {width}; name them in a CSV's header"
            )
        names = fits[0]
    if missing := set(classes) - set(names):
        raise ValueError(
            f"probs must have a column for each class, got none for {few(sorted(missing))}; its columns are "
            f"{few(names)}"
        )
    if surplus := [name for name in names if name not in classes]:
        listing.notes.append(f"columns of probs for classes that are not used go: {few(surplus)}")
    place = {name: k for k, name in enumerate(names)}
    kept = listing.probs[index][:, [place[name] for name in classes]].clip(0, 1)
    total = kept.sum(1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1), 1 / len(classes))


def remarks(labels: np.ndarray, probs: np.ndarray) -> list[str]:
    """What makes probabilities look as if they were not out of sample, or not a softmax."""
    agreement, lines = (probs.argmax(1) == labels).mean(), []
    if agreement >= LOOKS_TRAINED_ON:
        lines.append(
            f"CAUTION: the probabilities name the given label of {100 * agreement:.1f} % of the samples, as "
            "those of a network do that was trained on these very labels: they must be out of sample, as "
            "cross-validation gives them"
        )
    if np.isin(probs, (0, 1)).all():
        lines.append("CAUTION: the probabilities are all 0 or 1: how sure the network is cannot be told")
    return lines
