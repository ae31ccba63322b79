"""The platform of one test.

Longer than other modules: most of it is the documentation of what users call.
"""

from __future__ import annotations

import atexit
import itertools
import os
import random
import sys
import tempfile
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, Protocol

from . import session
from .async_event import AsyncEvent, InstanceView, Json, refuse_dropped, refuse_unknown
from .clock import SimulatedClock, duration_us, to_datetime, to_us
from .deployment import UNCHANGED, Mounts, changed_configuration, first_configuration, looked_up
from .errors import (
    CannotEndError,
    HarnessError,
    ScfApiError,
    ScfAsyncWarning,
    ScfUsageError,
    calls_named,
    constructor_named,
    hidden_from_users,
    keywords_named,
)
from .event_answers import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
from .function import Function, Invocation
from .instances.function_version import FunctionVersion
from .instances.interrupts import exposed, shielded
from .instances.pool import Pool
from .instances.runtimes.choice import Builder, Deployed
from .instances.sandbox import Sandboxes
from .instances.zygote import discard_dead_zygote, require_linux
from .linux.linux import remove_tree
from .lockstep.calls import CLOSED, Call
from .lockstep.event import Event
from .lockstep.features.registry import FEATURES, TIME_MODES, WITHOUT_CODE
from .lockstep.invocation_queue import InvocationQueue
from .lockstep.scheduler import Lockstep
from .model.codes import api_error
from .model.configuration import (
    DEFAULT_NAMESPACE,
    NAME_RULE,
    FunctionConfiguration,
    is_valid_name,
    valid_name,
)
from .model.listing import is_text
from .model.log_lines import LogLine
from .model.records import EventRecord
from .model.statuses import Status
from .model.trace import RETENTION_US, StatusTrace
from .model.transitions import Fact, OpenReadings
from .model.versions import LATEST
from .options import OPTIONS, ScfSettings, Where, keywords_of
from .protocol.messages import UPTIME_US
from .protocol.real_time import shown_time_us
from .protocol.shared_page import SharedClockPage
from .report.teardown import over_memory_text
from .termination import terminate
from .wings.features import FEATURES_OF_WINGS, FIRST_OF_WINGS
from .wings.runtime_calls import RuntimeCalls
from .wings.runtimes import OTHER_KINDS

__tracebackhide__ = hidden_from_users

ID_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
"""What the platform's ids of functions are made of."""
OF_FUNCTION: Final = [option.name for option in OPTIONS if option.of_function]


