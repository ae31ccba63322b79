"""The site is built from the pages, and a link between them that leads nowhere is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_support import TREE

# once: Sphinx reads pages: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.sphinx]

DOCS = TREE / "docs"


def build(source: Path, built: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does, without what an earlier run has left."""
    command = (sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", built.with_name("doctrees"))
    return subprocess.run((*command, *options, source, built), capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)  # Sphinx builds it twice: as HTML, and as Markdown for llms.txt
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = build(DOCS, tmp_path / "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    index = (tmp_path / "site" / "llms.txt").read_text(encoding="utf-8")
    for page in DOCS.glob("**/*.md"):
        name = page.relative_to(DOCS).with_suffix("").as_posix()
        assert (tmp_path / "site" / f"{name}.html").is_file()
        assert f"({name}.md)" in index or name == "index"
    chinese = (tmp_path / "site" / "zh" / "add-it.html").read_text(encoding="utf-8")
    assert 'href="../reference.html#settings"' in chinese
    fidelity = (tmp_path / "site" / "fidelity.html").read_text(encoding="utf-8")
    assert 'href="https://cloud.tencent.com/document/product/583/63969"' in fidelity
    assert "583/50000" not in fidelity  # a port
    assert "```mermaid\nstateDiagram" in (tmp_path / "site" / "architecture.md").read_text(encoding="utf-8")


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_bytes((DOCS / "conf.py").read_bytes())
    (source / "index.md").write_text("# Site\n\n## Pages\n\n- [Time](time.md)\n- [Other](other.md)\n", encoding="utf-8")
    (tmp_path / "there.yml").write_text("on: push\n", encoding="utf-8")
    shown = "".join(f"<!-- shown on the site: ../{name}.yml -->\n\n" for name in ("there", "nowhere"))
    (source / "time.md").write_text(f"# Time\n\n{shown}[Here](other.md#a-heading-in-it)\n", encoding="utf-8")
    other = "# Other\n\n## A heading in it\n\n[1](time.md#nowhere)\n\n[2](nowhere.md)\n\n![3](nowhere.png)\n"
    (source / "other.md").write_text(other, encoding="utf-8")
    done = build(source, tmp_path / "built", "-b", "text")
    assert done.returncode != 0
    warnings = dict(re.findall(r"(\w+\.md:\d+): WARNING: (.*)", done.stderr))
    assert warnings == {
        "other.md:5": "local id not found in doc 'time': 'nowhere' [myst.xref_missing]",
        "other.md:7": "'myst' cross-reference target not found: 'nowhere.md' [myst.xref_missing]",
        "other.md:9": "image file not readable: nowhere.png [image.not_readable]",
    }
    assert "on: push" in (tmp_path / "built" / "time.txt").read_text(encoding="utf-8")
