"""CSV files that go to spreadsheet programs and come back: no cell is computed, and sizes are bounded."""

import csv
import io
import re
from pathlib import Path

import numpy as np

from robust_lib.find.labels import NUMBER

DECISION, ROW = "find_decision", "find_row"  # the columns that `mend` adds
MOST_BYTES = 64 << 20  # of a file of decisions; 200,000 of them take some 20 MB
# What spreadsheet programs take for the beginning of a formula, in wide letters too. Where the separator is a
# semicolon, one inside a cell begins another cell.
_BEGINS = re.compile(r"""(^|[;\t\r\n])(["\s]*['=+\-@＝＋－＠])""")
_MARKED = re.compile(r"""(^|[;\t\r\n])'(["\s]*['=+\-@＝＋－＠])""")


def defused(text: str) -> str:
    """The text with ' before whatever would begin a formula (or a ' there); plain numbers stay."""
    return text if NUMBER.fullmatch(text) else _BEGINS.sub(r"\1'\2", text)


def plain(cell: str) -> str:
    """The text that `defused` made this cell of."""
    return _MARKED.sub(r"\1\2", cell)


def read(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """The number of the line, from 1, and the columns' texts of each row of a CSV that `find` wrote.

    It may have been saved by a spreadsheet program, with semicolons or tabs. ValueError for more than
    MOST_BYTES, a missing column, or a row that cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise ValueError(f"{path} must have at most {MOST_BYTES:,} bytes, got more")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 ({error})") from None
    for delimiter in ",;\t":
        # splitlines would split at U+2028 too, which a name may hold
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            head = [name.strip() for name in next(reader, [])]
            if set(columns) <= set(head):
                places = {name: head.index(name) for name in columns}
                return [(reader.line_num, _texts(row, places)) for row in reader if any(row)]
        except (csv.Error, IndexError) as error:
            why = "a cell is missing" if isinstance(error, IndexError) else error
            raise ValueError(f"{path} line {reader.line_num} cannot be read: {why}") from None
    first = text.split("\n")[0].strip()[:100] if text else "no line"
    raise ValueError(f"{path} must have the columns {', '.join(columns)}, got {first!r}")


def row_numbers(texts: list[str], path: Path) -> np.ndarray | None:
    """int64 (N,), -1 for an empty text, or None where all are empty. ValueError for other texts."""
    if wrong := [text for text in texts if not re.fullmatch(r"\d{0,15}", text, re.ASCII)]:
        raise ValueError(f"{path} must have numbers of rows in the column {ROW}, got {wrong[0][:100]!r}")
    return np.array([int(text or -1) for text in texts], dtype=np.int64) if any(texts) else None


def _texts(row: list[str], places: dict[str, int]) -> dict[str, str]:
    return {name: plain(row[place]) for name, place in places.items()}
