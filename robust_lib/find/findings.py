"""What was found, and the tables of it that are written."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from robust_lib.detection import Detection
from robust_lib.find import calibration, neighbours
from robust_lib.find.calibration import Estimate
from robust_lib.find.neighbours import Neighbours
from robust_lib.find.reading import OwnData


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found among the N samples of data (which says what was left out, and why).

    flagged: bool (N,). ranking: int64 (N,), positions, the most suspicious first. suggested: int64 (N,), the
    network's class, of the flagged ones its best other than the given. detections: by detector, "cl" and
    "aum". probs: float32 (N, K), out of sample but for the detector "aum". out: the folder with the pages.
    neighbours: each sample's place in feature space; empty where networks were trained on the images.
    key: names the run, and with it the decisions taken on its page. What data.decided has comes last in the
    ranking, and is not flagged.
    wrong: how probable it is that a label is wrong; None for the detector "aum".
    """

    data: OwnData
    out: Path
    detections: dict[str, Detection]
    flagged: np.ndarray
    ranking: np.ndarray
    suggested: np.ndarray
    probs: np.ndarray
    summary: list[str]
    neighbours: Neighbours = neighbours.NONE
    key: str = ""
    wrong: Estimate | None = None

    @cached_property
    def table(self):
        """ranked.csv as a DataFrame: rank (from 1), path, index in the source, given and suggested label,
        flagged, each detector's score and verdict, and the probability that the given label is wrong."""
        import pandas as pd

        names = np.array(self.data.classes)
        columns = {
            "path": self.data.paths,
            "index": self.data.index,
            "given": names[self.data.labels],
            "suggested": names[self.suggested],
            "flagged": self.flagged,
        }
        for name, one in self.detections.items():
            columns |= {f"score_{name}": one.score, f"flagged_{name}": one.flagged}
        if self.wrong is not None:
            columns["probability"] = self.wrong.probability
        table = pd.DataFrame(columns).iloc[self.ranking].reset_index(drop=True)
        table.insert(0, "rank", table.index + 1)
        return table

    @property
    def outlying(self) -> np.ndarray:
        """Positions, those that are the least like any other first, without what was decided before."""
        order = self.neighbours.ranking
        return order[~self.data.decided[order]]

    @property
    def twins(self) -> tuple[np.ndarray, np.ndarray]:
        """Neighbours' pairs and their gap, without the pairs of which both were decided before."""
        open_ = ~self.data.decided[self.neighbours.pairs].all(1)
        return self.neighbours.pairs[open_], self.neighbours.gap[open_]

    @cached_property
    def expected(self):
        """expected.csv as a DataFrame: how many errors the first n of the ranking are expected to hold, as
        calibration.curve; None for the detector "aum"."""
        return None if self.wrong is None else calibration.curve(self.wrong, self.ranking)

    @cached_property
    def outliers(self):
        """outliers.csv as a DataFrame, those that are the least like any other first: rank (from 1), path,
        index in the source, given label, and distance as Neighbours has it. Without features no row."""
        import pandas as pd

        order, names = self.outlying, np.array(self.data.classes)
        columns = {
            "rank": np.arange(len(order)) + 1,
            "path": np.array(self.data.paths)[order],
            "index": self.data.index[order],
            "given": names[self.data.labels[order]],
            "distance": self.neighbours.distance[order],
        }
        return pd.DataFrame(columns)

    @cached_property
    def duplicates(self):
        """duplicates.csv as a DataFrame, in the order of twins: path, other, given, given_other,
        conflict (whether these two differ), and distance as Neighbours has it. Without features no row."""
        import pandas as pd

        pairs, gap = self.twins
        (one, other), paths = pairs.T, np.array(self.data.paths)
        given = np.array(self.data.classes)[self.data.labels]
        columns = {
            "path": paths[one],
            "other": paths[other],
            "given": given[one],
            "given_other": given[other],
            "conflict": given[one] != given[other],
            "distance": gap,
        }
        return pd.DataFrame(columns)

    @property
    def noise_matrix(self) -> np.ndarray:
        """Counts int64 (K, K), row: given label, column: suggested where flagged, otherwise given."""
        from sklearn.metrics import confusion_matrix

        likely = np.where(self.flagged, self.suggested, self.data.labels)
        return confusion_matrix(self.data.labels, likely, labels=np.arange(len(self.data.classes)))
