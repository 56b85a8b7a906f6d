"""Mini packs against the original files' numbers; full sets with small fake files and servers on loopback."""

import functools
import gzip
import hashlib
import importlib.util
import io
import os
import pickle
import socket
import struct
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features
from torchvision import datasets

from robust_lib.data import PACK_MD5, DataError, downloads, images

REPOSITORY = Path(__file__).parents[2]
packed = functools.cache(images.load)  # decoding a pack takes most of the time here


def md5(blob: bytes) -> str:
    return hashlib.md5(blob, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def cutter():
    spec = importlib.util.spec_from_file_location("cut_mini_packs", REPOSITORY / "scripts/cut_mini_packs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- mini packs ------------------------------------------------------------------------------------

# md5 of pixels, int64 labels and int64 indices, computed with torchvision's readers, not with this package.
MINI_CONTENT = {
    ("mnist", "train"): "6a9eea20661610e46bc0f6a09c53b462",
    ("mnist", "test"): "9b5b2c69222c365d849aab114d0dfcb0",
    ("fashion_mnist", "train"): "bcb04e9d91950fda4bbb54466c48f87e",
    ("fashion_mnist", "test"): "5a2de20740707221980d7f93aa9df054",
    ("cifar10", "train"): "4cb0d11e94f27424382d41e529b90b38",
    ("cifar10", "test"): "555681125db4efd98146a3bc5136f2a3",
}


@pytest.mark.parametrize(("name", "split"), MINI_CONTENT)
def test_a_mini_pack_holds_the_original_images(name, split):
    pack = packed(name, split)
    n = {"train": 5000, "test": 1000}[split]
    assert pack.images.shape == (n, *images.SETS[name].shape)
    assert pack.images.dtype == torch.uint8
    assert pack.images.is_contiguous()
    assert pack.labels.dtype == pack.index.dtype == torch.int64
    assert pack.labels.bincount().tolist() == [n // 10] * 10
    assert bool((pack.index.diff() > 0).all()), "indices rise, so none comes twice"
    assert len(pack.classes) == 10
    assert f"{n:,} {split} images" in pack.origin
    content = b"".join(t.numpy().tobytes() for t in (pack.images, pack.labels, pack.index))
    assert md5(content) == MINI_CONTENT[name, split]


def test_pairs_are_the_packs_digits_each_once_on_either_side():
    pack, pairs = packed("mnist", "test"), images.load("mnist_pairs", "test")
    assert images.load("mnist_pairs", "train").labels.bincount().tolist() == [50] * 100
    assert pairs.images.shape == (1000, 1, 28, 28)
    assert pairs.labels.bincount().tolist() == [10] * 100
    assert pairs.classes[42] == "42"

    def digits(pictures, labels):
        return sorted(
            (image.tobytes(), int(label)) for image, label in zip(pictures.numpy(), labels, strict=True)
        )

    narrow = (pack.images.double().unflatten(3, (14, 2)).sum(4) / 2).round().byte()
    expected = digits(narrow, pack.labels)
    assert digits(pairs.images[..., :14], pairs.labels // 10) == expected
    assert digits(pairs.images[..., 14:], pairs.labels % 10) == expected
    again = images.load("mnist_pairs", "test")
    assert torch.equal(again.images, pairs.images)
    assert torch.equal(again.labels, pairs.labels)


def test_the_packs_are_small_and_documented():
    files = sorted(images.MINI.glob("*.npz"))
    known = images.MINI_MD5 | {f"{name}_features": digest for name, digest in PACK_MD5.items()}
    assert [file.stem for file in files] == sorted(known)
    assert sum(file.stat().st_size for file in files) <= 36e6
    readme = (images.MINI / "README.md").read_text()
    for file in files:
        assert md5(file.read_bytes()) == known[file.stem]
        assert f"| {file.name} | {file.stat().st_size:,} | {known[file.stem]} |" in readme


def test_a_pack_is_cut_again_bit_for_bit(cutter):
    """What is in it; the zip around it has other headers where Python is older."""
    blob = cutter.pack({split: packed("mnist", split) for split in ("train", "test")})
    with np.load(io.BytesIO(blob)) as again, np.load(images.MINI / "mnist.npz") as recorded:
        assert again.files == recorded.files
        for key in again.files:
            a, b = again[key], recorded[key]
            if key.endswith("sheet") and features.version("webp") != "1.6.0":  # another encoder: the pixels
                a, b = (np.asarray(Image.open(io.BytesIO(sheet.tobytes()))) for sheet in (a, b))
            assert np.array_equal(a, b), key


def test_a_sheet_in_colour_is_cut_again(cutter):
    """Its first two rows: to encode all of it as small as it is takes half a minute."""
    again = np.asarray(Image.open(io.BytesIO(cutter.sheet(packed("cifar10", "test").images[:100].numpy()))))
    with np.load(images.MINI / "cifar10.npz") as recorded:
        whole = np.asarray(Image.open(io.BytesIO(recorded["test_sheet"].tobytes())))
    assert np.array_equal(again, whole[: 2 * 32])


def test_the_choice_of_images_is_balanced_and_fixed(cutter):
    labels = np.tile(np.arange(10), 30)
    chosen = cutter.choose(labels, 3)
    assert np.bincount(labels[chosen]).tolist() == [3] * 10
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert chosen[:5].tolist() == [20, 48, 51, 55, 63]


@pytest.mark.parametrize("damage", [lambda blob: blob[:-100], lambda blob: b"x" + blob[1:], None])
def test_a_damaged_pack_is_named_and_kept(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MINI", tmp_path)
    file = tmp_path / "mnist.npz"
    if damage:
        file.write_bytes(damage((REPOSITORY / "robust_lib/data/mini/mnist.npz").read_bytes()))
    with pytest.raises(DataError, match=r"mnist.npz is damaged.*\n.*mnist.npz: (truncated or alt|not there)"):
        images.load("mnist")
    assert file.exists() == bool(damage)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("emnist",), "name must be one of mnist, .*, mnist_pairs, got 'emnist'"),
        ((3,), "name must be one of .*, got 3"),
        (("mnist", "valid"), "split must be one of train, test, got 'valid'"),
        (("mnist", "train", "big"), "size must be one of mini, full, got 'big'"),
        (("cifar100", "test"), r"cifar100 has no mini pack; .*load\('cifar100', 'test', size='full'\)"),
        (("mnist_pairs", "test", "full"), r"mnist_pairs is made of MNIST's mini pack; what .*'test'\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        images.load(*arguments)


# --- to_float, super-classes -----------------------------------------------------------------------


def test_to_float_by_hand():
    pictures = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    pictures[1, 2, 3, 4] = 255
    scaled = images.to_float(pictures, "cifar10")
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(
        scaled[0, :, 0, 0], torch.tensor([-1.98947, -1.98029, -1.70680]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(scaled[1, 2, 3, 4].item(), (1 - 0.4465) / 0.2616, atol=1e-6, rtol=0)
    assert pictures[1, 2, 3, 4] == 255, "the input is left alone"


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_to_float_standardises_each_channel(name):
    scaled = images.to_float(packed(name, "train").images, name).double()
    # 5,000 of 50,000 or 60,000 images: near 0 and 1, not equal to them.
    assert scaled.mean((0, 2, 3)).abs().max() < 0.02
    assert (scaled.std((0, 2, 3)) - 1).abs().max() < 0.02


def test_to_float_rejects_other_images():
    with pytest.raises(ValueError, match=r"images must be uint8 \(N, 1, H, W\) for mnist; got torch.float32"):
        images.to_float(torch.zeros(2, 1, 28, 28), "mnist")
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\) for cifar10; got torch.uint8 \(2, 1, 28, 28\)"):
        images.to_float(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "cifar10")
    with pytest.raises(ValueError, match=r"got torch.uint8 \(28, 28\)"):
        images.to_float(torch.zeros(28, 28, dtype=torch.uint8), "mnist")
    with pytest.raises(ValueError, match="name must be one of .*, got 'svhn'"):
        images.to_float(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "svhn")


def test_cifar100_superclasses_are_the_official_ones():
    groups, classes = images.cifar100_superclasses(), images.SETS["cifar100"].classes
    # The coarse label of each fine label, read off the data set's own label files.
    official = """
        4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7
        6 13 15 3 15 0 11 1 10 12 14 16 9 11 5 5 19 8 8 15 13 14 17 18 10
        16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16
        12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"""
    assert groups == tuple(map(int, official.split()))
    assert sorted(groups) == [k for k in range(20) for _ in range(5)]
    assert len(set(classes)) == 100
    assert list(images.CIFAR100_GROUPS) == sorted(images.CIFAR100_GROUPS)
    assert (classes[0], classes[1], classes[99]) == ("apple", "aquarium_fish", "worm")


def test_the_tables_agree_with_torchvision():
    for name in images.MIRRORS:
        theirs, source = getattr(datasets, images.SETS[name].reader), images.SETS[name]
        if name.startswith("cifar"):
            assert source.places == (theirs.base_folder, theirs.filename)
            assert images.MIRRORS[name][-1] + theirs.filename == theirs.url
        else:
            assert source.places == (f"{theirs.__name__}/raw",)
            assert [f"{file}.gz" for file in images.IDX_MD5[name]] == [file for file, _ in theirs.resources]
    assert images.SETS["fashion_mnist"].classes == tuple(datasets.FashionMNIST.classes)
    for name, mirrors in images.MIRRORS.items():
        assert len(set(mirrors)) == len(mirrors) >= 2, name
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in mirrors)


# --- full sets: small files in the real formats ----------------------------------------------------

NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")
SPLITS = ("train", "test")
TORCHVISION = {name: getattr(datasets, images.SETS[name].reader) for name in NAMES}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar_gz(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, blob in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(blob)
            tar.addfile(member, io.BytesIO(blob))
    return out.getvalue()


class Fake:
    """A small set: `files` and `archives` by their path below a root, `truth` by split, and its tables."""

    def __init__(self, name: str):
        self.name, self.files, self.truth, self.patches = name, {}, {}, {}
        self.folder, self.random = images.SETS[name].places[0], np.random.default_rng(0)
        (self.make_cifar if name.startswith("cifar") else self.make_idx)()

    def draw(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        pictures = self.random.integers(0, 256, shape, dtype=np.uint8)
        return pictures, self.random.integers(0, 10, shape[0], dtype=np.uint8)

    def add(self, file: str, blob: bytes) -> tuple[str, str]:
        self.files[f"{self.folder}/{file}"] = blob
        return file, md5(blob)

    def make_idx(self):
        for split, begin, n in (("train", "train", 5), ("test", "t10k", 3)):
            self.truth[split] = pictures, labels = self.draw(n, 1, 28, 28)
            self.add(f"{begin}-images-idx3-ubyte", idx(pictures[:, 0]))
            self.add(f"{begin}-labels-idx1-ubyte", idx(labels))
        self.archives = {f"{file}.gz": gzip.compress(blob) for file, blob in self.files.items()}
        self.patches["resources"] = [(Path(file).name, md5(blob)) for file, blob in self.archives.items()]

    def make_cifar(self):
        theirs, key = TORCHVISION[self.name], "labels" if self.name == "cifar10" else "fine_labels"
        for split in SPLITS:
            batches = {file: self.draw(2, 3, 32, 32) for file, _ in getattr(theirs, f"{split}_list")}
            self.truth[split] = tuple(map(np.concatenate, zip(*batches.values(), strict=True)))
            self.patches[f"{split}_list"] = [
                self.add(file, pickle.dumps({"data": data.reshape(2, -1), key: labels.tolist()}, protocol=2))
                for file, (data, labels) in batches.items()
            ]
        _, digest = self.add(theirs.meta["filename"], pickle.dumps({theirs.meta["key"]: ["a", "b"]}))
        self.archives = {theirs.filename: tar_gz(self.files)}
        self.patches |= {"meta": theirs.meta | {"md5": digest}, "tgz_md5": md5(*self.archives.values())}

    def lay(self, root: Path, files: dict[str, bytes] | None = None) -> Path:
        """Lay the set below root as torchvision would; the folder."""
        for file, blob in (files or self.files).items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(blob)
        return root / self.folder

    def check(self, split: str = "train") -> images.ImageSet:
        """The set as loaded, equal to the truth."""
        loaded = images.load(self.name, split, size="full")
        pictures, labels = self.truth[split]
        assert np.array_equal(loaded.images.numpy(), pictures)
        assert np.array_equal(loaded.labels.numpy(), labels)
        assert (loaded.images.dtype, loaded.labels.dtype) == (torch.uint8, torch.int64)
        assert loaded.images.is_contiguous()
        assert loaded.index.tolist() == list(range(len(labels)))
        assert loaded.name == self.name
        return loaded


ALL_FAKES = {name: Fake(name) for name in NAMES}


@pytest.fixture
def fakes(roots, server, monkeypatch):
    """The small sets by name, in torchvision's tables and on one mirror."""
    for name, fake in ALL_FAKES.items():
        for table, value in fake.patches.items():
            monkeypatch.setattr(TORCHVISION[name], table, value)
        if name in images.IDX_MD5:
            monkeypatch.setitem(images.IDX_MD5, name, {Path(f).name: md5(b) for f, b in fake.files.items()})
        server.blobs |= {f"{name}/{Path(file).name}": blob for file, blob in fake.archives.items()}
        monkeypatch.setitem(images.MIRRORS, name, (server.url("right", f"{name}/"),))
    return ALL_FAKES


@pytest.fixture
def mirrors(server, monkeypatch):
    def use(name, *behaviours):
        urls = tuple(server.url(how, f"{name}/") for how in behaviours)
        monkeypatch.setitem(images.MIRRORS, name, urls)
        return urls

    return use


# --- full sets: on this machine already ------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("root", ["cache", "theirs"])
def test_an_unpacked_copy_is_read(name, root, fakes, roots, server):
    roots.use_theirs()
    fakes[name].lay(getattr(roots, root))
    for split in SPLITS:
        assert str(getattr(roots, root)) in fakes[name].check(split).origin
    assert server.asked == []


@pytest.mark.parametrize("name", images.IDX_MD5)
@pytest.mark.parametrize("kind", ["files", "archives"])
def test_one_split_of_digits_needs_no_other(name, kind, fakes, roots, server):
    fake = fakes[name]
    fake.lay(roots.use_theirs(), {file: blob for file, blob in getattr(fake, kind).items() if "t10k" in file})
    fake.check("test")
    assert server.asked == []
    fake.check("train")  # which comes from the mirror
    assert server.asked == ["right", "right"]


@pytest.mark.parametrize("name", NAMES)
def test_a_packed_copy_is_unpacked_beside_itself_as_torchvision_does(name, fakes, roots, server):
    fakes[name].lay(roots.use_theirs(), fakes[name].archives)
    for split in SPLITS:
        fakes[name].check(split)
    files = {path.relative_to(roots.theirs).as_posix() for path, blob in roots.contents().items() if blob}
    assert files == {*fakes[name].files, *fakes[name].archives}
    assert server.asked == []


def test_the_users_copy_comes_before_ours(fakes, roots):
    fakes["cifar100"].lay(roots.use_theirs())
    fakes["cifar100"].lay(roots.cache)
    assert str(roots.theirs) in fakes["cifar100"].check("test").origin


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_no_pickle_of_unknown_content_is_executed(fakes, roots, server, tmp_path):
    fake, target = fakes["cifar10"], tmp_path / "exploded"
    bomb = pickle.dumps({"data": Bomb(target), "labels": []})
    pickle.loads(bomb)
    target.rmdir()  # it would have worked
    for file in ("test_batch", "batches.meta"):
        (fake.lay(roots.use_theirs()) / file).write_bytes(bomb)
        with pytest.warns(UserWarning, match=f"theirs.*{file}: truncated or altered"):
            fake.check("test")
    fake.lay(roots.cache, {"cifar-10-batches-py/test_batch": bomb})
    (roots.theirs / "cifar-10-python.tar.gz").write_bytes(tar_gz({"cifar-10-batches-py/test_batch": bomb}))
    with pytest.warns(UserWarning, match=r"cifar-10-python.tar.gz: truncated or altered"):
        fake.check("test")
    assert not target.exists()


def test_no_file_of_an_old_torchvision_is_read_unchecked(fakes, roots):
    old = fakes["mnist"].lay(roots.cache).parent / "processed"
    old.mkdir()
    for file in ("training.pt", "test.pt"):
        torch.save((torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1)), old / file)
    fakes["mnist"].check()


# --- full sets: downloads --------------------------------------------------------------------------

BAD = {
    "wrong": "truncated or altered",
    "short": "IncompleteRead|truncated",
    "missing": "404",
    "silent": "timed out",
    "deaf": "timed out",
    "trickle": "too slow, .* bytes in 0 s",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_download_is_kept_in_torchvisions_layout(name, fakes, roots, server, capsys):
    fake = fakes[name]
    for split in SPLITS:
        fake.check(split)
    assert server.asked == ["right"] * len(fake.archives), "the second time nothing is downloaded"
    assert ".gz from 127.0.0.1" in capsys.readouterr().err, "progress is shown"
    on_disk = {path: blob for path, blob in roots.contents().items() if blob is not None}
    assert on_disk == {roots.cache / file: blob for file, blob in fake.files.items()}, "and no scratch folder"
    for split in SPLITS:
        theirs = TORCHVISION[name](roots.cache, train=split == "train", download=False)
        assert np.array_equal(theirs.targets, fake.truth[split][1])


def test_a_download_goes_to_the_folder_the_user_names(fakes, roots, mirrors):
    roots.use_theirs()
    mirrors("cifar10", "chunked")  # a server without a content length will do
    fakes["cifar10"].check("test")
    assert (roots.theirs / "cifar-10-batches-py/data_batch_1").exists(), "the whole archive, not one split"
    assert not roots.cache.exists()


@pytest.mark.parametrize("how", BAD)
def test_a_bad_mirror_is_left_for_the_next(how, fakes, roots, server, mirrors):
    roots.use_theirs()
    urls = mirrors("cifar100", how, "missing")
    with pytest.raises(DataError, match=BAD[how]) as caught:
        images.load("cifar100", size="full")
    caught.match("404")
    for url in urls:
        caught.match(f"{url}cifar-100-python.tar.gz: ")
    assert server.asked == [how, "missing"], "each mirror once"
    assert roots.contents() == {}, "not even an empty folder"
    mirrors("cifar100", how, "right", "missing")
    with pytest.warns(UserWarning, match=rf"went wrong:\n.*/{how}/.*{BAD[how].split('|')[0]}|truncated"):
        fakes["cifar100"].check()
    assert server.asked[2:] == [how, "right"]


def test_without_a_network_the_error_lists_all_that_was_tried(fakes, roots, server, monkeypatch):
    roots.use_theirs()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        urls = tuple(f"http://127.0.0.1:{closed.getsockname()[1]}/{part}/" for part in ("first", "second"))
        messages = {}
        for name in ("cifar100", "mnist"):
            monkeypatch.setitem(images.MIRRORS, name, urls)
            with pytest.raises(DataError) as caught:
                images.load(name, size="full")
            messages[name] = str(caught.value)
    message = messages["cifar100"]
    assert message.startswith("CIFAR-100 cannot be had. Tried:\n")
    for root in (roots.theirs, roots.cache):
        assert f"  {root / 'cifar-100-python' / 'train'}: not there\n" in message
        assert f"  {root / 'cifar-100-python.tar.gz'}: not there\n" in message
    for url in urls:
        assert f"  {url}cifar-100-python.tar.gz: ConnectionError: " in message
    assert "ROBUST_DATA" in message
    assert ('size="mini"' in message, 'size="mini"' in messages["mnist"]) == (False, True)
    assert roots.contents() == {}


@pytest.mark.parametrize("damage", [lambda blob: blob[:50], lambda blob: blob[:-1] + b"?", lambda blob: b""])
def test_a_broken_file_of_the_user_is_named_and_left_alone(damage, fakes, roots, server):
    broken = fakes["cifar10"].lay(roots.use_theirs()) / "data_batch_3"
    broken.write_bytes(damage(broken.read_bytes()))
    before = roots.contents()
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"went wrong:\n.*theirs.*data_batch_3: truncated or altered"):
            fakes["cifar10"].check()
    assert server.asked == ["right"], "fetched once, into the cache"
    after = roots.contents()
    assert {path: blob for path, blob in after.items() if roots.cache not in (path, *path.parents)} == before


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_one_download_replaces_all_broken_files_of_ours(name, fakes, roots, server):
    fake = fakes[name]
    fake.lay(roots.cache)
    broken = list(fake.files)[:2]
    for file in broken:
        (roots.cache / file).write_bytes(b"half")
    with pytest.warns(UserWarning, match=rf"{broken[0]}: truncated or altered \(4 bytes, md5 .*\)"):
        fake.check()
    assert all((roots.cache / file).read_bytes() == fake.files[file] for file in broken)
    fake.check("test")
    # The digits come in four archives, of which the two of the broken split are asked for.
    assert server.asked == ["right"] * min(len(fake.archives), 2)


def test_a_broken_file_of_ours_is_not_read_when_it_cannot_be_replaced(fakes, roots, mirrors):
    (fakes["cifar100"].lay(roots.cache) / "train").write_bytes(b"half")
    mirrors("cifar100", "missing")
    with pytest.raises(DataError, match=r"train: truncated or altered .*\n(.*\n)*.*404"):
        images.load("cifar100", "train", size="full")


def test_an_unreadable_folder_is_named(fakes, roots, mirrors):
    roots.use_theirs().write_text("a file, not a folder")
    with pytest.warns(UserWarning, match=rf"{roots.theirs}.*: NotADirectoryError"):
        fakes["cifar100"].check()
    mirrors("mnist", "missing")
    with pytest.raises(DataError, match=rf"{roots.theirs}.*: NotADirectoryError.*\n(.*\n)*.*404"):
        images.load("mnist", "train", size="full")
    assert roots.theirs.read_text() == "a file, not a folder"


def locked(path):
    """As chmod would do, but for a test that runs as root."""
    raise PermissionError(13, "Permission denied", str(path))


def test_an_unreadable_file_is_named(fakes, roots, monkeypatch):
    theirs = fakes["cifar100"].lay(roots.use_theirs())

    def opened(path, mode):
        return locked(path) if Path(path) == theirs / "train" else open(path, mode)

    monkeypatch.setattr(downloads, "open", opened, raising=False)
    with pytest.warns(UserWarning, match=r"theirs.cifar-100-python.train: PermissionError: .*Permission den"):
        fakes["cifar100"].check()
    assert list(theirs.parent.iterdir()) == [theirs], "nothing is written beside it"


@pytest.mark.parametrize("packed_there", [False, True])
def test_a_folder_that_cannot_be_written_gives_way_to_the_cache(
    packed_there, fakes, roots, server, monkeypatch
):
    roots.use_theirs().mkdir()
    if packed_there:
        fakes["cifar100"].lay(roots.theirs, fakes["cifar100"].archives)
    mkdtemp = tempfile.mkdtemp

    def made(suffix=None, prefix=None, dir=None):
        return locked(dir) if Path(dir) == roots.theirs else mkdtemp(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", made)
    with pytest.warns(UserWarning, match=rf"from {roots.cache}, .*\n.*{roots.theirs}: PermissionError"):
        fakes["cifar100"].check("test")
    assert server.asked == ([] if packed_there else ["right"])


def test_a_stop_or_a_full_disk_leaves_nothing_half_written(fakes, roots, monkeypatch):
    def full_disk(_source, _target):
        raise OSError(28, "No space left on device")

    def stopped(_urls, folder, _check, _problems):
        (folder / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(DataError, match=rf"{roots.cache}: OSError: .*No space left"):
            images.load("cifar100", "test", size="full")
    monkeypatch.setattr(downloads, "from_mirrors", stopped)
    with pytest.raises(KeyboardInterrupt):
        images.load("cifar100", "test", size="full")
    assert [
        path for path, blob in roots.contents().items() if blob is not None or "download" in path.name
    ] == []


# --- full sets: the real ones, where they are ------------------------------------------------------


@pytest.fixture
def only_theirs(monkeypatch, tmp_path):
    """Full sets come from ROBUST_DATA or not at all."""
    monkeypatch.setattr(downloads, "cache_folder", lambda: tmp_path)
    for name in images.MIRRORS:
        monkeypatch.setitem(images.MIRRORS, name, ())


@pytest.mark.parametrize(("name", "split"), MINI_CONTENT)
def test_the_packs_against_the_full_sets(name, split, only_theirs, cutter):
    try:
        cut = cutter.cut(name, split)
    except DataError:
        pytest.skip(f"no full {name} in ROBUST_DATA")
    pack = packed(name, split)
    assert torch.equal(pack.images, cut.images)
    assert torch.equal(pack.labels, cut.labels)
    assert torch.equal(pack.index, cut.index)


def test_the_superclasses_against_the_full_set(only_theirs):
    try:
        full = images.load("cifar100", "train", size="full")
    except DataError:
        pytest.skip("no full cifar100 in ROBUST_DATA")
    path = Path(os.environ["ROBUST_DATA"]) / "cifar-100-python" / "train"  # its md5 was right
    coarse = pickle.loads(path.read_bytes(), encoding="latin1")["coarse_labels"]
    assert torch.equal(torch.tensor(images.cifar100_superclasses())[full.labels], torch.tensor(coarse))
