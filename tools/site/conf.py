"""Sphinx reads build/site-source, which build.py writes."""

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
_repository = _project["tool"]["nmflib"]["repository"]

project = "NMF for audio source separation, put on trial"
author = "the authors of nmflib"
copyright = "text and figures CC BY 4.0, code MIT"
version = release = _project["project"]["version"]
language = "en"

extensions = ["myst_nb"]
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Fold the code"
myst_enable_extensions = ["amsmath", "attrs_block", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "web.anchor"
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"loader": {"load": ["ui/lazy"]}}  # a formula is set when it comes into view

html_theme = "sphinx_book_theme"
html_title = "NMF, put on trial"
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_js_files = [(f"{name}.js", {"defer": "defer"}) for name in ("frames", "explore", "compute", "reading")]
html_show_sphinx = False
html_last_updated_fmt = None
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],  # the search field is in the sidebar
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "repository_url": _repository,
    "use_repository_button": bool(_repository),
    "search_bar_text": "Search the series …",
}
