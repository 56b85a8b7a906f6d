"""Loaders of the large sets, on small trees built here in the layouts that their copies have."""

import dataclasses
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from robust_lib.data import DataError, noise, on_disk


def grey(value, side=12):
    return np.full((side, side, 3), value, np.uint8)


def save(path, value=100, side=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey(value, side)).save(path)


def write(path, *lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(end.join(lines) + end)


def names(images):
    return ["/".join(images.path(n).parts[-2:]) for n in range(len(images))]


def error(call, *arguments, **settings):
    with pytest.raises(DataError) as caught:
        call(*arguments, **settings)
    return str(caught.value)


# --- Clothing-1M ------------------------------------------------------------------------------------------

ONE, TWO, SIX = "images/0/00/1,1.jpg", "images/9/12/2,2.jpg", "images/5/55/6,6.jpg"
EIGHT, NINE = "images/7/70/8,8.jpg", "images/3/07/9,9.jpg"
NOISY = {ONE: 0, TWO: 1, "images/3/07/3,3.jpg": 13, NINE: 5}
CLEAN = {NINE: 4, SIX: 13, ONE: 0, EIGHT: 2}
LISTS = {"noisy_train": [TWO, ONE], "clean_train": [NINE, SIX], "clean_val": [ONE], "clean_test": [EIGHT]}


def clothing_tree(root, lists="", images="images/", prefix="images/", end="\n"):
    """`lists`, `images`: where the lists and the shards lie; `prefix`: how paths begin in the lists."""
    for number, key in enumerate(sorted({*NOISY, *CLEAN})):
        save(root / key.replace("images/", images), value=20 * number + 5)
    home = root / lists
    for kind, labels in (("noisy", NOISY), ("clean", CLEAN)):
        lines = [f"{key.replace('images/', prefix)} {label}" for key, label in labels.items()]
        write(home / f"{kind}_label_kv.txt", *lines, end=end)
    for split, keys in LISTS.items():
        write(home / f"{split}_key_list.txt", *(key.replace("images/", prefix) for key in keys), end=end)
    write(home / "category_names_eng.txt", *(f"Garment {k}" for k in range(14)), end=end)
    return root


@pytest.fixture
def clothing(tmp_path):
    return clothing_tree(tmp_path / "clothing1M")


@pytest.mark.parametrize("lists", ["", "annotations"])
@pytest.mark.parametrize("images", ["images/", ""])
@pytest.mark.parametrize(("prefix", "end"), [("images/", "\n"), ("./images/", "\n"), ("", "\r\n")])
def test_clothing_in_every_layout(tmp_path, lists, images, prefix, end):
    root = clothing_tree(tmp_path, lists, images, prefix, end)
    train = on_disk.clothing1m(str(root) if lists else root)
    assert names(train) == ["12/2,2.jpg", "00/1,1.jpg"]  # in the order of the list
    assert train.labels.tolist() == [1, 0]
    assert train.clean.tolist() == [-1, 0]
    assert train.classes[13] == "Garment 13"
    assert train.problems() == {}


def test_clothing_splits(clothing):
    def split(name):
        return on_disk.clothing1m(clothing, name)

    clean = split("clean_train")
    assert clean.labels.tolist() == clean.clean.tolist() == [4, 13]
    assert split("clean_val").labels.tolist() == [0]
    assert split("clean_test").labels.tolist() == [2]
    both = split("both")
    assert names(both) == ["07/9,9.jpg", "00/1,1.jpg"]
    assert both.labels.tolist() == [5, 0]  # the noisy labels
    assert both.clean.tolist() == [4, 0]


def test_clothing_without_names_has_fourteen_numbered_classes(clothing):
    (clothing / "category_names_eng.txt").unlink()
    assert on_disk.clothing1m(clothing).classes == tuple(f"class {k}" for k in range(14))


def test_an_item_is_image_label_place(clothing):
    train = on_disk.clothing1m(clothing, "noisy_train")
    picture, label, place = train[1]
    assert (picture.mode, picture.size, label, place) == ("RGB", (12, 12), 0, 1)
    assert np.asarray(picture).mean() == pytest.approx(5, abs=2)  # JPEG
    assert train[-1][2] == 1
    with pytest.raises(IndexError):
        train[2]


def test_noise_matrix_of_the_images_with_both_labels(tmp_path):
    """Against a second route: the rates that the labels were drawn with."""
    true = torch.arange(14).repeat_interleave(200)
    noisy = noise.corrupt(true, noise.uniform(14, 0.4), seed=1).labels
    keys = [f"images/{n % 10}/{n % 100:02}/{n},{n}.jpg" for n in range(len(true))]
    write(tmp_path / "noisy_label_kv.txt", *(f"{k} {y}" for k, y in zip(keys, noisy, strict=True)))
    write(tmp_path / "clean_label_kv.txt", *(f"{k} {y}" for k, y in zip(keys, true, strict=True)))
    write(tmp_path / "clean_train_key_list.txt", *keys[::2])
    write(tmp_path / "clean_val_key_list.txt", *keys[1::2])
    both = on_disk.clothing1m(tmp_path, "both")  # no image is needed for this
    matrix, counts = on_disk.noise_matrix(both)
    assert counts.sum(1).tolist() == [200] * 14
    assert float(matrix.diagonal().mean()) == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(matrix.sum(1), 1)


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("noisy_label_kv", ["a/1.jpg 3", "", "a/2.jpg 14"], "line 3: the label must be in 0 … 13, got 14"),
        ("noisy_label_kv", ["a/1.jpg -1"], "line 1: a path and a number were expected, got 'a/1.jpg -1'"),
        ("clean_label_kv", ["a/1.jpg 3", "a/2.jpg"], "line 2: a path and a number were expected"),
        ("clean_label_kv", ["a/1.jpg three"], "line 1: a path and a number were expected"),
        (
            "noisy_label_kv",
            ["a/1.jpg 3", "images/a/1.jpg 4"],
            "line 2: 'a/1.jpg' has label 4 here",
        ),
        ("noisy_train_key_list", [ONE, "b/2.jpg"], "line 2: 'b/2.jpg' is in no list of labels"),
    ],
)
def test_a_wrong_list_is_named_with_its_line(clothing, file, lines, message):
    write(clothing / f"{file}.txt", *lines)
    assert f"{file}.txt, {message}" in error(on_disk.clothing1m, clothing)


