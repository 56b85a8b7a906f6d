"""A reader's own data: an image folder by class, a CSV of path and label, or arrays. Never written to.

What cannot be used is named in `problems`, what is changed or guessed in `notes`, and the rest goes on; only
what leaves nothing to do, or could be read in two ways, is an error.
"""

import hashlib
import os
import re
import stat
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from robust_lib.find import pictures, tables
from robust_lib.find.features import FARTHEST, finite, standardised
from robust_lib.find.features import load as load_features

NO_LABEL = ("", "nan", "none", "null", "?")  # in a CSV or an array, in small letters; for -1 see _unlabelled
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
# What systems leave in folders, in small letters; so is every name that begins with a dot.
JUNK = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "@eadir", "@recycle"}
JUNK |= {"@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
JUNK |= {"lost+found", "__macosx", "__pycache__"}
IMAGE_FOLDER = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
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
    images: uint8 (N, C, S, S), or None where features were given; features: float32 (N, D), standardised, or
    None. files: where the pictures are, None for a sample without one. scales: of deep pictures, by kind.
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
    files: list[Path | None] | None = None
    pixels: np.ndarray | None = field(default=None, repr=False)
    scales: dict[str, pictures.Scale] = field(default_factory=dict)

    def picture(self, position: int, near: int | None = None):
        """The original picture of a sample as a PIL image of mode L or RGB; None if there is none.

        near: as pictures.load.
        """
        if self.files is not None:
            file = self.files[position]
            return None if file is None else pictures.as_8_bits(pictures.load(file, near), self.scales)
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
    """What a source lists, before anything is opened, and what of it is still in use.

    labels: "" where there is none. classes: the names that the source itself gives, if it does. orders: in
    which rows of features may come, by name. originals: the pixels of an array before they were scaled.
    none: the words, in small letters, that were read as "no label".
    """

    source: Path
    paths: list[str]
    labels: list[str]
    files: list[Path | None] | None = None
    pixels: np.ndarray | None = None
    originals: np.ndarray | None = None
    features: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    orders: dict[str, list[str]] = field(default_factory=dict)
    none: set[str] = field(default_factory=set)
    scales: dict[str, pictures.Scale] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.alive = np.ones(len(self.paths), dtype=bool)

    def drop(self, position: int, why: str) -> None:
        self.alive[position] = False
        self.problems.append(Problem(self.paths[position], f"left out: {why}"))

    @property
    def root(self) -> Path:
        return self.source if self.source.is_dir() else self.source.parent


def read(source, features=None, least: int = 2, paths=None, missing=None) -> OwnData:
    """The samples of a folder with one sub-folder of images per class, of a .csv, or of an .npz.

    A CSV (or .tsv) has columns path (relative to its folder, or absolute) and label, between commas,
    semicolons, tabs or bars; without a header these are its first two. Where features are given its paths may
    be ids, or missing. An .npz has labels (N,), integers or text, and images (N, H, W), (N, H, W, C) or
    (N, C, H, W), or features (N, D); classes, an array of names, is optional.
    features: an array (N, D), a tensor or an .npy file, its rows in the order of the source; then images are
    only shown. paths: which row belongs to which file: a text file of one path a line, or for a folder
    "sorted" or "imagefolder" (torchvision's), which is needed where these two differ.
    missing: the word or words that mean "no label" in a CSV or an .npz, in place of nan, none, null, "?" and,
    where it is the only negative class number, -1. A folder's name is always a label.
    Images get one size: their own up to 40 pixels a side if they are square and alike, 32 or 64 otherwise,
    their proportions not kept; grey ones stay grey if all are. Classes of fewer than `least` usable samples
    are left out. Raises ValueError where nothing can be read, where rows or labels could mean two things, or
    where fewer than two classes remain.
    """
    listing = _list(Path(source), features is not None, missing)
    unused = sorted(_words(missing) - listing.none - {""}) if missing is not None else []
    if unused:
        words = ", ".join(map(repr, unused))
        listing.notes.append(f"of the words in missing, these emptied no label: {words}")
    if features is not None:
        listing.features = load_features(features)
    for n, label in enumerate(listing.labels):
        if listing.alive[n] and not label:
            listing.drop(n, "no label")
    _check_files(listing)
    if listing.features is not None:
        kept, images = _check_features(listing, paths), None
    elif paths is not None:
        raise ValueError(f"paths says in which order features come; got {str(paths)!r} without features")
    elif listing.files is None and listing.pixels is None:
        raise ValueError(f"{listing.source.name} has labels only: images or features are needed beside them")
    else:
        kept, images = _decode(listing, least)
    return _finish(listing, kept, images, least)


def list_paths(source) -> str:
    """The images of a folder, or the paths of a CSV, one a line, as `paths` takes them."""
    orders = _list(Path(source), True, None).orders
    if not orders:
        raise ValueError(f"source must be a folder or a .csv, got {str(source)!r}, which holds no paths")
    return "".join(f"{path}\n" for path in next(iter(orders.values())))


def _list(source: Path, has_features: bool, missing) -> _Listing:
    if source.is_dir():
        return _folder(source)
    kind = source.suffix.lower()
    if kind in (".csv", ".tsv", ".npz") and source.is_file():
        reader = _arrays if kind == ".npz" else _csv
        return reader(source, has_features, missing)
    there = "something else" if source.exists() else "nothing there"
    raise ValueError(f"source must be a folder, a .csv or an .npz, got {str(source)!r} ({there})")


# --- folders ------------------------------------------------------------------------------------------


def _folder(root: Path) -> _Listing:
    """Every image below root/CLASS/, sorted; links to folders are followed, once each."""
    from PIL import Image

    endings = set(Image.registered_extensions()) - {".pdf", ".mpg", ".mpeg"}
    odd: list[tuple[Path, str]] = []
    loose, folders = _entries(root)
    usual = [folder for folder in folders if not _is_junk(folder.name)]
    if usual and {folder.name.lower() for folder in usual} <= SPLITS:
        names = ", ".join(folder.name for folder in usual)
        raise ValueError(f"{root} holds splits, not classes ({names}): give one of them")
    odd += [(file, "lies in no class folder") for file in loose if not _is_junk(file.name)]
    junk = Counter(shown(file.name) for file in loose if _is_junk(file.name))
    found, theirs = [], []
    for folder in folders:
        files = sorted(_below(folder, root, odd))  # of (folder as text, name), as torchvision sorts them
        theirs += [os.path.join(*file) for file in files if file[1].lower().endswith(IMAGE_FOLDER)]
        parts = [(file := Path(*pair), file.relative_to(root).parts) for pair in files]
        left = [next((part for part in names if _is_junk(part)), None) for _, names in parts]
        junk.update(shown(name) for name in left if name)
        pairs = [pair for pair, name in zip(parts, left, strict=True) if not name]
        seen = [file for file, _ in sorted(pairs, key=lambda pair: pair[1])]
        kept = [file for file in seen if file.suffix.lower() in endings]
        odd += [(file, "no image by its name") for file in seen if file.suffix.lower() not in endings]
        odd += [(folder, "a class folder without images")] * (not kept and not _is_junk(folder.name))
        found += [(file, folder.name) for file in kept]
    if not found:
        raise ValueError(f"{root} has no images in sub-folders, one per class: nothing to read")
    files = [file for file, _ in found]
    paths = [shown(file.relative_to(root)) for file in files]
    listing = _Listing(root, paths, [shown(name) for _, name in found], list(files))
    listing.problems += [Problem(shown(path.relative_to(root)), f"left out: {why}") for path, why in odd]
    if junk:
        listing.notes.append(f"passed over, as hidden or left by a system: {_counted(junk)}")
    ours = [str(file.relative_to(root)) for file in files]
    listing.orders = {"sorted": ours, "imagefolder": [os.path.relpath(file, root) for file in theirs]}
    return listing


def _entries(root: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in the root, sorted. ValueError where it cannot be listed."""
    try:
        entries = sorted(root.iterdir(), key=lambda entry: entry.name)  # paths sort otherwise on Windows
    except OSError as error:
        raise ValueError(f"{root} cannot be listed: {error.strerror}") from None
    are_folders = [os.path.isdir(entry) for entry in entries]
    files, folders = (
        [e for e, is_one in zip(entries, are_folders, strict=True) if is_one == k] for k in (0, 1)
    )
    return files, folders


def _below(folder: Path, root: Path, odd: list[tuple[Path, str]]) -> Iterator[tuple[str, str]]:
    """(folder, name) of every file below a class folder; odd gets the folders that cannot be read."""
    seen = {os.path.realpath(root), *map(str, root.resolve().parents)}

    def failed(error: OSError) -> None:
        odd.append((Path(error.filename), f"a folder that cannot be read ({error.strerror})"))

    for place, inner, names in os.walk(folder, onerror=failed, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            inner.clear()
            odd.append((Path(place), "a link to a folder that is read already"))
            continue
        seen.add(real)
        if names and not os.access(place, os.X_OK):
            inner.clear()
            odd.append((Path(place), "a folder that cannot be entered (Permission denied)"))
            continue
        yield from ((place, name) for name in names)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


# --- CSVs ---------------------------------------------------------------------------------------------


def _csv(path: Path, has_features: bool, missing) -> _Listing:
    rows, files, notes = tables.read(path, has_features)
    names = [shown(name) or f"row {number}" for number, (_, (name, _)) in enumerate(rows)]
    labels = [shown(row.cells[1]) for row in rows]
    listing = _Listing(path, names, labels, files, notes=notes)
    listing.orders = {"rows": [row.cells[0] for row in rows]}
    _unlabelled(listing, missing)
    first: dict[str, int] = {}
    for n, (line, (name, _)) in enumerate(rows):
        if not name and not has_features:
            listing.drop(n, f"no path in line {line}")
        if not name:
            continue
        before = first.setdefault(os.path.abspath(path.parent / name), n)
        if before == n:
            continue
        here, there = listing.labels[n], listing.labels[before]
        if here and not there:  # the row that has a label counts
            first[os.path.abspath(path.parent / name)] = n
            listing.drop(before, f"given twice, without a label here, and with {here!r} in line {line}")
        else:
            same = "the same label" if here else "no label either time"
            same = same if here == there else f"{here!r}, and {there!r} first, which counts"
            listing.drop(n, f"given twice, with {same}")
    return listing


# --- arrays -------------------------------------------------------------------------------------------


def _arrays(path: Path, has_features: bool, missing) -> _Listing:
    try:
        pack = np.load(path, allow_pickle=False)
    except Exception as error:  # zip, zlib, header and pickle errors alike
        raise ValueError(f"{path} cannot be read: {error}") from None
    with pack:
        if "labels" not in pack.files:
            raise ValueError(f"{path} must hold labels (N,), got {', '.join(pack.files) or 'nothing'}")
        labels, classes = (_member(pack, name, path) for name in ("labels", "classes"))
        notes = []
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels, notes = labels[:, 0], [f"labels of shape {labels.shape} are read as (N,)"]
        names = [] if classes is None else _class_names(classes)
        texts = _label_texts(labels, names, missing)
        listing = _Listing(path, [str(n) for n in range(len(texts))], texts, notes=notes)
        listing.classes = tuple(names)
        listing.none = {_written(labels[n]).lower() for n, text in enumerate(texts) if not text}
        if not names:
            _unlabelled(listing, missing)
        held = {} if has_features else {"features": _member(pack, "features", path)}
        try:
            held["images"] = _member(pack, "images", path)
        except ValueError as error:
            if not has_features and held["features"] is None:
                raise
            listing.notes.append(f"no pictures are shown: {error}")
    for name, array in held.items():
        if array is not None and (array.ndim < 2 or len(array) != len(texts)):
            raise ValueError(f"{name} must have one row per label ({len(texts)}), got shape {array.shape}")
    if held.get("features") is not None:
        listing.features = load_features(held["features"])
    if held.get("images") is not None:
        _take_pixels(listing, held["images"], needed=listing.features is None and not has_features)
    return listing


def _member(pack, name: str, path: Path) -> np.ndarray | None:
    try:
        return pack[name] if name in pack.files else None
    except Exception as error:  # as above
        raise ValueError(f"{name} in {path} cannot be read: {error}") from None


def _class_names(classes: np.ndarray) -> list[str]:
    if classes.ndim != 1 or classes.dtype.kind not in "SUiu":
        raise ValueError(f"classes must be names (K,), got {classes.dtype} {classes.shape}")
    names = [_as_text(name) for name in classes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or "" in names:
        wrong = f"{twice[0]!r} {names.count(twice[0])} times" if twice else "an empty one"
        raise ValueError(f"classes must be names that differ, got {wrong}")
    return names


def _label_texts(labels: np.ndarray, names: list[str], missing) -> list[str]:
    """Each label in words, "" for NaN and, where there are class names, for what stands for none."""
    if labels.ndim != 1 or labels.dtype.kind not in "biufSU":
        raise ValueError(f"labels must be (N,), numbers or text, got {labels.dtype} {labels.shape}")
    if labels.dtype.kind in "SU":
        texts = [_as_text(label) for label in labels]
        words = NO_LABEL if missing is None else _words(missing)
        if names:
            texts = ["" if t not in names and t.lower() in words else t for t in texts]
            strange = next((n for n, text in enumerate(texts) if text and text not in names), None)
            if strange is not None:
                allowed = "; to number the classes, save labels as integers"
                raise ValueError(
                    f"labels must be in classes, got {texts[strange]!r} in row {strange}{allowed}"
                )
        return texts
    if np.isinf(labels).any():
        raise ValueError(f"labels must be finite, got infinity in row {int(np.isinf(labels).argmax())}")
    if not names:
        return [_number(label) for label in labels]
    known = ~np.isnan(labels)
    wrong = known & ~((labels >= -1) & (labels < len(names)) & (labels == np.floor(labels.astype(float))))
    if wrong.any():
        raise ValueError(
            f"labels must be places in classes, 0 … {len(names) - 1}, or -1 for none, got "
            f"{labels[wrong.argmax()]} in row {int(wrong.argmax())}"
        )
    return [names[int(n)] if ok and n >= 0 else "" for n, ok in zip(labels.tolist(), known, strict=True)]


def _number(label) -> str:
    return "" if np.isnan(label) else _written(label)


def _written(value) -> str:
    """Any label in words, whole floats without a point."""
    return f"{value:.15g}" if isinstance(value, float | np.floating) else _as_text(value)


def _as_text(value) -> str:
    """Bytes are UTF-8, as h5py and others write text."""
    return shown(
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    ).strip()


def _take_pixels(listing: _Listing, images: np.ndarray, needed: bool) -> None:
    """uint8 (N, H, W) or (N, H, W, 3) on one scale; samples with NaN are left out if pixels are needed."""
    given = images.shape
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    wrong = images.dtype.kind not in "buif" or images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,))
    if wrong or not all(images.shape[1:]):
        allowed = "numbers (N, H, W), or (N, H, W, C) or (N, C, H, W) with C = 1 or 3"
        message = f"images must be {allowed}, got {images.dtype} {given}"
        if needed:
            raise ValueError(message)
        listing.notes.append(f"no pictures are shown: {message}")
    if wrong or not images.size:
        return
    lows, highs = pictures.extremes(images)
    finite = np.isfinite(lows) & np.isfinite(highs)
    for n in np.flatnonzero(~finite) if needed else ():
        if listing.alive[n]:
            listing.drop(n, "its pixels hold NaN or infinity")
    scale, remark = pictures.Scale(0, 1), ""
    if finite.any():
        whole = images.dtype.kind in "bui"
        scale, remark = pictures.common_scale(lows[finite], highs[finite], whole)
    listing.notes += [remark] if remark else []
    listing.pixels, listing.originals = pictures.scaled(images, scale), images


# --- labels -------------------------------------------------------------------------------------------


def _words(missing) -> set[str]:
    """In small letters, of one word or number, or of any collection of them."""
    given = missing.tolist() if isinstance(missing, np.ndarray | np.generic | torch.Tensor) else missing
    words = given if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]
    return {"", *(_written(word).strip().lower() for word in words)}


def _unlabelled(listing: _Listing, missing) -> None:
    """Empties the labels that mean none, writes whole numbers alike, and says what of this is a guess.

    -1 means none where all labels are numbers and no other is negative, unless all are -1, 0 and 1.
    """
    words = set(NO_LABEL) if missing is None else _words(missing)
    given = {label for label in listing.labels if label.lower() not in words}
    if given and all(NUMBER.fullmatch(label) for label in given):
        plain = {
            label: str(int(label[: match.end(1)])) for label in given if (match := _WHOLE.fullmatch(label))
        }
        changed = sorted(label for label, other in plain.items() if label != other)
        if changed:
            listing.labels = [plain.get(label, label) for label in listing.labels]
            listing.notes.append(
                f"labels that are whole numbers are read alike: {changed[0]} as {plain[changed[0]]}"
            )
        numbers = {float(label) for label in given}
        guess = min(numbers) == -1 and not numbers <= {-1, 0, 1} and sorted(numbers)[1:2] >= [0]
        words |= {"-1"} if guess and missing is None else set()
    counts = Counter(label for label in listing.labels if label.lower() in words and label)
    listing.none |= {label.lower() for label in counts}
    counts.pop("nan", None)
    listing.labels = ["" if label.lower() in words else label for label in listing.labels]
    if counts:
        listing.notes.append(
            f'read as "no label": {_counted(counts)}; if a class is meant, name what is missing'
        )
    elif "-1" in listing.labels and missing is None:
        listing.notes.append("-1 is read as a class; if it means no label, say that it is missing")


_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))(?:\.0*)?", re.ASCII)  # 01 may be a code


def _check_spelling(classes: tuple[str, ...], notes: list[str]) -> None:
    """Says which classes differ in writing only."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
        alike.setdefault(key, []).append(name)
    for names in alike.values():
        if len(names) > 1:
            notes.append(f"classes that differ in their writing only: {', '.join(map(repr, names))}")


# --- features -----------------------------------------------------------------------------------------


def _check_features(listing: _Listing, paths) -> np.ndarray:
    """Positions in use; listing.features becomes their rows, standardised."""
    rows, given = _row_of(listing, paths), listing.features
    for n in np.flatnonzero(listing.alive & (rows < 0)):
        listing.drop(n, "it has no row of features")
    whole = finite(given)
    for n in np.flatnonzero(listing.alive & ~whole[rows]):
        listing.drop(n, "its features hold NaN or infinity")
    kept = np.flatnonzero(listing.alive)
    if len(kept):
        listing.features, notes, clipped = standardised(given, rows[kept])
        listing.notes += notes
        if clipped.any():
            what = f"beyond {FARTHEST:g} deviations, clipped; the first is"
            first = listing.paths[kept[clipped.argmax()]]
            listing.notes.append(f"{clipped.sum():,} samples have features {what} {first}")
    return kept


def _row_of(listing: _Listing, paths) -> np.ndarray:
    """The row of features of each position, int64 (positions,), -1 where it has none."""
    count, orders = len(listing.features), listing.orders
    if paths is None:
        same = len(set(map(tuple, orders.values()))) < 2
        fits = [name for name, order in orders.items() if len(order) == count]
        if same or not orders or not fits:
            if count != len(listing.paths):
                raise ValueError(f"features must have a row for each of {_lengths(listing)}, got {count}")
            return np.arange(count)
        if len(fits) > 1:
            raise ValueError(
                "features could come in the order of sorted paths or in that of torchvision.ImageFolder, and "
                f"{listing.source} has files for which these differ: say which by paths ('sorted', "
                "'imagefolder', or a file of one path a line)"
            )
        paths = fits[0]
        listing.notes.append(
            f"rows of features are taken in the order {paths!r}, the only one of {count} files"
        )
    if not any(map(any, orders.values())):
        raise ValueError(f"paths must be left out for {listing.source.name}, whose rows are numbered")
    known = str(paths) in orders
    order = orders[str(paths)] if known else _read_order(Path(paths))
    if len(order) != count:
        raise ValueError(f"features must have a row for each of {len(order)} paths, got {count}")
    return _matched(listing, order, paths, typed=not known)


def _lengths(listing: _Listing) -> str:
    lengths = {len(order): name for name, order in listing.orders.items()} or {len(listing.paths): ""}
    if len(lengths) < 2:
        return f"{len(listing.paths)} samples"
    return " or ".join(f"{length} files ({name!r})" for length, name in lengths.items())


def _read_order(file: Path) -> list[str]:
    try:
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise ValueError(
            f"paths must be 'sorted', 'imagefolder' or a file of paths, got {file}: {error}"
        ) from None
    lines = text.split("\n")  # a name may hold other characters that splitlines splits at
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _matched(listing: _Listing, order: list[str], paths, typed: bool) -> np.ndarray:
    """Finds each line's sample: by its path from the source's folder, from here, or from one folder up.

    typed: blanks around a line are dropped where it is not found with them.
    """
    root, rows = listing.root, np.full(len(listing.paths), -1)
    names = next(iter(listing.orders.values()))
    used = [n for n, name in enumerate(names) if name and listing.alive[n]]
    place = {os.path.abspath(root / names[n]): n for n in used}
    bases, lost = (root, Path.cwd(), root.absolute().parent), []
    for row, line in enumerate(order):
        names = [line, line.strip()] if typed else [line]
        tries = (os.path.abspath(base / name) for name in names for base in bases)
        n = next((place[name] for name in tries if name in place), None)
        if n is None:
            lost.append(line)
        elif rows[n] >= 0:
            raise ValueError(f"paths must differ, got {line} in lines {rows[n] + 1} and {row + 1} of {paths}")
        else:
            rows[n] = row
    if (rows < 0).all():
        raise ValueError(
            f"paths must be those of {listing.source}, got {order[0] if order else 'none'} in {paths}"
        )
    listing.problems += [Problem(shown(line), "a row of features without a usable file") for line in lost]
    return rows


# --- files and pictures -------------------------------------------------------------------------------


def _check_files(listing: _Listing) -> None:
    """Leaves out rows without a file; where features are given such a row only has no picture."""
    absent = 0
    for n, file in enumerate(listing.files or ()):
        if not listing.alive[n]:
            continue
        why = _cannot_open(file)
        if why and listing.features is None:
            listing.drop(n, why)
        elif why:
            listing.files[n], absent = None, absent + 1
        elif not _is_utf8(file):
            why = "its name holds control characters or bytes that are no UTF-8, written \\x.. here"
            listing.problems.append(Problem(listing.paths[n], why))
    if absent:
        listing.notes.append(f"{absent:,} of {len(listing.paths):,} samples have no picture to show")
    if listing.files and not any(listing.files):
        listing.files = None


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


def _decode(listing: _Listing, least: int) -> tuple[np.ndarray, torch.Tensor]:
    """Positions in use, and their images uint8 (positions, C, S, S)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on damaged metadata: the pixels are what counts
        sizes = _sizes(listing)
        if not sizes:
            raise ValueError(f"{listing.source} has no image that can be read{_first_problems(listing)}")
        side = _side(list(sizes.values()), listing.notes)
        images, grey = np.empty((len(sizes), side, side, 3), dtype=np.uint8), np.ones(len(sizes), dtype=bool)
        kept, seen = [], _Twins(listing)
        for n in sizes:
            try:
                picture = _original(listing, n, 2 * side)
                grey[len(kept)] = picture.mode == "L"
                images[len(kept)] = np.asarray(picture.resize((side, side)).convert("RGB"))
                seen.add(n, images[len(kept)])
            except Exception as error:  # decoders raise whatever they like
                listing.drop(n, f"cannot be read ({pictures.reason(error)})")
                continue
            kept.append(n)
    _drop_copies(listing, seen.copies, least)
    used = listing.alive[kept]
    images, grey = images[: len(kept)][used].transpose(0, 3, 1, 2), grey[: len(kept)][used]
    if 0 < grey.sum() < len(grey):
        listing.notes.append(f"{grey.sum():,} of {len(grey):,} images are grey: all are read as colour")
    images = torch.from_numpy(np.ascontiguousarray(images[:, :1] if grey.all() else images))
    return np.flatnonzero(listing.alive), images


def _original(listing: _Listing, n: int, near: int | None = None):
    if listing.files is None:
        return _pil(listing.pixels[n])
    return pictures.as_8_bits(pictures.load(listing.files[n], near), listing.scales)


def _sizes(listing: _Listing) -> dict[int, tuple[int, int]]:
    """Width and height of every picture in use; sets the scales of deep ones."""
    if listing.files is None:
        return {int(n): listing.pixels.shape[2:0:-1] for n in np.flatnonzero(listing.alive)}
    sizes, ranges, cut = {}, {}, 0
    for n in np.flatnonzero(listing.alive).tolist():
        try:
            sizes[n], deep, is_cut = pictures.survey(listing.files[n])
        except Exception as error:  # as in _decode
            listing.drop(n, f"cannot be read ({pictures.reason(error)})")
            continue
        cut += is_cut
        if deep:
            ranges.setdefault(deep[0], []).append(deep[1:])
    for kind, pairs in sorted(ranges.items()):
        ends = zip(*pairs, strict=True)
        listing.scales[kind], remark = pictures.common_scale(*ends, whole=kind == "integers")
        listing.notes += (
            [f"{len(pairs):,} images hold {kind} of more than 8 bits: {remark}"] if remark else []
        )
    if cut:
        listing.notes.append(
            f"CAUTION: {cut:,} images hold 16 bits a colour, of which Pillow reads the upper 8 only; "
            "values of 8 to 12 bits come out black or dark: save such images with 8 bits a colour"
        )
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


class _Twins:
    """Finds pictures of the same pixels: copies holds pairs of a position and the first of its label."""

    def __init__(self, listing: _Listing):
        self.listing, self.copies = listing, []
        self.small: dict[bytes, int] = {}  # the first position that looks so when it is small
        self.full: dict[bytes, dict[str, int]] = {}  # by all pixels, the first position of each label
        self.compared: set[int] = set()

    def add(self, n: int, small: np.ndarray) -> None:
        """All pixels are looked at only where two pictures look the same when they are small."""
        first = self.small.setdefault(pictures.fingerprint(small), n)
        for one in (first, n) if first != n else ():
            if one not in self.compared:
                self.compared.add(one)
                self._compare(one)

    def _compare(self, n: int) -> None:
        listing = self.listing
        if listing.files is None:
            mark = pictures.fingerprint(listing.originals[n])
        else:
            mark = pictures.file_fingerprint(listing.files[n])
        owners, label = self.full.setdefault(mark, {}), listing.labels[n]
        if label in owners:
            self.copies.append((n, owners[label]))
        elif owners:
            other, first = next(iter(owners.items()))
            why = f"the same picture as {listing.paths[first]}, which is labelled {other}: "
            listing.problems.append(Problem(listing.paths[n], f"{why}not both can be right"))
        owners.setdefault(label, n)


def _drop_copies(listing: _Listing, copies: list[tuple[int, int]], least: int) -> None:
    """Leaves out copies within a class (one in training betrays the other), but for those it needs."""
    doubles = Counter(listing.labels[n] for n, _ in copies)
    counts = Counter(listing.labels[n] for n in np.flatnonzero(listing.alive))
    spare = {label: least - (counts[label] - doubles[label]) for label in doubles}
    for n, first in copies:
        label, same = listing.labels[n], f"the same picture as {listing.paths[first]}"
        if spare[label] > 0:
            spare[label] -= 1
            listing.problems.append(Problem(listing.paths[n], f"{same}; kept, for the class has few others"))
        else:
            listing.drop(n, same)


def _finish(listing: _Listing, kept: np.ndarray, images: torch.Tensor | None, least: int) -> OwnData:
    """kept: the positions of the rows of images or of listing.features."""
    counts = Counter(listing.labels[n] for n in kept)
    for n in kept:
        if (count := counts[label := listing.labels[n]]) < least:
            wanted = f"{count}, at least {least} are needed"
            listing.drop(n, f"too few usable samples of class {label}: {wanted}")
    lost = {label for label in (*listing.labels, *listing.classes) if label and not counts[label]}
    listing.problems += [Problem(label, "a class without a usable sample") for label in sorted(lost)]
    index, used = np.flatnonzero(listing.alive), torch.from_numpy(listing.alive[kept])
    classes = _in_order({listing.labels[n] for n in index}, listing.classes)
    if len(classes) < 2:
        held = ", ".join(classes) or "none"
        raise ValueError(f"at least two classes are needed, got {held}{_first_problems(listing)}")
    _check_spelling(classes, listing.notes)
    place = {label: k for k, label in enumerate(classes)}
    features = None if listing.features is None else torch.from_numpy(listing.features)
    return OwnData(
        source=listing.source,
        paths=[listing.paths[n] for n in index],
        index=index,
        labels=np.array([place[listing.labels[n]] for n in index]),
        classes=classes,
        images=images if images is None or used.all() else images[used],
        features=features if features is None or used.all() else features[used],
        problems=listing.problems,
        notes=listing.notes,
        files=listing.files and [listing.files[n] for n in index],
        pixels=listing.pixels,
        scales=listing.scales,
    )


def _in_order(used: set[str], named: tuple[str, ...]) -> tuple[str, ...]:
    """The classes, in the source's own order, or by number, or by name."""
    if named:
        return tuple(name for name in named if name in used)
    numbers = all(NUMBER.fullmatch(label) for label in used)
    return tuple(sorted(used, key=lambda label: (float(label) if numbers else 0, label)))


def _pil(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def shown(path) -> str:
    """The path for people, in one line: bytes that are no UTF-8 and control characters become \\x…"""
    try:
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # halves of a character that stand for no byte
        text = str(path).encode("utf-8", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def _is_utf8(path: Path) -> bool:
    return shown(path) == str(path)


def _counted(counts: Counter) -> str:
    few = [f"{name} ({count:,})" for name, count in sorted(counts.items())[:5]]
    return ", ".join(few) + (", …" if len(counts) > 5 else "")


def _first_problems(listing: _Listing) -> str:
    lines = [f"\n  {problem.path}: {problem.problem}" for problem in listing.problems[:5]]
    return "".join(lines) + ("\n  …" if len(listing.problems) > 5 else "")
