"""pytest's side: options, markers, fixtures and report sections. No emulation here.

Everything of the package beyond this module, `hookspecs`, `session` and `wings_at_start` is imported when a test asks
for it, in the fixtures; so is what is long here, as each start of pytest reads this file.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

from .. import session, wings_at_start

if TYPE_CHECKING:
    import pluggy

    from ..async_event import AsyncEvent
    from ..clock import SimulatedClock
    from ..function import Function
    from ..options import ScfSettings
    from ..runtime import ScfRuntime, ScfRuntimeFactory
    from ..wing_hooks import WingHooks
    from .timeout import TimeLimit

UNLIMITED: Final = 2
"""The verbosity (``-vv``) from which on the report of a failed test leaves nothing out."""

OPTIONS: Final = {
    # [options: pytest] written by `make options`
    "timeout": "simulated seconds that an event may run; by default 86,400 for async functions, 3 for sync ones",
    "init_timeout": "simulated seconds that the init of an instance may take",
    "memory": (
        "MB of a function, beyond which its events end with 434; by default 128 is shown and no limit is enforced"
    ),
    "real_timeout": (
        "real seconds without progress after which a blocking call ends with an error, also while an event computes; "
        "seconds in which pytest itself was stopped do not count"
    ),
    "real_limit": "real seconds after which a blocking call ends with an error, whatever its progress",
    "compute_grace": (
        "seconds of its own CPU time after which an instance that does not wait gives up its turn to others"
    ),
    "clock_reads_before_wait": (
        "reads of the clock at one place in user code, with no wait, record, write or traffic on a connection in "
        "between, after which each further read there counts as a wait of one millisecond"
    ),
    "program_cpus": (
        "the number of CPUs that a program on the simulated clock may use, with all that it starts; with more than "
        "one, the order of what its threads do at one instant differs from run to run"
    ),
    "sandbox": (
        'the isolation of an instance\'s files: "namespaces", "none" (a TMPDIR only), or "auto" (namespaces if '
        "available)"
    ),
    "clock": (
        'the implementation of an instance\'s wall clock: "page" (genuine datetime), "freezegun" (its classes) or '
        '"auto" (page if possible)'
    ),
    "leases": (
        "an instance may move the clock itself while nothing else is due; False only makes sleeps slower (true or "
        "false)"
    ),
    "preload": (
        "installed modules that are imported once, before instances start: names, or a string with commas between "
        "them; a module that starts a Python thread is refused; threads of C libraries are allowed"
    ),
    "idle_reclaim": "simulated seconds after which an idle instance is reclaimed",
    "start": (
        "the simulated time (aware) at which a runtime starts; timelines are in its zone; by default now, or the time "
        "of an active freeze_time (2026-01-01T00:00:00+00:00)"
    ),
    "patched": (
        "a test with scf_runtime is itself on the simulated clock, as within scf_clock.patched() (true or false)"
    ),
    "graceful_return_status": "the status of an event whose handler returns after SIGTERM: FINISHED or ABORTED",
    "graceful_exit_status": "the status of an event whose process ends after SIGTERM: FAILED or ABORTED",
    "unlistened_signal_line": (
        "the platform's line about a SIGTERM that reached a process without a handler: received or failed"
    ),
    "restore_environment": (
        "a function's own variables are as configured whenever an event begins, whatever an earlier one has changed "
        "(true or false)"
    ),
    "terminate_without_trace": "events of functions without status trace can be terminated (true or false)",
    "api_rate_limits": (
        "the endpoint refuses requests beyond the platform's limits per (simulated) second (true or false)"
    ),
    "official_hosts": (
        "the destination of the platform's hosts while there is an endpoint: SCF's hosts lead to it and other hosts "
        'of the API are refused ("endpoint"), or the machine resolves all of them ("machine")'
    ),
    "async_invoke_result": "an asynchronous Invoke is answered with a Result, too (true or false)",
    "over_quota": (
        "the treatment of an invocation beyond max_instances: it is refused, or queued and retried each minute "
        '("queue") (refuse or queue)'
    ),
    "function_states": (
        'a function is Active at once ("immediate"), or after it was Creating, Updating or Publishing for a while '
        '("timed")'
    ),
    "function_state_time": (
        "simulated seconds for which a function is Creating, Updating, Publishing or Deleting where that takes time"
    ),
    "network": "the addresses that handlers may connect to: this machine's loopback only, or all",
    "compute_rate": (
        "simulated seconds that a second of computing, of a child process or of another real wait takes; 0: none"
    ),
    "stop_noise": (
        "if computing, children and real waits after a SIGTERM take fewer real seconds, assert_stopped_within does "
        "not count them"
    ),
    "never_run": "the effect on a passing test of an event none of whose code ever ran: fail, warn or ignore",
    "unfinished": (
        "the effect on a passing test of an event that is still running, and of which the test read nothing after its "
        "last blocking call: warn, fail or ignore"
    ),
    "status_reads_limit": (
        "reads of an event's status without a blocking call in between, after which the next read is an error"
    ),
    # [end]
}
"""The settings that have an ini option, with their texts: the table of options is imported only where one is given."""

_ARTIFACTS: Final = "directory for the whole log, timeline, records and facts of each event of a failed test"
FLAGS: Final = frozenset({"real_timeout", "sandbox", "start"})
"""The settings that have an option of the command line, too: what one changes for one run. pytest's
``-o scf_async_leases=false`` is one for each of the others."""

_LIVE_LOG: Final = "print log lines of events as they arrive"

_OF_WORKER: Final = "scf_async_instances"
"""The name under which a worker of xdist reports what instances had."""

_TEST: Final[pytest.StashKey[pytest.Item]] = pytest.StashKey()
"""The test that runs, or ran last."""
_BEGAN: Final = pytest.StashKey[int]()
"""The number by which runtimes know what has happened since the test began."""
_SHOWN: Final[pytest.StashKey[tuple[AsyncEvent, ...]]] = pytest.StashKey()
_PASSED: Final = pytest.StashKey[bool]()
_CALL_SECONDS: Final = pytest.StashKey[float]()
"""How long the call of the test has taken."""
_PROPERTY: Final = "scf_async_request_id"
"""Under which ``--junitxml`` names events."""
_SETTINGS: Final = pytest.StashKey["ScfSettings"]()
_OUTER_ZYGOTE: Final = pytest.StashKey[bool]()
_TIME_LIMIT: Final[pytest.StashKey[TimeLimit]] = pytest.StashKey()
_REPORTED_BY_WORKER: Final = pytest.StashKey[list[str]]()
_UNTRACED: Final = "scf-async/untraced"
"""Under which pytest's cache has why programs could not be traced in the last session that had some."""

