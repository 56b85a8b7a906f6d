"""Predict, then run: a cell takes the reader's guess before the cells that measure.

    guess = checks.predict(..., low=0, high=1)  # your guess in place of the dots
    ...
    guess.compare(measured, within=0.1)

Without a guess both print a line and go on. Student versions of the notebooks (student.py) keep no output
from the one to the other.
"""

import math
import numbers
from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """The reader's guess: a number, one of a few words, or None where none was made."""

    value: float | str | None

    def compare(self, measured, within: float = 0.0) -> None:
        """Print what was measured (a number or a word) beside the guess; within: how near counts as close."""
        measured = measured if isinstance(measured, str) else float(measured)
        text = _text(measured)
        if self.value is None:
            print(f"measured: {text}")
        elif isinstance(self.value, str):
            verdict = "as you said" if self.value == measured else "not as you said"
            print(f"your guess: {self.value}; measured: {text}; {verdict}")
        else:
            off = abs(self.value - measured)
            verdict = "close" if off <= within else f"off by {_text(off)}"
            print(f"your guess: {_text(self.value)}; measured: {text}; {verdict}")


def predict(guess, among: tuple[str, ...] = (), low: float = -math.inf, high: float = math.inf) -> Prediction:
    """Take a guess: one of the words in `among`, or a number from low to high; `...` means none.

    Prints what it took. Another kind of guess gets a sentence, and counts as none.
    """
    if guess is ... or guess is None:
        print("no guess yet: write one in place of the dots, or run on")
    elif among and not (isinstance(guess, str) and guess in among):
        print(f"a guess is one of {', '.join(among)}; this is {guess!r}")
    elif not among and not _between(guess, low, high):
        print(f"a guess is a number{_range(low, high)}; this is {guess!r}")
    else:
        print(f"your guess: {guess}")
        return Prediction(guess)
    return Prediction(None)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _between(guess, low: float, high: float) -> bool:
    real = isinstance(guess, numbers.Real) and not isinstance(guess, bool)
    return real and math.isfinite(guess) and low <= guess <= high


def _range(low: float, high: float) -> str:
    parts = [f"from {low:g}"] * math.isfinite(low) + [f"up to {high:g}"] * math.isfinite(high)
    return " " + " ".join(parts) if parts else ""
