"""Frozen features of one's own pictures: a network of timm that is not trained, only looked through."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from robust_lib import data as library
from robust_lib.find import pictures
from robust_lib.find.reading import OwnData

NONE = "none"  # the name that trains networks from scratch
SIZE = 224  # pixels a side: what most networks were trained on
FEW = 16  # pictures whose time is measured


@dataclass(frozen=True)
class Backbone:
    """A network that can be had. weights: a file, or None for its own."""

    name: str
    weights: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} at {SIZE} px"

    def see(self, data: OwnData, folder: Path, device: torch.device, progress: bool) -> OwnData:
        """The data with its pictures' features. Chunks of them are kept below the folder.

        Each picture's features get the length 1, so that distances are about angles, not contrast; then they
        are centred, and all are divided by one deviation.
        """
        given = self._features(_pictures(data), data, device, folder, progress)
        directions = F.normalize(given.float())
        centred = directions - directions.mean(0)
        return replace(data, features=centred / centred.square().mean().sqrt().clamp(min=1e-6))

    def seconds(self, data: OwnData, device: torch.device) -> float:
        """For all pictures: what FEW more than one of them take, so without what the start takes."""
        some, took = _pictures(data)[: FEW + 1], []
        for count in (1, len(some)):
            start = time.perf_counter()
            self._features(some[:count], data, device)
            took.append(time.perf_counter() - start)
        return max(took[1] - took[0], 0) / (len(some) - 1) * len(data.labels)

    def _features(self, given, data: OwnData | None, device, folder=None, progress: bool = False) -> Tensor:
        def read(file: Path, size: int) -> np.ndarray:
            return _rgb(data, file, size)

        options = {"weights": self.weights, "size": SIZE, "device": device}
        return library.extract(given, self.name, **options, folder=folder, read=read, progress=progress)


def load(name: str | None = None, weights: Path | None = None) -> tuple[Backbone | None, str]:
    """The named backbone, after one blank picture; None for "none", training from scratch; a remark or "".

    name: by default BACKBONE; where timm or its weights are missing, None, and the remark says so.
    Raises ValueError for weights without a backbone, and for a name as data.extract; DataError and
    ModuleNotFoundError where a backbone that was asked for cannot be had.
    """
    if name == NONE:
        if weights is not None:
            raise ValueError(f"weights must be left out with backbone {NONE!r}, got {weights}")
        return None, ""
    if name is not None and not isinstance(name, str):
        raise ValueError(f"backbone must be the name of a network, got {name!r}")
    backbone = Backbone(name or library.BACKBONE, weights)
    try:
        backbone._features(torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8), None, "cpu")
    except (ModuleNotFoundError, library.DataError) as error:
        if name is not None or weights is not None:
            raise
        why = "timm is not installed here" if isinstance(error, ModuleNotFoundError) else str(error)
        return None, f"networks are trained from scratch, which ranks worse: {' '.join(why.split())}"
    return backbone, ""


def _pictures(data: OwnData) -> Tensor | list[Path]:
    """What data.extract takes: the files, or uint8 (N, 1 or 3, H, W)."""
    if data.pixels is None:
        return data.files
    pixels = torch.from_numpy(np.stack(data.pixels))
    return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)


def _rgb(data: OwnData, file: Path, size: int) -> np.ndarray:
    """A file's picture as Samples.picture shows it, uint8 (H, W, 3). ValueError if it cannot be read."""
    try:
        return np.array(pictures.as_8_bits(pictures.load(file, size), data.scales).convert("RGB"))
    except Exception as error:  # reading.read could read it
        raise ValueError(f"{file} cannot be read any more: {pictures.reason(error)}") from error
