"""Decisions from the page, and the data with them: a corrected list, pack of arrays, or copy of the folder.

    mend("find-photos", "decisions.csv")                    # find-photos/mended.csv, of an .npz mended.npz
    mend("find-photos", "decisions.csv", folder="links")    # find-photos/mended/

The input is never written to. `find` on the result does not show again what was decided, unless it is unsure.
"""

import csv
import io
import json
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robust_lib import records
from robust_lib.find import cells, reading
from robust_lib.find import folder as folders
from robust_lib.find.listing import Listing, Table, few, many, refuse_inside, shown
from robust_lib.find.search import TOOL

COLUMNS = ("run", "index", "path", "given", "decision", "label")  # of decisions.csv, as the page writes it
DECISIONS = ("keep", "suggestion", "class", "drop", "unsure")
FOLDERS = ("links", "copies")


class Decision(NamedTuple):
    """A word of DECISIONS, and the label that it leaves or gives; "" for drop and unsure."""

    word: str
    label: str


@dataclass(frozen=True)
class Mended:
    """What `mend` wrote, and what it has to say of it. changed: samples with another label than before."""

    out: Path
    changed: int
    dropped: int
    summary: list[str]


def mend(run, decisions, out=None, folder: str | None = None) -> Mended:
    """Writes the data that a run of `find` looked at, with the decisions taken.

    run: the folder of `find`. decisions: a file of its page, decisions.csv. folder: None for a list, with all
    columns if the input is a CSV, or for an .npz if it is one; "links" or "copies" for a copy of a folder of
    images, of hard links or of files. out: a new file or folder; by default mended.csv, mended.npz or mended/
    in run. Dropped samples are left out. What is unsure or undecided stays as it is, and so does what `find`
    left out, but for copies of a picture within its class and further rows of a file, which follow it, and
    links to nothing, which no folder gets. Labels are written as they were read. Links share their content
    with the input: edit neither.
    Raises ValueError for a run that is not finished, an input that is not as the run saw it, decisions of
    another run or that cannot be taken, and an `out` that is there or inside the input.
    """
    run, decisions = Path(run), Path(decisions)
    record = _record(run)
    listing = _as_it_was(record)
    rows = list(range(len(listing.paths))) if record["own_features"] else None
    rows = record["rows"] or rows  # of features: by default in the order of the list
    taken = read_decisions(decisions, record, listing)
    for copy, first in record["copies"]:
        if first in taken and copy not in taken:
            taken[copy] = taken[first]
    moved = []
    if folder is None and listing.source.suffix.lower() == ".npz":
        out = _new(out or run / "mended.npz", listing, ".npz")
        records.atomically(out, _arrays(listing, taken, rows))
    elif folder is None:
        out = _new(out or run / "mended.csv", listing, ".csv")
        text = _list(listing, taken, out.parent, rows)
        records.atomically(out, text.encode("utf-8", "surrogateescape"))  # names of files are bytes
    else:
        if folder not in FOLDERS or not listing.source.is_dir():
            raise ValueError(
                f"folder must be one of {', '.join(FOLDERS)}, for a folder of images, got {folder!r} for "
                f"{shown(listing.source)}"
            )
        out = _new(out or run / "mended", listing)
        moved = _copy(listing, taken, out, rows, link=folder == "links")
    return _told(out, listing, taken, moved)


def _record(run: Path) -> dict:
    """run.json. ValueError if this is not a finished run."""
    try:
        record = json.loads((run / "run.json").read_bytes())
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or record.get("tool") != TOOL:
        raise ValueError(f"run must be a folder of find, got {run}")
    if record.get("status") != "finished" or "input" not in record:
        raise ValueError(f"run must be finished by this version of find, got {run}: run find again")
    return record


def _as_it_was(record: dict) -> Listing:
    """What the run's source lists. ValueError if that is not what it listed then."""
    source = Path(record["source"])
    try:
        own = record["own_features"]
        listing = reading.list_samples(source, own, record["missing"], own)
    except ValueError as error:
        raise ValueError(
            f"the input cannot be read any more: {error}. The run remembers where it was: bring it back there"
        ) from None
    if listing.stamp != record["input"]:
        changed = f"{source} or a file it lists has changed since"
        raise ValueError(
            f"the input must be as find saw it, but {changed}: run find again. If only times of files have "
            "changed, these decisions will still fit"
        )
    return listing


