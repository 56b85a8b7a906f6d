"""Tables of path and label as people save them: between commas, semicolons, tabs or bars, in any encoding."""

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """The cells of a row, and the line of the file that it begins in (from 1)."""

    line: int
    cells: list[str]


def read(path: Path, labels_suffice: bool) -> tuple[list[Row], list[Path | None], list[str]]:
    """Rows of (path, label), their files, and notes; of two encodings, the one that finds more files.

    Columns are named path and label, or come first in a file without a header. labels_suffice: a column of
    paths may be missing. ValueError where columns cannot be found or a row cannot be read, with its line.
    """
    best = None
    for text, remark in _texts_of(path):
        rows, notes = _table(text, path, labels_suffice)
        files, turned = [], 0
        for row in rows:
            file = path.parent / row.cells[0]
            if "\\" in row.cells[0] and not os.path.lexists(file):
                other = path.parent / row.cells[0].replace("\\", "/")
                file, turned = (other, turned + 1) if os.path.lexists(other) else (file, turned)
            files.append(file)
        if turned:
            notes.append(f"{turned:,} paths with \\ are read with /")
        hits = sum(os.path.lexists(file) for file in files)
        if best is None or hits > best[0]:
            best = hits, rows, files, [*remark, *notes]
    return best[1:]


def _texts_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The file's text, in every encoding that comes into question, with a note where it is a guess."""
    raw = path.read_bytes()
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # UTF-32 begins alike: first
    encoding = next((name for mark, name in marks.items() if raw.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 4 * raw[:1000].count(0) > len(raw[:1000]):  # of plain letters, each second one
        encoding = "utf-16-le" if raw[1:2] == b"\0" else "utf-16-be"
    try:
        yield raw.decode(encoding), [] if encoding.startswith("utf-8") else [f"read as {encoding.upper()}"]
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"{path} cannot be read as {encoding} ({error}): save it as UTF-8") from None
        yield raw.decode("utf-8", "surrogateescape"), ["the file is no UTF-8: such bytes are written \\x.."]
        yield raw.decode("cp1252", "replace"), ["the file is no UTF-8: read as Windows-1252"]


def _table(text: str, path: Path, labels_suffice: bool) -> tuple[list[Row], list[str]]:
    """Rows of (path, label). ValueError where the columns cannot be found or a row cannot be read."""
    said = re.match(r'"?sep=(.)"?[ \t]*(\r\n|\r|\n)', text, re.IGNORECASE)  # as Excel writes and reads it
    skipped = 1 if said else 0
    body = text[said.end() :] if said else text
    header, rows = [], []
    for delimiter in said[1] if said else DELIMITERS:
        head = next((row.cells for row in _rows(body, delimiter, path, skipped, first=True)), [])
        names = [cell.strip().lower() for cell in head]
        twice = [name for name in ("path", "label") if names.count(name) > 1]
        if twice:
            raise ValueError(f"{path} must have one column {twice[0]}, got {', '.join(names)}")
        header = names if len(names) > len(header) else header
        if "label" in names and ("path" in names or labels_suffice):
            places = (names.index("path") if "path" in names else None, names.index("label"))
            rows = list(_rows(body, delimiter, path, skipped))[1:]
            return _columns(rows, places, len(names), path), _line_breaks(rows)
        if (
            len(head) > 1
            and _is_path(head[0])
            and _any_file(_rows(body, delimiter, path, skipped, first=True), path)
        ):
            rows = list(_rows(body, delimiter, path, skipped))
            notes = ["no header: path and label come first", *_line_breaks(rows)]
            return _columns(rows, (0, 1), len(rows[0].cells), path), notes
    raise ValueError(f"{path} must have the columns path and label, got {', '.join(header) or 'no line'}")


def _is_path(cell: str) -> bool:
    return bool("/" in cell or "\\" in cell or os.path.splitext(cell)[1])


def _any_file(rows: Iterator[Row], path: Path) -> bool:
    """Whether one of the first rows begins with a file."""
    few = [row.cells[0].replace("\\", "/") for row, _ in zip(rows, range(10), strict=False)]
    return any(name and os.path.isfile(path.parent / name) for name in few)


def _rows(text: str, delimiter: str, path: Path, skipped: int, first: bool = False) -> Iterator[Row]:
    """Rows that are not empty, with the line they begin in. ValueError for a quote that does not fit."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    while True:
        line = reader.line_num + 1 + skipped
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if first:  # with another delimiter it may fit
                return
            raise ValueError(
                f"{path} line {line} cannot be read ({error}): each quote must be closed in its cell, and "
                'one inside a quoted cell must be doubled ("")'
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield Row(line, [cell.strip() for cell in cells])


def _line_breaks(rows: list[Row]) -> list[str]:
    """A note on cells that go over several lines: a quote left open swallows the rows below it."""
    lines = [line for line, cells in rows if any("\n" in cell or "\r" in cell for cell in cells)]
    if not lines:
        return []
    return [f"{len(lines):,} rows hold line breaks in other columns, the first in line {lines[0]}"]


def _columns(rows: list[Row], places, width: int, path: Path) -> list[Row]:
    """Path and label of each row, "" where it has none. ValueError for cells that cannot be right."""
    found = []
    for line, cells in rows:
        if any(cells[width:]):
            raise ValueError(
                f"{path} line {line} has {len(cells)} cells where the first line has {width}: quote the cell "
                "that holds the delimiter"
            )
        pair = ["" if k is None or k >= len(cells) else cells[k] for k in places]
        if any("\n" in cell or "\r" in cell for cell in pair):
            raise ValueError(f"{path} line {line}: a quote is opened here and closed in another line")
        found.append(Row(line, pair))
    return found
