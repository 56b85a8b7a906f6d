"""The tool for your own data. Read listing, folder, tables, arrays, reading, search, pages.

found = find.find("photos/", "find-photos")
found.table.head()
"""

from robust_lib.find.reading import list_paths
from robust_lib.find.search import find
