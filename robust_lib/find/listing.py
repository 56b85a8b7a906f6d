"""What every reader of a source returns: its samples, their labels in words, and what had to be left out."""

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robust_lib.find import pictures


class Problem(NamedTuple):
    """Something in the input that was left out or deserves a look, in words."""

    path: str
    problem: str


class Table(NamedTuple):
    """The cells of a CSV as they stand: its first line, [] if that is no header, its rows, and where path and
    label are (None where there is no path)."""

    header: list[str]
    rows: list[list[str]]
    places: tuple[int | None, int]


@dataclass(kw_only=True, eq=False)
class Samples:
    """N samples of a source, and where their pictures are.

    paths: names for people (relative to the folder or the CSV's folder; the position in an array).
    texts: what a table has in its column text. files: None for a sample without a picture. pixels: of each
    sample of an array, uint8 (H, W) or (H, W, 3). scales: of deep pictures, by kind. stamp: md5 of what the
    source lists, with the files' sizes and times. copies: of each sample left out as a copy within its class,
    or as a file that another row names, by place in the source, the one that is kept.
    """

    source: Path
    paths: list[str]
    texts: list[str] | None = None
    files: list[Path | None] | None = None
    pixels: np.ndarray | list[np.ndarray] | None = field(default=None, repr=False)
    scales: dict[str, pictures.Scale] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stamp: str = ""
    copies: dict[int, int] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.source if self.source.is_dir() else self.source.parent

    def picture(self, position: int, near: int | None = None):
        """The original picture of a sample as a PIL image of mode L or RGB; None if there is none.

        near: as pictures.load.
        """
        from PIL import Image

        if self.pixels is not None:
            return Image.fromarray(np.ascontiguousarray(self.pixels[position]))
        file = self.files[position] if self.files else None
        return None if file is None else pictures.as_8_bits(pictures.load(file, near), self.scales)


@dataclass(kw_only=True, eq=False)
class Listing(Samples):
    """What a source lists, before any picture is opened.

    labels: "" where there is none. classes: the names that the source itself gives, if it does. orders: in
    which rows of features may come, by name. originals: the pixels of an array before they were scaled.
    emptied: the words, in small letters, that were read as "no label". probs: (N, K), and columns, their
    names if they have any. usable: bool (N,). decisions: what was decided of each before (mend writes it into
    its results), "" for nothing. rows: int64 (N,), its row of features or probs, -1 for none; None before
    these are read. own_features: whether they came with the labels, so that they have the rows of the source.
    table: what a CSV holds beside path and label.
    """

    labels: list[str]
    classes: tuple[str, ...] = ()
    orders: dict[str, list[str]] = field(default_factory=dict)
    originals: np.ndarray | None = None
    features: np.ndarray | None = None
    probs: np.ndarray | None = None
    columns: list[str] = field(default_factory=list)
    emptied: set[str] = field(default_factory=set)
    decisions: list[str] = field(default_factory=list)
    rows: np.ndarray | None = None
    own_features: bool = False
    table: Table | None = None

    def __post_init__(self):
        self.usable = np.ones(len(self.paths), dtype=bool)
        self.decisions = self.decisions or [""] * len(self.paths)

    def drop(self, positions, why: str) -> None:
        """Leaves out one or several samples, those of them that are still usable."""
        for n in np.atleast_1d(positions):
            if self.usable[n]:
                self.usable[n] = False
                self.problems.append(Problem(self.paths[n], f"left out: {why}"))

    def remark(self, position: int, what: str) -> None:
        self.problems.append(Problem(self.paths[position], what))

    def stamped(self) -> "Listing":
        """Itself, with its stamp."""
        digest = hashlib.md5(repr((self.paths, self.labels)).encode(), usedforsecurity=False)
        for file in [*filter(None, self.files or []), *([self.source] if self.source.is_file() else [])]:
            try:
                seen = os.stat(file)
                digest.update(f"{seen.st_size} {seen.st_mtime_ns}\n".encode())
            except (OSError, ValueError):  # ValueError: a NUL in the path
                digest.update(b"none\n")
        self.stamp = digest.hexdigest()
        return self

    def first_problems(self) -> str:
        return few([f"\n  {path}: {problem}" for path, problem in self.problems], "", "\n  …")


def shown(path) -> str:
    """The path for people, in one line: bytes that are no UTF-8 and control characters become \\x…"""
    try:
        text = os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # halves of a character that stand for no byte
        text = str(path).encode("utf-8", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda control: f"\\x{ord(control[0]):02x}", text)


def many(count: int, noun: str, verb: str = "") -> str:
    """The count with its noun: "1 label", "2,000 labels"; verb: "is", "has" or "holds", which follow it."""
    plural = {"": "", "is": " are", "has": " have", "holds": " hold"}[verb]
    return f"{count:,} {noun}" + (f" {verb}".rstrip() if count == 1 else f"s{plural}")


def counted(counts: Counter) -> str:
    return few([f"{name} ({count:,})" for name, count in sorted(counts.items())])


def few(texts, between: str = ", ", more: str = "…") -> str:
    """The first five texts in one; `more` stands for those that are left out."""
    texts = list(texts)
    return between.join([*texts[:5], more] if len(texts) > 5 else texts)


def as_path(name: str, given) -> Path:
    """ValueError where it is no path, or an empty one, which would mean the working directory."""
    try:
        if os.fspath(given):
            return Path(given)
    except TypeError:
        given = type(given).__name__
    raise ValueError(f"{name} must be a path, got {given!r}")


def refuse_inside(source: Path, out: Path) -> None:
    """ValueError if what is to be written lies in the input."""
    source = source.resolve()
    if source in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"out must not be inside the input, got {out}")
