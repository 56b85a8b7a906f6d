"""Sphinx's settings for the site; build.py stages the pages and calls Sphinx with them."""

project = "Robust losses for noisy labels"
author = "the robust-losses-course authors"
copyright = "the robust-losses-course authors, MIT licence"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx-mathjax-offline"]
nb_execution_mode = "off"  # the committed outputs are what is shown
nb_render_markdown_format = "myst"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_show_search_summary = False  # a page opened from a folder may not fetch another one
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True}
python_display_short_literal_types = True


def as_written(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text with formulas, tables and examples set by hand: keep them so."""
    if lines:
        lines[:] = [".. code-block:: text", "   :class: docstring", "", *(f"   {line}" for line in lines), ""]


def setup(app) -> None:
    app.connect("autodoc-process-docstring", as_written)
