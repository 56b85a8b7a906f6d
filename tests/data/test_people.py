"""Human labels: small files in each public format, mirrors on loopback, and the real files where they are."""

import dataclasses
import hashlib
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from robust_lib import data
from robust_lib.__main__ import main
from robust_lib.data import downloads, noise, people

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
FINE = {"clean_label": CLEAN, "noisy_label": CLEAN[::-1].copy()}
SOFT = COUNTS / COUNTS.sum(1, keepdims=True)
GUESSES = np.array([1, 0])
SMALL = {
    ("cifar-n", "cifar10n"): (CROWD, torch_file(CROWD)),
    ("cifar-n", "cifar100n"): (FINE, torch_file(FINE)),
    ("label-errors", "mnist votes"): (VOTES, mturk()),
    ("label-errors", "mnist predictions"): ({"predicted_label": GUESSES}, npy(GUESSES.astype(np.uint16))),
    ("label-errors", "mnist probabilities"): ({"pred_prob": PROBS}, npy(PROBS.astype(np.float64))),
    ("cifar-10h", "counts"): ({"counts": COUNTS}, npy(COUNTS)),
    ("cifar-10h", "probs"): ({"probs": SOFT}, npy(SOFT)),
}


class Small:
    """Small collections in place of the real ones, on a mirror of our own."""

    def __init__(self, server, monkeypatch):
        self.server, self.pieces = server, {}
        for (collection, name), (arrays, blob) in SMALL.items():
            real = people.COLLECTIONS[collection].pieces[name]
            content = b"".join(arrays[key].tobytes() for key in real.names)
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            server.blobs[real.file] = blob
            small = dataclasses.replace(real, urls=(server.url("right", real.file),), md5=digest)
            self.pieces.setdefault(collection, {})[name] = small
        collections = {
            collection: dataclasses.replace(people.COLLECTIONS[collection], pieces=pieces)
            for collection, pieces in self.pieces.items()
        }
        monkeypatch.setattr(people, "COLLECTIONS", collections)
        people._show_licence.cache_clear()

    def mirrors(self, collection: str, name: str, *urls: str) -> None:
        self.pieces[collection][name] = dataclasses.replace(self.pieces[collection][name], urls=urls)

    def put(self, root: Path, collection: str, name: str, blob: bytes | None = None) -> Path:
        path = root / collection / self.pieces[collection][name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SMALL[collection, name][1] if blob is None else blob)
        return path


@pytest.fixture
def small(server, roots, monkeypatch):
    return Small(server, monkeypatch)


# --- the loaders, from every form of the files -----------------------------------------------------


def test_human_labels_from_the_published_file(small, roots, capsys):
    small.put(roots.use_theirs(), "cifar-n", "cifar10n")
    labels = people.load_human_labels("cifar10n")
    assert labels.clean.tolist() == CLEAN.tolist()
    assert list(labels.noisy) == ["aggregate", "random1", "random2", "random3", "worst"]
    assert labels.noisy["aggregate"].tolist() == [2, 0, 1, 2, 0, 1]
    assert labels.noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    assert all(array.dtype == np.int64 for array in (labels.clean, *labels.noisy.values()))
    assert "licence CC BY-NC 4.0, NonCommercial use only" in capsys.readouterr().out
    people.load_human_labels("cifar10n")
    assert capsys.readouterr().out == "", "the licence is shown on first use only"


OLD = torch_file(CROWD, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    "blob",
    [
        OLD,
        OLD.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"),
        torch_file({name: torch.from_numpy(array) for name, array in CROWD.items()}),
        torch_file({name: array.astype(np.uint8) for name, array in CROWD.items()}),
        torch_file({name: array.tolist() for name, array in CROWD.items()}),
        torch_file(CROWD | {"more": np.arange(3.0)}),
    ],
    ids=["before torch 1.6", "numpy 1", "tensors", "uint8", "lists", "more keys"],
)
def test_other_ways_to_write_the_same_labels_are_as_good(small, roots, server, blob):
    small.put(roots.use_theirs(), "cifar-n", "cifar10n", blob)
    assert people.load_human_labels("cifar10n").clean.tolist() == CLEAN.tolist()
    assert server.asked == []


def test_an_npz_of_the_same_arrays_stands_in(small, roots, server):
    folder = roots.use_theirs() / "cifar-n"
    folder.mkdir(parents=True)
    narrow = {name: array.astype(np.uint8) for name, array in CROWD.items()}
    (folder / "cifar10n.npz").write_bytes(npz(**narrow))
    assert people.load_human_labels("cifar10n").noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    (folder / "cifar10n.npz").write_bytes(npz(**narrow | {"worse_label": CLEAN.astype(np.uint8)}))
    small.put(roots.theirs, "cifar-n", "cifar10n")
    assert people.load_human_labels("cifar10n").noisy["worst"].tolist() == NOISY["worse_label"].tolist()
    assert server.asked == []