def read_decisions(path: Path, record: dict, listing: Listing) -> dict[int, Decision]:
    """The decisions by place in the source. ValueError, with the line, for one that cannot be taken."""
    taken, classes = {}, set(record["classes"])
    for line, row in cells.read(path, COLUMNS):
        place = f"{path} line {line}"
        if row["run"] != record["key"]:
            raise ValueError(f"{place} is of another run, {row['run'][:40]!r}; this one is {record['key']!r}")
        index = int(row["index"]) if re.fullmatch(r"\d{1,15}", row["index"], re.ASCII) else -1
        known = 0 <= index < len(listing.paths)
        if not known or (listing.paths[index], listing.labels[index]) != (row["path"], row["given"]):
            name = f"{row['index'][:20]!r}, {row['path'][:100]!r}, labelled {row['given'][:100]!r}"
            raise ValueError(f"{place}: the input has no sample {name}")
        if index in taken:
            raise ValueError(f"{place}: a second decision on {row['path']!r}")
        taken[index] = _decision(row, classes, place)
    return taken


def _decision(row: dict[str, str], classes: set[str], place: str) -> Decision:
    word, label, given = row["decision"], row["label"], row["given"]
    if word not in DECISIONS:
        raise ValueError(f"{place}: decision must be one of {', '.join(DECISIONS)}, got {word[:40]!r}")
    if word in ("suggestion", "class") and label not in classes:
        raise ValueError(f"{place}: label must be a class of the run, got {label[:100]!r}")
    allowed = {"keep": label == given, "suggestion": label != given, "class": label != given}
    if not allowed.get(word, label == ""):
        raise ValueError(f"{place}: {word} does not go with label {label[:100]!r} where {given!r} is given")
    return Decision(word, label)


def _new(out, listing: Listing, ending: str = "") -> Path:
    """ValueError if it is there, inside the input, or has another ending, by which `find` would read it."""
    out = Path(out)
    refuse_inside(listing.source, out)
    if ending and out.suffix.lower() != ending:
        raise ValueError(f"out must end in {ending}, as what is written, got {out}")
    if os.path.lexists(out):
        raise ValueError(f"out must be new, got {out}, which is there: move it away, or name another")
    if not out.parent.is_dir():
        raise ValueError(f"out must lie in a folder that is there, got {out}")
    return out


