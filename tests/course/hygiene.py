"""The rules for stored notebooks, each a function from a file to messages."""

import copy
import math
import re
import statistics
from pathlib import Path

import nbformat

from robust_lib.course import notebooks, runner, slides

MAX_BYTES = 1_500_000
MEDIAN_LINES, P90_LINES = 8, 25
MIN_ALT = 20
TAGS = {"parameters", "claims", "nbval-check-output"}  # a misspelt tag would switch its check off
OPENING = ("Where this stands", "What you'll do", "What you'll learn", "What you'll need")
CORE_CELLS, CORE_WORDS = 45, 2500
NO_WORDS = re.compile(r"(?s)\$\$.*?\$\$|^\*\*Figure [^\n]*")
BADGE = "https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}"
WIDGET_TYPES = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
PRIVATE = {
    "a home folder": r"/home/\w|/Users/\w|/root/|[A-Z]:\\Users",
    "a temporary folder": r"/tmp/|/var/folders/",
    "a memory address": r"\bat 0x[0-9a-f]{6,}",
}


def problems(path: Path) -> list[str]:
    """Every rule that a stored notebook breaks, as text; empty when it is clean."""
    try:
        notebook = notebooks.read(path)
        nbformat.validate(notebook)
        notebooks.check_source(notebook)
        notebooks.check_executed(notebook)
    except (notebooks.NotebookError, nbformat.ValidationError) as error:
        return [str(error)]
    return [message for rule in RULES for message in rule(path, notebook)]


def _name(path, notebook):
    if not re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", path.name):
        yield "file name: two digits, an underscore, then lower-case words"


def _size(path, notebook):
    if path.stat().st_size > MAX_BYTES:
        yield f"file has {path.stat().st_size} bytes; at most {MAX_BYTES} are allowed"


def _executed_in_order(path, notebook):
    counts = [cell.execution_count for cell in notebooks.code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not executed 1..N on a fresh kernel: {counts}"


def _metadata(path, notebook):
    if set(notebook.metadata) != {"kernelspec", "language_info"}:
        yield f"notebook metadata must be kernelspec and language_info; it has {sorted(notebook.metadata)}"
    elif notebook.metadata.kernelspec.name != "python3":
        yield f"kernelspec must be python3; it is {notebook.metadata.kernelspec.name}"
    strange = {key for cell in notebook.cells for key in cell.metadata} - {"tags", "jupyter", "slideshow"}
    if strange:
        yield f"cell metadata left by a tool: {sorted(strange)}"
    unknown = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} - TAGS
    if unknown:
        yield f"unknown tags {sorted(unknown)}; known are {sorted(TAGS)}"


def _outputs(path, notebook):
    for number, output in _all_outputs(notebook):
        if output.get("name") == "stderr":
            yield f"cell [{number}] wrote to stderr: {output.text.strip().splitlines()[0]}"
        if any(kind in output.get("data", {}) for kind in WIDGET_TYPES):
            yield f"cell [{number}] shows a widget; stored notebooks hold none"
        for what, pattern in PRIVATE.items():
            if found := re.search(pattern, _output_text(output)):
                yield f"cell [{number}] prints {what}: {found.group()}"


def _alt_text(path, notebook):
    for number, output in _all_outputs(notebook):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            text = output.data.get("text/plain", "").strip()
            if text.startswith("<") or len(text) < MIN_ALT:
                yield f"cell [{number}]: image without alt text of {MIN_ALT} characters; it has {text!r}"
    if any(re.search(r"!\[\s*\]\(|<img(?![^>]*alt=)", cell.source) for cell in notebook.cells):
        yield "an image in the text has no alt text"


def _slides(path, notebook):
    by_rule = copy.deepcopy(notebook)
    slides.mark(by_rule)
    for cell, wanted in zip(notebook.cells, by_rule.cells, strict=True):
        if cell.metadata.get("slideshow") != wanted.metadata.get("slideshow"):
            yield f"marks of slides are not the rule's (python site/slides.py --mark): {cell.source[:40]!r}"


def _captions(path, notebook):
    figure = 0
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if not any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            continue
        figure += 1
        caption = f"**Figure {path.name[:2].lstrip('0')}.{figure}.** "
        if after is None or not after.source.startswith(caption):
            yield f"the text after a figure must start with its caption, {caption!r}"
    if "\n## References\n" not in _text(notebook):
        yield "there is no section '## References'"