def test_a_missing_list_or_root_names_where_it_was_looked_for(clothing, tmp_path):
    (clothing / "noisy_label_kv.txt").unlink()
    message = error(on_disk.clothing1m, clothing)
    assert f"not there: {clothing / 'noisy_label_kv.txt'} nor " in message
    assert str(clothing / "annotations" / "noisy_label_kv.txt") in message
    assert "not there" in error(on_disk.clothing1m, tmp_path / "nowhere")


def test_a_list_that_is_empty_or_no_text(clothing):
    write(clothing / "noisy_train_key_list.txt", "")
    assert "Clothing-1M noisy_train: no image is listed" in error(on_disk.clothing1m, clothing)
    (clothing / "noisy_train_key_list.txt").write_bytes(b"\xff\xfe\x00")
    assert "noisy_train_key_list.txt cannot be read" in error(on_disk.clothing1m, clothing)


def test_unknown_split_is_named(tmp_path):
    for read in (on_disk.clothing1m, on_disk.food101n, on_disk.webvision, on_disk.animal10n):
        with pytest.raises(ValueError, match="split must be one of .*train, .*, got 'all'"):
            read(tmp_path, "all")


# --- broken images, selection, streaming ------------------------------------------------------------------


def test_missing_and_broken_images_are_named(clothing):
    train = on_disk.clothing1m(clothing)
    whole = train.path(0).read_bytes()
    train.path(0).write_bytes(whole[: len(whole) // 2])
    train.path(1).unlink()
    assert f"image 1 of Clothing-1M noisy_train cannot be read: {train.path(1)}: no such file" == error(
        train.__getitem__, 1
    )
    assert str(train.path(0)) in error(train.picture, 0)
    found = train.problems()
    assert list(found) == [0, 1]
    assert "truncated" in found[0].lower()
    assert list(train.problems(decode=False)) == [1]
    train.path(0).write_text("<html>404</html>")
    assert "cannot identify" in train.problems()[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_each_image_once_with_its_place(clothing, workers):
    save(clothing / "images/0/00/1,1.jpg", value=0, side=300)  # sizes differ: the transform makes them equal
    both = on_disk.clothing1m(clothing, "both", on_disk.usual_transform("clothing1m", train=True))
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(both, batch_size=2, shuffle=True, generator=order, num_workers=workers)
    images, labels, places = next(iter(loader))
    assert images.shape == (2, 3, 224, 224)
    assert sorted(places.tolist()) == [0, 1]
    assert labels.tolist() == both.labels[places].tolist()
    black = images[places == 1]
    expected = -torch.tensor([0.6959 / 0.3113, 0.6537 / 0.3192, 0.6371 / 0.3214])
    torch.testing.assert_close(black.mean((0, 2, 3)), expected, atol=0.02, rtol=0)


def test_a_broken_image_is_named_from_a_worker_process(clothing):
    train = on_disk.clothing1m(clothing, transform=on_disk.usual_transform("clothing1m", train=False))
    train.path(0).unlink()
    stream = iter(DataLoader(train, num_workers=1))
    with pytest.raises(DataError, match=r"2,2.jpg: no such file"):
        next(stream)
    (rest,) = list(stream)  # the next image comes all the same
    assert rest[1].tolist() == [0]


def test_a_set_pickles_and_paths_are_one_array(clothing):
    train = on_disk.clothing1m(clothing)
    again = pickle.loads(pickle.dumps(train))
    assert names(again) == names(train)
    assert train.files.dtype.kind == "S"  # not a million objects


@pytest.mark.parametrize(
    ("name", "side"), [("clothing1m", 224), ("food101n", 224), ("webvision", 227), ("animal10n", 64)]
)
def test_usual_transforms(name, side):
    ramp = np.linspace(0, 255, 280 * 400).astype(np.uint8).reshape(280, 400)
    picture = Image.fromarray(ramp).convert("RGB")
    train, test = (on_disk.usual_transform(name, train=train) for train in (True, False))
    assert train(picture).shape == test(picture).shape == (3, side, side)
    assert torch.equal(test(picture), test(picture))
    torch.manual_seed(0)
    seen = [train(picture) for _ in range(8)]
    assert any(not torch.equal(seen[0], other) for other in seen)
    with pytest.raises(ValueError, match="name must be one of clothing1m, .* got 'mnist'"):
        on_disk.usual_transform("mnist", train=True)


def test_training_mirrors_about_half_of_the_pictures():
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))  # darker at the left; the crop of 64 is all of it
    train = on_disk.usual_transform("animal10n", train=True)
    torch.manual_seed(0)
    seen = [train(Image.fromarray(ramp).convert("RGB"))[0, 0] for _ in range(40)]
    mirrored = sum(bool(row[0] > row[-1]) for row in seen)
    assert 10 < mirrored < 30


# --- Food-101N --------------------------------------------------------------------------------------------

DISHES = ["pizza", "apple_pie", "hot_dog"]  # not in alphabetical order


def food_tree(root, header=True):
    keys = ["apple_pie/aa.jpg", "pizza/bb.jpg", "pizza/aa.jpg", "hot_dog/cc.jpg"]
    for key in keys:
        save(root / "images" / key)
    top = ["class_name"] if header else []
    write(root / "meta/classes.txt", *top, *DISHES)
    top = ["class_name/key"] if header else []
    write(root / "meta/imagelist.tsv", *top, *keys)
    top = ["class_name/key\tverification_label"] if header else []
    # The hash aa stands under two classes, with two verdicts.
    write(root / "meta/verified_train.tsv", *top, "apple_pie/aa.jpg\t0", "pizza/bb.jpg\t1")
    write(root / "meta/verified_val.tsv", *top, "pizza/aa.jpg\t1")
    return root


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("folder", ["", "Food-101N_release"])
def test_food101n_with_and_without_headers(tmp_path, folder, header):
    food_tree(tmp_path / folder, header)
    train = on_disk.food101n(tmp_path)
    assert train.classes == tuple(DISHES)
    assert train.labels.tolist() == [1, 0, 0, 2]  # places in classes.txt, not alphabetical ones
    assert train.verified.tolist() == [0, 1, 1, -1]
    assert train.clean is None
    assert train.problems() == {}
    seen = on_disk.food101n(tmp_path, "verified_train")
    assert (names(seen), seen.verified.tolist()) == (["apple_pie/aa.jpg", "pizza/bb.jpg"], [0, 1])
    assert on_disk.food101n(tmp_path, "verified_val").verified.tolist() == [1]


def test_food101n_without_its_image_list_lists_the_folders(tmp_path):
    (food_tree(tmp_path) / "meta/imagelist.tsv").unlink()
    train = on_disk.food101n(tmp_path)
    assert names(train) == ["pizza/aa.jpg", "pizza/bb.jpg", "apple_pie/aa.jpg", "hot_dog/cc.jpg"]
    assert train.verified.tolist() == [1, 1, 0, -1]
    shutil.rmtree(tmp_path / "images/hot_dog")
    assert "not there" in error(on_disk.food101n, tmp_path)


def test_no_truth_no_estimate(tmp_path, clothing):
    food = on_disk.food101n(food_tree(tmp_path))
    with pytest.raises(ValueError, match="images must have true labels, got none in Food-101N train"):
        on_disk.noise_matrix(food)
    with pytest.raises(ValueError, match="images must have true labels"):
        on_disk.noise_matrix(dataclasses.replace(on_disk.clothing1m(clothing), clean=torch.tensor([-1, -1])))


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("imagelist.tsv", "paella/1.jpg", "there is no class 'paella' ('paella/1.jpg')"),
        ("imagelist.tsv", "1.jpg", "there is no class '1.jpg'"),
        ("verified_val.tsv", "pizza/aa.jpg\t2", "the label must be in 0 … 1, got 2"),
        ("verified_train.tsv", "pizza/aa.jpg", "a path and a number were expected"),
    ],
)
def test_wrong_food_lists_are_named_with_their_line(tmp_path, file, line, message):
    write(food_tree(tmp_path) / "meta" / file, "class_name/key", line)
    assert f"{file}, line 2: {message}" in error(on_disk.food101n, tmp_path)


