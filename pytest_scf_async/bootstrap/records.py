"""What user code and fakes report to the test: notes on the channel, between the lines of the output."""

from __future__ import annotations

import json
from typing import Any

from ..protocol import messages
from . import clock
from .scheduler.door import door


def send(name: Any, fields: dict[str, Any]) -> None:
    """Send a record; nothing in a process that is no instance. ``TypeError`` for what cannot be one."""
    if not door.active:
        return
    if not isinstance(name, str):
        raise TypeError(f"record({name!r}, ...): the name is a str, not {type(name).__name__}")
    texts = [f"{json.dumps(field)}:{_json(name, field, value)}" for field, value in fields.items()]
    clock.reads = 0  # progress, as a line of the log is
    body = f'{{"name":{json.dumps(name)},"fields":{{{",".join(texts)}}}}}'
    door.tell(messages.frame(messages.NOTE, body.encode("ascii")))


def note(text: str) -> None:
    """Put a line of ours into the event's timeline."""
    if door.active:
        door.tell(messages.json_frame(messages.NOTE, {"note": text}))


def _json(name: str, field: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        shown = f"{type(value).__name__} {value!r}"
        raise TypeError(
            f"record({name!r}, {field}=...): {shown[:200]} is not JSON ({error}); "
            "it takes dict, list, str, int, finite float, bool and None"
        ) from None
