"""changelog.d/ has fragments of the kinds that there are, and towncrier makes a section of CHANGELOG.md from them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# once: texts of a release
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[3]
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
NAME = re.compile(rf"(\d+|\+[\w-]+)\.({'|'.join(KINDS)})(\.\d+)?\.md")
SECTION = """\
<!-- the next release goes below this line -->

## [1.2.3] - 2030-01-31

### Added

- **Colours.** `deploy` takes `colour=`. ([#7](https://github.com/pytest-scf-async/pytest-scf-async/issues/7))

### Fixed

- An event ends.
"""


def test_each_fragment_has_a_kind_that_there_is() -> None:
    names = {each.name for each in (PROJECT / "changelog.d").iterdir()} - {"README.md"}
    assert {name for name in names if NAME.fullmatch(name) is None} == set()


def test_a_release_has_a_section_above_those_before_it(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(PROJECT / name, tmp_path)
    fragments = tmp_path / "changelog.d"
    fragments.mkdir()
    shutil.copy(PROJECT / "changelog.d" / "README.md", fragments)
    (fragments / "7.added.md").write_text("**Colours.** `deploy` takes `colour=`.\n", encoding="utf-8")
    (fragments / "+end.fixed.md").write_text("An event ends.\n", encoding="utf-8")
    before = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    build = (sys.executable, "-m", "towncrier", "build", "--yes", "--version", "1.2.3", "--date", "2030-01-31")
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    after = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    head, _, rest = before.partition(SECTION.partition("\n")[0])
    assert after == f"{head}{SECTION}{rest}"
    assert [each.name for each in fragments.iterdir()] == ["README.md"]
