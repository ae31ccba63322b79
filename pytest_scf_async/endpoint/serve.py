"""``python -m pytest_scf_async serve``: the endpoint as a process of its own, until SIGTERM or Ctrl-C.

It prints one line for people when it is ready, or with ``--print-env`` what other processes need, one ``NAME=value`` a
line: keys, addresses, and how time passes. HTTP and TLS are spoken at the same port; with ``--tls`` the address that it
prints is one of TLS, and there is the file of the authority to trust. SIGTERM ends running events first, as
``--on-stop`` says, and then the process: with exit code 0, or with 1 and the first error where the endpoint has
answered ``InternalError``. What is left to end when the process is killed outright ends with it, as instances do with
the process that they belong to.
"""

from __future__ import annotations

import argparse
import importlib
import math
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import ScfApiError, ScfAsyncError, ScfUsageError, did_you_mean
from ..function import Function
from ..inner import event_of
from ..options import ScfSettings
from ..protocol.official_hosts import trust
from ..runtime import ScfRuntime
from .clients import ip_address_is_of_loopback
from .scf_endpoint import ScfEndpoint

OnStop = Literal["graceful", "forced", "abandon"]
STOPPING: Final[Mapping[str, str]] = {
    "graceful": "each running event gets SIGTERM, as by TerminateAsyncEvent with GraceShutdown, and time passes for it",
    "forced": "each running event is terminated by force",
    "abandon": "instances are killed",
}


