"""How fast the library is: losses against cross entropy, heads together against one by one, fit against a
plain DataLoader loop.
"""

import copy
import itertools
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.benchmark import Timer

from robust_lib import data, losses, training
from robust_lib.detection import aum
from robust_lib.training import models

WAYS = {"plain loop": "fp32", "fit": "fp32", "fit bf16": "bf16"}  # and the precision of each
LIMIT = 1.5  # what an epoch with any loss may cost, in epochs of cross entropy
SETTINGS = [(network, batch) for network in ("hs_mnist", "small_cnn") for batch in (64, 128)]


def loss_ratios(pictures: data.ImageSet, rounds: int = 3) -> dict[tuple[str, int], dict[str, float]]:
    """{(network, batch size): {loss: ratio}}: the cost of an epoch of `fit` over that with cross entropy.

    Each round trains a fresh network for an epoch with every loss, on one thread, and divides by the round's
    own cross entropy; the rounds' median is returned. CPU seconds of this process, so that other programs'
    turns do not count.
    """
    images = data.to_float(pictures.images, pictures.name)
    zoo = [losses.ce(), *(losses.get(name) for name in losses.names())]

    def seconds(loss, network: str, batch: int) -> float:
        model = models.build(network, images, len(pictures.classes), 0)
        start = time.process_time()
        recipe = training.Recipe(epochs=1, batch_size=batch)
        training.fit(model, images, pictures.labels, loss, recipe, device="cpu", progress=False)
        return time.process_time() - start

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds(losses.ce(), *SETTINGS[0])  # libraries are loaded, kernels chosen
        found = {}
        for setting in SETTINGS:
            each = [[seconds(loss, *setting) for loss in zoo] for _ in range(rounds)]
            ratios = [statistics.median(row[k] / row[0] for row in each) for k in range(1, len(zoo))]
            found[setting] = dict(zip(losses.names(), ratios, strict=True))
    finally:
        torch.set_num_threads(threads)
    return found


def table(ratios: dict[tuple[str, int], dict[str, float]]) -> str:
    """The ratios as text, one loss a line and one setting a column, with a mark where the limit is passed."""
    rows = []
    for name in next(iter(ratios.values())):
        row = [column[name] for column in ratios.values()]
        rows.append([name, *row, "over" if max(row) > LIMIT else ""])
    heads = [f"{network} {batch}" for network, batch in ratios]
    from tabulate import tabulate

    return tabulate(rows, ["loss", *heads, ""], tablefmt="plain", floatfmt=".2f")


def head_seconds(pack: data.FeatureSet, several, rounds: int = 3) -> dict[str, float]:
    """CPU seconds of two epochs of a linear head for each loss, batch 256, on one thread, the medians of some
    rounds: {"one by one", "together", "apart": the largest difference between their weights}."""
    recipe = training.Recipe(epochs=2, batch_size=256)
    many = len(several)

    def fitted(way: str) -> tuple[float, torch.Tensor]:
        heads = [models.build("linear", pack.features, len(pack.classes), 0) for _ in several]
        rest, options = (pack.features, pack.labels), {"device": "cpu", "progress": False}
        start = time.process_time()
        if way == "together":
            training.fit_together(heads, *rest, several, [recipe] * many, **options)
        else:
            for head, loss in zip(heads, several, strict=True):
                training.fit(head, *rest, loss, recipe, **options)
        return time.process_time() - start, torch.stack([head.weight.detach() for head in heads])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fitted("together")  # libraries are loaded, kernels chosen
        found = {way: [fitted(way) for _ in range(rounds)] for way in ("one by one", "together")}
    finally:
        torch.set_num_threads(threads)
    seconds = {way: statistics.median(each for each, _ in runs) for way, runs in found.items()}
    apart = (found["together"][0][1] - found["one by one"][0][1]).abs().max()
    return seconds | {"apart": float(apart)}


def aum_seconds(samples: int = 50_000, classes: int = 10, batch: int = 128) -> dict:
    """CPU seconds of one epoch of updates: {"aum package": …, "ours": …, "equal": to the last bit}.

    The package as its users must call it, with a list of sample ids per batch. ModuleNotFoundError without it
    (it comes with the extra [test]).
    """
    from aum import AUMCalculator

    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=draw)
    targets = torch.randint(classes, (samples,), generator=draw)
    order = torch.randperm(samples, generator=draw).split(batch)
    batches = [(logits[part], targets[part], part) for part in order]
    ours = aum.AreaUnderMargin(samples)
    start = time.thread_time()
    for each in batches:
        ours.update(*each)
    middle = time.thread_time()
    with tempfile.TemporaryDirectory() as folder:
        theirs = AUMCalculator(folder)
        for scores, given, part in batches:
            theirs.update(scores, given, part.tolist())
    end = time.thread_time()
    expected = [theirs.sums[n] / theirs.counts[n] for n in range(samples)]
    equal = ours.values().tolist() == expected
    return {"aum package": end - middle, "ours": middle - start, "equal": equal}


