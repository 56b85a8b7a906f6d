"""The house: who may import whom, as pyproject.toml says, and what a door costs."""

import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports


def test_packages_import_downwards_and_through_doors(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[1])
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out


def test_doors_bring_nothing_heavy_but_torch():
    """On Colab papermill is not there; elsewhere each of these takes a good part of a second."""
    heavy = {"seaborn", "matplotlib", "pandas", "scipy", "sklearn", "cleanlab", "torchvision"}
    heavy |= {"papermill", "tabulate"}
    doors = "losses, data, training, detection, sweeps, papers, find, course"
    code = f"import sys\nfrom robust_lib import {doors}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
