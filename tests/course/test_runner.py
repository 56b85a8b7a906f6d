"""The runner: what its door refuses, what it says of notebooks that fail, what a good run leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robust_lib.__main__ import main
from robust_lib.course import runner

PARAMETERS = 'PROFILE = "quick"\nEPOCHS = 3\nRATE = 0.4\nFAST = False\nNAME = "ce"\nLOSSES = ["ce"]'
CLAIMS = "from robust_lib.course import Claims\nclaims = Claims()\nclaims.true('it ran', True)"


def code(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def notebook(*middle, parameters=PARAMETERS, last="claims.report()"):
    """A title, a parameters cell, claims, the cells given, and the claims cell."""
    cells = [new_markdown_cell("# Try & see"), code(parameters, "parameters"), code(CLAIMS)]
    cells += [code(cell) if isinstance(cell, str) else cell for cell in middle]
    return new_notebook(cells=[*cells, code(last, "claims")])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty notebooks folder that the command line takes for the course's."""
    path = tmp_path / "notebooks"
    path.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "FIGURES", tmp_path / "figures")
    return path


def invoke(folder, notebooks, *arguments):
    """Write notebooks into the folder and run the course command; its result."""
    for name, content in notebooks.items():
        nbformat.write(content, folder / f"{name}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "NOTEBOOKS", runner.discover(folder))
        return CliRunner().invoke(main, ["course", *arguments])


# --- the door, before anything runs -------------------------------------------------------------------------


def test_unknown_parameter_is_named_with_the_known_ones(folder):
    result = invoke(folder, {"06_margins": notebook()}, "--only", "06", "-p", "TYPO=1")
    assert result.exit_code == 2
    assert "06_margins: unknown parameter TYPO; known are: PROFILE, EPOCHS, RATE" in result.output
    assert "started" not in result.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("EPOCHS=three", "parameter EPOCHS must be int, like its default 3; got 'three'"),
        ("EPOCHS=3.0", "parameter EPOCHS must be int"),
        ("EPOCHS=true", "parameter EPOCHS must be int"),
        ("RATE=high", "parameter RATE must be float"),
        ("FAST=1", "parameter FAST must be bool"),
        ("FAST=no", "parameter FAST must be bool"),
        ("LOSSES=ce", "parameter LOSSES must be list"),
        ("PROFILE=full", "parameter PROFILE: give it with --profile"),
        ("EPOCHS", "write NAME=VALUE; got 'EPOCHS'"),
        ("=3", "write NAME=VALUE; got '=3'"),
    ],
)
def test_mistyped_value_is_refused(folder, given, message):
    result = invoke(folder, {"06_margins": notebook()}, "-p", given)
    assert result.exit_code == 2
    assert message in result.output


def test_parameter_given_twice_is_refused(folder):
    result = invoke(folder, {"06_margins": notebook()}, "-p", "EPOCHS=1", "-p", "EPOCHS=2")
    assert result.exit_code == 2
    assert "a parameter is given twice" in result.output


def test_values_take_the_types_of_the_defaults():
    defaults = runner.parameters(notebook())
    given = {"EPOCHS": "7", "RATE": "1", "FAST": "true", "NAME": "1", "LOSSES": "['mae', 'gce']"}
    values = runner.typed(given, defaults)
    assert values == {"EPOCHS": 7, "RATE": 1.0, "FAST": True, "NAME": "1", "LOSSES": ["mae", "gce"]}
    assert [type(value) for value in values.values()] == [int, float, bool, str, list]


def test_unknown_notebook_lists_what_there_is(folder):
    result = invoke(folder, {"01_weights": notebook(), "06_margins": notebook()}, "--only", "99")
    assert result.exit_code == 2
    assert "there is no notebook '99'; there are: 01_weights, 06_margins" in result.output


def test_no_notebooks_is_an_error(folder):
    result = invoke(folder, {})
    assert result.exit_code == 2
    assert "run this from a clone" in result.output


def test_notebooks_are_ordered_by_number_and_selected_by_number_or_name(folder):
    for name in ("10_b.ipynb", "9_c.ipynb", "01_a.ipynb", "Untitled.ipynb"):
        (folder / name).touch()
    found = runner.discover(folder)
    assert [path.name for path in found] == ["01_a.ipynb", "9_c.ipynb", "10_b.ipynb"]
    assert [path.name for path in runner.select(found, ["10", "1"])] == ["01_a.ipynb", "10_b.ipynb"]
    assert [path.name for path in runner.select(found, ["9_c"])] == ["9_c.ipynb"]


def test_in_place_takes_neither_profile_nor_parameters(folder):
    for arguments in (["--profile", "full"], ["-p", "EPOCHS=1"]):
        result = invoke(folder, {"06_margins": notebook()}, "--in-place", *arguments)
        assert result.exit_code == 2
        assert (
            "--in-place: stored outputs come from the quick profile and default parameters" in result.output
        )


