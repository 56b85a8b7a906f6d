"""The networks: the papers' own and small ones, (N, C, H, W) -> logits (N, K); heads, (N, D) -> (N, K)."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from robust_lib.data import DataError


class ByteDropout(nn.Dropout):
    """nn.Dropout, with a mask from random bytes on a CPU, where torch's generator takes a tenth of a step.

    One 64-bit draw serves eight numbers. p must be a multiple of 1/256. Elsewhere, and for tensors with gaps
    in memory, it is nn.Dropout itself.
    """

    def __init__(self, p: float):
        if not (256 * p).is_integer() or not 0 <= p < 1:
            raise ValueError(f"p must be a multiple of 1/256 in [0, 1), got {p!r}")
        super().__init__(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layouts = (torch.contiguous_format, torch.channels_last)[: 1 + (x.ndim == 4)]
        dense = any(x.is_contiguous(memory_format=layout) for layout in layouts)
        if not self.training or x.device.type != "cpu" or not dense:
            return super().forward(x)
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8).as_strided(x.shape, x.stride()) >= round(256 * self.p)
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))


def hs_mnist(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """The MNIST network of HS A.1: two conv, two fully connected layers, dropout; 1,199,882 parameters.

    HS gives the layer types and "approximately 1.2 million" parameters; widths and dropout rates are those
    of PyTorch's MNIST example, which has exactly these layers and this count. The example pools after the
    second ReLU. Pooling before it gives the same, and with the channels last in memory a CPU trains faster.
    """
    inner = (size - 4) // 2
    network = nn.Sequential(
        nn.Conv2d(channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        ByteDropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * inner**2, 128),
        nn.ReLU(),
        ByteDropout(0.5),
        nn.Linear(128, classes),
    )
    return network.to(memory_format=torch.channels_last)


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


def cv_cnn4(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """CV's 4-layer CNN for MNIST, batch normalised; 422,090 parameters. For the widths see cv_cnn8."""
    return _batch_normalised([[32], [64]], 128, classes, channels, size)


