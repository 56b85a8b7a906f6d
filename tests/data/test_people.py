"""Human labels: small files in each public format, servers on loopback, and the real files where they are."""

import dataclasses
import hashlib
import http.server
import io
import json
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from robust_lib import data
from robust_lib.__main__ import main
from robust_lib.data import noise, people

CLEAN = np.array([0, 1, 2, 0, 1, 2], dtype=np.int64)
NOISY = {
    name: np.roll(CLEAN, shift)
    for shift, name in enumerate(["aggre_label", "worse_label", "random_label1", "random_label2"], 1)
} | {"random_label3": CLEAN}
ROWS = [  # (place, given, guessed, votes); the second is of MNIST's faulty kind: the guess is the label
    (3, 5, 8, {"given": 2, "guessed": 3, "neither": 0}),
    (4, 7, 7, {"given": 5, "guessed": 5, "neither": 0}),
    (8, 1, 2, {"given": 3, "guessed": 0, "neither": 2}),
]
PROBS = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
COUNTS = np.array([[10] + [0] * 9, [5] * 10], dtype=np.int64)


def md5(array: np.ndarray) -> str:
    return hashlib.md5(array.tobytes(), usedforsecurity=False).hexdigest()


def torch_file(content: dict, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def mturk(rows=ROWS) -> bytes:
    keys = ("id", "given_original_label", "our_guessed_label", "mturk")
    return json.dumps([dict(zip(keys, row, strict=True)) for row in rows]).encode()


CROWD = {"clean_label": CLEAN, **NOISY}
VOTES = {
    "test_index": np.array([3, 4, 8]),
    "given_label": np.array([5, 7, 1]),
    "guessed_label": np.array([8, 7, 2]),
    "votes_given": np.array([2, 5, 3]),
    "votes_guessed": np.array([3, 5, 0]),
    "votes_neither": np.array([0, 0, 2]),
    "votes_both": np.array([0, 0, 0]),
}
SMALL = {
    ("cifar-n", "cifar10n"): (CROWD, torch_file(CROWD)),
    ("cifar-n", "cifar100n"): (
        {"clean_label": CLEAN, "noisy_label": CLEAN[::-1].copy()},
        torch_file({"clean_label": CLEAN, "noisy_label": CLEAN[::-1].copy()}),
    ),
    ("label-errors", "mnist votes"): (VOTES, mturk()),
    ("label-errors", "mnist predictions"): (
        {"predicted_label": np.array([1, 0])},
        npy(np.array([1, 0], dtype=np.uint16)),
    ),
    ("label-errors", "mnist probabilities"): ({"pred_prob": PROBS}, npy(PROBS.astype(np.float64))),
    ("cifar-10h", "counts"): ({"counts": COUNTS}, npy(COUNTS)),
    ("cifar-10h", "probs"): (
        {"probs": COUNTS / COUNTS.sum(1, keepdims=True)},
        npy(COUNTS / COUNTS.sum(1, keepdims=True)),
    ),
}


class World:
    """Small collections, a cache, a user's folder, and a server of our own with the public files."""

    def __init__(self, folder: Path, address: str, monkeypatch):
        self.cache, self.theirs, self.monkeypatch = folder / "cache", folder / "theirs", monkeypatch
        monkeypatch.setattr(data, "cache_folder", lambda: self.cache)
        monkeypatch.delenv("ROBUST_DATA", raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        people._show_licence.cache_clear()
        pieces = {}
        for (collection, part), (arrays, _) in SMALL.items():
            real = people.COLLECTIONS[collection].pieces[part]
            known = {name: (real.arrays[name][0], md5(array)) for name, array in arrays.items()}
            urls = (address + real.file,)
            pieces.setdefault(collection, {})[part] = dataclasses.replace(real, urls=urls, arrays=known)
        small = {c: dataclasses.replace(people.COLLECTIONS[c], pieces=pieces[c]) for c in pieces}
        monkeypatch.setattr(people, "COLLECTIONS", small)

    def use(self, folder: Path) -> Path:
        self.monkeypatch.setenv("ROBUST_DATA", str(folder))
        return folder

    def put(self, folder: Path, collection: str, part: str, blob: bytes | None = None) -> Path:
        path = folder / collection / people.COLLECTIONS[collection].pieces[part].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SMALL[collection, part][1] if blob is None else blob)
        return path


@pytest.fixture(scope="module")
def server():
    """Sends the public files by name, and remembers what was asked for; `blobs` can be changed."""
    blobs = {people.COLLECTIONS[c].pieces[part].file: blob for (c, part), (_, blob) in SMALL.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            blob = blobs.get(self.path[1:])
            self.server.asked.append(self.path[1:])
            self.send_response(404 if blob is None else 200)
            self.send_header("Content-Length", str(len(blob or b"")))
            self.end_headers()
            self.wfile.write(blob or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as here:
        here.asked, here.blobs = [], blobs
        threading.Thread(target=here.serve_forever, args=(0.01,), daemon=True).start()
        yield here
        here.shutdown()


@pytest.fixture
def world(tmp_path, server, monkeypatch):
    server.asked.clear()
    return World(tmp_path, f"http://127.0.0.1:{server.server_port}/", monkeypatch)


# --- the loaders, from every form of the files -----------------------------------------------------


def test_human_labels_from_the_published_file(world, capsys):
    world.put(world.use(world.theirs), "cifar-n", "cifar10n")
    labels = people.load_human_labels("cifar10n")
    assert labels.clean.tolist() == CLEAN.tolist()
    assert list(labels.noisy) == ["aggregate", "random1", "random2", "random3", "worst"]
    assert labels.noisy["aggregate"].tolist() == [2, 0, 1, 2, 0, 1]
    assert labels.noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    assert all(array.dtype == np.int64 for array in (labels.clean, *labels.noisy.values()))
    assert "licence CC BY-NC 4.0, NonCommercial use only" in capsys.readouterr().out
    people.load_human_labels("cifar10n")
    assert capsys.readouterr().out == "", "the licence is shown on first use only"


@pytest.mark.parametrize(
    "blob",
    [
        torch_file(CROWD, _use_new_zipfile_serialization=False),
        torch_file({name: torch.from_numpy(array) for name, array in CROWD.items()}),
        torch_file({name: array.astype(np.uint8) for name, array in CROWD.items()}),
        torch_file({name: array.tolist() for name, array in CROWD.items()}),
        torch_file(CROWD | {"more": np.arange(3.0)}),
    ],
    ids=["before torch 1.6", "tensors", "uint8", "lists", "more keys"],
)
def test_other_ways_to_write_the_same_labels_are_as_good(world, blob):
    world.put(world.use(world.theirs), "cifar-n", "cifar10n", blob)
    assert people.load_human_labels("cifar10n").clean.tolist() == CLEAN.tolist()


def test_numpy_1_named_its_modules_otherwise(world):
    blob = torch_file(CROWD, _use_new_zipfile_serialization=False)
    old = blob.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != blob
    world.put(world.use(world.theirs), "cifar-n", "cifar10n", old)
    assert people.load_human_labels("cifar10n").clean.tolist() == CLEAN.tolist()


def test_an_npz_of_the_same_arrays_stands_in(world, server):
    folder = world.use(world.theirs) / "cifar-n"
    folder.mkdir(parents=True)
    narrow = {name: array.astype(np.uint8) for name, array in CROWD.items()}
    (folder / "cifar10n.npz").write_bytes(npz(**narrow))
    assert people.load_human_labels("cifar10n").noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    (folder / "cifar10n.npz").write_bytes(npz(**narrow | {"worse_label": CLEAN.astype(np.uint8)}))
    world.put(world.theirs, "cifar-n", "cifar10n")
    assert people.load_human_labels("cifar10n").noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    assert server.asked == []


def test_label_errors_leave_out_rows_that_judge_nothing(world, capsys):
    for part in ("mnist votes", "mnist predictions", "mnist probabilities"):
        world.put(world.use(world.theirs), "label-errors", part)
    errors = people.load_label_errors("mnist")
    assert errors.index.tolist() == [3, 8]
    assert errors.given.tolist() == [5, 1]
    assert errors.guessed.tolist() == [8, 2]
    assert errors.votes_given.tolist() == [2, 3]
    assert errors.votes_neither.tolist() == [0, 2]
    assert errors.upheld.tolist() == [False, True], "three votes of five uphold a label"
    assert errors.predicted.tolist() == [1, 0]
    np.testing.assert_array_equal(errors.probs, PROBS)
    assert errors.probs.dtype == np.float32
    assert capsys.readouterr().out == "", "Apache-2.0 asks for no notice"


def test_soft_labels_and_their_entropy(world, capsys):
    for part in ("counts", "probs"):
        world.put(world.use(world.theirs), "cifar-10h", part)
    soft = people.load_soft_labels()
    assert soft.counts.sum(1).tolist() == [10, 50]
    np.testing.assert_allclose(soft.entropy, [0, np.log(10)], atol=1e-12)
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().out


def test_results_cannot_be_reassigned(world):
    for part in ("counts", "probs"):
        world.put(world.use(world.theirs), "cifar-10h", part)
    with pytest.raises(dataclasses.FrozenInstanceError):
        people.load_soft_labels().counts = None


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: people.load_label_errors("cifar10n"), "name must be one of mnist, cifar10, cifar100; got"),
        (lambda: people.load_human_labels("worst"), "name must be one of cifar10n, cifar100n; got 'worst'"),
        (lambda: people.transition_matrix("cifar10n"), "name must be one of cifar10n-aggregate, .*; got"),
        (lambda: people.fetch("cifar10"), "collection must be one of cifar-n, .*; got 'cifar10'"),
        (lambda: people.have("mnist"), "collections must be one of cifar-n, .*; got 'mnist'"),
    ],
)
def test_wrong_names_are_named(load, message):
    with pytest.raises(ValueError, match=message):
        load()


