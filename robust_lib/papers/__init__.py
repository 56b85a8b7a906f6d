"""The papers' own words: reported (every printed number), errata (their errors, each with a check).

    papers.reported.frame("CV Table 5")
    papers.ERRATA["cv-3"].check()

Settings of their experiments stand in sweeps, as trials.
"""

from robust_lib.papers import reported
from robust_lib.papers.errata import ERRATA, HS_BASELINES, HS_CELLS, nce_gradient_norms
from robust_lib.papers.reported import Reported
