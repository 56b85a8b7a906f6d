"""figures/README.md: every figure of the last refresh with its words and its provenance."""

import json
from pathlib import Path

HEADER = """# Gallery

Written by `make refresh`; do not edit. Each figure lies here as PNG and SVG, with a JSON sidecar that says
what ran, where and from which commit. "quick" means the quick profile: mini packs, small networks, one
seed. A quick figure shows a mechanism; it is never the paper's experiment.
"""


def write(folder: Path) -> None:
    """Write folder/README.md from the sidecars in the folder, in the order of their names."""
    parts = [HEADER]
    for sidecar in sorted(folder.glob("*.json")):
        about = json.loads(sidecar.read_text())
        run = f"profile {about['profile']}, seed {about['seed']}, {about['device']}, torch {about['torch']}"
        picture = f"![{about['alt']}]({sidecar.stem}.png)"
        parts.append(f"## {sidecar.stem}\n\n{picture}\n\n{about['alt']}\n\n*{run}*\n")
    (folder / "README.md").write_text("\n".join(parts))
