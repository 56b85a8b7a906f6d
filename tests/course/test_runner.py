"""The runner: what its door refuses, what it says of notebooks that fail, what a good run leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robust_lib.__main__ import main
from robust_lib.course import claims, notebooks, runner

PARAMETERS = 'PROFILE = "quick"\nEPOCHS = 3\nRATE = 0.4\nFAST = False\nNAME = "ce"\nLOSSES = ["ce"]'
# Claims from its file alone: a kernel need not import torch for it.
CLAIMS = f"""
import runpy
claims = runpy.run_path({claims.__file__!r})["Claims"]()
claims.true("it ran", True)
"""


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


def invoke(folder, contents, *arguments):
    """Write notebooks into the folder and run the course command; its result."""
    for name, content in contents.items():
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
    defaults = notebooks.parameters(notebook())
    given = {"EPOCHS": "7", "RATE": "1", "FAST": "true", "NAME": "1", "LOSSES": "['mae', 'gce']"}
    values = notebooks.typed(given, defaults)
    assert values == {"EPOCHS": 7, "RATE": 1.0, "FAST": True, "NAME": "1", "LOSSES": ["mae", "gce"]}
    assert [type(value) for value in values.values()] == [int, float, bool, str, list]


def test_unknown_notebook_lists_what_there_is(folder):
    result = invoke(folder, {"01_weights": notebook(), "06_margins": notebook()}, "--only", "99")
    assert result.exit_code == 2
    assert "there is no notebook '99'; there are: 01_weights, 06_margins" in result.output


@pytest.mark.parametrize("more", [[], ["--student"]])
def test_the_notebooks_are_not_written_over(folder, monkeypatch, more):
    source = notebook()
    for out in (str(folder), f"{folder}/../{folder.name}"):
        result = invoke(folder, {"01_weights": source}, "--out", out, *more)
        assert result.exit_code == 2
        assert "--out must be another folder than that of the notebooks" in result.output
        assert nbformat.read(folder / "01_weights.ipynb", 4) == source


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


# --- a run of good and bad notebooks ------------------------------------------------------------------------

LOOK = """
import os, sys, pathlib
folder = pathlib.Path(os.environ["ROBUST_FIGURES"]); folder.mkdir(exist_ok=True)
(folder / "99-curve.png").write_bytes(b"picture")
(folder / "99-curve.json").write_text('{"alt": "A curve & a line"}')
print(PROFILE, EPOCHS, pathlib.Path.cwd().name, sys.executable)
"""
SHOW = "from IPython.display import display\ndisplay({'image/png': 'eA==', 'text/plain': 'A <b>'}, raw=True)"
BIG = "block = bytearray(300_000_000)\ndel block"

FAILING = {
    "error": (notebook("1 / 0"), r"cell \[4\] raised ZeroDivisionError: division by zero"),
    "claim": (
        notebook("claims.at_least('gain', float('nan'), 2)"),
        r"cell \[5\] raised AssertionError: 1 of 2 claims failed: gain: measured nan, required at least 2",
    ),
    "exit": (notebook("import sys; sys.exit(0)", "1 / 0"), r"cell \[4\] raised SystemExit: 0"),
    "magic": (notebook("%nosuchmagic"), r"cell \[4\] failed: UsageError: Line magic .*nosuchmagic"),
    "dead": (notebook("import os; os._exit(0)"), r"cell \[4\]: Kernel died"),
}


def another_python3(folder):
    """A user's "python3" kernel that is another program; its folder comes first on Jupyter's path."""
    spec = folder / "jupyter/kernels/python3"
    spec.mkdir(parents=True)
    wrong = {"argv": ["/bin/false", "{connection_file}"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(wrong))
    return folder / "jupyter"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run over all notebooks of FAILING, with a good one last: its result and its output folder."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    folder.mkdir()
    (folder / "glossary.md").write_text("chapters link to it")
    contents = {f"{number:02}_{name}": FAILING[name][0] for number, name in enumerate(FAILING, 1)}
    contents["99_good"] = notebook(LOOK, BIG, SHOW)
    out = folder.parent / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(another_python3(folder.parent)))
        return invoke(folder, contents, "--out", str(out), "--profile", "full", "-p", "EPOCHS=5"), out


@pytest.mark.parametrize("name", FAILING)
def test_failure_is_one_line_with_notebook_and_reason(ran, name):
    result, out = ran
    (kept,) = out.glob(f"??_{name}.ipynb")
    pattern = rf"^{kept.stem}: FAILED: .*{FAILING[name][1]}.*\(kept: .*{kept.name}\)$"
    # Once when it fails, and once below the table.
    assert len(re.findall(pattern, result.output, re.MULTILINE)) == 2, result.output


def test_failures_do_not_stop_the_others_but_the_run_fails(ran):
    result, _ = ran
    assert result.exit_code == 1
    assert re.search(r"^02_claim +\d+\.\d +\d+ MB +1/2$", result.output, re.MULTILINE)
    assert re.search(r"^05_dead +\d+\.\d +- +-$", result.output, re.MULTILINE)
    assert re.search(r"^the run +\d+\.\d$", result.output, re.MULTILINE)
    small = re.search(r"^01_error +\d+\.\d +(\d+) MB +-$", result.output, re.MULTILINE)
    big = re.search(r"^99_good +\d+\.\d +(\d+) MB +1/1$", result.output, re.MULTILINE)
    assert int(big[1]) > int(small[1]) + 200  # of the 300 MB that were held and given back


def test_partial_notebook_holds_what_ran(ran):
    _, out = ran
    kept = notebooks.read(out / "01_error.ipynb")
    assert [cell.execution_count for cell in notebooks.code_cells(kept)] == [1, 2, 3, 4, None]
    assert "ZeroDivisionError" in json.dumps(kept)
    assert "ZeroDivisionError" in (out / "01_error.html").read_text(encoding="utf-8")
    assert "failed: cell [4] raised ZeroDivisionError" in (out / "index.html").read_text(encoding="utf-8")


def test_the_kernel_is_this_python_in_the_notebooks_folder_with_the_values_given(ran):
    _, out = ran
    printed = notebooks.code_cells(notebooks.read(out / "99_good.ipynb"))[3].outputs[0].text
    *values, python = printed.split(maxsplit=3)
    assert values == ["full", "5", "notebooks"]
    # Python may have been called by a path with ".."; a resolved link would be the same in every environment.
    assert os.path.abspath(python.strip()) == os.path.abspath(sys.executable)
    assert "ROBUST_FIGURES" not in os.environ


def test_pages_and_figures_can_be_browsed(ran):
    _, out = ran
    assert (out / "figures/99-curve.png").exists()
    assert (out / "glossary.md").exists()
    index = (out / "index.html").read_text(encoding="utf-8")
    assert '<a href="99_good.html">99 Try &amp; see</a>' in index
    assert '<img src="figures/99-curve.png" alt="A curve &amp; a line"' in index
    page = (out / "99_good.html").read_text(encoding="utf-8")
    assert 'alt="A &lt;b&gt;"' in page
    (script,) = re.findall(r"<script[^>]+src=[^>]*>", page)
    assert 'src="mathjax/tex-chtml.js"' in script.replace("'", '"')


def test_links_of_pages_lead_to_files(tmp_path):
    targets = []
    for path in runner.NOTEBOOKS:
        page = runner.render(notebooks.read(path), "a title", tmp_path / "deep" / "folder")
        targets += re.findall(r'href="([^"#:]*\.\./[^"#]+)', page)
    assert len(targets) >= 6
    for target in targets:
        assert (tmp_path / "deep" / "folder" / target).resolve().is_file()


def test_a_cell_that_runs_past_its_limit_is_named(folder, monkeypatch):
    monkeypatch.setitem(runner.CELL_SECONDS, "quick", 1)
    result = invoke(folder, {"01_slow": notebook("import time; time.sleep(600)")})
    # On a busy machine an earlier cell may be the one.
    assert re.search(r"01_slow: FAILED: cell \[\d\] ran past its limit of 1 s", result.output)


def test_in_place_stores_the_same_clean_file_each_time(folder):
    marked = code("import sys\nfor i in range(3):\n    print(i, flush=True)", "nbval-check-output")
    source = notebook(LOOK, marked)
    source.cells[2].metadata["collapsed"] = True
    cases = {"01_a": source, "02_bad": notebook("1 / 0")}
    result = invoke(folder, cases, "--in-place")
    assert result.exit_code == 1
    first = (folder / "01_a.ipynb").read_bytes()
    assert (folder / "02_bad.ipynb").read_text() == nbformat.writes(cases["02_bad"]) + "\n"
    assert (folder.parent / "figures/99-curve.png").exists()
    stored = notebooks.read(folder / "01_a.ipynb")
    assert [cell.execution_count for cell in notebooks.code_cells(stored)] == [1, 2, 3, 4, 5]
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


SLOW = """
import os, pathlib, time
print("begun", flush=True)
pathlib.Path(f"pid-{os.getpid()}").touch()
time.sleep(600)
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


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt here, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_the_kernels_and_prints_the_table(folder, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    def pids():
        return [int(path.name.split("-")[1]) for path in folder.glob("pid-*")]

    def press():
        wait_for(lambda: len(pids()) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    result = invoke(folder, {"01_slow": notebook(SLOW), "02_slow": notebook(SLOW), "03_next": notebook()})
    presser.join()
    assert result.exit_code == 130
    for name in ("01_slow", "02_slow"):
        assert re.search(rf"^{name} +\d+\.\d +- +-$", result.output, re.MULTILINE)
        assert f"{name}: FAILED: interrupted" in result.output
        assert "begun" in (folder.parent / f"build/course/{name}.ipynb").read_text()
    assert "03_next: started" not in result.output
    wait_for(lambda: not any(map(is_running, pids())))


def test_notebooks_stop_when_the_runner_is_killed(folder):
    nbformat.write(notebook(SLOW), folder / "01_slow.ipynb")
    command = (
        "from pathlib import Path; from robust_lib.course import runner; rows = [runner.Row(Path({!r}))];"
        "runner.run(rows, 'quick', Path('out'), False)"
    ).format(str(folder / "01_slow.ipynb"))
    process = subprocess.Popen([sys.executable, "-c", command])
    wait_for(lambda: list(folder.glob("pid-*")))
    process.kill()
    process.wait()
    (pid,) = (int(path.name.split("-")[1]) for path in folder.glob("pid-*"))
    wait_for(lambda: not is_running(pid))


def test_a_process_that_dies_is_one_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_work", os._exit)
    row = runner.Row(tmp_path / "01_a.ipynb")
    assert runner._Worker(row).result().error == "its process ended with code 1"
