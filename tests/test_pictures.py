"""pictures: every depth and kind of picture on one scale, and metadata that cost nothing."""

import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from robust_lib import pictures
from robust_lib.pictures import Scale

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
        (0, 255, Scale(0, 255)),
        (3, 200, Scale(0, 255)),
        (0, 1, Scale(0, 1)),
        (0, 0.9, Scale(0, 1)),
        (0, 65000, Scale(0, 65535)),
        (0, 1.004, Scale(0, 1.004)),
        (0, 0.08, Scale(0, 0.08)),
        (0, 16, Scale(0, 16)),
        (0, 1023, Scale(0, 1023)),
        (0, 4095, Scale(0, 4095)),
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
    assert pictures.survey(tmp_path / "a.png") == ((6, 6), None)


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
    prints = [pictures.fingerprint(Image.fromarray(array)) for array in (plate, other, plate, plate[:, :200])]
    assert prints[0] == prints[2]
    assert len(set(prints)) == 3
