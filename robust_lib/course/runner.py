"""The course runner: every notebook executed headless behind a strict door, then a table and pages to browse.

papermill does the executing; the door is in notebooks.py.
"""

import contextlib
import json
import multiprocessing.connection
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import click
import jinja2
import papermill
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import CellTimeoutError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from tabulate import tabulate

from robust_lib.course import notebooks, slides
from robust_lib.course.notebooks import NotebookError

REPOSITORY = "robust-losses-course/robust-losses-course"  # owner/name; nothing else in the library names it
# GitHub Pages, once it is turned on for the root of main, serves each file at its path in the repository.
PAGES = "https://{}.github.io/{}".format(*REPOSITORY.split("/"))
ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "figures"  # where an in-place run draws
TEMPLATES = Path(__file__).with_name("templates")
CELL_SECONDS = {"quick": 1800, "full": 6 * 3600}  # the longest that one cell may run, per profile
AT_ONCE = {"quick": 2, "full": 1}  # notebooks: a quick one has one thread, a full one has the GPU
KERNEL_START_SECONDS = 120
# The kernel's own high-water mark. On Linux ru_maxrss starts from the size of the process that forked it.
PEAK_BYTES = (
    "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024"
    " if __import__('sys').platform == 'linux' else __import__('resource').getrusage(0).ru_maxrss"
)


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

    def outcome(self) -> str:
        """One line: what the notebook took, or why it failed."""
        name, seconds, memory, claims = self.texts()
        return f"{name}: " + (
            f"FAILED: {self.error}" if self.error else f"{seconds} s, {memory}, claims {claims}"
        )


# --- which notebooks, with which parameters -----------------------------------------------------------------


