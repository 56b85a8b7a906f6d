"""The course runner: every notebook executed headless behind a strict door, then a table and pages to browse.

papermill does the executing. Left alone it runs the defaults when a parameter is misspelt, and exits 0 when a
cell calls ``sys.exit(0)`` and the rest never runs; so a notebook is checked before it runs (`check_source`)
and after (`check_executed`), and whatever is wrong becomes one line that names the notebook and the reason.
"""

import ast
import contextlib
import html
import json
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import nbformat
import papermill
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import CellTimeoutError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from robust_lib.course.claims import METADATA_KEY

REPOSITORY = "robust-losses-course/robust-losses-course"  # owner/name; nothing else in the library names it
ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "figures"  # where an in-place run draws
CELL_SECONDS = {"quick": 1800, "full": 6 * 3600}  # the longest that one cell may run, per profile
KERNEL_START_SECONDS = 120
FORBIDDEN_TAGS = ("raises-exception", "skip-execution", "injected-parameters")
# The kernel's own high-water mark. On Linux ru_maxrss starts from the size of the process that forked it.
PEAK_BYTES = (
    "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
    " if __import__('sys').platform == 'linux' else __import__('resource').getrusage(0).ru_maxrss"
)


class NotebookError(Exception):
    """A notebook that breaks the rules, or failed; the message is one line that says why."""


@dataclass
class Row:
    """One notebook of a run: what to execute, and then its line in the table."""

    path: Path
    title: str = ""
    values: dict = field(default_factory=dict)
    error: str | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    claims: tuple[int, int] | None = None
    page: str | None = None
    figures: list[Path] = field(default_factory=list)

    def texts(self) -> tuple[str, str, str, str]:
        """Notebook, seconds, peak memory and claims, as the table shows them."""
        seconds = "-" if self.seconds is None else f"{self.seconds:.1f}"
        memory = "-" if self.peak_bytes is None else f"{self.peak_bytes / 1e6:.0f} MB"
        claims = "-" if self.claims is None else f"{self.claims[0]}/{self.claims[1]}"
        return self.path.stem, seconds, memory, claims


# --- which notebooks, with which parameters -----------------------------------------------------------------