def cv_cnn8(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Sequential:
    """CV's 8-layer CNN for CIFAR-10, batch normalised: six conv, two linear layers; 1,639,794 parameters.

    CV App. B gives the number of layers and follows the experiments of Ma et al. (2020): widths and initial
    weights are those of their public code (HanxunH/Active-Passive-Losses).
    """
    return _batch_normalised([[64, 64], [128, 128], [196, 196]], 256, classes, channels, size)


def _batch_normalised(blocks: list[list[int]], hidden: int, classes: int, channels: int, size: int):
    """Blocks of 3x3 convolutions, each halving the image, then a hidden layer; weights by He and Glorot."""
    layers: list[nn.Module] = []
    for widths in blocks:
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    inner = size // 2 ** len(blocks)
    layers += [nn.Flatten(), nn.Linear(channels * inner**2, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(hidden, classes))
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return network


def resnet34(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Module:
    """ResNet-34 from scratch with HS's stem for small images; 21,282,122 parameters for 10 classes of RGB.

    The first convolution is 3x3 with stride 1 instead of 7x7 with stride 2, and no max-pooling follows it
    (HS §5). CV, for CIFAR-100, says "a ResNet-34" only. Any size will do: the network ends in an average.
    """
    from torchvision.models import resnet34 as torchvision_resnet34

    network = torchvision_resnet34(num_classes=classes)
    network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
    network.maxpool = nn.Identity()
    return network


def resnet34_imagenet(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Module:
    """HS's CIFAR network: resnet34 with ImageNet weights in all layers but the first and the last.

    Raises DataError where the weights cannot be had. A run with resnet34 instead is not HS's setting.
    """
    network = resnet34(classes, channels, size)
    fresh = {
        name: value for name, value in network.state_dict().items() if name.startswith(("conv1.", "fc."))
    }
    network.load_state_dict(imagenet_weights() | fresh)
    return network


def imagenet_weights() -> dict[str, torch.Tensor]:
    """The state of torchvision's ImageNet ResNet-34 (IMAGENET1K_V1), name -> tensor.

    From the file of that name in $ROBUST_DATA or in torch's own cache, or else downloaded into that cache.
    Raises DataError when neither works.
    """
    from torchvision.models import ResNet34_Weights

    url = ResNet34_Weights.IMAGENET1K_V1.url
    file = url.rpartition("/")[2]
    folder = os.environ.get("ROBUST_DATA")
    folder = folder if folder and (Path(folder) / file).exists() else None
    options = {"map_location": "cpu", "check_hash": True, "weights_only": True}
    try:
        return torch.hub.load_state_dict_from_url(url, folder, **options)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        where = folder or Path(torch.hub.get_dir()) / "checkpoints"
        raise DataError(
            f"the ImageNet weights of ResNet-34 cannot be had ({where}, {url}: {error}). Put {file} into the "
            "folder that ROBUST_DATA names. 'resnet34' is the same network from scratch, not HS's setting"
        ) from None


MODELS: dict[str, Callable[..., nn.Module]] = {
    "hs_mnist": hs_mnist,
    "small_cnn": small_cnn,
    "cv_cnn4": cv_cnn4,
    "cv_cnn8": cv_cnn8,
    "resnet34": resnet34,
    "resnet34_imagenet": resnet34_imagenet,
}


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Inside, fresh weights come from the seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed every GPU
        yield


def build(name: str, images: torch.Tensor, classes: int, seed: int) -> nn.Module:
    """The named network of MODELS for square images (N, C, S, S), or of HEADS for features (N, D).

    The same seed gives the same fresh weights; the global random state is left as it was. Raises ValueError
    for a name that does not go with the images, or oblong images.
    """
    known = HEADS if images.ndim == 2 else MODELS
    if name not in known:
        what = "features" if images.ndim == 2 else "images"
        raise ValueError(f"no model for {what} is called {name!r}; there are {', '.join(known)}")
    if images.ndim == 2:
        return HEADS[name](images.shape[1], classes, seed)
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be (N, C, S, S), got {tuple(images.shape)}")
    with seeded_weights(seed):
        return MODELS[name](classes, channels=images.shape[1], size=images.shape[2])


def stride_cnn(classes: int = 10, channels: int = 3, size: int = 64) -> nn.Sequential:
    """Strided, batch-normalised convolutions down to 8 x 8 or less, then a hidden layer of 128: ours.

    Each stage halves the image and doubles the width, from 32; all but the first have a second convolution.
    0.58 M parameters for 32 pixels a side and 10 classes, 1.33 M for 64.
    """
    layers: list[nn.Module] = []
    width, inner = 32, size
    while not layers or inner > 8:
        for stride in (2, 1) if layers else (2,):
            kernel = 3 if layers else 5
            layers += [
                nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        width, inner = 2 * width, (inner + 1) // 2
    layers += [nn.Flatten(), nn.Linear(channels * inner**2, 128), nn.BatchNorm1d(128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, classes))


MODELS["stride_cnn"] = stride_cnn


class Residual(nn.Module):
    """x -> x + part(x); the part keeps the shape."""

    def __init__(self, part: nn.Module):
        super().__init__()
        self.part = part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.part(x)


class FastResnet(nn.Sequential):
    """Its layers one after the other; the logits are divided by 9, or a large learning rate would not do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 9


def fast_resnet(classes: int = 10, channels: int = 3, size: int = 32) -> FastResnet:
    """Seven batch-normalised convolutions, three of them residual; 1,161,306 parameters for RGB, 10 classes.

    Our reading of the design of Jordan's cifar10-airbench (arXiv 2404.00498): a 2x2 convolution with 24
    outputs, three blocks of two 3x3 convolutions, of which the first halves the image by pooling before it is
    normalised, GELU, the largest value of each map at the end, logits divided by 9. Ours are the widths 64,
    128, 256 and the sum around every second convolution; whitening and the paper's other means are left out.
    The image must have at least 9 pixels a side.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, 24, 2, bias=False), nn.BatchNorm2d(24), nn.GELU()]
    before = 24
    for width in (64, 128, 256):
        first, second = (nn.Conv2d(w, width, 3, padding=1, bias=False) for w in (before, width))
        layers += [first, nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.GELU()]
        layers.append(Residual(nn.Sequential(second, nn.BatchNorm2d(width), nn.GELU())))
        before = width
    network = FastResnet(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(before, classes))
    return network.to(memory_format=torch.channels_last)  # a CPU trains a fifth faster


MODELS["fast_resnet"] = fast_resnet


def mlp(features: int, classes: int, seed: int, hidden: int = 256) -> nn.Sequential:
    """A head on features (N, D) -> logits (N, K): one hidden layer, dropout. Ours. Seeds as in build."""
    with seeded_weights(seed):
        return nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, classes)
        )


def linear(features: int, classes: int, seed: int) -> nn.Linear:
    """A linear head on features (N, D) -> logits (N, K). Seeds as in build."""
    with seeded_weights(seed):
        return nn.Linear(features, classes)


HEADS: dict[str, Callable[[int, int, int], nn.Module]] = {"linear": linear, "mlp": mlp}
