"""What test_before_init.py puts into instances: in a file of its own, as it takes an instance long to import pytest."""

from __future__ import annotations

import sys
import time
import types

from pytest_scf_async.inside import record


def install(*positional: object, **named: object) -> None:
    calls = types.ModuleType("calls")
    calls.LIST = [list(positional), named, time.time()]  # type: ignore[attr-defined]
    sys.modules["calls"] = calls
    print("installed")
    record("installed", module=__name__)