_GIVE_RUNTIMES: Final = frozenset({"scf_runtime", "scf_runtime_factory"})


# -- options ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scf-async", "Tencent Cloud SCF asynchronous events (pytest-scf-async)")
    for name, text in OPTIONS.items():
        if name in FLAGS:
            group.addoption(_flag(name), dest=f"scf_async_{name}", metavar="VALUE", default=None, help=text)
        parser.addini(f"scf_async_{name}", text, default="")
    group.addoption("--scf-async-artifacts", metavar="DIR", default=None, help=_ARTIFACTS)
    parser.addini("scf_async_artifacts", f"{_ARTIFACTS}; relative to the ini file", default="")
    group.addoption("--scf-async-live-log", action="store_true", default=None, help=_LIVE_LOG)
    parser.addini("scf_async_live_log", _LIVE_LOG, type="bool", default=False)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from .. import hookspecs

    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(wings_at_start, "scf_async_wings")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "scf_function(code, *, payload=None, **deploy): the function of the fixtures scf_function and async_event; "
        'code is "path/to/file.py:main_handler", payload the event\'s data; the other keywords are those of '
        "ScfRuntime.deploy, the closest marker wins, and keywords of farther ones are kept.",
    )
    config.stash[_OUTER_ZYGOTE] = _zygote_of_this_process()
    if config.option.scf_async_artifacts is not None or config.getini("scf_async_artifacts"):
        from .artifacts import resolve

        resolve(config)
    if wings_at_start.are_given(config):
        from ..wings.hooks import HOOKS

        for wing in HOOKS:
            wing.configure(config)
    if config.getoption("verbose", 0) >= UNLIMITED:
        from ..report.limits import limits

        limits.lift()
        config.add_cleanup(limits.restore)
    session.begin(defaults := partial(_defaults, config))
    config.add_cleanup(partial(session.end, defaults))
    if _given(config):
        _configured(config)  # a wrong value ends the session here, before the first test


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "async_event" in metafunc.fixturenames:
        from .markers import refuse_direct_parametrize

        refuse_direct_parametrize(metafunc)


