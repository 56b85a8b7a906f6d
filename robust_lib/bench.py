"""How fast the library is: losses against torch's cross entropy, fit against a plain DataLoader loop."""

import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from robust_lib import data, losses, models, training

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


def plain_epoch(model: nn.Module, pictures: data.ImageSet, recipe: training.Recipe) -> None:
    """One epoch as users write it: PIL images, torchvision transforms, DataLoader, Adam, cross entropy."""
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
    for images, targets in torch.utils.data.DataLoader(Pictures(), recipe.batch_size, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(model(images), targets).backward()
        optimizer.step()


def training_rates(pictures: data.ImageSet, network: str = "hs_mnist", rounds: int = 3) -> dict:
    """Images per second of one epoch on the CPU, batch 128: {"fit": median, "plain": median, "ratio": ...}.

    Both run in turns in this process, on the same threads, with a fresh network each time; fit's time holds
    the conversion to float and its bookkeeping (accuracy, collapse check).
    """
    recipe = training.Recipe(epochs=1)
    seconds: dict[str, list[float]] = {"fit": [], "plain": []}
    for round_ in range(rounds):
        for way, took in seconds.items():
            model = models.build(network, pictures.images, len(pictures.classes), seed=round_)
            start = time.perf_counter()
            if way == "plain":
                plain_epoch(model, pictures, recipe)
            else:
                images = data.to_float(pictures.images, pictures.name)
                training.fit(model, images, pictures.labels, losses.ce(), recipe, device="cpu")
            took.append(time.perf_counter() - start)
    rates = {way: len(pictures.labels) / statistics.median(took) for way, took in seconds.items()}
    return rates | {"ratio": rates["fit"] / rates["plain"]}
