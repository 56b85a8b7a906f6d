"""Slides: what of a chapter is one, and how they look in a browser, without a network."""

import importlib
import shutil
from importlib.util import find_spec

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robust_lib.course import runner
from robust_lib.course.slides import mark
from tests.site.conftest import ROOT

SHOWN = {"image/png": "iVBOR\n", "text/plain": "A figure's alt text"}
# Of each slide in turn: where it is larger than its frame, or its picture too small to read.
UNFIT = """() => {
    const unfit = [];
    for (let i = 0; i < Reveal.getTotalSlides(); i++) {
        Reveal.slide(i);
        const slide = Reveal.getCurrentSlide();
        const image = slide.querySelector("img");
        if (slide.scrollWidth > 1280 || slide.scrollHeight > 720 || (image && image.clientHeight < 300))
            unfit.push(`slide ${i + 1}: ${slide.innerText.slice(0, 60)}`);
    }
    return unfit;
}"""


@pytest.fixture
def slides(monkeypatch):
    """site/slides.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "site"))
    return importlib.import_module("slides")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The slides of every chapter, as `make site` writes them."""
    if find_spec("sphinx_revealjs") is None or find_spec("sphinx-mathjax-offline") is None:
        pytest.skip("sphinx-revealjs or sphinx-mathjax-offline is missing")
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "site"))
        importlib.import_module("slides").write(folder)
    runner.copy_mathjax(folder / "_static")
    shutil.copy(ROOT / "site" / "static" / "slides.css", folder / "_static")
    return folder


def chapter():
    figure = new_code_cell("plot()", outputs=[new_output("display_data", SHOWN)])
    cells = [
        new_markdown_cell("# Do a thing\n\n**What you'll learn.** That $p$ counts.\n\n**Need.** A"),
        new_code_cell("x = 1"),
        figure,
        new_markdown_cell(
            "**Figure 1.1.** What is drawn.\n\nWhat it shows.\n\n## 1. A part\n\nFirst this. "
            "The [rule](a.md#b) is\n\n$$a = b, \\qquad c = d$$\n\n**Predict.** How much\nis it?\n\nMore text."
        ),
        new_markdown_cell("## Aside (optional, 2 minutes)\n\n**Predict.** No slide?\n\n$$z$$"),
        new_code_cell("plot()", outputs=figure.outputs),
        new_markdown_cell("## Takeaways\n\n- One.\n- Two\n  lines."),
    ]  # fmt: skip
    return new_notebook(cells=cells)


def test_the_rule_marks_opening_figures_formulas_questions_and_takeaways():
    notebook = chapter()
    notebook.cells[1].metadata["slideshow"] = {"slide_type": "slide"}  # an old mark goes
    mark(notebook)
    marked = [number for number, cell in enumerate(notebook.cells) if "slideshow" in cell.metadata]
    assert marked == [0, 2, 3, 6]


def test_slides_have_a_kind_a_heading_and_few_words(slides):
    notebook = chapter()
    mark(notebook)
    opening, figure, formula, question, takeaways = slides.slides(notebook)
    assert opening == {"kind": "opening", "heading": "Do a thing", "text": "<p>That $p$ counts.</p>"}
    assert (figure["image"], figure["alt"]) == ("iVBOR", "A figure's alt text")
    assert figure["text"] == "<p><strong>Figure 1.1.</strong> What is drawn.</p>"
    assert formula["heading"] == "1. A part"
    assert "First this" not in formula["text"]
    assert "The rule is" in formula["text"]
    assert formula["text"].count("$$") == 4
    assert question["text"].endswith("How much\nis it?</p>")
    assert takeaways["text"].count("<li>") == 2


def test_a_cell_without_its_mark_is_no_slide(slides):
    notebook = chapter()
    mark(notebook)
    del notebook.cells[2].metadata["slideshow"]
    assert "figure" not in [slide["kind"] for slide in slides.slides(notebook)]


@pytest.mark.parametrize(
    ("words", "sizes"), [([10, 10], [2]), ([60, 60], [1, 1]), ([40, 40, 40, 5], [2, 2]), ([200], [1])]
)
def test_takeaways_are_shared_out_evenly(slides, words, sizes):
    points = ["word " * count for count in words]
    groups = slides.grouped(points)
    assert [len(group) for group in groups] == sizes
    assert [point for group in groups for point in group] == points


def test_a_formula_keeps_its_number_and_loses_what_leads_on(slides):
    texts = [
        one["text"] for one in slides.from_text("1. A part", "It is $q$.\n\n$$a = b, \\qquad (4)$$\n\n$$c:$$")
    ]
    assert ["$$a = b, \\qquad (4)$$" in texts[0], "$$c$$" in texts[1]] == [True, True]
    kept = '<span style="white-space: nowrap">'
    assert (
        slides.html("At $p$, ($q = 1$) and $$x$$.")
        == f"<p>At {kept}$p$,</span> {kept}($q = 1$)</span> and $$x$$.</p>"
    )


# Of each printed slide: where it is larger than its sheet, and how many sheets there are for a slide.
PRINTED = """() => {
    const sheets = [...document.querySelectorAll(".pdf-page")];
    const sections = [...document.querySelectorAll(".pdf-page section")];
    const long = sections.filter((s) => s.scrollHeight > 721 || s.scrollWidth > 1281);
    return [sheets.length / sections.length, long.map((s) => s.innerText.slice(0, 60))];
}"""


@pytest.mark.parametrize("path", runner.NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slide_is_printed_on_one_sheet(folder, browser, path):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto((folder / "slides" / f"{path.stem}.html").as_uri() + "?print-pdf")
    page.wait_for_selector(".pdf-page")
    page.evaluate("MathJax.startup.promise")
    for _ in range(50):  # formulas are fitted after it, on a busy machine later
        if (found := page.evaluate(PRINTED)) == [1, []]:
            break
        page.wait_for_timeout(100)
    assert found == [1, []]
    page.close()


@pytest.mark.parametrize("path", runner.NOTEBOOKS, ids=lambda path: path.stem)
def test_every_slide_fits_and_nothing_leaves_the_folder(folder, browser, path):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: r.url.startswith((folder.as_uri(), "data:")) or faults.append(r.url))
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
    page.goto((folder / "slides" / f"{path.stem}.html").as_uri())
    page.evaluate("MathJax.startup.promise")
    assert page.evaluate("Reveal.getTotalSlides()") >= 5
    assert page.evaluate(UNFIT) == []
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    page.evaluate("Reveal.slide(0)")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getIndices().h") == 1
    page.close()
    assert faults == []
