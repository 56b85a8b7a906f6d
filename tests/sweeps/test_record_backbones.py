"""scripts/record_backbones.py: what it makes of published probabilities."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "scripts/record_backbones.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("record_backbones", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_probabilities_become_a_row_for_each_network_and_set_of_labels(script, tmp_path):
    true = np.arange(200) % 10
    given = np.where(np.arange(200) < 30, (true + 1) % 10, true)
    right = np.full((200, 10), 0.01, dtype=np.float16) + 0.9 * np.eye(10, dtype=np.float16)[true]
    arrays = {}
    for who in script.WHO:
        arrays |= {f"{who}_given": given.astype(np.int8), f"{who}_true": true.astype(np.int8)}
        arrays |= {f"{who}_{name}": right for name in script.NETWORKS}
    np.savez(tmp_path / "file.npz", **arrays)
    rows = list(script.published({}, tmp_path / "file.npz"))
    assert [(row["backbone"], row["noise"]) for row in rows] == [
        (name, f"human:cifar10n-{who}") for who in script.WHO for name in script.NETWORKS
    ]
    # The network knows every true label, so whoever flags its disagreements finds the 30 and no other.
    first = rows[0]
    assert (first["f1_disagreement"], first["recall_disagreement"], first["images"]) == (1, 1, 200)
    assert (first["realised_rate"], first["heldout_accuracy"], first["given_accuracy"]) == (0.15, 1, 0.85)
    assert first["estimated_rate"] == pytest.approx(0.15)
    done = {script._key(row) for row in rows[1:]}
    assert [row["backbone"] for row in script.published(done, tmp_path / "file.npz")] == ["resnet18"]
