"""A reader's own data: an image folder by class, a CSV of path and label, or arrays. Never written to.

What cannot be used is named in `problems`, what is changed or guessed in `notes`, and the rest goes on; only
what leaves nothing to do, or could be read in two ways, is an error.
"""

import hashlib
import os
import stat
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robust_lib.find import arrays, folder, pictures, probabilities, tables
from robust_lib.find import features as feature_rows
from robust_lib.find.labels import in_order, look_alikes, no_label
from robust_lib.find.listing import Listing, Problem, Samples, as_path, many, shown

SMALL, LARGE = 32, 64  # pixels a side that larger images are resized to
SMALL_UP_TO = 40  # the median shorter side up to which images count as small
SETTLED = ("keep", "suggestion", "class")  # decisions that mend writes into its results, and that count there
FLOAT_BYTES = 2e9  # large images become small ones where all of them as float32 would need more


@dataclass(kw_only=True, eq=False)
class OwnData(Samples):
    """N samples that can be used.

    index: int64 (N,), the place in the source: the row of an array or of a CSV (the header not counted), or
    in the sorted list of a folder's images. labels: int64 (N,), numbers into classes.
    decided: bool (N,), which were decided before, so that they are not to be shown again. rows: int64 (L,),
    the row of features or probs of each of the L samples listed, -1 for none, or None where these are none.
    images: uint8 (N, C, S, S), or None where features or probs were given; features: float32 (N, D),
    standardised, or None; probs: float64 (N, K), or None.
    """

    index: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    images: torch.Tensor | None
    features: torch.Tensor | None
    decided: np.ndarray
    rows: np.ndarray | None
    probs: np.ndarray | None = None

    @property
    def signature(self) -> str:
        """md5 of all that training sees, and of the names: the same data, the same signature."""
        digest = hashlib.md5(repr((self.paths, self.classes)).encode(), usedforsecurity=False)
        inputs = self.images if self.features is None else self.features
        for array in (self.index, self.labels, None if inputs is None else inputs.numpy(), self.probs):
            if array is not None:
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def read(source, features=None, least: int = 2, paths=None, missing=None, probs=None) -> OwnData:
    """The samples of a folder with one sub-folder of images per class, of a .csv, or of an .npz.

    A CSV (or .tsv) has columns path (relative to its folder, or absolute) and label, between commas,
    semicolons, tabs or bars; without a header these are its first two. Where features or probs are given its
    paths may be ids (in a column path or id), or missing. Its column text, if it has one, is shown. An .npz
    has labels (N,), integers or text, and images (N, H, W), (N, H, W, C) or (N, C, H, W), or features (N, D);
    classes, an array of names, is optional.
    features: an array (N, D), a tensor or an .npy file, its rows in the order of the source; then images are
    only shown. probs: the same of probabilities (N, K), out of sample, or what probabilities.load takes.
    paths: which row belongs to which file: a text file of one path a line, or for a folder "sorted" or
    "imagefolder" (torchvision's), which is needed where these two differ. Of data that `mend` wrote,
    "find_row" for rows from before; needed where rows made anew would be as many, in another order. missing:
    the word or words that mean "no label" in a CSV or an .npz, in place of nan, none, null, "?" and, where it
    is the only negative class number, -1. A folder's name is always a label.
    Images get one size: their own up to 40 pixels a side if they are square and alike, 32 or 64 otherwise,
    their proportions not kept; grey ones stay grey if all are. Classes of fewer than `least` usable samples
    are left out. Raises ValueError where nothing can be read, where rows or labels could mean two things, or
    where fewer than two classes remain.
    """
    source = as_path("source", source)
    listing = list_samples(source, features is not None, missing, probs is not None)
    unused = () if missing is None else sorted(no_label(missing) - listing.emptied - {""})
    if unused:
        words = ", ".join(map(repr, unused))
        listing.notes.append(f"of the words in missing, these emptied no label: {words}")
    if features is not None:
        listing.features = feature_rows.load(features)
    listing.drop([n for n, label in enumerate(listing.labels) if not label], "no label")
    _check_files(listing, needed=listing.features is None and probs is None)
    rows = None if probs is None else probabilities.take(listing, probs, paths)
    if listing.features is not None:
        feature_rows.take(listing, paths)
    listing.rows = listing.rows if rows is None else rows
    if listing.features is not None or probs is not None:
        return _finish(listing, None, least)
    if paths is not None:
        raise ValueError(f"paths says in which order features come; got {str(paths)!r} without features")
    if listing.files is None and listing.pixels is None:
        raise ValueError(f"{listing.source.name} has labels only: images or features are needed beside them")
    return _finish(listing, _decode(listing, least), least)


