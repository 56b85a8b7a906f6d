"""Neighbours in feature space: samples that are like no other, and samples that are there twice."""

from dataclasses import dataclass

import numpy as np

# 10, 20, 50 and 100 find pictures of no class here equally well, 1 less so: results/outliers.jsonl.
NEIGHBOURS = 10
# Of the median distance to the nearest neighbour. In photos of flowers the eight pairs below 0.5 show one
# scene each, and the first others come at 0.54; cleanlab's Datalab has 0.13, with which three are found.
NEAR = 0.5


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What the distances between N samples say.

    distance: float64 (N,), the mean Euclidean distance to the NEIGHBOURS nearest, over the median of these
    means; the larger, the less a sample is like any other. pairs: int64 (P, 2), near duplicates, those with
    different labels first, then the closest; gap: float64 (P,), their distances in the same unit.
    """

    distance: np.ndarray
    pairs: np.ndarray
    gap: np.ndarray

    @property
    def ranking(self) -> np.ndarray:
        """Positions, int64 (N,), those that are the least like any other first."""
        return np.argsort(-self.distance, kind="stable")


NONE = Neighbours(np.empty(0), np.empty((0, 2), dtype=np.int64), np.empty(0))  # without features


def search(features: np.ndarray, labels: np.ndarray) -> Neighbours:
    """Of features (N, D), N >= 2, on a scale on which they can be compared; its time grows with N squared.

    Two samples are near duplicates if one is among the NEIGHBOURS nearest of the other and their distance is
    at most NEAR times the median distance of all samples to their nearest one.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(features) - 1)
    apart, places = NearestNeighbors(n_neighbors=count).fit(features).kneighbors()
    means = apart.mean(1)
    typical = np.median(means) or 1.0  # 0 where most samples are there many times
    one, place = np.nonzero(apart <= NEAR * np.median(apart[:, 0]))
    both = np.sort(np.stack([one, places[one, place]], axis=1), axis=1)
    pairs, first = np.unique(both, axis=0, return_index=True)
    gap = apart[one, place][first]
    order = np.lexsort([gap, np.equal(*labels[pairs].T)])
    return Neighbours(means / typical, pairs[order], gap[order] / typical)
