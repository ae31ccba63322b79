"""What to do about an exception of user code, from its traceback and from facts of the event."""

from __future__ import annotations

import json
import os

import pytest

from pytest_scf_async.report.exceptions import Circumstances, cure_of_exception

HEAD = "Traceback (most recent call last):"
FRAME = '  File "/project/handlers/export.py", line 4, in main_handler\n    work(event)'
OF_OS = '  File "{}", line 717, in __getitem__\n    raise KeyError(key) from None'


def cure(*lines: str, payload: object = None, lost: tuple[str, ...] = ()) -> str | None:
    return cure_of_exception("\n".join((HEAD, FRAME, *lines)), Circumstances(json.dumps(payload), "deploy", lost))


@pytest.mark.parametrize("module", ["<frozen os>", os.__file__])
def test_a_variable_that_is_missing_is_to_be_passed_to_deploy(module: str) -> None:
    text = cure(OF_OS.format(module), "KeyError: 'API_URL'")
    assert text is not None
    assert text.startswith("pass API_URL in environment={'API_URL': ...} of deploy() or of the scf_function marker")


def test_a_key_that_is_missing_anywhere_else_is_no_variable() -> None:
    assert cure("KeyError: 'API_URL'") is None
    assert cure(OF_OS.format("/project/handlers/os.py"), "KeyError: 'API_URL'") is None


@pytest.mark.parametrize(
    "lines",
    [
        ("ConnectionRefusedError: [Errno 111] Connection refused",),
        ("urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",),
        (
            "ConnectionRefusedError: [Errno 111] Connection refused",
            "",
            "During handling of the above exception, another exception occurred:",
            "",
            HEAD,
            FRAME,
            "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379.",
        ),
    ],
)
def test_a_refused_connection_needs_a_server(lines: tuple[str, ...]) -> None:
    assert (cure(*lines) or "").startswith("start a server at that address in the test")


def test_a_connection_that_the_plugin_refuses_has_its_cure_in_its_own_text() -> None:
    assert cure("ConnectionRefusedError: [Errno 111] connection to 1.2.3.4:80 refused: network=...") is None


def test_what_is_below_home_is_written_elsewhere() -> None:
    text = cure("FileNotFoundError: [Errno 2] No such file or directory: '/home/qcloud/a.json'")
    assert text is not None
    assert text.startswith("write to /tmp, ")
    assert text.endswith(" (HOME is /home/qcloud in an instance, and that directory does not exist)")
    assert cure("FileNotFoundError: [Errno 2] No such file or directory: '/data/home/qcloud/a.json'") is None


def test_a_file_of_an_instance_that_is_gone_has_to_survive_it() -> None:
    missing = "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/out/a.json'"
    assert cure(missing) is None
    assert cure(missing, lost=("a.json",)) is None
    text = cure(missing, lost=("b.json", "out/a.json"))
    assert text is not None
    assert text.endswith(" (out/a.json was in the /tmp of an instance that was reclaimed)")


@pytest.mark.parametrize(
    ("payload", "line", "meant"),
    [
        ('{"rows": 3}', "TypeError: string indices must be integers, not 'str'", True),
        ("[1, 2]", "AttributeError: 'str' object has no attribute 'append'", True),
        ('{"rows": 3}', "ValueError: boom", False),
        ("rows", "TypeError: string indices must be integers, not 'str'", False),
        ("3", "TypeError: string indices must be integers, not 'str'", False),
        ({"rows": 3}, "TypeError: unsupported operand", False),
    ],
)
def test_a_payload_that_is_json_in_a_text_was_meant_as_what_it_says(payload: object, line: str, meant: bool) -> None:
    assert (cure(line, payload=payload) or "").startswith("pass the payload itself, not its JSON text") is meant
