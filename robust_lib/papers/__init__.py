"""The papers' own numbers and their errors. Read reported, errata.

papers.reported.frame("CV Table 5")
papers.ERRATA["cv-3"].check()
"""

from robust_lib.papers import reported
from robust_lib.papers.errata import ERRATA, HS_CELLS, nce_gradient_norms
from robust_lib.papers.reported import Reported
