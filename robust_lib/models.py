"""The networks: the papers' own, and a small one for the quick profile; (N, C, H, W) -> logits (N, K)."""

from collections.abc import Callable

import torch
from torch import nn


def hs_mnist(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """The MNIST network of HS A.1: two conv, two fully connected layers, dropout; 1,199,882 parameters.

    HS gives the layer types and "approximately 1.2 million" parameters; widths and dropout rates are those
    of PyTorch's MNIST example, which has exactly these layers and this count.
    """
    inner = (size - 4) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * inner**2, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def small_cnn(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """Two strided conv layers and a hidden layer of 128, about 0.2 M parameters: ours, for the quick profile.

    Strides in place of pooling make it twice as fast on a CPU (about 10,000 training images/s a core).
    """
    inner = (size + 3) // 4
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * inner**2, 128),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


MODELS: dict[str, Callable[..., nn.Module]] = {"hs_mnist": hs_mnist, "small_cnn": small_cnn}


def build(name: str, images: torch.Tensor, classes: int, seed: int) -> nn.Module:
    """The named network with fresh weights for square images (N, C, S, S); same seed, same weights.

    Leaves the global random state as it was. Raises ValueError for an unknown name or oblong images.
    """
    if name not in MODELS:
        raise ValueError(f"no model is called {name!r}; there are {', '.join(MODELS)}")
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be (N, C, S, S), got {tuple(images.shape)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name](classes, channels=images.shape[1], size=images.shape[2])