def discover(folder: Path) -> list[Path]:
    """The notebooks of a folder whose names start with a number, in the order of that number."""
    numbered = [path for path in folder.glob("*.ipynb") if re.match(r"\d+_", path.name)]
    return sorted(numbered, key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    return int(path.name.split("_")[0])


NOTEBOOKS = discover(ROOT / "notebooks")


def plan(notebooks: list[Path], only, given: dict[str, str], profile: str, in_place: bool) -> list[Row]:
    """What a run will execute. A notebook that breaks the rules is a row with an error.

    ``only`` names notebooks by number ("06", "6") or file name, none meaning all; ``given`` maps parameter
    names to values as text. ValueError when either asks for what does not exist, before anything runs.
    """
    if in_place and (profile != "quick" or given):
        raise ValueError("--in-place: stored outputs come from the quick profile and default parameters only")
    if "PROFILE" in given:
        raise ValueError("parameter PROFILE: give it with --profile")
    always = {} if in_place else {"PROFILE": profile}
    return [_plan_one(path, given, always) for path in select(notebooks, only)]


def _plan_one(path: Path, given: dict[str, str], always: dict) -> Row:
    row = Row(path, title=path.stem)
    try:
        notebook = read(path)
        row.title = _title(notebook) or path.stem
        row.values = always | typed(given, check_source(notebook))
    except NotebookError as error:
        row.error = str(error)
    except ValueError as error:
        raise ValueError(f"{path.stem}: {error}") from None
    return row


def select(notebooks: list[Path], only=()) -> list[Path]:
    """The notebooks that ``only`` names, in course order; all of them when it is empty."""
    if not notebooks:
        raise ValueError("there are no notebooks here: run this from a clone of the repository")
    chosen = set()
    for name in only:
        found = [path for path in notebooks if _is_named(path, name)]
        if not found:
            known = ", ".join(path.stem for path in notebooks)
            raise ValueError(f"--only: there is no notebook {name!r}; there are: {known}")
        chosen.update(found)
    return [path for path in notebooks if path in chosen or not chosen]


def _is_named(path: Path, name: str) -> bool:
    return int(name) == _number(path) if name.isdecimal() else name in (path.name, path.stem)


def read(path: Path):
    """A notebook as nbformat gives it; NotebookError when the file is not one."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"cannot be read as a notebook: {_first_line(str(error))}") from None


def parameters(notebook) -> dict:
    """Names and defaults from the ``parameters`` cell, which holds ``NAME = literal`` lines and nothing else.

    papermill injects its cell after this one, so a value derived here would keep its default: literals only.
    """
    cells = [cell for cell in notebook.cells if "parameters" in _tags(cell)]
    if len(cells) != 1 or cells[0].cell_type != "code":
        raise NotebookError(f"needs exactly one code cell tagged 'parameters'; cells so tagged: {len(cells)}")
    try:
        statements = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise NotebookError(f"parameters cell: line {error.lineno} is not Python: {error.msg}") from None
    pairs = [_assignment(statement) for statement in statements]
    defaults = dict(pairs)
    if len(defaults) != len(pairs):
        raise NotebookError("parameters cell: a name is assigned twice")
    if defaults.get("PROFILE") != "quick":
        raise NotebookError('parameters cell: it must have PROFILE = "quick"')
    return defaults


def _assignment(statement: ast.stmt) -> tuple[str, object]:
    what = ast.unparse(statement).splitlines()[0]
    if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1):
        raise NotebookError(f"parameters cell: only NAME = literal is allowed; found {what}")
    try:
        value = ast.literal_eval(statement.value)
    except ValueError:
        raise NotebookError(f"parameters cell: only literals are allowed; found {what}") from None
    if not isinstance(statement.targets[0], ast.Name) or type(value) not in (bool, int, float, str, list):
        raise NotebookError(f"parameters cell: allowed are bool, int, float, str and list; found {what}")
    return statement.targets[0].id, value


def typed(given: dict[str, str], defaults: dict) -> dict:
    """Values given as text, in the types of the defaults; ValueError for an unknown name or another type."""
    values = {}
    for name, text in given.items():
        if name not in defaults:
            raise ValueError(f"unknown parameter {name}; known are: {', '.join(defaults)}")
        default = defaults[name]
        values[name] = text if isinstance(default, str) else _literal(text)
        if type(default) is float and type(values[name]) is int:
            values[name] = float(values[name])
        if type(values[name]) is not type(default):
            kind = type(default).__name__
            raise ValueError(f"parameter {name} must be {kind}, like its default {default!r}; got {text!r}")
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
    tagged = [cell for cell in notebook.cells if "claims" in _tags(cell)]
    if len(tagged) != 1 or tagged[0] is not code[-1]:
        raise NotebookError("the last code cell, and no other, must be tagged 'claims'")
    for number, cell in enumerate(code, 1):
        for tag in FORBIDDEN_TAGS:
            if tag in _tags(cell):
                raise NotebookError(f"code cell {number}: the tag {tag!r} is not allowed")
    return defaults


def check_executed(notebook) -> None:
    """What must hold after a notebook ran: no cell failed, every cell ran, its claims were made and held."""
    code = code_cells(notebook)
    for number, cell in enumerate(code, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                raise NotebookError(f"cell [{number}] raised {output.ename}: {_first_line(output.evalue)}")
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


def code_cells(notebook) -> list:
    """The code cells that hold code; no front end executes an empty one."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _title(notebook) -> str | None:
    headings = [re.match(r"# (.+)", cell.source) for cell in notebook.cells if cell.cell_type == "markdown"]
    return next((heading.group(1).strip() for heading in headings if heading), None)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


# --- executing ----------------------------------------------------------------------------------------------


def run(rows: list[Row], profile: str, out: Path, in_place: bool) -> int:
    """Execute planned notebooks and print the table: 0 all passed, 1 one did not, 130 interrupted.

    Executed notebooks (of failures too), pages and index.html go to ``out``. With ``in_place`` a notebook
    that passed is also stored back, cleaned, and figures go to the repository's figures/.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    figures = FIGURES if in_place else out / "figures"
    interrupted = False
    for row in rows:
        try:
            if row.error is None:
                click.echo(f"{row.path.stem}: started")
                _run_one(row, out, figures, CELL_SECONDS[profile])
            if in_place and row.error is None:
                store(read(out / row.path.name), row.path)
            click.echo(_outcome(row))
        except KeyboardInterrupt:
            row.error = "interrupted"
            interrupted = True
            break
    for page in {page for row in rows for page in row.path.parent.glob("*.md")}:  # what chapters link to
        shutil.copy(page, out)
    write_index(rows, profile, out)
    click.echo(f"\n{table(rows)}\n\npages: {out / 'index.html'}")
    return 130 if interrupted else int(any(row.error for row in rows))


def _run_one(row: Row, out: Path, figures: Path, cell_seconds: float) -> None:
    target = out / row.path.name
    target.unlink(missing_ok=True)
    before = _figure_times(figures)
    start = time.perf_counter()
    try:
        execute(row.path, target, row.values, figures, cell_seconds)
        check_executed(read(target))
    except NotebookError as error:
        row.error = f"{error} (kept: {os.path.relpath(target)})"
    finally:
        row.seconds = time.perf_counter() - start
    row.figures = [path for path, when in _figure_times(figures).items() if before.get(path) != when]
    if target.exists():
        notebook = read(target)
        row.peak_bytes = notebook.metadata.papermill.get("peak_bytes")
        row.claims = claim_counts(notebook)
        row.page = target.with_suffix(".html").name
        (out / row.page).write_text(render(notebook, row.title), encoding="utf-8")


def _figure_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.png"))}


def execute(source: Path, target: Path, values: dict, figures: Path, cell_seconds: float) -> None:
    """Run one notebook in its own folder through papermill; NotebookError says which cell failed and why."""
    papermill_engines.register(_Engine.name, _Engine)
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        with environment(ROBUST_FIGURES=str(figures), ROBUST_HEADLESS="1", PYTHONPATH=search_path):
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=values,
                engine_name=_Engine.name,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=str(source.parent),
                start_timeout=KERNEL_START_SECONDS,
                execution_timeout=cell_seconds,
            )
    except PapermillExecutionError as error:
        raise NotebookError(f"cell [{error.exec_count}] {_complaint(error, target)}") from None
    except CellTimeoutError:
        raise NotebookError(f"{_last_started(target)} ran past its limit of {cell_seconds:g} s") from None
    except RuntimeError as error:  # a kernel that died, or did not start
        raise NotebookError(f"{_last_started(target)}: {_first_line(str(error))}") from None


def _complaint(error: PapermillExecutionError, target: Path) -> str:
    if error.ename != "CellExecutionError":
        return f"raised {error.ename}: {_first_line(error.evalue)}"
    # A misspelt magic says what is wrong on stderr only.
    failed = next(cell for cell in code_cells(read(target)) if cell.execution_count == error.exec_count)
    texts = [output.text for output in failed.outputs if output.get("name") == "stderr"]
    return f"failed: {_first_line(''.join(texts))}"


def _last_started(target: Path) -> str:
    cells = code_cells(read(target)) if target.exists() else []
    started = [number for number, cell in enumerate(cells, 1) if cell.metadata.papermill.get("start_time")]
    return f"cell [{started[-1]}]" if started else "before its first cell"


@contextlib.contextmanager
def environment(**variables: str | None):
    """Set environment variables, which the kernel inherits, and restore them; None takes one away."""
    before = {name: os.environ.get(name) for name in variables}
    _set_environment(variables)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class _ThisPython(AsyncKernelManager):
    """Starts kernels with the runner's own interpreter, whatever "python3" the user has registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict(["--log-level=CRITICAL"]))


class _Client(PapermillNotebookClient):
    """Asks the kernel for its peak memory after the last cell."""

    def papermill_execute_cells(self) -> None:
        super().papermill_execute_cells()
        message = self.kc.execute("", silent=True, user_expressions={"peak": PEAK_BYTES})
        reply = self.wait_for_reply(message)
        peak = reply["content"]["user_expressions"]["peak"]
        if peak["status"] == "ok":
            self.nb.metadata.papermill["peak_bytes"] = int(peak["data"]["text/plain"])


class _Engine(Engine):
    """papermill's own engine, with the kernel manager and client above."""

    name = "robust-losses-course"

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, start_timeout, execution_timeout, **_) -> None:
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=_ThisPython,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
        )
        client.execute()