def discover(folder: Path) -> list[Path]:
    """The notebooks of a folder whose names start with a number, in the order of that number."""
    numbered = [path for path in folder.glob("*.ipynb") if re.match(r"\d+_", path.name)]
    return sorted(numbered, key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    return int(path.name.split("_")[0])


NOTEBOOKS = discover(ROOT / "notebooks")


def plan(paths: list[Path], only, given: dict[str, str], profile: str, in_place: bool) -> list[Row]:
    """What a run will execute. A notebook that breaks the rules is a row with an error.

    ``only`` names notebooks by number ("06", "6") or file name, none meaning all; ``given`` maps parameter
    names to values as text. ValueError when either asks for what does not exist, before anything runs.
    """
    if in_place and (profile != "quick" or given):
        raise ValueError("--in-place: stored outputs come from the quick profile and default parameters only")
    if "PROFILE" in given:
        raise ValueError("parameter PROFILE: give it with --profile")
    always = {} if in_place else {"PROFILE": profile}
    return [_plan_one(path, given, always) for path in select(paths, only)]


def _plan_one(path: Path, given: dict[str, str], always: dict) -> Row:
    row = Row(path, title=path.stem)
    try:
        notebook = notebooks.read(path)
        row.title = notebooks.title(notebook) or path.stem
        row.values = always | notebooks.typed(given, notebooks.check_source(notebook))
    except NotebookError as error:
        row.error = str(error)
    except ValueError as error:
        raise ValueError(f"{path.stem}: {error}") from None
    return row


def select(paths: list[Path], only=()) -> list[Path]:
    """The notebooks that ``only`` names, in course order; all of them when it is empty."""
    if not paths:
        raise ValueError("there are no notebooks here: run this from a clone of the repository")
    chosen = set()
    for name in only:
        named = {path for path in paths if _is_named(path, name)}
        if not named:
            known = ", ".join(path.stem for path in paths)
            raise ValueError(f"--only: there is no notebook {name!r}; there are: {known}")
        chosen |= named
    return [path for path in paths if path in chosen or not chosen]


def _is_named(path: Path, name: str) -> bool:
    return int(name) == _number(path) if name.isdecimal() else name in (path.name, path.stem)


# --- executing ----------------------------------------------------------------------------------------------


def run(rows: list[Row], profile: str, out: Path, in_place: bool) -> int:
    """Execute planned notebooks and print the table: 0 all passed, 1 one did not, 130 interrupted.

    Executed notebooks (of failures too), pages and index.html go to ``out``. With ``in_place`` a notebook
    that passed is also stored back, cleaned, and figures go to the repository's figures/. Quick notebooks
    run two at a time where there are two processor cores.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    figures = FIGURES if in_place else out / "figures"
    start = time.perf_counter()
    interrupted = False
    try:
        for row in _executed(
            rows, min(AT_ONCE[profile], os.cpu_count() or 1), out, figures, CELL_SECONDS[profile]
        ):
            if in_place and row.error is None:
                notebook = notebooks.read(out / row.path.name)
                slides.mark(notebook)
                notebooks.store(notebook, row.path)
            click.echo(row.outcome())
    except KeyboardInterrupt:
        interrupted = True
    for page in {page for row in rows for page in row.path.parent.glob("*.md")}:  # what chapters link to
        shutil.copy(page, out)
    copy_mathjax(out)
    write_index(rows, profile, out)
    click.echo(f"\n{table(rows, time.perf_counter() - start)}\n\npages: {out / 'index.html'}")
    return 130 if interrupted else int(any(row.error for row in rows))


def _executed(rows: list[Row], at_once: int, *arguments) -> Iterator[Row]:
    """The rows as they end, each filled in by a process of its own. An interrupt is passed on to these."""
    waiting = [row for row in rows if row.error is None]
    running: dict[int, _Worker] = {}
    yield from (row for row in rows if row.error)
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                click.echo(f"{waiting[0].path.stem}: started")
                worker = _Worker(waiting.pop(0), *arguments)
                running[worker.process.sentinel] = worker
            for sentinel in multiprocessing.connection.wait(running):
                yield running.pop(sentinel).result()
    except KeyboardInterrupt:
        for worker in running.values():
            click.echo(worker.interrupted().outcome())
        raise


class _Worker:
    """A process that runs one notebook, and the row that it fills in."""

    def __init__(self, row: Row, *arguments):
        context = multiprocessing.get_context("spawn")  # the fork of a process with threads may hang
        self.row = row
        self.answer, end = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(end, row, *arguments))
        self.process.start()
        end.close()

    def result(self) -> Row:
        """The row when the process has ended."""
        self.process.join()
        try:
            vars(self.row).update(vars(self.answer.recv()))
        except EOFError:
            self.row.error = f"its process ended with code {self.process.exitcode}"
        return self.row

    def interrupted(self) -> Row:
        os.kill(self.process.pid, signal.SIGINT)
        self.result().error = "interrupted"
        return self.row


def _work(answer, row: Row, *arguments) -> None:
    """What a process of `_Worker` does. Ctrl-C reaches its parent alone, so that it comes once."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_interrupt_without_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        _run_one(row, *arguments)
    answer.send(row)


def _interrupt_without_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGINT)


def _run_one(row: Row, out: Path, figures: Path, cell_seconds: float) -> None:
    target = out / row.path.name
    before = _figure_times(figures, row)
    start = time.perf_counter()
    try:
        execute(row.path, target, row.values, cell_seconds, ROBUST_FIGURES=str(figures))
    except NotebookError as error:
        row.error = f"{error} (kept: {os.path.relpath(target)})"
    finally:
        row.seconds = time.perf_counter() - start
    row.figures = [path for path, when in _figure_times(figures, row).items() if before.get(path) != when]
    if target.exists():
        notebook = notebooks.read(target)
        row.peak_bytes = notebook.metadata.papermill.get("peak_bytes")
        row.claims = notebooks.claim_counts(notebook)
        row.page = target.with_suffix(".html").name
        (out / row.page).write_text(render(notebook, row.title, out), encoding="utf-8")


