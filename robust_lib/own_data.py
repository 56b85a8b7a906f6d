"""A reader's own data: an image folder by class, a CSV of path and label, or arrays. Never written to.

What cannot be used is named in `problems`, and the rest goes on; only what leaves nothing to do is an error.
"""

import csv
import hashlib
import os
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

NO_LABEL = ("", "nan", "none", "null", "?", "-1")  # in a CSV or an array, in small letters
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
SMALL, LARGE = 32, 64  # pixels a side that larger images are resized to
SMALL_UP_TO = 40  # the median shorter side up to which images count as small
FLOAT_BYTES = 2e9  # large images become small ones where all of them as float32 would need more


class Problem(NamedTuple):
    """Something in the input that was left out or deserves a look, in words."""

    path: str
    problem: str


@dataclass(frozen=True, eq=False)
class OwnData:
    """N samples that can be used.

    paths: names for people (relative to the folder or the CSV's folder; the position in an array).
    index: int64 (N,), the place in the source: the row of an array or of a CSV (the header not counted), or
    in the sorted list of a folder's images. labels: int64 (N,), numbers into classes.
    images: uint8 (N, C, S, S), or None where features were given; features: float32 (N, D) or None.
    """

    source: Path
    paths: list[str]
    index: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    images: torch.Tensor | None
    features: torch.Tensor | None
    problems: list[Problem]
    notes: list[str]
    files: list[Path] | None = None
    pixels: np.ndarray | None = field(default=None, repr=False)

    def picture(self, position: int, near: int | None = None):
        """The original picture of a sample as a PIL image of mode L or RGB; None if there is none.

        near: a JPEG may be decoded at a fraction of its size, not below so many pixels a side (faster).
        """
        if self.files is not None:
            return _open(self.files[position], near)
        return None if self.pixels is None else _pil(self.pixels[self.index[position]])

    @property
    def signature(self) -> str:
        """md5 of all that training sees, and of the names: the same data, the same signature."""
        digest = hashlib.md5(repr((self.paths, self.classes)).encode(), usedforsecurity=False)
        inputs = self.images if self.features is None else self.features
        for array in (self.index, self.labels, inputs.numpy()):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


@dataclass
class _Listing:
    """What a source lists, before anything is opened, and what of it is still in use."""

    source: Path
    paths: list[str]
    labels: list[str]
    files: list[Path] | None = None
    pixels: np.ndarray | None = None
    features: np.ndarray | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.alive = np.ones(len(self.paths), dtype=bool)

    def drop(self, position: int, why: str) -> None:
        self.alive[position] = False
        self.problems.append(Problem(self.paths[position], f"left out: {why}"))


def read(source, features=None, least: int = 2) -> OwnData:
    """The samples of a folder with one sub-folder of images per class, of a .csv, or of an .npz.

    A CSV has columns path (relative to the CSV's folder, or absolute) and label; without a header these are
    its first two. An .npz has labels (N,), integers or text, and images (N, H, W), (N, H, W, C) or
    (N, C, H, W), or features (N, D); classes, an array of names, is optional for integer labels.
    features: an .npy file or array (N, D), its rows in the order of the source; then images are only shown.
    Missing labels are empty cells, NaN, "?", "none", "null" and -1. Images get one size: their own up to 40
    pixels a side if they are square and alike, else 32 or 64, their proportions not kept; grey ones stay grey
    if all are. Classes of fewer than `least` usable samples are left out. Raises ValueError where nothing can
    be read, or fewer than two classes remain.
    """
    source = Path(source)
    if source.is_dir():
        listing = _folder(source)
    elif source.suffix.lower() in (".csv", ".npz") and source.is_file():
        listing = _csv(source) if source.suffix.lower() == ".csv" else _arrays(source)
    else:
        there = "something else" if source.exists() else "nothing there"
        raise ValueError(f"source must be a folder, a .csv or an .npz, got {str(source)!r} ({there})")
    _check_names(listing)
    if features is not None:
        listing.features = _load_features(features)
    if listing.features is not None:
        images = _check_features(listing)
    elif listing.files is None and listing.pixels is None:
        raise ValueError(f"{source.name} has labels only: images or features are needed beside them")
    else:
        images = _decode(listing)
    return _finish(listing, images, least)


