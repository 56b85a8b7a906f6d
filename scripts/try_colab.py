"""Run notebooks as Colab does: with its versions, from an empty folder, by their own first cell.

    .venv/bin/python scripts/try_colab.py PYTHON FOLDER [NUMBER ...]

PYTHON: an interpreter of Colab's version. FOLDER: gets the environment (6 GiB, kept for the next time) and
the executed notebooks. NUMBER: such as 06; none for all. The course comes from this clone's last commit, not
from GitHub. A notebook passes if its cells and claims do, its checked text is the stored one, and pip changed
no version and added nothing but ADDED.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbval.plugin import get_sanitize_patterns

from robust_lib.course import notebooks, runner

# What Colab had in August 2026 of the packages that the course imports; those without a version may be any.
COLAB = [
    *("torch==2.11.*", "torchvision==0.26.*", "numpy==2.1.3", "pandas==2.2.3", "scikit-learn==1.6.1"),
    *("matplotlib==3.10.0", "ipython==7.34.0", "ipykernel==6.17.1", "ipywidgets==7.7.1"),
    *("scipy", "seaborn", "sympy", "pillow", "pooch", "platformdirs", "requests", "tqdm", "click", "jinja2"),
]
ADDED = {"cleanlab", "termcolor", "robust-losses-course"}
ADDRESS = f"git+https://github.com/{runner.REPOSITORY}"


def main(python: str, folder: str, *only: str) -> int:
    here = Path(folder).resolve()
    inside = here / "env/bin/python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", here / "env"], check=True)
    pip(inside, "install", "-q", *COLAB)
    good = [try_one(path, inside, here / path.stem) for path in runner.select(runner.NOTEBOOKS, only)]
    return int(not all(good))


def pip(inside: Path, *arguments: str) -> str:
    command = [inside, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def try_one(path: Path, inside: Path, folder: Path) -> bool:
    """Whether a notebook passes, the course not being installed before; the reasons if not are printed."""
    pip(inside, "uninstall", "-q", "-y", *ADDED)
    before, stored = versions(inside), notebooks.read(path)
    ran = run(notebooks.read(path), inside, folder)
    notebooks.store(ran, folder / path.name)
    faults = [*failures(ran), *differences(stored, ran), *changes(before, versions(inside))]
    print(f"{path.stem}: {'; '.join(faults) or 'passed'}", flush=True)
    return not faults


def versions(inside: Path) -> dict[str, str]:
    return dict(line.split("==") for line in pip(inside, "list", "--format=freeze").split())


def run(notebook, inside: Path, folder: Path):
    """The notebook executed in an emptied folder, as far as it came."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for cell in notebooks.code_cells(notebook):
        cell.source = cell.source.replace(ADDRESS, f"git+{runner.ROOT.as_uri()}")
        cell.outputs, cell.execution_count = [], None
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=Kernel(inside), timeout=1800, resources=where)
    ours = re.compile("PYTHON|ROBUST_|VIRTUAL_ENV")
    with contextlib.suppress(CellControlSignal, DeadKernelError):  # seen from the cells
        client.execute(env={name: value for name, value in os.environ.items() if not ours.match(name)})
    return notebook


class Kernel(AsyncKernelManager):
    """Kernels of another environment than the one that asks for them."""

    def __init__(self, inside: Path):
        super().__init__()
        self.inside = inside

    @property
    def kernel_spec(self) -> KernelSpec:
        launch = [str(self.inside), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=launch, language="python")


def failures(notebook):
    """What the runner would refuse, and what pip said in red."""
    try:
        notebooks.check_executed(notebook)
    except notebooks.NotebookError as error:
        yield str(error)
    first = notebooks.code_cells(notebook)[0].outputs
    yield from re.findall("ERROR: .*", "".join(output.get("text", "") for output in first))


def differences(stored, ran):
    """Cells whose checked text is not the stored one; nbval's rules say what may differ."""
    rules = get_sanitize_patterns((runner.ROOT / "tests/nbval_sanitize.cfg").read_text(encoding="utf-8"))
    for number, cells in enumerate(zip(*map(notebooks.code_cells, (stored, ran)), strict=True), 1):
        if "nbval-check-output" in cells[0].metadata.get("tags", []):
            texts = {printed(cell, rules) for cell in cells}
            if len(texts) > 1:
                yield f"code cell {number} printed other text than is stored"


def printed(cell, rules: list[tuple[str, str]]) -> str:
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    text = "".join(parts)
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def changes(before: dict[str, str], after: dict[str, str]):
    for name in sorted((before.keys() | after.keys()) - ADDED):
        if before.get(name) != after.get(name):
            yield f"{name} was {before.get(name, 'absent')} and is {after.get(name, 'absent')}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