# --- malicious, damaged, missing -------------------------------------------------------------------


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_not_executed(world, tmp_path, zipped):
    hostile = CROWD | {"clean_label": Malicious(tmp_path / "owned")}
    blob = torch_file(hostile, _use_new_zipfile_serialization=zipped)
    path = world.put(world.use(world.theirs), "cifar-n", "cifar10n", blob)
    with pytest.warns(UserWarning, match=r"refused .*: it asks for (posix|nt)\.mkdir, which is no"):
        assert people.load_human_labels("cifar10n").clean.tolist() == CLEAN.tolist()  # from the server
    assert not (tmp_path / "owned").exists()
    assert path.read_bytes() == blob, "what is theirs is left alone"
    (world.cache / "cifar-n/CIFAR-10_human.pt").unlink()
    path.write_bytes(pickle.dumps(hostile, protocol=2))
    with pytest.warns(UserWarning, match="CIFAR-10_human.pt: (refused|unreadable)"):
        people.load_human_labels("cifar10n")
    assert not (tmp_path / "owned").exists()


def test_numpy_files_with_pickles_are_refused(world, tmp_path, server):
    server_was = server.blobs.pop("cifar10h-counts.npy")
    try:
        objects = np.array([Malicious(tmp_path / "owned")], dtype=object)
        file = io.BytesIO()
        np.save(file, objects, allow_pickle=True)
        world.put(world.use(world.theirs), "cifar-10h", "counts", file.getvalue())
        (world.theirs / "cifar-10h/cifar10h.npz").write_bytes(npz(counts=objects))
        with pytest.raises(data.DataError) as error:
            people.load_soft_labels()
    finally:
        server.blobs["cifar10h-counts.npy"] = server_was
    assert str(error.value).count("unreadable") == 2
    assert "allow_pickle=False" in str(error.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda blob: blob[:-40], "unreadable"),
        (lambda blob: b"", "unreadable"),
        (lambda blob: mturk(ROWS[:2]), "altered: test_index has md5"),
        (lambda blob: blob.replace(b'"guessed": 3', b'"guessed": 4'), "altered: votes_guessed has md5"),
        (lambda blob: blob.replace(b"our_guessed_label", b"guess"), "unreadable .*KeyError: 'our_guessed_la"),
        (lambda blob: b'{"id": 1}', "unreadable"),
        (lambda blob: b"<html>moved</html>", "unreadable .*JSONDecodeError"),
    ],
)
def test_a_damaged_file_is_named_and_fetched_again(world, server, damage, why):
    ours = world.put(world.cache, "label-errors", "mnist votes", damage(mturk()))
    with pytest.warns(
        UserWarning, match=rf"mnist_mturk.json is from {world.cache}.*\n.*json: {why}.*, removed"
    ):
        people.load_label_errors("mnist")
    assert ours.read_bytes() == mturk(), "in the cache it was replaced"
    theirs = world.put(world.use(world.theirs), "label-errors", "mnist votes", damage(mturk()))
    with pytest.warns(UserWarning, match=rf"is from {world.cache}.*\n.*{theirs}: {why}"):
        people.load_label_errors("mnist")
    assert theirs.read_bytes() == damage(mturk()), "in their folder it was left alone"


