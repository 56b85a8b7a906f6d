"""How fast the library is: losses against torch's cross entropy, fit against a plain DataLoader loop."""

import copy
import itertools
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn

from robust_lib import aum, data, losses, models, training

WAYS = {"plain loop": "fp32", "fit": "fp32", "fit bf16": "bf16"}  # and the precision of each
LIMITS = {"p": 1.5, "margin": 1.5, "row": 3.0, "batch": 3.0}  # by what the loss sees (algebra.SIGHT)


def loss_ratios(batch: int = 4096, classes: int = 100, rounds: int = 9) -> dict:
    """{name: (ratio, limit)}: time of forward + backward over F.cross_entropy's, in float32.

    Each round runs a loss and cross entropy seven times each and takes the ratio of the two medians of CPU
    seconds (of this thread, so that other programs' turns do not count); the rounds' median is returned.
    """
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, classes, generator=draw).requires_grad_()
    targets = torch.randint(classes, (batch,), generator=draw)

    def median(loss) -> float:
        seconds = []
        for _ in range(7):
            logits.grad = None
            start = time.thread_time()
            loss(logits, targets).backward()
            seconds.append(time.thread_time() - start)
        return statistics.median(seconds[2:])  # the first two settle caches and the allocator

    # One large block, freed: from here on glibc keeps freed memory, as in a process that trains a network.
    # Without it page faults decide the ratios, and they vary from run to run.
    torch.empty(7_500_000)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        zoo = {name: losses.get(name) for name in losses.names()}
        ratios = {name: [] for name in zoo}
        for _ in range(rounds):
            for name, loss in zoo.items():
                ratios[name].append(median(loss) / median(F.cross_entropy))
    finally:
        torch.set_num_threads(threads)
    return {name: (statistics.median(ratios[name]), LIMITS[loss.sees]) for name, loss in zoo.items()}


def table(ratios: dict) -> str:
    """The ratios as text, one loss a line, with a mark where a limit is passed."""
    lines = [f"{'loss':16} {'ratio':>6} {'limit':>6}"]
    for name, (ratio, limit) in ratios.items():
        lines.append(f"{name:16} {ratio:6.2f} {limit:6.1f}{'  over' if ratio > limit else ''}")
    return "\n".join(lines)


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


def plain_training(model: nn.Module, pictures: data.ImageSet, recipe: training.Recipe) -> None:
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

    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    model.train()
    for _ in range(recipe.epochs):
        for images, targets in torch.utils.data.DataLoader(Pictures(), recipe.batch_size, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(images), targets).backward()
            optimizer.step()


def textbook(network: nn.Sequential) -> nn.Sequential:
    """A copy of the network as PyTorch's examples write it: ReLU before pooling, torch's usual layout."""
    layers = list(copy.deepcopy(network).to(memory_format=torch.contiguous_format))
    for n, (one, other) in enumerate(itertools.pairwise(layers)):
        if isinstance(one, nn.MaxPool2d) and isinstance(other, nn.ReLU):
            layers[n : n + 2] = [other, one]
    return nn.Sequential(*layers)


def training_rates(pictures, test, network: str = "hs_mnist", epochs: int = 1, seeds: int = 3) -> dict:
    """{way: {"rate": images/s, median over seeds, "accuracy": [one per seed]}} of training on the CPU.

    Ways: "plain loop", with the network as in a textbook, "fit", "fit bf16". They take turns in this process,
    on the same threads, batch 128, a fresh network each time; fit's time holds the conversion to float and
    its bookkeeping.
    """
    exam = data.to_float(test.images, test.name), test.labels
    seconds, accuracy = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            model = models.build(network, pictures.images, len(pictures.classes), seed)
            model = textbook(model) if way == "plain loop" else model
            torch.manual_seed(seed)
            start = time.perf_counter()
            if way == "plain loop":
                plain_training(model, pictures, training.Recipe(epochs))
            else:
                images = data.to_float(pictures.images, pictures.name)
                recipe = training.Recipe(epochs, precision=WAYS[way])
                training.fit(model, images, pictures.labels, losses.ce(), recipe, seed=seed, device="cpu")
            seconds[way].append(time.perf_counter() - start)
            accuracy[way].append(training.accuracy(model, *exam))
    seen = len(pictures.labels) * epochs
    return {way: {"rate": seen / statistics.median(seconds[way]), "accuracy": accuracy[way]} for way in WAYS}


def flops_per_image(network: str, images: torch.Tensor, classes: int) -> float:
    """Floating-point operations of one training image, forward and backward, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    batch = torch.zeros(8, *images.shape[1:])
    model = models.build(network, images, classes, 0)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops() / len(batch)


def gemm_rate(precision: str, size: int = 2048, rounds: int = 5) -> float:
    """Operations per second of a square matrix product on the CPU, the best of a few rounds."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def training_table(pictures, test, epochs: int, network: str = "hs_mnist") -> str:
    """Rates, ratios to the plain loop, share of the matrix-product rate, accuracies: as text."""
    rates = training_rates(pictures, test, network, epochs)
    work = flops_per_image(network, pictures.images, len(pictures.classes))
    base = rates["plain loop"]["rate"]
    lines = [f"{'way':12} {'images/s':>9} {'ratio':>6} {'GFLOP/s':>8} {'of GEMM':>8}  accuracy per seed"]
    for way, row in rates.items():
        speed = row["rate"] * work
        share = speed / gemm_rate(WAYS[way])
        lines.append(
            f"{way:12} {row['rate']:9.0f} {row['rate'] / base:6.2f} {speed / 1e9:8.1f} "
            f"{share:8.0%}  {' '.join(f'{value:.4f}' for value in row['accuracy'])}"
        )
    return "\n".join(lines)