def _folder(root: Path) -> _Listing:
    """Every image below root/CLASS/, sorted; links to folders are followed, once each."""
    from PIL import Image

    endings = set(Image.registered_extensions()) - {".pdf", ".mpg", ".mpeg"}
    visible = [entry for entry in sorted(root.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in visible if entry.is_dir()]
    if folders and {folder.name.lower() for folder in folders} <= SPLITS:
        names = ", ".join(folder.name for folder in folders)
        raise ValueError(f"{root} holds splits, not classes ({names}): give one of them")
    found, odd = [], [(file, "lies in no class folder") for file in visible if file.is_file()]
    above = [os.path.realpath(root), *map(str, root.resolve().parents)]
    for folder in folders:
        files, seen = [], set(above)
        for place, inner, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            if real in seen:
                inner.clear()
                odd.append((Path(place), "a link to a folder that is read already"))
                continue
            seen.add(real)
            files += [Path(place, name) for name in names if not name.startswith(".")]
            inner[:] = [name for name in inner if not name.startswith(".")]
        kept = [file for file in sorted(files) if file.suffix.lower() in endings]
        odd += [(file, "no image by its name") for file in sorted(set(files) - set(kept))]
        odd += [] if kept else [(folder, "a class folder without images")]
        found += [(file, folder.name) for file in kept]
    if not found:
        raise ValueError(f"{root} has no images in sub-folders, one per class: nothing to read")
    files = [file for file, _ in found]
    paths = [shown(file.relative_to(root)) for file in files]
    listing = _Listing(root, paths, [shown(name) for _, name in found], files)
    listing.problems += [Problem(shown(path.relative_to(root)), f"left out: {why}") for path, why in odd]
    return listing


def _csv(path: Path) -> _Listing:
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        try:
            rows = [row for row in csv.reader(file) if row]
        except csv.Error as error:
            raise ValueError(f"{path} cannot be read as a CSV: {error}") from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if {"path", "label"} <= set(header):
        at, rows = (header.index("path"), header.index("label")), rows[1:]
    elif rows and len(rows[0]) > 1 and (path.parent / rows[0][0].strip()).is_file():
        at = (0, 1)
    else:
        raise ValueError(f"{path} must have the columns path and label, got {', '.join(header) or 'no line'}")
    cells = [[row[k].strip() if k < len(row) else "" for k in at] for row in rows]
    files = [path.parent / name for name, _ in cells]
    names = [shown(name) or f"row {number}" for number, (name, _) in enumerate(cells)]
    listing = _Listing(path, names, [shown(label) for _, label in cells], files)
    first: dict[str, int] = {}
    for n, ((name, label), file) in enumerate(zip(cells, files, strict=True)):
        if not name:
            listing.drop(n, "no path in this row")
        elif (before := first.setdefault(os.path.abspath(file), n)) != n:
            other = cells[before][1]
            same = "the same label" if label == other else f"{label!r}, and {other!r} first, which counts"
            listing.drop(n, f"given twice, with {same}")
    return listing


def _arrays(path: Path) -> _Listing:
    try:
        with np.load(path, allow_pickle=False) as pack:
            held = {name: pack[name] for name in pack.files}
    except Exception as error:  # zip, zlib, header and pickle errors alike
        raise ValueError(f"{path} cannot be read: {error}") from None
    if "labels" not in held or held["labels"].ndim != 1:
        raise ValueError(f"{path} must hold labels (N,), got {', '.join(held) or 'nothing'}")
    labels, pixels, features = held["labels"], held.get("images"), held.get("features")
    for name, array in (("images", pixels), ("features", features)):
        if array is not None and (array.ndim < 2 or len(array) != len(labels)):
            raise ValueError(f"{name} must have one row per label ({len(labels)}), got shape {array.shape}")
    texts = [f"{label:.15g}" if labels.dtype.kind == "f" else str(label).strip() for label in labels]
    if (names := held.get("classes")) is not None:
        texts = [str(names[int(n)]) if n.isdigit() and int(n) < len(names) else "" for n in texts]
    listing = _Listing(path, [str(n) for n in range(len(texts))], texts)
    listing.features = None if features is None else _load_features(features)
    listing.pixels = None if pixels is None else _as_pixels(pixels)
    return listing


def _as_pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W) or (N, H, W, 3)."""
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.dtype.kind not in "uif" or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)):
        allowed = "numbers (N, H, W), or (N, H, W, C) or (N, C, H, W) with C = 1 or 3"
        raise ValueError(f"images must be {allowed}, got {images.dtype} {images.shape}")
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if not 0 <= low <= high <= 255:  # in this form NaN is wrong too
        raise ValueError(f"images must lie in 0 … 1 or in 0 … 255, got {low:g} … {high:g}")
    return (images * 255.0).round().astype(np.uint8) if high <= 1 else images.round().astype(np.uint8)


def _load_features(features) -> np.ndarray:
    if not isinstance(features, np.ndarray | torch.Tensor):
        try:
            features = np.load(features, allow_pickle=False)
        except Exception as error:  # as in _arrays
            raise ValueError(f"features cannot be read from {features}: {error}") from None
    features = np.asarray(features)
    if features.ndim != 2 or features.dtype.kind not in "uif" or not features.size:
        raise ValueError(f"features must be numbers (N, D), got {features.dtype} {features.shape}")
    return features.astype(np.float32)


def _check_names(listing: _Listing) -> None:
    for n, label in enumerate(listing.labels):
        if listing.alive[n] and label.lower() in NO_LABEL:
            listing.drop(n, f"no label ({label})" if label else "no label")
    for n, file in enumerate(listing.files or ()):
        if listing.alive[n] and not file.is_file():
            why = "a link to nothing" if file.is_symlink() else "no such file"
            listing.drop(n, "a folder, not a file" if file.exists() else why)
        elif listing.alive[n] and not _is_utf8(file):
            why = "its name is no UTF-8; the bytes that are none are written \\x.. here"
            listing.problems.append(Problem(listing.paths[n], why))


def _check_features(listing: _Listing) -> None:
    rows = len(listing.features)
    if rows != len(listing.paths):
        raise ValueError(f"features must have a row for each of {len(listing.paths)} samples, got {rows}")
    for n in np.flatnonzero(listing.alive & ~np.isfinite(listing.features).all(1)):
        listing.drop(n, "its features hold NaN or infinity")


def _decode(listing: _Listing) -> torch.Tensor:
    """Images uint8 (positions in use at the end, C, S, S)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on damaged metadata: the pixels are what counts
        sizes = _sizes(listing)
        if not sizes:
            raise ValueError(f"{listing.source} has no image that can be read{_first_problems(listing)}")
        side = _side(list(sizes.values()), listing.notes)
        images, grey = np.empty((len(sizes), side, side, 3), dtype=np.uint8), np.ones(len(sizes), dtype=bool)
        kept, seen = [], {}
        for n in sizes:
            try:
                picture = _open(listing.files[n], 2 * side) if listing.files else _pil(listing.pixels[n])
                grey[len(kept)] = picture.mode == "L"
                small = np.asarray(picture.resize((side, side)).convert("RGB"))
            except Exception as error:  # decoders raise whatever they like
                listing.drop(n, f"cannot be read ({_reason(error)})")
                continue
            if _is_new(listing, n, small, seen):
                images[len(kept)] = small
                kept.append(n)
    images, grey = images[: len(kept)].transpose(0, 3, 1, 2), grey[: len(kept)]
    if 0 < grey.sum() < len(grey):
        listing.notes.append(f"{grey.sum():,} of {len(grey):,} images are grey: all are read as colour")
    return torch.from_numpy(np.ascontiguousarray(images[:, :1] if grey.all() else images))


