"""What is read, what is left out and named, and that the input stays as it is."""

import os

import numpy as np
import pytest
from PIL import Image

from robust_lib.find import reading


def picture(seed, size=(8, 8), mode="L"):
    """Noise of its own for each seed, so that no two pictures are the same."""
    shape = size[::-1] + ((3,) if mode == "RGB" else ())
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def save(path, seed, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, **options).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three cats, two of them a level deeper, and two dogs."""
    root = tmp_path / "pets"
    for seed, name in enumerate(("dog/1.png", "dog/2.png", "cat/b.png", "cat/old/c.png", "cat/old/a.png")):
        save(root / name, seed)
    return root


def table(root, *rows, header="path,label"):
    path = root / "list.csv"
    path.write_text("\n".join([header, *rows] if header else rows) + "\n", encoding="utf-8")
    return path


def problems(data):
    return {problem.path: problem.problem for problem in data.problems}


def snapshot(root):
    return {p: (p.lstat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in sorted(root.rglob("*"))}


def test_a_folder_is_read_in_order_and_left_alone(folder):
    before = snapshot(folder.parent)
    data = reading.read(folder)
    assert data.paths == ["cat/b.png", "cat/old/a.png", "cat/old/c.png", "dog/1.png", "dog/2.png"]
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.index.tolist() == [0, 1, 2, 3, 4]
    assert data.images.shape == (5, 1, 8, 8)
    for n, seed in enumerate((2, 4, 3, 0, 1)):
        np.testing.assert_array_equal(data.images[n, 0], np.asarray(picture(seed)))
        np.testing.assert_array_equal(data.picture(n), np.asarray(picture(seed)))
    assert data.problems == data.notes == []
    assert snapshot(folder.parent) == before


def test_everything_odd_in_a_folder_is_named_and_the_rest_read(folder):
    (folder / "cat" / "broken.png").write_bytes((folder / "cat" / "b.png").read_bytes()[:60])
    (folder / "cat" / "noise.jpg").write_bytes(b"not a picture")
    (folder / "cat" / "notes.txt").write_text("hello")
    (folder / "cat" / ".hidden.png").write_bytes(b"")
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "cat" / "loop").symlink_to(folder / "cat", target_is_directory=True)
    (folder / "dog" / "up").symlink_to(folder.parent, target_is_directory=True)
    (folder / "dog" / "linked.png").symlink_to(save(folder.parent / "else" / "x.png", 9))
    (folder / "empty").mkdir()
    save(folder / "loose.png", 10)
    save(folder / "bird" / "only.png", 11)
    save(folder / "fish" / "x.png", 12).write_bytes(b"")
    data = reading.read(folder)
    assert data.classes == ("cat", "dog")
    assert data.paths[3:] == ["dog/1.png", "dog/2.png", "dog/linked.png"]
    assert data.index.tolist() == [1, 5, 6, 7, 8, 9]  # 0 is bird's, 2 to 4 are broken, gone and noise
    found = problems(data)
    assert found.pop("cat/broken.png").startswith("left out: cannot be read (")
    assert found.pop("cat/noise.jpg").startswith("left out: cannot be read (no image, or of a kind")
    assert found.pop("fish/x.png").startswith("left out: cannot be read (")
    assert found == {
        "cat/notes.txt": "left out: no image by its name",
        "cat/gone.png": "left out: a link to nothing",
        "cat/loop": "left out: a link to a folder that is read already",
        "dog/up": "left out: a link to a folder that is read already",
        "empty": "left out: a class folder without images",
        "loose.png": "left out: lies in no class folder",
        "bird/only.png": "left out: too few usable samples of class bird: 1, at least 2 are needed",
        "fish": "a class without a usable sample",
    }


def test_the_same_picture_twice(folder):
    save(folder / "dog" / "copy.png", 0)
    save(folder / "cat" / "dog.png", 1)
    data = reading.read(folder)
    assert len(data.labels) == 6
    assert problems(data) == {
        "dog/2.png": "the same picture as cat/dog.png, which is labelled cat: not both can be right",
        "dog/copy.png": "left out: the same picture as dog/1.png",
    }


def test_names_that_are_no_utf8(folder):
    name = os.fsencode(folder / "cat") + b"/caf\xe9.png"
    try:
        os.rename(folder / "cat" / "b.png", name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    data = reading.read(folder)
    assert data.paths[0] == "cat/caf\\xe9.png"
    assert "no UTF-8" in problems(data)["cat/caf\\xe9.png"]
    np.testing.assert_array_equal(data.picture(0), np.asarray(picture(2)))


def test_sizes_and_colours_are_made_alike_and_it_is_said(folder):
    save(folder / "dog" / "wide.jpg", 20, size=(200, 50), mode="RGB")
    data = reading.read(folder)
    assert data.images.shape == (6, 3, 32, 32)  # the median of the shorter sides is 8
    assert data.notes == [
        "images of 8 × 8 … 200 × 50 pixels: all are made square, proportions not kept; 32 × 32 for "
        "networks trained from scratch, a backbone's own size for a backbone",
        "5 of 6 images are grey: all are read as colour",
    ]
    for seed in range(30, 37):
        save(folder / "cat" / f"{seed}.png", seed, size=(60, 90), mode="RGB")
    assert reading.read(folder).images.shape == (13, 3, 64, 64)
    assert reading.read(folder).picture(0).size == (60, 90)


def test_large_sets_get_small_images(folder, monkeypatch):
    for seed, file in enumerate(sorted(folder.rglob("*.png"))):
        save(file, seed, size=(100, 100))
    assert reading.read(folder).images.shape[-1] == 64
    monkeypatch.setattr(reading, "FLOAT_BYTES", 100)
    assert reading.read(folder).images.shape[-1] == 32


def test_a_csv_with_everything_wrong_in_it(folder):
    path = table(
        folder.parent,
        "cat,pets/cat/b.png,1",
        f"cat,{folder}/cat/old/a.png,2",
        "cat,pets/cat/old/../old/a.png,3",  # the second row's file by another name
        "dog,pets/dog/1.png,4",
        "dog,pets/dog/2.png,5",
        "cat,pets/dog/2.png,6",
        ",pets/cat/old/c.png,7",
        "NaN,pets/cat/old/c.png,8",
        "dog,pets/none.png,9",
        "dog,pets/dog,10",
        "dog",
        header="\ufeffLabel, PATH ,comment",
    )
    data = reading.read(path)
    assert data.index.tolist() == [0, 1, 3, 4]
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert [(p.path.removeprefix("pets/"), p.problem) for p in data.problems] == [
        ("cat/old/../old/a.png", "left out: given twice, with the same label"),
        ("dog/2.png", "left out: given twice, with 'cat', and 'dog' first, which counts"),
        ("cat/old/c.png", "left out: given twice, with no label either time"),
        ("row 10", "left out: no path in line 12"),
        ("cat/old/c.png", "left out: no label"),
        ("none.png", "left out: no such file"),
        ("dog", "left out: a folder, not a file"),
    ]


def test_a_csv_without_header_and_one_that_is_none(folder):
    rows = [f"pets/cat/{name}.png,10" for name in ("b", "old/a")] + [f"pets/dog/{n}.png,9" for n in (1, 2)]
    assert reading.read(table(folder.parent, *rows, header="")).classes == ("9", "10")  # as numbers
    with pytest.raises(ValueError, match="label, got file, class; without paths it needs features or probs$"):
        reading.read(table(folder.parent, *rows, header="file,class"))
    with pytest.raises(ValueError, match="got no line"):
        reading.read(table(folder.parent, header=""))


GREY = np.random.default_rng(0).integers(2, 256, (6, 5, 5), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(2, 256, (6, 5, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY[:, None]),
        (GREY[..., None], GREY[:, None]),
        (GREY / 255, GREY[:, None]),
        (GREY.astype(np.float32), GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
    ],
)
def test_arrays_in_every_layout(tmp_path, given, expected):
    labels = [1, 1, 0, 0, 2, 2]
    np.savez(tmp_path / "a.npz", images=given, labels=labels, classes=["x", "y", "z"])
    data = reading.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.images, expected)
    assert data.classes == ("x", "y", "z")
    assert data.labels.tolist() == labels
    shown = np.asarray(data.picture(3)).reshape(5, 5, -1)
    np.testing.assert_array_equal(shown, expected[3].transpose(1, 2, 0))


def test_features_beside_images_and_labels(folder, tmp_path):
    features = np.random.default_rng(0).random((5, 3))
    features[1, 2] = np.inf
    np.save(tmp_path / "f.npy", features)
    data = reading.read(folder, tmp_path / "f.npy", paths="sorted")
    np.testing.assert_array_equal(data.features, reading.read(folder, features, paths="sorted").features)
    assert np.corrcoef(data.features[:, 0], features[[0, 2, 3, 4], 0])[0, 1] > 1 - 1e-6
    assert problems(data) == {"cat/old/a.png": "left out: its features hold NaN or infinity"}
    assert data.picture(1).size == (8, 8)
    np.savez(tmp_path / "labels.npz", labels=["a", "b", "a", "b", "b"])
    assert reading.read(tmp_path / "labels.npz", features).labels.tolist() == [0, 0, 1, 1]


def test_the_signature_is_that_of_the_data(folder):
    first = reading.read(folder).signature
    os.utime(folder / "dog" / "1.png", (1, 1))
    assert reading.read(folder).signature == first
    picture(50).save(folder / "dog" / "1.png")
    second = reading.read(folder).signature
    os.rename(folder / "cat" / "b.png", folder / "dog" / "b.png")
    assert len({first, second, reading.read(folder).signature}) == 3


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_input_that_leaves_nothing_to_do(tmp_path, folder):
    def fails(message, source, *rest):
        with pytest.raises(ValueError, match=message):
            reading.read(source, *rest)

    npz = tmp_path / "a.npz"
    fails("must be a folder, a .csv or an .npz, got .* \\(nothing there\\)", tmp_path / "none")
    fails("got .* \\(something else\\)", save(tmp_path / "one.png", 0))
    (tmp_path / "void").mkdir()
    fails("no images in sub-folders", tmp_path / "void")
    fails("at least two classes are needed, got cat", folder, None, 3)
    for name in ("x", "y"):
        save(tmp_path / "bad" / name / "a.png", 0).write_bytes(b"")
    fails("has no image that can be read\n  x/a.png: left out: cannot", tmp_path / "bad")
    npz.write_bytes(b"junk")
    fails("cannot be read", npz)
    fails("must hold labels \\(N,\\), got images", _npz(npz, images=GREY))
    fails("images or features are needed", _npz(npz, labels=[0, 1]))
    fails("images must have one row per label \\(2\\)", _npz(npz, labels=[0, 1], images=GREY))
    fails("images must be numbers .* got uint8 \\(6, 5\\)", _npz(npz, labels=[0] * 6, images=GREY[..., 0]))
    fails("features must have a row for each of 5 samples, got 4", folder, np.eye(4))
    fails("features must be numbers \\(N, D\\), got float64 \\(4,\\)", folder, np.zeros(4))
    fails("features cannot be read from", folder, tmp_path / "none.npy")
