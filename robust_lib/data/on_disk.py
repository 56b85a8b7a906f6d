"""Large image sets with real label noise, read from disk in the layouts in which they are handed out.

    train = clothing1m("clothing1M", "noisy_train", usual_transform("clothing1m", train=True))
    loader = torch.utils.data.DataLoader(train, batch_size=64, shuffle=True, num_workers=4)
    for images, labels, indices in loader: ...

They do not fit in memory, so an image is read when it is asked for. None can be fetched by a program: they
come by request or by form, for research only. The layouts are those of the makers' read-me files and of
public loaders; where copies differ (folders, prefixes, header lines) each variant is read.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from robust_lib.data import noise
from robust_lib.data.images import DataError

CLOTHING_SPLITS = ("noisy_train", "clean_train", "clean_val", "clean_test", "both")
CLOTHING_CLASSES = 14
ANIMALS = (
    "cat", "lynx", "wolf", "coyote", "cheetah", "jaguar", "chimpanzee", "orangutan", "hamster", "guinea pig",
)  # fmt: skip
ANIMAL_SHAPE = (3, 64, 64)
ANIMAL_RECORD = np.dtype([("id", "<u4"), ("label", "<u4"), ("pixels", "u1", ANIMAL_SHAPE)])
WEBVISION_CLASSES = 1000
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Shorter side, crop, (mean, std). Clothing-1M's and WebVision's are those of nearly every public loader; for
# the other two there is no such agreement.
VIEWS = {
    "clothing1m": (256, 224, ((0.6959, 0.6537, 0.6371), (0.3113, 0.3192, 0.3214))),
    "food101n": (256, 224, IMAGENET),
    "webvision": (256, 227, IMAGENET),
    "animal10n": (64, 64, IMAGENET),
}


@dataclass(frozen=True, eq=False)
class NoisySet(torch.utils.data.Dataset):
    """N images on disk; item n is (image, label, n), an RGB picture or what `transform` makes of it.

    files: paths as bytes, array (N,) (a list of 10^6 strings would be copied into every DataLoader worker).
    labels: the labels to train on, int64 (N,), numbers into `classes`.
    clean: the true labels, int64 (N,), -1 where unknown; None if the set has none.
    verified: int64 (N,), 1 where somebody found the label right, 0 wrong, -1 not looked at; None as above.
    offsets: where each image begins, for files that hold many raw ones (ANIMAL-10N's binary version).
    An image that is missing or broken raises DataError, which names it.
    """

    name: str
    files: np.ndarray
    labels: Tensor
    classes: tuple[str, ...]
    clean: Tensor | None = None
    verified: Tensor | None = None
    transform: Callable | None = None
    offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, n: int):
        n = range(len(self))[n]
        picture = self.picture(n)
        return picture if self.transform is None else self.transform(picture), int(self.labels[n]), n

    def path(self, n: int) -> Path:
        return Path(os.fsdecode(self.files[n]))

    def picture(self, n: int) -> Image.Image:
        """Image n as RGB, before the transform."""
        try:
            if self.offsets is not None:
                return _raw_picture(self.path(n), int(self.offsets[n]))
            with Image.open(self.path(n)) as picture:
                return picture.convert("RGB")
        # What PIL raises for a broken file depends on where it breaks.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise DataError(f"image {n} of {self.name} cannot be read: {self.path(n)}: {why}") from error

    def problems(self, decode: bool = True) -> dict[int, str]:
        """{n: what is wrong} of the images that cannot be read.

        decode=False only looks whether the files exist: minutes for a million, where decoding takes hours.
        """
        found = {}
        for n in range(len(self)):
            try:
                if decode:
                    self.picture(n)
                elif not self.path(n).is_file():
                    found[n] = f"image {n} of {self.name} cannot be read: {self.path(n)}: no such file"
            except DataError as error:
                found[n] = str(error)
        return found

    def select(self, positions: Iterable[int]) -> "NoisySet":
        """The images at these positions, numbered anew from 0."""
        chosen = np.asarray(list(positions), dtype=np.int64)
        columns = ("files", "labels", "clean", "verified", "offsets")
        parts = {name: getattr(self, name) for name in columns}
        return replace(self, **{name: part[chosen] for name, part in parts.items() if part is not None})


def usual_transform(name: str, train: bool) -> transforms.Compose:
    """RGB picture -> normalised float (3, S, S), as public loaders of the set do it.

    name: "clothing1m", "food101n" (Food-101 too), "webvision" (ImageNet too) or "animal10n". The shorter
    side is resized to 256 (64), then a square of S = 224, 224, 227 or 64 cut out: in training at random,
    and half of the pictures mirrored, else from the middle. ValueError for another name.
    """
    if name not in VIEWS:
        raise ValueError(f"name must be one of {', '.join(VIEWS)}, got {name!r}")
    side, crop, (mean, std) = VIEWS[name]
    random = [transforms.RandomCrop(crop), transforms.RandomHorizontalFlip()]
    cut = random if train else [transforms.CenterCrop(crop)]
    last = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    return transforms.Compose([transforms.Resize(side), *cut, *last])


def noise_matrix(images: NoisySet) -> tuple[Tensor, Tensor]:
    """(T, counts) as `noise.estimate`, of the images with a known true label: T[i, j] = P(label j | true i).

    For Clothing-1M take the split "both". ValueError if no true label is known.
    """
    known = torch.zeros(len(images), dtype=torch.bool) if images.clean is None else images.clean >= 0
    if not known.any():
        raise ValueError(f"images must have true labels, got none in {images.name}")
    return noise.estimate(images.clean[known], images.labels[known], len(images.classes))


def wrong_share(images: NoisySet) -> tuple[Tensor, Tensor]:
    """Share of wrong labels among the verified images of each given label, float64 (K,), and how many were
    verified, int64 (K,); NaN where none was.

    P(wrong | label k): a verdict says that a label is wrong, not which one is right, so it yields no matrix.
    ValueError if nothing was verified.
    """
    seen = torch.zeros(len(images), dtype=torch.bool) if images.verified is None else images.verified >= 0
    if not seen.any():
        raise ValueError(f"images must have verified labels, got none in {images.name}")
    counts = torch.bincount(images.labels[seen], minlength=len(images.classes))
    wrong = torch.bincount(images.labels[images.verified == 0], minlength=len(images.classes))
    return wrong / counts.double(), counts


# --- Clothing-1M ------------------------------------------------------------------------------------------


def clothing1m(root, split: str = "noisy_train", transform: Callable | None = None) -> NoisySet:
    """Clothing-1M (Xiao et al. 2015): 14 classes, labels from the words around a million shop pictures.

    root holds the lists (there or in annotations/) and the images in images/0 … 9 or 0 … 9. `split`:
    "noisy_train" (1,000,000), "clean_train" (47,570), "clean_val" (10,526), "clean_test" (14,313) with the
    kind of label that their name says; "both": the clean train and validation images that have a noisy
    label too, with the noisy one. `clean` is filled wherever known. Order as in the lists. DataError names
    file and line of what is wrong: not "path label", a label outside 0 … K-1, two labels for a path, a path
    without label.
    """
    _one_of("split", split, CLOTHING_SPLITS)
    root = Path(root)
    classes = _clothing_classes(root)
    noisy, clean = (_clothing_labels(root, kind, len(classes)) for kind in ("noisy", "clean"))
    if split == "both":
        keys = [key for part in ("clean_train", "clean_val") for key in _clothing_keys(root, part, clean)]
        keys, given = [key for key in keys if key in noisy], noisy
    else:
        given = noisy if split == "noisy_train" else clean
        keys = _clothing_keys(root, split, given)
    home = root / "images" if (root / "images").is_dir() else root
    known = torch.tensor([clean.get(key, -1) for key in keys])
    labels = [given[key] for key in keys]
    return _noisy_set(f"Clothing-1M {split}", home, keys, labels, classes, clean=known, transform=transform)


def _clothing_list(root: Path, name: str) -> Path:
    return _find(root / name, root / "annotations" / name)


def _clothing_classes(root: Path) -> tuple[str, ...]:
    try:
        return tuple(line for _, line in _lines(_clothing_list(root, "category_names_eng.txt")))
    except DataError:  # some copies leave the names out
        return tuple(f"class {k}" for k in range(CLOTHING_CLASSES))


def _clothing_labels(root: Path, kind: str, classes: int) -> dict[str, int]:
    path = _clothing_list(root, f"{kind}_label_kv.txt")
    return _unique(path, ((n, _bare(key), label) for n, key, label in _labelled(path, classes)))


def _clothing_keys(root: Path, split: str, given: dict[str, int]) -> list[str]:
    path = _clothing_list(root, f"{split}_key_list.txt")
    keys = [(number, _bare(line)) for number, line in _lines(path)]
    for number, key in keys:
        if key not in given:
            raise DataError(f"{path}, line {number}: {key!r} is in no list of labels that belongs to it")
    return [key for _, key in keys]


def _bare(key: str) -> str:
    return key.removeprefix("./").removeprefix("images/")


# --- Food-101N and its test set ---------------------------------------------------------------------------


def food101n(root, split: str = "train", transform: Callable | None = None) -> NoisySet:
    """Food-101N (Lee et al. 2018): 101 dishes, about 310,000 images from the web, some labels verified.

    root is Food-101N_release or the folder that holds it: images/<class>/<hash>.jpg and meta/. `split`:
    "train" (imagelist.tsv, or all images where that is missing), "verified_train" or "verified_val" (those
    lists). `verified` is filled wherever known; what the right class would be is not recorded. Labels are
    places in meta/classes.txt without its header line. The test set is `food101(...,
    classes=train.classes)`. DataError names file and line of an unknown class or a line of another form.
    """
    _one_of("split", split, ("train", "verified_train", "verified_val"))
    names = _find(Path(root, "meta/classes.txt"), Path(root, "Food-101N_release/meta/classes.txt"))
    home = names.parents[1]
    classes = tuple(line for _, line in _lines(names, header="class_name"))
    lists = {name: home / "meta" / f"{name}.tsv" for name in ("verified_train", "verified_val")}
    verdicts = {name: _unique(path, _labelled(path, 2, "class_name")) for name, path in lists.items()}
    if split == "train":
        listing = home / "meta/imagelist.tsv"
        verdict = verdicts["verified_train"] | verdicts["verified_val"]
    else:
        listing, verdict = lists[split], verdicts[split]
    if listing.exists():
        rows = [(number, line.split()[0]) for number, line in _lines(listing, header="class_name")]
    else:
        rows = [(0, f"{name}/{file}") for name in classes for file in _image_names(home / "images" / name)]
    # By class/hash, not by hash: one hash stands in two classes.
    verified = torch.tensor([verdict.get(key, -1) for _, key in rows])
    labels = _class_folders(listing, rows, classes)
    keys = [key for _, key in rows]
    name = f"Food-101N {split}"
    return _noisy_set(name, home / "images", keys, labels, classes, verified=verified, transform=transform)


def food101(root, split: str = "test", classes=None, transform: Callable | None = None) -> NoisySet:
    """Food-101 (Bossard et al. 2014), whose 25,250 test images are Food-101N's test set.

    root is food-101 or the folder that holds it: images/<class>/<id>.jpg, meta/<split>.txt with lines
    <class>/<id> or meta/<split>.json; `split` "train" or "test". `classes`: names in the order that numbers
    them, Food-101N's for its test set (the two files need not agree in order); default meta/classes.txt.
    DataError names file and line of a class that `classes` does not have.
    """
    _one_of("split", split, ("train", "test"))
    places = [Path(root, *place, "meta") for place in ((), ("food-101",))]
    listing = _find(*(place / f"{split}{end}" for place in places for end in (".txt", ".json")))
    if listing.suffix == ".json":
        rows = list(enumerate((key for keys in json.loads(listing.read_text()).values() for key in keys), 1))
    else:
        rows = list(_lines(listing))
    names = classes or [line for _, line in _lines(listing.parent / "classes.txt", header="class_name")]
    labels = _class_folders(listing, rows, tuple(names))
    keys = [key if key.endswith(IMAGE_SUFFIXES) else f"{key}.jpg" for _, key in rows]
    home = listing.parents[1] / "images"
    return _noisy_set(f"Food-101 {split}", home, keys, labels, tuple(names), transform=transform)


def _class_folders(listing: Path, rows: list[tuple[int, str]], classes: tuple[str, ...]) -> list[int]:
    """The labels of keys <class>/<file>, by the class's name."""
    number_of = {name: number for number, name in enumerate(classes)}
    labels = []
    for number, key in rows:
        name, slash, _ = key.partition("/")
        if not slash or name not in number_of:
            raise DataError(f"{listing}, line {number}: there is no class {name!r} ({key!r})")
        labels.append(number_of[name])
    return labels


# --- WebVision and ImageNet -------------------------------------------------------------------------------


def webvision(
    root, split: str = "train", classes: int = 50, sources=("google",), transform: Callable | None = None
) -> NoisySet:
    """WebVision 1.0 (Li et al. 2017), the images resized to 256, labels below `classes` only: 50 is "mini".

    root holds info/train_filelist_<source>.txt and info/val_filelist.txt with lines "path label", labels 0
    … 999; train paths are relative to root, those of `split` "val" to val_images_256/. mini has 65,944 and
    2,500 images. `sources` are "google" (mini's) and "flickr". Class names are those of info/synsets.txt
    where it is there. ValueError for classes outside 2 … 1000; DataError names file and line of what is
    wrong.
    """
    _one_of("split", split, ("train", "val"))
    if not 2 <= classes <= WEBVISION_CLASSES:
        raise ValueError(f"classes must be in 2 … {WEBVISION_CLASSES}, got {classes!r}")
    info = Path(root) / "info"
    lists = ["val_filelist"] if split == "val" else [f"train_filelist_{source}" for source in sources]
    found = [row for name in lists for row in _labelled(_find(info / f"{name}.txt"), WEBVISION_CLASSES)]
    rows = [(key.removeprefix("val_images_256/"), label) for _, key, label in found if label < classes]
    keys, labels = [key for key, _ in rows], [label for _, label in rows]
    names = [f"class {k}" for k in range(classes)]
    if (info / "synsets.txt").is_file():
        names = [line for _, line in _lines(info / "synsets.txt")][:classes]
    home = Path(root) / "val_images_256" if split == "val" else Path(root)
    name = f"WebVision {split}, {classes} classes"
    return _noisy_set(name, home, keys, labels, tuple(names), transform=transform)


def imagenet_val(root, classes: int = 50, transform: Callable | None = None) -> NoisySet:
    """ImageNet's validation images of the first `classes` classes: WebVision's other test set (mini: 2,500).

    root (or its folder val/) holds one folder per class, named by WordNet id; sorted ids are numbered as
    WebVision's labels are. DataError if there are fewer than `classes` such folders.
    """
    home = Path(root) / "val" if (Path(root) / "val").is_dir() else _find(Path(root))
    names = sorted(entry.name for entry in home.iterdir() if re.fullmatch(r"n\d{8}", entry.name))[:classes]
    if len(names) < classes:
        raise DataError(f"{home}: {classes} folders named like n01440764 are needed, it has {len(names)}")
    pairs = [(f"{name}/{file}", k) for k, name in enumerate(names) for file in _image_names(home / name)]
    keys, labels = [key for key, _ in pairs], [label for _, label in pairs]
    name = f"ImageNet val, {classes} classes"
    return _noisy_set(name, home, keys, labels, tuple(names), transform=transform)


# --- ANIMAL-10N -------------------------------------------------------------------------------------------


def animal10n(root, split: str = "train", transform: Callable | None = None) -> NoisySet:
    """ANIMAL-10N (Song et al. 2019): five pairs of animals that people confuse, 64 x 64, about 8 % wrong.

    root holds the raw version (training/ and testing/ with files <label>_<id>.jpg) or else the binary one
    (data_batch_*.bin and test_batch.bin). `split`: "train" (50,000) or "test" (5,000). Order: sorted file
    names; records as they lie in their files. DataError names a file whose name has no label 0 … 9 or whose
    size is not one of whole records, and a record whose label is not 0 … 9.
    """
    _one_of("split", split, ("train", "test"))
    folder, name = Path(root) / {"train": "training", "test": "testing"}[split], f"ANIMAL-10N {split}"
    if folder.is_dir():
        keys = _image_names(folder)
        labels = [_animal_label(folder, key) for key in keys]
        return _noisy_set(name, folder, keys, labels, ANIMALS, transform=transform)
    pattern = {"train": "data_batch_*.bin", "test": "test_batch.bin"}[split]
    batches = sorted(Path(root).glob(pattern), key=lambda path: (len(path.name), path.name))
    if not batches:
        raise DataError(f"{name} is not there; looked for {folder} and {Path(root) / pattern}")
    parts = [_batch_labels(path) for path in batches]
    keys = [path.name for path, part in zip(batches, parts, strict=True) for _ in part]
    first = ANIMAL_RECORD.fields["pixels"][1]
    offsets = np.concatenate([np.arange(len(part)) * ANIMAL_RECORD.itemsize + first for part in parts])
    labels = np.concatenate(parts).tolist()
    return _noisy_set(name, Path(root), keys, labels, ANIMALS, offsets=offsets, transform=transform)


def _animal_label(folder: Path, key: str) -> int:
    text, underscore, _ = key.partition("_")
    if not (underscore and text.isdecimal() and int(text) < len(ANIMALS)):
        raise DataError(f"{folder / key}: the name must begin with a label 0 … {len(ANIMALS) - 1} and _")
    return int(text)


def _batch_labels(path: Path) -> np.ndarray:
    size = path.stat().st_size
    if size == 0 or size % ANIMAL_RECORD.itemsize:
        raise DataError(f"{path} is cut short: {size:,} bytes are no multiple of {ANIMAL_RECORD.itemsize:,}")
    labels = np.array(np.memmap(path, ANIMAL_RECORD, mode="r")["label"])
    if (labels.byteswap() < len(ANIMALS)).all():  # in which order the four bytes are is not documented
        labels = labels.byteswap()
    wrong = np.flatnonzero(labels >= len(ANIMALS))
    if len(wrong):
        raise DataError(f"{path}, record {wrong[0]}: the label must be in 0 … {len(ANIMALS) - 1}")
    return labels.astype(np.int64)


def _raw_picture(path: Path, offset: int) -> Image.Image:
    size = int(np.prod(ANIMAL_SHAPE))
    with open(path, "rb") as file:
        file.seek(offset)
        pixels = np.frombuffer(file.read(size), np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.reshape(ANIMAL_SHAPE).transpose(1, 2, 0)))


