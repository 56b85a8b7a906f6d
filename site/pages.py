"""The site's source: the course's pages, staged in one folder with the few changes that a site needs."""

import ast
import importlib
import re
import shutil
from pathlib import Path

import nbformat

from robust_lib.course import notebooks
from robust_lib.course.runner import NOTEBOOKS, REPOSITORY
from robust_lib.course.student import BADGE

ROOT = Path(__file__).parents[1]
HERE = ROOT / "site"
PACKAGES = (
    "losses",
    "data",
    "training",
    "detection",
    "find",
    "sweeps",
    "papers",
    "gallery",
    "figures",
    "course",
)
# A link to a place <a id="..."> on another page, written for GitHub: Sphinx does not know such places.
PLACE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)*(?:\w+/)*[\w-]+)\.md#([\w-]+)\)")
EXPLORER = re.compile(r"\[([^\]]+)\]\(\.\./site/explorer\.html(#[^)]*)?\)")
# A link to a folder of pictures, which GitHub lists and a site does not.
PICTURES = re.compile(r"\[[^\]]+\]\((figures/[\w-]+)\)\.")
RAW = re.compile(r'(href=")((?:\.\./)*(?:\w+/)*[\w-]+)\.md([#"])')


def stage(folder: Path) -> None:
    """Fill an empty folder with everything that Sphinx reads."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("figures", "results", "kit", "static"):
        source = HERE / name if (HERE / name).exists() else ROOT / name
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.json", "*.jsonl", "*.svg"))
    (folder / "notebooks" / "solutions").mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        nbformat.write(notebook(path), folder / path.relative_to(ROOT))
    shutil.copy(ROOT / "notebooks" / "notation_and_glossary.md", folder / "notebooks")
    for path in HERE.glob("*.md"):
        shutil.copy(path, folder)
    write(folder / "find.md", find_page())
    write(folder / "cite.md", cite_page())
    for package in PACKAGES:
        write(folder / "api" / f"{package}.rst", api_page(package))
    write(folder / "kit" / "slides.md", slides_page())
    write(folder / "index.md", with_chapters(folder))
    for path in folder.rglob("*.md"):
        path.write_text(with_places(path.read_text()))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def with_chapters(folder: Path) -> str:
    """The start page without patterns of chapters that are not written yet: Sphinx calls these faults."""
    lines = (folder / "index.md").read_text().splitlines(keepends=True)
    chapters = [line for line in lines if line.startswith("notebooks/") and "*" in line]
    unwritten = [line for line in chapters if not any(folder.glob(line.strip()))]
    return "".join(line for line in lines if line not in unwritten)


def with_places(text: str) -> str:
    """Links to places on other pages, as HTML; links.py looks at each of them afterwards."""
    text = PLACE.sub(r'<a href="\2.html#\3">\1</a>', text)
    text = EXPLORER.sub(r'<a href="../explorer.html\2">\1</a>', text)
    return RAW.sub(r"\1\2.html\3", text)


def launch(name: str) -> str:
    """The two ways to run a notebook without installing anything, and its slides."""
    path = f"{REPOSITORY}/blob/main/notebooks/{name}"
    return (
        f"[Open in Colab](https://colab.research.google.com/github/{path}) · "
        f"[Open in Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/{path}) · "
        f'<a href="../slides/{name.removesuffix(".ipynb")}.html">Slides</a>'
    )


def notebook(path: Path) -> nbformat.NotebookNode:
    """A committed notebook with its outputs, launch links for its badge, and its figures' alt texts."""
    staged = nbformat.read(path, as_version=4)
    if path.name[:2].isdigit() and path.parent.name == "notebooks":
        staged.cells[0].source = staged.cells[0].source.replace("# ", f"# {path.name[:2]} ", 1)
    for cell in staged.cells:
        if cell.cell_type == "markdown":
            cell.source = with_places(BADGE.sub(launch(path.name) + "\n\n", cell.source))
            continue
        alts = [output.data["text/plain"] for output in cell.outputs if "image/png" in output.get("data", {})]
        if alts:
            cell.metadata["mystnb"] = {"image": {"alt": " ".join(alts[0].split())}}
    return staged


def find_page() -> str:
    """The README's section on errors in one's own data, with pictures where it links to their folder."""
    section = re.search(r"(?ms)^## Errors in your own data\n(.*?)^## ", (ROOT / "README.md").read_text())[1]
    section = PICTURES.sub(lambda link: pictures(link[1], section), section)
    more = "\n[Chapter 17](notebooks/17_your_own_data.ipynb) has all of this in one run.\n"
    return f"# Find errors in your own data\n{section}{more}"


def pictures(folder: str, text: str) -> str:
    """The pictures of a folder that the text does not show, each with its name: 3-another-class.png."""
    shown = [path for path in sorted((ROOT / folder).glob("*.png")) if path.name not in text]
    names = [path.stem.lstrip("0123456789-").replace("-", " ") for path in shown]
    lines = [
        f"![The page of find: {name}]({folder}/{path.name})" for name, path in zip(names, shown, strict=True)
    ]
    return "\n\n".join(["More pictures of that tour:", *lines])


def slides_page() -> str:
    """Where the slides of each chapter are."""
    links = [
        f'- <a href="../slides/{path.stem}.html">{path.name[:2]} {notebooks.title(notebooks.read(path))}</a>'
        for path in NOTEBOOKS
    ]
    about = (
        "A figure, a formula or a question a slide, and the takeaways: 16:9, without a network. Arrows move, "
        "O shows all slides, F fills the screen. With `?print-pdf` after the page's name they print, one "
        "slide a sheet. They are made from the cells that are marked as slides in the notebook (in "
        "JupyterLab: Property Inspector, Slide Type)."
    )
    return "\n".join(["# Slides of each chapter", "", about, "", *links, ""])


def cite_page() -> str:
    return (
        "# How to cite\n\nIf you use this course, please cite it, and the papers that it follows "
        "(`CITATION.cff` in the repository):\n\n"
        f"```yaml\n{(ROOT / 'CITATION.cff').read_text()}```\n"
    )


def topics(package: str) -> list[str]:
    """The modules that a package's door offers whole."""
    door = ROOT / "robust_lib" / package / "__init__.py"
    offered = [
        alias.name
        for node in ast.parse(door.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == f"robust_lib.{package}"
        for alias in node.names
    ]
    return [name for name in offered if door.with_name(f"{name}.py").exists()]


def api_page(package: str) -> str:
    """A page of the reference: the door, then each of its topic modules."""
    name = f"robust_lib.{package}"
    importlib.import_module(name)  # a package that does not import would give an empty page
    parts = [f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n"]
    for topic in topics(package):
        title = f"{package}.{topic}"
        parts.append(
            f"{title}\n{'-' * len(title)}\n\n.. automodule:: {name}.{topic}\n   :no-imported-members:\n"
        )
    return "\n".join(parts)
