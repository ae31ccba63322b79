"""Libraries that wait for a thread of their own process, by way of a pipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.once


def test_loguru_with_its_queue(run: Callable[..., Any]) -> None:
    found = run(
        """
import time
from loguru import logger

def main_handler(event, context):
    lines, began = [], time.time()
    logger.remove()
    logger.add(lambda line: lines.append(str(line).strip()), enqueue=True, format="{message}")
    logger.info("one")
    time.sleep(60)
    logger.info("two")
    logger.complete()
    time.sleep(60)
    logger.remove()
    return [lines, round(time.time() - began, 3)]
"""
    )

    assert found == [["one", "two"], 120]