def pytest_report_header(config: pytest.Config) -> list[str]:
    cache = getattr(config, "cache", None)
    why = cache is not None and cache.get(_UNTRACED, None)
    last = f"scf-async: programs saw real time in the last session that had some: they could not be traced ({why})"
    lines = [last] if why and config.get_verbosity() >= 0 else []
    if not _given(config):
        return [*(["scf-async: default settings"] if config.get_verbosity() > 0 else []), *lines]
    from .settings import shown

    settings = _configured(config)
    given = ", ".join(f"{name}={value} ({settings.source(name)})" for name, value in shown(settings))
    return [f"scf-async: {given}", *lines]


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say what instances do not have, mount namespaces or genuine classes, if a test of the session has instances.

    Under xdist there are no items here: workers report it at the end.
    """
    if config.option.collectonly or not any(map(_uses_runtimes, items)):
        return []
    return _of_instances(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Note that the test begins: what runtimes accept from now on is shown if it fails."""
    item.config.stash[_TEST] = item
    _begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """On a worker of xdist: report to the session what instances had."""
    config = session.config
    _keep_why_untraced(config)
    output = getattr(config, "workeroutput", None)
    if output is not None and _zygote_of_this_process():
        output[_OF_WORKER] = [*_of_instances(config), *_of_programs(config)]
    for wing in _wings():
        wing.session_ended(session, output)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker of xdist has reported; one that crashed has nothing."""
    output = getattr(node, "workeroutput", {})
    if _OF_WORKER in output:
        node.config.stash[_REPORTED_BY_WORKER] = output[_OF_WORKER]
    for wing in _wings():
        wing.worker_ended(node.config, output)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for wing in _wings(_with_wings(terminalreporter)):
        wing.summary(terminalreporter, config)
    for line in config.stash.get(_REPORTED_BY_WORKER, _of_programs(config)):
        terminalreporter.write_line(line)


def _with_wings(terminalreporter: Any) -> bool:
    """Whether a report of a test that failed, in a worker of xdist too, has an attribute of a wing."""
    wrong = [*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())]
    return any(name.startswith("scf_async_") for report in wrong for name in vars(report))


def _why_untraced() -> str | None:
    """Why programs see real time; empty: they do not; None: no program of this session has been deployed."""
    return sys.modules["pytest_scf_async.instances.zygote"].programs_untraced() if _zygote_of_this_process() else None


def _keep_why_untraced(config: pytest.Config) -> None:
    """Keep the outcome of the trial for the header of the next session, which comes before a trial can be made."""
    why, cache = _why_untraced(), getattr(config, "cache", None)
    if cache is not None and why is not None and why != (cache.get(_UNTRACED, None) or ""):
        cache.set(_UNTRACED, why)


def _of_programs(config: pytest.Config) -> list[str]:
    """Say at the end that programs saw real time: whether they have to is tried when the first one is deployed."""
    why = _why_untraced() if config.get_verbosity() >= 0 else None
    return [f"scf-async: programs see real time, as they cannot be traced ({why})"] if why else []


def _of_instances(config: pytest.Config) -> list[str]:
    if config.get_verbosity() < 0:
        return []
    from .instances import lacking

    return lacking(_configured(config), says_all=config.get_verbosity() > 0)


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Sweeps end before the time does. The method *thread* ends the process: what instances do is written before."""
    if _runtimes() is None and not _uses_runtimes(item):
        return None
    from . import timeout

    item.stash[_TIME_LIMIT] = timeout.TimeLimit(settings)
    return timeout.set_timer(item, settings) if settings.method == "thread" else None


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest-cov's, which makes its report
def pytest_runtestloop() -> Generator[None, object, object]:
    """Have wings hand in what instances have given them."""
    try:
        return (yield)
    finally:
        for wing in _wings():
            wing.tests_ran()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the zygote, unless it is that of a session around this one (pytester in-process)."""
    if _zygote_of_this_process() and not config.stash.get(_OUTER_ZYGOTE, False):
        sys.modules["pytest_scf_async.instances.zygote"].close_shared_zygote()


def _zygote_of_this_process() -> bool:
    module = sys.modules.get("pytest_scf_async.instances.zygote")
    return module is not None and module.has_shared_zygote()


def _begin(item: pytest.Item) -> None:
    runtimes = _runtimes()
    if runtimes is not None:
        item.stash[_BEGAN] = runtimes.begin_test()


def _runtimes() -> ModuleType | None:
    """The module that knows the runtimes of this process; None where nobody has imported it, and there is none."""
    return sys.modules.get("pytest_scf_async.runtime")


def _wings(needed: bool = False) -> tuple[WingHooks, ...]:
    """What wings do in the session; nothing without a runtime and an option of a wing, unless it is *needed*."""
    if not needed and _runtimes() is None and "pytest_scf_async.wings.hooks" not in sys.modules:
        return ()
    from ..wings.hooks import HOOKS

    return HOOKS


def _uses_runtimes(item: pytest.Item) -> bool:
    return bool(_GIVE_RUNTIMES.intersection(getattr(item, "fixturenames", ())))


def _flag(name: str) -> str:
    return f"--scf-async-{name.replace('_', '-')}"


def _given(config: pytest.Config) -> dict[str, tuple[str, str]]:
    """The options that were given, each with its source; the command line wins over the ini file."""
    found: dict[str, tuple[str, str]] = {}
    for name in OPTIONS:
        on_command_line = config.getoption(f"scf_async_{name}") if name in FLAGS else None
        if on_command_line is not None:
            found[name] = (on_command_line, f"command line: {_flag(name)}")
        elif in_file := config.getini(f"scf_async_{name}"):
            found[name] = (in_file, f"ini: scf_async_{name}")
    return found


def _configured(config: pytest.Config) -> ScfSettings:
    """The settings of the command line and the ini file; ``pytest.UsageError`` for a value that is not valid."""
    from .settings import settings_of

    if _SETTINGS not in config.stash:
        config.stash[_SETTINGS] = settings_of(_given(config))
    return config.stash[_SETTINGS]


def _seconds_left(test: pytest.Item) -> float | None:
    """How long *test* may still run by pytest-timeout."""
    limit = test.stash.get(_TIME_LIMIT, None)
    return None if limit is None else limit.seconds_left()


def _defaults(config: pytest.Config) -> session.Defaults:
    """What a runtime takes that is made now: code is looked up beside the file of the test that runs."""
    from .defaults import defaults_of

    test = config.stash.get(_TEST, None)
    of_wings: dict[str, Any] = {}
    for wing in _wings(needed=True):
        wing.before_runtime(config)
        if test is not None:
            of_wings |= wing.of_runtimes(config, lambda: config.stash[_TEST], _seconds_left)
    return defaults_of(config, _configured(config), test, of_wings)


# -- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def scf_settings(request: pytest.FixtureRequest) -> ScfSettings:
    """The defaults of everything: what a ``conftest.py`` overrides, to return ``ScfSettings(...)``."""
    return _configured(request.config)


@pytest.fixture
def scf_runtime(request: pytest.FixtureRequest, scf_settings: ScfSettings) -> Iterator[ScfRuntime]:
    """A fresh runtime: no functions, no events, a clock of its own; everything in it dies with the test."""
    from .factory import new_runtime
    from .settings import with_fixture

    node = request.node
    settings = with_fixture(_configured(request.config), scf_settings, node.nodeid)
    runtime = new_runtime(node, settings, node.nodeid, "scf_runtime")
    try:
        with runtime, runtime.clock.patched() if settings.patched else nullcontext():
            yield runtime
    finally:  # closing it warns, and a session can make errors of warnings
        if node.stash.get(_PASSED, False) and sys.exc_info()[0] is not KeyboardInterrupt:
            from .teardown import judge_test

            unasked = [text for wing in _wings() if (text := wing.unasked(node.config))]
            node.stash[_SHOWN], failures = judge_test(runtime, node, unasked)
            if failures:
                pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture(scope="session")
def scf_runtime_factory(request: pytest.FixtureRequest) -> Iterator[ScfRuntimeFactory]:
    """Makes runtimes that live longer than a test, with the settings, paths and reports of ``scf_runtime``."""
    from .factory import RuntimesOfSession

    config = request.config
    with closing(RuntimesOfSession(_configured(config), lambda: config.stash[_TEST])) as factory:
        yield factory


@pytest.fixture
def scf_clock(scf_runtime: ScfRuntime) -> SimulatedClock:
    """The simulated clock of ``scf_runtime``."""
    return scf_runtime.clock


@pytest.fixture
def scf_function(request: pytest.FixtureRequest, scf_runtime: ScfRuntime) -> Function:
    """The function that the test's ``scf_function`` marker declares, deployed."""
    from .markers import deploy_marked

    return deploy_marked(request, scf_runtime)


