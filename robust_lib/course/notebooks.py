"""What must hold of a notebook before and after it runs, and how it is stored.

Left alone, papermill runs the defaults when a parameter is misspelt, and exits 0 when a cell calls
``sys.exit(0)`` and the rest never runs. So `check_source` reads a notebook before it runs, `check_executed`
after. Whatever is wrong becomes one line that says why.
"""

import ast
import re
from pathlib import Path

import nbformat

from robust_lib import records
from robust_lib.course.claims import METADATA_KEY

OPTIONAL = re.compile(r"\(optional, (1 minute|\d+ minutes)\)$")
FORBIDDEN_TAGS = ("raises-exception", "skip-execution", "injected-parameters")


class NotebookError(Exception):
    """A notebook that breaks the rules, or failed; the message is one line that says why."""


def read(path: Path):
    """A notebook as nbformat gives it; NotebookError when the file is not one."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"cannot be read as a notebook: {first_line(str(error))}") from None


def code_cells(notebook) -> list:
    """The code cells that hold code; no front end executes an empty one."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def title(notebook) -> str | None:
    """The first heading of the first level."""
    headings = [re.match(r"# (.+)", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
    return next((heading.group(1).strip() for heading in headings if heading), None)


def core_parts(notebook):
    """(cell, part) for each code cell, and for each piece of text that a heading begins, outside the optional
    sections and the references."""
    skipped = 0  # the level of the optional heading we are below, 0 for none
    for cell in notebook.cells:
        parts = [cell.source] if cell.cell_type == "code" else re.split(r"(?m)^(?=#+ )", cell.source)
        for part in parts:
            heading = cell.cell_type == "markdown" and re.match(r"(#+) (.*)", part)
            if heading and (not skipped or len(heading[1]) <= skipped):
                skipped = len(heading[1]) if OPTIONAL.search(heading[2]) or heading[2] == "References" else 0
            if not skipped:
                yield cell, part


def _tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# --- parameters ---------------------------------------------------------------------------------------------


def parameters(notebook) -> dict:
    """Names and defaults from the ``parameters`` cell, which holds ``NAME = literal`` lines and nothing else.

    papermill injects its cell after this one, so a value derived here would keep its default: literals only.
    papermill.inspect_notebook would take such values, and cuts a string at its #.
    """
    cells = _tagged(notebook, "parameters")
    if len(cells) != 1 or cells[0].cell_type != "code":
        raise NotebookError(f"needs exactly one code cell tagged 'parameters'; cells so tagged: {len(cells)}")
    try:
        pairs = [_assignment(statement) for statement in ast.parse(cells[0].source).body]
    except SyntaxError as error:
        raise NotebookError(f"parameters cell: line {error.lineno} is not Python: {error.msg}") from None
    defaults = dict(pairs)
    if len(defaults) != len(pairs):
        raise NotebookError("parameters cell: a name is assigned twice")
    if defaults.get("PROFILE") != "quick":
        raise NotebookError('parameters cell: it must have PROFILE = "quick"')
    return defaults


def _assignment(statement: ast.stmt) -> tuple[str, object]:
    line = ast.unparse(statement).splitlines()[0]
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
        raise NotebookError(f"parameters cell: only NAME = literal is allowed; found {line}")
    try:
        value = ast.literal_eval(statement.value)
    except ValueError:
        raise NotebookError(f"parameters cell: only literals are allowed; found {line}") from None
    if not isinstance(statement.targets[0], ast.Name) or type(value) not in (bool, int, float, str, list):
        raise NotebookError(f"parameters cell: allowed are bool, int, float, str and list; found {line}")
    return statement.targets[0].id, value


def typed(given: dict[str, str], defaults: dict) -> dict:
    """Values given as text, in the types of the defaults; ValueError for an unknown name or another type."""
    values = {}
    for name, text in given.items():
        if name not in defaults:
            raise ValueError(f"unknown parameter {name}; known are: {', '.join(defaults)}")
        kind = type(defaults[name])
        value = text if kind is str else _literal(text)
        values[name] = float(value) if kind is float and type(value) is int else value
        if type(values[name]) is not kind:
            default = f"{kind.__name__}, like its default {defaults[name]!r}"
            raise ValueError(f"parameter {name} must be {default}; got {text!r}")
    return values


def _literal(text: str):
    text = {"true": "True", "false": "False"}.get(text, text)  # as a string, "false" would be true
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# --- the door -----------------------------------------------------------------------------------------------


def check_source(notebook) -> dict:
    """What must hold before a notebook runs: its parameters with defaults, or NotebookError."""
    defaults = parameters(notebook)
    code = code_cells(notebook)
    claims = _tagged(notebook, "claims")
    if len(claims) != 1 or claims[0] is not code[-1]:
        raise NotebookError("the last code cell, and no other, must be tagged 'claims'")
    for number, cell in enumerate(code, 1):
        for tag in FORBIDDEN_TAGS:
            if tag in cell.metadata.get("tags", []):
                raise NotebookError(f"code cell {number}: the tag {tag!r} is not allowed")
    return defaults


def check_executed(notebook) -> None:
    """What must hold after a notebook ran: no cell failed, every cell ran, its claims were made and held."""
    code = code_cells(notebook)
    for number, cell in enumerate(code, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                raise NotebookError(f"cell [{number}] raised {output.ename}: {first_line(output.evalue)}")
        if cell.metadata.get("papermill", {}).get("exception"):  # a misspelt magic: only stderr says so
            complaint = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
            raise NotebookError(f"cell [{number}] failed: {first_line(complaint)}")
    unrun = [number for number, cell in enumerate(code, 1) if cell.execution_count is None]
    if unrun:
        raise NotebookError(f"cells never ran: {len(unrun)} of {len(code)}, from [{unrun[0]}] on")
    claims = claim_counts(notebook)
    if claims is None:
        raise NotebookError("its last cell reported no claims: it must call Claims.report()")
    if claims[0] != claims[1]:
        raise NotebookError(f"claims passed: {claims[0]}/{claims[1]}")


def claim_counts(notebook) -> tuple[int, int] | None:
    """Claims (passed, made) that the last code cell reported; None without a report."""
    outputs = code_cells(notebook)[-1].outputs
    counts = [out.metadata[METADATA_KEY] for out in outputs if METADATA_KEY in out.get("metadata", {})]
    return (sum(c["passed"] for c in counts), sum(c["total"] for c in counts)) if counts else None


# --- stored notebooks ---------------------------------------------------------------------------------------


def store(notebook, path: Path) -> None:
    """Write an executed notebook without anything that differs between two equal runs.

    nbconvert's ClearMetadataPreprocessor would leave the times that papermill writes into text cells.
    """
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    # Where the kernel cuts a stream into pieces depends on timing.
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("jupyter", "slideshow", "tags") if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
    records.atomically(path, nbformat.writes(notebook) + "\n")
