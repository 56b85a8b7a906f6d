"""The tool for your own data. Read reading (with pictures, tables, features), search, pages in this order.

found = find.find("photos/", "find-photos")
found.table.head()
"""

from robust_lib.find.reading import list_paths
from robust_lib.find.search import find
