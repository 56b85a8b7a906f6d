"""Tables of path, label and text as people save them, between commas, semicolons, tabs or bars."""

import csv
import io
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from robust_lib.find import cells
from robust_lib.find.labels import empty_missing
from robust_lib.find.listing import Listing, Table, shown

DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """The cells of a row, and the line of the file that it begins in (from 1)."""

    line: int
    cells: list[str]


def read(path: Path, labels_suffice: bool, missing) -> Listing:
    """Rows of path, label and text; of two encodings, the one that finds more files.

    Columns are named path, label and text, or path and label come first in a file without a header. Where
    there are features or probs, labels suffice, and a column id may stand for that of paths. ValueError where
    columns cannot be found or a row cannot be read.
    """
    tables = []
    for text, remarks in _texts_of(path):
        rows, table, notes = _table(text, path, labels_suffice)
        files, remark = _files(rows, path.parent)
        tables.append((rows, files, table, [*remarks, *notes, *remark]))
    rows, files, table, notes = max(tables, key=lambda one: sum(map(os.path.lexists, one[1])))
    listing = Listing(
        source=path,
        paths=[shown(name) or f"row {number}" for number, (_, (name, *_)) in enumerate(rows)],
        labels=[shown(label) for _, (_, label, _) in rows],
        texts=[text for _, (*_, text) in rows] if any(text for _, (*_, text) in rows) else None,
        files=files,
        orders={"rows": [name for _, (name, *_) in rows]},
        notes=notes,
        table=table,
        **_of_mend(table, path),
    )
    if cells.DECISION not in table.header or missing is not None:  # mend has emptied them already
        empty_missing(listing, missing)
    _drop_repeated(listing, [line for line, _ in rows], labels_suffice)
    return listing


def _of_mend(table: Table, path: Path) -> dict:
    """The decisions, and the rows of features, of a list that `mend` wrote."""
    names = table.header
    if not {cells.DECISION, cells.ROW} <= set(names):
        return {}
    decisions, rows = ([row[names.index(name)] for row in table.rows] for name in (cells.DECISION, cells.ROW))
    return {"decisions": decisions, "rows": cells.row_numbers(rows, path)}


def _files(rows: list[Row], folder: Path) -> tuple[list[Path], list[str]]:
    """The file of each row, and a note on paths of Windows that are read as ours."""
    files = [folder / name for _, (name, *_) in rows]
    turned = 0
    for n, (_, (name, *_)) in enumerate(rows):
        other = folder / name.replace("\\", "/")
        if "\\" in name and not os.path.lexists(files[n]) and os.path.lexists(other):
            files[n], turned = other, turned + 1
    return files, [f"{turned:,} paths with \\ are read with /"] if turned else []


def _drop_repeated(listing: Listing, lines: list[int], labels_suffice: bool) -> None:
    """Leaves out rows of a file that another row names; of these, the first that has a label counts,
    and the others follow it."""
    root, first = listing.root, {}
    files = [name and os.path.abspath(root / name) for name in listing.orders["rows"]]
    for n in sorted(range(len(files)), key=lambda n: not listing.labels[n]):
        first.setdefault(files[n], n)
    for n, file in enumerate(files):
        other = first[file]
        if not file and not labels_suffice:
            listing.drop(n, f"no path in line {lines[n]}")
        if not file or other == n:
            continue
        listing.copies[n] = other
        here, there = listing.labels[n], listing.labels[other]
        if here == there:
            listing.drop(n, f"given twice, with {'the same label' if here else 'no label either time'}")
        elif here:
            listing.drop(n, f"given twice, with {here!r}, and {there!r} first, which counts")
        else:
            listing.drop(n, f"given twice, without a label here, and with {there!r} in line {lines[other]}")


def _texts_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The file's text, in every encoding that comes into question, with a note where it is a guess."""
    raw = path.read_bytes()
    encoding = json.detect_encoding(raw)  # by its mark, or by the zeros of the first letters
    try:
        yield raw.decode(encoding), [] if encoding.startswith("utf-8") else [f"read as {encoding.upper()}"]
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"{path} cannot be read as {encoding} ({error}): save it as UTF-8") from None
        yield raw.decode("utf-8", "surrogateescape"), ["the file is no UTF-8: such bytes are written \\x.."]
        yield raw.decode("cp1252", "replace"), ["the file is no UTF-8: read as Windows-1252"]


