"""Draw ``docs/trace.png``, the trace in the README, with the machine's Chromium (``make pictures``).

It shows the hand-made trace of ``tests/plugin/trace_samples.py`` that the README's failure has, or that of a file::

    python tools/draw_pictures.py [trace.html]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
PICTURE = TREE / "docs" / "trace.png"
LIMIT = 150_000
"""Bytes: everyone who clones the project gets each picture that it ever had."""


sys.path[:0] = [str(TREE), str(TREE / "tests" / "plugin")]

import trace_samples  # noqa: E402  (of the tests)
from playwright.sync_api import sync_playwright  # noqa: E402

from pytest_scf_async.trace.page import page as page_of  # noqa: E402


def main(arguments: list[str]) -> int:
    browsers = trace_samples.browsers()
    if not browsers:
        print("draw_pictures: Chromium is not installed (Debian and Ubuntu: apt-get install chromium)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        file = Path(arguments[0]).resolve() if arguments else Path(directory, "trace.html")
        if not arguments:
            file.write_text(page_of(trace_samples.stop()), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=browsers[0], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 560}, color_scheme="light")
        page.goto(file.as_uri())
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = page.screenshot()
        browser.close()
    if len(picture) > LIMIT:
        print(f"draw_pictures: the picture has {len(picture):,} bytes, and may have {LIMIT:,}", file=sys.stderr)
        return 1
    PICTURE.write_bytes(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