@constructor_named()
@calls_named
class ScfRuntime(RuntimeCalls):
    """The platform of one test: functions, events, and a clock of their own. Also a context manager.

    *settings* are the defaults of everything; *seed* is what request ids are drawn from; *lookup* are the directories
    in which relative code paths are looked up, by default the current one. Handlers find the directories *base_temp*
    and *root* at their own paths, and may write to the former. *on_instance_started*, *on_event_ended* and
    *on_log_line* are called at each cold start, each end and each line of a log, within the call that runs it.
    *launcher* is asked for a ``Launch`` where the code of a function is of a runtime that is unknown here, and
    *sweep_guide* for what each sweep is told.

    What is not given comes from the pytest session, where there is one: settings that *settings* leave out from the
    command line and the ini file, *lookup* from the file of the test that runs and the root directory, and so on.
    """

    def __init__(
        self,
        settings: ScfSettings | None = None,
        *,
        start: datetime | None = None,
        seed: str = "",
        lookup: Iterable[str | os.PathLike[str]] = (),
        base_temp: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        on_instance_started: Callable[[InstanceView], object] | None = None,
        on_event_ended: Callable[[AsyncEvent], object] | None = None,
        on_log_line: Callable[[AsyncEvent, LogLine], object] | None = None,
        launcher: Callable[[Any], object] | None = None,
        sweep_guide: Callable[[], object] | None = None,
    ) -> None:
        require_linux()
        defaults = session.defaults()
        settings = settings or ScfSettings()
        settings = settings if defaults.settings is None else settings.on_top_of(defaults.settings)
        if start is not None:
            to_us(start, "start")  # what is no aware datetime has a sentence of its own
            settings = settings.replace("ScfRuntime(start=...)", start=start)
        elif settings.start is None and shown_time_us() < 0:
            frozen = to_datetime(shown_time_us())
            raise ScfUsageError(f"a runtime cannot start at {frozen}, the time of freezegun: it is before 1970")
        self.settings: Final = settings
        self._lookup = tuple(os.fspath(directory) for directory in (tuple(lookup) or defaults.lookup)) or (os.getcwd(),)
        self._base_temp = base_temp = base_temp or defaults.base_temp
        self._root = root = root or defaults.root
        self._launcher = launcher = launcher or defaults.launcher
        self._sweep_guide = sweep_guide or defaults.sweep_guide
        self.seed: Final = seed
        """What request ids are drawn from."""
        self._random = random.Random(f"pytest-scf-async {seed}")
        self._random_of_functions = random.Random(f"pytest-scf-async functions {seed}")
        """Apart from the one of request ids, which do not depend on functions."""
        self._page = SharedClockPage()
        self.clock: Final = SimulatedClock(self.settings.start, page=self._page)
        self._page.boot_us = self.clock.now_us - UPTIME_US
        self._sandboxes = sandboxes = Sandboxes(self.settings, base_temp, root, self._scratch)
        self._pool: Pool[Event] = Pool(self.settings, self.clock, self._page.file, sandboxes)
        features = (*FIRST_OF_WINGS, *FEATURES, *FEATURES_OF_WINGS)
        self._lockstep = Lockstep(self.clock, self._pool, self.settings, self._page.next_order, features)
        self.clock.attach(self._lockstep, _TimeModes(self._lockstep))
        self._queue = InvocationQueue(self._lockstep, self._has_room, self._accepted)
        self._lockstep.attach(on_end=self._ended, on_start=self._started, on_retry=self._queue.add)
        self._trace = StatusTrace()
        returned, exited = self.settings.graceful_return_status, self.settings.graceful_exit_status
        self._readings = OpenReadings(Status(returned), Status(exited))
        self._functions: dict[tuple[str, str], Function] = {}
        self._namespaces = {DEFAULT_NAMESPACE: self.clock.now_us}
        """By name, when it was made: in that order."""
        self._events: dict[str, AsyncEvent] = {}
        self._closed = False
        self._is_stage = False
        """Whether it is there for a run of a sweep."""
        self._number = next(_numbers)
        _open.add(self)
        self._own_scratch = ""
        self._deploy_source = "deploy(...)"
        self._on_event_ended = on_event_ended or defaults.on_event_ended
        self._on_instance_started = on_instance_started or defaults.on_instance_started
        self._on_log_line = on_log_line or defaults.on_log_line
        self._builder = Builder(
            self._lookup, self._scratch, self._session_scratch, launcher, sandboxes.why_untraced, OTHER_KINDS
        )

    # -- functions ---------------------------------------------------------------------------------------------------

    @keywords_named("deploy(...)")
    def deploy(
        self,
        # [options: deploy] written by `make options`
        code: str | os.PathLike[str] | Callable[..., object],
        *,
        handler: str | None = None,
        ports: Sequence[int] = (),
        name: str | None = None,
        timeout: float | timedelta | None = None,
        init_timeout: float | timedelta | None = None,
        memory: int | None = None,
        description: str = "",
        runtime: str | None = None,
        namespace: str | None = None,
        async_run: bool | None = None,
        trace: bool | None = None,
        max_instances: int | None = None,
        over_quota: Literal["refuse", "queue"] | None = None,
        layers: Sequence[str | os.PathLike[str]] = (),
        mounts: Mounts = (),
        network: Literal["loopback", "all"] | None = None,
        environment: Mapping[str, str] | None = None,
        before_init: str | Callable[..., object] | None = None,
        before_init_args: Mapping[str, Json] | Sequence[Json] | None = None,
        children: Literal["real", "simulated"] = "real",
        background: Sequence[str] = (),
        idle_ok: Sequence[str] = (),
        compute_rate: float | None = None,
        # [end]
    ) -> Function:
        """Make a function of *code*: ``"path/to/file.py:main_handler"``, a code directory or zip with *handler*
        ``"index.main_handler"``, or a function of an importable module or test file.

        What is not given comes from the settings. An exception in *before_init* is a ``ScfUsageError`` of the call that
        runs the event; with *compute_rate* events are not repeatable. Raises ``ScfUsageError`` with the value, where it
        came from, and what is valid.

        Args:
            handler: `"index.main_handler"`, for a directory or a zip; of a Go function the name of its binary, `"main"`
                unless given
            ports: ports of the test's own servers that it finds on its loopback, as in `[6379]`; a Python handler finds
                all of them, unless its children are simulated
            name: by default the file's stem, made valid: `my file.py` becomes `my-file`, `h.py` `function-h`; for a
                directory or a zip whose file is `index.py`, its own name; a second one gets `-2`
            timeout: the time that an event may run (433)
            init_timeout: the time that an init may take (450)
            memory: MB, enforced only where given (434)
            description: the description that GetFunction returns, at most 1,000 characters
            runtime: for Python, the value of `SCF_RUNTIME`; `"Go1"`: `code` is the directory or zip of a Go package or
                of a built binary; `"Nodejs18.15"` and the others of Node.js, `"CustomRuntime"`: that with `index.js`,
                or with `bootstrap`; another one is for a plugin (`pytest_scf_async_launcher`)
            namespace: its namespace
            async_run: it is executed asynchronously (document 51519)
            trace: its status trace is on (document 63967)
            max_instances: the number of events that may run at once; one more is `LimitExceeded.Quota`
            over_quota: `"refuse"`, or `"queue"`: one more of `invoke_async` is retried each simulated minute, for 6
                hours
            layers: directories and zips at `/opt`, later ones over earlier ones
            mounts: directories that handlers may write, each at its own path or a pair with its path in an instance
            network: `"loopback"`: connections to other machines are refused; or `"all"`
            environment: variables, besides the platform's and those of the settings
            before_init: a function, or `"tests/fakes.py:install"`, that is called in each instance before the module is
                imported; not for Go, which has no Python process
            before_init_args: its keyword arguments (a dict) or arguments (a list), of JSON
            children: `"real"`, or `"simulated"`: the child processes of a Python handler are on the simulated clock too
                (time.md)
            background: names of programs that do not hold the clock while they run
            idle_ok: addresses, as in `["127.0.0.1:6379"]`: an answer on a connection to one of them may be awaited for
                ever, and holds the clock for one real second only
            compute_rate: simulated seconds that a second of computing, of a child process or of another real wait
                takes; 0: none
        """
        given = keywords_of(Where.DEPLOY, locals())
        kind = runtime if runtime is not None else self.settings.runtime
        self._builder.check(kind, self._deploy_source if runtime is not None else self.settings.source("runtime"))
        made = self._builder.build(kind, code, handler, self._deploy_source, children)
        return self._deploy(self._deploy_source, self.settings, made, given)

    def _deploy(self, source: str, settings: ScfSettings, made: Deployed, given: Mapping[str, Any]) -> Function:
        """Make a function of what was *made* of its code, with what *source* has *given* beside that."""
        given = {**given, "handler": made.handler}
        with self._lockstep.locked():  # from here on: a name that is free has to be free when it is taken
            if given["name"] is None:
                given["name"] = self._free_name(made.code.stem, given["namespace"] or settings.namespace)
            given = looked_up(given, self._lookup, source, made.runtime)
            configuration = first_configuration(settings, given, source)
            made.runtime.check_ports(configuration.ports, source)
            key = (configuration.namespace, configuration.name)
            if key in self._functions:
                raise ScfUsageError(
                    f"name={configuration.name!r} ({source}) is taken: a function of that name is deployed in the "
                    f"namespace {configuration.namespace!r}; choose another name, or delete() that function"
                )
            _warn_once((*self._lockstep.warned_of(made), *made.warnings))
            now_us = self.clock.now_us
            version = FunctionVersion(
                configuration,
                made.code,
                LATEST,
                made.runtime,
                added_us=now_us,
                modified_us=now_us,
                active_us=self._active_us(),
            )
            return self._add(version, f"lam-{''.join(self._random_of_functions.choices(ID_LETTERS, k=8))}")

    def _add(self, version: FunctionVersion, function_id: str) -> Function:
        """Have a new function, whose first version is *version*."""
        configuration = version.configuration
        function = Function(self, version, function_id)
        self._namespaces.setdefault(configuration.namespace, version.added_us)
        self._functions[configuration.namespace, configuration.name] = function
        return function

    def _for_run(self, settings: ScfSettings, seed: str, directory: Path) -> ScfRuntime:
        """A runtime for one run of a sweep: as this one, but its instances may write to *directory* alone."""
        with session.outside():
            runtime = ScfRuntime(
                settings,
                seed=seed,
                lookup=self._lookup,
                base_temp=directory,
                root=self._root,
                launcher=self._launcher,
            )
        runtime._is_stage = True
        return runtime

    def _free_name(self, stem: str, namespace: str) -> str:
        number = 1
        while (namespace, name := valid_name(stem, number, namespace)) in self._functions:
            number += 1
        return name

    @property
    def functions(self) -> dict[str, Function]:
        """The functions by name; those of another namespace than ``default`` as ``namespace/name``."""
        return {
            name if namespace == "default" else f"{namespace}/{name}": function
            for (namespace, name), function in list(self._functions.items())
        }

    @property
    def events(self) -> list[AsyncEvent]:
        """All events in the order in which they were invoked, expired ones too."""
        return list(self._events.values())

    def function(self, name: str, namespace: str = "default") -> Function:
        """The function of that name; ``ScfApiError`` ``ResourceNotFound.Function`` as the operations have it."""
        return self._require_function(name, namespace)

    def event(self, request_id: str) -> AsyncEvent:
        """The event of *request_id*, expired or not; ``ScfUsageError`` when there was none."""
        try:
            return self._events[request_id]
        except KeyError:
            known = ", ".join(self._events) or "none"
            raise ScfUsageError(
                f"event({request_id!r}): this runtime accepted no such event; it accepted {known}"
            ) from None

    # -- the platform's operations -----------------------------------------------------------------------------------

    def list_async_events(
        self,
        function_name: str,
        *,
        namespace: str = "default",
        qualifier: str | None = None,
        invoke_type: Sequence[str] = (),
        status: Sequence[str] = (),
        start_time_interval: tuple[datetime, datetime] | None = None,
        end_time_interval: tuple[datetime, datetime] | None = None,
        order: str = "DESC",
        orderby: str = "StartTime",
        offset: int = 0,
        limit: int = 20,
        invoke_request_id: str | None = None,
    ) -> AsyncEventPage:
        """ListAsyncEvents (document 52501): one page of a function's recorded events; intervals are half open.

        Raises ``ScfApiError`` as the platform does: ``ResourceNotFound.Function``, ``ResourceNotFound.Namespace``,
        ``InvalidParameterValue.FunctionName`` for what can be no function's name, ``InvalidParameterValue.Limit``, ….
        """
        start_interval = _interval(start_time_interval, "start_time_interval")
        end_interval = _interval(end_time_interval, "end_time_interval")
        with self._lockstep.locked():
            self._lockstep.refresh()
            if not is_valid_name(namespace):
                raise api_error("InvalidParameterValue.Namespace", value=namespace, valid=NAME_RULE)
            function = self._require_function(function_name, namespace)
            if qualifier is not None:
                qualifier = function._versions.resolve(qualifier, "ResourceNotFound.Version").version
            page = self._trace.list_events(
                now_us=self.clock.now_us,
                function_name=function_name,
                namespace=namespace,
                qualifier=qualifier,
                invoke_types=invoke_type,
                statuses=status,
                start_interval=start_interval,
                end_interval=end_interval,
                order=order,
                order_by=orderby,
                offset=offset,
                limit=limit,
                invoke_request_id=invoke_request_id,
            )
            return AsyncEventPage(page.total_count, [self._summary(record) for record in page.records])

    def get_async_event_status(self, request_id: str) -> AsyncEventStatus:
        """GetAsyncEventStatus (document 65704); ``ScfApiError`` ``ResourceNotFound.AsyncEvent`` where there is none."""
        with self._lockstep.locked():
            self._lockstep.refresh()
            try:
                record = self._trace.get(request_id, self.clock.now_us)
            except ScfApiError as error:
                hint = self._why_unknown(request_id)
                raise ScfApiError(error.code, error.platform_message, hint) from None
            self._seen(record)
            return AsyncEventStatus(record.status, record.status_code, record.request_id)

    def terminate_async_event(
        self,
        function_name: str,
        request_id: str,
        namespace: str = "default",
        grace_shutdown: bool = False,
    ) -> None:
        """TerminateAsyncEvent (document 52500). Moves no time; an event that is pending is started first.

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``ResourceNotFound.Namespace``,
        ``ResourceNotFound.AsyncEvent``, ``FailedOperation.AsyncEventStatus``, and
        ``InvalidParameterValue.FunctionName`` for what can be no function's name.
        """
        self._lockstep.refresh()
        function = self._require_function(function_name, namespace)
        event = self._events.get(request_id) if is_text(request_id) else None
        if event is None or event not in function.events or not function.configuration.async_run:
            raise api_error("ResourceNotFound.AsyncEvent", request_id=request_id)
        refuse_unknown(event._event)
        if not event._event.record.recorded or not function.configuration.trace:
            if not self.settings.terminate_without_trace:
                raise api_error("ResourceNotFound.AsyncEvent", request_id=request_id)
            warnings.warn(
                f"the status trace of {function_name} is off, or was when event {request_id} was accepted; "
                "the documents leave open whether it can be terminated (setting terminate_without_trace)",
                ScfAsyncWarning,
                stacklevel=3,  # who called terminate_async_event
            )
        terminate(self._lockstep, event._event, grace_shutdown, settle_first=True)

    # -- time --------------------------------------------------------------------------------------------------------

    def wait_all(self, events: Iterable[AsyncEvent] | None = None) -> list[AsyncEvent]:
        """Let time pass until all *events* (by default every one of this runtime) have ended, and give them.

        Raises one ``CannotEndError`` that names all that could not end or were dropped from the queue,
        ``ScfUsageError`` for what is no event of this runtime.
        """
        wanted = self.events if events is None else self._own(events)
        pending = [event._event for event in reversed(wanted)]

        def all_ended() -> bool:  # called at each step: what has ended is checked once
            while pending and pending[-1].ended:
                pending.pop()
            return not pending

        self._lockstep.drive(
            Call(
                f"wait_all() of {len(wanted)} events",
                all_ended,
                moves_clock=True,
                leases=True,
                opens_all_gates=True,
                waits_for=[event._event for event in wanted],
            )
        )
        refuse_dropped("wait_all()", wanted)
        return wanted

    def _own(self, events: Iterable[AsyncEvent]) -> list[AsyncEvent]:
        """*events* as a list, each of this runtime."""
        valid = "it must be a list of events of this runtime, as in wait_all([event, other])"
        if not isinstance(events, Iterable):
            raise ScfUsageError(f"wait_all: events is {events!r}, which is not a list; {valid}")
        wanted = list(events)
        for event in wanted:
            if not isinstance(event, AsyncEvent):
                raise ScfUsageError(f"wait_all: events has {event!r} of type {type(event).__name__}; {valid}")
            if event._lockstep is not self._lockstep:
                raise ScfUsageError(f"wait_all: events has {event!r}, which is of another runtime; {valid}")
        return wanted

    def wait_until(self, predicate: Callable[[], object], within: float | timedelta) -> None:
        """Let time pass until *predicate* is true; at most *within* simulated seconds.

        It is asked whenever every event waits. Raises ``CannotEndError`` when the time is over.
        """
        if not callable(predicate):
            raise ScfUsageError(f"wait_until: predicate is {predicate!r}, which cannot be called")
        target = self.clock.now_us + duration_us(within, "wait_until(within)")
        answer: list[bool] = []

        def done() -> bool:
            if any(instance.state.computing for instance in self._pool.stirring()):
                return False
            self._lockstep.count_call()  # the predicate may read a status at every step
            answer[:] = [bool(exposed(predicate))]
            return answer[0] or (self.clock.now_us >= target and self._lockstep.all_quiet(call))

        name = "wait_until(...)"
        call = Call(name, done, moves_clock=True, target_us=target, opens_all_gates=True, runs_user_code=True)
        self._lockstep.drive(call)
        if not answer[0]:
            passed = f"{duration_us(within, 'within') / 1e6:g} s of simulated time"
            raise CannotEndError(
                f"wait_until({getattr(predicate, '__name__', predicate)!s}, within={within!r}): it was still false "
                f"when {passed} had passed, at {self.clock.now.isoformat()}; scf_clock.advance({within!r}) lets as "
                "much time pass without raising"
            )

    def close(self) -> None:
        """Kill every instance; nothing of this runtime stays. The test's own event objects go on answering.

        The process of an idle instance that has no file or connection open may take a moment to go. Warns
        (``ScfAsyncWarning``) of events that used more memory than a function has by default (128 MB), where none was
        given: on the platform they are FAILED (434).
        """
        if self._closed:
            return
        with shielded():
            self._close()
            _keep(self)
        if not self._is_stage and (text := over_memory_text(event._event for event in self._events.values())):
            warnings.warn(text, ScfAsyncWarning, stacklevel=3)  # who called close

    def _close(self) -> None:
        self._closed = True
        _open.discard(self)
        try:
            self._lockstep.close()
        finally:
            for event in self._events.values():
                if not event._event.ended:
                    event._event.ends_by_close()
            if self._own_scratch:
                remove_tree(self._own_scratch)
            self.clock.detach()
            self._page.close()
            discard_dead_zygote()
            if not _in_session():  # a session does it at its end, once
                self._lockstep.hand_in()

    def __enter__(self) -> ScfRuntime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with nullcontext() if error is None else suppress(ScfAsyncWarning):  # which may be an error
            self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)
            self._close()

    def __repr__(self) -> str:
        return f"<ScfRuntime {len(self._functions)} functions, {len(self._events)} events, {self.clock!r}>"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _accept(self, function: Function, invocation: Invocation) -> AsyncEvent:
        if self._closed:
            raise ScfUsageError(f"function {function.name!r}: {CLOSED}")
        with self._lockstep.locked():
            self._require_present(function)
            route = function._versions.route(invocation.qualifier, invocation.routing_key)
            version = route()
            function._require_callable(version)
            configuration = version.configuration
            over_quota = not self._has_room_for(configuration)
            queues = invocation.by_trigger or (invocation.asynchronous and configuration.over_quota == "queue")
            if over_quota and not queues:
                limit = configuration.max_instances
                all_of_them = f"All {limit} instances that function {function.name!r} may have are"
                one = f"The only instance that function {function.name!r} may have is"
                error = api_error("LimitExceeded.Quota", instances=one if limit == 1 else all_of_them)
                where = configuration.sources["max_instances"]
                hint = f"max_instances={limit} ({where}): an event that ends or is terminated frees an instance"
                if invocation.asynchronous:
                    hint += '; over_quota="queue" queues events of asynchronous callers'
                raise ScfApiError(error.code, error.platform_message, hint)
            tries_again = invocation.asynchronous and not configuration.async_run
            retries = function._event_invoke.retry_num if tries_again else 0
            index = len(function.events)
            script = version.runtime.script_for(invocation.payload, index, function.name)
            record = EventRecord(
                sequence=next(_numbers),
                request_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                function_name=configuration.name,
                namespace=configuration.namespace,
                qualifier=version.version,
                invoke_type=invocation.invoke_type,
                recorded=configuration.records_events,
                start_us=self.clock.now_us,
            )
            settings = self.settings
            on_log_line = self._on_log_line
            event = (Event if script is None else WITHOUT_CODE[0])(
                record=record,
                function=version,
                payload=invocation.payload,
                readings=self._readings,
                clock=self.clock,
                region=settings.region,
                appid=settings.appid,
                uin=settings.uin,
                unlistened_signal_line=settings.unlistened_signal_line,
                over_quota=over_quota,
                event_invoke=function._event_invoke,
                retries_left=retries,
                by_operation=invocation.by_operation or invocation.by_trigger,
                script=script,
                resolve=route if over_quota or retries else None,
                on_line=None if on_log_line is None else lambda line: on_log_line(facade, line),
            )
            facade = AsyncEvent(self._lockstep, event)
            self._events[record.request_id] = facade
            function.events.append(facade)
            if over_quota:
                self._queue.add(event)
            else:
                self._accepted(event)
        return facade

    def _has_room_for(self, configuration: FunctionConfiguration) -> bool:
        """Whether an instance of the function may run one more event."""
        limit = configuration.max_instances
        if limit is None:
            return True
        return self._lockstep.running_of[configuration.namespace, configuration.name] < limit

    def _has_room(self, event: Event) -> bool:
        """The same for an event in the queue, which runs the version that its qualifier names by now."""
        event.resolve_again()
        if event.function.active_us > self.clock.now_us:
            return False
        return self._has_room_for(event.function.configuration)

    def _accepted(self, event: Event) -> None:
        """The scheduler takes *event*: the status trace knows it from now on; it starts when the clock comes to it."""
        if event.retry_num == 0:
            event.record.accepted(next(_numbers), event.function.configuration.records_events)
            self._trace.add(event.record)
        self._lockstep.accept(event)

    def _ended(self, event: Event) -> None:
        self._trace.ended(event.record)
        if self._on_event_ended is not None:
            exposed(self._on_event_ended, self._events[event.request_id])

    def _started(self, event: Event) -> None:
        if self._on_instance_started is not None:
            instance = self._events[event.request_id].instance
            assert instance is not None
            exposed(self._on_instance_started, instance)

    @contextmanager
    def _deploys_for(self, source: str) -> Iterator[None]:
        """Have messages about what `deploy` is given name *source*: not those about `deploy_image`."""
        before, self._deploy_source = self._deploy_source, source
        try:
            yield
        finally:
            self._deploy_source = before

    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None:
        """Change ``$LATEST``; what is not *given*, or UNCHANGED, stays."""
        source = "update(...)"
        with self._lockstep.locked():
            self._require_present(function)
            function._require_active()
            versions = function._versions
            before = versions.latest
            runtime, resolved = before.runtime, before.code
            changed = [name for name, value in given.items() if value is not UNCHANGED]
            runtime.check_keywords(changed, source)
            children = given["children"] if "children" in changed else before.configuration.children
            has_new_code = code is not None or handler is not None
            if has_new_code or children != before.configuration.children:
                made = self._builder.rebuild(
                    before.configuration,
                    before.code,
                    runtime,
                    code=code,
                    handler=handler,
                    children=children,
                    source=source,
                )
                _warn_once((*self._lockstep.warned_of(made), *made.warnings))
                runtime, resolved = made.runtime, made.code
                if has_new_code:
                    given = {**given, "handler": made.handler}
            given = looked_up(given, self._lookup, source, runtime)
            configuration = changed_configuration(self.settings, before.configuration, given, source)
            runtime.check_ports(configuration.ports, configuration.sources.get("ports", source))
            if configuration.before_init is not None and runtime is not before.runtime:
                runtime.check_before_init(configuration.before_init, configuration.sources.get("before_init", source))
            versions.replace_latest(
                FunctionVersion(
                    configuration,
                    resolved,
                    LATEST,
                    runtime,
                    added_us=before.added_us,
                    modified_us=self.clock.now_us,
                    active_us=self._active_us(),
                )
            )
            function._becomes("Updating", versions.latest.active_us)
            self._pool.retire(before, "function updated")
            for version in versions.published:
                sources = {name: configuration.sources[name] for name in OF_FUNCTION if name in configuration.sources}
                version.reconfigure(
                    replace(
                        version.configuration,
                        **{name: getattr(configuration, name) for name in OF_FUNCTION},
                        sources=MappingProxyType({**version.configuration.sources, **sources}),
                    )
                )
            if not configuration.trace:
                self._trace.disable(function.name, function.namespace)

    def _active_us(self) -> int:
        """When a function is Active again that is made or changed now."""
        timed = self.settings.function_states == "timed"
        return self.clock.now_us + (duration_us(self.settings.function_state_time, "") if timed else 0)

    def _now_us(self) -> int:
        return self.clock.now_us

    def _delete(self, function: Function, qualifier: str | None) -> None:
        lockstep, versions = self._lockstep, function._versions
        with lockstep.locked():
            function._require()
            function._require_active("FailedOperation.DeleteFunction")
            deleted = versions.all if qualifier is None else [versions.remove(qualifier)]
            for event in function.events:
                if event._event.ended or not (qualifier is None or event._event.function in deleted):
                    continue
                if event._event.status is None:
                    event._event.dropped(Fact.FUNCTION_DELETED)
                else:
                    lockstep.end(event._event, Fact.FUNCTION_DELETED)
            for version in deleted:
                self._pool.retire(version, "function deleted")
                if version.copy is not None:
                    version.copy.remove()
            if qualifier is not None:
                return
            function._was_deleted()
            self._trace.disable(function.name, function.namespace)
            key, gone_us = (function.namespace, function.name), self._active_us()
            function._becomes("Deleting", gone_us)
            if gone_us > self.clock.now_us:
                self.clock.call_at(gone_us, lambda: self._remove(key))
            else:
                self._remove(key)

    def _remove(self, key: tuple[str, str]) -> None:
        del self._functions[key]

    def _scratch(self) -> str:
        """A directory of this runtime, which goes when it is closed."""
        if not os.path.isdir(self._own_scratch):
            try:
                self._own_scratch = tempfile.mkdtemp(prefix="runtime-", dir=self._session_scratch())
            except OSError as error:
                raise HarnessError(f"there is no directory for the code: {error.strerror or error}") from error
        return self._own_scratch

    def _session_scratch(self) -> str:
        """A directory of the session, which goes at its end: what was built for one runtime serves the next."""
        return self._pool.sandboxes.zygote().scratch()

    def _require_function(
        self,
        name: str,
        namespace: str,
        *,
        name_code: str = "InvalidParameterValue.FunctionName",
        namespace_code: str = "ResourceNotFound.Namespace",
    ) -> Function:
        """The function, or ScfApiError: *name_code* for what can be no name, *namespace_code*, or that it is unknown.

        Operations differ in these codes: each has its own list of errors.
        """
        if not is_valid_name(name):
            raise api_error(name_code, value=name, valid=NAME_RULE)
        if not is_text(namespace) or namespace not in self._namespaces:
            raise api_error(namespace_code, namespace=namespace, function_name=name)
        function = self._functions.get((namespace, name))
        if function is None:
            raise api_error("ResourceNotFound.Function", function_name=name, namespace=namespace)
        return function

    def _require_present(self, function: Function) -> None:
        """Raise ScfApiError ``ResourceNotFound.Function`` for one that another thread has deleted by now."""
        if self._functions.get((function.namespace, function.name)) is not function:
            raise api_error("ResourceNotFound.Function", function_name=function.name, namespace=function.namespace)

    def _why_unknown(self, request_id: str) -> str | None:
        """Why the platform does not know an event of this runtime."""
        event = self._events.get(request_id) if is_text(request_id) else None
        if event is None:
            return "this runtime accepted no such event"
        if event._event.status is None:
            return f"it is {event._event.shown_status}: the platform knows nothing of it before it accepts it"
        end_us = event._event.record.end_us
        if end_us is None or not event._event.record.recorded:
            return "the status trace of its function is off, or was when it was accepted"
        expired = to_datetime(end_us + RETENTION_US)
        return (
            f"its status was kept for 72 hours after its end, until {expired.isoformat()}"
            if (self.clock.now >= expired)
            else "the status trace of its function was switched off, or its function deleted"
        )

    def _seen(self, record: EventRecord) -> None:
        event = self._events[record.request_id]
        event._poll()
        event._check()

    def _summary(self, record: EventRecord) -> AsyncEventSummary:
        self._seen(record)
        return AsyncEventSummary(
            invoke_request_id=record.request_id,
            invoke_type=record.invoke_type,
            qualifier=record.qualifier,
            status=record.status,
            start_time=to_datetime(record.start_us),
            end_time=None if record.end_us is None else to_datetime(record.end_us),
        )


