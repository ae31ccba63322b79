"""Sphinx's settings for the site: `make docs` builds it from the Markdown files, which stay readable on GitHub."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinxcontrib.mermaid import mermaid

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
llms_txt_description = (
    "A pytest plugin that tests Tencent Cloud SCF asynchronous events offline: real processes, real SIGTERM, "
    "simulated time."
)

SHOWN = re.compile(r"<!-- shown on the site: (?:\.\./)+([\w./-]+) -->")
"""A workflow of the project that the site shows, where GitHub has its name alone."""
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


def shown(found: re.Match[str]) -> str:
    """The file that a page names, as a block; nothing where this tree does not have it."""
    there = (Path(__file__).parents[1] / found[1]).is_file()
    return f"```{{literalinclude}} /../{found[1]}\n:language: yaml\n```" if there else ""


def prepare(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the index its navigation, show files, and make links to files outside the site plain text."""
    if page == root_doc:
        source[0] += "\n" + navigation(source[0])
    source[0] = outside(page).sub(r"\1", SHOWN.sub(shown, source[0]))


class LinkDocuments(SphinxTransform):
    """Make the number of a document of the platform a link to it, on the pages that name documents by their numbers."""

    default_priority = 700
    pages = ("fidelity", "glossary", "reference")
    others = ("50000", "65534")
    """Numbers of five digits there that are no document's."""

    def apply(self) -> None:
        if self.env.docname not in self.pages:
            return
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(
                text.parent, nodes.literal | nodes.literal_block | nodes.reference | nodes.raw | nodes.comment
            ):
                continue
            parts = re.split(r"(?<![\w.,/-])(\d{5,6})(?![\d.,]*\d|\w)", text.astext())
            if len(parts) > 1:
                made = [self.linked(part) if number % 2 else nodes.Text(part) for number, part in enumerate(parts)]
                text.parent.replace(text, made)

    def linked(self, number: str) -> nodes.Node:
        if number in self.others:
            return nodes.Text(number)
        return nodes.reference("", number, refuri=f"https://cloud.tencent.com/document/product/583/{number}")


class KeepDrawings(SphinxPostTransform):
    """Keep the text of a drawing in the Markdown that stands beside the site: its builder knows no drawings."""

    default_priority = 200
    formats = ("markdown",)

    def run(self, **_: object) -> None:
        for drawing in list(self.document.findall(mermaid)):
            drawing.replace_self(nodes.literal_block(drawing["code"], drawing["code"], language="mermaid"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", prepare)
    app.add_transform(LinkDocuments)
    app.add_post_transform(KeepDrawings)
