"""The platform of one test.

Longer than other modules: most of it is the documentation of what users call.
"""

from __future__ import annotations

import atexit
import mmap
import os
import random
import shutil
import sys
import tempfile
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, cast

from .async_event import AsyncEvent, InstanceView, Json
from .clock import SimulatedClock, duration_us, to_datetime, to_us
from .deployment import changed_configuration, first_configuration, looked_up
from .errors import (
    CannotEndError,
    HarnessError,
    ScfApiError,
    ScfAsyncWarning,
    ScfUsageError,
    hidden_from_users,
    keywords_named,
)
from .function import Function
from .instances import coverage as measured
from .instances.code import Code, Copy, code_directory, resolve, resolve_again
from .instances.pool import Pool
from .instances.runtimes.go import DEFAULT_HANDLER, go_program, helper_binary
from .instances.runtimes.launcher import IMAGE_PORT, CodePackage, Launch
from .instances.runtimes.program import NO_ENGINE, image
from .instances.sandbox import Sandboxes
from .instances.zygote import bury_shared_zygote, require_linux
from .lockstep.calls import Call
from .lockstep.event import Event, FunctionVersion
from .lockstep.scheduler import Lockstep
from .lockstep.termination import terminate
from .model import (
    DEFAULT_IMAGE_INIT_TIMEOUT,
    GO_RUNTIME,
    IMAGE_RUNTIME,
    LATEST,
    PYTHON_RUNTIMES,
    RETENTION_US,
    RUNTIMES,
    EventRecord,
    Fact,
    LogLine,
    OpenReadings,
    Status,
    StatusTrace,
    api_error,
    check_runtime,
    valid_name,
)
from .operations import AsyncEventPage, AsyncEventStatus, AsyncEventSummary
from .options import DEFAULT_SOURCE, ScfSettings
from .protocol import messages

__all__ = ["ScfRuntime"]

__tracebackhide__ = hidden_from_users

OF_FUNCTION: Final = ("trace", "max_instances")
"""What is a function's, and not a version's: an update changes it for the published ones too."""