# --- stored notebooks ---------------------------------------------------------------------------------------


def store(notebook, path: Path) -> None:
    """Write an executed notebook without anything that differs between two equal runs."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("jupyter", "tags") if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    unfinished = path.with_suffix(".part")
    nbformat.write(notebook, unfinished)
    unfinished.replace(path)


def _merge_streams(outputs: list) -> list:
    """Neighbouring pieces of one stream as one: where the kernel cuts them depends on timing."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" and output.name == merged[-1].get("name"):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


# --- table and pages ----------------------------------------------------------------------------------------


def _outcome(row: Row) -> str:
    name, seconds, memory, claims = row.texts()
    return f"{name}: " + (f"FAILED: {row.error}" if row.error else f"{seconds} s, {memory}, claims {claims}")


def table(rows: list[Row]) -> str:
    """The rows as aligned text, a line with the total, and a line for each notebook that failed."""
    total = sum(row.seconds or 0 for row in rows)
    lines = [("notebook", "seconds", "peak memory", "claims"), *(row.texts() for row in rows)]
    lines.append(("total", f"{total:.1f}", "", ""))
    wide = [max(len(line[column]) for line in lines) for column in range(4)]
    texts = []
    for name, *numbers in lines:
        right = [number.rjust(width) for number, width in zip(numbers, wide[1:], strict=True)]
        texts.append("  ".join([name.ljust(wide[0]), *right]).rstrip())
    return "\n".join([*texts, *(_outcome(row) for row in rows if row.error)])


