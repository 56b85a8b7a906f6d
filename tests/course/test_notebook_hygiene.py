"""Stored notebooks keep the house rules; and each rule is shown to catch a notebook that breaks it."""

import base64
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robust_lib.course import runner, slides
from robust_lib.course.claims import METADATA_KEY
from tests.course.hygiene import core, problems

STORED = sorted((runner.ROOT / "notebooks").glob("*.ipynb"))
NAME = "03_good.ipynb"
INSTALL = f"%pip install -q --no-deps git+https://github.com/{runner.REPOSITORY}"
PNG = base64.b64encode(b"\x89PNG").decode()


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_notebook_keeps_the_rules(path):
    assert problems(path) == []


def test_there_are_notebooks():
    assert runner.NOTEBOOKS


def tagged(source, *tags, **cell):
    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {}, **cell)


def good_notebook():
    """A small notebook that keeps every rule; cells: 0 opening, 1 parameters, 2 text, 3 figure, 4 caption,
    5 claims."""
    badge = f"https://colab.research.google.com/github/{runner.REPOSITORY}/blob/main/notebooks/{NAME}"
    heads = "**Where this stands** s **What you'll do** a **What you'll learn** b **What you'll need** c"
    opening = new_markdown_cell(f"# Draw a thing\n\n[![Open in Colab](badge.svg)]({badge})\n\n{heads}")
    figure = {"image/png": PNG, "text/plain": "Weight curves of three losses over the margin."}
    counts = {METADATA_KEY: {"passed": 2, "total": 2}}
    cells = [
        opening,
        tagged('PROFILE = "quick"', "parameters", execution_count=1),
        tagged("print(1)", "nbval-check-output", execution_count=2, outputs=[stream("1\n")]),
        tagged("show()", execution_count=3, outputs=[new_output("display_data", figure)]),
        new_markdown_cell(
            "**Figure 3.1.** Weight curves.\n\n## References\n\n- A paper. arXiv:1234.56789\n\n## Claims"
        ),
        tagged("claims.report()", "claims", execution_count=4),
    ]
    cells[5].outputs = [new_output("display_data", {"text/plain": "claims: 2/2 passed"}, metadata=counts)]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    slides.mark(notebook)
    return notebook


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def written(notebook, folder, name=NAME):
    path = folder / name
    nbformat.write(notebook, path)
    return path


def test_good_notebook_has_no_problems(tmp_path):
    assert problems(written(good_notebook(), tmp_path)) == []


def set_source(index, source):
    def change(notebook):
        notebook.cells[index].source = source

    return change


def set_output(index, output):
    def change(notebook):
        notebook.cells[index].outputs = [output]

    return change


def set_tags(index, *tags):
    def change(notebook):
        notebook.cells[index].metadata["tags"] = list(tags)

    return change


def replace_text(old, new):
    def change(notebook):
        assert old in notebook.cells[0].source
        notebook.cells[0].source = notebook.cells[0].source.replace(old, new)

    return change


def set_words(count, heading):
    def change(notebook):
        notebook.cells.insert(5, new_markdown_cell(f"{heading}\n\n" + "word " * count))

    return change


def change_count(notebook):
    notebook.cells[3].execution_count = 7


def never_run(notebook):
    notebook.cells[3].execution_count = None
    notebook.cells[3].outputs = []


def second_parameters_cell(notebook):
    notebook.cells.insert(2, tagged("A = 1", "parameters", execution_count=2))


def cell_after_claims(notebook):
    notebook.cells.append(tagged("print(2)", execution_count=5))


def papermill_metadata(notebook):
    notebook.metadata["papermill"] = {"duration": 3.0}


def widget_state(notebook):
    notebook.metadata["widgets"] = {"state": {}}


def timing_metadata(notebook):
    notebook.cells[2].metadata["execution"] = {"iopub.status.busy": "2026-01-01"}


def too_large(notebook):
    notebook.cells[2].outputs[0].text = "x" * 1_600_000


def own_kernel(notebook):
    notebook.metadata.kernelspec.name = "my-env"


