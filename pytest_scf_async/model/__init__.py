"""What SCF is: statuses and their one table of transitions, codes, configuration, payloads, records, trace, log lines.

Nothing here does I/O, starts a process or looks at real time. Times are whole microseconds since the Unix epoch (UTC)
of simulated time.
"""

from __future__ import annotations

from pytest_scf_async.model.before_init import BeforeInit, before_init_arguments
from pytest_scf_async.model.codes import (
    PORT_TIMEOUT,
    STATUS_CODES,
    ErrorBody,
    StatusCode,
    api_error,
    error_body,
    port_not_bound_message,
    timed_out_message,
)
from pytest_scf_async.model.configuration import (
    DEFAULT_ASYNC_TIMEOUT,
    DEFAULT_IMAGE_INIT_TIMEOUT,
    DEFAULT_INIT_TIMEOUT,
    DEFAULT_MEMORY,
    DEFAULT_SYNC_TIMEOUT,
    GO_RUNTIME,
    IMAGE_RUNTIME,
    PYTHON_RUNTIMES,
    RUNTIMES,
    FunctionConfiguration,
    check_runtime,
    function_configuration,
    valid_name,
)
from pytest_scf_async.model.log_lines import (
    SIGNAL_FAILED_LINE,
    SIGNAL_RECEIVED_LINE,
    LogLine,
    end_line,
    error_line,
    init_report_line,
    report_line,
    response_line,
    start_line,
)
from pytest_scf_async.model.payload import ASYNC_PAYLOAD_LIMIT, RESULT_LIMIT, SYNC_PAYLOAD_LIMIT, payload_text
from pytest_scf_async.model.records import INVOKE_TYPES, EventRecord
from pytest_scf_async.model.statuses import State, Status
from pytest_scf_async.model.trace import RETENTION_US, EventPage, Interval, StatusTrace
from pytest_scf_async.model.transitions import (
    STATUS_CODE_KEPT,
    TRANSITIONS,
    Fact,
    InstanceFate,
    OpenReadings,
    Transition,
    transition,
)
from pytest_scf_async.model.versions import DEFAULT_ALIAS, LATEST, Versions

__all__ = [
    "ASYNC_PAYLOAD_LIMIT",
    "DEFAULT_ALIAS",
    "DEFAULT_ASYNC_TIMEOUT",
    "DEFAULT_IMAGE_INIT_TIMEOUT",
    "DEFAULT_INIT_TIMEOUT",
    "DEFAULT_MEMORY",
    "DEFAULT_SYNC_TIMEOUT",
    "GO_RUNTIME",
    "IMAGE_RUNTIME",
    "INVOKE_TYPES",
    "LATEST",
    "PORT_TIMEOUT",
    "PYTHON_RUNTIMES",
    "RESULT_LIMIT",
    "RETENTION_US",
    "RUNTIMES",
    "SIGNAL_FAILED_LINE",
    "SIGNAL_RECEIVED_LINE",
    "STATUS_CODES",
    "STATUS_CODE_KEPT",
    "SYNC_PAYLOAD_LIMIT",
    "TRANSITIONS",
    "BeforeInit",
    "ErrorBody",
    "EventPage",
    "EventRecord",
    "Fact",
    "FunctionConfiguration",
    "InstanceFate",
    "Interval",
    "LogLine",
    "OpenReadings",
    "State",
    "Status",
    "StatusCode",
    "StatusTrace",
    "Transition",
    "Versions",
    "api_error",
    "before_init_arguments",
    "check_runtime",
    "end_line",
    "error_body",
    "error_line",
    "function_configuration",
    "init_report_line",
    "payload_text",
    "port_not_bound_message",
    "report_line",
    "response_line",
    "start_line",
    "timed_out_message",
    "transition",
    "valid_name",
]
