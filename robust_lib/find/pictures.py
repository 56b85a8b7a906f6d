"""Pictures of any kind as 8 bits: files and arrays of every depth, upright, and on one scale.

Files of 8 bits stay as they are, and so do whole numbers of 0 … 255, unless all are small. Other values are
scaled by the range that all pictures of a set share.
"""

import hashlib
import io
import os
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NATURAL = (1, 255, 65535)  # the tops of scales that need no remark, if the values fill more than half of one
PNG = b"\x89PNG\r\n\x1a\n"
SMALL = 64  # whole numbers of 0 … 255 stay as they are, unless all are below this
CUT = "upper 8 of 16 bits"  # in the info of a PIL image: Pillow reads no more of such a file
SLICE = 1 << 24  # values of an array that are worked on at a time


@dataclass(frozen=True)
class Scale:
    """The range of values that becomes 0 … 255; values outside are clipped, and NaN is the lowest."""

    low: float
    high: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """uint8, of the shape of the values."""
        values = np.where(np.isnan(values), self.low, values).astype(np.float64).clip(self.low, self.high)
        span = (self.high / 2 - self.low / 2) or 1  # halves: a difference of two large numbers is infinite
        return ((values / 2 - self.low / 2) / span * 255).round().astype(np.uint8)


def common_scale(lows: Sequence[float], highs: Sequence[float], whole: bool = False) -> tuple[Scale, str]:
    """The scale of a set of pictures, and a remark on it or "".

    lows and highs: the least and largest value of each picture, all finite. A picture that reaches more than
    twice as far as 99 % of the others (but at least one) does not stretch the scale: it is clipped.
    whole: the values are whole numbers. Those of 0 … 255 are bytes, which are never clipped.
    """
    lows, highs = np.asarray(lows, dtype=np.float64), np.asarray(highs, dtype=np.float64)
    if whole and lows.min() >= 0 and highs.max() <= 255:
        if highs.max() >= SMALL:
            return Scale(0, 255), ""
        lows, highs = lows.min(keepdims=True), highs.max(keepdims=True)
    low, high = np.quantile(lows, 0.01, method="higher"), np.quantile(highs, 0.99, method="lower")
    with np.errstate(over="ignore"):  # an infinite span clips nothing
        span = high - low
    if span <= 0 or highs.max() <= high + span:
        high = highs.max()
    if span <= 0 or lows.min() >= low - span:
        low = lows.min()
    clipped = int(((lows < low) | (highs > high)).sum())
    remark = f"; {clipped:,} beyond that, clipped" if clipped else ""
    for top in NATURAL:
        if low >= 0 and high <= top and (high > top / 2 or low == high):
            return Scale(0, top), remark and f"pixels of 0 … {top}{remark}"
    return Scale(float(low), float(high)), f"pixels of {low:g} … {high:g}: scaled to 0 … 255{remark}"


def scaled(images: np.ndarray, scale: Scale) -> np.ndarray:
    """uint8 of the same shape, a slice at a time; the array itself where nothing changes."""
    if images.dtype == np.uint8 and (scale.low, scale.high) == (0, 255):
        return images
    return np.concatenate([scale(part) for part in np.array_split(images, images.size // SLICE + 1)])


def depth(picture) -> str:
    """What a PIL image holds: "integers" of more than 8 bits, "floats", or "" for 8 bits and less."""
    return {"I": "integers", "F": "floats"}.get(picture.mode[0], "")


def is_cut(picture) -> bool:
    """Whether Pillow reads only the upper 8 of 16 bits (of colour, and of grey with transparency).

    A PIL image that was just opened, or one of `load`.
    """
    raw = any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    return CUT in picture.info or (raw and not depth(picture))


def load(file, near: int | None = None):
    """The PIL image, upright, its pixels loaded.

    near: JPEGs may be decoded at a fraction of their size, not below so many pixels a side (faster). Metadata
    never cost the picture: what of a PNG is no pixel is left out where it cannot be read. Raises whatever the
    decoder raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on damaged metadata: the pixels are what counts
        try:
            return _upright(file, near)
        except Exception:
            pixels = _without_metadata(Path(file).read_bytes())
            if pixels is None:
                raise
            return _upright(io.BytesIO(pixels), near)


def _upright(file, near: int | None):
    from PIL import Image, ImageOps

    with Image.open(file) as opened:
        if near:
            opened.draft(None, (near, near))
        if is_cut(opened):
            opened.info[CUT] = True
        opened.load()
        try:
            return ImageOps.exif_transpose(opened)
        except Exception:  # EXIF that cannot be read: the picture as it lies
            return opened.copy()


def _without_metadata(data: bytes) -> bytes | None:
    """A PNG's pixels, palette, transparency and orientation only; None for other files."""
    if not data.startswith(PNG):
        return None
    kept, start = [PNG], len(PNG)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        name, body = data[start + 4 : start + 8], data[start + 4 : end - 4]
        whole = zlib.crc32(body) == int.from_bytes(data[end - 4 : end], "big")
        if name[:1].isupper() or (name in (b"tRNS", b"eXIf") and whole):  # a capital: needed for the pixels
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


def survey(file) -> tuple[tuple[int, int], tuple[str, float, float] | None, bool]:
    """Width and height, the values of a deep picture, and whether it is cut.

    Of a deep picture: "integers" or "floats", and the least and largest value. Only the header of others is
    read. ValueError for NaN and infinity.
    """
    from PIL import Image

    try:
        with Image.open(file) as opened:
            size, kind, cut = opened.size, depth(opened), is_cut(opened)
    except Exception:  # metadata before the pixels, or no picture at all
        picture = load(file)
        size, kind, cut = picture.size, depth(picture), is_cut(picture)
    if not kind:
        return size, None, cut
    values = np.asarray(load(file))
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("its pixels hold NaN or infinity")
    return size, (kind, low, high), cut


def as_8_bits(picture, scales: dict[str, Scale] | None = None):
    """A PIL image of mode L or RGB, on white where it is transparent.

    scales: by `depth`, for deep pictures; without one, the range of a picture's own finite values is taken.
    """
    from PIL import Image

    if kind := depth(picture):
        values = np.asarray(picture)
        scale = (scales or {}).get(kind)
        if scale is None:
            seen = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
            scale = common_scale([seen.min()], [seen.max()], kind == "integers")[0]
        return Image.fromarray(scale(values))
    mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if "A" in picture.mode or "transparency" in picture.info:
        back = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(back, picture.convert("RGBA"))
    return picture.convert(mode)


def fingerprint(picture) -> bytes:
    """md5 of the size and all pixels of an array or a file, as they are stored.

    Of a file that is cut, whose lower bits are not seen, md5 of the whole file.
    """
    if not isinstance(picture, np.ndarray):
        loaded = load(picture)
        if is_cut(loaded):
            return hashlib.md5(Path(picture).read_bytes(), usedforsecurity=False).digest()
        picture = np.asarray(loaded if depth(loaded) else loaded.convert("RGBA"))
    digest = hashlib.md5(repr(picture.shape).encode(), usedforsecurity=False)
    digest.update(np.ascontiguousarray(picture))
    return digest.digest()


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in a few words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):  # its message is the path
        return "no image, or of a kind that PIL does not know"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return " ".join(str(error).split())[:120] or type(error).__name__