# --- WebVision --------------------------------------------------------------------------------------------


def webvision_tree(root):
    train = {"google/q0001/b.jpg": 0, "google/q0002/a.jpg": 49, "google/q0099/c.jpg": 50}
    train["google/q1/d.jpg"] = 999
    for key in train:
        save(root / key)
    write(root / "info/train_filelist_google.txt", *(f"{key} {label}" for key, label in train.items()))
    save(root / "flickr/q0001/e.jpg")
    write(root / "info/train_filelist_flickr.txt", "flickr/q0001/e.jpg 7")
    save(root / "val_images_256/val000002.jpg")
    write(root / "info/val_filelist.txt", "val000001.jpg 400", "val000002.jpg 3")
    return root


def test_webvision_keeps_the_classes_asked_for(tmp_path):
    mini = on_disk.webvision(webvision_tree(tmp_path))
    assert names(mini) == ["q0001/b.jpg", "q0002/a.jpg"]
    assert mini.labels.tolist() == [0, 49]
    assert len(mini.classes) == 50
    assert mini.problems() == {}
    val = on_disk.webvision(tmp_path, "val")
    assert (names(val), val.labels.tolist()) == (["val_images_256/val000002.jpg"], [3])
    assert val.problems() == {}
    both = on_disk.webvision(tmp_path, classes=1000, sources=("google", "flickr"))
    assert both.labels.tolist() == [0, 49, 50, 999, 7]