def test_a_first_use_downloads_into_the_users_folder(world, server):
    assert not people.have("cifar-n")
    people.load_human_labels("cifar10n")
    people.load_human_labels("cifar10n")
    assert server.asked == ["CIFAR-10_human.pt"]
    path = world.cache / "cifar-n/CIFAR-10_human.pt"
    assert path.read_bytes() == SMALL["cifar-n", "cifar10n"][1]
    assert [p for p in world.cache.rglob("*") if p.is_file()] == [path]
    assert not people.have("cifar-n"), "cifar100n is still missing"
    world.use(world.theirs)
    people.load_human_labels("cifar100n")
    assert (world.theirs / "cifar-n/CIFAR-100_human.pt").exists()
    assert people.have("cifar-n")


def test_have_touches_nothing(world, server):
    path = world.put(world.cache, "cifar-10h", "counts", b"broken")
    world.put(world.cache, "cifar-10h", "probs")
    assert not people.have("cifar-10h")
    assert path.read_bytes() == b"broken"
    world.put(world.cache, "cifar-10h", "counts")
    assert people.have("cifar-10h")
    assert not people.have("cifar-10h", "cifar-n")
    assert server.asked == []


def test_the_next_address_is_tried_when_one_sends_something_else(world, server):
    pieces = people.COLLECTIONS["cifar-10h"].pieces
    real = pieces["counts"]
    address = real.urls[0].removesuffix(real.file)
    pieces["counts"] = dataclasses.replace(real, urls=(address + "cifar10h-probs.npy", *real.urls))
    with pytest.warns(UserWarning, match=r"cifar10h-probs.npy: ValueError: altered: counts has md5"):
        assert people.load_soft_labels().counts.tolist() == COUNTS.tolist()


