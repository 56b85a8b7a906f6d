"""Large image sets with real label noise, read from disk in the layouts in which they are handed out.

    train = clothing1m("clothing1M", "noisy_train", usual_transform("clothing1m", train=True))
    loader = torch.utils.data.DataLoader(train, batch_size=64, shuffle=True, num_workers=4)
    for images, labels, indices in loader: ...

They do not fit in memory, so an image is read when it is asked for. None can be fetched by a program: they
come by request or by form, for research only. The layouts are those of the makers' read-me files and of
public loaders; where copies differ (folders, prefixes, header lines) each variant is read.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from robust_lib.data import noise
from robust_lib.data.downloads import DataError
from robust_lib.data.features import as_rgb
from robust_lib.data.noise import one_of

CLOTHING_SPLITS = ("noisy_train", "clean_train", "clean_val", "clean_test", "both")
CLOTHING_CLASSES = 14
ANIMALS = (
    "cat", "lynx", "wolf", "coyote", "cheetah", "jaguar", "chimpanzee", "orangutan", "hamster", "guinea pig",
)  # fmt: skip
ANIMAL_RECORD = np.dtype([("id", "<u4"), ("label", "<u4"), ("pixels", "u1", (3, 64, 64))])
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
                shape = ANIMAL_RECORD["pixels"].shape
                pixels = np.memmap(self.path(n), np.uint8, "r", int(self.offsets[n]), shape)
                return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
            with Image.open(self.path(n)) as picture:
                return as_rgb(picture)
        # What PIL raises for a broken file depends on where it breaks.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise DataError(f"image {n} of {self.name} cannot be read: {self.path(n)}: {why}") from error

    def problems(self, decode: bool = True) -> dict[int, str]:
        """{n: what is wrong} of the images that cannot be read.

        decode=False only looks whether the files exist: minutes for a million, where decoding takes hours.
        """
        problems = {}
        for n in range(len(self)):
            if decode or not self.path(n).is_file():
                try:
                    self.picture(n)
                except DataError as error:
                    problems[n] = str(error)
        return problems


def usual_transform(name: str, train: bool) -> Callable:
    """RGB picture -> normalised float (3, S, S), as public loaders of the set do it.

    name: "clothing1m", "food101n" (Food-101 too), "webvision" (ImageNet too) or "animal10n". The shorter
    side is resized to 256 (64), then a square of S = 224, 224, 227 or 64 cut out: in training at random,
    and half of the pictures mirrored, otherwise from the middle. ValueError for another name.
    """
    from torchvision import transforms

    one_of("name", name, VIEWS)
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


# --- the four sets ----------------------------------------------------------------------------------------


def clothing1m(root, split: str = "noisy_train", transform: Callable | None = None) -> NoisySet:
    """Clothing-1M (Xiao et al. 2015): 14 classes, labels from the words around a million shop pictures.

    root holds the lists (there or in annotations/) and the images in images/0 … 9 or 0 … 9. `split`:
    "noisy_train" (1,000,000), "clean_train" (47,570), "clean_val" (10,526), "clean_test" (14,313) with the
    kind of label that their name says; "both": the clean train and validation images that have a noisy
    label too, with the noisy one. `clean` is filled wherever known. Order as in the lists. DataError names
    file and line of what is wrong: not "path label", a label outside 0 … K-1, two labels for a path, a path
    without label.
    """
    one_of("split", split, CLOTHING_SPLITS)
    root = Path(root)

    def path(name: str) -> Path:
        return _first_there(root / name, root / "annotations" / name)

    try:
        classes = tuple(line for _, line in _lines(path("category_names_eng.txt")))
    except DataError:  # some copies leave the names out
        classes = tuple(f"class {k}" for k in range(CLOTHING_CLASSES))
    label = _label_after_path(len(classes))
    noisy, clean = (_read_list(path(f"{kind}_label_kv.txt"), label) for kind in ("noisy", "clean"))
    if split == "both":
        of_split = [
            _read_list(path(f"{part}_key_list.txt"), _looked_up(clean)) for part in CLOTHING_SPLITS[1:3]
        ]
        label_of = {key: noisy[key] for keys in of_split for key in keys if key in noisy}
    else:
        label_of = _read_list(path(f"{split}_key_list.txt"), _looked_up(noisy if "noisy" in split else clean))
    home = root / "images" if (root / "images").is_dir() else root
    truth = torch.tensor([clean.get(key, -1) for key in label_of])
    return _noisy_set(f"Clothing-1M {split}", home, label_of, classes, clean=truth, transform=transform)


def food101n(root, split: str = "train", transform: Callable | None = None) -> NoisySet:
    """Food-101N (Lee et al. 2018): 101 dishes, about 310,000 images from the web, some labels verified.

    root is Food-101N_release or the folder that holds it: images/<class>/<hash>.jpg and meta/. `split`:
    "train" (imagelist.tsv, or all images where that is missing), "verified_train" or "verified_val" (those
    lists). `verified` is filled wherever known; what the right class would be is not recorded. Labels are
    places in meta/classes.txt without its header line. The test set is torchvision.datasets.Food101(split=
    "test"), whose classes are sorted: number k there is classes.index(test.classes[k]) here. DataError names
    file and line of an unknown class or a line of another form.
    """
    one_of("split", split, ("train", "verified_train", "verified_val"))
    meta = _first_there(
        Path(root, "meta/classes.txt"), Path(root, "Food-101N_release/meta/classes.txt")
    ).parent
    images = meta.parent / "images"
    classes = tuple(line for _, line in _lines(meta / "classes.txt"))
    # By class/hash, not by hash: one hash stands in two classes.
    lists = {part: meta / f"{part}.tsv" for part in ("verified_train", "verified_val")}
    verdicts = {part: _read_list(path, _label_after_path(2)) for part, path in lists.items()}
    lists["train"] = meta / "imagelist.tsv"
    if lists[split].exists():
        label_of = _read_list(lists[split], _class_before_slash(classes))
    else:
        label_of = {f"{c}/{file}": k for k, c in enumerate(classes) for file in _image_names(images / c)}
    verdict = verdicts["verified_train"] | verdicts["verified_val"]
    verified = torch.tensor([verdict.get(key, -1) for key in label_of])
    return _noisy_set(f"Food-101N {split}", images, label_of, classes, verified=verified, transform=transform)


def webvision(
    root, split: str = "train", classes: int = 50, sources=("google",), transform: Callable | None = None
) -> NoisySet:
    """WebVision 1.0 (Li et al. 2017), the images resized to 256, labels below `classes` only: 50 is "mini".

    root holds info/train_filelist_<source>.txt and info/val_filelist.txt with lines "path label", labels 0
    … 999; train paths are relative to root, those of `split` "val" to val_images_256/. mini has 65,944 and
    2,500 images. `sources` are "google" (mini's) and "flickr". Class names are those of info/synsets.txt
    where it is there. The other test set of mini is ImageNet's: torchvision.datasets.ImageFolder on its
    validation images in folders named by WordNet id, which numbers them as here, up to class 49.
    ValueError for classes outside 2 … 1000; DataError names file and line of what is wrong.
    """
    one_of("split", split, ("train", "val"))
    if not 2 <= classes <= WEBVISION_CLASSES:
        raise ValueError(f"classes must be in 2 … {WEBVISION_CLASSES}, got {classes!r}")
    info = Path(root) / "info"
    lists = ["val_filelist"] if split == "val" else [f"train_filelist_{source}" for source in sources]
    label_of = {}
    for name in lists:
        label_of |= _read_list(_first_there(info / f"{name}.txt"), _label_after_path(WEBVISION_CLASSES))
    label_of = {
        key.removeprefix("val_images_256/"): label for key, label in label_of.items() if label < classes
    }
    names = [f"class {k}" for k in range(classes)]
    if (info / "synsets.txt").is_file():
        names = [line for _, line in _lines(info / "synsets.txt")][:classes]
    home = Path(root) / "val_images_256" if split == "val" else Path(root)
    return _noisy_set(f"WebVision {split}, {classes} classes", home, label_of, names, transform=transform)


def animal10n(root, split: str = "train", transform: Callable | None = None) -> NoisySet:
    """ANIMAL-10N (Song et al. 2019): five pairs of animals that people confuse, 64 x 64, about 8 % wrong.

    root holds the raw version (training/ and testing/ with files <label>_<id>.jpg), otherwise the binary one
    (data_batch_*.bin and test_batch.bin). `split`: "train" (50,000) or "test" (5,000). Order: sorted file
    names; records as they lie in their files. DataError names a file whose name has no label 0 … 9 or whose
    size is not one of whole records, and a record whose label is not 0 … 9.
    """
    one_of("split", split, ("train", "test"))
    folder, name = Path(root) / {"train": "training", "test": "testing"}[split], f"ANIMAL-10N {split}"
    if folder.is_dir():
        label_of = {key: _animal_label(folder, key) for key in _image_names(folder)}
        return _noisy_set(name, folder, label_of, ANIMALS, transform=transform)
    pattern = {"train": "data_batch_*.bin", "test": "test_batch.bin"}[split]
    batches = sorted(Path(root).glob(pattern), key=lambda path: (len(path.name), path.name))
    if not batches:
        raise DataError(f"{name} is not there; looked for {folder} and {Path(root) / pattern}")
    labels = [_batch_labels(path) for path in batches]
    files = np.repeat([os.fsencode(path) for path in batches], [len(batch) for batch in labels])
    begins = ANIMAL_RECORD.fields["pixels"][1] + ANIMAL_RECORD.itemsize * np.arange(len(files))
    offsets = np.concatenate([begins[: len(batch)] for batch in labels])
    labels = torch.from_numpy(np.concatenate(labels))
    return NoisySet(name, files, labels, ANIMALS, offsets=offsets, transform=transform)


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


# --- lists and folders ------------------------------------------------------------------------------------


def _first_there(*candidates: Path) -> Path:
    for path in candidates:
        if path.exists():
            return path
    raise DataError(f"not there: {' nor '.join(map(str, candidates))}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, text) of the lines that are not blank; a first line that names its columns is left out."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(map(str.strip, file), 1):
                if line and not (number == 1 and line.startswith("class_name")):
                    yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_list(path: Path, parse: Callable[[str], tuple[str, int]]) -> dict[str, int]:
    """{key: label} in the order of the list's lines, each of which `parse` makes into (key, label).

    Lines may begin with ./ or images/, which is left out.
    DataError names the line for which `parse` raises ValueError, or that gives a key another label.
    """
    label_of: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            key, label = parse(line.removeprefix("./").removeprefix("images/"))
            if label_of.setdefault(key, label) != label:
                raise ValueError(f"{key!r} has label {label} here and {label_of[key]} above")
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
    return label_of


def _label_after_path(classes: int) -> Callable:
    """A parser of lines "path label", labels 0 to classes - 1."""

    def parse(line: str) -> tuple[str, int]:
        key, _, label = line.replace("\t", " ").rpartition(" ")
        if not key or not label.isdecimal():
            raise ValueError(f"a path and a number were expected, got {line!r}")
        if int(label) >= classes:
            raise ValueError(f"the label must be in 0 … {classes - 1}, got {label}")
        return key.strip(), int(label)

    return parse


def _looked_up(label_of: dict[str, int]) -> Callable:
    """A parser of lines "path", whose labels another list has."""

    def parse(key: str) -> tuple[str, int]:
        if key not in label_of:
            raise ValueError(f"{key!r} is in no list of labels that belongs to it")
        return key, label_of[key]

    return parse


def _class_before_slash(classes: tuple[str, ...]) -> Callable:
    """A parser of lines "class/file", perhaps with more behind; labels are the places of their classes."""
    number_of = {name: number for number, name in enumerate(classes)}

    def parse(line: str) -> tuple[str, int]:
        key = line.split()[0]
        name, slash, _ = key.partition("/")
        if not slash or name not in number_of:
            raise ValueError(f"there is no class {name!r} ({key!r})")
        return key, number_of[name]

    return parse


def _image_names(folder: Path) -> list[str]:
    """Sorted: the order in which a disk lists a folder is not fixed."""
    if not folder.is_dir():
        raise DataError(f"not there: {folder}")
    return sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))


def _noisy_set(name: str, home: Path, label_of: dict[str, int], classes, **columns) -> NoisySet:
    if not label_of:
        raise DataError(f"{name}: no image is listed (looked in {home})")
    files = np.array([os.fsencode(home / key) for key in label_of])
    return NoisySet(name, files, torch.tensor(list(label_of.values())), tuple(classes), **columns)