def _sizes(listing: _Listing) -> dict[int, tuple[int, int]]:
    """Width and height of every picture in use, from the files' headers."""
    from PIL import Image

    sizes = {}
    for n in np.flatnonzero(listing.alive).tolist():
        if listing.files is None:
            sizes[n] = listing.pixels.shape[2:0:-1]
            continue
        try:
            with Image.open(listing.files[n]) as picture:
                sizes[n] = picture.size
        except Exception as error:  # as in _decode
            listing.drop(n, f"cannot be read ({_reason(error)})")
    return sizes


def _side(sizes: list[tuple[int, int]], notes: list[str]) -> int:
    least, most = min(sizes), max(sizes)
    if least == most and least[0] == least[1] <= SMALL_UP_TO:
        return least[0]
    side = SMALL if np.median([min(size) for size in sizes]) <= SMALL_UP_TO else LARGE
    if 3 * 4 * LARGE**2 * len(sizes) > FLOAT_BYTES:
        side = SMALL
    range_of = f"{least[0]} × {least[1]}" + ("" if least == most else f" … {most[0]} × {most[1]}")
    notes.append(f"images of {range_of} pixels: all resized to {side} × {side}, proportions not kept")
    return side


def _is_new(listing: _Listing, n: int, small: np.ndarray, seen: dict[bytes, int]) -> bool:
    """False, and left out, if an image of the same label has the same pixels."""
    before = seen.setdefault(hashlib.md5(small.tobytes(), usedforsecurity=False).digest(), n)
    twin, label = listing.paths[before], listing.labels[before]
    if before != n and listing.labels[n] == label:
        listing.drop(n, f"the same picture as {twin}")
    elif before != n:
        why = f"the same picture as {twin}, which is labelled {label}: not both can be right"
        listing.problems.append(Problem(listing.paths[n], why))
    return bool(listing.alive[n])


