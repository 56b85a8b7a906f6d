"""The site: how its source is staged, that links are followed, and every page of a built one in a browser."""

import importlib
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.site.conftest import ROOT

SITE = ROOT / "build" / "site"


@pytest.fixture
def tool(monkeypatch):
    """tool("links") → site/links.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "site"))
    return importlib.import_module


@pytest.fixture
def built() -> Path:
    if not (SITE / "index.html").exists():
        pytest.skip("there is no built site here: make site")
    return SITE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [*margin*](glossary.md#margin).", 'a <a href="glossary.html#margin">*margin*</a>.'),
        ('<a href="../figures/errata.md#cv-9">cv-9</a>', '<a href="../figures/errata.html#cv-9">cv-9</a>'),
        ("[explorer](../site/explorer.html)", '<a href="../explorer.html">explorer</a>'),
        ("[e](../site/explorer.html#view=plane)", '<a href="../explorer.html#view=plane">e</a>'),
        ("[a page](losses.md), [a section](#below)", "[a page](losses.md), [a section](#below)"),
        ("[away](https://x.org/a.md#b)", "[away](https://x.org/a.md#b)"),
    ],
)  # fmt: skip
def test_links_to_places_become_html(tool, text, expected):
    assert tool("pages").with_places(text) == expected


def test_a_staged_notebook_has_number_links_and_alt_texts(tool):
    staged = tool("pages").notebook(ROOT / "notebooks" / "02_watch_the_margins.ipynb")
    first = staged.cells[0].source
    assert first.startswith("# 02 Train on noisy MNIST")
    assert first.index("[Open in Colab]") < first.index("[Open in Kaggle]")
    assert "badge" not in first  # a picture from the network
    with_images = [
        cell
        for cell in staged.cells
        if any("image/png" in o.get("data", {}) for o in cell.get("outputs", []))
    ]
    assert with_images
    assert all(len(cell.metadata["mystnb"]["image"]["alt"]) > 20 for cell in with_images)
    committed = nbformat.read(ROOT / "notebooks" / "02_watch_the_margins.ipynb", 4)
    assert [cell.get("outputs") for cell in staged.cells] == [cell.get("outputs") for cell in committed.cells]


def test_the_page_of_find_shows_the_pictures_of_its_tour(tool):
    page = tool("pages").find_page()
    for path in (ROOT / "figures" / "find-tour").glob("*.png"):
        assert page.count(f"](figures/find-tour/{path.name})") == 1
    assert "](figures/find-tour)" not in page


def test_the_start_page_names_only_chapters_that_are_written(tool, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_a.ipynb").touch()
    (tmp_path / "index.md").write_text("# Course\n\nnotebooks/0[1-7]_*\nnotebooks/1[01]_*\nfind\n")
    assert tool("pages").with_chapters(tmp_path) == "# Course\n\nnotebooks/0[1-7]_*\nfind\n"


def test_the_reference_has_doors_and_their_topics(tool):
    pages = tool("pages")
    assert pages.topics("losses") == ["ops", "table", "weights"]
    assert ".. automodule:: robust_lib.losses.weights" in pages.api_page("losses")
    packages = {path.parent.name for path in (ROOT / "robust_lib").glob("*/__init__.py")}
    assert set(pages.PACKAGES) == packages


def test_sphinx_finds_no_fault(tool, tmp_path):
    """All pages are read and their links resolved, and nothing is written: some 40 s."""
    pytest.importorskip("sphinx_revealjs", reason="the site's packages are missing")
    tool("pages").stage(tmp_path / "source")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    places = ["-c", str(ROOT / "site"), str(tmp_path / "source"), str(tmp_path / "nothing")]
    said = subprocess.run([*command, *places], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


def test_links_that_lead_nowhere_are_named(tool, tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">1</a><a href="b.html#there">2</a><a href="b.html#view=film">3</a>'
        '<a href="b.html#gone">4</a><img src="lost.png"><a href="https://x.org/lost">5</a>'
        '<a href="c.html">6</a>'
    )
    (tmp_path / "b.html").write_text('<a name="there"></a>')
    assert tool("links").broken(tmp_path) == [
        "a.html: b.html#gone", "a.html: lost.png", "a.html: c.html",
    ]  # fmt: skip


def test_every_page_opens_offline(built, visit):
    visitor = visit(built / "index.html", 380)
    formulas = 0
    for path in sorted(built.rglob("*.html")):
        visitor.page.goto(path.as_uri(), wait_until="load")
        name = path.relative_to(built)
        assert visitor.page.title(), name
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        if visitor.page.locator(".math").count():
            visitor.page.wait_for_selector("mjx-container")
            formulas += 1
        assert visitor.page.locator("mjx-merror, [data-mjx-error]").count() == 0, name
        assert visitor.page.locator("img:not([alt]), img[alt='']").count() == 0, name
        assert visitor.faults == [], name
    assert formulas > 10


def test_search_finds_a_word_offline(built, visit):
    visitor = visit(built / "search.html")
    page = visitor.page
    page.goto((built / "search.html").as_uri() + "?q=Blurry")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 3
    assert visitor.faults == []
