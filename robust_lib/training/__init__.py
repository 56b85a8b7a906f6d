"""Networks, and training that watches every sample.

Read, in this order: models (every network), loop (recipes, fit, and when a run counts as collapsed,
unlearned or diverged), heads (many linear heads at once), dynamics (each sample's margins over the epochs,
and what the papers make of them).

    model = training.models.build("small_cnn", images, 10, seed=0)
    run = training.fit(model, images, labels, losses.gce(), training.RECIPES["quick"])
    run.history[-1]["train_accuracy"], run.state
"""

from robust_lib.training import dynamics, models
from robust_lib.training.dynamics import Recorder
from robust_lib.training.heads import fit_together
from robust_lib.training.loop import (
    RECIPES,
    Fit,
    Recipe,
    Step,
    accuracy,
    check,
    fit,
    orders,
    pick_device,
    predict,
)
