"""No module imports a later one, in the order that CONTRIBUTING.md gives."""

import ast
import re
from pathlib import Path

import robust_lib

PACKAGE = Path(robust_lib.__file__).parent
TEXT = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
RULE = re.search(r"imports a later one:(.*?)`tests/test_layers.py`", TEXT, re.DOTALL)[1]
NAMES = re.sub(r"then what .* are made of:", "", " ".join(RULE.split())).rstrip(". ")
ORDER = [name.strip() for name in NAMES.split(",")]


def topic(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The topics a file imports from this package, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "robust_lib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("robust_lib."):
            found.add(node.module.split(".")[1])
    return found


def test_every_module_has_its_place():
    assert sorted({topic(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}) == sorted(ORDER)


def test_no_module_imports_a_later_one():
    late = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if topic(path) in ORDER
        for name in imported(path)
        if ORDER.index(name) > ORDER.index(topic(path))
    ]
    assert not late