def plain_training(
    model: nn.Module, pictures: data.ImageSet, recipe: training.Recipe, device: torch.device
) -> None:
    """Training as users write it: PIL images, torchvision transforms, DataLoader, Adam, cross entropy."""
    from PIL import Image
    from torchvision import transforms

    source = data.SETS[pictures.name]
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(source.mean, source.std)])

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(pictures.labels)

        def __getitem__(self, n):
            array = pictures.images[n].permute(1, 2, 0).squeeze(-1).numpy()
            return prepare(Image.fromarray(array)), int(pictures.labels[n])

    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    for _ in range(recipe.epochs):
        for images, targets in torch.utils.data.DataLoader(Pictures(), recipe.batch_size, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(images.to(device)), targets.to(device)).backward()
            optimizer.step()


def textbook(network: nn.Sequential) -> nn.Sequential:
    """A copy of the network as PyTorch's examples write it: ReLU before pooling, torch's usual layout and
    dropout."""
    layers = list(copy.deepcopy(network).to(memory_format=torch.contiguous_format))
    layers = [nn.Dropout(one.p) if isinstance(one, models.ByteDropout) else one for one in layers]
    for n, (one, other) in enumerate(itertools.pairwise(layers)):
        if isinstance(one, nn.MaxPool2d) and isinstance(other, nn.ReLU):
            layers[n : n + 2] = [other, one]
    return nn.Sequential(*layers)


def training_rates(
    pictures, test, network: str = "hs_mnist", epochs: int = 1, seeds: int = 3, device: str = "cpu"
) -> dict:
    """{way: {"rate": images/s, median over seeds, "accuracy": [one per seed]}} of training on the device.

    Ways: "plain loop", with the network as in a textbook, "fit", and "fit bf16" where the device has hardware
    for it: elsewhere that takes minutes. They take turns in this process,
    on the same threads, batch 128, a fresh network each time; fit's time holds the conversion to float and
    its bookkeeping, the plain loop's the way of every batch to the device.
    """
    place = training.pick_device(device)
    exam = data.to_float(test.images, test.name).to(place), test.labels.to(place)
    ways = [way for way in WAYS if _in_hardware(WAYS[way], place)]
    seconds, accuracy = {way: [] for way in ways}, {way: [] for way in ways}
    for seed in range(seeds):
        for way in ways:
            model = models.build(network, pictures.images, len(pictures.classes), seed)
            model = textbook(model) if way == "plain loop" else model
            torch.manual_seed(seed)
            start = time.perf_counter()
            if way == "plain loop":
                plain_training(model, pictures, training.Recipe(epochs), place)
            else:
                images = data.to_float(pictures.images, pictures.name)
                recipe = training.Recipe(epochs, precision=WAYS[way])
                training.fit(model, images, pictures.labels, losses.ce(), recipe, seed=seed, device=device)
            _wait(place)
            seconds[way].append(time.perf_counter() - start)
            accuracy[way].append(training.accuracy(model, *exam))
    seen = len(pictures.labels) * epochs
    return {way: {"rate": seen / statistics.median(seconds[way]), "accuracy": accuracy[way]} for way in ways}


def _in_hardware(precision: str, device: torch.device) -> bool:
    """Whether matrix products are faster in it than in float32."""
    return precision == "fp32" or gemm_rate(precision, device, 512) > gemm_rate("fp32", device, 512)


def flops_per_image(network: str, images: torch.Tensor, classes: int) -> float:
    """Floating-point operations of one training image, forward and backward, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    batch = torch.zeros(8, *images.shape[1:])
    model = models.build(network, images, classes, 0)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops() / len(batch)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gemm_rate(precision: str, device: torch.device, size: int = 2048) -> float:
    """Operations per second of a square matrix product on the device, the best of a few."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2 * size**3 / min(timer.blocked_autorange().times)


def training_table(
    pictures, test, epochs: int, network: str = "hs_mnist", seeds: int = 3, device: str = "cpu"
) -> str:
    """Rates, ratios to the plain loop, share of the matrix-product rate, accuracies: as text."""
    place = training.pick_device(device)
    rates = training_rates(pictures, test, network, epochs, seeds, device)
    work = flops_per_image(network, pictures.images, len(pictures.classes))
    rows = []
    for way, row in rates.items():
        speed = row["rate"] * work
        rows.append([
            way, f"{row['rate']:.0f}", f"{row['rate'] / rates['plain loop']['rate']:.2f}",
            f"{speed / 1e9:.1f}", f"{speed / gemm_rate(WAYS[way], place):.0%}",
            " ".join(f"{value:.4f}" for value in row["accuracy"]),
        ])  # fmt: skip
    from tabulate import tabulate

    heads = ["way", "images/s", "ratio", "GFLOP/s", "of GEMM", "accuracy per seed"]
    return tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=["left", *["right"] * 4])
