"""find on frozen features: of the same pictures that find reads, kept on disk, and not needed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from robust_lib import __main__, data
from robust_lib.find import backbones, listing, neighbours, pages, reading, search
from tests.conftest import SMALL
from tests.find.test_reading import save


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small pictures, no figure: it is slow to draw."""
    monkeypatch.setattr(backbones, "SIZE", 32)
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {})


def pets(root, count=20):
    for n in range(count):
        save(root / ("cat" if n % 2 else "dog") / f"{n:02}.png", n)
    return root


def run(source, out, **options):
    return search.find(source, out, **{"device": "cpu", "epochs": 2, "progress": False} | options)


def seen(own, weights):
    return backbones.Backbone(SMALL, weights).see(own, None, "cpu", False).features


def test_planted_errors_of_photographs_come_out_on_top(tmp_path, monkeypatch):
    """Birds and trucks at 64 px, 12 of 120 labels flipped, by the default backbone."""
    monkeypatch.setattr(backbones, "SIZE", 64)
    pack = data.load("cifar10", "train")
    chosen = torch.cat([(pack.labels == k).nonzero()[:60, 0] for k in (2, 9)])
    labels = (pack.labels[chosen] == 9).long()
    wrong = np.arange(120) % 10 == 0
    images = pack.images[chosen].permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "some.npz", images=images, labels=np.where(wrong, 1 - labels, labels))
    found = run(tmp_path / "some.npz", tmp_path / "out", epochs=None)
    assert wrong[found.ranking[:12]].mean() >= 0.75
    assert found.data.features.shape == (120, 1280)
    assert found.data.images.shape == (120, 3, 32, 32)
    settings = json.loads((tmp_path / "out" / "run.json").read_text())
    assert settings["backbone"] == "tf_efficientnet_lite0 at 64 px"
    assert settings["network"] == "linear"


def test_features_are_of_unit_length_and_centred(tmp_path, weights):
    """Their distances are those of the directions, but for one factor: 1 over the deviation."""
    own = reading.read(pets(tmp_path / "pets"))
    found = seen(own, weights)
    raw = data.extract(own.files, SMALL, weights=weights, size=32, progress=False).double()
    directions = raw / raw.norm(dim=1, keepdim=True)
    ratio = torch.pdist(found.double()) / torch.pdist(directions)
    deviation = directions.var(0, correction=0).mean().sqrt()
    torch.testing.assert_close(ratio, (1 / deviation).expand_as(ratio), rtol=1e-3, atol=0)
    torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1]), rtol=0, atol=1e-3)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_files_and_arrays_of_every_kind_look_the_same(tmp_path, weights, mode):
    """A file's features are those of the picture that find shows of it."""
    rng = np.random.default_rng(0)
    for n in range(12):
        if mode == "I;16":
            picture = Image.fromarray(rng.integers(0, 40_000, (32, 32), dtype=np.uint16))
        else:
            channels = Image.fromarray(rng.integers(0, 256, (32, 32, 4), dtype=np.uint8))
            picture = channels.convert(mode)
        file = tmp_path / "pets" / ("cat" if n % 2 else "dog") / f"{n:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
    own = reading.read(tmp_path / "pets")
    shown = np.stack([np.asarray(own.picture(n)) for n in range(12)])
    np.savez(tmp_path / "same.npz", images=shown, labels=own.labels)
    same = reading.read(tmp_path / "same.npz")
    torch.testing.assert_close(seen(own, weights), seen(same, weights), rtol=0, atol=2e-2)


def test_damaged_pictures_are_named_and_left_out(tmp_path, weights):
    root = pets(tmp_path / "pets")
    (root / "cat" / "cut.png").write_bytes((root / "cat" / "01.png").read_bytes()[:60])
    (root / "cat" / "twin.png").write_bytes((root / "cat" / "01.png").read_bytes())
    found = run(root, tmp_path / "out", backbone=SMALL, weights=weights)
    assert [path for path, _ in found.data.problems] == ["cat/cut.png", "cat/twin.png"]
    assert len(found.data.features) == 20


def test_a_file_that_is_damaged_meanwhile_is_named(tmp_path, weights):
    own = reading.read(pets(tmp_path / "pets"))
    own.files[3].write_bytes(b"")
    with pytest.raises(ValueError, match=f"{own.files[3].name} cannot be read any more: no image"):
        seen(own, weights)


def test_what_was_seen_is_kept(tmp_path, weights, monkeypatch, capsys):
    root, out, given = pets(tmp_path / "pets"), tmp_path / "out", {"backbone": SMALL, "weights": weights}
    first = run(root, out, **given)
    said = capsys.readouterr().out
    assert "20 pictures to go through test_resnet at 32 px, about" in said
    assert "stored" not in said
    monkeypatch.setattr(backbones.Backbone, "seconds", lambda *_: 1)
    monkeypatch.setattr("robust_lib.data.features._computed", lambda *_: pytest.fail("seen again"))
    monkeypatch.setattr(backbones, "load", lambda *given: (backbones.Backbone(*given), ""))
    again = run(root, out, **given)
    said = capsys.readouterr().out
    assert "about 1 s, less what an earlier run has stored" in said
    assert "fold 1 of 5" not in said
    np.testing.assert_array_equal(first.probs, again.probs)


