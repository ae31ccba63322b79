"""What the object of each runtime answers, without a process."""

from __future__ import annotations

import locale
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from free_ports import free_port
from internals import OWNER_MARK, Code, PythonHandler, Runtime, SignalState, Site, UserProcess, messages
from program_internals import (
    ClaimedPort,
    CustomRuntime,
    FreeRunning,
    FreeRunningCustomRuntime,
    FreeRunningGoFunction,
    FreeRunningNodeFunction,
    GoFunction,
    Launch,
    NodeFunction,
    Program,
    PythonProgram,
    Supervised,
    program,
    runtimes_of,
)

from pytest_scf_async.deployment import first_configuration
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.model.before_init import BeforeInit
from pytest_scf_async.model.configuration import FunctionConfiguration
from pytest_scf_async.options import ScfSettings

TRACED = (Supervised, GoFunction, CustomRuntime, NodeFunction)
UNTRACED = (FreeRunning, FreeRunningGoFunction, FreeRunningCustomRuntime, FreeRunningNodeFunction)
KINDS = (PythonHandler, PythonProgram, *TRACED, *UNTRACED)
NONE = SignalState(ignored=False, blocked=False, caught=False)
BLOCKED = SignalState(ignored=True, blocked=True, caught=True)
IGNORED = SignalState(ignored=True, blocked=False, caught=False)
CAUGHT = SignalState(ignored=False, blocked=False, caught=True)


def launch(**given: Any) -> Launch:
    values = {"command": [sys.executable, "app.py"], "directory": "/", "environment": {"OWN": "1"}}
    return Launch(**{**values, **given})


def made(kind: type[Runtime], **given: Any) -> Runtime:
    return kind(launch(**given)) if issubclass(kind, Program) else kind()


def configuration(**given: Any) -> FunctionConfiguration:
    named = {"name": "export", "handler": "index.main_handler", "environment": {"OUT": "x"}}
    return first_configuration(ScfSettings(), {**named, **given}, "deploy(...)")


def site(*, own_network: bool = True, **given: Any) -> Site:
    return Site(configuration(**given), "$LATEST", ScfSettings(), own_network, "the mark", lambda: "no user namespaces")


@pytest.mark.parametrize(
    ("fact", "true_for"),
    [
        ("in_lockstep", {PythonHandler, PythonProgram, *TRACED}),
        ("has_places", {PythonHandler, PythonProgram}),
        ("has_listeners", {PythonHandler, PythonProgram, *TRACED}),
        ("may_lease", {PythonHandler, PythonProgram, *TRACED}),
        ("runs_python", {PythonHandler, PythonProgram}),
        ("stops_behind_lines", set(UNTRACED)),
        ("serves_requests", {PythonProgram, Supervised, FreeRunning}),
    ],
)
def test_what_can_be_asked(fact: str, true_for: set[type[Runtime]]) -> None:
    assert {kind for kind in KINDS if getattr(kind, fact)} == true_for


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PythonHandler, ("native", "handler")),
        (PythonProgram, ("native", "handler")),
        *((kind, ("native", "handler")) for kind in TRACED),
        *((kind, ("unknown", "unknown")) for kind in UNTRACED),
    ],
)
def test_what_a_sigterm_meets(kind: type[Runtime], expected: tuple[str, str]) -> None:
    runtime = made(kind)
    assert tuple(runtime.met(CAUGHT, listens=listens) for listens in (False, True)) == expected
    for listens in (False, True):
        states = (NONE, BLOCKED, IGNORED)
        assert [runtime.met(state, listens=listens) for state in states] == ["default", "blocked", "ignored"]


def test_a_signal_that_is_to_end_python_is_not_taken_by_anything_else() -> None:
    process = UserProcess(SimpleNamespace(pid=os.getpid()))  # type: ignore[arg-type]
    assert [made(kind).takes_default(process)() for kind in (PythonHandler, PythonProgram)] == [False, False]


