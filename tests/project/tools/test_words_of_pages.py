"""The pages have no more prose than they may have, and the counter counts prose alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

# once: reads pages: the same on all Pythons
pytestmark = pytest.mark.once

TOOL = Path(__file__).parents[3] / "tools" / "count_words.py"


def counter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("count_words", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_have_no_more_prose_than_they_may_have() -> None:
    tool = counter()
    numbers = {str(page.relative_to(tool.ROOT)): tool.words(page.read_text(encoding="utf-8")) for page in tool.pages()}
    for page, most in tool.OWN_LIMITS.items():
        assert most - 150 < numbers.pop(page) <= most, page
    found = sum(numbers.values())
    assert found <= tool.LIMIT, "cut what repeats, or move it where only those read it whom it helps"
    assert found > tool.LIMIT - 1_000, f"there are {found:,} words: let LIMIT go down"


@pytest.mark.parametrize(
    ("page", "number"),
    [
        ("# A heading\n\nOne sentence has five words.\n", 7),
        ("- a list\n- of `two.things(…)`\n", 4),
        ("See [the page](page.md#here), and ![a picture](trace.png).\n", 6),
        ("| a | table |\n|---|---|\n| of | rows |\n", 0),
        ("```python\nprint('code')\n```\n", 0),
        ("    indented code\n", 0),
        ("English and [中文](zh.md)\n", 2),
        ("<!-- not run: a comment -->\n", 0),
        ("before\n<!-- [messages: time] -->\n\ntext that is generated\n\n<!-- [end] -->\nafter\n", 2),
    ],
)
def test_prose_alone_is_counted(page: str, number: int) -> None:
    assert counter().words(page) == number
