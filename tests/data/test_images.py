"""Mini packs against the original files' numbers; full sets with small fake files and servers on loopback."""

import dataclasses
import gzip
import hashlib
import http.server
import importlib.util
import io
import os
import pickle
import socket
import struct
import tarfile
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from robust_lib.data import images

REPOSITORY = Path(__file__).parents[2]


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
    pack = images.load(name, split)
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


@pytest.mark.parametrize("split", ["train", "test"])
def test_pairs_are_the_packs_digits_each_once_on_either_side(split):
    pack, pairs = images.load("mnist", split), images.load("mnist_pairs", split)
    n = len(pack.labels)
    assert pairs.images.shape == (n, 1, 28, 28)
    assert pairs.labels.bincount().tolist() == [n // 100] * 100
    assert pairs.classes[42] == "42"
    narrow = (pack.images.double().unflatten(3, (14, 2)).sum(4) / 2).round().byte().flatten(1)
    digits = [(image.numpy().tobytes(), int(label)) for image, label in zip(narrow, pack.labels, strict=True)]
    halves = {
        "left": (pairs.images[..., :14], pairs.labels // 10),
        "right": (pairs.images[..., 14:], pairs.labels % 10),
    }
    for side, (sides, shown) in halves.items():
        found = zip(sides.flatten(1), shown, strict=True)
        assert sorted((i.numpy().tobytes(), int(k)) for i, k in found) == sorted(digits), side
    again = images.load("mnist_pairs", split)
    assert torch.equal(again.images, pairs.images)
    assert torch.equal(again.labels, pairs.labels)


def test_the_packs_are_small_and_documented():
    files = sorted(images.MINI.glob("*.npz"))
    assert [file.stem for file in files] == sorted(images.MINI_MD5)
    assert sum(file.stat().st_size for file in files) <= 14e6
    readme = (images.MINI / "README.md").read_text()
    for file in files:
        assert md5(file.read_bytes()) == images.MINI_MD5[file.stem]
        assert f"| {file.name} | {file.stat().st_size:,} | {images.MINI_MD5[file.stem]} |" in readme


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_pack_is_cut_again_bit_for_bit(name, cutter):
    blob = cutter.pack({split: images.load(name, split) for split in ("train", "test")})
    with np.load(io.BytesIO(blob)) as again, np.load(images.MINI / f"{name}.npz") as recorded:
        assert again.files == recorded.files
        for key in again.files:
            a, b = again[key], recorded[key]
            if key.endswith("sheet"):  # the same pixels, whatever the encoder
                a, b = (np.asarray(Image.open(io.BytesIO(sheet.tobytes()))) for sheet in (a, b))
            assert np.array_equal(a, b), key
    if features.version("webp") != "1.6.0":
        pytest.skip("the packs' bytes are those of libwebp 1.6.0")
    assert md5(blob) == images.MINI_MD5[name]


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
        file.write_bytes(damage((REPOSITORY / "robust_lib/mini/mnist.npz").read_bytes()))
    with pytest.raises(
        images.DataError, match=r"mnist is damaged.*\n.*mnist.npz: (truncated or altered|not there)"
    ):
        images.load("mnist")
    assert file.exists() == bool(damage)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("emnist",), r"name must be one of \('mnist', .*'mnist_pairs'\); got 'emnist'"),
        ((3,), r"name must be one of .*; got 3"),
        (("mnist", "valid"), r"split must be one of \('train', 'test'\); got 'valid'"),
        (("mnist", "train", "big"), r"size must be one of \('mini', 'full'\); got 'big'"),
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
    scaled = images.to_float(images.load(name).images, name).double()
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
    with pytest.raises(ValueError, match=r"name must be one of .*; got 'svhn'"):
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


# --- the tables ------------------------------------------------------------------------------------


def test_the_tables_agree_with_torchvision():
    from torchvision import datasets

    for name, theirs in (("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)):
        assert [(a.name, a.md5) for a in images.SETS[name].archives] == theirs.resources
        assert images.SETS[name].folder == f"{theirs.__name__}/raw"
    assert images.SETS["fashion_mnist"].classes == tuple(datasets.FashionMNIST.classes)
    for name, theirs in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        (archive,) = images.SETS[name].archives
        files = [*theirs.train_list, *theirs.test_list, (theirs.meta["filename"], theirs.meta["md5"])]
        assert (archive.name, archive.md5) == (theirs.filename, theirs.tgz_md5)
        assert archive.files == dict(map(tuple, files))
        assert images.SETS[name].folder == theirs.base_folder
        assert images.MIRRORS[name][-1] + archive.name == theirs.url
    for name, mirrors in images.MIRRORS.items():
        assert len(set(mirrors)) == len(mirrors) >= 2, name
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in mirrors)


# --- full sets: small files in the real formats ----------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def python2_pickle(pixels: np.ndarray, labels: list[int], labels_key: bytes) -> bytes:
    """Opcode by opcode what Python 2 wrote into the CIFAR files: protocol 2, byte strings, numpy.core."""

    def text(s: bytes) -> bytes:
        return b"U" + bytes([len(s)]) + s

    def number(n: int) -> bytes:
        return b"J" + struct.pack("<i", n)

    empty = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + number(0)
        + b"\x85"
        + text(b"b")
        + b"\x87R"
    )
    uint8 = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    uint8 += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    shape = number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86"
    raw = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    array = empty + b"(" + number(1) + shape + uint8 + b"\x89" + raw + b"tb"
    numbers = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(labels_key) + numbers + b"u."


def tar_gz(files: dict[str, bytes], folder: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, blob in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(blob)
            tar.addfile(member, io.BytesIO(blob))
    return out.getvalue()


class World:
    """A cache, a user's folder and a server of our own; `files` and `archives` of fake sets by name."""

    def __init__(self, folder: Path, monkeypatch):
        self.cache, self.theirs = folder / "cache", folder / "theirs"
        self.files, self.archives, self.truth, self.asked, self.trickled = {}, {}, {}, [], 0
        self.random = np.random.default_rng(0)
        self.monkeypatch = monkeypatch
        self.monkeypatch.setattr(images, "cache_folder", lambda: self.cache)
        monkeypatch.delenv("ROBUST_DATA", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        self.fetch = images.fetch
        monkeypatch.setattr(images, "fetch", self.patiently)
        for name in ("mnist", "fashion_mnist"):
            self.make_idx(name)
        self.make_cifar("cifar10", b"labels", {f"data_batch_{k}": 2 for k in range(1, 6)} | {"test_batch": 3})
        self.make_cifar("cifar100", b"fine_labels", {"train": 4, "test": 3})
        for name in images.MIRRORS:
            self.mirrors(name, "right")

    def make_idx(self, name):
        archives = []
        for split, start, n in (("train", "train", 5), ("test", "t10k", 3)):
            pictures = self.random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            labels = self.random.integers(0, 10, n, dtype=np.uint8)
            self.truth[name, split] = pictures[:, None], labels
            blobs = {f"{start}-images-idx3-ubyte": idx(pictures), f"{start}-labels-idx1-ubyte": idx(labels)}
            for file, blob in blobs.items():
                archives.append(self.add(name, f"{file}.gz", gzip.compress(blob), {file: blob}))
        self.use(name, archives)

    def make_cifar(self, name, key, counts):
        blobs, parts = {}, {"train": [], "test": []}
        for file, n in counts.items():
            pixels = self.random.integers(0, 256, (n, 3072), dtype=np.uint8)
            labels = self.random.integers(0, 10, n).tolist()
            parts["test" if "test" in file else "train"].append((pixels.reshape(-1, 3, 32, 32), labels))
            blobs[file] = python2_pickle(pixels, labels, key)
        for split, batches in parts.items():
            self.truth[name, split] = tuple(map(np.concatenate, zip(*batches, strict=True)))
        archive = f"{images.SETS[name].folder}.tar.gz"
        self.use(name, [self.add(name, archive, tar_gz(blobs, images.SETS[name].folder), blobs)])

    def add(self, name, archive, blob, files):
        self.archives[f"{name}/{archive}"] = blob
        self.files.setdefault(name, {}).update(files)
        return images.Archive(archive, md5(blob), {file: md5(content) for file, content in files.items()})

    def use(self, name, archives):
        source = dataclasses.replace(images.SETS[name], archives=tuple(archives))
        self.monkeypatch.setitem(images.SETS, name, source)

    def patiently(self, url, *rest):
        """Short of patience only with the mirrors that try it: a good one may be slow on a busy machine."""
        slow = any(f"/{how}/" in url for how in ("deaf", "silent", "trickle"))
        self.monkeypatch.setattr(images, "PATIENCE_SECONDS", 0.3 if slow else 30.0)
        self.fetch(url, *rest)

    def mirrors(self, name, *behaviours):
        urls = tuple(f"http://127.0.0.1:{self.port}/{how}/{name}/" for how in behaviours)
        self.monkeypatch.setitem(images.MIRRORS, name, urls)

    port = 1  # nothing listens there: a closed door until the server fixture gives another

    def unpack(self, name, root) -> Path:
        """Lay the set below root as torchvision would; the folder."""
        folder = root / images.SETS[name].folder
        folder.mkdir(parents=True, exist_ok=True)
        for file, blob in self.files[name].items():
            (folder / file).write_bytes(blob)
        return folder

    def check(self, loaded, name, split):
        images, labels = self.truth[name, split]
        assert np.array_equal(loaded.images.numpy(), images)
        assert np.array_equal(loaded.labels.numpy(), labels)
        assert loaded.images.dtype == torch.uint8
        assert loaded.labels.dtype == torch.int64
        assert loaded.index.tolist() == list(range(len(labels)))
        assert loaded.name == name

    def on_disk(self) -> list[Path]:
        return [path for root in (self.cache, self.theirs) for path in root.rglob("*")]


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


ALL = [
    (name, split) for name in ("mnist", "fashion_mnist", "cifar10", "cifar100") for split in ("train", "test")
]


@pytest.mark.parametrize(("name", "split"), ALL)
@pytest.mark.parametrize("root", ["cache", "theirs"])
def test_an_unpacked_copy_is_read(name, split, root, world, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    world.unpack(name, getattr(world, root))
    loaded = images.load(name, split, size="full")
    world.check(loaded, name, split)
    assert str(getattr(world, root)) in loaded.origin


@pytest.mark.parametrize(("name", "split"), ALL)
def test_a_packed_copy_is_read_where_it_lies(name, split, world, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    home = world.theirs / ("" if name.startswith("cifar") else images.SETS[name].folder)
    home.mkdir(parents=True)
    for archive in images.SETS[name].archives:
        (home / archive.name).write_bytes(world.archives[f"{name}/{archive.name}"])
    before = world.on_disk()
    world.check(images.load(name, split, size="full"), name, split)
    assert world.on_disk() == before


def test_the_users_copy_comes_before_ours(world, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    world.unpack("cifar100", world.theirs)
    world.unpack("cifar100", world.cache)
    assert str(world.theirs) in images.load("cifar100", "test", size="full").origin


def test_pickles_of_this_numpy_are_read_too(world, monkeypatch):
    pixels = np.arange(2 * 3072, dtype=np.int64).astype(np.uint8).reshape(2, 3072)
    blob = pickle.dumps({"data": pixels, "fine_labels": [7, 9]}, protocol=4)
    pictures, labels = images._read_cifar([blob])
    assert np.array_equal(pictures, pixels)
    assert labels.tolist() == [7, 9]


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_pickle_that_calls_something_is_refused(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    target = tmp_path / "exploded"
    blob = pickle.dumps({"data": Bomb(str(target)), "labels": []})
    world.files["cifar10"]["test_batch"] = blob
    (archive,) = images.SETS["cifar10"].archives
    world.use("cifar10", [dataclasses.replace(archive, files=archive.files | {"test_batch": md5(blob)})])
    world.unpack("cifar10", world.theirs)
    with pytest.raises(images.DataError, match=r"refused: a CIFAR file asks for (posix|nt).mkdir"):
        images.load("cifar10", "test", size="full")
    assert not target.exists()


@pytest.mark.parametrize("name", ["os.system", "os.dtype", "numpy.fromfile", "numpy.core.multiarray.dtype"])
def test_only_what_an_array_needs_is_looked_up(name):
    module, _, attribute = name.rpartition(".")
    with pytest.raises(images.DataError, match=f"asks for {name}"):
        images._read_cifar([f"c{module}\n{attribute}\n.".encode()])


# --- full sets: downloads --------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """/BEHAVIOUR/SET/FILE; what a server can do to us, by name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, how, path = self.path.split("/", 2)
        world, blob = self.server.world, self.server.world.archives[path]
        world.asked.append(how)
        if how == "missing":
            self.send_error(404)
            return
        if how == "deaf":
            self.server.over.wait(30)
            return
        self.send_response(200)
        if how == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = len(blob) // 2
            for part in (blob[:half], blob[half:], b""):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            return
        self.send_header("Content-Length", str(len(blob)))
        self.end_headers()
        self.close_connection = True
        if how == "right":
            self.wfile.write(blob)
        elif how == "wrong":
            self.wfile.write(blob[:-1] + bytes([blob[-1] ^ 1]))
        else:
            self.wfile.write(blob[:20])  # and that is all of "short"
        if how == "silent":
            self.server.over.wait(30)
        if how == "trickle":
            for byte in blob[20:1020]:
                if self.server.over.wait(0.02):
                    return
                try:
                    self.wfile.write(bytes([byte]))
                    world.trickled += 1
                except OSError:  # the client has left
                    return

    def log_message(self, *_):
        pass


@pytest.fixture
def server(world):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.world, httpd.over, world.port = world, threading.Event(), httpd.server_address[1]
        for name in images.MIRRORS:
            world.mirrors(name, "right")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield world
        httpd.over.set()
        httpd.shutdown()
        thread.join()


BAD = {
    "wrong": "does not match the known hash",
    "short": "IncompleteRead",
    "missing": "404",
    "silent": "timed out",
    "deaf": "timed out",
    "trickle": r"too slow, \d+ bytes in 0.3 s",
}


@pytest.mark.parametrize(("name", "split"), ALL)
def test_a_download_is_kept_in_torchvisions_layout(name, split, server, capsys):
    world = server
    world.check(images.load(name, split, size="full"), name, split)
    assert ".gz from 127.0.0.1" in capsys.readouterr().err, "progress is shown"
    asked = len(world.asked)
    world.check(images.load(name, split, size="full"), name, split)
    assert len(world.asked) == asked, "the second time nothing is downloaded"
    folder = world.cache / images.SETS[name].folder
    files = [path for path in world.on_disk() if path.is_file()]
    assert files
    assert all(path.parent == folder and path.read_bytes() == world.files[name][path.name] for path in files)
    assert not any("download" in path.name for path in world.on_disk()), "no scratch folder is left"


def test_torchvision_reads_what_was_downloaded(server):
    from torchvision import datasets

    for split in ("train", "test"):
        images.load("mnist", split, size="full")
    for split in ("train", "test"):
        theirs = datasets.MNIST(server.cache, train=split == "train", download=False)
        assert np.array_equal(theirs.data[:, None].numpy(), server.truth["mnist", split][0])


def test_a_download_goes_to_the_folder_the_user_names(server, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(server.theirs))
    images.load("cifar10", "test", size="full")
    assert (server.theirs / "cifar-10-batches-py" / "data_batch_1").exists(), (
        "the whole archive, not one split"
    )
    assert not server.cache.exists()


def test_a_server_without_a_content_length_will_do(server):
    server.mirrors("cifar100", "chunked")
    server.check(images.load("cifar100", "train", size="full"), "cifar100", "train")


@pytest.mark.parametrize("how", BAD)
@pytest.mark.filterwarnings("ignore:CIFAR-100.*went wrong:UserWarning")
def test_after_a_bad_mirror_comes_the_next(how, server):
    server.mirrors("cifar100", how, "right", "missing")
    server.check(images.load("cifar100", "train", size="full"), "cifar100", "train")
    assert server.asked == [how, "right"]


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("name", ["mnist", "cifar100"])
def test_bad_mirrors_alone_leave_an_error_and_nothing_else(name, how, server, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(server.theirs))
    server.mirrors(name, how, "missing")
    with pytest.raises(images.DataError) as caught:
        images.load(name, "train", size="full")
    caught.match(BAD[how])
    caught.match("404")
    for mirror in images.MIRRORS[name]:
        caught.match(f"{mirror}{images.SETS[name].archives[0].name}: ")
    caught.match(f"{server.cache / images.SETS[name].folder}.*: not there")
    assert ('size="mini"' in str(caught.value)) == (name == "mnist")
    assert server.asked == [how, "missing"], "each mirror once"
    assert list(server.cache.parent.iterdir()) == [], "not even an empty folder"
    assert server.trickled < 900, "the slow mirror is left while it is still sending its 1,000 bytes"


def test_without_a_network_the_error_lists_all_that_was_tried(world, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        world.port = closed.getsockname()[1]  # bound and not listening: refused
        world.mirrors("cifar100", "first", "second")
        with pytest.raises(images.DataError) as caught:
            images.load("cifar100", size="full")
    message = str(caught.value)
    assert message.startswith("CIFAR-100 cannot be had. Tried:\n")
    for root in (world.theirs, world.cache):
        assert f"  {root / 'cifar-100-python' / 'train'}: not there\n" in message
        assert f"  {root / 'cifar-100-python.tar.gz'}: not there\n" in message
    for mirror in images.MIRRORS["cifar100"]:
        assert f"  {mirror}cifar-100-python.tar.gz: ConnectionError: " in message
    assert "ROBUST_DATA" in message
    assert world.on_disk() == []


@pytest.mark.parametrize("damage", [lambda blob: blob[:50], lambda blob: blob[:-1] + b"?", lambda blob: b""])
def test_a_broken_file_of_the_user_is_named_and_left_alone(damage, server, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(server.theirs))
    broken = server.unpack("cifar10", server.theirs) / "data_batch_3"
    content = damage(broken.read_bytes())
    broken.write_bytes(content)
    before = {path: path.read_bytes() for path in server.theirs.rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"went wrong:\n.*theirs.*data_batch_3: truncated or altered"
        ) as seen:
            loaded = images.load("cifar10", "train", size="full")
        server.check(loaded, "cifar10", "train")
        assert "removed" not in str(seen[0].message)
    assert server.asked == ["right"], "fetched once, into the cache"
    assert {path: path.read_bytes() for path in server.theirs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_a_broken_file_of_ours_is_replaced(name, server):
    folder = server.unpack(name, server.cache)
    file = next(iter(images.SETS[name].archives[0].files))
    (folder / file).write_bytes(b"half")
    with pytest.warns(UserWarning, match=rf"{file}: truncated or altered \(4 bytes, md5 .*\), removed"):
        server.check(images.load(name, "train", size="full"), name, "train")
    assert (folder / file).read_bytes() == server.files[name][file]
    server.check(images.load(name, "train", size="full"), name, "train")


def test_one_download_replaces_all_broken_files_of_ours(server):
    folder = server.unpack("cifar100", server.cache)
    (folder / "train").write_bytes(b"half")
    (folder / "test").write_bytes(b"half")
    with pytest.warns(UserWarning, match="train: truncated or altered"):
        images.load("cifar100", "train", size="full")
    server.check(images.load("cifar100", "test", size="full"), "cifar100", "test")
    assert server.asked == ["right"]


def test_a_broken_file_of_ours_is_removed_even_when_it_cannot_be_replaced(world):
    broken = world.unpack("cifar100", world.cache) / "train"
    broken.write_bytes(b"half")
    with pytest.raises(
        images.DataError, match=r"train: truncated or altered .*, removed\n(.*\n)*.*ConnectionError"
    ):
        images.load("cifar100", "train", size="full")
    assert not broken.exists()
    assert (broken.parent / "test").exists(), "what is whole stays"


def test_an_unreadable_folder_is_named(world, server, monkeypatch):
    world.theirs.write_text("a file, not a folder")
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    with pytest.warns(UserWarning, match=rf"{world.theirs}.*: NotADirectoryError"):
        world.check(images.load("cifar100", "train", size="full"), "cifar100", "train")
    world.unpack("cifar10", world.cache)
    world.mirrors("mnist", "missing")
    with pytest.raises(images.DataError, match=rf"{world.theirs}.*: NotADirectoryError.*\n(.*\n)*.*404"):
        images.load("mnist", "train", size="full")
    assert world.theirs.read_text() == "a file, not a folder"


def test_an_unreadable_file_is_named(world, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(world.theirs))
    world.unpack("cifar100", world.theirs)
    honest = Path.read_bytes

    def locked(path):  # chmod would not stop a test that runs as root
        if path.parent == world.theirs / "cifar-100-python":
            raise PermissionError(13, "Permission denied", str(path))
        return honest(path)

    monkeypatch.setattr(Path, "read_bytes", locked)
    with pytest.raises(
        images.DataError, match=r"theirs.cifar-100-python.train: PermissionError: .*Permission denied"
    ):
        images.load("cifar100", "train", size="full")


def test_a_folder_that_cannot_be_written_gives_way_to_the_cache(server, monkeypatch):
    monkeypatch.setenv("ROBUST_DATA", str(server.theirs))
    server.theirs.mkdir()
    honest = tempfile.mkdtemp

    def locked(suffix=None, prefix=None, dir=None):  # as chmod would, but for a test that runs as root
        if Path(dir) == server.theirs:
            raise PermissionError(13, "Permission denied", str(dir))
        return honest(suffix, prefix, dir)

    monkeypatch.setattr(tempfile, "mkdtemp", locked)
    with pytest.warns(UserWarning, match=rf"from {server.cache}, .*\n.*{server.theirs}: PermissionError"):
        server.check(images.load("cifar100", "test", size="full"), "cifar100", "test")


@pytest.mark.parametrize("moment", ["fetch", "place"])
def test_a_stop_or_a_full_disk_leaves_nothing_half_written(moment, server, monkeypatch):
    def full_disk(_source, _target):
        raise OSError(28, "No space left on device")

    def stopped(_url, path, _pooch=None):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    if moment == "place":
        monkeypatch.setattr(os, "replace", full_disk)
        with pytest.raises(images.DataError, match=rf"{server.cache}: OSError: .*No space left"):
            images.load("cifar100", "test", size="full")
    else:
        monkeypatch.setattr(images, "fetch", stopped)
        with pytest.raises(KeyboardInterrupt):
            images.load("cifar100", "test", size="full")
    assert [path for path in server.on_disk() if path.is_file()] == []
    assert not any("download" in path.name for path in server.on_disk())


# --- full sets: the real ones, where they are ------------------------------------------------------


@pytest.fixture
def only_theirs(monkeypatch, tmp_path):
    """Full sets come from ROBUST_DATA or not at all."""
    monkeypatch.setattr(images, "cache_folder", lambda: tmp_path)
    for name in images.MIRRORS:
        monkeypatch.setitem(images.MIRRORS, name, ())


@pytest.mark.parametrize(("name", "split"), MINI_CONTENT)
def test_the_packs_against_the_full_sets(name, split, only_theirs, cutter):
    try:
        cut = cutter.cut(name, split)
    except images.DataError:
        pytest.skip(f"no full {name} in ROBUST_DATA")
    pack = images.load(name, split)
    assert torch.equal(pack.images, cut.images)
    assert torch.equal(pack.labels, cut.labels)
    assert torch.equal(pack.index, cut.index)


def test_the_superclasses_against_the_full_set(only_theirs):
    try:
        full = images.load("cifar100", "train", size="full")
    except images.DataError:
        pytest.skip("no full cifar100 in ROBUST_DATA")
    path = Path(os.environ["ROBUST_DATA"]) / "cifar-100-python" / "train"
    if not path.exists():
        pytest.skip("cifar100 is there in its archive only")
    coarse = images._PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()["coarse_labels"]
    assert torch.equal(torch.tensor(images.cifar100_superclasses())[full.labels], torch.tensor(coarse))