def test_without_a_network_the_message_says_what_to_do(world, monkeypatch):
    world.use(world.theirs)
    pieces = people.COLLECTIONS["cifar-n"].pieces
    urls = ("http://127.0.0.1:9/CIFAR-10_human.pt",)  # the discard port: nobody listens
    monkeypatch.setitem(pieces, "cifar10n", dataclasses.replace(pieces["cifar10n"], urls=urls))
    with pytest.raises(data.DataError) as error:
        people.load_human_labels("cifar10n")
    lines = str(error.value).splitlines()
    assert lines[0] == "CIFAR-N (Wei et al. 2022) cannot be had. Tried:"
    tried = [world.theirs / "cifar-n/CIFAR-10_human.pt", world.theirs / "cifar-n/cifar10n.npz"]
    tried += [world.cache / path.relative_to(world.theirs) for path in tried]
    assert lines[1:5] == [f"  {path}: not there" for path in tried]
    assert lines[5].startswith(f"  {urls[0]}: ConnectionError")
    assert lines[6] == (
        "Without a network: put CIFAR-10_human.pt into cifar-n/ below a folder that ROBUST_DATA names."
    )
    assert not world.cache.exists(), "no folder is made for nothing"
    assert not world.theirs.exists()


def test_a_folder_that_cannot_be_written_gives_way_to_the_cache(world, monkeypatch):
    world.use(world.theirs).mkdir()
    honest = data.place

    def place(blobs, scratch, folder, overwrite):
        if world.theirs in folder.parents:
            raise PermissionError(13, "Permission denied", str(folder))
        honest(blobs, scratch, folder, overwrite)

    monkeypatch.setattr(data, "place", place)
    with pytest.warns(UserWarning, match=rf"is from {world.cache}.*\n.*{world.theirs}: PermissionError"):
        people.load_human_labels("cifar10n")
    assert list(world.theirs.iterdir()) == []