class ScfRuntime:
    """The platform of one test: functions, events, and a clock of their own. Also a context manager.

    *settings* are the defaults of everything; *seed* is what request ids are drawn from; *lookup* are the directories
    in which relative code paths are looked up, by default the current one. Handlers find the directories *base_temp*
    and *root* at their own paths, and may write to the former. *on_instance_started*, *on_event_ended* and
    *on_log_line* are told of each cold start, each end and each line of a log, in the middle of the call that runs it.
    *launcher* is asked for a ``Launch`` where the code of a function is of a runtime that is unknown here.
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
        launcher: Callable[[CodePackage], object] | None = None,
    ) -> None:
        require_linux()
        self.settings: Final = settings if settings is not None else ScfSettings()
        self._lookup = tuple(os.fspath(directory) for directory in lookup) or (os.getcwd(),)
        self._random = random.Random(f"pytest-scf-async {seed}")
        if start is not None:
            to_us(start, "start")  # refused before there is anything to close
        self._clock_file = os.memfd_create("scf-async-clock", os.MFD_CLOEXEC)
        os.ftruncate(self._clock_file, messages.PAGE_BYTES)
        self._map = mmap.mmap(self._clock_file, messages.PAGE_BYTES)
        self._page: Any = memoryview(self._map).cast("q")
        page = cast(MutableSequence[int], self._page)
        self.clock: Final = SimulatedClock(start or self.settings.start, page=page)
        self._page[messages.CLOCK_BOOT] = self.clock.now_us - messages.UPTIME_US
        sandboxes = Sandboxes(self.settings, base_temp, root, self._scratch)
        self._pool = Pool(self.settings, self.clock, self._clock_file, sandboxes)
        self._lockstep = Lockstep(self.clock, self._pool, self.settings, self._next_order)
        self._lockstep.on_end = self._ended
        self._lockstep.on_start = self._started
        self.clock.attach(self._lockstep, _Ways(self._lockstep))
        self._trace = StatusTrace()
        self._functions: dict[tuple[str, str], Function] = {}
        self._events: dict[str, AsyncEvent] = {}
        self._closed = False
        _open.add(self)
        self._own_scratch = ""
        self._deploy_source = "deploy(...)"
        self._on_event_ended = on_event_ended
        self._on_instance_started = on_instance_started
        self._on_log_line = on_log_line
        self._launcher = launcher

    # -- functions ---------------------------------------------------------------------------------------------------

    @keywords_named("deploy(...)")
    def deploy(
        self,
        code: str | os.PathLike[str] | Callable[..., object],
        *,
        handler: str | None = None,
        runtime: str | None = None,
        name: str | None = None,
        namespace: str | None = None,
        timeout: float | timedelta | None = None,
        init_timeout: float | timedelta | None = None,
        memory: int | None = None,
        environment: Mapping[str, str] | None = None,
        async_run: bool | None = None,
        trace: bool | None = None,
        max_instances: int | None = None,
        layers: Sequence[str | os.PathLike[str]] = (),
        mounts: Sequence[str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]] = (),
        network: Literal["loopback", "all"] | None = None,
        before_init: str | Callable[..., object] | None = None,
        before_init_args: Mapping[str, Json] | Sequence[Json] | None = None,
        background: Sequence[str] = (),
        idle_ok: Sequence[str] = (),
    ) -> Function:
        """Make a function of *code*: ``"path/to/file.py:main_handler"``, a code directory or zip with *handler*
        ``"index.main_handler"``, or a function of an importable module or test file.

        What is not given comes from the settings. *timeout* and *init_timeout* are simulated seconds, *memory* is MB.
        *layers* are directories and zips that appear at ``/opt``, later ones over earlier ones. *mounts* are
        directories that handlers may write, each at its own path, or as a pair with its path in an instance.
        With *network* "loopback" connections to other machines are refused. *before_init*, a function or
        ``"tests/fakes.py:install"``, is called in each instance before the function's module is imported, with
        *before_init_args*: a dict of keyword arguments or a list, of JSON; an exception in it is a ``ScfUsageError`` of
        the call that runs the event. Programs of the names *background* do not hold the clock while they live,
        nor does a wait to hear something on a connection to an address in *idle_ok*, as in ``["127.0.0.1:6379"]``: the
        timeouts of such waits are simulated.
        Raises ``ScfUsageError`` with the value, where it came from, and what is valid.
        """
        kind = runtime if runtime is not None else self.settings.runtime
        if kind not in RUNTIMES or kind == IMAGE_RUNTIME:
            source = self._deploy_source if runtime is not None else self.settings.source("runtime")
            check_runtime(kind, (*PYTHON_RUNTIMES, GO_RUNTIME), source)
        if kind in PYTHON_RUNTIMES:
            resolved, launch = resolve(code, handler, self._lookup, self._scratch), None
            handler = resolved.handler
        else:
            resolved, launch, handler = self._program_of(kind, code, handler)
        given = {
            "handler": handler,
            "runtime": runtime,
            "name": name,
            "namespace": namespace,
            "timeout": timeout,
            "init_timeout": init_timeout,
            "memory": memory,
            "environment": environment,
            "async_run": async_run,
            "trace": trace,
            "max_instances": max_instances,
            "layers": layers,
            "mounts": mounts,
            "network": network,
            "before_init": before_init,
            "before_init_args": before_init_args,
            "background": background,
            "idle_ok": idle_ok,
        }
        return self._deploy(self._deploy_source, self.settings, resolved, launch, given)

    @keywords_named("deploy_image(...)", notes=dict.fromkeys(("image", "image_uri"), NO_ENGINE))
    def deploy_image(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | os.PathLike[str] | None = None,
        port: int = IMAGE_PORT,
        ports: Sequence[int] = (),
        name: str | None = None,
        namespace: str | None = None,
        timeout: float | timedelta | None = None,
        init_timeout: float | timedelta | None = None,
        memory: int | None = None,
        environment: Mapping[str, str] | None = None,
        async_run: bool | None = None,
        trace: bool | None = None,
        max_instances: int | None = None,
        mounts: Sequence[str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]] = (),
        network: Literal["loopback", "all"] | None = None,
        before_init: str | Callable[..., object] | None = None,
        before_init_args: Mapping[str, Json] | Sequence[Json] | None = None,
        background: Sequence[str] = (),
        idle_ok: Sequence[str] = (),
    ) -> Function:
        """Make an image function (document 56051) of *command*: the program that the image starts, and its arguments.

        No container engine is needed: each instance starts the program in a sandbox of its own, in the directory *cwd*
        (the image's working directory; relative ones are looked up as code is). The program has to listen on *port*,
        on all addresses; each event is a ``POST /event-invoke`` whose body is the payload, and what it answers is the
        result: 2xx, otherwise the event ends with 430. A network of its own has nothing in it but a loopback; *ports*
        are those of the test's servers that the program finds there at ``127.0.0.1``.

        A program that the test's own Python can run (``["python", "app.py"]``, ``["python", "-m", "flask", "run"]``,
        a script of an installed package) is on the simulated clock. Every other is free-running: it sees real time,
        and a ``ScfAsyncWarning`` says so. An image has 90 simulated seconds to start unless *init_timeout* is given,
        and 30 to listen (446). The other keywords are those of `deploy`; *before_init* needs the simulated clock.
        Raises ``ScfUsageError`` with the value, where it came from, and what is valid.
        """
        source = "deploy_image(...)"
        made = image(command, cwd, self._lookup, port=port, ports=ports, source=source)
        settings = self.settings
        if settings.source("init_timeout") == DEFAULT_SOURCE:
            settings = settings.replace(DEFAULT_SOURCE, init_timeout=DEFAULT_IMAGE_INIT_TIMEOUT)
        given = {
            "handler": IMAGE_RUNTIME,
            "runtime": IMAGE_RUNTIME,
            "name": name,
            "namespace": namespace,
            "timeout": timeout,
            "init_timeout": init_timeout,
            "memory": memory,
            "environment": environment,
            "async_run": async_run,
            "trace": trace,
            "max_instances": max_instances,
            "layers": (),
            "mounts": mounts,
            "network": network,
            "before_init": before_init,
            "before_init_args": before_init_args,
            "background": background,
            "idle_ok": idle_ok,
        }
        return self._deploy(source, settings, made.code, made.launch, given, why_free_running=made.why_free_running)

    def _deploy(
        self,
        source: str,
        settings: ScfSettings,
        code: Code,
        launch: Launch | None,
        given: dict[str, Any],
        *,
        why_free_running: str | None = None,
    ) -> Function:
        """Make a function of *code* with what *source* has *given*; *why_free_running* is told as a warning."""
        if given["name"] is None:
            given["name"] = self._free_name(code.stem, given["namespace"] or settings.namespace)
        given = looked_up(given, self._lookup, source, launch)
        runnable = RUNTIMES if launch is not None else (*PYTHON_RUNTIMES, GO_RUNTIME)
        configuration = first_configuration(settings, given, source, runnable)
        key = (configuration.namespace, configuration.name)
        if key in self._functions:
            raise ScfUsageError(
                f"name={configuration.name!r} ({source}) is taken: a function of that name is deployed in the "
                f"namespace {configuration.namespace!r}; give another name, or delete() that one"
            )
        if why_free_running is not None:
            _say_free_running(why_free_running)
        function = Function(self, FunctionVersion(configuration, code, LATEST, launch=launch))
        self._functions[key] = function
        return function

    def _program_of(self, runtime: str, code: object, handler: str | None) -> tuple[Code, Launch, str]:
        """The program of a function whose *runtime* is not Python's."""
        if runtime != GO_RUNTIME and self._launcher is None:
            raise self._cannot_run(runtime)
        directory = code_directory(code, self._lookup, self._scratch, runtime)
        if runtime == GO_RUNTIME:
            program = go_program(directory, handler, self._session_scratch, given=code)
            helper = helper_binary(self._session_scratch)
            launch = Launch([program.binary], program.directory, speaks="gob", helper=helper)
            handler = DEFAULT_HANDLER if handler is None else handler
        else:
            handler = "index.main_handler" if handler is None else handler
            assert self._launcher is not None
            found = self._launcher(CodePackage(runtime, handler, directory))
            if found is None:
                raise self._cannot_run(runtime)
            if not isinstance(found, Launch):
                raise ScfUsageError(
                    f"pytest_scf_async_launcher gave {found!r} for runtime {runtime!r}; it gives a Launch, or None"
                )
            launch = found
        stem = os.path.basename(directory.rstrip("/"))
        return Code(directory, launch.command[0], "", handler, stem), launch, handler

    def _cannot_run(self, runtime: str) -> ScfUsageError:
        known = ", ".join((*PYTHON_RUNTIMES, GO_RUNTIME))
        return ScfUsageError(
            f"runtime={runtime!r} ({self._deploy_source}) is not valid: its code cannot be run here; these can: "
            f"{known}; a plugin adds others by the hook pytest_scf_async_launcher"
        )

    def _free_name(self, stem: str, namespace: str) -> str:
        number = 1
        while (namespace, valid_name(stem, number)) in self._functions:
            number += 1
        return valid_name(stem, number)

    @property
    def functions(self) -> dict[str, Function]:
        """The functions by name; those of another namespace than ``default`` as ``namespace/name``."""
        return {
            name if namespace == "default" else f"{namespace}/{name}": function
            for (namespace, name), function in self._functions.items()
        }

    @property
    def events(self) -> list[AsyncEvent]:
        """All events in order of acceptance, expired ones too."""
        return list(self._events.values())

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

        Raises ``ScfApiError`` as the platform does: ``ResourceNotFound.Function``, ``InvalidParameterValue.Limit``, ….
        """
        self._lockstep.look()
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
            start_interval=_interval(start_time_interval, "start_time_interval"),
            end_interval=_interval(end_time_interval, "end_time_interval"),
            order=order,
            order_by=orderby,
            offset=offset,
            limit=limit,
            invoke_request_id=invoke_request_id,
        )
        return AsyncEventPage(page.total_count, [self._summary(record) for record in page.records])

    def get_async_event_status(self, request_id: str) -> AsyncEventStatus:
        """GetAsyncEventStatus (document 65704); ``ScfApiError`` ``ResourceNotFound.AsyncEvent`` where there is none."""
        self._lockstep.look()
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

        Raises ``ScfApiError``: ``ResourceNotFound.Function``, ``ResourceNotFound.AsyncEvent``,
        ``FailedOperation.AsyncEventStatus``.
        """
        self._lockstep.look()
        function = self._require_function(function_name, namespace)
        event = self._events.get(request_id)
        if event is None or event not in function.events or not function.configuration.async_run:
            raise api_error("ResourceNotFound.AsyncEvent", request_id=request_id)
        if not event._event.record.recorded or not function.configuration.trace:
            if not self.settings.terminate_without_trace:
                raise api_error("ResourceNotFound.AsyncEvent", request_id=request_id)
            warnings.warn(
                f"the status trace of {function_name} is off, or was when event {request_id} was accepted; "
                "the documents leave open whether it can be terminated (setting terminate_without_trace)",
                ScfAsyncWarning,
                stacklevel=2,
            )
        terminate(self._lockstep, event._event, grace_shutdown, settle_first=True)

    # -- time --------------------------------------------------------------------------------------------------------

    def wait_all(self, events: Iterable[AsyncEvent] | None = None) -> list[AsyncEvent]:
        """Let time pass until all *events* (by default every one of this runtime) have ended, and give them.

        Raises one ``CannotEndError`` that names all that could not end, ``ScfUsageError`` for what is no event of this
        runtime.
        """
        wanted = self.events if events is None else self._own(events)
        self._lockstep.drive(
            Call(
                f"wait_all() of {len(wanted)} events",
                lambda: all(event._event.ended for event in wanted),
                moves_clock=True,
                leases=True,
                opens_all_gates=True,
            )
        )
        return wanted

    def _own(self, events: Iterable[AsyncEvent]) -> list[AsyncEvent]:
        """*events* as a list, each of this runtime."""
        valid = "it takes events of this runtime, as in wait_all([event, other])"
        if not isinstance(events, Iterable):
            raise ScfUsageError(f"wait_all: events is {events!r}, which is no list; {valid}")
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
            if any(instance.computing for instance in self._pool.instances):
                return False
            self._lockstep.calls += 1  # the predicate may read a status at every step
            answer[:] = [bool(predicate())]
            return answer[0] or (self.clock.now_us >= target and self._lockstep._all_quiet())

        self._lockstep.drive(Call("wait_until(...)", done, moves_clock=True, target_us=target, opens_all_gates=True))
        if not answer[0]:
            passed = f"{duration_us(within, 'within') / 1e6:g} s of simulated time"
            raise CannotEndError(
                f"wait_until({getattr(predicate, '__name__', predicate)!s}, within={within!r}): it was still false "
                f"when {passed} had passed, at {self.clock.now.isoformat()}"
            )

    def close(self) -> None:
        """Kill every instance; nothing of this runtime stays. The test's own event objects go on answering."""
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        try:
            self._lockstep.close()
        finally:
            for event in self._events.values():
                event._event.ended_by_close = event._event.ended_by_close or not event._event.ended
            if self._own_scratch:
                shutil.rmtree(self._own_scratch, ignore_errors=True)
            self.clock.detach()
            self._page.release()
            self._map.close()
            os.close(self._clock_file)
            bury_shared_zygote()
            if "pytest_scf_async.plugin.plugin" not in sys.modules:  # a session does it at its end, once
                measured.hand_in()

    def __enter__(self) -> ScfRuntime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __repr__(self) -> str:
        return f"<ScfRuntime {len(self._functions)} functions, {len(self._events)} events, {self.clock!r}>"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _next_order(self) -> int:
        self._page[messages.CLOCK_SEQUENCE] += 1
        return int(self._page[messages.CLOCK_SEQUENCE])

    def _accept(self, function: Function, payload: str, qualifier: str | None, invoke_type: str) -> AsyncEvent:
        if self._closed:
            raise ScfUsageError(f"function {function.name!r} belongs to a runtime that is closed")
        with self._lockstep.locked():
            version = function._versions.resolve(qualifier)
            configuration = version.configuration
            limit = configuration.max_instances
            running = self._lockstep.events_running() if limit is not None else ()
            of_function = configuration.namespace, configuration.name
            if limit is not None and sum(event.record.function == of_function for event in running) >= limit:
                error = api_error("LimitExceeded.Quota", function_name=function.name, limit=limit)
                where = configuration.sources["max_instances"]
                hint = f"max_instances={limit} ({where}): an event that ends, or is terminated, makes room"
                raise ScfApiError(error.code, error.platform_message, hint)
            record = EventRecord(
                sequence=len(self._events),
                request_id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                function_name=configuration.name,
                namespace=configuration.namespace,
                qualifier=version.version,
                invoke_type=invoke_type,
                recorded=configuration.records_events,
                start_us=self.clock.now_us,
            )
            settings = self.settings
            event = Event(
                record=record,
                function=version,
                payload=payload,
                readings=OpenReadings(Status(settings.graceful_return_status), Status(settings.graceful_exit_status)),
                time_us=lambda: self.clock.now_us,
                region=settings.region,
                appid=settings.appid,
                uin=settings.uin,
                unlistened_signal_line=settings.unlistened_signal_line,
            )
            self._trace.add(record)
            facade = AsyncEvent(self._lockstep, event)
            self._events[record.request_id] = facade
            function.events.append(facade)
            told = self._on_log_line
            if told is not None:
                event.on_line = lambda line: told(facade, line)
            self._lockstep.accept(event)
        return facade

    def _ended(self, event: Event) -> None:
        self._trace.ended(event.record)
        if self._on_event_ended is not None:
            self._on_event_ended(self._events[event.request_id])

    def _started(self, event: Event) -> None:
        if self._on_instance_started is not None:
            instance = self._events[event.request_id].instance
            assert instance is not None
            self._on_instance_started(instance)

    @contextmanager
    def _deploys_for(self, source: str) -> Iterator[None]:
        """Have messages about what `deploy` is given name *source*: not those about `deploy_image`."""
        before, self._deploy_source = self._deploy_source, source
        try:
            yield
        finally:
            self._deploy_source = before

    def _update(self, function: Function, code: object, handler: str | None, given: Mapping[str, Any]) -> None:
        source = "update(...)"
        with self._lockstep.locked():
            versions = function._versions
            before = versions.latest
            given = looked_up(given, self._lookup, source, before.launch)
            resolved = before.code
            if before.launch is not None and (code is not None or handler is not None):
                raise ScfUsageError(
                    f"update(...) changes the code of Python functions, and {function.name!r} is a "
                    f"{before.configuration.runtime} function: delete() it and {before.configuration.deployed_by} the "
                    "other"
                )
            if code is not None or handler is not None:
                resolved = resolve_again(before.code, code, handler, self._lookup, self._scratch)
                given = {**given, "handler": resolved.handler}
            configuration = changed_configuration(self.settings, before.configuration, given, source)
            versions.latest = FunctionVersion(configuration, resolved, LATEST, launch=before.launch)
            self._pool.retire(before, "function updated")
            for version in versions.published:
                sources = {name: configuration.sources[name] for name in OF_FUNCTION if name in configuration.sources}
                version.configuration = replace(
                    version.configuration,
                    **{name: getattr(configuration, name) for name in OF_FUNCTION},
                    sources=MappingProxyType({**version.configuration.sources, **sources}),
                )
            if not configuration.trace:
                self._trace.disable(function.name, function.namespace)

    def _publish(self, function: Function, description: str) -> str:
        with self._lockstep.locked():
            latest = function._versions.latest
            copy = Copy(latest.code, self._scratch())
            return function._versions.publish(
                lambda number: FunctionVersion(
                    latest.configuration, latest.code, number, description, copy, launch=latest.launch
                )
            )

    def _delete(self, function: Function, qualifier: str | None) -> None:
        lockstep, versions = self._lockstep, function._versions
        with lockstep.locked():
            deleted = versions.all if qualifier is None else [versions.remove(qualifier)]
            for event in function.events:
                if not event._event.ended and (qualifier is None or event._event.function in deleted):
                    lockstep.end(event._event, Fact.FUNCTION_DELETED)
            for version in deleted:
                self._pool.retire(version, "function deleted")
                if version.copy is not None:
                    version.copy.remove()
            if qualifier is None:
                del self._functions[function.namespace, function.name]
                self._trace.disable(function.name, function.namespace)

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
        return self._pool.sandboxes.zygote().scratch

    def _require_function(self, name: str, namespace: str) -> Function:
        if namespace != "default" and all(known != namespace for known, _ in self._functions):
            raise api_error("ResourceNotFound.Namespace", namespace=namespace)
        function = self._functions.get((namespace, name))
        if function is None:
            raise api_error("ResourceNotFound.Function", function_name=name, namespace=namespace)
        return function

    def _why_unknown(self, request_id: str) -> str | None:
        """Why the platform does not know an event of this runtime."""
        event = self._events.get(request_id)
        if event is None:
            return "this runtime accepted no such event"
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
        self._events[record.request_id]._read()

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


