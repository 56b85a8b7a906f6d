"""The command line: what it offers, how fast it starts, and what it says where something is missing."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from robust_lib import __main__ as command_line
from robust_lib.course import runner

SWEEP = ["sweep", "hs-table1-mnist", "--small"]


def test_without_a_command_it_prints_help():
    result = CliRunner().invoke(command_line.main)
    assert result.exit_code == 0
    assert "course" in result.output


def test_help_offers_the_profiles_that_the_runner_knows():
    result = CliRunner().invoke(command_line.main, ["course", "--help"])
    assert f"[{'|'.join(runner.CELL_SECONDS)}]" in result.output


def test_command_line_starts_without_heavy_imports():
    heavy = "{'torch', 'papermill', 'nbconvert', 'matplotlib', 'pandas', 'scipy', 'sklearn'}"
    script = f"import sys, robust_lib.__main__; sys.exit(str(sorted({heavy} & set(sys.modules))))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=runner.ROOT)
    assert result.stderr.strip() == "[]"


def forget_ours():
    """Take the modules of robust_lib out of sys.modules; returns them."""
    names = [name for name in sys.modules if name.partition(".")[0] == "robust_lib"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def without(monkeypatch):
    """A function that runs the command line without a package, and before any module of ours is imported."""
    ours = forget_ours()

    def run(package, *arguments):
        monkeypatch.setitem(sys.modules, package, None)  # importing it fails as if it were not installed
        return CliRunner().invoke(command_line.main, arguments)

    yield run
    forget_ours()
    sys.modules.update(ours)


@pytest.mark.parametrize(
    ("module", "arguments", "package"),
    [
        ("papermill", ["course"], "papermill"),
        ("PIL", ["find", "."], "pillow"),
        ("distributed", [*SWEEP, "--executor", "dask:no", "--results", "."], "distributed"),
    ],
)
def test_a_missing_package_is_one_line(without, tmp_path, monkeypatch, module, arguments, package):
    monkeypatch.chdir(tmp_path)
    result = without(module, *arguments)
    assert result.exit_code == 1
    assert f"Error: {package} is not installed here: pip install {package}" in result.output.splitlines()


def test_data_that_cannot_be_had_are_one_line(monkeypatch):
    from robust_lib import data

    def load(*arguments, **options):
        raise data.DataError("mnist cannot be had: no network")

    monkeypatch.setattr(data, "load", load)
    for command in (["data", "mnist"], ["bench", "training", "--size", "full"]):
        result = CliRunner().invoke(command_line.main, command)
        assert result.exit_code == 1
        assert result.output.endswith("Error: mnist cannot be had: no network\n")
        assert isinstance(result.exception, SystemExit)


def test_the_gallery_needs_no_papermill_and_writes_the_committed_tables(without, tmp_path, monkeypatch):
    about = {"profile": "quick", "seed": 0, "device": "CPU", "torch": "2"}
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"alt": f"alt of {name}"} | about))
    monkeypatch.setattr(command_line, "_figures", lambda: tmp_path)
    result = without("papermill", "gallery")
    assert (result.exception, result.output) == (None, "")
    for table in ("losses.md", "errata.md", "detectors.md"):
        assert (tmp_path / table).read_text() == (runner.FIGURES / table).read_text()
    page = (tmp_path / "README.md").read_text()
    assert page.index("![alt of a](a.png)") < page.index("![alt of b](b.png)")


def test_a_part_missing_from_an_installed_package_is_a_fault_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "robust_lib.gallery", None)
    monkeypatch.delattr("robust_lib.gallery", raising=False)
    result = CliRunner().invoke(command_line.main, ["gallery"])
    assert isinstance(result.exception, ImportError)


@pytest.mark.parametrize("command", ["gallery", "figures"])
def test_without_a_clone_there_are_no_figures_to_write(tmp_path, monkeypatch, command):
    monkeypatch.setattr(command_line, "__file__", str(tmp_path / "robust_lib/__main__.py"))
    result = CliRunner().invoke(command_line.main, [command])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "run this from a clone" in result.output
    assert list(tmp_path.iterdir()) == []
