"""Links and images of a built site: each must lead to a file in it, and to a place that is there."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The places of a page, and where it points to."""

    def __init__(self, text: str):
        super().__init__()
        self.places: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key == "id" or (key == "name" and tag == "a"):
                self.places.add(value)
            if key in ("href", "src") and value is not None:
                self.targets.append(value)


def broken(folder: Path) -> list[str]:
    """'PAGE: TARGET' for each link, script, style or image that is missing, or that has a missing place."""
    pages = {path.resolve(): _Page(path.read_text()) for path in folder.rglob("*.html")}
    return [
        f"{path.relative_to(folder.resolve())}: {target}"
        for path, page in sorted(pages.items())
        for target in _missing(path, page, pages)
    ]


def _missing(path: Path, page: _Page, pages: dict) -> Iterator[str]:
    for target in page.targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        place = unquote(parts.fragment)
        if "=" in place:  # what a reader has set in the loss explorer
            place = ""
        if not file.is_file() or (place and file in pages and place not in pages[file].places):
            yield target
