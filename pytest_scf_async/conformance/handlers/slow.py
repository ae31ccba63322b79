"""A module that takes its time to be imported."""

import time
from typing import Any

INIT_TAKES = 20.0

time.sleep(INIT_TAKES)


def main_handler(event: Any, context: Any) -> str:
    """Return at once."""
    return "initialised"