def test_a_run_that_stopped_while_it_looked_goes_on(tmp_path, weights, monkeypatch):
    """Even if run.json was lost."""
    root, out, given = pets(tmp_path / "pets"), tmp_path / "out", {"backbone": SMALL, "weights": weights}

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search, "_job", stop)
        with pytest.raises(KeyboardInterrupt):
            run(root, out, **given)
    assert json.loads((out / "run.json").read_text())["status"] == "unfinished"
    assert list((out / "parts" / "features").glob("*/*.npy"))
    (out / "run.json").write_bytes(b"\0\0")
    assert len(run(root, out, **given).ranking) == 20


def test_the_other_lists(tmp_path, weights):
    """One picture unlike all others, and one that is there twice, with two labels."""
    root, rng = tmp_path / "pets", np.random.default_rng(0)
    for n in range(20):
        noisy = (100 + 40 * (n % 2) + rng.integers(0, 30, (32, 32, 3))).astype(np.uint8)
        Image.fromarray(noisy).save(save(root / ("cat" if n % 2 else "dog") / f"{n:02}.png", n))
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[::4] = 255
    Image.fromarray(stripes).save(root / "cat" / "odd.png")
    (root / "dog" / "copy.png").write_bytes((root / "cat" / "01.png").read_bytes())
    found = run(root, tmp_path / "out", backbone=SMALL, weights=weights)
    outliers = pd.read_csv(tmp_path / "out" / "outliers.csv")
    assert list(outliers) == ["rank", "path", "index", "given", "distance"]
    assert outliers.path[0] == "cat/odd.png"
    assert outliers["rank"].tolist() == list(range(1, 23))
    assert (outliers.distance.diff().dropna() <= 0).all()
    assert [found.data.paths[n] for n in found.neighbours.ranking] == outliers.path.tolist()
    twins = pd.read_csv(tmp_path / "out" / "duplicates.csv")
    assert twins.iloc[0].tolist()[:5] == ["cat/01.png", "dog/copy.png", "cat", "dog", True]
    assert twins.distance[0] < 1e-5
    said = "\n".join(found.summary)
    pairs = listing.many(len(twins), "pair")
    assert f"near duplicates: {pairs}, {twins.conflict.sum()} of them with different labels" in said
    run(root, tmp_path / "out", backbone="none", detector="aum", epochs=1)
    assert not (tmp_path / "out" / "outliers.csv").exists()
    assert not (tmp_path / "out" / "duplicates.csv").exists()


def test_features_of_ones_own_have_the_other_lists_too(tmp_path):
    values = np.random.default_rng(0).normal(size=(40, 6))
    values[5] = 30
    np.savez(tmp_path / "f.npz", features=values, labels=np.arange(40) % 2)
    found = run(tmp_path / "f.npz", tmp_path / "out", detector="cl")
    assert found.neighbours.ranking[0] == 5
    np.testing.assert_allclose(
        found.neighbours.distance,
        neighbours.search(found.data.features.numpy(), found.data.labels).distance,
    )
    assert (tmp_path / "out" / "outliers.csv").exists()


NO_TIMM = ModuleNotFoundError("No module named 'timm'", name="timm")


@pytest.mark.parametrize("error", [NO_TIMM, data.DataError("the weights are not here")])
def test_without_a_backbone_networks_are_trained_from_scratch(tmp_path, monkeypatch, error):
    def cannot(*_, **__):
        raise error

    monkeypatch.setattr(data, "extract", cannot)
    found = run(pets(tmp_path / "pets"), tmp_path / "out", epochs=1)
    why = "timm is not installed here" if "timm" in str(error) else "the weights are not here"
    assert f"networks are trained from scratch, which ranks worse: {why}" in found.summary
    assert json.loads((tmp_path / "out" / "run.json").read_text())["backbone"] == "none"
    with pytest.raises(type(error)):
        run(tmp_path / "pets", tmp_path / "out", backbone=data.BACKBONE)
    command = ["find", str(tmp_path / "pets"), "--backbone", data.BACKBONE, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(__main__.main, command)
    assert done.exit_code == 1
    expected = "timm is not installed here: pip install timm" if "timm" in str(error) else str(error)
    assert done.output == f"Error: {expected}\n"


def test_what_does_not_go_together_is_said(tmp_path, weights):
    root = pets(tmp_path / "pets")
    with pytest.raises(ValueError, match="weights must be left out with backbone 'none', got .*small"):
        run(root, tmp_path / "out", backbone="none", weights=weights)
    with pytest.raises(ValueError, match="backbone must be a model of timm; got 'tf_efficient'"):
        run(root, tmp_path / "out", backbone="tf_efficient")
    np.savez(tmp_path / "f.npz", features=np.eye(20), labels=np.arange(20) % 2)
    with pytest.raises(ValueError, match="backbone must be left out where features .*, got test_resnet"):
        run(tmp_path / "f.npz", tmp_path / "out", backbone=SMALL, weights=weights)
    assert not (tmp_path / "out").exists()
