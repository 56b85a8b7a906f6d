"""From what training leaves behind to suspicious labels. Read confident, aum, detectors, metrics.

run = training.cross_validate(build, images, noisy, losses.gce(), recipe)
found = detection.confident_learning(noisy, run.probs)
detection.metrics.detection_scores(flipped, found.flagged)
"""

from robust_lib.detection import aum, confident, metrics
from robust_lib.detection.detectors import (
    Detection,
    ThresholdRun,
    area_under_margin,
    confident_learning,
    mean_loss,
    threshold_runs,
)