def test_webvision_names_come_from_its_synsets(tmp_path):
    write(webvision_tree(tmp_path) / "info/synsets.txt", *(f"n{k:08} thing {k}, thing" for k in range(1000)))
    assert on_disk.webvision(tmp_path).classes[49] == "n00000049 thing 49, thing"
    assert len(on_disk.webvision(tmp_path).classes) == 50


def test_webvision_refuses(tmp_path):
    webvision_tree(tmp_path)
    with pytest.raises(ValueError, match="classes must be in 2 … 1000, got 1001"):
        on_disk.webvision(tmp_path, classes=1001)
    assert "train_filelist_bing.txt" in error(on_disk.webvision, tmp_path, sources=("bing",))
    write(tmp_path / "info/val_filelist.txt", "a.jpg 3", "b.jpg 1000")
    message = error(on_disk.webvision, tmp_path, "val")
    assert "val_filelist.txt, line 2: the label must be in 0 … 999, got 1000" in message


# --- ANIMAL-10N -------------------------------------------------------------------------------------------


def test_animals_from_file_names_in_sorted_order(tmp_path):
    for key in ("9_000002.jpg", "0_000007.jpg", "3_000001.jpg"):
        save(tmp_path / "training" / key, side=64)
    (tmp_path / "training/Thumbs.db").touch()
    train = on_disk.animal10n(tmp_path)
    assert train.labels.tolist() == [0, 3, 9]
    assert train.classes[9] == "guinea pig"
    assert train.problems() == {}
    save(tmp_path / "training/x_1.jpg")
    assert "x_1.jpg: the name must begin with a label 0 … 9" in error(on_disk.animal10n, tmp_path)


