"""How Sphinx builds the documentation: scripts/docs."""

from importlib import metadata

project = "backend-retrofit"
author = "The backend-retrofit authors"
release = metadata.version("backend-retrofit")
extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_build", "samples"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
copybutton_prompt_text = "$ "  # what a `console` block prints is not copied
html_title = "backend-retrofit"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
