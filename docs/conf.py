"""Settings of the documentation site: `make docs` builds it into build/docs, without network access."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

# For the extension that stands beside this file.
sys.path.insert(0, str(Path(__file__).parent))

project = "modeling-glm"
author = "the modeling-glm contributors"
version = release = installed_version("modeling-glm")

extensions = [
    "markdown_docstrings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence"]
# Links like guides/fill.md#what-an-answer-may-be work here as they do on GitHub.
myst_heading_anchors = 3

# Docstrings write `Name` for code, as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "modeling-glm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5fa8", "color-brand-content": "#1d5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7fb6f0", "color-brand-content": "#7fb6f0"},
}
copybutton_exclude = ".linenos, .gp, .go"