def untagged():
    content = notebook()
    content.cells[-1].metadata["tags"] = []
    return content


REFUSED = {
    "no parameters": (new_notebook(cells=[code("1", "claims")]), "exactly one code cell tagged 'parameters'"),
    "two parameters": (notebook(code("A = 1", "parameters")), "exactly one code cell tagged 'parameters'"),
    "derived": (
        notebook(parameters=f"{PARAMETERS}\nN = EPOCHS * 2"),
        "only literals .* found N = EPOCHS \\* 2",
    ),
    "call": (notebook(parameters=f"{PARAMETERS}\nprint(1)"), "only NAME = literal is allowed; found print"),
    "import": (
        notebook(parameters=f"import os\n{PARAMETERS}"),
        "only NAME = literal is allowed; found import",
    ),
    "two names": (notebook(parameters=f"{PARAMETERS}\nA, B = 1, 2"), "allowed are .* found \\(?A, B"),
    "untyped": (notebook(parameters=f"{PARAMETERS}\nSEED = None"), "allowed are bool, int, .*SEED = None"),
    "assigned twice": (notebook(parameters=f"{PARAMETERS}\nEPOCHS = 4"), "a name is assigned twice"),
    "no profile": (notebook(parameters="EPOCHS = 3"), 'must have PROFILE = "quick"'),
    "full by default": (notebook(parameters='PROFILE = "full"'), 'must have PROFILE = "quick"'),
    "not Python": (notebook(parameters="PROFILE = "), "line 1 is not Python"),
    "no claims cell": (untagged(), "the last code cell, and no other, must be tagged 'claims'"),
    "two claims cells": (notebook(code("1", "claims")), "the last code cell, and no other, must be tagged"),
    "errors allowed": (notebook(code("1/0", "raises-exception")), "code cell 3: the tag 'raises-exception'"),
    "skipped": (notebook(code("1/0", "skip-execution")), "code cell 3: the tag 'skip-execution'"),
    "injected": (notebook(code("A = 1", "injected-parameters")), "the tag 'injected-parameters'"),
}


def test_notebooks_that_break_the_rules_fail_without_running(folder):
    cases = {f"{number:02}_case": content for number, (content, _) in enumerate(REFUSED.values())}
    result = invoke(folder, cases)
    assert result.exit_code == 1
    assert "started" not in result.output
    for name, (_, message) in zip(cases, REFUSED.values(), strict=True):
        assert re.search(f"^{name}: FAILED: .*{message}", result.output, re.MULTILINE), message


def test_file_that_is_no_notebook_is_named(folder):
    (folder / "02_broken.ipynb").write_text('{"cells": [')
    result = invoke(folder, {})
    assert result.exit_code == 1
    assert "02_broken: FAILED: cannot be read as a notebook" in result.output


# --- notebooks that fail ------------------------------------------------------------------------------------

