"""figures/README.md and its tables: every figure of the last refresh with its words and its provenance."""

import json
from pathlib import Path

HEADER = """# Gallery

Written by `make refresh`; do not edit. Each figure lies here as PNG and SVG, with a JSON sidecar that says
what ran, where and from which commit. "quick" means the quick profile: mini packs, small networks, one
seed. A quick figure shows a mechanism; it is never the paper's experiment.

Two tables made from the library: [every loss](losses.md) with its weight, limits, symmetry and source, and
the [errata](errata.md) of the papers, each with its check's verdict.
"""

NOTATION = "CV, HS, SY and the symbols: [notation and glossary](../notebooks/notation_and_glossary.md)."


def write(folder: Path) -> None:
    """Write README.md from the sidecars in the folder, in the order of their names, and the two tables."""
    parts = [HEADER]
    for sidecar in sorted(folder.glob("*.json")):
        about = json.loads(sidecar.read_text())
        run = f"profile {about['profile']}, seed {about['seed']}, {about['device']}, torch {about['torch']}"
        picture = f"![{about['alt']}]({sidecar.stem}.png)"
        parts.append(f"## {sidecar.stem}\n\n{picture}\n\n{about['alt']}\n\n*{run}*\n")
    (folder / "README.md").write_text("\n".join(parts))
    (folder / "losses.md").write_text(losses_page())
    (folder / "errata.md").write_text(errata_page())


def losses_page() -> str:
    """The table of the registry's losses."""
    from robust_lib import zoo_table

    return f"# Every loss\n\nMade from `robust_lib/losses.py`. {NOTATION}\n\n{zoo_table.markdown()}"


def errata_page() -> str:
    """The errata, each run: what is printed, what is right, whether the check confirmed it."""
    from robust_lib.errata import ERRATA

    rows = ["| key | where | printed | correct | check |", "|---|---|---|---|---|"]
    for erratum in ERRATA.values():
        verdict = "confirmed" if erratum.check()["confirmed"] else "not confirmed"
        cells = (erratum.key, erratum.where, erratum.printed, erratum.correct, verdict)
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    made = f"Made from `robust_lib/errata.py`; the tests run every check. {NOTATION}"
    title = f"# Errata of the papers\n\n{made}\n\n"
    return title + "\n".join(rows) + "\n"
