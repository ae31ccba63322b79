"""The platform's status codes, the error bodies that carry them, and the texts of its API errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import HarnessError, ScfApiError, hidden_from_users

__tracebackhide__ = hidden_from_users

ErrorBody = dict[str, int | str]
"""The platform's error body: errorCode, errorMessage, requestId, stackTrace (user exceptions only), statusCode."""


@dataclass(frozen=True, slots=True)
class StatusCode:
    """One row of the platform's status code table (document 42611).

    `message` is the errorMessage of an error body unless something better is known; `meaning` is our own summary.
    """

    code: int
    name: str
    message: str
    meaning: str


STATUS_CODES: Mapping[int, StatusCode] = MappingProxyType(
    {
        code: StatusCode(code, name, "user code exception caught" if code == 430 else name, meaning)
        for code, name, meaning in (
            (200, "Success", "the call succeeded"),
            (202, "Running", "the call is still running (in log records only)"),
            (400, "InvalidParameterValue", "the event is not JSON, or a parameter is wrong"),
            (401, "InvalidCredentials", "the caller has no permission"),
            (402, "ServiceSuspended", "the service is suspended"),
            (403, "Invalid scf response format", "the integrated response for the API gateway is malformed"),
            (404, "InvalidSubnetID", "the network configuration is wrong"),
            (405, "ContainerStateExited", "the container has exited"),
            (406, "RequestTooLarge", "the event is over 6 MB (sync) or 128 KB (async)"),
            (407, "The size of response exceeds the upper limit (6MB)", "the result is over 6 MB"),
            (410, "InsufficientBalance", "the account is in arrears"),
            (429, "ResourceLimit", "too many instances were started at once"),
            (430, "User code exception caught", "the handler raised an exception that nothing caught"),
            (432, "ResourceLimitReached", "the concurrency quota is used up"),
            (433, "TimeLimitReached", "the event ran until the function's timeout"),
            (434, "MemoryLimitReached", "the instance used more memory than it has"),
            (435, "FunctionNotFound", "the function does not exist"),
            (436, "InvalidParameterValue", "a parameter is wrong"),
            (437, "HandlerNotFound", "the entry file is not in the code"),
            (438, "FunctionStatusError", "the function cannot be called now"),
            (439, "User process exit when running", "the user's process ended while it ran the event"),
            (440, "BorrowContainerDegrade", "an instance could not be borrowed (in the older table only)"),
            (441, "UnauthorizedOperation", "access management refused the call"),
            (442, "QualifierNotFound", "the version does not exist"),
            (443, "UserCodeError", "the code cannot be loaded, or has no such handler"),
            (444, "PullImageFailed", "the image could not be pulled"),
            (445, "ContainerInitError", "the container's start command failed"),
            (446, "PortBindingFailed", "nothing listened on port 9000 within the init timeout"),
            (447, "PullImageTimeOut", "pulling the image took too long"),
            (449, "InsufficientResources", "the platform has no resources left"),
            (450, "InitContainerTimeout", "init took longer than the init timeout"),
            (499, "RequestCanceled", "the user terminated the event"),
            (500, "InternalError", "the platform failed"),
        )
    }
)
"""Every status code of document 42611 by its number. 0, the code of a running event, is not one of them."""

_NO_ERROR_CODES = (200, 202)


def timed_out_message(timeout: int) -> str:
    """The errorMessage of a 433: `timeout` is the function's timeout in seconds."""
    return f"Invoking task timed out after {timeout} seconds"


PORT_TIMEOUT = 30
"""Seconds after which an image's program has to listen on its port (document 56051)."""


def port_not_bound_message(seconds: int) -> str:
    """The errorMessage of a 446, in the platform's words (document 56051)."""
    return (
        f"The request timed out in {seconds * 1000}ms.Please confirm your http server have enabled listening on port "
        "9000."
    )


def error_body(code: int, request_id: str, *, message: str | None = None, stack_trace: str | None = None) -> ErrorBody:
    """The platform's error body for a status code, in the platform's order of keys.

    ``errorCode`` is 1 where the user's code is at fault (430, and 443 with a traceback as its message) and for 432, and
    -1 where the platform speaks. A 433 needs its message (`timed_out_message`). Raises HarnessError for a code that is
    not an error of the platform, or a 433 without a message.
    """
    row = STATUS_CODES.get(code)
    if row is None or code in _NO_ERROR_CODES:
        raise HarnessError(f"status code {code} is not an error of the platform, so it has no error body")
    if code == 433 and message is None:
        raise HarnessError("the error body of status code 433 needs a message with the timeout")
    by_user_code = code in (430, 432) or (code == 443 and message is not None)
    body: ErrorBody = {
        "errorCode": 1 if by_user_code else -1,
        "errorMessage": row.message if message is None else message,
        "requestId": request_id,
    }
    if stack_trace is not None:
        body["stackTrace"] = stack_trace
    body["statusCode"] = code
    return body


API_ERRORS: Mapping[str, str] = MappingProxyType(
    {
        "FailedOperation.AsyncEventStatus": "{event} is {status}, and only a RUNNING event can be terminated.",
        "FailedOperation.DeleteFunction": "Function {function_name!r} is {status}, and must be Active to be deleted.",
        "FailedOperation.FunctionStatusError": "Function {function_name!r} is {status}, and must be Active for that.",
        "InvalidParameterValue": "{name}={value!r} is not valid: {valid}.",
        "InvalidParameterValue.FunctionName": "FunctionName={value!r} is not valid: {valid}.",
        "InvalidParameterValue.InvokeType": "InvokeType={value!r} is not valid; valid are {valid}.",
        "InvalidParameterValue.Limit": "Limit={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Namespace": "Namespace={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Offset": "Offset={value!r} is not valid: it must be a whole number, 0 or more.",
        "InvalidParameterValue.Order": "{name}={value!r} is not valid; valid are {valid}.",
        "InvalidParameterValue.Qualifier": "Qualifier={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Status": "Status={value!r} is not valid; valid are {valid}.",
        "LimitExceeded.Quota": "{instances} in use.",
        "ResourceNotFound.AsyncEvent": "There is no async event {request_id!r}.",
        "ResourceNotFound.Function": "There is no function {function_name!r} in namespace {namespace!r}.",
        "ResourceNotFound.FunctionVersion": "Function {function_name!r} has no version {qualifier!r}.",
        "ResourceNotFound.Namespace": "There is no namespace {namespace!r}.",
        "ResourceNotFound.Qualifier": "Function {function_name!r} has no version or alias {qualifier!r}.",
        "ResourceNotFound.Version": "Function {function_name!r} has no version {qualifier!r}.",
        "UnsupportedOperation.AliasBind": (
            "Version {qualifier} of function {function_name!r} cannot be deleted: the alias {aliases} points to it."
        ),
    }
)
"""The texts of what the kernel refuses, by code."""
_texts: dict[str, str] = dict(API_ERRORS)


def add_texts(texts: Mapping[str, str]) -> None:
    """Have `api_error` know *texts*, too: a wing has operations with codes of their own."""
    _texts.update(texts)


def api_error(code: str, **values: object) -> ScfApiError:
    """The error with which the platform refuses an operation; `values` are what its text names.

    The codes are those of the platform's API; the English sentences are our own. Raises HarnessError for a code that
    we have no text for, and for a value that the text needs and that is not given.
    """
    template = _texts.get(code)
    if template is None:
        raise HarnessError(f"there is no text for the API error {code!r}")
    try:
        return ScfApiError(code, template.format_map(values))
    except KeyError as missing:
        raise HarnessError(f"the text of the API error {code} needs the value {missing.args[0]!r}") from None
