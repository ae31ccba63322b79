"""The operations on functions: Create, Update, Get and List (documents 18586, 18581, 18580, 18584, 18582)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from ...clock import to_datetime
from ...deployment import first_configuration
from ...errors import calls_named, hidden_from_users
from ...function import Function
from ...instances.code import Copy, size_of
from ...instances.function_version import FunctionVersion
from ...model.configuration import NAME_RULE, FunctionConfiguration, is_valid_name
from ...model.listing import check_choice, check_limit, check_offset, page_of
from ...model.versions import LATEST
from ...options import Where, options_of
from . import also_taken
from .checks import check_pairs, check_part
from .deployments import DEFAULT_RUNTIME, DEFAULT_TIMEOUT, code_of, cos_file_of, is_on, refusals
from .error_texts import api_error
from .namespaces import require_namespace
from .platform import Platform
from .versions import description_of

__tracebackhide__ = hidden_from_users

EVENT_FUNCTION: Final = "Event"
AVAILABLE: Final = "Available"
MOST_FILTERS: Final = 10
MOST_VALUES: Final = 20


@dataclass(frozen=True)
class FunctionDetails:
    """The answer of GetFunction (document 18584): a function, and one version of it."""

    function_id: str
    function_name: str
    namespace: str
    function_version: str
    description: str
    status: str
    available_status: str
    function_type: str
    code_size: int
    """Bytes of the files of its code; 0 of an image."""
    add_time: datetime
    mod_time: datetime
    configuration: FunctionConfiguration
    versions: list[str]
    """``$LATEST`` and the published versions, newest first."""
    also: Mapping[str, object]
    """What changes nothing here, by the platform's names, as in ``{"Role": "", "DnsCache": "FALSE", …}``."""


@dataclass(frozen=True)
class FunctionSummary:
    """One row of ListFunctions (document 18582)."""

    function_id: str
    function_name: str
    namespace: str
    description: str
    runtime: str
    status: str
    function_type: str
    async_run: bool
    trace: bool
    add_time: datetime
    mod_time: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True)
class FunctionPage:
    """The answer of ``list_functions``: ``total_count`` functions pass the filters, and this is one page of them."""

    total_count: int
    functions: list[FunctionSummary]


_FUNCTION_KEYS: Final[Mapping[str, Callable[[FunctionSummary], Any]]] = {
    "AddTime": lambda row: row.add_time,
    "ModTime": lambda row: row.mod_time,
    "FunctionName": lambda row: row.function_name,
}
"""What ``Orderby`` of ListFunctions sorts by."""
_FILTERS: Final[Mapping[str, Callable[[FunctionSummary], str]]] = {
    "Status": lambda row: row.status,
    "Runtime": lambda row: row.runtime,
    "Type": lambda row: row.function_type,
    "FunctionType": lambda row: row.function_type,
    "AsyncRunEnable": lambda row: switch(row.async_run),
    "TraceEnable": lambda row: switch(row.trace),
}
"""What each filter of ListFunctions compares that is not one of `also_taken`."""