def no_alt(text):
    return set_output(3, new_output("display_data", {"image/png": PNG, "text/plain": text}))


ERROR = new_output("error", ename="ValueError", evalue="q must be in (0, 1]", traceback=[])
WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider()"}
FAILED = new_output("display_data", {"text/plain": "t"}, metadata={METADATA_KEY: {"passed": 1, "total": 2}})

BAD = {
    "execution count": (change_count, r"not executed 1\.\.N on a fresh kernel: \[1, 2, 7, 4\]"),
    "unrun cell": (never_run, r"cells never ran: 1 of 4, from \[3\] on"),
    "error output": (set_output(2, ERROR), r"cell \[2\] raised ValueError: q must be"),
    "no parameters cell": (set_tags(1), "exactly one code cell tagged 'parameters'; cells so tagged: 0"),
    "two parameters cells": (second_parameters_cell, "exactly one code cell tagged 'parameters'.*: 2"),
    "parameter not literal": (set_source(1, 'PROFILE = "quick"\nA = 2 * 3'), "only literals.* A = 2 \\* 3"),
    "no claims cell": (set_tags(5), "the last code cell, and no other, must be tagged 'claims'"),
    "cell after claims": (cell_after_claims, "the last code cell, and no other, must be tagged 'claims'"),
    "no claims reported": (set_output(5, stream("done\n")), "reported no claims"),
    "failed claim": (set_output(5, FAILED), "claims passed: 1/2"),
    "errors allowed": (set_tags(3, "raises-exception"), "code cell 3: the tag 'raises-exception'"),
    "papermill metadata": (papermill_metadata, "metadata must be kernelspec and language_info.*papermill"),
    "widget state": (widget_state, "metadata must be kernelspec and language_info.*widgets"),
    "timing metadata": (timing_metadata, "cell metadata left by a tool: .*execution"),
    "own kernel": (own_kernel, "kernelspec must be python3; it is my-env"),
    "stderr": (set_output(2, stream("UserWarning: hm\n", "stderr")), r"cell \[2\] wrote to stderr: UserW"),
    "widget": (set_output(2, new_output("display_data", WIDGET)), r"cell \[2\] shows a widget"),
    "home folder": (set_output(2, stream("/home/ann/x.py\n")), r"cell \[2\] prints a home folder: /home/a"),
    "temporary folder": (set_output(2, stream("/tmp/k.py:1\n")), r"cell \[2\] prints a temporary folder"),
    "address": (set_output(2, stream("<f at 0x7f3210ab>\n")), r"cell \[2\] prints a memory address"),
    "default alt text": (no_alt("<Figure size 640x480 with 1 Axes>"), r"cell \[3\]: image without alt text"),
    "short alt text": (no_alt("a figure"), r"cell \[3\]: image without alt text of 20.*'a figure'"),
    "text image": (
        replace_text("# Draw a thing", "# Draw a thing\n![](x.png)"),
        "image in the text has no alt",
    ),
    "figure without caption": (
        set_source(4, "See above.\n\n## References\n"),
        "its caption, '..Figure 3.1... '",
    ),
    "caption of another figure": (
        set_source(4, "**Figure 3.2.** Curves.\n\n## References\n"),
        "its caption, '..Figure 3.1... '",
    ),
    "no references": (set_source(4, "**Figure 3.1.** Curves."), "no section '## References'"),
    "misspelt tag": (set_tags(3, "nbval-check-ouput"), "unknown tags .'nbval-check-ouput'"),
    "no checked text": (set_tags(2), "no cell is tagged 'nbval-check-output'"),
    "long cells": (set_source(3, "\n".join(["x = 1"] * 30)), "90th percentile 30"),
    "large file": (too_large, "file has 16.* bytes; at most 1500000"),
    "no title": (replace_text("# Draw", "Draw"), "first cell must be markdown that starts with the title"),
    "many words": (set_words(2501, "## More"), r"core path: 4 code cells and 25\d\d words; allowed are"),
    "optional without minutes": (
        set_words(1, "## More (optional)"),
        "heading ends '.optional, n minutes.'; found '## More .opt",
    ),
    "link to nowhere": (
        replace_text("# Draw a thing", "# Draw [a thing](notation_and_glossary.md#no-such)"),
        "a link to notation_and_glossary.md#no-such: there is no such place",
    ),
    "correction to nowhere": (
        replace_text("# Draw a thing", '# Draw a thing\n<a href="../figures/errata.md#cv-99">cv-99</a>'),
        "a link to ../figures/errata.md#cv-99: there is no such place",
    ),
    "opening block": (replace_text("What you'll need", "Needs"), "opening block without .*What you'll need"),
    "explorer in a clone alone": (
        replace_text("# Draw a thing", "# Draw a thing\n\n[e](../site/explorer.html#view=film)"),
        "explorer.html#view=film works in a clone alone: put https://.*/site/explorer.html#view=film beside",
    ),
    "slide unmarked": (
        lambda notebook: notebook.cells[3].metadata.pop("slideshow"),
        "marks of slides .*show",
    ),
    "slide of code": (
        lambda notebook: notebook.cells[2].metadata.update(slideshow={"slide_type": "slide"}),
        r"marks of slides .*print\(1\)",
    ),
    "badge path": (replace_text(NAME, "04_other.ipynb"), "Colab badge must be .*; found .*04_other"),
    "badge repository": (
        replace_text(runner.REPOSITORY, "me/fork"),
        "Colab badge must be .*; found .*me/fork",
    ),
    "badge missing": (
        replace_text("https://colab", "https://notcolab"),
        r"Colab badge must be .*; found \[\]",
    ),
    "install line": (
        set_source(
            2, "%pip install -q cleanlab\n%pip install -q --no-deps git+https://github.com/me/fork@v1"
        ),
        "install line names me/fork",
    ),
    "install order": (
        set_source(2, f"{INSTALL}\n%pip install -q cleanlab"),
        "cleanlab must be installed before the package",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_each_rule_catches_its_fault(change, message, tmp_path):
    notebook = good_notebook()
    change(notebook)
    found = problems(written(notebook, tmp_path))
    assert len(found) == 1, found
    assert re.search(message, found[0])


def test_optional_sections_are_not_counted():
    words = "one two three"
    notebook = good_notebook()
    before = core(notebook)
    optional = [new_markdown_cell(f"## Deeper (optional, 2 minutes)\n\n{words}\n\n### Below\n\n{words}")]
    optional += [tagged("print(2)"), tagged("")]
    after = [new_markdown_cell(f"## On\n\n{words}\n\n$$a = b + c$$"), tagged("print(3)"), tagged(" ")]
    after += [
        new_markdown_cell("**Figure 3.2.** Not counted."),
        new_markdown_cell(f"## References\n\n{words}\n\n## Claims"),
    ]
    notebook.cells[5:5] = optional + after
    assert core(notebook) == (before[0] + 1, before[1] + len(["##", "On", "##", "Claims"]) + 3)
    small = [new_markdown_cell("## A"), new_markdown_cell("### B (optional, 1 minute)\n\nb"), tagged("b = 1")]
    assert core(new_notebook(cells=[*small, new_markdown_cell("### C\n\nc"), tagged("c = 1")])) == (1, 5)


def test_median_cell_length_is_limited(tmp_path):
    notebook = good_notebook()
    for cell in notebook.cells[2:4]:
        cell.source = "\n".join(["x = 1"] * 9)
    notebook.cells[5].source = "\n".join(["y = 1"] * 8 + ["claims.report()"])
    (message,) = problems(written(notebook, tmp_path))
    assert "median 9 lines" in message


def test_name_of_another_form_is_caught(tmp_path):
    notebook = good_notebook()
    notebook.cells[0].source = notebook.cells[0].source.replace(NAME, "03-Good.ipynb")
    (message,) = problems(written(notebook, tmp_path, "03-Good.ipynb"))
    assert message.startswith("file name:")


def test_file_that_is_no_notebook_is_named(tmp_path):
    path = tmp_path / NAME
    path.write_text("{}")
    (message,) = problems(path)
    assert "cannot be read as a notebook" in message