class ScfRuntimeFactory(Protocol):
    """The type of the fixture ``scf_runtime_factory``."""

    def __call__(self, settings: ScfSettings | None = None, *, start: datetime | None = None) -> ScfRuntime:
        """Make a runtime that lives until it is closed, by ``with`` or ``close()``, or until the session ends.

        *settings* are on top of those of the command line and the ini file.
        """
        ...


class _TimeModes:
    """What the clock offers beside jumping; loaded where a test asks for it."""

    def __init__(self, lockstep: Lockstep) -> None:
        self._lockstep = lockstep

    def patched(self) -> AbstractContextManager[None]:
        return TIME_MODES["patched"](self._lockstep)

    def running(self, rate: float) -> AbstractContextManager[None]:
        from .lockstep.running import running  # noqa: PLC0415

        return running(self._lockstep, rate)


_warned: set[str] = set()
"""What warnings of this process have said."""


def _warn_once(texts: Iterable[str]) -> None:
    for text in texts:
        if text not in _warned:
            _warned.add(text)
            warnings.warn(text, ScfAsyncWarning, stacklevel=5)  # who called deploy_image


_numbers = itertools.count()
"""For what runtimes of this process do one after the other."""
_open: weakref.WeakSet[ScfRuntime] = weakref.WeakSet()
_closed: list[tuple[int, ScfRuntime]] = []
"""Runtimes that were closed in a test of pytest that still runs, with the number of that: a test that fails shows their
events, and nobody else may hold them by then."""
EVENTS_KEPT: Final = 250
"""Events of closed runtimes that are kept for that, and those of the last one however many it has: a test may make
runtimes in a loop."""


