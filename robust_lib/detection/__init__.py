"""From training to suspicious labels. Read evidence, confident, aum, detectors, metrics in this order.

run = detection.cross_validate(build, images, noisy, losses.gce(), recipe)
found = detection.confident_learning(noisy, run.probs)
detection.metrics.detection_scores(flipped, found.flagged)
"""

from robust_lib.detection import aum, confident, metrics
from robust_lib.detection.detectors import Detection, area_under_margin, confident_learning, mean_loss
from robust_lib.detection.evidence import (
    CrossValidation,
    Fold,
    ThresholdRun,
    cross_validate,
    folds,
    split,
    threshold_runs,
)
