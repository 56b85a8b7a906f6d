"""Student versions: no output where the reader is to act first, everything else as it was."""

import copy
import re

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robust_lib.__main__ import main
from robust_lib.course import notebooks, runner, student

STORED = sorted((runner.ROOT / "notebooks").glob("*.ipynb"))


def code(source, count=1):
    printed = new_output("stream", name="stdout", text="something\n")
    return new_code_cell(source, execution_count=count, outputs=[printed])


def chapter(*sources):
    opening = (
        "# Title\n\n[![Open in Colab](https://x/badge.svg)](https://x/01.ipynb)\n\n"
        '[errata](../figures/errata.md#cv-1) <a href="../figures/errata.md">all</a> [words](words.md#w)'
        " [play](../site/explorer.html#view=plane)"
    )
    return new_notebook(cells=[new_markdown_cell(opening), *map(code, sources)])


def kept(notebook):
    return [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def test_outputs_go_from_a_prediction_to_its_comparison_and_from_exercises():
    given = chapter(
        "print(1)", "guess = checks.predict(...)", "measure()", "guess.compare(1)", "print(2)",
        "checks.check('01.1', ...)", "print(3)",
    )  # fmt: skip
    before = copy.deepcopy(given)
    made = student.version(given)
    assert kept(made) == [True, False, False, False, True, False, True]
    assert [cell.get("execution_count") for cell in made.cells] == [None, 1, None, None, None, 1, None, 1]
    assert given == before


def test_a_prediction_compared_in_its_own_result_cell_ends_there():
    made = student.version(
        chapter("a = checks.predict(...)", "a.compare(1)", "b = checks.predict(...)", "b.compare(2)")
    )
    assert kept(made) == [False] * 4


@pytest.mark.parametrize(
    "sources", [["checks.predict(...)"], ["checks.predict(...)", "checks.predict(...)", "a.compare(1)"]]
)
def test_a_prediction_that_is_never_compared_is_named(sources):
    with pytest.raises(notebooks.NotebookError, match="code cell 1: its prediction is never compared"):
        student.version(chapter(*sources))


def test_links_lead_to_the_repository_and_the_badge_goes():
    text = student.version(chapter("print(1)")).cells[0].source
    home = f"https://github.com/{runner.REPOSITORY}/blob/main/figures/errata.md"
    play = f"{runner.PAGES}/site/explorer.html#view=plane"
    assert (
        text
        == f'# Title\n\n[errata]({home}#cv-1) <a href="{home}">all</a> [words](words.md#w) [play]({play})'
    )


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_chapters_lose_outputs_and_no_code(path):
    stored = notebooks.read(path)
    made = student.version(stored)
    pairs = list(zip(notebooks.code_cells(stored), notebooks.code_cells(made), strict=True))
    assert all(before.source == after.source for before, after in pairs)
    acts = [after for _, after in pairs if re.search(r"checks\.(check|predict)\(", after.source)]
    assert acts
    assert not any(after.outputs for after in acts)
    assert not any("_solutions" in cell.source for cell in made.cells)
    assert sum(cell.source.count("_solutions") for cell in stored.cells) == 1
    nbformat.validate(made)


def test_the_command_writes_them_and_leaves_the_course_alone(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "words.md").write_text("words")
    nbformat.write(chapter("print(1)", "checks.check('01.1', ...)"), folder / "01_a.ipynb")
    before = (folder / "01_a.ipynb").read_bytes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "NOTEBOOKS", runner.discover(folder))
    result = CliRunner().invoke(main, ["course", "--student"])
    assert (result.exit_code, result.output) == (0, "student versions: 1, in build/student\n")
    assert sorted(path.name for path in (tmp_path / "build/student").iterdir()) == ["01_a.ipynb", "words.md"]
    assert kept(notebooks.read(tmp_path / "build/student/01_a.ipynb")) == [True, False]
    assert (folder / "01_a.ipynb").read_bytes() == before


def test_options_that_do_not_go_with_it_are_named(tmp_path):
    for arguments in (["--in-place"], ["--shake"], ["--profile", "full"], ["-p", "SEED=1"]):
        result = CliRunner().invoke(main, ["course", "--student", *arguments])
        assert result.exit_code == 2
        assert "--student goes with --only and --out alone" in result.output
    result = CliRunner().invoke(main, ["course", "--student", "--only", "99", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "there is no notebook '99'" in result.output
