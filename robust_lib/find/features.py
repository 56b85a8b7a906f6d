"""Features of any number format: which row is whose, and one scale for all, that no single row can set."""

import os
from pathlib import Path

import numpy as np
import torch

from robust_lib.find import cells
from robust_lib.find.listing import Listing, Problem, as_path, many, shown

TRIMMED = 0.005  # share of the values at each end of a feature that its mean and deviation do not see
FARTHEST = 10.0  # deviations beyond which a feature's values are clipped
UNLIKE = 100  # the largest deviation of a feature over the median one from which they count as of many units
BLOCK = 1 << 23  # values that are worked on at a time


def load(features) -> np.ndarray:
    """The array, from a file not yet read into memory. ValueError if it is no (N, D) of numbers."""
    if isinstance(features, str | os.PathLike):
        try:
            features = np.load(features, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # zip, header and pickle errors alike
            raise ValueError(f"features cannot be read from {features}: {error}") from None
        if isinstance(features, np.lib.npyio.NpzFile):
            raise ValueError(f"features must be an .npy file, got a pack of {', '.join(features.files)}")
    if isinstance(features, torch.Tensor):
        features = features.detach().cpu()
        features = (features.float() if features.dtype == torch.bfloat16 else features).numpy()
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "buif" or not features.size:
        raise ValueError(f"features must be numbers (N, D), got {features.dtype} {features.shape}")
    return features


def take(listing: Listing, paths) -> None:
    """listing.features become those of the usable samples, standardised. Samples without any are left out."""
    given = listing.features
    own = listing.own_features
    if own and paths is not None and listing.probs is None:
        raise ValueError(
            f"paths must be left out for the features in {listing.source.name}, got {str(paths)!r}"
        )
    rows = np.arange(len(given)) if own else row_of(listing, paths, len(given), "features")
    listing.rows = listing.rows if own else rows
    listing.drop(np.flatnonzero(rows < 0), "it has no row of features")
    listing.drop(np.flatnonzero(~_finite(given)[rows]), "its features hold NaN or infinity")
    kept = np.flatnonzero(listing.usable)
    if not len(kept):
        return
    listing.features, notes, clipped = _standardised(given, rows[kept])
    listing.notes += notes
    if clipped.any():
        first = listing.paths[kept[clipped.argmax()]]
        what = f"beyond {FARTHEST:g} deviations, clipped; the first is {first}"
        listing.notes.append(f"{many(clipped.sum(), 'sample', 'has')} features {what}")


def row_of(listing: Listing, paths, count: int, what: str) -> np.ndarray:
    """Which of `count` rows is that of each sample, int64 (N,), -1 where it has none. what: "features" or
    "probs", for the errors."""
    orders = listing.orders
    if listing.rows is not None and str(paths or cells.ROW) == cells.ROW:
        _check_old_rows(listing, paths, count, what)
        return listing.rows
    paths = _only_order(listing, count, what) if paths is None else paths
    if paths is None:
        return np.arange(count)
    if not any(map(any, orders.values())):
        raise ValueError(f"paths must be left out for {listing.source.name}, whose rows are numbered")
    is_name = str(paths) in orders
    order = orders[str(paths)] if is_name else _read_order(as_path("paths", paths))
    if len(order) != count:
        raise ValueError(f"{what} must have a row for each of {len(order)} paths, got {count}")
    return _matched(listing, order, paths, what, typed=not is_name)


def _check_old_rows(listing: Listing, paths, count: int, what: str) -> None:
    """Adds a note where listing.rows, from before mending, say another order. ValueError where they do not
    fit, or where the rows given may as well be in the new order and `paths` does not say which."""
    name, anew = listing.source.name, f"delete the column {cells.ROW}"
    anew = "give paths 'sorted'" if listing.source.is_dir() else anew
    if listing.rows.max() >= count:
        raise ValueError(
            f"{what} must be the rows from before {name} was mended, at least {listing.rows.max() + 1}, got "
            f"{count}; for rows made anew {anew}"
        )
    if (listing.rows == np.arange(len(listing.rows))).all():
        return
    if paths is None and count == len(listing.rows):
        raise ValueError(
            f"{what} could be the rows from before {name} was mended, or rows made anew, whose order "
            f"differs: for the former give paths {cells.ROW!r}, for the latter {anew}"
        )
    listing.notes.append(
        f"rows of {what} are taken as {cells.ROW} says, which is their order from before {name} was mended; "
        f"for rows made anew {anew}"
    )


def _only_order(listing: Listing, count: int, what: str) -> str | None:
    """The order that must be meant; None where row n is that of sample n. ValueError where there are two."""
    orders = listing.orders
    fits = [name for name, order in orders.items() if len(order) == count]
    differ = len({tuple(order) for order in orders.values()}) > 1
    if differ and len(fits) > 1:
        raise ValueError(
            f"{what} could come in the order of sorted paths or in that of torchvision.ImageFolder, and "
            f"{listing.source} has files for which these differ: say which by paths ('sorted', "
            "'imagefolder', or a file of one path a line)"
        )
    if differ and fits:
        only = f"{fits[0]!r}, the only one of {count} files"
        listing.notes.append(f"rows of {what} are taken in the order {only}")
        return fits[0]
    if count != len(listing.paths):
        lengths = {len(order): name for name, order in orders.items()}
        files = " or ".join(f"{length} files ({name!r})" for length, name in lengths.items())
        allowed = files if len(lengths) > 1 else f"{len(listing.paths)} samples"
        raise ValueError(f"{what} must have a row for each of {allowed}, got {count}")
    return None


def _read_order(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        allowed = "'sorted', 'imagefolder' or a file of paths"
        raise ValueError(f"paths must be {allowed}, got {file}: {error}") from None
    lines = text.split("\n")  # a name may hold other characters that splitlines splits at
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _matched(listing: Listing, order: list[str], paths, what: str, typed: bool) -> np.ndarray:
    """Finds each line's sample: by its path from the source's folder, from here, or from one folder up.

    typed: blanks around a line are dropped where it is not found with them.
    """
    root, rows = listing.root, np.full(len(listing.paths), -1)
    samples = enumerate(next(iter(listing.orders.values())))
    place = {os.path.abspath(root / name): n for n, name in samples if name and listing.usable[n]}
    bases = (root, Path.cwd(), root.absolute().parent)
    for row, line in enumerate(order):
        names = [line, line.strip()] if typed else [line]
        tries = (os.path.abspath(base / name) for name in names for base in bases)
        n = next((place[name] for name in tries if name in place), None)
        if n is None:
            listing.problems.append(Problem(shown(line), f"a row of {what} without a usable file"))
        elif rows[n] >= 0:
            raise ValueError(f"paths must differ, got {line} in lines {rows[n] + 1} and {row + 1} of {paths}")
        else:
            rows[n] = row
    if (rows < 0).all():
        first = order[0] if order else "none"
        raise ValueError(f"paths must be those of {listing.source}, got {first} in {paths}")
    return rows


def _finite(features: np.ndarray) -> np.ndarray:
    """Which rows hold neither NaN nor infinity, bool (N,)."""
    step = max(1, BLOCK // features.shape[1])
    return np.concatenate([np.isfinite(features[k : k + step]).all(1) for k in range(0, len(features), step)])


def _standardised(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray]:
    """(float32 (rows, D), notes, bool (rows,): which are clipped) of the given rows of features (N, D).

    Each feature is centred, and all are divided by one deviation, so that large ones stay large. Each is
    divided by its own where the largest is more than UNLIKE times the median one, as in a table of metres and
    dollars. Rare features, that vary in few rows only (see _moments), are not asked for these deviations, and
    weigh no more than the others. Values farther than FARTHEST of a feature's own deviations are clipped. In
    float64 until the end. ValueError where no feature varies.
    """
    width = max(16, BLOCK // len(rows))
    starts = range(0, features.shape[1], width)
    whole = len(rows) == len(features) and (rows == np.arange(len(rows))).all()

    def block(k: int) -> np.ndarray:
        part = features[:, k : k + width]
        return (part if whole else part[rows]).astype(np.float64)

    precision = float(np.finfo(features.dtype if features.dtype.kind == "f" else np.float64).eps)
    moments = [_moments(block(k), precision) for k in starts]
    centres, own, rare = (np.concatenate(parts, axis=-1) for parts in zip(*moments, strict=True))
    varied = own > 0
    if not varied.any():
        raise ValueError("features must differ between samples, got the same values in every row")
    asked = own[varied & ~rare] if (varied & ~rare).any() else own[varied]
    alike = asked.max() <= UNLIKE * np.median(asked)
    common = asked.max() * np.sqrt(np.mean((asked / asked.max()) ** 2))
    share = np.where(rare, np.minimum(own, common), own) / common if alike else varied * 1.0
    result, far = np.empty((len(rows), features.shape[1]), dtype=np.float32), np.zeros(len(rows), dtype=bool)
    for k in starts:
        part = slice(k, k + width)
        with np.errstate(over="ignore"):  # what becomes infinite is clipped
            values = (block(k) - centres[0, part] - centres[1, part]) / np.where(varied, own, np.inf)[part]
        far |= (np.abs(values) > FARTHEST).any(1)
        result[:, part] = values.clip(-FARTHEST, FARTHEST) * share[part]
    by = "all divided by one deviation" if alike else f"divided by their own deviations, {UNLIKE}-fold apart"
    notes, constant = [f"features are centred and {by}"], int((~varied).sum())
    if constant:
        are = "is" if constant == 1 else "are"
        notes.append(f"{constant:,} of {len(varied):,} features {are} constant and say nothing")
    return result, notes, far


def _moments(values: np.ndarray, precision: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the columns of (N, D): (median, mean of the rest) (2, D), the deviation, 0 where constant, and rare.

    The smallest and the largest 0.5 % of a column, at least one value each, are not seen, so that no single
    row sets the scale. A column is rare, bool (D,), where what remains does not vary: then all are seen.
    """
    ordered = np.sort(values, axis=0)
    cut = min(int(np.ceil(TRIMMED * len(values))), (len(values) - 1) // 2)
    centre, deviation = _deviation(ordered[cut : len(values) - cut], precision)
    rare = deviation == 0
    if rare.any():
        centre[:, rare], deviation[rare] = _deviation(ordered[:, rare], precision)
    return centre, deviation, rare


def _deviation(ordered: np.ndarray, precision: float) -> tuple[np.ndarray, np.ndarray]:
    """As _moments, of sorted columns, all of whose values are seen.

    The median goes first: numbers that differ in their last digits are subtracted without an error.
    """
    median = ordered[len(ordered) // 2]
    largest = np.maximum(np.abs(ordered[0]), np.abs(ordered[-1]))
    with np.errstate(over="ignore", invalid="ignore"):
        rest = ordered - median
        span = np.maximum(rest[-1], -rest[0])
        unit = rest / np.where(span > 0, span, 1)  # so that no square overflows
        mean, deviation = unit.mean(0) * span, unit.std(0) * span
    return np.stack([median, mean]), np.where(deviation > precision * largest, deviation, 0)
