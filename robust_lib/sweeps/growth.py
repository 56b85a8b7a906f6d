"""How the cost of finding label errors grows with images, classes and losses to try: seconds and peak memory.

What is measured is what chapter 10 does: a network for each of five folds, then confident learning. One
epoch, so that a recipe's cost is this times its epochs. Each point has a process of its own, whose peak
memory nothing else has raised. Records: results/growth.jsonl.
"""

import multiprocessing
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from robust_lib import data, detection, losses, records, training
from robust_lib.detection import confident
from robust_lib.training import models

NETWORK, FOLDS, MIB = "small_cnn", 5, 2**20
# Some records have "stacked": all networks as one product, which was slower on a CPU and is gone.
WAY = "one by one"


@dataclass(frozen=True)
class Point:
    """What is run: images, classes, and losses to try."""

    samples: int
    classes: int = 10
    grid: int = 1

    def __post_init__(self):
        if self.classes < 10 or self.classes % 10:
            raise ValueError(f"classes must be a multiple of 10, got {self.classes}")

    def key(self, device: str) -> str:
        return (
            f"Point(samples={self.samples}, classes={self.classes}, grid={self.grid}, way={WAY!r}) {device}"
        )


BY_SAMPLES = [Point(n, k) for k in (10, 100) for n in (5_000, 10_000, 20_000, 40_000, 60_000)]
POINTS = list(dict.fromkeys([*BY_SAMPLES, *(Point(5_000, grid=g) for g in (1, 2, 4, 8))]))


def run(
    points: Iterable[Point] = POINTS,
    device: str = "auto",
    folder: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Measures the points that this device has no record of, and appends one record each."""
    about = records.provenance(training.pick_device(device))
    with records.appending(records.path_of("growth", folder=folder)) as (known, append):
        for point in points:
            key = point.key(about["device"])
            if key in known:
                continue
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure, point, device).result()
            append(
                {"key": key, "status": "done"} | asdict(point) | {"way": WAY} | found | about | {"threads": 1}
            )
            report(f"{point}: {found['seconds_training']:.1f} s, {found['peak_mib']:.0f} MiB")


def measure(point: Point, device: str) -> dict[str, float]:
    """{"seconds_training", "seconds_detection", "peak_mib"}: the last is how far this process's peak rises
    above that of training one small network, on a GPU the peak of what torch has allocated there."""
    torch.set_num_threads(1)
    target = training.pick_device(device)
    few = Point(10 * point.classes, point.classes)
    _train(few, *_pictures(few), device)  # libraries are loaded, kernels chosen
    if target.type == "cuda":
        torch.cuda.reset_peak_memory_stats(target)
    before = _peak(target) if target.type == "cpu" else 0
    images, labels = _pictures(point)
    start = time.perf_counter()
    probs = _train(point, images, labels, device)
    middle = time.perf_counter()
    for each in probs:
        confident.flag(labels, each)
    end = time.perf_counter()
    seconds = {"seconds_training": middle - start, "seconds_detection": end - middle}
    return seconds | {"peak_mib": (_peak(target) - before) / MIB}


def _pictures(point: Point) -> tuple[Tensor, Tensor]:
    """Images of Fashion-MNIST's pack, over and over; more than ten classes split its ten into equal parts."""
    pack = data.load("fashion_mnist", "train", size="mini")
    source = torch.arange(point.samples) % len(pack.labels)
    labels = pack.labels[source]
    part = torch.empty_like(labels)
    for own in range(10):
        mine = (labels == own).nonzero()[:, 0]
        part[mine] = torch.arange(len(mine)) % (point.classes // 10)
    return data.to_float(pack.images, pack.name)[source], labels + 10 * part


def _train(point: Point, images: Tensor, labels: Tensor, device: str) -> list[Tensor]:
    """Out-of-sample probabilities (N, K) for every loss of the grid: GCE with other q."""
    recipe = replace(training.RECIPES["quick"], epochs=1)
    grid = [losses.gce(q=(g + 1) / (point.grid + 1)) for g in range(point.grid)]

    def build(seed):
        return models.build(NETWORK, images, point.classes, seed)

    options = {"folds": FOLDS, "device": device, "progress": False}
    runs = [detection.cross_validate(build, images, labels, loss, recipe, **options) for loss in grid]
    return [run.probs for run in runs]


def _peak(device: torch.device) -> int:
    """The most memory used so far, in bytes: of this process, or of the GPU by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would begin with the peak of the process that started this one
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
