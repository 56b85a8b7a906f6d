"""Findings made by hand, for tests of the page: no training."""

import numpy as np
import torch
from PIL import Image

from robust_lib.detection import Detection
from robust_lib.find.calibration import Estimate
from robust_lib.find.findings import Findings
from robust_lib.find.neighbours import Neighbours
from robust_lib.find.reading import OwnData


def findings(root, count: int, classes: tuple[str, ...], names=None, pictures: bool = True, texts=None):
    """`count` samples of these classes below root/in, every tenth flagged by both detectors, every fifth by
    cl; the first two are near duplicates with different labels. names: paths other than 0.png, 1.png, ...
    """
    draw = np.random.default_rng(0)
    labels = np.arange(count) % len(classes)
    paths = [f"{n}.png" for n in range(count)]
    for n, name in (names or {}).items():
        paths[n] = name
    source, out = root / "in", root / "out"
    source.mkdir(parents=True)
    out.mkdir()
    if pictures:
        for path in paths:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), tuple(draw.integers(0, 256, 3).tolist())).save(source / path)
    data = OwnData(
        source=source,
        paths=paths,
        files=[source / path for path in paths] if pictures else None,
        index=np.arange(count),
        labels=labels,
        classes=classes,
        texts=texts,
        images=None,
        features=torch.zeros(count, 2),
        decided=np.zeros(count, dtype=bool),
        rows=None,
    )
    flags = {"cl": np.arange(count) % 5 == 0, "aum": np.arange(count) % 10 == 0}
    flagged, scores = flags["cl"] & flags["aum"], draw.normal(size=count)
    detections = {name: Detection(flag, scores) for name, flag in flags.items()}
    suggested = np.where(flagged, (labels + 1) % len(classes), labels)
    places = Neighbours(draw.random(count), np.array([[0, 1]]), np.array([0.1]))
    ranking = np.argsort(scores, kind="stable")
    wrong = np.linspace(0.9, 0, count)[np.argsort(ranking)]
    return Findings(
        data=data,
        out=out,
        detections=detections,
        flagged=flagged,
        ranking=ranking,
        suggested=suggested,
        probs=np.zeros((count, len(classes))),
        summary=["made by hand"],
        neighbours=places,
        key="made by hand",
        wrong=Estimate(wrong, wrong / 2, wrong, np.full(count, 1 / count)),
    )
