"""Cut the mini packs in robust_lib/data/mini again from the full sets, and say whether they are the same.

    python scripts/cut_mini_packs.py [FOLDER]     # FOLDER: where to write; robust_lib/data/mini if not given

The same choice of images always; the same bytes with the Pillow, libwebp and numpy of requirements.lock and
Python 3.11.7 (3.11.2 writes other zip headers around the same contents).
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from robust_lib import data
from robust_lib.data.images import MINI, MINI_COLUMNS

PER_CLASS = {"train": 500, "test": 100}


def choose(labels: np.ndarray, per_class: int) -> np.ndarray:
    """`per_class` indices of each class, drawn at random with a fixed seed, in rising order."""
    draw = np.random.RandomState(0)  # numpy promises that this stream never changes; default_rng's may
    chosen = [draw.permutation(np.flatnonzero(labels == k))[:per_class] for k in range(labels.max() + 1)]
    return np.sort(np.concatenate(chosen))


def sheet(images: np.ndarray) -> bytes:
    """Images (N, C, H, W) side by side, row by row, as one lossless WebP."""
    channels, height, width = images.shape[1:]
    grid = images.reshape(-1, MINI_COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    grid = grid.reshape(-1, MINI_COLUMNS * width, channels)
    file = io.BytesIO()
    rgb = np.ascontiguousarray(np.broadcast_to(grid, (*grid.shape[:2], 3)))
    Image.fromarray(rgb).save(file, "WEBP", lossless=True, quality=75, method=6)
    return file.getvalue()


def pack(splits: dict[str, data.ImageSet]) -> bytes:
    """The .npz of a mini pack: for each split a sheet, its labels, and the original indices."""
    arrays = {}
    for split, images in splits.items():
        arrays[f"{split}_sheet"] = np.frombuffer(sheet(images.images.numpy()), np.uint8)
        arrays[f"{split}_labels"] = images.labels.numpy().astype(np.uint8)
        arrays[f"{split}_index"] = images.index.numpy().astype(np.uint16)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def cut(name: str, split: str) -> data.ImageSet:
    """The chosen images of the full set."""
    full = data.load(name, split, size="full")
    i = choose(full.labels.numpy(), PER_CLASS[split])
    return data.ImageSet(name, full.images[i], full.labels[i], full.classes, full.index[i], full.origin)


def main(folder: Path) -> int:
    changed = 0
    for name, recorded in data.MINI_MD5.items():
        blob = pack({split: cut(name, split) for split in PER_CLASS})
        (folder / f"{name}.npz").write_bytes(blob)
        md5 = hashlib.md5(blob, usedforsecurity=False).hexdigest()
        changed += md5 != recorded
        verdict = "as recorded" if md5 == recorded else f"DIFFERS from the recorded {recorded}"
        print(f"{name}.npz  {len(blob):,} bytes  md5 {md5}  {verdict}")
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else MINI))
