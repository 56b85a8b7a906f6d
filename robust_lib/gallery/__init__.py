"""The papers' tables and figures beside ours, made from the records.

Read, in this order: comparison (their numbers and ours), orderings (which orders of losses hold), verdicts
and statements (whether what the papers state holds), costs (what is still to be run), artefacts (the state of
every table and figure), side_by_side (all of these on one page), drawings, pages.

    gallery.comparison.cells("HS Table 1", "small")
    gallery.write(Path("figures"))
"""

from robust_lib.gallery import comparison, costs, side_by_side, statements, verdicts
from robust_lib.gallery.pages import draw, write
