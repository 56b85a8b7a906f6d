"""One trial, the papers' tables as lists of trials, and how they are run. Read trials, plans, executors; then
against_people (chapter 13), growth and bench (what things cost).

    trial = sweeps.Trial(data="mnist", size="mini", loss="gce", noise="uniform", noise_rate=0.3)
    sweeps.run(trial)["cl"]
    sweeps.read("hs-table6", "small")
"""

from robust_lib.sweeps.executors import duration, listing, run_named, status
from robust_lib.sweeps.plans import SWEEPS, Sweep, path_of, read
from robust_lib.sweeps.trials import Trial, run
