"""pexpect in a handler: its delays of 50 ms are simulated while the program at the terminal waits for input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.once


def test_a_dialogue_at_a_terminal(run: Callable[..., Any]) -> None:
    found = run(
        """
import time
import pexpect

def main_handler(event, context):
    began, said = time.time(), []
    child = pexpect.spawn("sh", ["-c", "while read word; do echo got $word; done"], echo=False, encoding="utf-8")
    for word in ("one", "two"):
        child.sendline(word)
        child.expect("got ([a-z]+)", timeout=30)
        said.append(child.match.group(1))
        time.sleep(60)
    child.sendeof()
    child.expect(pexpect.EOF)
    return [said, round(time.time() - began)]
"""
    )

    assert found == [["one", "two"], 120]
