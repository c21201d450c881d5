"""Sphinx: Markdown pages, and pages generated from the code."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from generated import write_pages  # noqa: E402

from strdyn_live import __version__  # noqa: E402

# the generated parts are included by the pages of reference/
write_pages(HERE / "_build" / "generated")

project = "strdyn-live"
author = "strdyn-live developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
myst_enable_extensions = ["deflist", "attrs_block", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = False
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections give type, shape and unit
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"strdyn-live {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "monokai"
