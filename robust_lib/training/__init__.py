"""Networks, and training that watches every sample. Read models, loop, dynamics in this order.

model = training.models.build("small_cnn", images, classes=10, seed=0)
run = training.fit(model, images, noisy, losses.gce(), training.RECIPES["quick"])
run.history[-1]["train_accuracy"]
"""

from robust_lib.training import dynamics, models
from robust_lib.training.dynamics import Recorder
from robust_lib.training.loop import (
    RECIPES,
    Fit,
    Recipe,
    Step,
    accuracy,
    fit,
    pick_device,
    predict,
)