def _checked_text(path, notebook):
    if not any("nbval-check-output" in cell.metadata.get("tags", []) for cell in notebook.cells):
        yield "no cell is tagged 'nbval-check-output'"


def _cell_lengths(path, notebook):
    lengths = sorted(len(cell.source.splitlines()) for cell in notebooks.code_cells(notebook))
    median, p90 = statistics.median(lengths), lengths[math.ceil(0.9 * len(lengths)) - 1]
    if median > MEDIAN_LINES or p90 > P90_LINES:
        limits = f"at most {MEDIAN_LINES} and {P90_LINES}"
        yield f"code cells: median {median:g} lines, 90th percentile {p90}; allowed are {limits}"


def _pace(path, notebook):
    cells, words = core(notebook)
    if cells > CORE_CELLS or words > CORE_WORDS:
        limits = f"at most {CORE_CELLS} and {CORE_WORDS}; mark what can be skipped '(optional, n minutes)'"
        yield f"core path: {cells} code cells and {words} words; allowed are {limits}"
    for heading in re.findall(r"(?m)^#+ .*optional.*$", _text(notebook)):
        if not notebooks.OPTIONAL.search(heading):
            yield f"an optional section's heading ends '(optional, n minutes)'; found {heading!r}"


def core(notebook) -> tuple[int, int]:
    """Code cells and words outside the optional sections. Captions, references and formulas on lines of their
    own are not counted."""
    cells, words = 0, 0
    for cell, part in notebooks.core_parts(notebook):
        if cell.cell_type == "code":
            cells += bool(part.strip())
        else:
            words += len(NO_WORDS.sub("", part).split())
    return cells, words


def _links(path, notebook):
    for page, anchor in re.findall(r"(?:\]\(|href=\")([\w./-]+\.md)#([\w-]+)", _text(notebook)):
        if f'id="{anchor}"' not in (runner.ROOT / "notebooks" / page).read_text(encoding="utf-8"):
            yield f"a link to {page}#{anchor}: there is no such place"


def _explorer(path, notebook):
    text = _text(notebook)
    for place in re.findall(r"\]\(\.\./site/(explorer\.html[^)]*)\)", text):
        if f"]({runner.PAGES}/site/{place})" not in text:
            yield f"a link to {place} works in a clone alone: put {runner.PAGES}/site/{place} beside it"


def _opening(path, notebook):
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell must be markdown that starts with the title"
    text = "\n".join(cell.source for cell in _before_parameters(notebook))
    missing = [heading for heading in OPENING if heading not in text]
    if missing:
        yield f"opening block without {missing}"


def _badge(path, notebook):
    wanted = BADGE.format(repository=runner.REPOSITORY, name=path.name)
    text = _text(notebook)
    found = set(re.findall(r"https://colab\.research\.google\.com/[^\s)\"]*\.ipynb", text))
    if found != {wanted}:
        yield f"Colab badge must be {wanted}; found {sorted(found)}"
    for repository in re.findall(r"git\+https://github\.com/([\w.-]+/[\w-]+)", text):
        if repository != runner.REPOSITORY:
            yield f"install line names {repository}; the repository is {runner.REPOSITORY}"


def _install_order(path, notebook):
    for cell in notebooks.code_cells(notebook):
        package, cleanlab = (
            cell.source.find(f"%pip install -q {what}") for what in ("--no-deps", "cleanlab")
        )
        if package >= 0 and not 0 <= cleanlab < package:  # pip would say in red that it is missing
            yield "cleanlab must be installed before the package"


def _text(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def _before_parameters(notebook):
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            return
        yield cell


def _all_outputs(notebook):
    for number, cell in enumerate(notebooks.code_cells(notebook), 1):
        for output in cell.outputs:
            yield number, output


def _output_text(output) -> str:
    data = output.get("data", {})
    readable = [text for kind, text in data.items() if kind.startswith("text/") or kind == "image/svg+xml"]
    return "\n".join([output.get("text", ""), *readable])


RULES = (
    _name,
    _size,
    _executed_in_order,
    _metadata,
    _outputs,
    _alt_text,
    _slides,
    _captions,
    _checked_text,
    _cell_lengths,
    _pace,
    _links,
    _explorer,
    _opening,
    _badge,
    _install_order,
)