def test_a_signal_that_is_to_end_a_program_may_be_taken_by_sigwait(monkeypatch: pytest.MonkeyPatch) -> None:
    now, states = [0.0], [NONE]
    monkeypatch.setattr(program, "REAL", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(program, "signal_state", lambda _, signum: states[0] if signum == signal.SIGTERM else None)
    process = UserProcess(SimpleNamespace(pid=7))  # type: ignore[arg-type]
    taken = made(FreeRunning).takes_default(process)
    assert not taken()
    states[0] = BLOCKED
    assert taken()
    states[0], now[0] = NONE, 1.5  # it did not end, for whatever reason
    assert taken()


@pytest.mark.parametrize(
    ("given", "traced", "untraced"),
    [
        ({}, Supervised, FreeRunning),
        ({"speaks": "gob"}, GoFunction, FreeRunningGoFunction),
        ({"speaks": "runtime-api"}, CustomRuntime, FreeRunningCustomRuntime),
        ({"module": "flask"}, PythonProgram, PythonProgram),
    ],
)
def test_what_the_launch_of_a_launcher_is(
    given: dict[str, Any], traced: type[Runtime], untraced: type[Runtime]
) -> None:
    assert runtimes_of(launch(**given)) == (traced, untraced)


def test_nothing_of_the_test_runs_in_what_is_no_python() -> None:
    before_init = BeforeInit("/", "/fakes.py", "fakes", "install", "[]", "tests/fakes.py:install")
    for kind in (PythonHandler, PythonProgram):
        made(kind).check_before_init(before_init, "deploy(...)")
    shown = os.path.basename(sys.executable)
    for kind, named in (
        (FreeRunning, f"'{shown} app.py'"),
        (GoFunction, "a Go program"),
        (NodeFunction, "a Node.js function"),
    ):
        with pytest.raises(ScfUsageError, match=f"and {named} runs in a process of its own"):
            made(kind).check_before_init(before_init, "deploy(...)")


def test_an_agent_is_sent_what_it_knows() -> None:
    invocation = messages.Invoke("{}", {}, {}, {}, None)
    for known in (invocation, messages.OpenGate(), messages.Resume(), messages.Poll()):
        in_lockstep = isinstance(known, (messages.Resume, messages.Poll))
        assert {messages.is_for(known, kind.peer) for kind in UNTRACED} == {not in_lockstep}
        assert all(messages.is_for(known, kind.peer) for kind in KINDS if kind not in UNTRACED)


def test_python_handlers_listen_nowhere() -> None:
    runtime = made(PythonHandler)
    assert runtime.claim_port(site(own_network=False)) is None
    assert (runtime.program(site(), None), runtime.relayed_ports(site())) == (None, ())
    assert (runtime.directories, runtime.layered, runtime.runs_program, runtime.variables) == ((), None, False, {})


@pytest.mark.parametrize("kind", [CustomRuntime, FreeRunningCustomRuntime, NodeFunction, FreeRunningNodeFunction])
def test_a_program_that_asks_for_its_events_listens_nowhere(kind: type[Program]) -> None:
    runtime = kind(launch(speaks="runtime-api"))
    assert runtime.claim_port(site(own_network=False)) is None
    assert runtime.program(site(), None).speaks == "runtime-api"
    found = runtime.environment(site(environment={"LANG": "xx"}), {})
    assert (found["_HANDLER"], found["LANG"]) == ("index.main_handler", "xx")
    locale.setlocale(locale.LC_ALL, found["LC_ALL"])  # else a shell would write into the log that it has no such


def test_a_program_without_a_network_of_its_own_has_its_port_to_itself() -> None:
    number = free_port()
    where = site(own_network=False)
    assert made(PythonProgram, port=number).claim_port(where) is None  # it listens on another one underneath
    assert made(FreeRunning, port=number).claim_port(site()) is None
    claimed = made(FreeRunning, port=number).claim_port(where)
    any_port = made(GoFunction, port=number).claim_port(where)
    assert claimed is not None
    assert any_port is not None
    with closing(claimed, any_port):
        with pytest.raises(ScfUsageError) as raised:
            made(FreeRunning, port=number).claim_port(where)
        launch = made(GoFunction, port=number).program(where, any_port)
    assert claimed.number == number
    assert str(raised.value).startswith(
        f"port {number} of this machine is in use by another instance, and an instance of export has no network of its "
        "own (no namespaces: no user namespaces): "
    )
    assert launch is not None
    assert launch.port == any_port.number != number
    assert launch.environment["_SCF_SERVER_PORT"] == launch.environment["_LAMBDA_SERVER_PORT"] == str(launch.port)


@contextmanager
def closing(*ports: ClaimedPort) -> Iterator[None]:
    try:
        yield
    finally:
        for port in ports:
            port.release()


@pytest.mark.parametrize("kind", [PythonProgram, FreeRunning, GoFunction])
def test_what_an_instance_receives_about_its_program(kind: type[Runtime]) -> None:
    launch = made(kind, ports=[6379]).program(site(), None)
    assert launch is not None
    assert (launch.path, launch.argv, launch.ports, launch.own_network) == (
        sys.executable,
        [sys.executable, "app.py"],
        [6379],
        True,
    )
    assert launch.environment[OWNER_MARK] == "the mark"
    assert made(kind, ports=[6379]).relayed_ports(site()) == (6379,)
    assert made(kind, ports=[6379]).relayed_ports(site(own_network=False)) == ()


@pytest.mark.parametrize("kind", [PythonProgram, *TRACED, *UNTRACED])
def test_the_ports_of_a_launcher_and_those_of_the_user(kind: type[Runtime]) -> None:
    given = replace(site(), configuration=configuration(ports=[80, 6379]))
    runtime = made(kind, ports=[6379, 5432])
    assert runtime.relayed_ports(given) == (6379, 5432, 80)
    launch = runtime.program(given, None)
    assert launch is not None
    assert launch.ports == [6379, 5432, 80]
    assert PythonHandler().relayed_ports(given) == ()  # it is in the machine's network


@pytest.mark.parametrize(
    ("kind", "port"),
    [
        *((kind, 28902 if issubclass(kind, (GoFunction, FreeRunningGoFunction)) else 9000) for kind in UNTRACED[:2]),
        (Supervised, 9000),
        (GoFunction, 28902),
        (PythonProgram, 9000),
    ],
)
def test_the_port_on_which_it_listens_itself_is_none_of_the_test(kind: type[Runtime], port: int) -> None:
    text = rf"ports=\[80, {port}\] \(update\(...\)\) is not valid: {port} is the port on which the program listens"
    with pytest.raises(ScfUsageError, match=text):
        made(kind).check_ports((80, port), "update(...)")


@pytest.mark.parametrize("kind", [PythonHandler, CustomRuntime, NodeFunction, FreeRunningNodeFunction])
def test_what_listens_nowhere_finds_a_server_at_any_port(kind: type[Runtime]) -> None:
    made(kind).check_ports((9000, 9001, 28902), "deploy(...)")


def test_an_image_has_an_environment_and_a_directory_of_its_own() -> None:
    package = made(FreeRunning)
    assert isinstance(package, FreeRunning)
    image = replace(package, is_image=True)
    found = {each: each.environment(site(), {"TMPDIR": "/t", "X": "1"}) for each in (package, image)}
    assert found[package].items() >= {"HOME": "/home/qcloud", "X": "1", "OUT": "x", "SCF_NAMESPACE": "default"}.items()
    assert found[image].items() >= {"HOME": "/t", "TMPDIR": "/t", "OUT": "x", "USER_CODE_ROOT": "/var/user/"}.items()
    assert not found[image].keys() & {"X", "SCF_NAMESPACE"}
    assert (package.layered, image.layered) == (None, "/")
    assert (package.has_event_variables, image.has_event_variables) == (True, False)


def test_a_published_version_runs_its_own_copy(tmp_path: Path) -> None:
    for name in ("own", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").touch()
    own, copy = (Code(str(tmp_path / name), "app.py", "", "", "app") for name in ("own", "copy"))
    runtime = PythonProgram(launch(directory=own.directory, script=f"{own.directory}/app.py"), is_image=True)
    moved = runtime.moved(own, copy)
    assert isinstance(moved, PythonProgram)
    assert (moved.layered, moved.launch.script) == (copy.directory, f"{copy.directory}/app.py")
    handler = PythonHandler()
    assert handler.moved(own, copy) is handler


def test_the_functions_of_code_that_the_compiler_warns_of_are_found(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text("PATTERN = '\\d'\n\ndef main_handler(event, context):\n    return PATTERN\n")
    code = Code(str(tmp_path), str(tmp_path / "app.py"), "app", "handler", "app")

    assert code.functions() == ["main_handler"]