FAILING = {
    "error": (notebook("1 / 0"), r"cell \[4\] raised ZeroDivisionError: division by zero"),
    "claim": (
        notebook("claims.at_least('gain', float('nan'), 2)"),
        r"cell \[5\] raised AssertionError: 1 of 2 claims failed: gain: measured nan, required at least 2",
    ),
    "silent": (notebook(last="claims"), r"its last cell reported no claims: it must call Claims.report\(\)"),
    "exit": (notebook("import sys; sys.exit(0)", "1 / 0"), r"cell \[4\] raised SystemExit: 0"),
    "late_exit": (notebook(last="claims.report(); raise SystemExit(0)"), r"raised SystemExit: 0"),
    "magic": (notebook("%nosuchmagic"), r"cell \[4\] failed: UsageError: Line magic .*nosuchmagic"),
    "dead": (notebook("import os; os._exit(0)"), r"cell \[4\]: Kernel died"),
    "slow": (notebook("import time; time.sleep(60)"), r"cell \[4\] ran past its limit of 5 s"),
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """One run over all notebooks of FAILING, with a good one last: its result and its output folder."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    folder.mkdir()
    cases = {f"{number:02}_{name}": FAILING[name][0] for number, name in enumerate(FAILING, 1)}
    out = folder.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(runner.CELL_SECONDS, "quick", 5)
        return invoke(folder, {**cases, "99_good": notebook()}, "--out", str(out)), out


@pytest.mark.parametrize("name", FAILING)
def test_failure_is_one_line_with_notebook_and_reason(failures, name):
    result, out = failures
    (kept,) = out.glob(f"??_{name}.ipynb")
    pattern = rf"^{kept.stem}: FAILED: .*{FAILING[name][1]}.*\(kept: .*{kept.name}\)$"
    # Once when it fails, and once below the table.
    assert len(re.findall(pattern, result.output, re.MULTILINE)) == 2, result.output


def test_failures_do_not_stop_the_others_but_the_run_fails(failures):
    result, _ = failures
    assert result.exit_code == 1
    assert re.search(r"^99_good +\d+\.\d +\d+ MB +1/1$", result.output, re.MULTILINE)
    assert re.search(r"^02_claim +\d+\.\d +\d+ MB +1/2$", result.output, re.MULTILINE)
    assert re.search(r"^07_dead +\d+\.\d +- +-$", result.output, re.MULTILINE)


def test_partial_notebook_holds_what_ran(failures):
    _, out = failures
    kept = runner.read(out / "01_error.ipynb")
    ran = [cell.execution_count for cell in runner.code_cells(kept)]
    assert ran == [1, 2, 3, 4, None]
    assert "ZeroDivisionError" in json.dumps(kept)
    assert "ZeroDivisionError" in (out / "01_error.html").read_text(encoding="utf-8")
    assert "failed: cell [4] raised ZeroDivisionError" in (out / "index.html").read_text(encoding="utf-8")


def test_cells_without_execution_count_are_found():
    content = notebook("1")
    for number, cell in enumerate(runner.code_cells(content)[:-1], 1):
        cell.execution_count = number
    with pytest.raises(runner.NotebookError, match=r"cells never ran: 1 of 4, from \[4\] on"):
        runner.check_executed(content)


# --- a good run ---------------------------------------------------------------------------------------------

LOOK = """
import os, sys, pathlib
folder = pathlib.Path(os.environ["ROBUST_FIGURES"]); folder.mkdir(exist_ok=True)
(folder / "curve.png").write_bytes(b"picture")
(folder / "curve.json").write_text('{"alt": "A curve & a line"}')
print(PROFILE, EPOCHS, pathlib.Path.cwd().name, sys.executable)
"""
SHOW = "from IPython.display import display\ndisplay({'image/png': 'eA==', 'text/plain': 'A <b>'}, raw=True)"
BIG = "block = bytearray(300_000_000)\ndel block"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A user's "python3" kernel that is another program, first on Jupyter's path."""
    spec = tmp_path / "jupyter/kernels/python3"
    spec.mkdir(parents=True)
    wrong = {"argv": ["/bin/false", "{connection_file}"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(wrong))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


def test_good_run_leaves_table_notebooks_pages_and_figures(folder, elsewhere):
    cases = {"01_a": notebook(LOOK, BIG, SHOW), "02_b": notebook()}
    (folder / "glossary.md").write_text("chapters link to it")
    result = invoke(folder, cases, "--profile", "full", "-p", "EPOCHS=5")
    assert result.exit_code == 0, result.output
    size = re.search(r"^01_a +\d+\.\d +(\d+) MB +1/1$", result.output, re.MULTILINE)
    assert 300 < int(size[1]) < 900
    small = re.search(r"^02_b +\d+\.\d +(\d+) MB +1/1$", result.output, re.MULTILINE)
    assert int(small[1]) < int(size[1]) - 150
    assert re.search(r"^total +\d+\.\d$", result.output, re.MULTILINE)
    out = folder.parent / "build/course"
    printed = runner.code_cells(runner.read(out / "01_a.ipynb"))[3].outputs[0].text
    *told, python = printed.split(maxsplit=3)
    assert told == ["full", "5", "notebooks"]
    # Python may have been called by a path with ".."; a resolved link would be the same in every environment.
    assert os.path.abspath(python.strip()) == os.path.abspath(sys.executable)
    assert (out / "figures/curve.png").exists()
    assert (out / "glossary.md").exists()
    index = (out / "index.html").read_text(encoding="utf-8")
    assert '<a href="01_a.html">01 Try &amp; see</a>' in index
    assert '<img src="figures/curve.png" alt="A curve &amp; a line"' in index
    page = (out / "01_a.html").read_text(encoding="utf-8")
    assert 'alt="A &lt;b&gt;"' in page
    scripts = re.findall(r"<script[^>]+src=[^>]*>", page)
    assert len(scripts) == 1
    assert "async" in scripts[0]
    assert "ROBUST_FIGURES" not in os.environ


def test_in_place_stores_the_same_clean_file_each_time(folder):
    marked = code("import sys\nfor i in range(3):\n    print(i, flush=True)", "nbval-check-output")
    source = notebook(LOOK, marked)
    source.cells[2].metadata["collapsed"] = True
    cases = {"01_a": source, "02_bad": notebook("1 / 0")}
    result = invoke(folder, cases, "--in-place")
    assert result.exit_code == 1
    first = (folder / "01_a.ipynb").read_bytes()
    assert (folder / "02_bad.ipynb").read_text() == nbformat.writes(cases["02_bad"]) + "\n"
    assert (folder.parent / "figures/curve.png").exists()
    stored = runner.read(folder / "01_a.ipynb")
    assert [cell.execution_count for cell in runner.code_cells(stored)] == [1, 2, 3, 4, 5]
    assert stored.cells[4].outputs == [new_output("stream", name="stdout", text="0\n1\n2\n")]
    assert stored.cells[3].outputs[0].text.startswith("quick 3 notebooks")
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert [dict(cell.metadata) for cell in stored.cells[1:5]] == [
        {"tags": ["parameters"]},
        {},
        {},
        {"tags": ["nbval-check-output"]},
    ]
    assert invoke(folder, {}, "--in-place", "--only", "1").exit_code == 0
    assert (folder / "01_a.ipynb").read_bytes() == first
    assert sorted(path.name for path in folder.iterdir()) == ["01_a.ipynb", "02_bad.ipynb"]


# A shell that starts a job in the background makes it ignore SIGINT, and that is inherited.
INTERRUPTED = """
import signal, sys
from pathlib import Path
from robust_lib import course
from robust_lib.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
course.NOTEBOOKS = course.discover(Path(sys.argv[1]))
main(["course"])
"""
SLOW = """
import os, pathlib, time
print("begun", flush=True)
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_stops_the_kernel_and_prints_the_table(folder):
    nbformat.write(notebook(SLOW), folder / "01_slow.ipynb")
    nbformat.write(notebook(), folder / "02_next.ipynb")
    command = [sys.executable, "-c", INTERRUPTED, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(runner.ROOT)}
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    pid = folder / "pid"
    wait_for(lambda: pid.exists() and pid.read_text())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert re.search(r"^01_slow +\d+\.\d +- +-$", output, re.MULTILINE)
    assert "01_slow: FAILED: interrupted" in output
    assert "02_next: started" not in output
    assert "begun" in (folder.parent / "build/course/01_slow.ipynb").read_text()
    wait_for(lambda: not is_running(int(pid.read_text())))


# --- the command line ---------------------------------------------------------------------------------------


def test_without_a_command_it_prints_help():
    result = CliRunner().invoke(main)
    assert result.exit_code == 0
    assert "course" in result.output


def test_help_offers_the_profiles_that_the_runner_knows():
    result = CliRunner().invoke(main, ["course", "--help"])
    assert f"[{'|'.join(runner.CELL_SECONDS)}]" in result.output


def test_command_line_starts_without_heavy_imports():
    heavy = "{'torch', 'papermill', 'nbconvert', 'matplotlib', 'pandas', 'scipy', 'sklearn'}"
    script = f"import sys, robust_lib.__main__; sys.exit(str(sorted({heavy} & set(sys.modules))))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=runner.ROOT)
    assert result.stderr.strip() == "[]"


LACKING = """
import sys
sys.modules[sys.argv.pop(1)] = None  # importing it then fails as if it were not installed
from pathlib import Path
from robust_lib import __main__
__main__._figures = Path.cwd
__main__.main()
"""

SWEEP = ["sweep", "hs-table1-mnist", "--small"]


def lacking(package, *arguments, folder):
    """The command line in a Python without a package, figures/ being `folder`: its exit code and stderr."""
    command = [sys.executable, "-c", LACKING, package, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(runner.ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("module", "arguments", "package"),
    [
        ("papermill", ["course"], "papermill"),
        ("PIL", ["find", "."], "pillow"),
        ("distributed", [*SWEEP, "--executor", "dask:no", "--results", "."], "distributed"),
    ],
)
def test_a_missing_package_is_one_line(tmp_path, module, arguments, package):
    code, said = lacking(module, *arguments, folder=tmp_path)
    assert said == f"Error: {package} is not installed here: pip install {package}\n"
    assert code == 1


def test_the_gallery_needs_no_papermill(tmp_path):
    assert lacking("papermill", "gallery", folder=tmp_path) == (0, "")
    assert (tmp_path / "losses.md").exists()


def test_a_part_missing_from_an_installed_package_is_a_fault_of_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "robust_lib.gallery", None)
    monkeypatch.delattr("robust_lib.gallery", raising=False)
    result = CliRunner().invoke(main, ["gallery"])
    assert isinstance(result.exception, ImportError)


@pytest.mark.parametrize("command", ["gallery", "figures"])
def test_without_a_clone_there_are_no_figures_to_write(tmp_path, monkeypatch, command):
    monkeypatch.setattr("robust_lib.__main__.__file__", str(tmp_path / "robust_lib/__main__.py"))
    result = CliRunner().invoke(main, [command])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "run this from a clone" in result.output
    assert list(tmp_path.iterdir()) == []
