"""The notebooks as a student gets them: nothing shows a result before its prediction, or an exercise done.

The text and the code stay as they are. Outputs go where the reader is to act first: those of every exercise,
and all from a prediction to the cell that compares it. The solutions stay behind.
"""

import copy
import re
import shutil
from pathlib import Path

import nbformat

from robust_lib.course import notebooks, runner

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)\n*")
_NAMED = r"Solutions(?: of the exercises)?(?::|\s+are\s+in)\s+`notebooks/solutions/\d\d_solutions\.ipynb`\."
SOLUTIONS = re.compile(rf"[ \n]?(?:\({_NAMED}\)|{_NAMED})")
PREDICT, COMPARE, EXERCISE = "checks.predict(", ".compare(", "checks.check("


def version(notebook):
    """A copy of a chapter for a student; NotebookError where a prediction is never compared."""
    notebook = copy.deepcopy(notebook)
    waiting = None
    for number, cell in enumerate(notebooks.code_cells(notebook), 1):
        if PREDICT in cell.source and waiting:
            raise notebooks.NotebookError(f"code cell {waiting}: its prediction is never compared")
        waiting = number if PREDICT in cell.source else waiting
        if waiting or EXERCISE in cell.source:
            cell.outputs, cell.execution_count = [], None
        waiting = None if COMPARE in cell.source else waiting
    if waiting:
        raise notebooks.NotebookError(f"code cell {waiting}: its prediction is never compared")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _links(cell.source)
    return notebook


def _links(text: str) -> str:
    """Without the Colab badge, which opens the chapter with all outputs; links out of notebooks/ lead to the
    repository, and those to a page that a browser should open to where GitHub Pages serves it. Solutions go
    unnamed."""
    text = SOLUTIONS.sub("", BADGE.sub("", text)).replace("](../site/", f"]({runner.PAGES}/site/")
    return re.sub(r"(\]\(|href=\")\.\./", rf"\1https://github.com/{runner.REPOSITORY}/blob/main/", text)


def write(paths: list[Path], out: Path) -> None:
    """The student versions of these notebooks, and the pages that they link to, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        nbformat.write(version(notebooks.read(path)), out / path.name)
    for page in {page for path in paths for page in path.parent.glob("*.md")}:
        shutil.copy(page, out)