def test_label_errors_leave_out_rows_that_judge_nothing(small, capsys):
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
    assert "licence" not in capsys.readouterr().out, "Apache-2.0 asks for no notice"


def test_soft_labels_and_their_entropy(small, capsys):
    soft = people.load_soft_labels()
    assert soft.counts.sum(1).tolist() == [10, 50]
    np.testing.assert_allclose(soft.entropy, [0, np.log(10)], atol=1e-12)
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().out
    with pytest.raises(dataclasses.FrozenInstanceError):
        soft.counts = None


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: people.load_label_errors("cifar10n"), "name must be one of mnist, cifar10, cifar100, got"),
        (lambda: people.load_human_labels("worst"), "name must be one of cifar10n, cifar100n, got 'worst'"),
        (lambda: people.transition_matrix("cifar10n"), "name must be one of cifar10n-aggregate, .*, got"),
        (lambda: people.fetch("cifar10"), "collection must be one of cifar-n, .*, got 'cifar10'"),
        (lambda: people.have("mnist"), "collections must be one of cifar-n, .*, got 'mnist'"),
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


def test_a_pickle_is_not_executed(small, roots, tmp_path):
    hostile = CROWD | {"clean_label": Malicious(tmp_path / "owned")}
    blobs = [torch_file(hostile, _use_new_zipfile_serialization=zipped) for zipped in (True, False)]
    for blob in (*blobs, pickle.dumps(hostile, protocol=2)):
        path = small.put(roots.use_theirs(), "cifar-n", "cifar10n", blob)
        why = (
            r"refused .*: it asks for (posix|nt)\.mkdir, which is no"
            if blob in blobs
            else "(refused|unreada)"
        )
        with pytest.warns(UserWarning, match=f"CIFAR-10_human.pt: {why}"):
            assert people.load_human_labels("cifar10n").clean.tolist() == CLEAN.tolist()  # from the mirror
        assert not (tmp_path / "owned").exists()
        assert path.read_bytes() == blob, "what is theirs is left alone"


def test_numpy_files_with_pickles_are_refused(small, roots, server, tmp_path):
    small.mirrors("cifar-10h", "counts", server.url("missing", "cifar10h-counts.npy"))
    objects = np.array([Malicious(tmp_path / "owned")], dtype=object)
    small.put(roots.use_theirs(), "cifar-10h", "counts", npy(objects))
    (roots.theirs / "cifar-10h/cifar10h.npz").write_bytes(npz(counts=objects))
    with pytest.raises(data.DataError) as error:
        people.load_soft_labels()
    assert str(error.value).count("unreadable") == 2
    assert "allow_pickle=False" in str(error.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda blob: blob[:-40], "unreadable"),
        (lambda blob: b"", "unreadable"),
        (lambda blob: mturk(ROWS[:2]), "altered: test_index, .* have md5"),
        (lambda blob: blob.replace(b'"guessed": 3', b'"guessed": 4'), "altered: .* have md5"),
        (lambda blob: blob.replace(b"our_guessed_label", b"guess"), "unreadable .*KeyError: 'our_guessed_la"),
        (lambda blob: b'{"id": 1}', "unreadable"),
        (lambda blob: b"<html>moved</html>", "unreadable .*JSONDecodeError"),
    ],
)
def test_a_damaged_file_is_named_and_fetched_again(small, roots, damage, why):
    ours = small.put(roots.cache, "label-errors", "mnist votes", damage(mturk()))
    with pytest.warns(UserWarning, match=rf"is from {roots.cache}.*\n.*mnist_mturk.json: {why}"):
        people.load_label_errors("mnist")
    assert ours.read_bytes() == mturk(), "in the cache it was replaced"
    theirs = small.put(roots.use_theirs(), "label-errors", "mnist votes", damage(mturk()))
    with pytest.warns(UserWarning, match=rf"is from {roots.cache}.*\n.*{theirs}: {why}"):
        people.load_label_errors("mnist")
    assert theirs.read_bytes() == damage(mturk()), "in their folder it was left alone"


