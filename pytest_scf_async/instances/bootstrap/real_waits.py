"""What stays on real time although it asks a clock: waits for child processes, which work in real time."""

from __future__ import annotations

import time
from types import SimpleNamespace

_real_monotonic = time.monotonic
_real_sleep = time.sleep


def install() -> None:
    """Let the timeouts of ``subprocess`` count real seconds, with the functions from before the patches of ``time``."""
    import subprocess  # noqa: PLC0415  (after the patches of threading)

    subprocess._time = _real_monotonic  # type: ignore[attr-defined]
    subprocess.time = SimpleNamespace(**{**vars(time), "sleep": _real_sleep})  # type: ignore[attr-defined]
