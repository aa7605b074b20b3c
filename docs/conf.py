"""How the docs become a site: `make docs`. Everything that a page names must be there, so a warning ends the build."""

from __future__ import annotations

project = "Sluiceway"
author = "the Sluiceway authors"
copyright = author  # the name is Sphinx's
extensions = ["myst_parser"]
myst_heading_anchors = 4
"""As GitHub does: a link may lead to any heading."""
exclude_patterns = ["_build"]
nitpicky = True
smartquotes_action = "qe"
"""No dashes: two of them begin an option."""

html_theme = "furo"
html_title = "Sluiceway"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False  # nothing is entered in it
html_show_sphinx = False
