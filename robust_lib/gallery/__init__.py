"""The papers' tables and figures beside ours, made from the records.

Read comparison, orderings, artefacts, drawings, pages in this order.

    gallery.comparison.table(gallery.comparison.cells("HS Table 1", "small"))
    gallery.write(Path("figures"))
"""

from robust_lib.gallery import comparison, drawings
from robust_lib.gallery.pages import draw, write
