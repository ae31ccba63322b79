"""The names that a handler, or a fake that stands in for something of it, may import: standard library only.

Where no harness listens (on the platform, in a child that user code forked) all of it does nothing, so code that is
deployed may import it too.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["record"]

_RECORDS = "pytest_scf_async.python.records"
"""Loaded in instances only."""


def record(name: str, /, **fields: Any) -> None:
    """Tell the test that something happened: it finds *name* and *fields* in ``event.records``, and in the timeline.

    *fields* are JSON (dict, list, str, int, float, bool, None). A record counts as progress of the event, takes its
    place between the lines of the log, and may be made on any thread and in a signal's handler. Raises ``TypeError``
    in an instance for a name that is no text and for a field that is not JSON; nothing where no harness listens.
    """
    records = sys.modules.get(_RECORDS)
    if records is not None:
        records.send(name, fields)