def _table(text: str, path: Path, labels_suffice: bool) -> tuple[list[Row], Table, list[str]]:
    """Rows of (path, label, text), all cells, and notes. ValueError where columns or a row cannot be read."""
    said = re.match(r'"?sep=(.)"?[ \t]*(\r\n|\r|\n)', text, re.IGNORECASE)  # as Excel writes and reads it
    delimiters, skipped = (said[1], 1) if said else (DELIMITERS, 0)
    text, header = text[said.end() :] if said else text, []
    for delimiter in delimiters:
        few = list(itertools.islice(_rows(text, delimiter, path, skipped, sure=False), 10))
        head = few[0].cells if few else []
        names = [cell.lower() for cell in head]
        for column in ("path", "label", "text"):
            if names.count(column) > 1:
                raise ValueError(f"{path} must have one column {column}, got {', '.join(names)}")
        if "label" in names and ("path" in names or labels_suffice):
            name = "id" if "path" not in names else "path"
            places, notes = (
                [names.index(one) if one in names else None for one in (name, "label", "text")],
                [],
            )
        elif len(head) > 1 and _begin_with_paths(few, path.parent):
            places, notes = [0, 1, None], ["no header: path and label come first"]
        else:
            header = max(header, names, key=len)
            continue
        rows = list(_rows(text, delimiter, path, skipped))[0 if notes else 1 :]
        if not notes and cells.DECISION in head:
            rows = [Row(line, list(map(cells.plain, texts))) for line, texts in rows]
        kept = _columns(rows, places, len(head), path)
        whole = [(texts + [""] * len(head))[: len(head)] for _, texts in rows]
        table = Table([] if notes else head, whole, tuple(places[:2]))
        return kept, table, notes + _line_breaks(rows, places[2])
    raise ValueError(
        f"{path} must have the columns path and label, got {', '.join(header) or 'no line'}"
        + ("" if labels_suffice else "; without paths it needs features or probs")
    )


def _begin_with_paths(rows: list[Row], folder: Path) -> bool:
    """Whether the first cell looks like a path, and one of the rows begins with a file."""
    names = [row.cells[0].replace("\\", "/") for row in rows]
    is_path = "/" in names[0] or os.path.splitext(names[0])[1]
    return bool(is_path) and any(name and os.path.isfile(folder / name) for name in names)


def _rows(text: str, delimiter: str, path: Path, skipped: int, sure: bool = True) -> Iterator[Row]:
    """Rows that are not empty. sure: whether a quote that does not fit is a ValueError, or ends them.

    pandas.read_csv takes `"big" cat` for a cell, and tells the lines of neither rows nor open quotes.
    """
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    line = skipped + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Row(line, [cell.strip() for cell in cells])
            line = reader.line_num + skipped + 1
    except csv.Error as error:
        if sure:
            raise ValueError(
                f"{path} line {line} cannot be read ({error}): each quote must be closed in its cell, and "
                'one inside a quoted cell must be doubled ("")'
            ) from None


def _line_breaks(rows: list[Row], text: int | None) -> list[str]:
    """A note on cells that go over several lines: a quote left open swallows the rows below it. Not on those
    of the column `text`, where this is usual."""
    others = [(line, cells[:text] + cells[text + 1 :] if text is not None else cells) for line, cells in rows]
    lines = [line for line, cells in others if any("\n" in cell or "\r" in cell for cell in cells)]
    what = "rows hold line breaks in other columns, the first in line"
    return [f"{len(lines):,} {what} {lines[0]}"] if lines else []


def _columns(rows: list[Row], places: list[int | None], width: int, path: Path) -> list[Row]:
    """Path, label and text of each row, "" where it has none. ValueError for cells that cannot be right."""
    kept = []
    for line, texts in rows:
        if any(texts[width:]):
            raise ValueError(
                f"{path} line {line} has {len(texts)} cells where the first line has {width}: quote the cell "
                "that holds the delimiter"
            )
        found = ["" if place is None else "".join(texts[place : place + 1]) for place in places]
        if any("\n" in cell or "\r" in cell for cell in found[:2]):
            raise ValueError(f"{path} line {line}: a quote is opened here and closed in another line")
        kept.append(Row(line, found))
    return kept
