"""What SCF is: statuses and their one table of transitions, codes, configuration, payloads, records, trace, log lines.

Nothing here does I/O, starts a process or reads real time. Times are whole microseconds since the Unix epoch (UTC)
of simulated time.
"""

from __future__ import annotations

from .before_init import BeforeInit, before_init_arguments
from .codes import (
    PORT_TIMEOUT,
    STATUS_CODES,
    ErrorBody,
    api_error,
    error_body,
    port_not_bound_message,
    timed_out_message,
)
from .configuration import (
    BAD_HANDLER,
    CUSTOM_RUNTIME,
    DEFAULT_IMAGE_INIT_TIMEOUT,
    DEFAULT_MEMORY,
    DEFAULT_NAMESPACE,
    DEFAULT_SYNC_TIMEOUT,
    DESCRIPTION_RULE,
    GO_RUNTIME,
    HANDLER_RULE,
    IMAGE_RUNTIME,
    LIMITS,
    NAME_RULE,
    NO_RUNTIME,
    NODE_RUNTIMES,
    PYTHON_RUNTIMES,
    RUNTIMES,
    FunctionConfiguration,
    check_runtime,
    is_valid_name,
    valid_name,
)
from .credentials import CREDENTIAL_HEADERS, role_credentials, role_credentials_with
from .event_invoke import DEFAULT_EVENT_INVOKE, EventInvokeConfig, changed_event_invoke
from .listing import is_text
from .log_lines import (
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
from .namespaces import Namespace, Namespaces
from .payload import (
    ASYNC_PAYLOAD_LIMIT,
    SYNC_PAYLOAD_LIMIT,
    checked_payload_text,
    checked_routing_key,
    payload_text,
)
from .records import INVOKE_TYPES, SYNC_CALLERS, TIMER, EventRecord
from .routing import RoutingConfig, VersionMatch, VersionWeight
from .statuses import State, Status
from .trace import RETENTION_US, StatusTrace
from .transitions import STATUS_CODE_KEPT, TRANSITIONS, Fact, InstanceFate, OpenReadings, Transition, transition
from .versions import DEFAULT_ALIAS, LATEST, Alias, Versions, check_description
