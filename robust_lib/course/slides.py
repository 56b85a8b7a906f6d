"""Which cells of a chapter are slides, by rule: its opening, figures, formulas, predictions and takeaways.

The mark is Jupyter's own, ``slideshow.slide_type``. Code, exercises and optional sections have none.
"""

import re

from robust_lib.course import notebooks

FORMULA = re.compile(r"(?ms)^\$\$.*?\$\$")
PREDICT = re.compile(r"(?ms)^\*\*Predict\.\*\*.*?(?=\n\n|\Z)")
TAKEAWAYS = re.compile(r"(?ms)\A## Takeaways\n(.*)")


def mark(notebook) -> None:
    """Mark every cell that a slide is made of, and take all other marks away."""
    marked = [notebook.cells[0]]
    for cell, part in notebooks.core_parts(notebook):
        if cell.cell_type == "code":
            found = picture(cell)
        else:
            found = FORMULA.search(part) or PREDICT.search(part) or TAKEAWAYS.match(part)
        marked += [cell] if found else []
    for cell in notebook.cells:
        cell.metadata.pop("slideshow", None)
        if any(cell is one for one in marked):
            cell.metadata["slideshow"] = {"slide_type": "slide"}


def marked(cell) -> bool:
    """Whether a cell is a slide, by its own metadata."""
    return cell.metadata.get("slideshow", {}).get("slide_type") == "slide"


def picture(cell) -> dict | None:
    """The data of the first picture that a code cell shows, as PNG with its alt text as text/plain."""
    data = (output.get("data", {}) for output in cell.get("outputs", []))
    return next((one for one in data if "image/png" in one), None)