def test_fetch_says_licence_and_places(world):
    lines = people.fetch("label-errors")
    assert "Licence: Apache-2.0. Home: https://github.com/cleanlab/label-errors" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "mnist votes",
        "mnist predictions",
        "mnist probabilities",
    ]
    assert all(str(world.cache / "label-errors") in line for line in lines[1:])


def command(*names):
    return CliRunner().invoke(main, ["data", *names])


def test_the_command_fetches_and_says_what_is_there(world, server):
    result = command("label-errors", "cifar-10h")
    assert result.exit_code == 0, result.output
    assert "Licence: Apache-2.0" in result.output
    assert "Licence: CC BY-NC-SA 4.0" in result.output
    assert f"  counts: counts; from {world.cache / 'cifar-10h'}" in result.output
    assert len(server.asked) == 5
    assert command("label-errors", "cifar-10h").exit_code == 0
    assert len(server.asked) == 5, "what is there is not fetched again"


def test_the_command_loads_both_splits_of_an_image_set(world, monkeypatch):
    loaded = []

    def load(name, split, size):
        loaded.append((name, split, size))
        return data.ImageSet(name, None, None, (), None, f"{name}: all {split} images, from here")

    monkeypatch.setattr(data, "load", load)
    result = command("mnist")
    assert loaded == [("mnist", "train", "full"), ("mnist", "test", "full")]
    assert result.output == "mnist: all train images, from here\nmnist: all test images, from here\n"


def test_the_command_names_what_it_does_not_know_before_it_fetches_anything(world, server):
    result = command("cifar-n", "imagenet")
    assert result.exit_code == 2
    assert "there is no data set imagenet; there are cifar-n, label-errors, cifar-10h, mnist" in result.output
    assert command().exit_code == 2
    assert server.asked == []


def test_the_command_without_a_network_says_what_was_tried(world, monkeypatch):
    pieces = people.COLLECTIONS["cifar-n"].pieces
    gone = dataclasses.replace(pieces["cifar10n"], urls=("http://127.0.0.1:9/CIFAR-10_human.pt",))
    monkeypatch.setitem(pieces, "cifar10n", gone)
    result = command("cifar-n")
    assert result.exit_code == 1
    assert "Error: CIFAR-N (Wei et al. 2022) cannot be had. Tried:" in result.output
    assert "Traceback" not in result.output


# --- the recorded transition matrices --------------------------------------------------------------

RATES = {  # off-diagonal share of 50,000 labels
    "cifar10n-aggregate": 0.0901,
    "cifar10n-random1": 0.17234,
    "cifar10n-random2": 0.18122,
    "cifar10n-random3": 0.1764,
    "cifar10n-worst": 0.40208,
    "cifar100n-fine": 0.402,
}


@pytest.mark.parametrize("name", RATES)
def test_recorded_matrices_have_the_published_rates(name):
    matrix = people.transition_matrix(name)
    classes = 100 if "100" in name else 10
    assert matrix.shape == (classes, classes)
    assert matrix.dtype == torch.float64
    torch.testing.assert_close(matrix.sum(1), torch.ones(classes, dtype=torch.float64))
    # CIFAR's classes are equally large, so the mean of the diagonal is the share of right labels.
    assert 1 - matrix.diagonal().mean().item() == pytest.approx(RATES[name], abs=1e-9)


