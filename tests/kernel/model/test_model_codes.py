from __future__ import annotations

import string

import pytest

from pytest_scf_async.errors import HarnessError
from pytest_scf_async.model.codes import API_ERRORS, STATUS_CODES, api_error, error_body, timed_out_message

DOCUMENTED = [
    *(200, 202, 400, 401, 402, 403, 404, 405, 406, 407, 410, 429, 430, 432, 433, 434, 435, 436, 437, 438, 439),
    *(440, 441, 442, 443, 444, 445, 446, 447, 449, 450, 499, 500),
]


def test_every_documented_code_is_there_under_its_own_number():
    assert list(STATUS_CODES) == DOCUMENTED
    assert all(row.code == code for code, row in STATUS_CODES.items())


def test_the_code_of_a_running_event_is_no_status_code():
    assert 0 not in STATUS_CODES


def test_every_code_has_a_name_a_message_and_a_meaning():
    assert all(row.name and row.message and row.meaning for row in STATUS_CODES.values())


@pytest.mark.parametrize(
    ("code", "error_code", "message"),
    [
        (407, -1, "The size of response exceeds the upper limit (6MB)"),
        (430, 1, "user code exception caught"),
        (432, 1, "ResourceLimitReached"),
        (434, -1, "MemoryLimitReached"),
        (437, -1, "HandlerNotFound"),
        (439, -1, "User process exit when running"),
        (443, -1, "UserCodeError"),
        (450, -1, "InitContainerTimeout"),
        (499, -1, "RequestCanceled"),
    ],
)
def test_an_error_body_has_the_platforms_message(code, error_code, message):
    body = error_body(code, "r-1")
    assert body == {"errorCode": error_code, "errorMessage": message, "requestId": "r-1", "statusCode": code}


def test_the_body_of_an_exception_has_its_stack_before_the_code():
    body = error_body(430, "r-1", stack_trace="Traceback …")
    assert list(body) == ["errorCode", "errorMessage", "requestId", "stackTrace", "statusCode"]
    assert body["stackTrace"] == "Traceback …"


def test_an_import_error_is_the_user_codes_fault_with_its_traceback_as_the_message():
    assert error_body(443, "r-1", message="Traceback …") == {
        "errorCode": 1,
        "errorMessage": "Traceback …",
        "requestId": "r-1",
        "statusCode": 443,
    }


def test_a_timeout_names_its_seconds():
    body = error_body(433, "r-1", message=timed_out_message(3))
    assert body["errorMessage"] == "Invoking task timed out after 3 seconds"
    assert body["errorCode"] == -1


def test_a_timeout_without_a_message_is_our_fault():
    with pytest.raises(HarnessError, match="433"):
        error_body(433, "r-1")


@pytest.mark.parametrize("code", [0, 200, 202, 999])
def test_there_is_no_error_body_for_what_is_no_error(code):
    with pytest.raises(HarnessError, match=str(code)):
        error_body(code, "r-1")


@pytest.mark.parametrize("code", API_ERRORS)
def test_every_api_error_is_a_sentence_with_its_values(code):
    names = [name for _, name, _, _ in string.Formatter().parse(API_ERRORS[code]) if name]
    error = api_error(code, **{name: f"<{name}>" for name in names})
    assert error.code == code
    assert error.platform_message.endswith(".")
    assert str(error) == f"{code}: {error.platform_message}"
    assert names
    assert all(f"<{name}>" in error.platform_message for name in names)


def test_an_api_error_shows_the_value_as_python_writes_it():
    error = api_error("InvalidParameterValue.Limit", value=101, valid="it must be a whole number from 1 to 100")
    assert error.platform_message == "Limit=101 is not valid: it must be a whole number from 1 to 100."


def test_an_api_error_without_its_value_is_our_fault():
    with pytest.raises(HarnessError, match="'request_id'"):
        api_error("ResourceNotFound.AsyncEvent")


def test_an_unknown_api_error_is_our_fault():
    with pytest.raises(HarnessError, match=r"ResourceNotFound\.AsyncEvents"):
        api_error("ResourceNotFound.AsyncEvents")


def test_braces_in_a_value_are_shown_as_they_are():
    assert "'{x}'" in api_error("ResourceNotFound.AsyncEvent", request_id="{x}").platform_message
