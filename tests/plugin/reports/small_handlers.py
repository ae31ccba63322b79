"""Handlers of plugin tests that run in the suite's own session: an instance that imports a test file imports pytest."""

from __future__ import annotations

import faulthandler
import os
import signal
import time


def returns(event: object, context: object) -> object:
    return event


def sleeps(event: object, context: object) -> str:
    time.sleep(3600)
    return "slept"


def raises(event: object, context: object) -> object:
    raise ValueError("boom")


def counts(event: int, context: object) -> None:
    for number in range(1, event + 1):
        print(f"number {number}")


def computes(event: object, context: object) -> None:
    while True:
        pass


def caught_by_c_code(event: object, context: object) -> str:
    faulthandler.register(signal.SIGTERM, file=open(os.devnull, "w"))  # noqa: SIM115  (for life)
    time.sleep(60)
    return "slept"