# --- lists and folders ------------------------------------------------------------------------------------


def _one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def _find(*candidates: Path) -> Path:
    for path in candidates:
        if path.exists():
            return path
    raise DataError(f"not there: {' nor '.join(map(str, candidates))}")


def _lines(path: Path, header: str | None = None) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines that are not blank; a first line that begins with `header` is left out."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(map(str.strip, file), 1):
                if line and not (number == 1 and header and line.startswith(header)):
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _labelled(path: Path, classes: int, header: str | None = None) -> Iterator[tuple[int, str, int]]:
    """(number, key, label) of lines "key label"."""
    for number, line in _lines(path, header):
        key, _, label = line.replace("\t", " ").rpartition(" ")
        if not key or not label.isdecimal():
            raise DataError(f"{path}, line {number}: a path and a number were expected, got {line!r}")
        if int(label) >= classes:
            raise DataError(f"{path}, line {number}: the label must be in 0 … {classes - 1}, got {label}")
        yield number, key.strip(), int(label)


def _unique(path: Path, rows: Iterable[tuple[int, str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, key, label in rows:
        if found.setdefault(key, label) != label:
            raise DataError(f"{path}, line {number}: {key!r} has label {label} here and {found[key]} above")
    return found


def _image_names(folder: Path) -> list[str]:
    """Sorted: the order in which a disk lists a folder is not fixed."""
    if not folder.is_dir():
        raise DataError(f"not there: {folder}")
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))


def _noisy_set(name: str, home: Path, keys: list[str], labels: list[int], classes, **columns) -> NoisySet:
    if not keys:
        raise DataError(f"{name}: no image is listed (looked in {home})")
    files = np.array([os.fsencode(home / key) for key in keys])
    return NoisySet(name, files, torch.tensor(labels), tuple(classes), **columns)
