"""From training to suspicious labels.

Read, in this order: evidence (the trainings: folds, threshold runs), confident (confident learning, by hand
and by cleanlab, and simpler filters), aum (the area under the margin), detectors (all behind one interface),
neighbours (detectors that train nothing: votes and prototypes in features), metrics (scores of the finds).

    run = detection.cross_validate(build, images, labels, losses.gce(), recipe)
    found = detection.confident_learning(labels, run.probs)
    detection.metrics.detection_scores(flips.mask, found.flagged)
"""

from robust_lib.detection import aum, confident, metrics, neighbours
from robust_lib.detection.detectors import Detection, area_under_margin, confident_learning, mean_loss
from robust_lib.detection.evidence import (
    CrossValidation,
    Fold,
    ThresholdRun,
    cross_validate,
    cross_validate_together,
    folds,
    split,
    threshold_runs,
    threshold_runs_together,
)
from robust_lib.detection.neighbours import neighbour_vote, prototype_margin