def animal_batch(path, labels, order="<"):
    """Written byte by byte, not with the loader's record type; values 10 k + label + channel + row."""
    number = "little" if order == "<" else "big"
    blob = b""
    for k, label in enumerate(labels):
        rows = [(10 * k + label + c + row) % 256 for c in range(3) for row in range(64)]
        planes = b"".join(bytes([value]) * 64 for value in rows)
        blob += (1000 + k).to_bytes(4, number) + label.to_bytes(4, number) + planes
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(blob)


@pytest.mark.parametrize("order", ["<", ">"])
def test_animals_from_binary_batches(tmp_path, order):
    animal_batch(tmp_path / "data_batch_10.bin", [8], order)
    animal_batch(tmp_path / "data_batch_2.bin", [4, 9, 0], order)
    animal_batch(tmp_path / "test_batch.bin", [1], order)
    train = on_disk.animal10n(tmp_path)
    assert train.labels.tolist() == [4, 9, 0, 8]  # batch 2 before batch 10
    picture, label, place = train[1]
    assert (picture.size, picture.mode, label, place) == ((64, 64), "RGB", 9, 1)
    assert picture.getpixel((5, 40)) == (59, 60, 61)
    assert on_disk.animal10n(tmp_path, "test")[0][0].getpixel((0, 0)) == (1, 2, 3)
    assert train[3][0].getpixel((0, 0)) == (8, 9, 10)
    tensors = on_disk.animal10n(tmp_path, transform=on_disk.usual_transform("animal10n", train=False))
    assert next(iter(DataLoader(tensors, batch_size=4)))[0].shape == (4, 3, 64, 64)


def test_broken_animal_batches_are_named(tmp_path):
    message = error(on_disk.animal10n, tmp_path)
    assert f"ANIMAL-10N train is not there; looked for {tmp_path / 'training'} and" in message
    batch = tmp_path / "data_batch_1.bin"
    animal_batch(batch, [3, 7])
    whole = batch.read_bytes()
    train = on_disk.animal10n(tmp_path)
    batch.write_bytes(whole[:-100])
    assert "data_batch_1.bin is cut short: 24,492 bytes" in error(on_disk.animal10n, tmp_path)
    assert list(train.problems()) == [1]  # cut short after the set was opened
    animal_batch(batch, [3, 17])
    assert "data_batch_1.bin, record 1: the label must be in 0 … 9" in error(on_disk.animal10n, tmp_path)


def test_listing_order_of_the_disk_does_not_matter(tmp_path, monkeypatch):
    for k in range(5):
        save(tmp_path / f"testing/{k}_{k}.jpg")
    listed = sorted(os.listdir(tmp_path / "testing"), reverse=True)
    monkeypatch.setattr(on_disk.os, "listdir", lambda folder: listed)
    assert on_disk.animal10n(tmp_path, "test").labels.tolist() == [0, 1, 2, 3, 4]
