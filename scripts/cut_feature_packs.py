"""Cut the feature packs in robust_lib/data/mini again from the full sets, and say how they differ.

    python scripts/cut_feature_packs.py CHUNKS [FOLDER]

CHUNKS is where `extract` keeps its features (300 MB); a stopped run goes on there. FOLDER is where to write,
robust_lib/data/mini if not given. About an hour of one core; floats differ in their last digits between
processors, so a pack that is cut again differs by one step here and there.
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA

from robust_lib import data

COMPONENTS = 256
# The largest number, and what it stands for in standard deviations of the component; more is clipped.
# Rounding adds 0.14 % to each variance. So few levels compress to five bits a number.
LEVELS, RANGE = 31, 4


def cut(train: torch.Tensor, test: torch.Tensor, components: int = COMPONENTS) -> dict[str, np.ndarray]:
    """The arrays of a pack from features (N, D) of both splits.

    The components are those of train; no label is used. Row n is
    round((features[n] - mean) @ components.T * scale / step), and scale makes the mean square of train 1.
    """
    pca = PCA(components, svd_solver="covariance_eigh").fit(train.float().numpy())
    scale = pca.explained_variance_.mean() ** -0.5
    arrays = {
        "mean": pca.mean_.astype(np.float32),
        "components": pca.components_.astype(np.float16),
        "scale": np.float32(scale),
        "step": (scale * RANGE * pca.explained_variance_**0.5 / LEVELS).astype(np.float32),
    }
    for split, features in (("train", train), ("test", test)):
        scores = (features.float().numpy() - arrays["mean"]) @ arrays["components"].astype(np.float32).T
        scores *= arrays["scale"]
        arrays[split] = np.clip(np.rint(scores / arrays["step"]), -LEVELS, LEVELS).astype(np.int8)
    return arrays


def compare(arrays: dict[str, np.ndarray], file: Path) -> str:
    """How many numbers differ from those of the pack that is there, and by how many steps at most."""
    if not file.exists():
        return "new"
    with np.load(file) as old:
        if old["train"].shape != arrays["train"].shape:
            return f"another shape than {old['train'].shape}"
        apart = [np.abs(arrays[split].astype(int) - old[split]) for split in ("train", "test")]
    apart = np.concatenate(apart)
    return f"{(apart > 0).mean():.2%} of the numbers differ, by {apart.max()} steps at most"


def main(chunks: str, folder: Path) -> None:
    for name in data.PACK_MD5:
        splits = {split: data.load(name, split, size="full") for split in ("train", "test")}
        features = [data.extract(s.images, size=data.PACK_PIXELS, folder=chunks) for s in splits.values()]
        arrays = cut(*features)
        for split, images in splits.items():
            arrays[f"{split}_labels"] = images.labels.numpy().astype(np.uint8)
        file = folder / f"{name}_features.npz"
        verdict = compare(arrays, file)
        blob = io.BytesIO()
        np.savez_compressed(blob, **arrays)
        file.write_bytes(blob.getvalue())
        md5 = hashlib.md5(blob.getvalue(), usedforsecurity=False).hexdigest()
        print(f"{file.name}  {len(blob.getvalue()):,} bytes  md5 {md5}  {verdict}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else Path(data.__file__).parent / "mini")
