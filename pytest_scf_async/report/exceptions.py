"""What to do about an exception of user code, where what differs in an instance from the test's process explains it.

The exception itself comes as text, the traceback; everything else is a fact of the event.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import near_name
from ..model.configuration import HOME
from ..model.tracebacks import exception_line, exception_lines, is_of_errno, last_place

_OF_ANOTHER_TYPE = ("TypeError: ", "AttributeError: ", "KeyError: ")
_WRITE_ELSEWHERE = (
    "write to /tmp, which is private to each instance, to the test's tmp_path (pass it in the payload or in "
    "environment=), or to a directory listed in mounts="
)
_KEEP = "write what must outlive an instance to an object store, or to a directory listed in mounts="


_START_SERVER = (
    "start a server at that address in the test (nothing listens there on this machine), pass another address in "
    "environment=, or replace the client with a fake in before_init="
)
TAKEN = os.strerror(errno.EADDRINUSE).casefold()
"""The kernel's words where something listens at an address already, as they are written in any language."""
FREE_ADDRESS = (
    "stop what already listens at that address (another server of the function or of the test, or a program on this "
    "machine: see `ss -tlnp`), or listen on another port: port 0 picks a free one"
)


class Circumstances(NamedTuple):
    """What is known of the event beside the traceback."""

    payload: str
    """As JSON."""
    deployed_by: str
    """The call that has made the function."""
    lost_files: Sequence[str]
    """What was in the ``/tmp`` of an instance that was reclaimed before: paths below it."""


def cure_of_exception(trace: str, event: Circumstances) -> str | None:
    """One sentence about the exception of *trace*, which the function raised; None where none fits."""
    line = exception_line(trace)
    if is_of_errno(line, errno.EROFS):
        return _WRITE_ELSEWHERE
    if is_of_errno(line, errno.ENOENT):
        if f"'{HOME}/" in line:
            return f"{_WRITE_ELSEWHERE} (HOME is {HOME} in an instance, and that directory does not exist)"
        lost = next((name for name in event.lost_files if f"'/tmp/{name}'" in line), None)
        return None if lost is None else f"{_KEEP} ({lost} was in the /tmp of an instance that was reclaimed)"
    key = key_missing_in_environment(trace)
    if key:
        return (
            f"pass {key} in environment={{{key!r}: ...}} of {event.deployed_by}() or of the scf_function marker: the "
            "function runs in its own process, which the test's os.environ and monkeypatch do not reach"
        )
    missing = _MISSING_KEY.fullmatch(line)
    if missing is not None and event.payload == "{}":
        return (
            f"if {missing['key']!r} should come from the payload, pass one: the event was invoked without a payload, "
            f"so the handler gets {{}}; use invoke_async({{{missing['key']!r}: ...}}), or payload= of the scf_function "
            "marker"
        )
    name, value = "" if missing is None else missing["key"], json.loads(event.payload)
    if isinstance(value, dict) and name not in value and (near := near_name(name, value)):
        return f"if the handler reads {name!r} from the payload, pass it there: the payload has {near!r}"
    number = errno.ECONNREFUSED
    refused = any(f"[Errno {number}] {os.strerror(number)}" in each for each in exception_lines(trace))
    if refused or TAKEN in trace.casefold():
        return _START_SERVER if refused else FREE_ADDRESS
    return _NO_JSON_TEXT if line.startswith(_OF_ANOTHER_TYPE) and _is_json_in_a_text(event.payload) else None


def cure_of_hidden_file(lines: Sequence[str], hides: Callable[[str], bool]) -> str | None:
    """One sentence about a file of this machine that one of *lines* says is missing, as the instance *hides* it."""
    missing = (path for line in lines if any(each in line for each in _MISSING) for path in _IN_TMP.findall(line))
    found = next(filter(hides, missing), None)
    return found and (
        f"move {found} out of this machine's /tmp, or have the function write it: each instance has a /tmp of its own, "
        "which is empty at a cold start"
    )


_MISSING = os.strerror(errno.ENOENT), "Cannot find module "
"""What is said of a path that is not there: by the kernel, and by Node.js of the file that it is to run."""
_IN_TMP = re.compile(r"/tmp/[^\s'\":,]+")
_NO_JSON_TEXT = (
    "pass the payload itself, not its JSON text: payload= and invoke_async() write the JSON, and the handler gets a "
    "str if the payload is a str"
)


def _is_json_in_a_text(payload: str) -> bool:
    """Whether *payload* is a text that is itself JSON of a dict or a list."""
    value = json.loads(payload)
    if not isinstance(value, str):
        return False
    try:
        return isinstance(json.loads(value), (dict, list))
    except ValueError:
        return False


def key_missing_in_environment(trace: str) -> str:
    """The variable for which ``os.environ`` raised the last exception of *trace*; empty for any other exception.

    The module ``os`` is frozen from Python 3.11 on.
    """
    found, place = _MISSING_KEY.fullmatch(exception_line(trace)), last_place(trace)
    of_os = place is not None and place[0] in ("<frozen os>", os.__file__)
    return found["key"] if found is not None and of_os else ""


_MISSING_KEY = re.compile(r"KeyError: '(?P<key>[^']+)'")