def _figure_times(folder: Path, row: Row) -> dict[Path, int]:
    """A notebook's figures bear its number, for another one may draw at the same time."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.glob(f"{_number(row.path):02}-*.png"))}


def execute(source: Path, target: Path, values: dict, cell_seconds: float, **variables: str | None) -> None:
    """Run one notebook in its own folder through papermill, and check what it left in ``target``.

    The kernel's environment is this process's with ``variables`` set; None takes one away.
    Raises NotebookError: which cell failed, and why.
    """
    papermill_engines.register(_Engine.name, _Engine)
    target.unlink(missing_ok=True)
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "ROBUST_HEADLESS": "1", "PYTHONPATH": search_path, **variables}
    try:
        with contextlib.suppress(PapermillExecutionError):  # check_executed names the cell
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
                environment={name: value for name, value in variables.items() if value is not None},
            )
    except CellTimeoutError:
        raise NotebookError(f"{_last_started(target)} ran past its limit of {cell_seconds:g} s") from None
    except RuntimeError as error:  # a kernel that died, or did not start
        raise NotebookError(f"{_last_started(target)}: {notebooks.first_line(str(error))}") from None
    notebooks.check_executed(notebooks.read(target))


def _last_started(target: Path) -> str:
    cells = notebooks.code_cells(notebooks.read(target)) if target.exists() else []
    started = [number for number, cell in enumerate(cells, 1) if cell.metadata.papermill.get("start_time")]
    return f"cell [{started[-1]}]" if started else "before its first cell"


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
    """papermill's own engine, with the kernel manager and client above, and an environment for the kernel."""

    name = "robust-losses-course"

    @classmethod
    def execute_managed_notebook(
        cls, nb_man, kernel_name, *, start_timeout, execution_timeout, environment, **_
    ) -> None:
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=_ThisPython,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
        )
        client.execute(env=environment)


# --- table and pages ----------------------------------------------------------------------------------------


def table(rows: list[Row], seconds: float) -> str:
    """The rows as aligned text, the seconds that the run took, and a line for each notebook that failed."""
    lines = [("notebook", "seconds", "peak memory", "claims"), *(row.texts() for row in rows)]
    lines.append(("the run", f"{seconds:.1f}", "", ""))
    text = tabulate(
        lines, tablefmt="plain", colalign=("left", "right", "right", "right"), disable_numparse=True
    )
    return "\n".join([text, *(row.outcome() for row in rows if row.error)])


def copy_mathjax(folder: Path) -> None:
    """Put MathJax and its fonts into ``folder/mathjax``, where pages find them without a network (1.6 MB).

    They are those of a package of the extra [test]. Without it formulas stay LaTeX.
    """
    if package := find_spec("sphinx-mathjax-offline"):
        source, target = Path(package.origin).parent / "static" / "mathjax", folder / "mathjax"
        fonts = Path("output", "chtml", "fonts", "woff-v2")
        shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
        shutil.copy(source / "tex-chtml.js", target)


def render(notebook, title: str, folder: Path) -> str:
    """A notebook as one HTML page in ``folder`` that needs no other file but MathJax beside it. Its links out
    of notebooks/ lead to the repository's files."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_template_paths=[str(TEMPLATES)], template_file="page.html.j2")
    page = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})[0]
    page = page.replace('href="../', f'href="{Path(os.path.relpath(ROOT, folder)).as_posix()}/')
    return re.sub(r"<img [^>]*colab-badge[^>]*>", "Open in Colab", page)  # a picture from the network


def write_index(rows: list[Row], profile: str, out: Path) -> None:
    """index.html: the table of this run, linking its pages, and the figures that it drew."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True
    )
    address = {figure: os.path.relpath(figure, out) for row in rows for figure in row.figures}
    page = templates.get_template("index.html.j2").render(
        rows=rows, profile=profile, address=address, alt=_alt
    )
    (out / "index.html").write_text(page, encoding="utf-8")


def _alt(figure: Path) -> str:
    """The alt text that figures keep in the JSON file beside them; without that file, the figure's name."""
    sidecar = figure.with_suffix(".json")
    return json.loads(sidecar.read_text(encoding="utf-8"))["alt"] if sidecar.exists() else figure.stem
