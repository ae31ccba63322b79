"""Records and notes that user code and fakes send to the test, in order with the lines of the output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from ..protocol import messages
from ..protocol.shortening import shortened
from . import clock
from .scheduler.scheduler import scheduler

LARGEST = 16 * 1024 * 1024
"""The most bytes of a record, as JSON."""
SHOWN = 200
"""How many characters of a value that is not JSON an error shows."""
before_each: Final[list[Callable[[str], object]]] = []
"""Each is called with the name of a record that is about to be sent."""


def send(name: Any, fields: dict[str, Any]) -> None:
    """Send a record; in a process that is no instance do nothing. Raises ``TypeError`` for what is no record."""
    if not scheduler.active:
        return
    if not isinstance(name, str):
        raise TypeError(f"record({name!r}, ...): the name must be a str, not {type(name).__name__}")
    texts = [f"{json.dumps(field)}:{_json(name, field, value)}" for field, value in fields.items()]
    clock.reads[0] = 0  # progress, as a line of the log is
    body = messages.pack_record(json.dumps(name), texts)
    if len(body) > LARGEST:
        raise TypeError(f"record({name!r}, ...): {len(body):,} bytes of JSON; a record takes at most {LARGEST:,}")
    for call in before_each:
        call(name)
    scheduler.send_marked(messages.frame(messages.NOTE, body))
    scheduler.control.recorded += 1


def note(text: str) -> None:
    """Add a line to the event's timeline."""
    if scheduler.active:
        scheduler.send_marked(messages.pack(messages.Note(note=text)))


def announce_debug(text: str) -> None:
    """A library is about to write *text*, which it logs at the level DEBUG."""
    if scheduler.active:
        scheduler.send_marked(messages.pack(messages.Note(debug=text)))


def _json(name: str, field: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        shown = f"{type(value).__name__} {value!r}"
        raise TypeError(
            f"record({name!r}, {field}=...): {shortened(shown, SHOWN)} is not JSON ({error}); a field must be a dict, "
            "list, str, int, finite float, bool or None"
        ) from None
