"""Sphinx's settings for the site: `make docs` builds it from the Markdown files, which stay readable on GitHub."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pytest-scf-async"
author = "The pytest-scf-async contributors"
version = release = version_of("pytest-scf-async")
html_title = "pytest-scf-async"
html_theme = "furo"
html_copy_source = False

extensions = ["myst_parser", "sphinxcontrib.mermaid", "sphinx_llm.txt"]
root_doc = "index"
myst_heading_anchors = 3
"""Headings down to this level are targets, by the names that GitHub gives them."""
myst_fence_as_directive = ["mermaid"]
html_show_sourcelink = False
llms_txt_suffix_mode = "replace"
llms_txt_suppress_unknown_node_warnings = ["mermaid"]
llms_txt_description = (
    "A pytest plugin that tests Tencent Cloud SCF asynchronous events offline: real processes, real SIGTERM, "
    "simulated time."
)

LINK = re.compile(r"^- \[[^]]+\]\(([\w/-]+)\.md\)", re.MULTILINE)


def navigation(index: str) -> str:
    """The site's navigation, as hidden tables of contents: the lists of links of *index*, one for each heading."""
    tables = []
    for section in index.split("\n## ")[1:]:
        pages = "\n".join(LINK.findall(section))
        caption = section.partition("\n")[0]
        tables.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "\n".join(tables)


def outside(page: str) -> re.Pattern[str]:
    """A link of *page* to a file of the project that is no page of the site, whose text stays."""
    return re.compile(rf"\[([^]]+)\]\((?:\.\./){{{page.count('/') + 1}}}[^)]+\)")


def prepare(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the index its navigation, and make links to files outside the site plain text."""
    if page == root_doc:
        source[0] += "\n" + navigation(source[0])
    source[0] = outside(page).sub(r"\1", source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", prepare)
