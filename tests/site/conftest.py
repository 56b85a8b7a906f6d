"""Visits to the site's pages, in the browser of tests/conftest.py."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Visit:
    """A page with what it said and what it asked for."""

    def __init__(self, page, path: Path):
        self.page, self.path = page, path
        self.faults: list[str] = []
        page.on("console", lambda message: self._log(message.type, message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))

    def _log(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.path.parent.as_uri(), "data:", "blob:")):
            self.faults.append(f"left the folder: {url}")

    def go(self, fragment: str = ""):
        self.page.goto(self.path.as_uri() + fragment)
        return self.page


@pytest.fixture
def visit(browser):
    """visit(path, width=1280, height=900) → a Visit; its pages are closed at the end of the test."""
    pages = []

    def open_page(path: Path, width: int = 1280, height: int = 900) -> Visit:
        pages.append(browser.new_page(viewport={"width": width, "height": height}))
        return Visit(pages[-1], path)

    yield open_page
    for page in pages:
        page.close()
