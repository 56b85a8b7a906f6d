"""The papers' tables and figures beside ours, made from the records.

Read, in this order: comparison (their numbers and ours), orderings (which orders of losses hold), artefacts
(the state of every table and figure), drawings, pages.

    gallery.comparison.cells("HS Table 1", "small")
    gallery.write(Path("figures"))
"""

from robust_lib.gallery import comparison
from robust_lib.gallery.pages import draw, write
