"""The calls of ``ScfRuntime`` that are operations of the platform: on functions, namespaces and invocations.

List, Get and Terminate of async events are the runtime's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

from ...async_event import AsyncEvent
from ...clock import SimulatedClock, to_us
from ...deployment import first_configuration
from ...errors import calls_named, hidden_from_users
from ...function import Function, Invocation
from ...instances.runtimes.choice import Builder, Deployed
from ...lockstep.calls import Call
from ...lockstep.scheduler import Lockstep
from ...model.codes import api_error
from ...model.configuration import NAME_RULE, is_valid_name
from ...model.namespaces import Namespaces
from ...model.payload import checked_payload_text, checked_routing_key
from ...model.records import EventRecord
from ...model.versions import DEFAULT_ALIAS
from ...options import ScfSettings, Where, options_of
from . import invocations
from .deployments import DEFAULT_RUNTIME, DEFAULT_TIMEOUT, code_of, is_on, refusals
from .functions import FunctionDetails, FunctionPage, function_details, function_page, function_summary
from .invocations import FunctionLog, FunctionLogPage, InvocationResult, RequestStatus, RequestStatusPage
from .namespaces import NamespacePage, namespace_page

__tracebackhide__ = hidden_from_users

INVOKE_DEADLINE_US: Final = 300 * 1_000_000
"""For how long Invoke waits for the end (document 17243)."""


class Platform(Protocol):
    """What the operations ask of the runtime that has them."""

    _lockstep: Lockstep
    _builder: Builder
    _namespaces: Namespaces
    _functions: dict[tuple[str, str], Function]
    _events: dict[str, AsyncEvent]

    @property
    def settings(self) -> ScfSettings: ...
    @property
    def clock(self) -> SimulatedClock: ...
    def _scratch(self) -> str: ...
    def _require_function(
        self, name: str, namespace: str, *, name_code: str = ..., namespace_code: str = ...
    ) -> Function: ...
    def _deploy(self, source: str, settings: ScfSettings, made: Deployed, given: Mapping[str, Any]) -> Function: ...
    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None: ...
    def _publish(self, function: Function, description: str, *, with_update: bool = False) -> str: ...
    def _accept(self, function: Function, invocation: Invocation) -> AsyncEvent: ...
    def _seen(self, record: EventRecord) -> None: ...


@calls_named
class RuntimeOperations:
    """The operations that ``ScfRuntime`` has as calls."""

    def create_function(
        self: Platform,
        function_name: str,
        zip_file: str | None = None,
        *,
        handler: str | None = None,
        description: str = "",
        memory_size: int | None = None,
        timeout: int | None = None,
        environment: Mapping[str, str] | None = None,
        runtime: str | None = None,
        namespace: str = "default",
        function_type: str = "Event",
        init_timeout: int | None = None,
        async_run_enable: str = "FALSE",
        trace_enable: str = "FALSE",
    ) -> Function:
        """CreateFunction (document 18586): as ``deploy``, with the platform's parameters and its defaults and errors.

        *zip_file* is a zip in Base64; *timeout* is 3 seconds unless given, for async functions too, *runtime*
        ``"Python2.7"``, *handler* ``"index.main_handler"``, *async_run_enable* and *trace_enable* ``"FALSE"``; what
        else is not given comes from the settings. Raises ``ScfApiError``: ``InvalidParameterValue.FunctionName``,
        ``.Handler``, ``.MemorySize``, ``.Runtime``, ``.ZipFile``, ``.ZipFileBase64BinasciiError``, ``.Environment``, …,
        ``LimitExceeded.Timeout``, ``.InitTimeout``, ``.Memory``, ``MissingParameter.Code``,
        ``ResourceInUse.FunctionName``, ``ResourceNotFound.Namespace``, and ``FailedOperation.CreateFunction`` for code
        that cannot be built.
        """
        if not is_valid_name(namespace):
            raise api_error("InvalidParameterValue.Namespace", value=namespace, valid=NAME_RULE)
        self._namespaces.require(namespace)
        if not is_valid_name(function_name):
            raise api_error("InvalidParameterValue.FunctionName", value=function_name, valid=NAME_RULE)
        if (namespace, function_name) in self._functions:
            raise api_error("ResourceInUse.FunctionName", function_name=function_name, namespace=namespace)
        if function_type == "HTTP":
            raise api_error("UnsupportedOperation", what="A function of Type HTTP")
        if function_type != "Event":
            raise api_error("InvalidParameterValue.Type", value=function_type, valid="it must be Event or HTTP")
        given: dict[str, Any] = {
            option.name: None if Where.SETTINGS in option.where else option.default
            for option in options_of(Where.DEPLOY)
        }
        given |= {
            "handler": handler or self._builder.default_handler(runtime),
            "name": function_name,
            "namespace": namespace,
            "description": description,
            "memory": memory_size,
            "timeout": DEFAULT_TIMEOUT if timeout is None else timeout,
            "init_timeout": init_timeout,
            "environment": environment,
            "runtime": DEFAULT_RUNTIME if runtime is None else runtime,
            "async_run": is_on("AsyncRunEnable", async_run_enable),
            "trace": is_on("TraceEnable", trace_enable),
        }
        source = "CreateFunction"
        with refusals("FailedOperation.CreateFunction", function_name):
            first_configuration(self.settings, given, source)  # before anything is unpacked
            self._builder.check(given["runtime"], source)
            code = code_of(zip_file, self._scratch())
            made = self._builder.build(given["runtime"], code, given["handler"], source)
            return self._deploy(source, self.settings, made, given)

    def update_function_code(
        self: Platform,
        function_name: str,
        zip_file: str | None = None,
        *,
        handler: str | None = None,
        namespace: str = "default",
        publish: str = "FALSE",
    ) -> None:
        """UpdateFunctionCode (document 18581): *zip_file* is a zip in Base64; *publish* ``"TRUE"`` publishes a version.

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, those of ``create_function`` for *zip_file* and
        *handler*, and ``FailedOperation.UpdateFunctionCode`` for a function whose code cannot be changed.
        """
        function = self._require_function(function_name, namespace)
        publishes = is_on("Publish", publish)
        with refusals("FailedOperation.UpdateFunctionCode", function_name):
            code = code_of(zip_file, self._scratch())
            self._update(function, code, handler or function.configuration.handler, {})
            if publishes:
                self._publish(function, "", with_update=True)

    def update_function_configuration(
        self: Platform,
        function_name: str,
        *,
        namespace: str = "default",
        description: str | None = None,
        memory_size: int | None = None,
        timeout: int | None = None,
        environment: Mapping[str, str] | None = None,
        init_timeout: int | None = None,
        trace_enable: str | None = None,
        publish: str = "FALSE",
    ) -> None:
        """UpdateFunctionConfiguration (document 18580): change what is given; *publish* ``"TRUE"`` publishes a version.

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, and those of ``create_function`` for a value that is not
        valid.
        """
        function = self._require_function(function_name, namespace)
        publishes = is_on("Publish", publish)
        values = {
            "description": description,
            "memory": memory_size,
            "timeout": timeout,
            "environment": environment,
            "init_timeout": init_timeout,
            "trace": None if trace_enable is None else is_on("TraceEnable", trace_enable),
        }
        given = {name: value for name, value in values.items() if value is not None}
        with refusals("FailedOperation.UpdateFunctionConfiguration", function_name):
            self._update(function, None, None, given)
            if publishes:
                self._publish(function, "", with_update=True)

    def create_namespace(self: Platform, name: str, description: str = "") -> None:
        """CreateNamespace (document 34413): a namespace without functions; `deploy` makes the one that it names, too.

        It stays when its last function is deleted. Raises ``ScfApiError``: ``InvalidParameterValue.Namespace``,
        ``InvalidParameterValue.DefaultNamespace`` for ``default``, ``ResourceInUse.Namespace``,
        ``InvalidParameterValue.Description``.
        """
        self._namespaces.create(name, description, self.clock.now_us)

    def update_namespace(self: Platform, name: str, description: str) -> None:
        """UpdateNamespace: give it another description.

        Raises ``ScfApiError``: ``ResourceNotFound.Namespace``, ``InvalidParameterValue.Description``,
        ``UnsupportedOperation`` for ``default``.
        """
        self._namespaces.update(name, description, self.clock.now_us)

    def delete_namespace(self: Platform, name: str) -> None:
        """DeleteNamespace (document 37159): only one without functions.

        Raises ``ScfApiError``: ``ResourceNotFound.Namespace``, ``ResourceInUse.Namespace`` while it has functions,
        ``FailedOperation.DeleteNamespace`` for ``default``, ``InvalidParameterValue.Namespace``.
        """
        self._namespaces.delete(name, sum(namespace == name for namespace, _ in self._functions))

    def list_namespaces(
        self: Platform,
        *,
        order: str = "ASC",
        orderby: str | None = None,
        offset: int = 0,
        limit: int = 20,
        search_key: Mapping[str, str] = MappingProxyType({}),
    ) -> NamespacePage:
        """ListNamespaces: one page of the namespaces with their descriptions and times.

        They are in the order in which they were made, or by *orderby*, ``"Name"`` or ``"Updatetime"``; *search_key* has
        parts of a ``"Namespace"``, a ``"Description"``, or both. Raises ``ScfApiError``:
        ``InvalidParameterValue.Order``, ``.Limit``, ``.Offset``, ``.SearchKey``.
        """
        return namespace_page(
            self._namespaces.all, order=order, orderby=orderby, offset=offset, limit=limit, search_key=search_key
        )

    def get_function(
        self: Platform, function_name: str, *, namespace: str = "default", qualifier: str | None = None
    ) -> FunctionDetails:
        """GetFunction (document 18584): a function, and its version *qualifier*, ``$LATEST`` unless given.

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``ResourceNotFound.Namespace``,
        ``ResourceNotFound.Version``, ``InvalidParameterValue.FunctionName``.
        """
        function = self._require_function(function_name, namespace)
        version = function._versions.resolve(qualifier, "ResourceNotFound.Version")
        return function_details(version, function.function_id, function._status_of(version), function.versions)

    def list_functions(
        self: Platform,
        *,
        namespace: str = "default",
        order: str = "DESC",
        orderby: str = "AddTime",
        offset: int = 0,
        limit: int = 20,
        search_key: str | None = None,
        description: str | None = None,
        filters: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> FunctionPage:
        """ListFunctions (document 18582): one page of the functions of a namespace.

        *orderby* is ``"AddTime"``, ``"ModTime"`` or ``"FunctionName"``; *search_key* is a part of the name,
        *description* one of the description; *filters* are the values, of which one has to fit, of ``"Status"``,
        ``"Runtime"``, ``"Type"``, ``"AsyncRunEnable"`` or ``"TraceEnable"``. Raises ``ScfApiError``:
        ``ResourceNotFound.Namespace``, ``InvalidParameterValue.Order``, ``.Limit``, ``.Offset``, ``.Filters``.
        """
        self._namespaces.require(namespace)
        return function_page(
            [
                function_summary(function._version, function.function_id, function.status)
                for (of, _), function in list(self._functions.items())
                if of == namespace
            ],
            order=order,
            orderby=orderby,
            offset=offset,
            limit=limit,
            search_key=search_key,
            description=description,
            filters=filters,
        )

    def invoke(
        self: Platform,
        function_name: str,
        client_context: str | None = None,
        *,
        namespace: str = "default",
        qualifier: str | None = None,
        invocation_type: str = "RequestResponse",
        log_type: str = "None",
        routing_key: str | None = None,
    ) -> InvocationResult:
        """Invoke (document 17243): *client_context* is the event as JSON text, *routing_key* such a text, too.

        With *invocation_type* ``"RequestResponse"`` time passes until a sync function has ended, 300 simulated seconds
        at most; ``"Event"``, and an async function in either case, only have the event accepted. *log_type* ``"Tail"``
        gives the last 4 KB of the log. Raises ``ScfApiError``: ``ResourceNotFound.Function``,
        ``ResourceNotFound.Qualifier``, ``InvalidParameter.FunctionName``, ``InvalidParameterValue.Param`` for what is
        not JSON, ``InvalidParameter.RequestTooLarge`` for more than 6 MB (128 KB where nobody waits),
        ``LimitExceeded.Quota``, ``FailedOperation.InvokeFunction`` after the 300 seconds, ``InvalidParameterValue``.
        """
        _check_word("InvocationType", invocation_type, ("RequestResponse", "Event"))
        return _invoke(
            self,
            function_name,
            namespace,
            Invocation("", qualifier, "OTHERS", invocation_type == "Event", by_operation=True),
            text=client_context,
            name="ClientContext",
            log_type=log_type,
            routing_key=routing_key,
            longest_us=INVOKE_DEADLINE_US,
        )

    def invoke_function(
        self: Platform,
        function_name: str,
        event: str | None = None,
        *,
        namespace: str = "default",
        qualifier: str | None = DEFAULT_ALIAS,
        log_type: str = "None",
        routing_key: str | None = None,
    ) -> InvocationResult:
        """InvokeFunction (document 58400): as ``invoke`` with ``"RequestResponse"``, without a longest time.

        Its *qualifier* is the alias ``$DEFAULT`` unless given, and InvokeResult is the status code (200, 430, …).
        """
        return _invoke(
            self,
            function_name,
            namespace,
            Invocation("", qualifier, "OTHERS", asynchronous=False, by_operation=True),
            text=event,
            name="Event",
            log_type=log_type,
            routing_key=routing_key,
            longest_us=None,
        )

    def request_status(
        self: Platform,
        function_name: str,
        request_id: str,
        *,
        namespace: str = "default",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> RequestStatusPage:
        """GetRequestStatus (document 65348): the attempts of one invocation, of sync functions too, the earliest first.

        *start* and *end* are compared in whole seconds; without *start* it is 15 minutes ago, and *end* now unless
        given. Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``InvalidParameterValue.FunctionName``,
        ``InvalidParameterValue.FunctionRequestId``, ``InvalidParameterValue.StartTimeOrEndTime``.
        """
        self._lockstep.refresh()
        function = self._require_function(function_name, namespace, namespace_code="ResourceNotFound.Function")
        invocations.check_request_id(request_id)
        window = _window(self, start, end, invocations.DEFAULT_WINDOW_US)
        found = [event for event in function.events if event.request_id == request_id]
        page = invocations.request_status_page([event._event for event in found], window)
        _answered(self, page.data)
        return page

    def function_logs(
        self: Platform,
        function_name: str,
        *,
        namespace: str = "default",
        qualifier: str | None = None,
        request_id: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ret_code: str | None = None,
        order: str = "desc",
        order_by: str = "start_time",
        offset: int = 0,
        limit: int = 20,
    ) -> FunctionLogPage:
        """GetFunctionLogs (document 18583): the attempts of a function's invocations, each with its log.

        *ret_code* is ``Filter.RetCode``: ``"not0"``, ``"is0"``, ``"TimeLimitExceeded"``, ``"ResourceLimitExceeded"`` or
        ``"UserCodeException"``; *order_by* ``"start_time"``, ``"function_name"``, ``"duration"`` or ``"mem_usage"``.
        *start* and *end* are compared in whole seconds, and are a day apart at most; without *start* it is a day ago,
        and *end* now unless given. Raises ``ScfApiError``: ``ResourceNotFound.Function``,
        ``InvalidParameterValue.RetCode``, ``.Order``, ``.OrderBy``, ``.Offset``, ``.StartTimeOrEndTime``,
        ``LimitExceeded.Offset`` for more than 10,000 of *offset* and *limit* together,
        ``ResourceNotFound.Qualifier``, ….
        """
        self._lockstep.refresh()
        function = self._require_function(function_name, namespace, namespace_code="ResourceNotFound.Function")
        version = None if qualifier is None else function._versions.resolve(qualifier).version
        page = invocations.function_log_page(
            [
                event._event
                for event in function.events
                if version in (None, event.qualifier) and request_id in (None, event.request_id)
            ],
            _window(self, start, end, invocations.LONGEST_WINDOW_US),
            ret_code=ret_code,
            order=order,
            order_by=order_by,
            offset=offset,
            limit=limit,
        )
        _answered(self, page.data)
        return page


def _invoke(
    platform: Platform,
    function_name: str,
    namespace: str,
    invocation: Invocation,
    *,
    text: object,
    name: str,
    log_type: str,
    routing_key: object,
    longest_us: int | None,
) -> InvocationResult:
    """Run *invocation* of *text*, the parameter *name*; who waits for its end does so for *longest_us* at most."""
    platform._lockstep.refresh()
    function = platform._require_function(
        function_name,
        namespace,
        name_code="InvalidParameter.FunctionName",
        namespace_code="ResourceNotFound.Function",
    )
    _check_word("LogType", log_type, ("None", "Tail"))
    waits = not (invocation.asynchronous or function.configuration.async_run)
    payload = checked_payload_text(text, name=name, asynchronous=not waits)
    invocation = replace(invocation, payload=payload, routing_key=checked_routing_key(routing_key))
    facade = platform._accept(function, invocation)
    event, by_status_code = facade._event, longest_us is None
    if not waits:
        return invocations.accepted_result(event, by_status_code=by_status_code)
    deadline_us = None if longest_us is None else platform.clock.now_us + longest_us

    def done() -> bool:
        if event.ended or deadline_us is None:
            return event.ended
        return platform.clock.now_us >= deadline_us and platform._lockstep._all_quiet(call)

    name = f"the invocation {event.request_id} of {function_name}"
    call = Call(name, done, moves_clock=True, leases=True, target_us=deadline_us, event=event)
    platform._lockstep.drive(call)
    if not event.ended:
        reason = f"it has not ended within {INVOKE_DEADLINE_US // 1_000_000} seconds"
        raise api_error("FailedOperation.InvokeFunction", function_name=function_name, reason=reason)
    facade._look()
    return invocations.result_of(event, tail=log_type == "Tail", by_status_code=by_status_code)


def _window(platform: Platform, start: datetime | None, end: datetime | None, default_us: int) -> tuple[int, int]:
    first = None if start is None else to_us(start, "start")
    last = None if end is None else to_us(end, "end")
    return invocations.checked_window(first, last, platform.clock.now_us, default_us)


def _answered(platform: Platform, rows: Sequence[RequestStatus | FunctionLog]) -> None:
    """The caller has been given *rows*."""
    for request_id in {row.request_id for row in rows}:
        platform._seen(platform._events[request_id]._event.record)


def _check_word(name: str, value: object, valid: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in valid:
        raise api_error("InvalidParameterValue", name=name, value=value, valid=f"valid are {' and '.join(valid)}")
