"""An event's data as JSON text, within the platform's limits."""

from __future__ import annotations

import json
import math
import reprlib
from typing import Final

from ..errors import ScfUsageError, hidden_from_users

__tracebackhide__ = hidden_from_users

JSON_VALUES: Final = "a value that json.dumps can write: dict, list, tuple, str, int, float, bool or None"
ASYNC_PAYLOAD_LIMIT: Final = 128 * 1024
"""The most UTF-8 bytes of JSON that an async event may carry (document 11637)."""
SYNC_PAYLOAD_LIMIT: Final = 6 * 1024 * 1024
"""The most UTF-8 bytes of JSON that a sync call may carry (document 11637)."""


def payload_text(payload: object, *, async_run: bool = True) -> str:
    """The JSON text of an event's data; ``{}`` when there is none (None).

    Raises ScfUsageError that names the place of the value at fault (``payload["rows"][2]``) when something in it is
    not JSON, is NaN or infinite, is a key that is not a str, is a str that is not valid Unicode, or contains itself;
    and when the text is over 128 KB (an async function) or 6 MB (a sync one).
    """
    if payload is None:
        return "{}"
    _check(payload)
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ScfUsageError("payload is nested too deeply to be written as JSON") from None
    except (TypeError, ValueError) as error:
        raise ScfUsageError(f"payload cannot be written as JSON: {error}") from None
    size = len(text.encode())
    limit, kind = (ASYNC_PAYLOAD_LIMIT, "an async event") if async_run else (SYNC_PAYLOAD_LIMIT, "a sync call")
    if size > limit:
        raise ScfUsageError(f"payload is {size:,} bytes of JSON; the data of {kind} may have {limit:,} at most")
    return text


SHOWN_STEPS: Final = 20
"""How many steps of a long way to a value an error shows."""

_Place = tuple["_Place | None", object]
"""Where a value stands: the place of what holds it (None: the payload itself), and its key or index in that."""


def _check(payload: object) -> None:
    """Walk the data in its own order without recursion, and raise for the first value that is not JSON."""
    inside: set[int] = set()  # the containers that the walk is in
    walk: list[tuple[object, _Place | None, bool]] = [(payload, None, False)]
    while walk:
        value, place, leaving = walk.pop()
        if leaving:
            inside.discard(id(value))
        elif isinstance(value, str):
            if not is_unicode(value):
                raise _refused(place, f"is {reprlib.repr(value)}, which is not valid Unicode: half of a surrogate pair")
        elif value is None or isinstance(value, int):
            continue
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise _refused(place, f"is {value}, which JSON cannot express; pass a finite number or None")
        elif isinstance(value, (dict, list, tuple)):
            if id(value) in inside:
                raise _refused(place, "contains itself, so it cannot be written as JSON")
            inside.add(id(value))
            walk.append((value, place, True))
            if isinstance(value, dict):
                _check_keys(value, place)
                walk.extend([(item, (place, key), False) for key, item in reversed(value.items())])
            else:
                walk.extend([(value[index], (place, index), False) for index in range(len(value) - 1, -1, -1)])
        else:
            raise _refused(place, f"is {_a(value)}; it must be {JSON_VALUES}", f"={reprlib.repr(value)}")


def _check_keys(value: dict[object, object], place: _Place | None) -> None:
    for key in value:
        if not isinstance(key, str):
            raise _refused(
                place, f"has the key {reprlib.repr(key)}, which is {_a(key)}; the keys of a JSON object are str"
            )
        if not is_unicode(key):
            raise _refused(
                place, f"has the key {reprlib.repr(key)}, which is not valid Unicode: half of a surrogate pair"
            )


def _refused(place: _Place | None, what: str, shown: str = "") -> ScfUsageError:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(f"[{json.dumps(step, ensure_ascii=False)}]")
    steps.reverse()
    if len(steps) > SHOWN_STEPS:
        steps[SHOWN_STEPS // 2 : -SHOWN_STEPS // 2] = ["…"]
    return ScfUsageError(f"payload{''.join(steps)}{shown} {what}")


def is_unicode(text: str) -> bool:
    """Whether *text* can be written in UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
