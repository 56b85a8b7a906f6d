"""The tool for your own data, from a folder or list to a page that ranks the labels.

Input: listing (samples before they are opened), from a folder, a CSV (tables), arrays, features or
probabilities; labels and pictures; reading puts them together. Then search (training, what is flagged),
calibration (how probable it is that a label is wrong), findings (the tables), pages (the page), and mend (the
decisions that were taken on the page).

    found = find.find("photos/", "find-photos")
    found.table.head()
    found.issues()  # named as the columns of cleanlab's Datalab
"""

from robust_lib.find.mend import mend
from robust_lib.find.reading import list_paths
from robust_lib.find.search import find
