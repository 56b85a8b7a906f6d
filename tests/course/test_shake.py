"""Chapters under other seeds and kernels: what held in how many runs."""

import contextlib
import io
import os
from unittest import mock

import nbformat
import pytest
from click.testing import CliRunner

from robust_lib.__main__ import main
from robust_lib.course import notebooks, runner, shake
from tests.course.test_runner import notebook as any_notebook

EXECUTE = runner.execute
PARAMETERS = 'PROFILE = "quick"\nSEED = 0'


def notebook(*middle, parameters=PARAMETERS, last="claims.report()"):
    return any_notebook(*middle, parameters=parameters, last=last)


def execute_here(source, target, values, cell_seconds, **variables):
    """What runner.execute does, without a kernel."""
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    names = {}
    try:
        with mock.patch.dict(os.environ, environment, clear=True), contextlib.redirect_stdout(io.StringIO()):
            for cell in notebooks.code_cells(notebooks.read(source)):
                exec(cell.source, names)
                if "parameters" in cell.metadata.get("tags", []):
                    names |= values
    except Exception as error:
        raise notebooks.NotebookError(f"a cell raised {error!r}") from None
    if "claims.report()" not in cell.source:
        raise notebooks.NotebookError("no claims")


LAST = """
import os
kernels = os.environ.get("ATEN_CPU_CAPABILITY")
claims.at_most("small seed", SEED, 1)
claims.at_least("kernels", 5 if kernels == "default" else 7, 3)
claims.true("rich only", kernels is None)
claims.report()
"""


@pytest.fixture
def shaken(tmp_path, monkeypatch):
    """A function that runs the command on one notebook and gives its result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")  # of the caller: "rich" must not be bound by it
    monkeypatch.setattr(runner, "execute", execute_here)

    folder = tmp_path / "notebooks"  # where a kernel runs is not where the command does
    folder.mkdir()

    def run(content, *arguments):
        nbformat.write(content, folder / "07_try.ipynb")
        monkeypatch.setattr(runner, "NOTEBOOKS", runner.discover(folder))
        return CliRunner().invoke(main, ["course", "--shake", *arguments])

    return run


def test_every_claim_is_counted_over_seeds_and_kernels(shaken, monkeypatch):
    result = shaken(notebook(last=LAST), "--seeds", "3")
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == "07_try, SEED 0, rich: 4/4 claims"
    lines = [line.strip() for line in result.output.partition("\n\n")[2].splitlines()]
    assert lines[1] == "6/6  it ran: True, required true"
    assert lines[2] == "4/6  small seed: 0 … 2, required at most 1  <-- SEED 2, rich, SEED 2, plain"
    assert lines[3] == "6/6  kernels: 5 … 7, required at least 3"
    assert lines[4].startswith("3/6  rich only: differs, required true  <-- SEED 0, plain, SEED 1, plain")

    def never(*arguments, **variables):
        raise AssertionError("a run was repeated")

    monkeypatch.setattr(runner, "execute", never)
    again = shaken(notebook(last=LAST), "--seeds", "3")
    assert again.output == result.output
    with pytest.raises(AssertionError, match="a run was repeated"):  # another notebook is another run
        raise shaken(notebook("1", last=LAST), "--seeds", "3").exception


def test_a_run_that_fails_before_its_claims_is_named(shaken):
    result = shaken(notebook("assert SEED == 0"), "--seeds", "2")
    assert result.exit_code == 1
    assert "2/4  it ran: True, required true  <-- SEED 1, rich, SEED 1, plain" in result.output
    assert "SEED 1, rich failed: a cell raised AssertionError" in result.output


def test_a_failure_is_not_kept_and_another_parameter_is_another_run(shaken, monkeypatch):
    parameters = PARAMETERS + "\nEPOCHS = 1"
    first = shaken(notebook("assert EPOCHS < 9", parameters=parameters), "--seeds", "1", "-p", "EPOCHS=9")
    assert first.exit_code == 1
    asked = []

    def counted(source, target, values, *rest, **variables):
        asked.append(values["EPOCHS"])
        execute_here(source, target, values, *rest, **variables)

    monkeypatch.setattr(runner, "execute", counted)
    again = ("--seeds", "1", "-p")
    assert shaken(notebook("assert EPOCHS < 9", parameters=parameters), *again, "EPOCHS=9").exit_code == 1
    assert shaken(notebook("assert EPOCHS < 9", parameters=parameters), *again, "EPOCHS=2").exit_code == 0
    assert shaken(notebook("assert EPOCHS < 9", parameters=parameters), *again, "EPOCHS=2").exit_code == 0
    assert asked == [9, 9, 2, 2]


def test_a_notebook_without_claims_is_no_success(shaken):
    result = shaken(notebook(last="1"), "--seeds", "1")
    assert result.exit_code == 1
    assert "SEED 0, plain failed: no claims" in result.output


def test_kernels_get_seed_and_environment(shaken, monkeypatch):
    monkeypatch.setattr(runner, "execute", EXECUTE)
    last = """
import os
kernels = [os.environ.get(name) for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "ROBUST_FIGURES")]
claims.at_most(str(kernels), SEED, 0)
claims.report()
"""
    monkeypatch.setenv("ROBUST_FIGURES", "of the caller")
    result = shaken(notebook(parameters='PROFILE = "quick"\nSEED = 7', last=last), "--seeds", "1")
    assert "1/2  [None, None, None]: 0, required at most 0  <-- SEED 0, plain" in result.output
    assert "1/2  ['default', 'SSE41', None]: 0, required at most 0  <-- SEED 0, rich" in result.output


def test_all_held_is_success(shaken):
    assert shaken(notebook(), "--seeds", "1").exit_code == 0


@pytest.mark.parametrize("more", [["--in-place"], ["--profile", "full"], ["-p", "SEED=3"]])
def test_it_chooses_seed_and_profile_itself(shaken, more):
    result = shaken(notebook(), *more)
    assert result.exit_code == 2
    assert "--shake goes with --only, -p and --seeds alone" in result.output


@pytest.mark.parametrize(
    ("measured", "required", "told"),
    [
        ((0.375, 0.125), "at least 0", "0.125 … 0.375, required at least 0"),
        ((0.375, 0.125), "at least 0.02", "0.125 … 0.375, required at least 0.02  (near)"),
        ((0.375, 0.125), "at most 0.45", "0.125 … 0.375, required at most 0.45  (near)"),
        ((1e-9, 1e-9), "at most 1e-9", "1e-09, required at most 1e-9"),
        ((0.5, 0.6), "0.5 ± 0.1", "0.5 … 0.6, required 0.5 ± 0.1"),
    ],
)
def test_ranges_and_bounds_that_a_run_came_near(measured, required, told):
    claims = [{"name": "gain", "measured": value, "required": required, "passed": True} for value in measured]
    runs = {str(k): {"claims": [claim]} for k, claim in enumerate(claims)}
    assert shake.table(runs) == f"   2/2  gain: {told}"
