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


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """What was found among the N samples of data (which says what was left out, and why).

    flagged: bool (N,). ranking: int64 (N,), positions, the most suspicious first. suggested: int64 (N,), the
    network's class, of the flagged ones its best other than the given. detections: by detector, "cl" and
    "aum". probs: (N, K), out of sample but for the detector "aum". What cleanlab calls labels and pred_probs
    are data.labels and probs; flagged is for the detector "cl" what its find_label_issues returns, for "both"
    what aum flags as well, less what was decided before. out: the folder with the pages.
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

    def __repr__(self) -> str:
        """A line, for the cell of a notebook that ends in it: all data would be pages."""
        return f"<Findings: {self.flagged.sum():,} of {len(self.flagged):,} labels flagged, {self.out}>"

    @cached_property
    def table(self):
        """ranked.csv as a DataFrame: rank (from 1), path, index in the source, given and suggested label,
        flagged, each detector's score and verdict, the probability that the given label is wrong, and text
        where the data have it."""
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
        if self.data.texts is not None:
            columns["text"] = self.data.texts
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

    def issues(self):
        """A DataFrame of the samples in the order of the source, its columns named as those of Datalab.

        Its index is data.index, the rows of the source. is_label_issue, label_score (0 ... 1, the lower, the
        worse: 1 - the probability that the label is wrong; for the detector "aum" the share of samples that
        rank above), given_label and predicted_label as class names. With features also is_outlier_issue (a
        distance beyond Tukey's fence, the third quartile + 1.5 times the range between the quartiles),
        outlier_score (1/(1 + distance), 0 ... 1), is_near_duplicate_issue,
        near_duplicate_score (1 - exp(-distance) to the nearest near duplicate, 1 where there is none) and
        near_duplicate_sets (arrays of the rows of these). Scores are ours: Datalab's have other scales.
        """
        import pandas as pd

        names, count = np.array(self.data.classes), len(self.ranking)
        share = np.empty(count)
        share[self.ranking] = np.arange(count) / count
        columns = {
            "is_label_issue": self.flagged,
            "label_score": share if self.wrong is None else 1 - self.wrong.probability,
            "given_label": names[self.data.labels],
            "predicted_label": names[self.suggested],
        }
        if len(self.neighbours.distance):
            columns |= self._outlier_columns() | self._near_duplicate_columns()
        return pd.DataFrame(columns, index=self.data.index)

    def _outlier_columns(self) -> dict:
        distance = self.neighbours.distance
        first, third = np.percentile(distance, (25, 75))
        far = distance > third + 1.5 * (third - first)
        return {"is_outlier_issue": far, "outlier_score": 1 / (1 + distance)}

    def _near_duplicate_columns(self) -> dict:
        count, pairs = len(self.ranking), self.neighbours.pairs
        nearest, sets = np.full(count, np.inf), [[] for _ in range(count)]
        for (one, other), gap in zip(pairs, self.neighbours.gap, strict=True):
            for here, there in ((one, other), (other, one)):
                nearest[here] = min(nearest[here], gap)
                sets[here].append(self.data.index[there])
        return {
            "is_near_duplicate_issue": np.isfinite(nearest),
            "near_duplicate_score": 1 - np.exp(-nearest),
            "near_duplicate_sets": [np.array(rows, dtype=np.int64) for rows in sets],
        }

    @property
    def noise_matrix(self) -> np.ndarray:
        """Counts int64 (K, K), row: given label, column: suggested where flagged, otherwise given."""
        from sklearn.metrics import confusion_matrix

        likely = np.where(self.flagged, self.suggested, self.data.labels)
        return confusion_matrix(self.data.labels, likely, labels=np.arange(len(self.data.classes)))