def add_serve(commands: Any) -> None:
    """Add the command to argparse's *commands*."""
    parser = commands.add_parser(
        "serve",
        help="serve the API until SIGTERM or Ctrl-C",
        description="Serve Tencent Cloud SCF's API at a loopback address until SIGTERM or Ctrl-C.",
    )
    parser.add_argument(
        "file", nargs="?", metavar="FILE.toml", help="TOML file with settings and functions (default: none)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="an IPv4 address of the loopback (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument(
        "--tls", action="store_true", help="print an https address, and the file of the authority to trust"
    )
    parser.add_argument(
        "--time",
        choices=("simulated", "real"),
        default="simulated",
        help="simulated: time passes only on request at /_scf/clock or while an answer is awaited; real: it flows by "
        "itself (default: simulated)",
    )
    parser.add_argument("--rate", type=float, help="simulated seconds per real second, with --time real (default: 1)")
    parser.add_argument("--seed", default="serve", help="seed for ids and keys")
    parser.add_argument(
        "--on-stop",
        choices=tuple(STOPPING),
        default="graceful",
        help="; ".join(f"{name}: {text}" for name, text in STOPPING.items()) + " (default: graceful)",
    )
    parser.add_argument(
        "--print-env", action="store_true", help="when ready, print what other processes need as NAME=value lines"
    )


def run_serve(given: argparse.Namespace) -> int:
    """Serve until a signal asks to stop; what the process ends with."""
    return _Serving(given).run()


class _Serving:
    """One run of the command."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._directory = Path(given.file).resolve().parent if given.file else Path.cwd()
        self._stop = threading.Event()
        self._runtimes: dict[ScfRuntime, ExitStack] = {}
        """What ends each runtime that has not ended, and the flow of its time."""

    def run(self) -> int:
        """Serve until a signal asks to stop; what the process ends with."""
        given = self._given
        if not ip_address_is_of_loopback(given.host):
            raise ScfUsageError(
                f"--host {given.host} is not an IPv4 address of the loopback, as 127.0.0.1 is: whoever reaches the "
                "endpoint runs code on this machine"
            )
        if given.rate is not None and given.time != "real":
            raise ScfUsageError(f"--rate {given.rate:g} applies only to time that flows: add --time real")
        if given.rate is not None and not 0 < given.rate < math.inf:
            raise ScfUsageError(f"--rate {given.rate:g} is not valid: it must be a finite number above 0")
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._stop.set())
        runtime = self._new_runtime()
        try:
            endpoint = ScfEndpoint(runtime, host=given.host, port=given.port)
            with endpoint:
                endpoint._allow_reset(self._new_runtime, self._end)
                self._say_ready(endpoint)
                self._stop.wait()
                self._end_events(endpoint.runtime)
        finally:
            for runtime in list(self._runtimes):
                self._end(runtime)
        return 0

    def _new_runtime(self) -> ScfRuntime:
        """A runtime with the functions of the file, and no events."""
        given = self._given
        settings, functions = _read_file(given.file)
        with ExitStack() as stack:
            runtime = stack.enter_context(
                ScfRuntime(settings, seed=given.seed, lookup=[self._directory], root=self._directory)
            )
            for name, keywords in functions.items():
                _deploy(runtime, name, keywords)
            if given.time == "real":
                stack.enter_context(runtime.clock.running(1.0 if given.rate is None else given.rate))
            self._runtimes[runtime] = stack.pop_all()
        return runtime

    def _end(self, runtime: ScfRuntime) -> None:
        self._runtimes.pop(runtime).close()

    def _say_ready(self, endpoint: ScfEndpoint) -> None:
        given = self._given
        if given.print_env:
            for name, value in environment_of(endpoint, given).items():
                _say(f"{name}={value}")
            return
        url, authority = _url_of(endpoint, given), endpoint._config.authority
        trust = f", certificates by {authority}" if given.tls else ""
        time = (
            "passes on request, below /_scf/clock" if given.time == "simulated" else f"flows at rate {_rate_of(given)}"
        )
        _say(f"serving {url} (region {endpoint.region}, SecretId {endpoint.secret_id}{trust}); simulated time {time}")

    def _end_events(self, runtime: ScfRuntime) -> None:
        """Let running events end as ``--on-stop`` says."""
        how: OnStop = self._given.on_stop
        if how == "abandon":
            return
        running = [event for event in runtime.events if event.doing != "queued" and not event.ended]
        for event in running:
            function = event_of(event).function.configuration
            try:
                runtime.terminate_async_event(
                    function.name, event.request_id, function.namespace, grace_shutdown=how == "graceful"
                )
            except ScfApiError:
                pass  # it has ended meanwhile, or belongs to a sync function
        for event in running:
            try:
                event.wait()
            except ScfAsyncError as error:
                sys.stderr.write(f"event {event.request_id}: {error}\n")
            _say(f"event {event.request_id} of {event.function_name}: {event.status} ({event.status_code})")


def _say(line: str) -> None:
    """At once, as who started the process waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _url_of(endpoint: ScfEndpoint, given: argparse.Namespace) -> str:
    return f"https://{endpoint.address}" if given.tls else endpoint.url


def _rate_of(given: argparse.Namespace) -> str:
    return f"{1.0 if given.rate is None else given.rate:g}"


def environment_of(endpoint: ScfEndpoint, given: argparse.Namespace) -> dict[str, str]:
    """What a process needs to call *endpoint*: the names that the official SDKs and ``tccli`` read, and its address.

    ``SCF_TIME`` says how time passes, as ``--time`` does. With ``--tls`` SDKs, Node.js and curl find whom to trust.
    """
    found = {
        "TENCENTCLOUD_SECRET_ID": endpoint.secret_id,
        "TENCENTCLOUD_SECRET_KEY": endpoint.secret_key,
        "TENCENTCLOUD_REGION": endpoint.region,
        "SCF_TIME": given.time,
    }
    if given.time == "real":
        found["SCF_TIME_RATE"] = _rate_of(given)
    if given.tls:
        trust(found, endpoint._config.bundle)
    return {**found, "SCF_ENDPOINT": endpoint.address, "SCF_ENDPOINT_URL": _url_of(endpoint, given)}


# -- the file --------------------------------------------------------------------------------------------------------


def _read_file(path: str | None) -> tuple[ScfSettings, dict[str, dict[str, Any]]]:
    """The settings of a file, and the keywords of its functions by name."""
    if path is None:
        return ScfSettings(), {}
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ScfUsageError(f"{path} cannot be read: {error.strerror or error}") from None
    content = _parsed(text, path)
    for name in content:
        if name not in ("settings", "functions"):
            near = did_you_mean(name, ("settings", "functions"))
            raise ScfUsageError(f"{path} has [{name}]{near}; it may have [settings] and [functions.NAME]")
    settings, functions = content.get("settings", {}), content.get("functions", {})
    if not isinstance(settings, dict) or not isinstance(functions, dict):
        raise ScfUsageError(f"{path}: settings and functions must be tables, as in [settings] and [functions.export]")
    for name, keywords in functions.items():
        if not isinstance(keywords, dict):
            raise ScfUsageError(f"{path}: functions.{name} must be a table, as in [functions.{name}]")
    return ScfSettings().replace(path, **settings), functions


def _parsed(text: bytes, path: str) -> dict[str, Any]:
    try:
        toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError:
        raise ScfUsageError(f"{path} needs tomli on Python 3.10, which is not installed: pip install tomli") from None
    try:
        found: dict[str, Any] = toml.loads(text.decode())
    except ValueError as error:  # TOMLDecodeError, and what is no UTF-8
        raise ScfUsageError(f"{path} is not TOML: {error}") from None
    return found


def _deploy(runtime: Any, name: str, keywords: Mapping[str, Any]) -> Function:
    """Deploy the function *name* with the *keywords* of ``deploy``, or of ``deploy_image`` where it has a command."""
    is_image = "command" in keywords or "image" in keywords
    if not is_image and "code" not in keywords:
        raise ScfUsageError(
            f'functions.{name} has no code (as in code = "export.py:main_handler"), and no command or image'
        )
    try:
        function: Function = (runtime.deploy_image if is_image else runtime.deploy)(**{"name": name, **keywords})
        return function
    except ScfUsageError as error:
        raise ScfUsageError(f"functions.{name}: {error}") from None
