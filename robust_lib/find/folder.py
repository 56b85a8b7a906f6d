"""A folder with one sub-folder of images per class. A folder's name is always a label."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from robust_lib.find import cells
from robust_lib.find.listing import Listing, Problem, counted, shown

DECISIONS = "find_decisions.csv"  # in a folder that `mend` wrote: what was decided of which image
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
# What systems leave in folders, in small letters; so is every name that begins with a dot.
JUNK = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "@eadir", "@recycle"}
JUNK |= {"@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "system volume information"}
JUNK |= {"lost+found", "__macosx", "__pycache__"}


def read(root: Path) -> Listing:
    """Every image below root/CLASS/, sorted; links to folders are followed, once each."""
    from PIL import Image
    from torchvision.datasets.folder import IMG_EXTENSIONS

    loose, folders = _entries(root)
    left_out = [(root / n, "lies in no class folder") for n in loose if n != DECISIONS and not _junk_in(n)]
    walked = [file for name in folders for file in sorted(_below(root / name, root, left_out))]
    theirs = [os.path.join(*file) for file in walked if file[1].lower().endswith(IMG_EXTENSIONS)]
    below = sorted((Path(*file).relative_to(root) for file in walked), key=lambda path: path.parts)
    junk = Counter(shown(part) for path in [*loose, *below] if (part := _junk_in(path)))
    below = [path for path in below if not _junk_in(path)]
    endings = set(Image.registered_extensions()) - {".pdf", ".mpg", ".mpeg"}
    paths = [path for path in below if path.suffix.lower() in endings]
    if not paths:
        raise ValueError(f"{root} has no images in sub-folders, one per class: nothing to read")
    labels = [path.parts[0] for path in paths]
    others, empty = sorted(set(below) - set(paths)), sorted(set(folders) - set(labels))
    left_out += [(root / path, "no image by its name") for path in others]
    left_out += [(root / name, "a class folder without images") for name in empty if not _junk_in(name)]
    ours, theirs = [str(path) for path in paths], [os.path.relpath(file, root) for file in theirs]
    return Listing(
        source=root,
        paths=[shown(path) for path in paths],
        files=[root / path for path in paths],
        labels=[shown(label) for label in labels],
        orders={"sorted": ours, "imagefolder": theirs},
        problems=[Problem(shown(path.relative_to(root)), f"left out: {why}") for path, why in left_out],
        notes=[f"passed over, as hidden or left by a system: {counted(junk)}"] if junk else [],
        **_of_mend(root / DECISIONS, [shown(path) for path in paths]),
    )


def _of_mend(file: Path, paths: list[str]) -> dict:
    """The decisions of a folder that `mend` wrote, and the rows of features. ValueError as cells.read."""
    if not file.is_file():
        return {}
    columns = ("path", cells.DECISION, cells.ROW)
    known = {row["path"]: row for _, row in cells.read(file, columns)}
    found = [known.get(path, dict.fromkeys(columns, "")) for path in paths]
    rows = cells.row_numbers([row[cells.ROW] for row in found], file)
    return {"decisions": [row[cells.DECISION] for row in found], "rows": rows}


def _entries(root: Path) -> tuple[list[str], list[str]]:
    """Names of files and folders in the root, sorted. ValueError if it holds splits, or cannot be listed."""
    try:
        names = sorted(os.listdir(root))
    except OSError as error:
        raise ValueError(f"{root} cannot be listed: {error.strerror}") from None
    folders = [name for name in names if os.path.isdir(root / name)]
    usual = [name for name in folders if not _junk_in(name)]
    if usual and {name.lower() for name in usual} <= SPLITS:
        raise ValueError(f"{root} holds splits, not classes ({', '.join(usual)}): give one of them")
    return sorted(set(names) - set(folders)), folders


def _below(folder: Path, root: Path, left_out: list[tuple[Path, str]]) -> Iterator[tuple[str, str]]:
    """(folder, name) of every file below a class folder, which torchvision sorts by these two.

    left_out gets the folders that cannot be read.
    """
    seen = {os.path.realpath(root), *map(str, root.resolve().parents)}

    def failed(error: OSError) -> None:
        left_out.append((Path(error.filename), f"a folder that cannot be read ({error.strerror})"))

    for place, inner, names in os.walk(folder, onerror=failed, followlinks=True):
        why = ""
        if os.path.realpath(place) in seen:
            why = "a link to a folder that is read already"
        elif names and not os.access(place, os.X_OK):
            why = "a folder that cannot be entered (Permission denied)"
        seen.add(os.path.realpath(place))
        if why:
            inner.clear()
            left_out.append((Path(place), why))
        else:
            yield from ((place, name) for name in names)


def _junk_in(path: Path | str) -> str | None:
    """The first part of a path below the root that is hidden or left by a system."""
    return next((part for part in Path(path).parts if part.startswith(".") or part.lower() in JUNK), None)