def test_a_first_use_downloads_into_the_users_folder(small, roots, server):
    assert not people.have("cifar-n")
    people.load_human_labels("cifar10n")
    people.load_human_labels("cifar10n")
    assert server.asked == ["right"]
    path = roots.cache / "cifar-n/CIFAR-10_human.pt"
    assert [p for p, blob in roots.contents().items() if blob is not None] == [path]
    assert path.read_bytes() == SMALL["cifar-n", "cifar10n"][1]
    assert not people.have("cifar-n"), "cifar100n is still missing"
    roots.use_theirs()
    people.load_human_labels("cifar100n")
    assert (roots.theirs / "cifar-n/CIFAR-100_human.pt").exists()
    assert people.have("cifar-n")


def test_have_touches_nothing(small, roots, server):
    path = small.put(roots.cache, "cifar-10h", "counts", b"broken")
    small.put(roots.cache, "cifar-10h", "probs")
    assert not people.have("cifar-10h")
    assert path.read_bytes() == b"broken"
    small.put(roots.cache, "cifar-10h", "counts")
    assert people.have("cifar-10h")
    assert not people.have("cifar-10h", "cifar-n")
    assert server.asked == []


def test_the_next_address_is_tried_when_one_sends_something_else(small, server):
    urls = [server.url(how, "cifar10h-counts.npy") for how in ("wrong", "right")]
    small.mirrors("cifar-10h", "counts", *urls)
    with pytest.warns(UserWarning, match=rf"{urls[0]}: ValueError: altered: counts have md5"):
        assert people.load_soft_labels().counts.tolist() == COUNTS.tolist()


def test_without_a_file_the_message_says_what_to_do(small, roots, server):
    roots.use_theirs()
    url = server.url("missing", "CIFAR-10_human.pt")
    small.mirrors("cifar-n", "cifar10n", url)
    with pytest.raises(data.DataError) as error:
        people.load_human_labels("cifar10n")
    lines = str(error.value).splitlines()
    assert lines[0] == "CIFAR-N (Wei et al. 2022) cannot be had. Tried:"
    files = ("cifar-n/CIFAR-10_human.pt", "cifar-n/cifar10n.npz")
    tried = [root / file for root in (roots.theirs, roots.cache) for file in files]
    assert lines[1:5] == [f"  {path}: not there" for path in tried]
    assert lines[5].startswith(f"  {url}: HTTPError: 404")
    assert lines[6] == (
        "Without a network: put CIFAR-10_human.pt into cifar-n/ below a folder that ROBUST_DATA names."
    )
    assert roots.contents() == {}, "no folder is made for nothing"
    result = command("cifar-n")
    assert result.exit_code == 1
    assert "Error: CIFAR-N (Wei et al. 2022) cannot be had. Tried:" in result.output
    assert "Traceback" not in result.output


def command(*names):
    return CliRunner().invoke(main, ["data", *names])


def test_the_command_fetches_and_says_licences_and_places(small, roots, server):
    result = command("label-errors", "cifar-10h")
    assert result.exit_code == 0, result.output
    assert "Licence: Apache-2.0. Home: https://github.com/cleanlab/label-errors" in result.output
    assert "Licence: CC BY-NC-SA 4.0" in result.output
    for piece in ("mnist votes", "mnist predictions", "mnist probabilities"):
        assert f"  {piece}: " in result.output
    assert f"  counts: counts; from {roots.cache / 'cifar-10h'}" in result.output
    assert len(server.asked) == 5
    assert command("label-errors", "cifar-10h").exit_code == 0
    assert len(server.asked) == 5, "what is there is not fetched again"


def test_the_command_loads_both_splits_of_an_image_set(small, monkeypatch):
    def load(name, split, size):
        return data.ImageSet(name, None, None, (), None, f"{name}: {split}, {size}")

    monkeypatch.setattr(data, "load", load)
    assert command("mnist").output == "mnist: train, full\nmnist: test, full\n"


def test_the_command_names_what_it_does_not_know_before_it_fetches_anything(small, server):
    result = command("cifar-n", "imagenet")
    assert result.exit_code == 2
    assert "there is no data set imagenet; there are cifar-n, label-errors, cifar-10h, mnist" in result.output
    assert command().exit_code == 2
    assert server.asked == []


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
        for piece in collection.pieces.values():
            assert all(url.startswith("http") and url.endswith(piece.file) for url in piece.urls), piece
            assert piece.names
            assert (len(piece.md5), piece.dtype[0]) == (32, "<"), piece
        assert collection.home.startswith("https://github.com/"), name


@pytest.fixture
def only_local(monkeypatch, tmp_path):
    """The real files come from ROBUST_DATA or not at all."""
    monkeypatch.setattr(downloads, "cache_folder", lambda: tmp_path)

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
