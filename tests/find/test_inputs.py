"""Inputs that people bring, and other tools have stumbled over. Each is one of a kind."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from robust_lib.find import features as feature_files
from robust_lib.find import listing, reading
from tests.find.test_pictures import deep_png
from tests.find.test_reading import COLOUR, GREY, folder, picture, problems, save, table  # noqa: F401


def pack(path, **arrays):
    np.savez(path, **arrays)
    return path


def fails(message, *given, **options):
    with pytest.raises(ValueError, match=message):
        reading.read(*given, **options)


def said(data, part):
    return [note for note in data.notes if part in note]


# --- what is a label, and what is none ----------------------------------------------------------------


def test_a_folder_of_any_name_is_a_class(tmp_path):
    names = ["-1", "?", "nan", "none", "null", "ok"]
    for seed, name in enumerate(names * 2):
        save(tmp_path / "plates" / name / f"{seed}.png", seed)
    data = reading.read(tmp_path / "plates")
    assert data.classes == tuple(names)
    assert data.problems == []


@pytest.mark.parametrize(
    ("labels", "classes", "kept", "remark"),
    [
        ([-1, 1, -1, 1], ("-1", "1"), 4, "-1 is read as a class"),
        ([-1, 0, 1, -1, 0, 1], ("-1", "0", "1"), 6, "-1 is read as a class"),
        ([-1.0, 1.0, np.nan, 1.0], ("-1", "1"), 3, "-1 is read as a class"),
        ([-2, -1, 0, 5], ("-2", "-1", "0", "5"), 4, "-1 is read as a class"),
        ([0, 1, 2, -1, 1], ("0", "1", "2"), 4, 'read as "no label": -1 (1)'),
        ([3.0, np.nan, 3.0, 12.0, -1.0, 12.0], ("3", "12"), 4, 'read as "no label": -1 (1)'),
        (["cat", "dog", "-1"], ("-1", "cat", "dog"), 3, "-1 is read as a class"),
        (["cat", "None", "?", "dog"], ("cat", "dog"), 2, 'read as "no label": ? (1), None (1)'),
        ([True, False, True], ("False", "True"), 3, None),
    ],
)
def test_minus_one_is_a_class_or_none_and_it_is_said(tmp_path, labels, classes, kept, remark):
    source = pack(tmp_path / "a.npz", labels=labels, features=np.eye(len(labels)))
    data = reading.read(source, least=1)
    assert data.classes == classes
    assert len(data.labels) == kept
    assert sum("no label" in problem for problem in problems(data).values()) == len(labels) - kept
    assert remark is None or len(said(data, remark)) == 1


def test_the_reader_may_say_what_is_missing(tmp_path):
    source = pack(tmp_path / "a.npz", labels=["none", "ok", "x", "none"], features=np.eye(4))
    assert reading.read(source, least=1, missing=["x"]).classes == ("none", "ok")
    assert reading.read(source, least=1, missing="").classes == ("none", "ok", "x")
    source = pack(tmp_path / "b.npz", labels=[-1, 1, 0], features=np.eye(3))
    assert reading.read(source, least=1, missing=["-1"]).classes == ("0", "1")
    source = pack(tmp_path / "c.npz", labels=[-1, 0, 1, 2], features=np.eye(4))
    assert reading.read(source, least=1, missing="").classes == ("-1", "0", "1", "2")


@pytest.mark.parametrize("missing", [-1, -1.0, np.int64(-1), [-1], np.array([-1]), "-1", b"-1", {"-1"}])
@pytest.mark.parametrize("kind", [int, float, str])
def test_a_number_may_be_what_is_missing(tmp_path, missing, kind):
    labels = np.array([-1, 1, 0, -1]).astype(kind)
    source = pack(tmp_path / "a.npz", labels=labels, features=np.eye(4))
    data = reading.read(source, least=1, missing=missing)
    assert data.classes == ("0", "1")
    assert not said(data, "in missing")


def test_words_that_are_missing_nowhere_are_said(tmp_path, folder):  # noqa: F811
    unused = "of the words in missing, these emptied no label: "
    source = pack(tmp_path / "a.npz", labels=["none", "ok", "x", "y"], features=np.eye(4))
    assert said(reading.read(source, least=1, missing=["x", "N/A", "7"]), unused + "'7', 'n/a'")
    named = {"labels": [0, 1, -1, np.nan], "classes": ["cat", "7"], "features": np.eye(4)}
    data = reading.read(pack(tmp_path / "b.npz", **named), least=1, missing=["-1", np.nan, 7])
    assert said(data, unused + "'7'")
    assert said(reading.read(folder, missing="cat"), unused + "'cat'")
    source = table(folder, "cat/b.png,cat", "cat/old/a.png,x", "dog/1.png,dog")
    assert not said(reading.read(source, least=1, missing="X"), unused)


# --- labels and classes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([2, 0, 0, 2], ["cat", "dog", "dog", "cat"]),
        (np.array([[2], [0], [0], [2]]), ["cat", "dog", "dog", "cat"]),
        ([2.0, 0.0, np.nan, 2.0], ["cat", "dog", "cat"]),
        (np.array([2, 0, -1, 2], dtype=np.int8), ["cat", "dog", "cat"]),
        ([True, False, True, True], ["none", "dog", "none", "none"]),
        (["cat", "dog", "cat", ""], ["cat", "dog", "cat"]),
        ([b"cat", b"dog", b"cat", b"none"], ["cat", "dog", "cat", "none"]),
    ],
)
@pytest.mark.parametrize("kind", [str, bytes])
def test_labels_and_classes_of_every_kind(tmp_path, labels, expected, kind):
    classes = np.array(["dog", "none", "cat"], dtype=kind)
    data = reading.read(pack(tmp_path / "a.npz", labels=labels, classes=classes, features=np.eye(4)), least=1)
    assert [data.classes[k] for k in data.labels] == expected
    assert list(data.classes) == [name for name in ("dog", "none", "cat") if name in expected]
    absent = {"dog", "none", "cat"} - set(expected)
    assert {p.path for p in data.problems if p.problem == "a class without a usable sample"} == absent


def test_bytes_are_text(tmp_path):
    labels = np.array(["Käfer", "cat"] * 2).astype("U5")
    labels = np.char.encode(labels, "utf-8")
    assert reading.read(pack(tmp_path / "a.npz", labels=labels, features=np.eye(4))).classes == (
        "Käfer",
        "cat",
    )
    odd = np.array([b"caf\xe9", b"cat"] * 2)
    data = reading.read(pack(tmp_path / "a.npz", labels=odd, features=np.eye(4)))
    assert data.classes == ("caf\\xe9", "cat")


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1], ["crane", "crane"], "classes must be names that differ, got 'crane' 2 times"),
        ([0, 1], ["cat", ""], "classes must be names that differ, got an empty one"),
        ([0, 1], [["cat", "dog"]], "classes must be names \\(K,\\), got <U3 \\(1, 2\\)"),
        ([0, 1], [0.5, 1.5], "classes must be names \\(K,\\), got float64"),
        ([0, 2], ["cat", "dog"], "labels must be places in classes, 0 … 1, or -1 for none, got 2 in row 1"),
        ([-2, 0], ["cat", "dog"], "labels must be places in classes, .* got -2 in row 0"),
        ([0, 0.5], ["cat", "dog"], "labels must be places in classes, .* got 0.5 in row 1"),
        (["cat", "cow"], ["cat", "dog"], "labels must be in classes, got 'cow' in row 1"),
        (
            ["0", "²"],
            ["cat", "dog"],
            "labels must be in classes, got '0' in row 0; .*save labels as integers",
        ),
        ([0, np.inf], None, "labels must be finite, got infinity in row 1"),
        (np.eye(2), None, "labels must be \\(N,\\), numbers or text, got float64 \\(2, 2\\)"),
        (np.array(3), None, "labels must be \\(N,\\), numbers or text, got int64 \\(\\)"),
        ([1j, 2j], None, "labels must be \\(N,\\), numbers or text, got complex128"),
        (np.array(["2020"] * 2, dtype="M8[Y]"), None, "labels must be .*, got datetime64"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path, labels, classes, message):
    arrays = {"labels": labels, "features": np.eye(2)} | ({} if classes is None else {"classes": classes})
    fails(message, pack(tmp_path / "a.npz", **arrays))


def test_odd_digits_are_names(tmp_path):
    data = reading.read(pack(tmp_path / "a.npz", labels=["²", "1", "٣"] * 2, features=np.eye(6)))
    assert data.classes == ("1", "²", "٣")


def test_classes_that_look_alike_are_said(tmp_path):
    labels = ["Cat", "cat ", "caf\u00e9", "cafe\u0301", "dog"]
    data = reading.read(pack(tmp_path / "a.npz", labels=labels, features=np.eye(5)), least=1)
    assert len(data.classes) == 5
    assert said(data, "writing only: 'Cat', 'cat'")
    assert len(said(data, "writing only")) == 2


# --- pixels -------------------------------------------------------------------------------------------


FULL = np.random.default_rng(0).integers(0, 256, (6, 5, 5), dtype=np.uint8)
FULL[0, 0, :2] = 0, 255


@pytest.mark.parametrize(
    ("pixels", "scaled"),
    [
        (FULL / 255 * 0.08, True),
        (FULL / 255 * 1.004, True),
        (FULL.astype(np.float16) / 4096, True),
        (FULL // 16, True),
        ((FULL / 255 * 16).round(), True),
        (FULL.astype(np.uint16) * 4, True),
        (FULL.astype(np.int32) * 16, True),
        (FULL.astype(np.uint16) * 257, False),
        (FULL.astype(np.uint16), False),
        (FULL.astype(np.int64) * 1_000_000, True),
        (FULL - 300.0, True),
        (FULL > 128, False),
    ],
)
def test_pixels_of_every_depth_keep_their_contrast(tmp_path, pixels, scaled):
    exact = (pixels.astype(float) - pixels.min()) / (pixels.max() - float(pixels.min())) * 255
    data = reading.read(pack(tmp_path / "a.npz", images=pixels, labels=[0, 0, 0, 1, 1, 1]))
    assert np.abs(data.images[:, 0].numpy() - exact).max() <= 0.51
    assert len(said(data, "scaled to 0 … 255")) == scaled
    np.testing.assert_array_equal(np.asarray(data.picture(2)), data.images[2, 0])
    assert data.problems == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_one_bright_picture_among_bytes_is_not_clipped(tmp_path, dtype):
    pixels = np.random.default_rng(0).integers(0, 100, (200, 8, 8)).astype(dtype)
    pixels[7] = np.arange(64).reshape(8, 8) * 255 // 63
    data = reading.read(pack(tmp_path / "a.npz", images=pixels, labels=[0, 1] * 100))
    np.testing.assert_array_equal(data.images[:, 0], pixels)
    assert data.notes == []


def test_colour_of_16_bits_is_warned_of_and_never_the_same(tmp_path):
    for n in range(12):
        (tmp_path / "set" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(n % 11).integers(0, 256, (5, 5, 3))
        deep_png(tmp_path / "set" / "ab"[n % 2] / f"{n:02}.png", values)
    data = reading.read(tmp_path / "set")
    assert len(data.labels) == 12
    assert problems(data) == {  # the very same file
        "b/11.png": "the same picture as a/00.png, which is labelled a: not both can be right"
    }
    assert said(data, "CAUTION: 12 images hold 16 bits a colour, of which Pillow reads the upper 8 only")


@pytest.mark.parametrize("top", [1e-307, 1.5e308])
def test_pixels_of_any_size(tmp_path, top):
    data = reading.read(pack(tmp_path / "a.npz", images=(FULL / 127.5 - 1) * top, labels=[0, 1] * 3))
    assert np.abs(data.images[:, 0].numpy() - FULL.astype(float)).max() <= 0.51


def test_one_bad_sample_costs_itself_only(tmp_path):
    pixels = np.random.default_rng(0).random((40, 5, 5))
    pixels[7, 2, 2], pixels[9, 0, 0], pixels[11, 1, 1] = np.nan, np.inf, 1e9
    data = reading.read(pack(tmp_path / "a.npz", images=pixels, labels=[0, 1] * 20))
    assert problems(data) == dict.fromkeys("79", "left out: its pixels hold NaN or infinity")
    assert said(data, "pixels of 0 … 1; 1 beyond that, clipped")
    np.testing.assert_array_equal(data.images[0, 0], (pixels[0] * 255).round())
    assert data.images[data.index.tolist().index(11), 0, 1, 1] == 255


def test_dim_pictures_are_not_called_the_same(tmp_path):
    pixels = np.random.default_rng(0).random((20, 8, 8)) * 1e-4
    data = reading.read(pack(tmp_path / "a.npz", images=pixels, labels=[0, 1] * 10))
    assert len(data.labels) == 20
    assert data.problems == []


@pytest.mark.parametrize(
    ("kind", "array", "scaled"),
    [
        ("tif", (FULL / 255).astype(np.float32), False),
        ("tif", (FULL / 255 * 3).astype(np.float32), True),
        ("tif", FULL.astype(np.int32) * 1000, True),
        ("png", FULL.astype(np.uint16), False),
        ("png", FULL.astype(np.uint16) * 4, True),
        ("png", FULL.astype(np.uint16) * 16, True),
        ("png", FULL.astype(np.uint16) * 257, False),
    ],
)
def test_deep_files_are_scaled_over_the_set(tmp_path, kind, array, scaled):
    for n, pixels in enumerate(array):
        (tmp_path / "set" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "set" / "ab"[n % 2] / f"{n}.{kind}")
    data = reading.read(tmp_path / "set")
    exact = array[[int(path[2]) for path in data.paths]].astype(float) / array.max() * 255
    assert np.abs(data.images[:, 0].numpy() - exact).max() <= 0.51
    np.testing.assert_array_equal(np.asarray(data.picture(3)), data.images[3, 0])
    assert len(said(data, "of more than 8 bits")) == scaled


def test_a_file_with_nan_costs_itself_only(tmp_path):
    for n in range(6):
        pixels = np.random.default_rng(n).random((5, 5)).astype(np.float32)
        pixels[0, 0] = np.nan if n == 3 else 0.5
        (tmp_path / "set" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "set" / "ab"[n % 2] / f"{n}.tif")
    found = problems(reading.read(tmp_path / "set"))
    assert found == {"b/3.tif": "left out: cannot be read (its pixels hold NaN or infinity)"}


def test_plates_that_differ_in_three_pixels_are_different(tmp_path):
    for n in range(4):
        plate = np.full((1500, 1500), 90, dtype=np.uint8)
        plate[700, 700 : 700 + 3 * (n % 2)] = 200 - n
        (tmp_path / "p" / "ab"[n // 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(plate).save(tmp_path / "p" / "ab"[n // 2] / f"{n}.png")
    data = reading.read(tmp_path / "p")
    assert len(data.labels) == 4
    assert problems(data) == {
        "b/2.png": "the same picture as a/0.png, which is labelled a: not both can be right"
    }


def test_a_class_of_equal_pictures_does_not_vanish(folder):  # noqa: F811
    for n in range(8):
        (folder / "off").mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(folder / "off" / f"{n}.png")
    data = reading.read(folder, least=2)
    assert data.classes == ("cat", "dog", "off")
    assert (data.labels == 2).sum() == 2
    assert problems(data)["off/1.png"] == "the same picture as off/0.png; kept, for the class has few others"
    assert problems(data)["off/2.png"] == "left out: the same picture as off/0.png"


# --- features -----------------------------------------------------------------------------------------


def planted(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(60, 4)) @ rng.normal(size=(4, 6)) + 5, [0, 1] * 30


@pytest.mark.parametrize("factor", [1e-300, 1e-8, 1.0, 1e40, 1e300])
def test_features_of_any_size_are_the_same(tmp_path, factor):
    features, labels = planted()
    source = pack(tmp_path / "labels.npz", labels=labels)
    plain = reading.read(source, features).features
    np.testing.assert_allclose(reading.read(source, features * factor).features, plain, atol=1e-5)
    assert plain.dtype == torch.float32
    assert 0.9 <= plain.double().square().mean().sqrt() <= 1.2
    assert plain.mean(0).abs().max() < 0.1


def test_features_that_differ_in_the_last_digits(tmp_path):
    rng = np.random.default_rng(0)
    steps = rng.integers(-500, 500, (60, 5)).astype(float)
    source = pack(tmp_path / "labels.npz", labels=[0, 1] * 30)
    plain = reading.read(source, steps).features
    last = np.full((60, 5), 2.0**20) + steps * 2.0**-30  # 1 part in 2^50 of them
    np.testing.assert_allclose(reading.read(source, last).features, plain, atol=1e-5)
    single = (2.0**13 + steps * 2.0**-10).astype(np.float32)
    np.testing.assert_allclose(reading.read(source, single).features, plain, atol=1e-5)
    column = np.c_[steps, np.full(60, 0.1), np.nextafter(0.1, rng.integers(0, 2, 60))]  # rounding, no more
    data = reading.read(source, column)
    np.testing.assert_array_equal(data.features[:, 5:], 0)
    assert said(data, "2 of 7 features are constant")


def test_one_wild_row_does_not_set_the_scale(tmp_path):
    features, labels = planted()
    source = pack(tmp_path / "labels.npz", labels=labels)
    plain, wild = reading.read(source, features).features, features.copy()
    for size in (1e8, -1e300):
        wild[17] = size
        data = reading.read(source, wild)
        others = np.arange(60) != 17
        ratio = data.features[others].std() / plain[others].std()
        assert 0.8 < ratio < 1.25
        assert np.corrcoef(data.features[others].flatten(), plain[others].flatten())[0, 1] > 0.99
        assert data.features.abs().max() < 30
        assert said(data, "1 sample has features beyond 10 deviations, clipped; the first is 17")


def test_a_wild_row_in_a_dead_column(tmp_path):
    features, labels = planted()
    features *= [1, 3, 0.3, 1, 1, 1]
    source = pack(tmp_path / "labels.npz", labels=labels)
    plain = reading.read(source, features).features
    for size in (1e8, -1e300):
        data = reading.read(source, np.c_[features, size * (np.arange(60) == 17)])
        torch.testing.assert_close(data.features[:, :6], plain)
        assert said(data, "all divided by one deviation")
        assert data.features[17, 6].abs() <= 10
        assert data.features[:, 6].std() <= 1.1 * plain.std()


def test_features_of_many_units_get_one_each(tmp_path):
    features, labels = planted()
    source = pack(tmp_path / "labels.npz", labels=labels)
    data = reading.read(source, features * [1, 3, 0.3, 1, 1, 1])
    assert data.features[:, 1].std() > 5 * data.features[:, 2].std()
    assert said(data, "all divided by one deviation")
    data = reading.read(source, features * [1, 1e5, 1, 1, 1, 1e-3])
    np.testing.assert_allclose(data.features.std(0), 1.05, atol=0.12)
    assert said(data, "their own deviations")
    rare = np.c_[features, np.arange(60) == 30]  # one row has it, and that is no accident
    assert reading.read(source, rare).features[30, -1] > 0.4


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32])
def test_features_of_every_dtype(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(dtype)
    data = reading.read(pack(tmp_path / "labels.npz", labels=[0, 1] * 10), values)
    for n in range(3):
        assert np.corrcoef(data.features[:, n], values[:, n].astype(float))[0, 1] > 1 - 1e-6


def test_tensors_and_memory(tmp_path):
    features, labels = planted()
    source = pack(tmp_path / "labels.npz", labels=labels)
    plain = reading.read(source, features).features
    wanted = torch.tensor(features, requires_grad=True)
    torch.testing.assert_close(reading.read(source, wanted).features, plain)
    half = reading.read(source, wanted.to(torch.bfloat16)).features
    torch.testing.assert_close(half, plain, atol=0.1, rtol=0)
    np.save(tmp_path / "f.npy", features)
    assert isinstance(feature_files.load(tmp_path / "f.npy").base, np.memmap)  # not read into memory
    data = reading.read(source, tmp_path / "f.npy")
    torch.testing.assert_close(data.features, plain)


def test_features_that_are_none(tmp_path):
    source = pack(tmp_path / "labels.npz", labels=[0, 1])
    fails("features must differ between samples", source, np.ones((2, 3)))
    fails("features must be numbers \\(N, D\\), got complex128", source, np.ones((2, 3)) * 1j)
    fails("features must be numbers \\(N, D\\), got float64 \\(2, 3, 1\\)", source, np.ones((2, 3, 1)))
    fails("features must be an .npy file, got a pack of x", source, pack(tmp_path / "f.npz", x=np.eye(2)))


# --- the order of features ----------------------------------------------------------------------------

NESTED = ["cat/b.png", "cat/old/a.png", "cat/z.png", "dog/1.png", "dog/2.png", "dog/new/0.png"]


@pytest.fixture
def nested(tmp_path):
    for seed, name in enumerate(NESTED):
        save(tmp_path / "nested" / name, seed)
    return tmp_path / "nested"


def row_order(data, features):
    """Which row each sample has got."""
    own = reading.read(pack(data.source.parent / "l.npz", labels=[0, 1] * (len(features) // 2)), features)
    return [int((own.features - row).abs().sum(1).argmin()) for row in data.features]


def test_nested_folders_in_the_order_of_torchvision(nested):
    from torchvision.datasets import ImageFolder

    theirs = [os.path.relpath(file, nested) for file, _ in ImageFolder(nested).samples]
    assert theirs != NESTED
    features = np.random.default_rng(0).normal(size=(6, 3))
    fails("could come in the order of sorted paths or in that of torchvision.ImageFolder", nested, features)
    assert row_order(reading.read(nested, features, paths="sorted"), features) == list(range(6))
    data = reading.read(nested, features, paths="imagefolder")
    assert row_order(data, features) == [theirs.index(name) for name in NESTED]
    (nested.parent / "order.txt").write_text("".join(f"{nested}/{name}\n" for name in theirs))
    again = reading.read(nested, features, paths=nested.parent / "order.txt")
    torch.testing.assert_close(again.features, data.features)


def test_the_only_order_of_that_length_is_taken(nested):
    save(nested / "dog" / "3.gif", 9)  # torchvision passes it over
    features = np.random.default_rng(0).normal(size=(6, 3))
    data = reading.read(nested, features)
    assert said(data, "the order 'imagefolder', the only one of 6 files")
    assert problems(data) == {"dog/3.gif": "left out: it has no row of features"}
    fails(
        "a row for each of 7 files \\('sorted'\\) or 6 files \\('imagefolder'\\), got 5", nested, features[:5]
    )


def test_an_order_file_is_written_and_read(nested, monkeypatch):
    order = reading.list_paths(nested)
    assert order.splitlines() == NESTED
    lines = [NESTED[4], f"nested/{NESTED[0]}", f"./{NESTED[5]}", "dog/gone.png", str(nested / NESTED[1])]
    (nested.parent / "order.txt").write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
    features = np.random.default_rng(0).normal(size=(5, 3))
    data = reading.read(nested, features, least=1, paths=nested.parent / "order.txt")
    assert data.paths == [NESTED[n] for n in (0, 1, 4, 5)]
    own = reading.read(nested, features[[1, 4, 0, 2]], least=1, paths=_lines(nested, data.paths))
    torch.testing.assert_close(data.features, own.features)
    found = problems(data)
    assert found["dog/gone.png"] == "a row of features without a usable file"
    assert found["cat/z.png"] == "left out: it has no row of features"


def test_names_that_begin_with_a_blank_or_hold_odd_line_ends(tmp_path):
    names = [" cat/1.png", " cat/2.png", "cat/1.png", "cat/a\x85b.png", "cat/a\u2028b.png"]
    for seed, name in enumerate(names):
        save(tmp_path / "set" / name, seed)
    features = np.random.default_rng(0).normal(size=(5, 3))
    data = reading.read(tmp_path / "set", features)
    assert data.classes == (" cat", "cat")
    for order in ("sorted", _lines(tmp_path / "set", reading.list_paths(tmp_path / "set").split("\n"))):
        again = reading.read(tmp_path / "set", features, paths=order)
        torch.testing.assert_close(again.features, data.features)
        what = "its name holds control characters or bytes that are no UTF-8, written \\x.. here"
        assert problems(again) == {"cat/a\\x85b.png": what}
    lines = [" cat/1.png\r", "  cat/2.png \r", "cat/1.png ", *names[3:]]  # the second is none as it stands
    data = reading.read(tmp_path / "set", features, least=1, paths=_lines(tmp_path / "set", lines))
    assert len(data.labels) == 4
    assert problems(data)["  cat/2.png "] == "a row of features without a usable file"


def test_an_order_for_ids(tmp_path):
    ids = [f"s3://bucket/{n}.jpg" for n in range(6)]
    source = table(tmp_path, *(f"{name},{'ab'[n % 2]}" for n, name in enumerate(ids)))
    features = np.random.default_rng(0).normal(size=(6, 3))
    plain = reading.read(source, features)
    (tmp_path / "order.txt").write_text("\n".join(reversed(ids)))
    data = reading.read(source, features[::-1], paths=tmp_path / "order.txt")
    torch.testing.assert_close(data.features, plain.features)
    assert data.paths == ids
    only = table(tmp_path, *"ababab", header="label")
    fails("paths must be left out for .*, whose rows are", only, features, paths=tmp_path / "order.txt")


def test_the_order_of_torchvision_on_a_system_that_ignores_case(tmp_path, monkeypatch):
    names, features = ["B/1.png", "B/2.png", "a/1.png", "a/Z.png", "a/b.png"], np.eye(5)
    for seed, name in enumerate(names):
        save(tmp_path / "set" / name, seed)
    plain = reading.read(tmp_path / "set", features, paths="sorted").features
    monkeypatch.setattr(type(tmp_path), "__lt__", lambda a, b: str(a).lower() < str(b).lower(), raising=False)
    assert reading.list_paths(tmp_path / "set").splitlines() == names
    for order in ("sorted", "imagefolder"):
        torch.testing.assert_close(reading.read(tmp_path / "set", features, paths=order).features, plain)


def _lines(nested, names):
    (nested.parent / "some.txt").write_text("\n".join(names))
    return nested.parent / "some.txt"


def test_orders_that_cannot_be(nested):
    features = np.eye(6)
    fails(
        "paths must be 'sorted', 'imagefolder' or a file of paths, got .*none", nested, features, paths="none"
    )
    fails("a row for each of 2 paths, got 6", nested, features, paths=_lines(nested, NESTED[:2]))
    twice = _lines(nested, [*NESTED[:5], NESTED[0]])
    fails("paths must differ, got cat/b.png in lines 1 and 6", nested, features, paths=twice)
    fails(
        "paths must be those of .*nested, got a0",
        nested,
        features,
        paths=_lines(nested, [f"a{n}" for n in range(6)]),
    )
    fails("got 'sorted' without features", nested, paths="sorted")
    labels = pack(nested.parent / "labels.npz", labels=[0, 1] * 3)
    fails("paths must be left out for labels.npz", labels, features, paths="sorted")


# --- packs --------------------------------------------------------------------------------------------


def test_arrays_that_are_not_needed_are_not_read(tmp_path):
    odd = np.array([{"camera": 1}, None], dtype=object)
    np.savez(tmp_path / "a.npz", images=GREY, labels=[0, 1] * 3, info=odd)
    assert len(reading.read(tmp_path / "a.npz").labels) == 6
    np.savez(tmp_path / "a.npz", labels=[0, 1] * 3, features=odd, images=odd)
    data = reading.read(tmp_path / "a.npz", np.eye(6))
    assert data.picture(0) is None
    assert said(data, "no pictures are shown: images in")
    fails("features in .*a.npz cannot be read: Object arrays", tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", labels=[0, 1] * 3, images=np.zeros((6, 4, 4, 4)))
    fails("images must be numbers .* got float64 \\(6, 4, 4, 4\\)", tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", labels=[0, 1] * 5, images=np.zeros((10, 8, 8, 4)))
    fails("images must be numbers .* got float64 \\(10, 8, 8, 4\\)", tmp_path / "b.npz")
    assert said(reading.read(tmp_path / "a.npz", np.eye(6)), "no pictures are shown: images must be numbers")
    np.savez(tmp_path / "a.npz", labels=odd, images=GREY)
    fails("labels in .*a.npz cannot be read: Object arrays", tmp_path / "a.npz")


# --- what cannot be reached ---------------------------------------------------------------------------


def test_what_cannot_be_reached_is_named_and_the_rest_read(folder, monkeypatch):  # noqa: F811
    true_stat, true_access, true_scandir = os.stat, os.access, os.scandir

    def closed(path, *names):
        return any(f"/{name}" in os.fspath(path) for name in names if isinstance(path, str | os.PathLike))

    def stat(path, *rest, **options):
        if closed(path, "secret/"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return true_stat(path, *rest, **options)

    def scandir(path="."):
        if closed(path, "cat/shut"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return true_scandir(path)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda path, mode: not closed(path, "fish") and true_access(path, mode))
    save(folder / "fish" / "1.png", 20)
    (folder / "cat" / "shut").mkdir()
    os.mkfifo(folder / "cat" / "pipe.png")
    data = reading.read(folder)
    assert len(data.labels) == 5
    assert problems(data) == {
        "cat/shut": "left out: a folder that cannot be read (Permission denied)",
        "fish": "left out: a class folder without images",
        "cat/pipe.png": "left out: no regular file",
    }
    assert ("fish", "left out: a folder that cannot be entered (Permission denied)") in data.problems
    rows = [f"pets/{name},{name[:3]}" for name in data.paths]
    rows += ["secret/1.png,cat", f"{'x' * 300}.png,cat", "pets/cat/b.png/c.png,cat"]
    found = problems(reading.read(table(folder.parent, *rows)))
    assert found == {
        "secret/1.png": "left out: cannot be reached (Permission denied)",
        f"{'x' * 300}.png": "left out: cannot be reached (File name too long)",
        "pets/cat/b.png/c.png": "left out: no such file",
    }


def test_what_systems_leave_is_passed_over(folder):  # noqa: F811
    for name in ("@eaDir", "__MACOSX", "cat/@eaDir", "dog/.thumbnails", ".git"):
        save(folder / name / "b.png", 30)
    for name in ("Thumbs.db", "cat/desktop.ini", ".DS_Store", "cat/._b.png"):
        (folder / name).write_bytes(b"x")
    data = reading.read(folder)
    assert data.classes == ("cat", "dog")
    assert data.problems == []
    (note,) = data.notes
    assert note.startswith("passed over, as hidden or left by a system: ")
    for name in (".DS_Store (1)", "._b.png (1)", ".git (1)", "@eaDir (2)"):
        assert name in note or note.endswith("…")
    save(folder.parent / "sets" / "train" / "cat" / "a.png", 0)
    save(folder.parent / "sets" / "@eaDir" / "a.png", 0)
    fails("holds splits, not classes \\(train\\)", folder.parent / "sets")


# --- CSVs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['b.png,"ca', "c.png,dog"], "line 2 cannot be read .unexpected end of data"),
        (['b.png,"ca', 'c.png,"dog"'], "line 2 cannot be read"),
        (["b.png,cat", 'b.png,"ca', 'c.png,dog"'], "line 3: a quote is opened here"),
        (["a,b.png,cat"], "line 2 has 3 cells where the first line has 2"),
        (['b.png,"big" cat'], "line 2 cannot be read .*must be doubled"),
    ],
)
def test_a_quote_or_comma_out_of_place_is_an_error_with_its_line(tmp_path, rows, message):
    fails(message, table(tmp_path, *rows))


def test_line_breaks_in_other_columns_are_said(folder):  # noqa: F811
    names = ["cat/b.png", "cat/old/a.png", "dog/1.png", "dog/2.png"]
    rows = [f'{names[0]},cat,"oops', f"{names[1]},cat,", f'{names[2]},dog,x"', f"{names[3]},dog,x"]
    data = reading.read(table(folder, *rows, header="path,label,remark"), least=1)
    assert data.paths == [names[0], names[3]]
    note = "1 rows hold line breaks in other columns, the first in line 2"
    assert said(data, note)
    (folder / "list.csv").write_text("\n".join(rows))
    assert said(reading.read(folder / "list.csv", least=1), note.replace("2", "1"))


def test_one_nul_does_not_make_it_utf_16(folder):  # noqa: F811
    rows = "path,label\ncat/b.png,cat\ncat/old/a.png,cat\ndog/1.png,dog\ndog/2\0.png,dog\ndog/2.png,dog\n"
    (folder / "list.csv").write_text(rows)
    data = reading.read(folder / "list.csv")
    assert len(data.labels) == 4
    assert data.notes == []
    assert list(problems(data)) == ["dog/2\\x00.png"]


ROWS = ["cat/b.png,cat", "cat/old/a.png,cat", "dog/1.png,dog", "dog/2.png,dog"]


@pytest.mark.parametrize(
    ("change", "encoding", "remark"),
    [
        (lambda text: text.replace(",", ";"), "utf-8", None),
        (lambda text: text.replace(",", "\t"), "utf-8-sig", None),
        (lambda text: text.replace(",", "|"), "utf-8", None),
        (lambda text: text.replace(",", ", "), "utf-8", None),
        (lambda text: "sep=;\n" + text.replace(",", ";"), "utf-8", None),
        (lambda text: "sep=,\r\n" + text, "utf-16", "UTF-16"),
        (lambda text: text, "utf-16", "UTF-16"),
        (lambda text: text, "utf-16-le", "UTF-16-LE"),
        (lambda text: text, "utf-16-be", "UTF-16-BE"),
        (lambda text: text, "utf-32", "UTF-32"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8", None),
        (lambda text: text.replace("\n", "\r"), "utf-8", None),
        (lambda text: text.replace("\n", "\n\n"), "utf-8", None),
        (lambda text: text.replace("/", "\\"), "utf-8", "4 paths with \\ are read with /"),
        (
            lambda text: "".join(f'"{a}","{b}"\n' for a, b in (r.split(",") for r in text.split())),
            "utf-8",
            None,
        ),
        (lambda text: text.partition("\n")[2], "utf-8", "no header"),
        (lambda text: text.partition("\n")[2].replace(",", "\t").replace("/", "\\"), "utf-8", "no header"),
        (lambda text: text.replace("\n", ",,\n"), "utf-8", None),
    ],
)
def test_every_dialect_and_encoding(folder, change, encoding, remark):  # noqa: F811
    path = folder / "list.csv"
    path.write_bytes(change("\n".join(["path,label", *ROWS, ""])).encode(encoding))
    data = reading.read(path)
    assert [data.classes[k] for k in data.labels] == ["cat", "cat", "dog", "dog"]
    assert data.problems == []
    assert data.picture(2).size == (8, 8)
    assert len(data.notes) == 0 if remark is None else said(data, remark)


def test_a_csv_of_another_code_page(folder):  # noqa: F811
    os.rename(folder / "cat" / "b.png", folder / "cat" / "käfer.png")
    rows = "path,label\ncat/käfer.png,Käfer\ncat/old/a.png,Käfer\ndog/1.png,dog\ndog/2.png,dog\n"
    (folder / "list.csv").write_bytes(rows.encode("cp1252"))
    data = reading.read(folder / "list.csv")
    assert data.classes == ("Käfer", "dog")
    assert data.problems == []
    assert said(data, "read as Windows-1252")
    (folder / "list.csv").write_bytes(b"\xff\xfep")
    fails("cannot be read as utf-16 .*: save it as UTF-8", folder / "list.csv")


def test_the_row_with_a_label_counts(folder):  # noqa: F811
    rows = ["dog/1.png,", "dog/2.png,dog", "cat/b.png,cat", "cat/old/a.png,cat", "dog/1.png,dog"]
    data = reading.read(table(folder, *rows))
    assert data.index.tolist() == [1, 2, 3, 4]
    what = "left out: given twice, without a label here, and with 'dog' in line 6"
    assert problems(data) == {"dog/1.png": what}


def test_whole_numbers_are_one_class(folder):  # noqa: F811
    names = ["cat/b.png", "cat/old/a.png", "cat/old/c.png", "dog/1.png", "dog/2.png"]
    labels = ["1", "1.0", "+1", "2.", "2.0"]
    data = reading.read(table(folder, *map(",".join, zip(names, labels, strict=True))))
    assert data.classes == ("1", "2")
    assert said(data, "+1 as 1")
    labels = ["01", "1", "1", "01", "1.5"]  # codes stay as they are
    data = reading.read(table(folder, *map(",".join, zip(names, labels, strict=True))), least=1)
    assert data.classes == ("01", "1", "1.5")


def test_ids_need_no_file_where_features_are_given(folder):  # noqa: F811
    rows = [f"s3://bucket/{n}.jpg,{'ab'[n % 2]}" for n in range(4)] + ["cat/b.png,a", ",b"]
    features = np.random.default_rng(0).normal(size=(6, 3))
    path = table(folder, *rows)
    data = reading.read(path, features)
    assert data.paths == [*(f"s3://bucket/{n}.jpg" for n in range(4)), "cat/b.png", "row 5"]
    assert data.problems == []
    assert said(data, "5 of 6 samples have no picture to show")
    assert data.picture(0) is None
    assert data.picture(4).size == (8, 8)
    np.testing.assert_array_equal(np.asarray(data.picture(4)), np.asarray(picture(2)))
    fails("got a\n  row 5: .*no path in line 7\n  s3://bucket/0.jpg: left out: no such file", path, None, 1)
    only = reading.read(table(folder, *"ababab", header="label"), features)
    torch.testing.assert_close(only.features, data.features)


def test_names_fit_into_one_line():
    assert listing.shown("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m"
    assert listing.shown("\ud800x") == "\\ud800x"
    assert listing.shown("caf\udce9") == "caf\\xe9"


def test_rgb_of_16_bits_and_colour_arrays(tmp_path):
    data = reading.read(pack(tmp_path / "a.npz", images=COLOUR.astype(np.uint16) * 16, labels=[0, 1] * 3))
    low, high = COLOUR.min(), COLOUR.max()
    exact = (COLOUR.astype(float) - low) / (high - low) * 255
    assert np.abs(data.images.permute(0, 2, 3, 1).numpy() - exact).max() <= 0.51
