"""An .npz of labels, and images or features, as other programs save them."""

from collections import Counter
from pathlib import Path

import numpy as np

from robust_lib.find import cells, features, pictures
from robust_lib.find.labels import empty_missing, in_words, no_label
from robust_lib.find.listing import Listing


def read(path: Path, has_features: bool, has_probs: bool, missing) -> Listing:
    """Opens only the arrays that are needed, its features unless others are given. ValueError for those that
    do not fit."""
    try:
        pack = np.load(path, allow_pickle=False)
    except Exception as error:  # zip, zlib, header and pickle errors alike
        raise ValueError(f"{path} cannot be read: {error}") from None
    with pack:
        if "labels" not in pack.files:
            raise ValueError(f"{path} must hold labels (N,), got {', '.join(pack.files) or 'nothing'}")
        listing = _labelled(path, _member(pack, "labels", path), _member(pack, "classes", path), missing)
        _take_decisions(listing, *(_member(pack, name, path) for name in (cells.DECISION, cells.ROW)))
        values = None if has_features else _member(pack, "features", path)
        needs_images, images = not (has_features or has_probs) and values is None, None
        try:
            images = _grey_or_colour(_member(pack, "images", path))
        except ValueError as error:
            if needs_images:
                raise
            listing.notes.append(f"no pictures are shown: {error}")
    count = len(listing.paths)
    for name, array in (("features", values), ("images", images)):
        if array is not None and (array.ndim < 2 or len(array) != count):
            raise ValueError(f"{name} must have one row per label ({count}), got shape {array.shape}")
    if values is not None:
        listing.features, listing.own_features = features.load(values), True
    if images is not None:
        _take_pixels(listing, images, needs_images)
    return listing


def _take_decisions(listing: Listing, decisions: np.ndarray | None, rows: np.ndarray | None) -> None:
    """What `mend` wrote into its pack. ValueError if it does not fit."""
    if decisions is None or rows is None:
        return
    for name, array, kind in ((cells.DECISION, decisions, "U"), (cells.ROW, rows, "i")):
        if array.shape != (len(listing.paths),) or array.dtype.kind != kind:
            raise ValueError(f"{name} must be as mend wrote it, got {array.dtype} {array.shape}")
    listing.decisions = decisions.tolist()
    listing.rows = rows if (rows >= 0).any() else None


def _member(pack, name: str, path: Path) -> np.ndarray | None:
    try:
        return pack[name] if name in pack.files else None
    except Exception as error:  # as above
        raise ValueError(f"{name} in {path} cannot be read: {error}") from None


def _labelled(path: Path, labels: np.ndarray, classes: np.ndarray | None, missing) -> Listing:
    """The samples with their labels in words, "" for none."""
    notes = []
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels, notes = labels[:, 0], [f"labels of shape {labels.shape} are read as (N,)"]
    numbers = labels.dtype.kind in "biuf"
    if labels.ndim != 1 or not (numbers or labels.dtype.kind in "SU"):
        raise ValueError(f"labels must be (N,), numbers or text, got {labels.dtype} {labels.shape}")
    if numbers and np.isinf(labels).any():
        raise ValueError(f"labels must be finite, got infinity in row {np.isinf(labels).argmax()}")
    given = [in_words(label) for label in labels]
    names = [] if classes is None else _class_names(classes)
    if not names:
        texts = ["" if numbers and word == "nan" else word for word in given]
    else:
        texts = _by_place(labels, names) if numbers else _by_name(given, names, no_label(missing))
    emptied = {word.lower() for word, text in zip(given, texts, strict=True) if not text}
    paths, classes = [str(n) for n in range(len(texts))], tuple(names)
    listing = Listing(source=path, paths=paths, labels=texts, classes=classes, emptied=emptied, notes=notes)
    if not names:
        empty_missing(listing, missing)
    return listing


def _class_names(classes: np.ndarray) -> list[str]:
    if classes.ndim != 1 or classes.dtype.kind not in "SUiu":
        raise ValueError(f"classes must be names (K,), got {classes.dtype} {classes.shape}")
    names = [in_words(name) for name in classes]
    for name, count in Counter(names).items():
        if not name or count > 1:
            wrong = f"{name!r} {count} times" if name else "an empty one"
            raise ValueError(f"classes must be names that differ, got {wrong}")
    return names


def _by_place(labels: np.ndarray, names: list[str]) -> list[str]:
    wrong = np.flatnonzero(~np.isnan(labels) & ~np.isin(labels, np.arange(-1, len(names))))
    if len(wrong):
        places = f"places in classes, 0 … {len(names) - 1}, or -1 for none"
        raise ValueError(f"labels must be {places}, got {labels[wrong[0]]} in row {wrong[0]}")
    return [names[int(n)] if n >= 0 else "" for n in labels.tolist()]  # NaN is not


def _by_name(given: list[str], names: list[str], no_labels: set[str]) -> list[str]:
    texts = ["" if word not in names and word.lower() in no_labels else word for word in given]
    wrong = [n for n, word in enumerate(texts) if word and word not in names]
    if wrong:
        first = f"{texts[wrong[0]]!r} in row {wrong[0]}; to number the classes, save labels as integers"
        raise ValueError(f"labels must be in classes, got {first}")
    return texts


def _grey_or_colour(images: np.ndarray | None) -> np.ndarray | None:
    """Numbers (N, H, W) or (N, H, W, 3) of any layout. ValueError for others."""
    if images is None:
        return None
    given = images
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    fits = images.dtype.kind in "buif" and images.ndim in (3, 4) and images.shape[3:] in ((), (3,))
    if not fits or not all(images.shape[1:]):
        allowed = "numbers (N, H, W), or (N, H, W, C) or (N, C, H, W) with C = 1 or 3"
        raise ValueError(f"images must be {allowed}, got {given.dtype} {given.shape}")
    return images


def _take_pixels(listing: Listing, images: np.ndarray, needed: bool) -> None:
    """All on one scale, as uint8; samples with NaN are left out if pixels are needed."""
    pixels = tuple(range(1, images.ndim))
    lows, highs = images.min(pixels), images.max(pixels)
    finite = np.isfinite(lows) & np.isfinite(highs)
    if needed:
        listing.drop(np.flatnonzero(~finite), "its pixels hold NaN or infinity")
    scale, remark = pictures.Scale(0, 1), ""
    if finite.any():
        whole = images.dtype.kind in "bui"
        scale, remark = pictures.common_scale(lows[finite], highs[finite], whole)
    listing.notes += [remark] if remark else []
    listing.pixels, listing.originals = pictures.scaled(images, scale), images
