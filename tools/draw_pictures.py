"""Draw ``docs/trace.png``, the trace in the README, with the machine's Chromium (``make pictures``).

It runs the README's failing test and shows the trace that this leaves, or that of a file::

    python tools/draw_pictures.py [trace.html]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

TREE = Path(__file__).resolve().parent.parent
PICTURE = TREE / "docs" / "trace.png"
LIMIT = 150_000
"""Bytes: everyone who clones the project gets each picture that it ever had."""
FILES = ("handlers/backup.py", "test_backup.py")

sys.path[:0] = [str(TREE / "tests" / "project" / "pages"), str(TREE / "tests" / "trace" / "plugin")]

from docs_support import blocks  # noqa: E402  (of the tests)
from trace_samples import browsers  # noqa: E402


def main(arguments: list[str]) -> int:
    if not browsers():
        print("draw_pictures: Chromium is not installed (Debian and Ubuntu: apt-get install chromium)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        file = Path(arguments[0]).resolve() if arguments else trace_of_readme(Path(directory))
        browser = playwright.chromium.launch(executable_path=browsers()[0], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 600}, color_scheme="light")
        page.goto(file.as_uri())
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = page.screenshot()
        browser.close()
    if len(picture) > LIMIT:
        print(f"draw_pictures: the picture has {len(picture):,} bytes, and may have {LIMIT:,}", file=sys.stderr)
        return 1
    PICTURE.write_bytes(picture)
    return 0


def trace_of_readme(directory: Path) -> Path:
    """The trace of the README's test, which fails on purpose."""
    found = {block.name: block.text for block in reversed([*blocks("README.md")])}
    for name in FILES:
        file = directory / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found[name], encoding="utf-8")
    options = ["--scf-async-start=2026-01-01T00:00:00+00:00", f"--scf-async-artifacts={directory}"]
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    subprocess.run(run, cwd=directory / "tests", check=False, stdout=subprocess.DEVNULL)
    (trace,) = directory.glob("*/trace.html")
    return trace


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
