"""The pages of `make course`, from the stored chapters: formulas typeset, nothing leaves the folder."""

from importlib.util import find_spec

import pytest
from nbformat.v4 import new_notebook

from robust_lib.course import notebooks, runner

LEFT_AS_TEX = """() => {
    const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const { data, parentElement } = texts.currentNode;
        if (/\\$|\\\\\\(|\\\\begin/.test(data) && !parentElement.closest("pre, code, mjx-container"))
            found.push(data.trim());
    }
    return found;
}"""
FAULTY = '() => [...document.querySelectorAll("mjx-merror")].map((one) => one.closest("p, li, td").innerText)'


def texts(path) -> list:
    """What a chapter has beside code and pictures: its text, and the outputs that are Markdown."""
    cells = notebooks.read(path).cells
    for cell in notebooks.code_cells(new_notebook(cells=cells)):
        cell.outputs = [output for output in cell.outputs if "text/markdown" in output.get("data", {})]
    return [cell for cell in cells if cell.cell_type == "markdown" or cell.get("outputs")]


@pytest.fixture
def opened(tmp_path, visit):
    """opened(notebook) → a visit to its page, with MathJax beside it, when the formulas are drawn."""
    if find_spec("sphinx-mathjax-offline") is None:
        pytest.skip("sphinx-mathjax-offline is missing")
    runner.copy_mathjax(tmp_path)

    def open_page(notebook):
        file = tmp_path / "page.html"
        file.write_text(runner.render(notebook, "a title", tmp_path), encoding="utf-8")
        visitor = visit(file)
        visitor.go().wait_for_selector("mjx-container", state="attached")
        visitor.page.evaluate("MathJax.startup.promise")
        return visitor

    return open_page


def test_every_formula_of_the_course_is_typeset(opened):
    visitor = opened(new_notebook(cells=[cell for path in runner.NOTEBOOKS for cell in texts(path)]))
    assert visitor.page.evaluate(LEFT_AS_TEX) == []
    assert visitor.page.evaluate(FAULTY) == []
    assert visitor.page.locator("mjx-container").count() > 1000
    assert visitor.faults == []


def test_a_chapter_asks_for_nothing_outside_its_folder(opened):
    visitor = opened(notebooks.read(runner.NOTEBOOKS[0]))
    assert visitor.page.get_by_role("link", name="Open in Colab").count() == 1
    assert visitor.page.locator("img:not([alt]), img[alt='']").count() == 0
    assert visitor.faults == []


def test_without_the_package_there_is_no_mathjax(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "find_spec", lambda name: None)
    runner.copy_mathjax(tmp_path)
    assert list(tmp_path.iterdir()) == []
