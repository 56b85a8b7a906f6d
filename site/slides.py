"""Slides of every chapter, for 16:9 screens, from the cells that are marked so; reveal.js shows them.

python site/slides.py --mark    # mark the cells of the committed notebooks by the rule of course/slides.py
"""

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import jinja2
import nbformat
from nbconvert.filters import markdown2html

from robust_lib.course import notebooks, runner
from robust_lib.course.slides import FORMULA, PREDICT, TAKEAWAYS, mark, marked, picture

HERE = Path(__file__).parent
WORDS = 75  # of takeaways on one slide


def write(out: Path) -> None:
    """slides/NAME.html for every chapter, and reveal.js in _static/ beside them."""
    reveal = Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs" / "dist"
    static = out / "_static" / "reveal"
    static.mkdir(parents=True, exist_ok=True)
    for name in ("reset.css", "reveal.css", "reveal.js"):
        shutil.copy(reveal / name, static)
    (out / "slides").mkdir(exist_ok=True)
    for path in runner.NOTEBOOKS:
        (out / "slides" / f"{path.stem}.html").write_text(page(path), encoding="utf-8")


def page(path: Path) -> str:
    """The slides of one chapter, as HTML."""
    notebook = notebooks.read(path)
    template = jinja2.Environment().from_string((HERE / "slides.html.j2").read_text(encoding="utf-8"))
    facts = {"number": path.name[:2], "name": path.stem, "title": notebooks.title(notebook)}
    return template.render(slides=list(slides(notebook)), **facts)


def slides(notebook) -> Iterator[dict]:
    """A slide is a kind, a heading and a text, both HTML, and the picture and alt text of a figure."""
    learn = re.search(r"(?ms)^\*\*What you'll learn\.\*\* (.*?)(?=\n\n|\Z)", notebook.cells[0].source)
    yield slide("opening", notebooks.title(notebook), learn[1] if learn else "")
    after = dict(zip(map(id, notebook.cells), notebook.cells[1:], strict=False))
    section = ""
    for cell, part in notebooks.core_parts(notebook):
        if cell.cell_type == "code":
            if marked(cell) and (shown := picture(cell)):
                caption = after[id(cell)].source.split("\n\n")[0]
                drawn = {"image": shown["image/png"].replace("\n", ""), "alt": shown["text/plain"]}
                yield slide("figure", section, caption) | drawn
            continue
        if heading := re.match(r"##+ (.*)", part):
            section = heading[1]
        if marked(cell):
            yield from from_text(section, part)


def from_text(section: str, part: str) -> Iterator[dict]:
    """The formulas of a piece of text, its question, its takeaways."""
    for formula in FORMULA.finditer(part):
        lines = formula[0]
        if "\\begin" not in lines:  # a slide has room below, not beside
            lines = re.sub(r"\\qquad(?!\s*\(\d+\))", "$$\n\n$$", lines)  # a number stays at its equation
            lines = re.sub(r"[:,](\s*\$\$)$", r"\1", lines)  # nothing follows on a slide
        yield slide("formula", section, f"{lead(part[: formula.start()])}\n\n{lines}")
    for question in PREDICT.finditer(part):
        yield slide("predict", section, question[0])
    if list_of := TAKEAWAYS.match(part):
        for group in grouped(re.split(r"(?m)^- ", list_of[1].strip())[1:]):
            yield slide("takeaways", section, "\n".join(f"- {point}" for point in group))


def lead(text: str) -> str:
    """The last sentence before a formula."""
    paragraph = text.strip().split("\n\n")[-1]
    if paragraph.startswith(("#", "**Figure", "<", "$$")):
        return ""
    return re.split(r"(?<=[.?!]) (?=[A-Z])", " ".join(paragraph.split()))[-1]


def grouped(points: list[str]) -> list[list[str]]:
    """Points in slides of about equally many words, WORDS at most where no point is longer."""
    words = [len(point.split()) for point in points]
    count, groups = max(1, -(-sum(words) // WORDS)), [[]]
    for point in points:
        held = sum(len(one.split()) for one in groups[-1])
        if groups[-1] and held + len(point.split()) / 2 > sum(words) / count:
            groups.append([])
        groups[-1].append(point)
    return groups


def slide(kind: str, heading: str, text: str) -> dict:
    heading = re.sub(r"^(\d+)\.", r"\1\\.", heading)  # "1." would begin a list
    heading = re.sub(r"^<p>|</p>$", "", html(heading))
    return {"kind": kind, "heading": heading, "text": html(text)}


def html(text: str) -> str:
    """Markdown as HTML; of a link its text. A formula stays in one line with its brackets and full stop."""
    written = markdown2html(re.sub(r"(?<!!)\[([^\]]+)\]\([^)\s]+\)", r"\1", text)).strip()
    inline = r"\(?(?<![$\\])\$[^$\n]+\$(?!\$)[).,;:?!]+"
    return re.sub(inline, r'<span style="white-space: nowrap">\g<0></span>', written)


if __name__ == "__main__":
    if sys.argv[1:] != ["--mark"]:
        sys.exit(f"usage: python {sys.argv[0]} --mark")
    for path in runner.NOTEBOOKS:
        notebook = notebooks.read(path)
        mark(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
