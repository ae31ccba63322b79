"""What ``--scf-async-artifacts=DIR`` keeps of a failed test: log, timeline, records and facts of each event."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..clock import to_datetime
from ..report.cause import function_traceback
from ..report.test_directory import directory_name

if TYPE_CHECKING:
    from ..async_event import AsyncEvent
    from ..lockstep.event import SignalDelivery


def resolve(config: pytest.Config) -> None:
    """Make the directory that is given absolute, workers of xdist get it so; ``pytest.UsageError`` for what is none."""
    given, source, base = config.option.scf_async_artifacts, "command line", config.invocation_params.dir
    if given is None:
        given, source = config.getini("scf_async_artifacts"), "ini"
        base = config.inipath.parent if config.inipath is not None else config.rootpath
    path = os.path.normpath(os.path.join(base, os.path.expanduser(given)))
    if not given or (os.path.exists(path) and not os.path.isdir(path)):
        raise pytest.UsageError(
            f"scf_async_artifacts={given!r} ({source}) is not valid: it must be the path of a directory"
        )
    config.option.scf_async_artifacts = path


def keep(directory: str, nodeid: str, events: Sequence[AsyncEvent]) -> dict[str, str]:
    """Write *events* of one test below *directory*, in place of what an earlier run of the test left there.

    Gives where each event is, by request id, or why it is not there. Nothing is raised for a file that cannot be
    written: the report of the failure matters more.
    """
    of_test = Path(directory, directory_name(nodeid))
    shutil.rmtree(of_test, ignore_errors=True)
    kept = {}
    for number, event in enumerate(events, 1):
        of_event = of_test / f"{number}-{event.function_name}-{event.request_id[:8]}"
        try:
            of_event.mkdir(parents=True, exist_ok=True)
            for name, text in _files(nodeid, event).items():
                (of_event / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            kept[event.request_id] = f"not written to {of_event}: {error.strerror or error}"
        else:
            kept[event.request_id] = str(of_event)
    return kept


def _files(nodeid: str, event: AsyncEvent) -> dict[str, str]:
    inner = event._event
    records = [
        {"time": record.time.isoformat(), "name": record.name, "fields": record.fields} for record in inner.records
    ]
    stack = function_traceback(inner)
    return {
        "log.txt": "".join(f"{line.text}\n" for line in inner.log),
        "timeline.txt": event._timeline() + "\n",
        "records.json": _json(records),
        "event.json": _json(_facts(nodeid, event)),
        **({"traceback.txt": f"{stack}\n"} if stack else {}),
    }


def _facts(nodeid: str, event: AsyncEvent) -> dict[str, Any]:
    """What is known of *event*; the function's environment is left out on purpose: it may hold passwords."""
    inner, record = event._event, event._event.record
    instance = inner.instance
    return {
        "test": nodeid,
        "request_id": record.request_id,
        "function": record.function_name,
        "namespace": record.namespace,
        "qualifier": record.qualifier,
        "invoke_type": record.invoke_type,
        "status": inner.shown_status,
        "retry_num": inner.retry_num,
        "status_code": record.status_code,
        "ended_by_the_harness": inner.ended_by_close,
        "started_at": _time(record.start_us),
        "ended_at": _time(record.end_us),
        "duration": None if record.end_us is None else (record.end_us - record.start_us) / 1e6,
        "payload": json.loads(inner.payload),
        "result": None if inner.content is not None else json.loads(inner.result_text or "null", parse_constant=str),
        "result_base64": None if inner.content is None else base64.b64encode(inner.content).decode(),
        "error": dict(inner.error) or None,
        "transitions": [{"status": status, "time": _time(at)} for status, at in record.transitions],
        "signals": [_signal(delivery) for delivery in inner.signals],
        "instance": None
        if instance is None
        else {
            "pid": instance.pid,
            "cold": inner.cold,
            "doing": str(instance.doing()),
            "reclaimed_because": inner.reclaimed_because,
            "lost_files": list(instance.sandbox.lost_files),
        },
    }


def _signal(delivery: SignalDelivery) -> dict[str, Any]:
    """Whether it was confirmed is not here: the log has the platform's line."""
    return {
        "sent_at": _time(delivery.sent_us),
        "received": delivery.received,
        "disposition": delivery.disposition,
        "entered_at": _time(delivery.entered_us),
        "left_at": _time(delivery.left_us),
        "cost": dataclasses.asdict(delivery.cost),
        "raised": None if delivery.raised is None else str(delivery.raised),
    }


def _time(microseconds: int | None) -> str | None:
    return None if microseconds is None else to_datetime(microseconds).isoformat()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
