"""Claims: what a chapter's prose says, checked against what its run measured.

The last code cell of every notebook ends with ``claims.report()``. Its table names each claim and what it
requires but no measured value, so the text is the same on every machine where all claims hold;
``claims.table()`` shows the measured values, in a cell whose text nobody compares.
"""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

METADATA_KEY = "robust_lib.claims"  # where report() leaves its counts, in the metadata of its output


@dataclass(frozen=True)
class Claim:
    """One checked statement: what was measured, what was required (as text), and whether it held."""

    name: str
    measured: float | bool
    required: str
    passed: bool


class Claims:
    """Collects a chapter's claims; nothing is raised before :meth:`report`.

    Bounds and expected values are printed, so they should be constants: of two measured numbers, claim the
    difference. Measured values are scalars (numbers, 0-d arrays or tensors); NaN or infinity never passes.

    >>> claims = Claims()
    >>> claims.at_least("GCE beats CE by (points)", 4.2, 2)
    >>> claims.report()
    """

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def close(self, name: str, measured, expected, *, abs=None, rel=None) -> None:
        """Claim |measured - expected| <= abs, or <= rel * |expected|; give exactly one tolerance."""
        if (abs is None) == (rel is None):
            raise ValueError(f"claim {name!r}: give abs or rel, one of them; got abs={abs}, rel={rel}")
        given = rel if abs is None else abs
        if not (isinstance(given, int | float) and given >= 0 and math.isfinite(given)):
            raise ValueError(f"claim {name!r}: the tolerance must be finite and not negative; got {given}")
        value, target = _number(name, "measured", measured), _bound(name, "expected", expected)
        tolerance = given if rel is None else given * math.fabs(target)
        required = f"{target:g} ± {given:g}" if rel is None else f"{target:g} ± {100 * given:g}%"
        self._add(name, value, required, math.fabs(value - target) <= tolerance)

    def at_least(self, name: str, measured, bound) -> None:
        """Claim measured >= bound."""
        value, low = _number(name, "measured", measured), _bound(name, "bound", bound)
        self._add(name, value, f"at least {low:g}", value >= low)

    def at_most(self, name: str, measured, bound) -> None:
        """Claim measured <= bound."""
        value, high = _number(name, "measured", measured), _bound(name, "bound", bound)
        self._add(name, value, f"at most {high:g}", value <= high)

    def between(self, name: str, measured, low, high) -> None:
        """Claim low <= measured <= high."""
        value = _number(name, "measured", measured)
        bottom, top = _bound(name, "low", low), _bound(name, "high", high)
        if bottom > top:
            raise ValueError(f"claim {name!r}: low must not exceed high; got low={bottom:g}, high={top:g}")
        self._add(name, value, f"{bottom:g} to {top:g}", bottom <= value <= top)

    def true(self, name: str, condition) -> None:
        """Claim a condition: a bool, or a NumPy or torch scalar that holds one."""
        value = condition.item() if getattr(condition, "shape", None) == () else condition
        if not isinstance(value, bool):
            raise ValueError(f"claim {name!r}: condition must be a bool; got {type(condition).__name__}")
        self._add(name, value, "true", value)

    def table(self):
        """The claims with their measured values, as a pandas DataFrame."""
        import pandas as pd

        rows = [(c.name, _text(c.measured), c.required, _verdict(c)) for c in self._claims]
        return pd.DataFrame(rows, columns=["claim", "measured", "required", "result"])

    def report(self) -> None:
        """Show every claim with PASS or FAIL; AssertionError when one failed, or when there are none.

        Where the runner names a file in $ROBUST_CLAIMS, the claims with their measured values go there too.
        """
        from IPython.display import display

        if os.environ.get("ROBUST_CLAIMS"):
            Path(os.environ["ROBUST_CLAIMS"]).write_text(json.dumps([asdict(c) for c in self._claims]))
        display(_Report(self._claims))
        failed = [c for c in self._claims if not c.passed]
        if not self._claims:
            raise AssertionError("no claims were made")
        if failed:
            what = "; ".join(f"{c.name}: measured {_text(c.measured)}, required {c.required}" for c in failed)
            raise AssertionError(f"{len(failed)} of {len(self._claims)} claims failed: {what}")

    def _add(self, name: str, value: float | bool, required: str, passed: bool) -> None:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"name: a claim needs a name; got {name!r}")
        if any(claim.name == name for claim in self._claims):
            raise ValueError(f"name: claim {name!r} was made before; each claim needs its own name")
        self._claims.append(Claim(name, value, required, passed and math.isfinite(value)))


class _Report:
    """The table as text, with the counts beside it where the runner reads them and nbval does not compare."""

    def __init__(self, claims: list[Claim]) -> None:
        self._claims = claims

    def __repr__(self) -> str:
        rows = [("claim", "required", "result"), *((c.name, c.required, _verdict(c)) for c in self._claims)]
        wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{name:<{wide[0]}}  {required:<{wide[1]}}  {result}" for name, required, result in rows]
        return "\n".join([*lines, f"claims: {self._passed()}/{len(self._claims)} passed"])

    def _repr_mimebundle_(self, include=None, exclude=None):
        counts = {"passed": self._passed(), "total": len(self._claims)}
        return {"text/plain": repr(self)}, {METADATA_KEY: counts}

    def _passed(self) -> int:
        return sum(claim.passed for claim in self._claims)


def _number(name: str, argument: str, value) -> float:
    try:
        return float(None if isinstance(value, str) else value)
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        raise ValueError(f"claim {name!r}: {argument} must be one number; got {kind}") from None


def _bound(name: str, argument: str, value) -> float:
    number = _number(name, argument, value)
    if not math.isfinite(number):
        raise ValueError(f"claim {name!r}: {argument} must be finite; got {number}")
    return number


def _text(measured: float | bool) -> str:
    return str(measured) if isinstance(measured, bool) else f"{measured:.4g}"


def _verdict(claim: Claim) -> str:
    return "PASS" if claim.passed else "FAIL"