class _Ways:
    """What the clock offers beside jumping; loaded where a test asks for it."""

    def __init__(self, lockstep: Lockstep) -> None:
        self._lockstep = lockstep

    def patched(self) -> AbstractContextManager[None]:
        from .lockstep.test_process import patched  # noqa: PLC0415

        return patched(self._lockstep)

    def running(self, rate: float) -> AbstractContextManager[None]:
        from .lockstep.running import running  # noqa: PLC0415

        return running(self._lockstep, rate)


_told_free_running: set[str] = set()
"""What a warning of this process has said."""


def _say_free_running(why: str) -> None:
    """Once for each program."""
    if why not in _told_free_running:
        _told_free_running.add(why)
        warnings.warn(
            f"{why}: its instances are free-running, they see real time, and what they wait for takes as long as it "
            "takes",
            ScfAsyncWarning,
            stacklevel=5,  # who called deploy_image
        )


_open: weakref.WeakSet[ScfRuntime] = weakref.WeakSet()


def _close_all() -> None:
    """At the interpreter's end, while what a runtime is made of is still there."""
    for runtime in list(_open):
        runtime.close()


atexit.register(_close_all)


def _interval(interval: tuple[datetime, datetime] | None, name: str) -> tuple[int, int] | None:
    if interval is None:
        return None
    start, end = interval
    return to_us(start, f"{name}[0]"), to_us(end, f"{name}[1]")
