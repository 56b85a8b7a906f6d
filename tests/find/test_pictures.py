"""pictures: every depth and kind of picture on one scale, and metadata that cost nothing."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from robust_lib.find import pictures
from robust_lib.find.pictures import Scale

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 6), dtype=np.uint8)


def shown(file):
    return pictures.as_8_bits(pictures.load(file))


def test_transparency_and_orientation(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert shown(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    turned = Image.new("L", (6, 4))
    turned.getexif()[0x0112] = 6  # "rotate by 90 degrees to see it upright"
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    assert shown(tmp_path / "turned.jpg").size == (4, 6)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
)
def test_every_mode_becomes_grey_or_colour(mode):
    made = Image.new(mode, (3, 2))
    expected = "L" if mode in ("1", "L", "LA", "I", "F", "I;16") else "RGB"
    result = pictures.as_8_bits(made)
    assert (result.mode, result.size) == (expected, (3, 2))


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (3, 200, Scale(0, 255)),
        (0, 0.9, Scale(0, 1)),
        (-1, 1, Scale(-1, 1)),
        (-2.1, 2.6, Scale(-2.1, 2.6)),
        (40, 100, Scale(40, 100)),
    ],
)
def test_the_scale_is_the_usual_one_or_the_range(low, high, scale):
    found, remark = pictures.common_scale([low] * 9, [high] * 9)
    assert found == scale
    assert bool(remark) == (scale not in [Scale(0, top) for top in pictures.NATURAL])
    np.testing.assert_array_equal(found(np.array([scale.low, scale.high])), [0, 255])


def test_one_wild_picture_is_clipped():
    found, remark = pictures.common_scale([0] * 30, [0.9] * 29 + [1e8])
    assert found == Scale(0, 1)
    assert remark == "pixels of 0 … 1; 1 beyond that, clipped"
    np.testing.assert_array_equal(found(np.array([-7, 0.2, 1e8])), [0, 51, 255])
    assert pictures.common_scale([-1e8, *[0] * 29], [200] * 30)[0] == Scale(0, 255)


@pytest.mark.parametrize("values", [[0, 1, np.nan, np.inf], [np.nan] * 4])
def test_a_picture_with_nan_is_shown(values):
    plate = Image.fromarray(np.array([values], dtype=np.float32))
    expected = [0, 255, 0, 255] if 1 in values else [0] * 4
    assert np.asarray(pictures.as_8_bits(plate))[0].tolist() == expected


def _chunk(name, body):
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@pytest.mark.parametrize("where", [33, -12])  # after the header, and before the end
@pytest.mark.parametrize("kind", ["text", "compressed text", "profile", "broken profile", "wrong checksum"])
def test_metadata_never_cost_the_picture(tmp_path, monkeypatch, kind, where):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 2_000_000)
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    size = 3_000_000
    chunk = {
        "text": _chunk(b"tEXt", b"Comment\0" + b"x" * size),
        "compressed text": _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * size)),
        "profile": _chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x" * size)),
        "broken profile": _chunk(b"iCCP", b"p\0\0" + b"junk"),
        "wrong checksum": _chunk(b"tEXt", b"Comment\0hello")[:-4] + b"junk",
    }[kind]
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:where] + chunk + data[where:])
    np.testing.assert_array_equal(shown(tmp_path / "a.png"), PIXELS)
    assert pictures.survey(tmp_path / "a.png") == ((6, 6), None, False)


def deep_png(path, values, kind=2):
    """A PNG of uint16 (H, W, C), kind: 2 for RGB, 4 for grey with transparency, 6 for RGBA."""
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    path.write_bytes(pictures.PNG + chunks)
    return path


def deep_tiff(path, values):
    """A TIFF of uint16 (H, W, 3)."""
    tags = [(256, 4, 1, values.shape[1]), (257, 4, 1, values.shape[0]), (258, 3, 3, 122), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 1, 128), (277, 3, 1, 3), (278, 4, 1, values.shape[0])]
    tags += [(279, 4, 1, values.nbytes)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + b"\0" * 4
    path.write_bytes(head + struct.pack("<HHH", 16, 16, 16) + values.astype("<u2").tobytes())
    return path


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4), ("tiff", 3)])
def test_files_of_which_pillow_reads_half_the_bits(tmp_path, kind, channels):
    values = np.random.default_rng(0).integers(0, 65536, (5, 6, channels), dtype=np.uint16)
    path = tmp_path / "a"
    deep_tiff(path, values) if kind == "tiff" else deep_png(path, values, kind)
    read = np.asarray(pictures.load(path))
    read = read[..., [0, -1]] if kind == 4 else read
    np.testing.assert_array_equal(read, values >> 8)
    assert pictures.survey(path) == ((6, 5), None, True)
    assert pictures.is_cut(pictures.load(path))
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    assert pictures.survey(tmp_path / "grey.png")[2] is False
    assert not pictures.is_cut(pictures.load(tmp_path / "grey.png"))


def test_exif_that_cannot_be_read_costs_nothing(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert shown(tmp_path / "a.jpg").size == (6, 6)

    def cannot(picture):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(ImageOps, "exif_transpose", cannot)
    assert shown(tmp_path / "a.jpg").size == (6, 6)


def test_fingerprints_tell_all_pixels_apart():
    plate = np.zeros((400, 400), dtype=np.uint8)
    other = plate.copy()
    other[200, 200] = 1
    prints = [pictures.fingerprint(array) for array in (plate, other, plate, plate[:, :200])]
    assert prints[0] == prints[2]
    assert len(set(prints)) == 3