# The stock page waits for scripts from the network before it shows anything. Here only MathJax is left, not
# waited for, so offline the page is all there, formulas as LaTeX. Figures get their text as alt text.
PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}
<script type="text/x-mathjax-config">
MathJax.Hub.Config({tex2jax: {inlineMath: [['$', '$'], ['\\\\(', '\\\\)']], processEscapes: true}});
</script>
<script async src="{{ resources.mathjax_url }}"></script>
{%- endblock -%}
{%- block data_png -%}
{%- set alt = output.data['text/plain'] | escape_html -%}
{{ super() | replace('<img ', '<img alt="' ~ alt ~ '" ', 1) }}
{%- endblock -%}
"""


def render(notebook, title: str) -> str:
    """A notebook as one HTML page that needs no other file."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_loaders=[DictLoader({"page.html.j2": PAGE})], template_file="page.html.j2")
    return exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})[0]


INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Robust losses course</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ccc; }}
th:first-child, td:first-child {{ text-align: left; }}
.failed {{ color: #a30000; }}
figure {{ display: inline-block; width: 18rem; margin: .5rem; vertical-align: top; }}
img {{ width: 100%; }}
figcaption {{ font-size: .8rem; }}
</style></head><body>
<h1>Robust losses course</h1>
<p>This run: profile {profile}.</p>
<table><tr><th>Notebook</th><th>Seconds</th><th>Peak memory</th><th>Claims passed</th></tr>
{rows}
</table>
{figures}
</body></html>
"""


def write_index(rows: list[Row], profile: str, out: Path) -> None:
    """index.html: the table of this run, linking its pages, and the figures that it drew."""
    galleries = [_gallery(row, out) for row in rows if row.figures]
    page = INDEX.format(profile=profile, rows="\n".join(map(_index_row, rows)), figures="\n".join(galleries))
    (out / "index.html").write_text(page, encoding="utf-8")


def _index_row(row: Row) -> str:
    _, seconds, memory, claims = row.texts()
    name = html.escape(f"{row.path.stem.split('_')[0]} {row.title}")
    link = f'<a href="{html.escape(row.page)}">{name}</a>' if row.page else name
    failed = f'<br><span class="failed">failed: {html.escape(row.error)}</span>' if row.error else ""
    return f"<tr><td>{link}{failed}</td><td>{seconds}</td><td>{memory}</td><td>{claims}</td></tr>"


def _gallery(row: Row, out: Path) -> str:
    images = []
    for figure in row.figures:
        address, name = html.escape(os.path.relpath(figure, out)), html.escape(figure.stem)
        alt = html.escape(_alt(figure))
        image = f'<a href="{address}"><img src="{address}" alt="{alt}" loading="lazy"></a>'
        images.append(f"<figure>{image}<figcaption>{name}</figcaption></figure>")
    return f"<h2>{html.escape(row.title)}</h2>\n" + "\n".join(images)


def _alt(figure: Path) -> str:
    """The alt text that figures keep in the JSON file beside them; without that file, the figure's name."""
    sidecar = figure.with_suffix(".json")
    return json.loads(sidecar.read_text(encoding="utf-8"))["alt"] if sidecar.exists() else figure.stem
