"""Sphinx's settings. CONTRIBUTING.md has the command that builds the site; it needs no network."""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["MPLBACKEND"] = "agg"

import sklearn_deepnn  # noqa: E402  # importable only after the path is set above
from sklearn_deepnn.estimators.base import DOCUMENTATION  # noqa: E402  # importable only after the path is set above

project = "sklearn_deepnn"
author = "the sklearn_deepnn developers"
release = version = sklearn_deepnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "gallery/**/*.ipynb", "gallery/**/*.py", "benchmarks/notes.md"]
default_role = "py:obj"  # `model_forward` in a docstring is a link if there is such a thing, otherwise code
suppress_warnings = ["config.cache"]  # the gallery's settings hold a class, which is not kept between builds

linkcheck_ignore = [re.escape(DOCUMENTATION)]  # of this very site

# Markdown

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

# API

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # pages list methods in full

# Gallery

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "doc_module": ("sklearn_deepnn",),
    "backreferences_dir": "gallery/backreferences",  # and API pages to the examples
    "reference_url": {"sklearn_deepnn": None},  # names in examples lead to their API pages
    "capture_repr": ("_repr_html_",),
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
}

# HTML

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_deepnn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
WITHOUT_SIDEBAR = "start", "building_blocks", "coming_from", "benchmarks/*", "design", "contributing", "changelog"
html_sidebars = {page: [] for page in WITHOUT_SIDEBAR}
html_theme_options = {
    "logo": {"text": "sklearn_deepnn"},
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
}
copyright = "the sklearn_deepnn developers, BSD 3-Clause"


def leave_out_generated_methods(app, what, name, obj, skip, options):
    """Skip `set_fit_request` and similar methods: their docstrings link to scikit-learn's own pages."""
    return True if name.startswith("set_") and name.endswith("_request") else skip


def lead_to_the_gallery(app, docname, source):
    """Replace links to the example scripts by links to their gallery pages."""
    source[0] = re.sub(r"\(\.\./examples/(plot_\w+)\.py\)", r"(gallery/\1.rst)", source[0])


def setup(app):
    """Connect the two functions above."""
    app.connect("source-read", lead_to_the_gallery)
    app.connect("autodoc-skip-member", leave_out_generated_methods)