def _finish(listing: _Listing, images: torch.Tensor | None, least: int) -> OwnData:
    before = np.flatnonzero(listing.alive)
    counts = Counter(listing.labels[n] for n in before)
    for n in before:
        if (count := counts[label := listing.labels[n]]) < least:
            wanted = f"{count}, at least {least} are needed"
            listing.drop(n, f"too few usable samples of class {label}: {wanted}")
    lost = {label for label in listing.labels if label.lower() not in NO_LABEL and not counts[label]}
    listing.problems += [Problem(label, "a class without a usable sample") for label in sorted(lost)]
    index = np.flatnonzero(listing.alive)
    used = {listing.labels[n] for n in index}
    numbers = all(label.isdecimal() for label in used)
    classes = tuple(sorted(used, key=lambda label: (int(label) if numbers else 0, label)))
    if len(classes) < 2:
        held = ", ".join(classes) or "none"
        raise ValueError(f"at least two classes are needed, got {held}{_first_problems(listing)}")
    place = {label: k for k, label in enumerate(classes)}
    return OwnData(
        source=listing.source,
        paths=[listing.paths[n] for n in index],
        index=index,
        labels=np.array([place[listing.labels[n]] for n in index]),
        classes=classes,
        images=None if images is None else images[torch.from_numpy(listing.alive[before])],
        features=None if listing.features is None else torch.from_numpy(listing.features[index]),
        problems=listing.problems,
        notes=listing.notes,
        files=listing.files and [listing.files[n] for n in index],
        pixels=listing.pixels,
    )


def _open(file: Path, near: int | None = None):
    """The picture upright, on white where it is transparent, of mode L or RGB.

    near: JPEGs may be decoded at a fraction of their size, not below so many pixels a side (faster).
    """
    from PIL import Image, ImageOps

    with Image.open(file) as opened:
        if near:
            opened.draft(None, (near, near))
        picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I"):  # 16 bits: PIL would clip them
        return Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if "A" in picture.mode or "transparency" in picture.info:
        back = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(back, picture.convert("RGBA"))
    return picture.convert(mode)


def _pil(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def shown(path) -> str:
    """The path for people: bytes that are no UTF-8 become \\x…"""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_utf8(path: Path) -> bool:
    return shown(path) == str(path)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its message is the path
        return "no image, or of a kind that PIL does not know"
    return " ".join(str(error).split())[:120] or type(error).__name__


def _first_problems(listing: _Listing) -> str:
    lines = [f"\n  {problem.path}: {problem.problem}" for problem in listing.problems[:5]]
    return "".join(lines) + ("\n  …" if len(listing.problems) > 5 else "")
