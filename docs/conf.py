"""How Sphinx makes the site: `make docs` builds it, strictly, into `var/docs/`.

The sources are the Markdown files where they stand, so that they read and link the same in the
repository and on the site. The pages below `docs/reference/` are made from the code beforehand
(`docs/generate.py`).
"""

project = "Spillway"
author = "Spillway's authors"
project_copyright = "Spillway's authors, Apache 2.0"

extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "bench/README.md",
    "bench/results/*.md",
    "deploy/README.md",
    "functions/**/README.md",
    "sandbox/README.md",
]
exclude_patterns = [".*", "var", "tests", "streams", "portal", "static", "**/node_modules"]

# Whatever a link or an anchor leads to must be there.
nitpicky = True
myst_heading_anchors = 4

html_theme = "furo"
html_title = "Spillway"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
