"""What an ``assert`` that failed says of the event whose status or time it has compared."""

from __future__ import annotations

import sys
from datetime import datetime

from ..model.statuses import Status


def explained(op: str, left: object, right: object) -> list[str] | None:
    """The lines about ``left op right``, the comparison first; None where neither side is of an event."""
    if "pytest_scf_async.runtime" in sys.modules and (times := _explain_times(op, left, right)):
        return times
    if op != "==" or not (isinstance(left, str) and isinstance(right, str)):
        return None
    found, expected = (left, right) if isinstance(left, Status) else (right, left)
    if not isinstance(found, Status):
        return None
    from ..async_event import read_last
    from ..report.failure import why_not_status

    last = read_last()
    if last is None or last._event.status is not found:
        return [f"{str(left)!r} == {str(right)!r}", *why_not_status(str(found), str(expected), None, None)]
    why = why_not_status(str(found), str(expected), last._event, last._standing())
    return [f"{str(left)!r} == {str(right)!r}", *why]


def _explain_times(op: str, left: object, right: object) -> list[str]:
    if not (isinstance(left, datetime) and isinstance(right, datetime)):
        return []
    from ..async_event import read_last
    from ..report.failure import why_not_time

    last = read_last()
    why = [] if last is None else why_not_time(left, right, last._event, last._lockstep.clock.now_us)
    return [f"{left!r} {op} {right!r}", *why] if why else []