def list_paths(source) -> str:
    """The images of a folder, or the paths of a CSV, one a line, as `paths` takes them."""
    orders = list_samples(as_path("source", source), True, None).orders
    if not any(map(any, orders.values())):
        raise ValueError(f"source must be a folder or a .csv, got {str(source)!r}, which holds no paths")
    return "".join(f"{path}\n" for path in next(iter(orders.values())))


def list_samples(source: Path, has_features: bool, missing, has_probs: bool = False) -> Listing:
    """What `read` begins with. ValueError as there."""
    if source.is_dir():
        return folder.read(source).stamped()
    if source.is_file() and source.suffix.lower() in (".csv", ".tsv"):
        return tables.read(source, has_features or has_probs, missing).stamped()
    if source.is_file() and source.suffix.lower() == ".npz":
        return arrays.read(source, has_features, has_probs, missing).stamped()
    there = "something else" if source.exists() else "nothing there"
    raise ValueError(f"source must be a folder, a .csv or an .npz, got {str(source)!r} ({there})")


def _check_files(listing: Listing, needed: bool) -> None:
    """Leaves out samples without a file; where files are not needed such a sample only has no picture."""
    files = listing.files or []
    for n in np.flatnonzero(listing.usable[: len(files)]):
        why = _cannot_open(files[n])
        if why and needed:
            listing.drop(n, why)
        elif why:
            files[n] = None
        elif shown(files[n]) != str(files[n]):
            why = "its name holds control characters or bytes that are no UTF-8, written \\x.. here"
            listing.remark(n, why)
    if None in files and not (all(file is None for file in files) and listing.texts):
        listing.notes.append(f"{files.count(None):,} of {len(files):,} samples have no picture to show")
    listing.files = files if any(files) else None


def _cannot_open(file: Path) -> str:
    """Why this is no file that can be read, or ""."""
    try:
        mode = os.stat(file).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a link to nothing" if os.path.islink(file) else "no such file"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return f"cannot be reached ({getattr(error, 'strerror', None) or error})"
    if stat.S_ISDIR(mode):
        return "a folder, not a file"
    return "" if stat.S_ISREG(mode) else "no regular file"


# --- pictures -----------------------------------------------------------------------------------------


