"""How the cost of finding label errors grows with images, classes and losses to try: seconds and peak memory.

What is measured is what chapter 12 does: a network for each of five folds, then confident learning; and the
same with linear heads on features. One epoch, so that a recipe's cost is this times its epochs. Each point
has a process of its own, whose peak memory nothing else has raised. Records: results/growth.jsonl.
"""

import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from robust_lib import data, detection, losses, records, training
from robust_lib.data.noise import one_of
from robust_lib.detection import confident
from robust_lib.training import models

NETWORK, FOLDS, MIB = "small_cnn", 5, 2**20
# Some records have "stacked": all networks as one product, which was slower on a CPU and is gone.
WAYS = NETWORKS, HEADS, TOGETHER = "one by one", "heads one by one", "heads together"


@dataclass(frozen=True)
class Point:
    """What is run: images, classes, losses to try, and one of WAYS. Heads have 10 or 100 classes."""

    samples: int
    classes: int = 10
    grid: int = 1
    way: str = NETWORKS

    def __post_init__(self):
        if self.classes < 10 or self.classes % 10:
            raise ValueError(f"classes must be a multiple of 10, got {self.classes}")
        one_of("way", self.way, WAYS)

    def key(self, device: str) -> str:
        return f"{self} {device}"


BY_SAMPLES = [Point(n, k) for k in (10, 100) for n in (5_000, 10_000, 20_000, 40_000, 60_000)]
BY_SAMPLES += [Point(n, k, way=HEADS) for k in (10, 100) for n in (5_000, 10_000, 20_000, 50_000)]
BY_LOSSES = [Point(5_000, grid=g) for g in (1, 2, 4, 8)]
BY_LOSSES += [Point(5_000, grid=g, way=way) for g in (1, 2, 4, 8, 16, 32) for way in (HEADS, TOGETHER)]
POINTS = list(dict.fromkeys([*BY_SAMPLES, *BY_LOSSES]))


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
            append({"key": key, "status": "done"} | asdict(point) | found | about | {"threads": 1})
            report(f"{point}: {found['seconds_training']:.1f} s, {found['peak_mib']:.0f} MiB")


def measure(point: Point, device: str) -> dict[str, float]:
    """{"seconds_training", "seconds_detection", "peak_mib"}: the last is how far this process's peak rises
    above that of training one small network, on a GPU the peak of what torch has allocated there."""
    torch.set_num_threads(1)
    target = training.pick_device(device)
    few = Point(10 * point.classes, point.classes, way=point.way)
    list(_train(few, *_pictures(few), device))  # libraries are loaded, kernels chosen
    if target.type == "cuda":
        torch.cuda.reset_peak_memory_stats(target)
    before = _peak(target) if target.type == "cpu" else 0
    images, labels = _pictures(point)
    start = time.perf_counter()
    probs = list(_train(point, images, labels, device))
    middle = time.perf_counter()
    for each in probs:
        confident.flag(labels, each)
    end = time.perf_counter()
    seconds = {"seconds_training": middle - start, "seconds_detection": end - middle}
    return seconds | {"peak_mib": (_peak(target) - before) / MIB}


def _pictures(point: Point) -> tuple[Tensor, Tensor]:
    """Images of Fashion-MNIST's pack, over and over; more than ten classes split its ten into equal parts.
    For heads the features of images of a CIFAR set, of each class as many."""
    if point.way != NETWORKS:
        pack = data.load_features({10: "cifar10", 100: "cifar100"}[point.classes])
        first = pack.labels.argsort(stable=True).view(point.classes, -1).t().flatten()[: point.samples]
        return pack.features[first], pack.labels[first]
    pack = data.load("fashion_mnist", "train", size="mini")
    source = torch.arange(point.samples) % len(pack.labels)
    labels = pack.labels[source]
    part = torch.empty_like(labels)
    for own in range(10):
        mine = (labels == own).nonzero()[:, 0]
        part[mine] = torch.arange(len(mine)) % (point.classes // 10)
    return data.to_float(pack.images, pack.name)[source], labels + 10 * part


def _train(point: Point, images: Tensor, labels: Tensor, device: str) -> Iterator[Tensor]:
    """Out-of-sample probabilities (N, K) for every loss of the grid: GCE with other q."""
    plain = point.way == NETWORKS
    recipe = replace(training.RECIPES["quick" if plain else "features"], epochs=1)
    grid = [losses.gce(q=(g + 1) / (point.grid + 1)) for g in range(point.grid)]

    def build(seed):
        return models.build(NETWORK if plain else "linear", images, point.classes, seed)

    options = {"folds": FOLDS, "device": device, "progress": False}
    groups = [grid] if point.way == TOGETHER else [[loss] for loss in grid]
    for group in groups:
        each = [recipe] * len(group)
        runs = detection.cross_validate_together(build, images, labels, group, each, **options)
        yield from (run.probs for run in runs)


def _peak(device: torch.device) -> int:
    """The most memory used so far, in bytes: of this process, or of the GPU by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would begin with the peak of the process that started this one
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
