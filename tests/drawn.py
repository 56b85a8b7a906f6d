"""What a figure shows, as numbers."""

import numpy as np


def lines(ax) -> dict[str, np.ndarray]:
    """The lines of one panel by label: x and y, (2, points)."""
    return {line.get_label(): np.asarray(line.get_data(), dtype=float) for line in ax.lines}