@pytest.fixture
def async_event(request: pytest.FixtureRequest, scf_function: Function) -> AsyncEvent:
    """An event of ``scf_function``, accepted; none of its code has run.

    Its payload is the marker's, or that of ``parametrize("async_event", [...], indirect=True)``.
    """
    from .markers import invoke_marked

    return invoke_marked(request, scf_function)


# -- reports ---------------------------------------------------------------------------------------------------------


def _with_wings_of_phase(item: pytest.Item) -> Generator[None, pluggy.Result[None], None]:
    """Have wings show what is asked for, as a report of a sweep, while the output of the test is still captured.

    It is shown after the phase and not after the sweep, as only then it is known whether the phase failed with it. This
    is a wrapper of the older kind, through which no error is thrown: it would be a frame of ours in the traceback.
    """
    outcome = yield
    error = outcome.exception
    if not isinstance(error, (KeyboardInterrupt, pytest.exit.Exception)):  # the session's summary has it
        for wing in _wings():
            wing.phase_ended(item, error)


pytest_runtest_setup = pytest.hookimpl(hookwrapper=True, trylast=True)(_with_wings_of_phase)
pytest_runtest_call = pytest.hookimpl(hookwrapper=True, trylast=True)(_with_wings_of_phase)
pytest_runtest_teardown = pytest.hookimpl(hookwrapper=True, trylast=True)(_with_wings_of_phase)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain ``assert event.status == "FINISHED"``, and times of an event beside those of the machine."""
    if "pytest_scf_async.model.statuses" not in sys.modules:
        return None
    from .comparisons import explained

    return explained(op, left, right)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the events' logs and timelines to the report of a test that failed, in whichever phase."""
    runtimes = _runtimes()
    events: list[AsyncEvent] = [] if runtimes is None else runtimes.accepted_since(item.stash.get(_BEGAN, -1))
    _add_properties(item, events)
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = call.excinfo is None
        item.stash[_CALL_SECONDS] = call.duration
        for wing in _wings():
            wing.called(item, report)
    wings = _wings()
    if report.failed or wings:
        from .failures import complete

        shown, seconds = item.stash.get(_SHOWN, ()), item.stash.get(_CALL_SECONDS, None)
        complete(item, call, report, events=events, already=shown, seconds=seconds, wings=wings)
    if call.when == "teardown":
        if runtimes is not None:
            runtimes.end_test(item.stash.get(_BEGAN, -1))
            _begin(item)  # what a plugin runs again begins anew
        item.stash[_SHOWN] = ()
        item.stash[_PASSED] = False
    return report


def _add_properties(item: pytest.Item, events: list[AsyncEvent]) -> None:
    """Name the request ids of the test's events in ``--junitxml``, each once."""
    named = {value for name, value in item.user_properties if name == _PROPERTY}
    item.user_properties += [(_PROPERTY, event.request_id) for event in events if event.request_id not in named]