def _list(listing: Listing, taken: dict[int, Decision], folder: Path, rows: list[int] | None) -> str:
    """The corrected list as a CSV that lies in this folder."""
    whole = listing.table or Table([], [["", ""]] * len(listing.paths), (0, 1))
    path, label = whole.places
    others = (f"column {k + 1}" for k in range(2, len(whole.rows[0])))
    header = whole.header or ["path", "label", *others]
    added = [place for place, name in enumerate(header) if name in (cells.DECISION, cells.ROW)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    kept = [name for place, name in enumerate(header) if place not in added]
    writer.writerow([*map(cells.defused, kept), cells.DECISION, cells.ROW])
    for n in range(len(listing.paths)):
        word, new = _decided(listing, taken, n)
        if word == "drop":
            continue
        line = list(whole.rows[n])
        if path is not None:
            line[path] = _path_from(listing, n, folder)
        line[label] = new or listing.labels[n]
        line = [cell for place, cell in enumerate(line) if place not in added]
        writer.writerow([*map(cells.defused, line), word, _row(rows, n)])
    return buffer.getvalue()


def _decided(listing: Listing, taken: dict[int, Decision], n: int) -> Decision:
    """The decision on a sample, or the word of an earlier round."""
    return taken.get(n, Decision(listing.decisions[n], ""))


def _row(rows: list[int] | None, n: int) -> str:
    """The row of features of a sample, as the cell of a list."""
    return "" if rows is None or rows[n] < 0 else str(rows[n])


def _arrays(listing: Listing, taken: dict[int, Decision], rows: list[int] | None) -> bytes:
    """The corrected .npz: arrays with a row for each sample lose those of the dropped, others stay."""
    count, buffer = len(listing.paths), io.BytesIO()
    with np.load(listing.source, allow_pickle=False) as pack:
        arrays = {name: pack[name] for name in pack.files}
    words = [_decided(listing, taken, n).word for n in range(count)]
    kept = np.array([word != "drop" for word in words])
    value = {label: given for label, given in zip(listing.labels, arrays["labels"], strict=True) if label}
    arrays["labels"] = np.array(arrays["labels"])
    for n, one in taken.items():
        if one.label:
            arrays["labels"][n] = value[one.label]
    arrays[cells.DECISION] = np.array(words)
    arrays[cells.ROW] = np.full(count, -1) if rows is None else np.array(rows)
    of_samples = {name for name, array in arrays.items() if array.shape[:1] == (count,)} - {"classes"}
    np.savez(buffer, **{name: array[kept] if name in of_samples else array for name, array in arrays.items()})
    return buffer.getvalue()


def _path_from(listing: Listing, n: int, folder: Path) -> str:
    """The path of a sample from this folder; what names no file stays as it is."""
    given = listing.orders["rows"][n] if "rows" in listing.orders else listing.paths[n]
    file = listing.files[n] if listing.files else None
    if not given or file is None or not os.path.lexists(file) or os.path.isabs(given):
        return given
    return os.path.join(".", os.path.relpath(file, folder.resolve()))  # a name's = is not the first letter


def _copy(listing: Listing, taken: dict, out: Path, rows: list[int] | None, link: bool) -> list[str]:
    """Every image in the folder of its class. What is another there than in the source, in words.

    It is built beside `out`, so that a stopped call leaves nothing half done there.
    """
    building = Path(f"{out}.partial")
    if building.exists():
        shutil.rmtree(building)
    names = {shown(file.relative_to(listing.root).parts[0]): n for n, file in enumerate(listing.files)}
    log, renamed, absent = io.StringIO(), [], []
    writer = csv.writer(log, lineterminator="\n")
    writer.writerow(["path", "label", cells.DECISION, cells.ROW])
    moves = [n for n, one in taken.items() if one.label not in ("", listing.labels[n])]
    stay = sorted(set(range(len(listing.paths))) - set(moves))  # they come first, and keep their names
    for n in [*stay, *moves]:
        word, label = _decided(listing, taken, n)
        if word == "drop":
            continue
        if not listing.files[n].exists():
            absent.append(listing.paths[n])
            continue
        parts = listing.files[n].relative_to(listing.root).parts
        label = label or listing.labels[n]
        home = listing.files[names[label]].relative_to(listing.root).parts[0]
        target = _free(building / home / Path(*parts[1:]))
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(listing.files[n], target, link)
        path = shown(target.relative_to(building))
        renamed += [f"{listing.paths[n]} is {path}"] if target.name != parts[-1] else []
        writer.writerow([*map(cells.defused, (path, label)), word, _row(rows, n)])
    (building / folders.DECISIONS).write_text(log.getvalue(), encoding="utf-8")
    building.rename(out)
    told = renamed and [
        f"{many(len(renamed), 'file')} got another name, as there was one of that name: {few(renamed, '; ')}"
    ]
    return told + [f"not in it: {many(len(absent), 'link')} to nothing, {few(absent)}"] * bool(absent)


def _free(target: Path) -> Path:
    """The path, with a number behind its name where there is such a file."""
    number, free = 2, target
    while os.path.lexists(free):
        free, number = target.with_name(f"{target.stem}-{number}{target.suffix}"), number + 1
    return free


def _place(file: Path, target: Path, link: bool) -> None:
    """ValueError where it cannot be done, such as a link across file systems."""
    try:
        if link:
            os.link(os.path.realpath(file), target)
        else:
            shutil.copy2(file, target)
    except OSError as error:
        hint = "; copies can be made everywhere" if link else ""
        raise ValueError(f"{shown(file)} cannot be brought to {shown(target)} ({error}){hint}") from None


def _told(out: Path, listing: Listing, taken: dict[int, Decision], moved: list[str]) -> Mended:
    words = Counter(one.word for one in taken.values())
    changed = sum(one.label not in ("", listing.labels[n]) for n, one in taken.items())
    each = ", ".join(f"{words[word]:,} {word}" for word in DECISIONS if words[word])
    lines = [
        f"of {many(len(listing.paths), 'sample')}, {len(taken):,} decided: {each or 'none'}",
        f"{many(changed, 'label', 'is')} changed, {many(words['drop'], 'sample')} dropped; all others are as "
        "they were",
    ]
    return Mended(out, changed, words["drop"], [*lines, *moved, f"written: {out}"])