@calls_named
class OperationsOnFunctions:
    """Those that ``ScfRuntime`` has as calls."""

    def create_function(
        self: Platform,
        function_name: str,
        zip_file: str | None = None,
        *,
        cos_bucket_name: str | None = None,
        cos_object_name: str | None = None,
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
        also: Mapping[str, object] = MappingProxyType({}),
    ) -> Function:
        """CreateFunction (document 18586): as ``deploy``, with the platform's parameters and its defaults and errors.

        *zip_file* is a zip in Base64; instead of it there may be the names of a bucket and of an object in it, below
        the directory that is the setting ``cos_directory``. *timeout* is 3 seconds unless given, for async functions
        too, *runtime* ``"Python2.7"``, *handler* ``"index.main_handler"``, *async_run_enable* and *trace_enable*
        ``"FALSE"``; what else is not given comes from the settings. *also* is what changes nothing here and GetFunction
        gives back, by the platform's names: ``{"Role": "exports", "Tags": [{"Key": "owner", "Value": "me"}]}``.

        Raises ``ScfApiError``: ``InvalidParameterValue.FunctionName``, ``.Handler``, ``.MemorySize``, ``.Runtime``,
        ``.ZipFile``, ``.ZipFileBase64BinasciiError``, ``.CosBucketName``, ``.CosObjectName``, ``.Environment``, …,
        ``LimitExceeded.Timeout``, ``.InitTimeout``, ``.Memory``, ``MissingParameter.Code``,
        ``ResourceInUse.FunctionName``, ``ResourceNotFound.Namespace``, ``.Cos`` for a bucket and ``.CosObject`` for an
        object that is not there, ``UnknownParameter`` for a name in *also*, and ``FailedOperation.CreateFunction`` for
        code that cannot be built.
        """
        if not is_valid_name(namespace):
            raise api_error("InvalidParameterValue.Namespace", value=namespace, valid=NAME_RULE)
        require_namespace(self, namespace)
        if not is_valid_name(function_name):
            raise api_error("InvalidParameterValue.FunctionName", value=function_name, valid=NAME_RULE)
        if (namespace, function_name) in self._functions:
            raise api_error("ResourceInUse.FunctionName", function_name=function_name, namespace=namespace)
        if function_type == "HTTP":
            raise api_error("UnsupportedOperation", what="A function of Type HTTP")
        if function_type != "Event":
            raise api_error("InvalidParameterValue.Type", value=function_type, valid="it must be Event or HTTP")
        taken = also_taken.checked(also, update=False)
        cos_file = cos_file_of(self, cos_bucket_name, cos_object_name)
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
            code = code_of(zip_file, cos_file, self._scratch())
            made = self._builder.build(given["runtime"], code, given["handler"], source)
            function = self._deploy(source, self.settings, made, given)
            function._take_also(taken)
            return function

    def update_function_code(
        self: Platform,
        function_name: str,
        zip_file: str | None = None,
        *,
        cos_bucket_name: str | None = None,
        cos_object_name: str | None = None,
        handler: str | None = None,
        namespace: str = "default",
        also: Mapping[str, object] = MappingProxyType({}),
        publish: str = "FALSE",
    ) -> None:
        """UpdateFunctionCode (document 18581): the code is given as to ``create_function``.

        *publish* ``"TRUE"`` publishes a version. Raises ``ScfApiError``: ``ResourceNotFound.Function``, those of
        ``create_function`` for the code and *handler*, and ``FailedOperation.UpdateFunctionCode`` for a function whose
        code cannot be changed.
        """
        function = self._require_function(function_name, namespace)
        publishes = is_on("Publish", publish)
        taken = also_taken.checked(also, update=True)
        cos_file = cos_file_of(self, cos_bucket_name, cos_object_name)
        with refusals("FailedOperation.UpdateFunctionCode", function_name):
            code = code_of(zip_file, cos_file, self._scratch())
            self._update(function, code, handler or function.configuration.handler, {})
            function._take_also(taken)
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
        layers: Sequence[str | os.PathLike[str]] | None = None,
        also: Mapping[str, object] = MappingProxyType({}),
        publish: str = "FALSE",
    ) -> None:
        """UpdateFunctionConfiguration (document 18580): change what is given; *publish* ``"TRUE"`` publishes a version.

        *layers* are those of ``deploy``, *also* is what ``create_function`` has, without ``Tags`` and ``ProtocolType``.
        Raises ``ScfApiError``: ``ResourceNotFound.Function``, and those of ``create_function`` for a value that is not
        valid.
        """
        function = self._require_function(function_name, namespace)
        publishes = is_on("Publish", publish)
        taken = also_taken.checked(also, update=True)
        values = {
            "description": description,
            "memory": memory_size,
            "timeout": timeout,
            "environment": environment,
            "init_timeout": init_timeout,
            "trace": None if trace_enable is None else is_on("TraceEnable", trace_enable),
            "layers": layers,
        }
        given = {name: value for name, value in values.items() if value is not None}
        with refusals("FailedOperation.UpdateFunctionConfiguration", function_name):
            self._update(function, None, None, given)
            function._take_also(taken)
            if publishes:
                self._publish(function, "", with_update=True)

    def get_function(
        self: Platform, function_name: str, *, namespace: str = "default", qualifier: str | None = None
    ) -> FunctionDetails:
        """GetFunction (document 18584): a function, and its version *qualifier*, ``$LATEST`` unless given.

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``ResourceNotFound.Namespace``,
        ``ResourceNotFound.Version``, ``InvalidParameterValue.FunctionName``.
        """
        function = self._require_function(function_name, namespace)
        version = function._versions.resolve(qualifier, "ResourceNotFound.Version")
        configuration = version.configuration
        return FunctionDetails(
            function_id=function.function_id,
            function_name=configuration.name,
            namespace=configuration.namespace,
            function_version=version.version,
            description=description_of(version),
            status=function._status_of(version),
            available_status=AVAILABLE,
            function_type=EVENT_FUNCTION,
            code_size=size_of(version.code) if configuration.deployed_by == "deploy" else 0,
            add_time=to_datetime(version.added_us),
            mod_time=to_datetime(version.modified_us),
            configuration=configuration,
            versions=function.versions,
            also=also_taken.shown(function._also_taken[version.version]),
        )

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
        ``"Runtime"``, ``"Type"``, ``"AsyncRunEnable"``, ``"TraceEnable"``, ``"Role"``, ``"VpcId"`` and others, or of
        the tag ``owner`` by ``"tag-owner"``. Raises ``ScfApiError``:
        ``ResourceNotFound.Namespace``, ``InvalidParameterValue.Order``, ``.Limit``, ``.Offset``, ``.Filters``.
        """
        require_namespace(self, namespace)
        check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
        check_choice("InvalidParameterValue.Order", orderby, tuple(_FUNCTION_KEYS), name="Orderby")
        check_limit(limit)
        check_offset(offset)
        check_part("SearchKey", search_key)
        check_part("Description", description)
        check_pairs("InvalidParameterValue.Filters", filters)
        wanted = _checked_filters(filters)
        here = [each for (of, _), each in list(self._functions.items()) if of == namespace]
        rows = [
            row
            for row in (_summary(each) for each in here if also_taken.passes(each._also_taken[LATEST], wanted))
            if (search_key or "") in row.function_name
            and (description or "") in row.description
            and all(_FILTERS[name](row) in values for name, values in wanted.items() if name in _FILTERS)
        ]
        rows.sort(key=_FUNCTION_KEYS[orderby])
        return FunctionPage(len(rows), page_of(rows, order, offset, limit))

    def _publish(self: Platform, function: Function, description: str, *, with_update: bool = False) -> str:
        """Publish a version; *with_update*: the update that goes with it has just begun."""
        with self._lockstep.locked():
            self._require_present(function)
            if not with_update:
                function._require_active("FailedOperation.PublishVersion")
            latest = function._versions.latest
            copy = Copy(latest.code, self._scratch()) if latest.runtime.runs_code else None
            now_us, active_us = self.clock.now_us, self._active_us()
            number = function._versions.publish(
                lambda number: FunctionVersion(
                    latest.configuration,
                    latest.code,
                    number,
                    latest.runtime,
                    description,
                    added_us=now_us,
                    modified_us=now_us,
                    active_us=active_us,
                    copy=copy,
                )
            )
            function._also_taken[number] = function._also_taken[LATEST]
            if not with_update:
                function._becomes("Publishing", active_us)
            return number


def _summary(function: Function) -> FunctionSummary:
    """What ListFunctions says of *function*."""
    latest = function._versions.latest
    return FunctionSummary(
        function_id=function.function_id,
        function_name=function.name,
        namespace=function.namespace,
        description=function.description,
        runtime=latest.configuration.runtime,
        status=function.status,
        function_type=EVENT_FUNCTION,
        async_run=latest.configuration.async_run,
        trace=latest.configuration.trace,
        add_time=to_datetime(latest.added_us),
        mod_time=to_datetime(latest.modified_us),
        tags=also_taken.tags_of(function._also_taken[LATEST]),
    )


def _checked_filters(filters: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    if len(filters) > MOST_FILTERS:
        raise api_error("InvalidParameterValue.Filters", value=len(filters), valid=f"{MOST_FILTERS} are the most")
    for name, values in filters.items():
        known = (*_FILTERS, *also_taken.OTHER_FILTERS)
        if name not in known and not name.startswith(also_taken.TAG_FILTER):
            valid = f"valid are {', '.join(known)} and {also_taken.TAG_FILTER}KEY, of a tag"
            raise api_error("InvalidParameterValue.Filters", value=name, valid=valid)
        if not _is_list(values) or not 1 <= len(values) <= MOST_VALUES:
            valid = f"it must have 1 to {MOST_VALUES} values"
            raise api_error("InvalidParameterValue.Filters", value=name, valid=valid)
    return {name: tuple(values) for name, values in filters.items()}


def _is_list(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, (str, bytes))


def switch(on: bool) -> str:
    """What the platform writes for a switch."""
    return "TRUE" if on else "FALSE"