def begin_test() -> int:
    """A number for the test that begins: greater than those of all that has happened."""
    return next(_numbers)


def accepted_since(number: int) -> list[AsyncEvent]:
    """The events that runtimes have accepted since *number*, in that order; not those of a sweep's runs."""
    runtimes = [*_open, *(runtime for _, runtime in _closed)]
    found: list[AsyncEvent] = []
    for runtime in runtimes:
        if not runtime._is_stage:
            found += itertools.takewhile(lambda event: event._number > number, reversed(runtime.events))
    return sorted(found, key=lambda event: event._number)


def open_runtimes() -> list[ScfRuntime]:
    """Those that are not closed, in the order in which they were made; not those of a sweep's runs."""
    return sorted((runtime for runtime in _open if not runtime._is_stage), key=lambda runtime: runtime._number)


def end_test(number: int) -> None:
    """The report is made of the test that began with *number*: release what was closed since."""
    _closed[:] = [(closed, runtime) for closed, runtime in _closed if closed < number]


def _keep(runtime: ScfRuntime) -> None:
    if not (_in_session() and runtime._events) or runtime._is_stage:
        return
    _closed.append((next(_numbers), runtime))
    while len(_closed) > 1 and sum(len(each._events) for _, each in _closed) > EVENTS_KEPT:
        del _closed[0]


def _in_session() -> bool:
    """Whether this process is pytest's, and has the plugin."""
    return "pytest_scf_async.plugin.plugin" in sys.modules


def _close_all() -> None:
    """At the interpreter's end, while what a runtime is made of is still there."""
    with ExitStack() as stack:  # whatever closing one of them raises
        for runtime in list(_open):
            stack.callback(runtime.close)


atexit.register(_close_all)


def _interval(interval: tuple[datetime, datetime] | None, name: str) -> tuple[int, int] | None:
    if interval is None:
        return None
    start, end = interval
    return to_us(start, f"{name}[0]"), to_us(end, f"{name}[1]")
