"""The bench command's arithmetic and its text; nothing here depends on how fast the machine is."""

import torch
from click.testing import CliRunner

from robust_lib import bench, losses
from robust_lib.__main__ import main


def test_ratios_cover_the_registry_with_the_right_limits():
    threads = torch.get_num_threads()
    ratios = bench.loss_ratios(batch=8, classes=3, rounds=1)
    assert list(ratios) == losses.names()
    assert all(ratio > 0 for ratio, _ in ratios.values())
    assert {name: ratios[name][1] for name in ("gce", "nce", "peer")} == {"gce": 1.5, "nce": 3.0, "peer": 3.0}
    assert torch.get_num_threads() == threads


def test_the_table_marks_what_is_over_its_limit():
    text = bench.table({"fast": (1.2, 1.5), "slow": (3.25, 3.0)})
    assert text.splitlines()[1] == "fast               1.20    1.5"
    assert text.splitlines()[2] == "slow               3.25    3.0  over"


def test_the_command_prints_one_line_a_loss(monkeypatch):
    monkeypatch.setattr(bench, "loss_ratios", lambda: {"gce": (1.0, 1.5)})
    result = CliRunner().invoke(main, ["bench", "losses"])
    assert result.exit_code == 0
    assert "gce                1.00    1.5" in result.output