def _decode(listing: Listing, least: int) -> torch.Tensor:
    """The images of the usable samples, uint8 (N, C, S, S); leaves out what cannot be decoded, and copies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on damaged metadata: the pixels are what counts
        sizes = _sizes(listing)
        if not sizes:
            raise ValueError(f"{listing.source} has no image that can be read{listing.first_problems()}")
        side = _side(list(sizes.values()), listing.notes)
        images, grey, decoded = np.empty((len(sizes), side, side, 3), dtype=np.uint8), [], []
        for n in sizes:
            with _dropping(listing, n):
                picture = listing.picture(n, 2 * side)
                images[len(decoded)] = np.asarray(picture.resize((side, side)).convert("RGB"))
                grey.append(picture.mode == "L")
                decoded.append(n)
        _drop_copies(listing, decoded, images, least)
    used = listing.usable[decoded]
    images, grey = images[: len(decoded)][used].transpose(0, 3, 1, 2), np.array(grey, dtype=bool)[used]
    if 0 < grey.sum() < len(grey):
        listing.notes.append(f"{grey.sum():,} of {len(grey):,} images are grey: all are read as colour")
    return torch.from_numpy(np.ascontiguousarray(images[:, :1] if grey.all() else images))


@contextmanager
def _dropping(listing: Listing, n: int):
    """Leaves out a sample whose picture cannot be read."""
    try:
        yield
    except Exception as error:  # decoders raise whatever they like
        listing.drop(n, f"cannot be read ({pictures.reason(error)})")


def _sizes(listing: Listing) -> dict[int, tuple[int, int]]:
    """Width and height of every picture in use; sets the scales of deep ones."""
    usable = np.flatnonzero(listing.usable).tolist()
    if listing.files is None:
        return dict.fromkeys(usable, listing.pixels.shape[2:0:-1])
    sizes, ranges, cut = {}, {}, 0
    for n in usable:
        with _dropping(listing, n):
            sizes[n], deep, is_cut = pictures.survey(listing.files[n])
            cut += is_cut
            if deep:
                ranges.setdefault(deep[0], []).append(deep[1:])
    for kind, pairs in sorted(ranges.items()):
        lows, highs = zip(*pairs, strict=True)
        listing.scales[kind], remark = pictures.common_scale(lows, highs, whole=kind == "integers")
        if remark:
            listing.notes.append(f"{many(len(pairs), 'image', 'holds')} {kind} of more than 8 bits: {remark}")
    if cut:
        listing.notes.append(
            f"CAUTION: {many(cut, 'image', 'holds')} 16 bits a colour, of which Pillow reads the upper 8 "
            "only; values of 8 to 12 bits come out black or dark: save such images with 8 bits a colour"
        )
    return sizes


def _side(sizes: list[tuple[int, int]], notes: list[str]) -> int:
    """The side of the square that all images are resized to."""
    smallest, largest = min(sizes), max(sizes)
    if smallest == largest and smallest[0] == smallest[1] <= SMALL_UP_TO:
        return smallest[0]
    side = SMALL if np.median([min(size) for size in sizes]) <= SMALL_UP_TO else LARGE
    if 3 * 4 * LARGE**2 * len(sizes) > FLOAT_BYTES:
        side = SMALL
    width, height = smallest
    span = f"{width} × {height}" + (" … {} × {}".format(*largest) if largest != smallest else "")
    notes.append(
        f"images of {span} pixels: all are made square, proportions not kept; {side} × {side} for networks "
        "trained from scratch, a backbone's own size for a backbone"
    )
    return side


def _drop_copies(listing: Listing, decoded: list[int], images: np.ndarray, least: int) -> None:
    """Leaves out copies within a class (one in training betrays the other), but for those it needs.

    All pixels are compared only where two pictures look the same when they are small.
    """
    full = listing.files if listing.originals is None else listing.originals
    looks = [pictures.fingerprint(images[k]) for k in range(len(decoded))]
    times = Counter(looks)
    owners: dict[bytes, dict[str, int]] = {}  # by all pixels, the first sample of each label
    copies = []
    for n in (n for n, look in zip(decoded, looks, strict=True) if times[look] > 1):
        with _dropping(listing, n):
            label, first = listing.labels[n], owners.setdefault(pictures.fingerprint(full[n]), {})
            if label in first:
                copies.append((n, f"the same picture as {listing.paths[first[label]]}"))
                listing.copies[n] = first[label]
            elif first:
                other, twin = next(iter(first.items()))
                why = f"the same picture as {listing.paths[twin]}, which is labelled {other}"
                listing.remark(n, f"{why}: not both can be right")
            first.setdefault(label, n)
    counts = Counter(listing.labels[n] for n in np.flatnonzero(listing.usable))
    counts.subtract(listing.labels[n] for n, _ in copies)
    for n, same in copies:
        label = listing.labels[n]
        if counts[label] < least:
            counts[label] += 1
            del listing.copies[n]
            listing.remark(n, f"{same}; kept, for the class has few others")
        else:
            listing.drop(n, same)


# --- the outcome --------------------------------------------------------------------------------------


def _finish(listing: Listing, images: torch.Tensor | None, least: int) -> OwnData:
    """images, or listing.features, have a row for each usable sample; classes of too few go here."""
    before = np.flatnonzero(listing.usable)
    counts = Counter(listing.labels[n] for n in before)
    for n in before:
        count = counts[listing.labels[n]]
        if count < least:
            few = f"{count}, at least {least} are needed"
            listing.drop(n, f"too few usable samples of class {listing.labels[n]}: {few}")
    lost = {*listing.labels, *listing.classes} - {*counts, ""}
    listing.problems += [Problem(label, "a class without a usable sample") for label in sorted(lost)]
    index, used = np.flatnonzero(listing.usable), torch.from_numpy(listing.usable[before])
    classes = in_order({listing.labels[n] for n in index}, listing.classes)
    if len(classes) < 2:
        remaining = ", ".join(classes) or "none"
        raise ValueError(f"at least two classes are needed, got {remaining}{listing.first_problems()}")
    listing.notes += look_alikes(classes)
    number = {label: k for k, label in enumerate(classes)}
    features = None if listing.features is None else torch.from_numpy(listing.features)
    return OwnData(
        source=listing.source,
        paths=[listing.paths[n] for n in index],
        texts=listing.texts and [listing.texts[n] for n in index],
        files=listing.files and [listing.files[n] for n in index],
        pixels=None if listing.pixels is None else [listing.pixels[n] for n in index],
        scales=listing.scales,
        problems=listing.problems,
        notes=listing.notes,
        stamp=listing.stamp,
        copies=listing.copies,
        index=index,
        labels=np.array([number[listing.labels[n]] for n in index]),
        classes=classes,
        images=images if images is None or used.all() else images[used],
        features=features if features is None or used.all() else features[used],
        decided=np.array([listing.decisions[n] in SETTLED for n in index]),
        rows=listing.rows,
        probs=None if listing.probs is None else probabilities.of_classes(listing, index, classes),
    )
