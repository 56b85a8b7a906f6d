"""Trials: one described and run, the papers' tables as lists of them, many run and recorded.

Read, in this order: trials (one), plans (the named sweeps), executors (running and resuming them); then
against_people (chapter 15), growth and bench (what things cost).

    trial = sweeps.Trial("mnist", "mini", "small_cnn", "quick", "gce", "cl", seed=0)
    sweeps.run(trial)["f1"]
    sweeps.read("hs-table6", "small")
"""

from robust_lib.sweeps.executors import listing, run_named, status
from robust_lib.sweeps.plans import CV_KINDS, SWEEPS, Sweep, path_of, read
from robust_lib.sweeps.trials import Trial, build_loss, run