def test_a_recorded_matrix_can_be_drawn_from():
    true = torch.arange(10).repeat_interleave(2000)
    matrix = people.transition_matrix("cifar10n-worst")
    drawn = noise.corrupt(true, matrix, seed=0)
    assert drawn.rate == pytest.approx(0.402, abs=0.012)  # three and a half standard errors
    estimated, _ = noise.estimate(true, drawn.labels, 10)
    torch.testing.assert_close(estimated, matrix, atol=0.045, rtol=0)


def test_people_confuse_what_looks_alike():
    matrix = people.transition_matrix("cifar10n-worst").fill_diagonal_(0)
    names = [data.CIFAR10[k] for k in matrix.argmax(1).tolist()]
    # cat and dog, deer and horse, automobile and truck
    assert (names[3], names[5], names[4], names[1], names[9]) == (
        "dog",
        "cat",
        "horse",
        "truck",
        "automobile",
    )


def test_a_caller_cannot_change_the_record():
    people.transition_matrix("cifar10n-worst").zero_()
    assert people.transition_matrix("cifar10n-worst").sum().item() == pytest.approx(10)


# --- the tables, and the real files where they are -------------------------------------------------


def test_the_tables_are_complete():
    for name, collection in people.COLLECTIONS.items():
        for part, piece in collection.pieces.items():
            assert len(piece.arrays) >= 1, part
            assert all(url.startswith("http") and url.endswith(piece.file) for url in piece.urls), part
            assert all(len(md5sum) == 32 and dtype[0] == "<" for dtype, md5sum in piece.arrays.values()), part
        assert collection.home.startswith("https://github.com/"), name


@pytest.fixture
def only_local(monkeypatch, tmp_path):
    """The real files come from ROBUST_DATA or not at all."""
    monkeypatch.setattr(data, "cache_folder", lambda: tmp_path)

    def need(*collections):
        if not people.have(*collections):
            pytest.skip(f"{', '.join(collections)}: not in ROBUST_DATA")

    return need


@pytest.mark.parametrize("name", RATES)
def test_real_labels_give_the_recorded_matrix(name, only_local):
    only_local("cifar-n")
    of, kind = name.split("-")
    labels = people.load_human_labels(of)
    matrix, _ = noise.estimate(labels.clean, labels.noisy[kind], 100 if "100" in name else 10)
    assert torch.equal(matrix, people.transition_matrix(name))


def test_real_labels_are_in_torchvisions_order(only_local):
    only_local("cifar-n")
    pack = data.load("cifar10", "train")  # 5,000 images and their places in the full set
    assert people.load_human_labels("cifar10n").clean[pack.index].tolist() == pack.labels.tolist()


@pytest.mark.parametrize(
    ("name", "judged", "wrong", "usable"),
    [("mnist", 87, 15, 10), ("cifar10", 275, 54, 18), ("cifar100", 2235, 585, 318)],
)
def test_real_verdicts(name, judged, wrong, usable, only_local):
    only_local("label-errors")
    errors = people.load_label_errors(name)
    votes = (errors.votes_given, errors.votes_guessed, errors.votes_neither, errors.votes_both)
    assert (sum(votes) == 5).all()
    assert (len(errors.index), (~errors.upheld).sum()) == (judged, wrong)
    assert (errors.votes_guessed >= 3).sum() == usable
    assert (np.diff(errors.index) > 0).all()
    if errors.probs is not None:
        np.testing.assert_array_equal(errors.probs.argmax(1), errors.predicted)
        pack = data.load(name, "test")
        inside = np.isin(errors.index, pack.index.numpy())
        places = np.searchsorted(pack.index.numpy(), errors.index[inside])
        assert pack.labels[places].tolist() == errors.given[inside].tolist()


def test_real_soft_labels(only_local):
    only_local("cifar-10h")
    soft = people.load_soft_labels()
    np.testing.assert_allclose(soft.probs, soft.counts / soft.counts.sum(1, keepdims=True), atol=1e-12)
    assert (soft.counts.sum(1).min(), soft.counts.sum(1).max()) == (47, 63)
    pack = data.load("cifar10", "test")
    agree = soft.counts[pack.index].argmax(1) == pack.labels.numpy()
    assert 0.98 < agree.mean() < 1
