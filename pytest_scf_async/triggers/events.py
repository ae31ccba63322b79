"""The message of each trigger, made of documented.json: the keywords' defaults and the message, with their places.

A text that is ``"{name}"`` and no more stands for a value of any type, the key ``"**"`` for items that are added.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from ..errors import Given, ScfUsageError, did_you_mean, hidden_from_users
from ..model.timer_message import timer_event
from . import fields as of

__tracebackhide__ = hidden_from_users

SHORT_REGIONS: Final = {"ap-guangzhou": "gz", "ap-beijing": "bj", "ap-chengdu": "cd"}
"""Regions as COS writes them in messages; of others no message is published."""


class Origin(NamedTuple):
    """When and where that happens which a message tells, unless a keyword says otherwise."""

    now: datetime
    region: str
    appid: str
    function: str
    """Its namespace, name and version, with dots between them."""


EXAMPLE: Final = Origin(datetime(2026, 1, 1, tzinfo=timezone.utc), "ap-guangzhou", "1250000000", "default.name.$LATEST")


def documented() -> dict[str, dict[str, Any]]:
    """By trigger what documents say: their number, its keywords' type and defaults, its message and how it invokes.

    ``invoke_type`` is that of its events in ListAsyncEvents (document 52501), OTHERS where that has none for it. One
    that is not ``asynchronous`` waits for the end: a quota refuses it, and the platform tries nothing again.
    """
    return dict(json.loads(Path(__file__).with_name("documented.json").read_bytes()))


def message_of(call: str, name: str, fields: Mapping[str, object], origin: Origin) -> Any:
    """The message of the trigger *name* with the keywords *fields*; raises ``ScfUsageError``, which names *call*."""
    triggers = documented()
    if name not in [*triggers]:  # it may be no text
        near = did_you_mean(str(name), triggers)
        raise ScfUsageError(f"{call}: there is no trigger {name!r}{near} (triggers: {', '.join(triggers)})")
    types = get_type_hints(getattr(of, triggers[name]["fields"]))
    for field, value in fields.items():
        if field not in types:
            near = did_you_mean(field, types)
            raise ScfUsageError(f"{call} has no keyword {field!r}{near} (valid keywords: {', '.join(types)})")
        _check(Given(field, value, call), types[field])
    values = {**triggers[name]["defaults"], **fields}
    message = _filled(triggers[name]["message"], {**origin._asdict(), **values, **_derived(name, values, origin)})
    return message[values["kind"]] if name == "mps" else message


def _filled(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, dict):
        filled = {name: _filled(value, values) for name, value in part.items()}
        added = filled.pop("**", {})
        return {**filled, **added}
    if isinstance(part, list):
        return [_filled(each, values) for each in part]
    if isinstance(part, str):
        return values[part[1:-1]] if part[1:-1] in values and part[0] == "{" else part.format_map(values)
    return part


def _derived(name: str, values: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """What a message has in another form than the keyword."""
    time = values.get("time", origin.now).astimezone(timezone.utc)
    us = round(time.timestamp() * 1_000_000)
    found = {
        "seconds": us // 1_000_000,
        "seconds_as_text": f"{us / 1_000_000:.3f}",
        "milliseconds": str(us // 1000),
        "iso_time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "short_region": SHORT_REGIONS.get(origin.region, origin.region),
    }
    if name == "timer":
        found["timer"] = timer_event(values["name"], time, values["message"])
    elif name == "cos":
        found["bucket"] = values["bucket"].removesuffix(f"-{origin.appid}")
    elif name == "ckafka":
        found["ckafka_records"] = [
            {"Ckafka": {"topic": values["topic"], "partition": values["partition"], "offset": offset, **sent}}
            for offset, body in enumerate(values["messages"], values["offset"])
            for sent in [{"msgKey": values["key"], "msgBody": body}]
        ]
    elif name == "cmq":
        found.update(owner=int(origin.appid), joined_tags=",".join(values["tags"]))
    elif name == "cls":
        records = [{"timestamp": str(us), "content": each} for each in values["records"]]
        logs = {"topic_id": values["topic_id"], "topic_name": values["topic_name"], "records": records}
        compressed = gzip.compress(json.dumps(logs, ensure_ascii=False).encode(), mtime=0)
        found["compressed_logs"] = base64.b64encode(compressed).decode()
    elif name == "apigw":
        found["headers"] = {header.lower(): value for header, value in values["headers"].items()}
    return found


def _texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)


_RULES: Final[dict[object, tuple[str, Callable[[Any], bool]]]] = {
    str: ("a text", lambda value: isinstance(value, str)),
    int: ("a whole number, 0 or more", lambda value: type(value) is int and value >= 0),
    datetime: ("an aware datetime", lambda value: isinstance(value, datetime) and value.utcoffset() is not None),
    Sequence[str]: ("a list of texts, of one at least", lambda value: _texts(value) and len(value) > 0),
    Mapping[str, str]: ("a dict of texts", lambda value: isinstance(value, dict) and _texts([*value, *value.values()])),
    Mapping[str, object]: ("a dict with texts as keys", lambda value: isinstance(value, dict) and _texts([*value])),
}
"""By the type of a keyword that is no `Literal`: what its value has to be, and whether one is that."""


def _check(given: Given, kind: Any) -> None:
    valid, is_valid = _RULES.get(kind, (f"one of {', '.join(map(repr, get_args(kind)))}", get_args(kind).__contains__))
    if not is_valid(given.value):
        given.has_to_be(valid)
