"""An event's data as JSON text, within the platform's limits."""

from __future__ import annotations

import json
import math
import reprlib
from typing import Final

from ..errors import ScfUsageError, hidden_from_users
from .codes import api_error

__tracebackhide__ = hidden_from_users

JSON_VALUES: Final = "a value that json.dumps can write: dict, list, tuple, str, int, float, bool or None"
ASYNC_PAYLOAD_LIMIT: Final = 128 * 1024
"""The most UTF-8 bytes of JSON that an async event may carry (document 11637)."""
SYNC_PAYLOAD_LIMIT: Final = 6 * 1024 * 1024
"""The most UTF-8 bytes of JSON that a sync call may carry (document 11637)."""
ROUTING_KEY_LIMIT: Final = 1024
"""The most bytes of a RoutingKey (document 17243)."""


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


def checked_payload_text(text: object, *, name: str, asynchronous: bool) -> str:
    """The JSON *text* that the parameter *name* of Invoke or InvokeFunction has as an event; ``{}`` where it has none.

    Raises ScfApiError ``InvalidParameterValue.Param`` for what is not JSON (nor are NaN and Infinity), and
    ``InvalidParameter.RequestTooLarge`` for more than 128 KB (*asynchronous*) or 6 MB.
    """
    if text is None or text == "":
        return "{}"
    if not isinstance(text, str) or not _is_unicode(text):
        raise api_error("InvalidParameterValue.Param", name=name, reason="it must be a string")
    size = len(text.encode())
    limit = ASYNC_PAYLOAD_LIMIT if asynchronous else SYNC_PAYLOAD_LIMIT
    if size > limit:
        raise api_error("InvalidParameter.RequestTooLarge", name=name, size=size, limit=limit)
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise api_error("InvalidParameterValue.Param", name=name, reason="it is nested too deeply") from None
    except ValueError as error:
        raise api_error("InvalidParameterValue.Param", name=name, reason=str(error)) from None
    return text


def checked_routing_key(text: object) -> dict[str, str] | None:
    """The pairs of a RoutingKey, which is JSON text, or None where there is none; a number is taken as its text.

    Raises ScfApiError ``InvalidParameterValue``.
    """
    if text is None or text == "":
        return None
    valid = f"it must be the JSON of an object of strings, {ROUTING_KEY_LIMIT:,} bytes at most"
    shown = text[:100] if isinstance(text, str) else text
    error = api_error("InvalidParameterValue", name="RoutingKey", value=shown, valid=valid)
    if not isinstance(text, str) or not _is_unicode(text) or len(text.encode()) > ROUTING_KEY_LIMIT:
        raise error
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(pairs, dict) or not all(isinstance(each, (str, int)) for each in pairs.values()):
        raise error
    return {key: str(each) for key, each in pairs.items()}


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


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
            if not _is_unicode(value):
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
        if not _is_unicode(key):
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


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
