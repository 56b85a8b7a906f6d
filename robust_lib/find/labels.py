"""Labels in words: which of them mean none, and which are the same number."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch

from robust_lib.find.listing import Listing, counted, shown

NO_LABEL = ("", "nan", "none", "null", "?")  # in a CSV or an array, in small letters; -1 see empty_missing
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))(?:\.0*)?", re.ASCII)  # 01 may be a code


def in_words(value) -> str:
    """Any label: whole floats without a point; bytes are UTF-8, as h5py and others write text."""
    if isinstance(value, float | np.floating):
        return f"{value:.15g}"
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return shown(text).strip()


def no_label(missing) -> set[str]:
    """The words that mean "no label", in small letters; missing: one word or number, or a collection."""
    if missing is None:
        return set(NO_LABEL)
    given = missing.tolist() if isinstance(missing, np.ndarray | np.generic | torch.Tensor) else missing
    words = given if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]
    return {"", *(in_words(word).strip().lower() for word in words)}


def empty_missing(listing: Listing, missing) -> None:
    """Empties the labels that mean none, writes whole numbers alike, and says what of this is a guess.

    -1 means none where all labels are numbers and no other is negative, unless all are -1, 0 and 1.
    """
    words = no_label(missing)
    given = {label for label in listing.labels if label.lower() not in words}
    if given and all(NUMBER.fullmatch(label) for label in given):
        _write_alike(listing, given)
        numbers = {float(label) for label in given}
        only_negative = [number for number in numbers if number < 0] == [-1]
        if missing is None and only_negative and not numbers <= {-1, 0, 1}:
            words.add("-1")
    emptied = Counter(label for label in listing.labels if label and label.lower() in words)
    listing.emptied |= {label.lower() for label in emptied}
    emptied.pop("nan", None)
    listing.labels = ["" if label.lower() in words else label for label in listing.labels]
    if emptied:
        what = f'read as "no label": {counted(emptied)}'
        listing.notes.append(f"{what}; if a class is meant, name what is missing")
    elif "-1" in listing.labels and missing is None:
        listing.notes.append("-1 is read as a class; if it means no label, say that it is missing")


def _write_alike(listing: Listing, given: set[str]) -> None:
    plain = {label: str(int(whole[1])) for label in given if (whole := WHOLE.fullmatch(label))}
    changed = sorted(label for label, number in plain.items() if label != number)
    if changed:
        listing.labels = [plain.get(label, label) for label in listing.labels]
        example = f"{changed[0]} as {plain[changed[0]]}"
        listing.notes.append(f"labels that are whole numbers are read alike: {example}")


def in_order(used: set[str], named: tuple[str, ...]) -> tuple[str, ...]:
    """The classes, in the source's own order, or by number, or by name."""
    if named:
        return tuple(name for name in named if name in used)
    numbers = all(NUMBER.fullmatch(label) for label in used)
    return tuple(sorted(used, key=lambda label: (float(label) if numbers else 0, label)))


def look_alikes(classes: tuple[str, ...]) -> list[str]:
    """A note for each set of classes that differ in writing only."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
        alike.setdefault(key, []).append(name)
    same = [names for names in alike.values() if len(names) > 1]
    return [f"classes that differ in their writing only: {', '.join(map(repr, names))}" for names in same]
