"""Functions with ``children="simulated"``: what the handler starts is on the simulated clock, as it is itself."""

from __future__ import annotations

import json
import re
import socket
import textwrap
import threading
import time

import pytest
from internals import Zygote
from process_support import LONG, RECEIVED, assert_end, eventually, is_gone, short_log, user_lines

from pytest_scf_async import ScfUsageError, assert_signal_received, assert_timed_out

# once: children are programs that the kernel's side traces, whatever Python calls the handler
once = pytest.mark.once


@pytest.fixture
def simulated(deploy):
    """Deploy the text of a handler whose children are simulated."""

    def deploy_so(source, **options):
        return deploy(source, children="simulated", **options)

    return deploy_so


IMPORTS = "import multiprocessing, os, signal, subprocess, sys, time\n"


def calls(body, before=""):
    """A handler of these lines, which gives what they leave in ``result``, and the seconds that they took."""
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return (
        f"{IMPORTS}{textwrap.dedent(before)}\ndef main_handler(event, context):\n"
        f"    began = time.time()\n    result = None\n{lines}\n    return [result, time.time() - began]\n"
    )


# -- time ------------------------------------------------------------------------------------------------------------


WAITS = {
    "run": ('subprocess.run(["sleep", "600"])', None, 600),
    "os.system": ('result = os.system("sleep 60; exit 3") >> 8', 3, 60),
    "wait": ('child = subprocess.Popen(["sleep", "3600"]); result = child.wait()', 0, 3600),
    "output": ('result = subprocess.check_output("sleep 5; echo five", shell=True, text=True)', "five\n", 5),
    "in Bash": (
        'result = subprocess.run(["bash", "-c", "sleep 30 & sleep 10; wait; echo $SECONDS >&2"]).returncode',
        0,
        30,
    ),
    "poll": (
        """
        child = subprocess.Popen(["sleep", "60"])
        result = 0
        while child.poll() is None:
            time.sleep(7)
            result += 1
        """,
        9,
        63,
    ),
    "timeout": (
        """
        try:
            subprocess.run(["sleep", "600"], timeout=90)
        except subprocess.TimeoutExpired:
            result = "timed out"
        """,
        "timed out",
        90,
    ),
    "communicate": (
        """
        child = subprocess.Popen(["sh", "-c", "sleep 1; echo a; exec sleep 600"], stdout=subprocess.PIPE)
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            result = child.communicate()[0].decode()
        """,
        "a\n",
        20,
    ),
    "fork": (
        """
        pid = os.fork()
        if pid == 0:
            time.sleep(100)
            os._exit(7)
        result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
        7,
        100,
    ),
    "two": (
        """
        for child in [subprocess.Popen(["sleep", str(seconds)]) for seconds in (40, 60, 50)]:
            child.wait()
        """,
        None,
        60,
    ),
    "a child that computes": (
        """
        code = "print(sum(range(10**6)))"
        result = int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
        """,
        499_999_500_000,
        0,
    ),
    "a child's clock": (
        """
        code = "import time; began = time.time(); time.sleep(33); print(time.time() - began)"
        result = float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
        """,
        33,
        33,
    ),
}
"""By name: the lines of a handler, what they find, and the simulated seconds that they take."""


@once
@pytest.mark.parametrize("name", WAITS)
def test_how_long_children_take(simulated, name):
    lines, found, seconds = WAITS[name]
    event = simulated(calls(lines)).invoke_async().wait()

    assert (event.status, event.result) == ("FINISHED", [found, pytest.approx(seconds, abs=1e-6)]), event.log
    assert event.duration.total_seconds() == pytest.approx(seconds, abs=0.001)


READS = {
    "lines": "for _ in range(1_500): print(time.time())",
    "a file": "for _ in range(1_500): file.write(f'{time.time()}'); file.flush()",
    "locks": "for _ in range(800): lock.acquire(); lock.release()",
}
"""By name: lines of a handler whose interpreter reads the clock, for each lock that it takes for one."""


@pytest.mark.interpreter
@pytest.mark.parametrize("name", READS)
def test_reads_of_a_handler_that_does_not_poll_the_clock_take_no_time(simulated, make_runtime, name):
    before = "import threading\nfile, lock = open('/tmp/file', 'w'), threading.Lock()"
    function = simulated(calls(READS[name], before), to=make_runtime(clock_reads_before_wait=10))

    assert function.run() == [None, 0]


@pytest.mark.interpreter
@pytest.mark.parametrize("limit", [10, 1_000])
def test_reads_of_an_event_loop_that_begins_and_ends_many_timeouts_take_no_time(simulated, make_runtime, limit):
    """Each `wait_for` reads the time of its loop. Read that often, the clock must not go on as it does for a poll."""
    body = """
        async def sleeps():
            waits = [asyncio.wait_for(asyncio.sleep(0.9), 1.0) for _ in range(10_000)]
            ended = await asyncio.gather(*waits, return_exceptions=True)
            return sum(isinstance(each, Exception) for each in ended)

        result = asyncio.run(sleeps())
    """
    function = simulated(calls(body, "import asyncio"), to=make_runtime(clock_reads_before_wait=limit))

    assert function.run() == [0, pytest.approx(0.9, abs=0.002)]


@pytest.mark.interpreter
def test_the_first_poll_of_a_process_takes_a_million_reads_and_each_later_one_fewer(simulated):
    body = """
        result = []
        for _ in range(2):
            now = time.monotonic()
            reads = 1
            while time.monotonic() == now:
                reads += 1
            result.append(reads)
            time.sleep(1)
    """
    first, second = simulated(calls(body)).run()[0]

    assert 1_000_000 <= first <= 1_300_000
    assert 90_000 <= second <= 130_000


POLLS = {
    "time.sleep(0)": "while time.time() < began + 0.05: time.sleep(0)",
    "asyncio.sleep(0)": """
        async def polls():
            loop = asyncio.get_running_loop()
            end = loop.time() + 0.05
            while loop.time() < end:
                await asyncio.sleep(0)

        asyncio.run(polls())
    """,
    "asyncio.wait_for": """
        async def spins():
            while True:
                await asyncio.sleep(0)

        async def polls():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(spins(), 0.05)

        asyncio.run(polls())
    """,
    "select": "while time.time() < began + 0.05: select.select([], [], [], 0)",
    "pass": "while time.time() < began + 0.05: pass",
}


@pytest.mark.interpreter
@pytest.mark.parametrize("name", POLLS)
def test_a_handler_that_polls_the_clock_ends(simulated, name):
    took = simulated(calls(POLLS[name], "import asyncio, contextlib, select")).run()[1]

    assert took == pytest.approx(0.05, abs=0.002)


@pytest.mark.interpreter
def test_a_sleep_of_a_child_ends_when_it_should_and_takes_no_real_time(simulated):
    function = simulated(calls('subprocess.run(["sleep", "600"])'))
    first = function.invoke_async().wait()
    began = time.monotonic()
    second = function.invoke_async().wait()
    took = time.monotonic() - began

    assert [event.duration.total_seconds() for event in (first, second)] == [600, 600]
    assert first.result[1] == second.result[1] == 600
    assert (second.instance.cold, second.instance.pid) == (False, first.instance.pid)
    assert took < LONG


@pytest.mark.interpreter
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(simulated, method):
    body = f"""
        processes = multiprocessing.get_context("{method}")
        child = processes.Process(target=time.sleep, args=(120,))
        child.start()
        child.join(50)
        result = [child.is_alive()]
        child.join()
        result.append(child.exitcode)
    """
    event = simulated(calls(body)).invoke_async().wait()

    assert event.result == [[True, 0], pytest.approx(120, abs=0.01)], event.log


# -- termination -----------------------------------------------------------------------------------------------------


def listener(then):
    """A handler that waits for a child, and does *then* when SIGTERM comes."""
    return f"""
{IMPORTS}
import threading
def stop(signum, frame):
    print("stopping", threading.current_thread().name, time.time() - began)
    {then}
def main_handler(event, context):
    global began, child
    began = time.time()
    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen(["sleep", "600"])
    code = child.wait()
    print("ended", code)
    time.sleep(5)
    return code
"""


@pytest.mark.interpreter
def test_sigterm_comes_in_the_very_second_and_the_handler_ends_its_child(simulated, runtime):
    event = simulated(listener("child.terminate()")).invoke_async()
    runtime.clock.advance(300)
    event.terminate(grace_shutdown=True)

    assert user_lines(event) == ["stopping MainThread 300.0", "ended -15"]
    assert event.wait().result == -15
    assert event.duration.total_seconds() == 305
    assert event.instance.alive
    assert_signal_received(event)


@once
def test_a_handler_of_sigterm_that_leaves_its_child_running_waits_on(simulated, runtime):
    event = simulated(listener("time.sleep(20)")).invoke_async()
    event.wait_until_listening()
    runtime.clock.advance(300)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ["stopping MainThread 300.0", "ended 0"]
    assert event.duration.total_seconds() == 605


@once
def test_a_handler_of_sigterm_may_end_the_process(simulated, runtime):
    event = simulated(listener("sys.exit(3)")).invoke_async()
    runtime.clock.advance(300)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert_end(
        event,
        "FAILED",
        439,
        after=300,
        log=["START", "INIT 0ms", RECEIVED, "stopping MainThread 300.0", "ERROR 439", "END", "REPORT 300000ms"],
    )


PLAIN = {"LC_ALL": "C"}
"""Bash writes a warning where the machine has not the platform's locale, whether its time is simulated or not."""
CHILDREN = f"""
{IMPORTS}
def main_handler(event, context):
    script = "trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600"
    child = subprocess.Popen(["bash", "-c", script])
    child.wait()
"""


def pids_of(event, runtime):
    """The processes of an event, 300 seconds after its start: the handler's, and its children."""
    runtime.clock.advance(300)
    pids = [int(pid) for pid in user_lines(event)[0].split()]
    assert not any(is_gone(pid) for pid in pids)
    return [event.instance.pid, *pids]


@once
def test_sigterm_that_nobody_handles_ends_the_handler_and_its_children(simulated, runtime):
    function = simulated(CHILDREN, environment=PLAIN)
    event = function.invoke_async()
    pids = pids_of(event, runtime)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, event.status_code, event.duration.total_seconds()) == ("FAILED", 439, 300)
    assert event.signals[0].disposition == "default"
    assert eventually(lambda: all(is_gone(pid) for pid in pids))


@once
def test_a_termination_by_force_leaves_no_process(simulated, runtime):
    function = simulated(CHILDREN, environment=PLAIN)
    event = function.invoke_async()
    pids = pids_of(event, runtime)
    event.terminate()

    assert (event.status, event.status_code, event.duration.total_seconds()) == ("ABORTED", 499, 300)
    assert eventually(lambda: all(is_gone(pid) for pid in pids))


@once
def test_a_timeout_ends_the_handler_with_its_children(simulated, runtime):
    function = simulated(CHILDREN, timeout=400, environment=PLAIN)
    event = function.invoke_async()
    pids = pids_of(event, runtime)
    event.wait()

    assert_timed_out(event)
    assert event.duration.total_seconds() == 400
    assert eventually(lambda: all(is_gone(pid) for pid in pids))


@once
def test_a_script_with_a_trap_is_stopped_by_the_handler(simulated, runtime):
    source = f"""
{IMPORTS}
SCRIPT = "trap 'echo saving; sleep 15; exit 9' TERM; for i in 1 2 3; do sleep 600 & wait $!; done"
def main_handler(event, context):
    child = subprocess.Popen(["bash", "-c", SCRIPT])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    return child.wait()
"""
    event = simulated(source, environment=PLAIN).invoke_async()
    runtime.clock.advance(300)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.result, event.duration.total_seconds()) == (9, 315)
    assert user_lines(event) == ["saving"]
    assert_signal_received(event)


@once
def test_a_handler_of_sigterm_may_print_where_a_print_stands_at_a_gate(simulated):
    source = f"""
{IMPORTS}
signal.signal(signal.SIGTERM, lambda *_: print("stopping"))
def main_handler(event, context):
    print("a row")
    print("another")
"""
    event = simulated(source).invoke_async().wait_for_log("a row")
    event.terminate(grace_shutdown=True)
    event.wait()

    assert (event.status, user_lines(event)) == ("FINISHED", ["a row", "stopping", "another"])


LETS_OTHERS_FIRST = {
    "gives way": ("time.sleep(0)", "threading.Thread(target=work)", "other.join()"),
    "asks for a child": ("other.poll()", "subprocess.Popen(['sh', '-c', SCRIPT])", "other.wait()"),
}
"""By name: what the main thread does until SIGTERM comes, what starts the other one, and what waits for that."""


@pytest.mark.interpreter
@pytest.mark.parametrize("name", LETS_OTHERS_FIRST)
def test_a_thread_that_lets_the_others_go_first_takes_sigterm_at_a_gate(simulated, name):
    """The main thread is held before the other one goes on, when the line of that opens the gate."""
    does, starts, waits = LETS_OTHERS_FIRST[name]
    source = f"""
import signal, subprocess, threading, time
stopping = threading.Event()
SCRIPT = "for row in 0 1 2; do echo row $row; done"

def on_sigterm(*_):
    print("handler", flush=True)
    stopping.set()

def work():
    for row in range(3):
        print("row", row, flush=True)
        time.sleep(0)

def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_sigterm)
    other = {starts}
    if hasattr(other, "start"):
        other.start()
    while not stopping.is_set():
        {does}
    {waits}
"""
    event = simulated(source).invoke_async().wait_for_log("row 1")
    event.terminate(grace_shutdown=True)
    lines = user_lines(event.wait())

    assert (event.status, lines) == ("FINISHED", ["row 0", "row 1", "handler", "row 2"])


@once
def test_a_gate_at_a_line_of_a_child(simulated):
    event = simulated(
        calls("""subprocess.run("sleep 60; echo half; sleep 60; echo done", shell=True)""")
    ).invoke_async()
    event.wait_for_log("half")
    assert user_lines(event) == ["half"]
    event.terminate()

    assert (event.status, event.duration.total_seconds()) == ("ABORTED", 60)


@once
def test_what_a_thread_does_after_the_result_goes_on_in_the_next_event(simulated, runtime):
    source = f"""
{IMPORTS}
import threading
def work():
    time.sleep(30)
    print("worked")
def main_handler(event, context):
    if event:
        threading.Thread(target=work).start()
        return "first"
    time.sleep(60)
"""
    function = simulated(source)
    first = function.invoke_async(1).wait()
    second = function.invoke_async(0).wait()

    assert (first.duration.total_seconds(), user_lines(first)) == (0, [])
    assert (second.duration.total_seconds(), user_lines(second)) == (60, ["worked"])


@once
def test_the_variables_of_each_event(simulated, runtime):
    function = simulated("import os\ndef main_handler(event, context):\n    return os.environ['TENCENTCLOUD_SECRETID']")
    first = function.run()
    runtime.clock.advance(200)

    assert (first[-16:], function.run()[-16:]) == ("20260101T060000Z", "20260101T060320Z")


@once
def test_a_change_of_the_functions_own_variables_does_not_reach_the_next_event(simulated):
    function = simulated(
        """
        import os
        def main_handler(event, context):
            before, os.environ["OWN"] = os.environ["OWN"], "changed"
            return before
        """,
        environment={"OWN": "a=b;c"},
    )
    assert [function.run(), function.run()] == ["a=b;c", "a=b;c"]


@once
@pytest.mark.parametrize(("variables", "shown"), [({}, "00:00 UTC"), ({"TZ": "CST-8"}, "08:00 CST")])
def test_the_time_zone_is_utc_unless_the_function_has_another(simulated, variables, shown):
    """The interpreter reads its time zone before it has the function's variables."""
    child = 'subprocess.check_output(["date", "+%H:%M %Z"], text=True).strip()'
    function = simulated(calls(f'result = [time.strftime("%H:%M %Z"), {child}]'), environment=variables)
    assert function.run()[0] == [shown, shown]


# -- what such a function has not ------------------------------------------------------------------------------------


@once
@pytest.mark.parametrize("value", ["Simulated", "", None, True, 1, ["simulated"]])
def test_a_value_that_is_none_is_refused(deploy, value):
    valid = "children={!r} ({}) is not valid: it must be 'real' or 'simulated'"
    with pytest.raises(ScfUsageError) as refused:
        deploy(SAME["success"], children=value)
    assert str(refused.value) == valid.format(value, "deploy(...)")
    function = deploy(SAME["success"])
    with pytest.raises(ScfUsageError) as refused:
        function.update(children=value)
    assert str(refused.value) == valid.format(value, "update(...)")


@once
def test_only_python_functions_have_it(runtime, tmp_path):
    (tmp_path / "bootstrap").write_text("#!/bin/sh\n")
    (tmp_path / "bootstrap").chmod(0o755)
    text = (
        "is for Python functions, and the runtime is '{}': leave it out; what a program starts is on the program's own"
    )
    with pytest.raises(ScfUsageError, match=re.escape(text.format("CustomRuntime"))):
        runtime.deploy(tmp_path, runtime="CustomRuntime", children="simulated")
    function = runtime.deploy(tmp_path, runtime="CustomRuntime", children="real")
    with pytest.raises(ScfUsageError, match=re.escape(text.format("CustomRuntime"))):
        function.update(children="simulated")
    image = runtime.deploy_image(["sh", "-c", ":"])
    with pytest.raises(ScfUsageError, match=re.escape(text.format("CustomImage"))):
        image.update(children="simulated")


@once
def test_it_is_refused_where_programs_cannot_be_traced(deploy, monkeypatch):
    monkeypatch.setattr(Zygote, "why_untraced", lambda _: "a test says so")
    with pytest.raises(
        ScfUsageError, match=r"they cannot be traced on this machine \(a test says so\): leave it out"
    ) as refused:
        deploy(SAME["success"], children="simulated")
    assert str(refused.value).startswith("children='simulated' (deploy(...))")
    function = deploy(SAME["success"])
    with pytest.raises(ScfUsageError, match="leave it out"):
        function.update(children="simulated")
    assert function.configuration.children == "real"
    function.run({"rows": 1})


@once
def test_an_update_changes_it_and_a_published_version_keeps_it(deploy):
    function = deploy(calls('subprocess.run(["sleep", "6"], timeout=event)'), children="simulated")
    version = function.publish_version()
    function.update(timeout=5)

    assert_timed_out(function.invoke_async(9).wait())
    assert function.run(9, qualifier=version)[1] == pytest.approx(6, abs=0.05)  # it polls each 50 ms
    function.update(children="real", timeout=3600)
    assert function.configuration.children == "real"
    assert function.invoke_async(0.01).wait().status_code == 430


@once
def test_an_update_of_the_code(simulated, tmp_path):
    function = simulated(calls("result = 1"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "export.py").write_text(calls('result = 2; subprocess.run(["sleep", "60"])'))
    assert function.run() == [1, 0]
    function.update(f"{other}/export.py:main_handler")

    assert function.run() == [2, 60]


@once
def test_gates_at_lines_are_refused(simulated):
    event = simulated(calls("pass")).invoke_async()
    for place in ("main_handler", "index.py:4"):
        with pytest.raises(ScfUsageError, match=r'children="simulated", where that .* leave out children="simulated"'):
            event.run_to(place)
    event.run_to("init")
    event.wait()


@once
def test_before_init_is_refused(deploy, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): pass")
    install = f"{tmp_path}/fakes.py:install"
    text = r'puts its fakes into the process of an instance, and with children="simulated" .*: leave out children='
    with pytest.raises(ScfUsageError, match=text):
        deploy(SAME["success"], children="simulated", before_init=install)
    function = deploy(SAME["success"], before_init=install)
    with pytest.raises(ScfUsageError, match=text):
        function.update(children="simulated")
    assert (function.configuration.children, function.run({"rows": 1})["ä"]) == ("real", {"rows": 1})
    function.update(children="simulated", before_init=None)
    function.run({"rows": 1})


@once
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("breakpoint()", 'a debugger in a handler has no terminal with children="simulated": leave out children='),
        ("import pdb; pdb.set_trace()", 'a debugger in a handler has no terminal with children="simulated"'),
        (
            "from pytest_scf_async.inside import record; record('rows', count=3)",
            (
                "record('rows', ...): a handler with children=\"simulated\" cannot make records: have it print, or "
                "leave out"
            ),
        ),
    ],
)
def test_what_user_code_cannot_have_there(simulated, line, text):
    event = simulated(calls(line)).invoke_async().wait()

    assert event.status == "FAILED"
    assert text in (event.error.get("stackTrace") or "") + str(event.log)


@pytest.fixture
def server():
    """The port of a server of the test, which answers one message of each connection in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                connection, _ = listening.accept()
                with connection:
                    if not (text := connection.recv(100)):
                        return
                    connection.sendall(text.upper())

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        socket.create_connection(listening.getsockname()).close()
        thread.join()


CONNECTS = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(b"rows")
    print(connection.recv(100).decode())
"""
ASKS = f"""
{IMPORTS}
def ask(port):
    try:
        done = subprocess.run([sys.executable, "-c", {CONNECTS!r}, str(port)], capture_output=True, text=True)
        return done.stdout.strip() or done.stderr.splitlines()[-1].partition(":")[0]
    except OSError as error:
        return str(error)
def main_handler(event, context):
    import socket
    began = time.time()
    try:
        with socket.create_connection(("127.0.0.1", event)) as connection:
            connection.sendall(b"rows")
            own = connection.recv(100).decode()
    except OSError as error:
        own = type(error).__name__
    return [own, ask(event), time.time() - began]
"""
"""What the handler itself receives from a port, what a child of it does, and the seconds that that took."""


@once
@pytest.mark.parametrize("network", ["loopback", "all"])
def test_a_server_of_the_test_is_reached(simulated, runtime, server, network):
    """By the handler, and by what it starts; of several instances, too."""
    function = simulated(ASKS, ports=[server], network=network)
    events = [function.invoke_async(server) for _ in range(3)]
    runtime.wait_all()

    assert [event.result for event in events] == [["ROWS", "ROWS", 0]] * 3
    assert function.configuration.ports == (server,)


@once
def test_the_platform_s_own_port_may_be_that_of_a_server(simulated):
    """The runtime API has another one then."""
    assert simulated(calls("result = 1"), ports=[9001]).run() == [1, 0]


@once
@pytest.mark.sandbox
def test_no_other_server_is_reached_in_a_network_of_its_own(simulated, server, mounted):
    function = simulated(ASKS)
    refused = "ConnectionRefusedError"
    assert function.run(server) == ([refused, refused, 0] if mounted else ["ROWS", "ROWS", 0])


@once
def test_ports_are_kept_where_children_are_simulated_later_and_can_be_updated(deploy, server):
    function = deploy(ASKS, ports=[server])
    assert function.run(server)[:2] == ["ROWS", "ROWS"]
    function.update(children="simulated")
    version = function.publish_version()
    assert function.run(server) == ["ROWS", "ROWS", 0]
    function.update(ports=[], network="loopback")
    assert function.configuration.ports == ()
    assert function.run(server, qualifier=version) == ["ROWS", "ROWS", 0]


@once
def test_records_in_forks_do_nothing(simulated):
    body = """
        from pytest_scf_async.inside import record
        if os.fork() == 0:
            record("rows")
            os._exit(6)
        result = os.waitstatus_to_exitcode(os.wait()[1])
    """
    assert simulated(calls(body)).run() == [6, 0]


# -- what is the same ------------------------------------------------------------------------------------------------


SAME = {
    "success": """
        def main_handler(event, context):
            print("rows", event["rows"])
            return {"ä": event, "context": context, "cwd": __import__("os").getcwd(), "name": __name__}
    """,
    "environment, path and arguments": """
        import os, sys, json
        print(sorted(name for name in os.environ if name not in ("HOSTNAME",)))
        def main_handler(event, context):
            flags = [sys.flags.utf8_mode, sys.flags.optimize, sys.dont_write_bytecode, sys.getfilesystemencoding()]
            own = ("HOSTNAME", "TMPDIR", "TENCENTCLOUD_SE")  # each instance's
            found = {name: value for name, value in os.environ.items() if not name.startswith(own)}
            streams = [sys.stdout.encoding, sys.stderr.errors, sys.stdout.line_buffering]
            return [sorted(found.items()), sys.path, sys.argv, flags, hash("text"), streams]
    """,
    "what children find in their environment": """
        import subprocess
        def main_handler(event, context):
            skip = ("HOSTNAME", "TMPDIR", "TENCENTCLOUD_SE", "PYTEST_SCF_ASYNC_OWNER", "_=")
            lines = subprocess.check_output(["env"], text=True).splitlines()
            return sorted(line for line in lines if not line.startswith(skip))
    """,
    "logging": """
        import logging
        logging.debug("at import")
        def main_handler(event, context):
            logging.getLogger("a.b").info("row %d", 1)
            logging.basicConfig(level=logging.ERROR)
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("no row")
            handler, = logging.getLogger().handlers
            return [logging.getLogger().level, str(type(handler))]
    """,
    "lines without an end": r"""
        import os, subprocess, sys
        def main_handler(event, context):
            print("a", end="")
            subprocess.run(["echo", "b"])
            print("c", file=sys.stderr)
            sys.stdout.write("d\n")
            os.write(1, b"e\n")
            sys.stdout.buffer.write(b"f\xff\n")
            print("no end", end="")
    """,
    "an exception": """
        def main_handler(event, context):
            inner(event)
        def inner(event):
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise ValueError("ä row") from error
    """,
    "an exception in a callback of json": """
        import json
        def main_handler(event, context):
            json.loads("{")
    """,
    "an exception of a thread": """
        import concurrent.futures
        def main_handler(event, context):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                future = pool.submit(int, "x")
                concurrent.futures.wait([future])
                future.result()
    """,
    "no such name": "def other(event, context): pass",
    "no function": "main_handler = 3",
    "a syntax error": "def main_handler(event, context)\n    pass",
    "an import that fails": "import no_such_module",
    "an import that raises": "def f():\n    raise KeyError('x')\nf()",
    "an import that exits": "import sys\nsys.exit(4)",
    "exit 3": "import sys\ndef main_handler(event, context):\n    print('out')\n    sys.exit(3)",
    "exit 0": "import sys\ndef main_handler(event, context):\n    sys.exit()",
    "exit with a text": "import sys\ndef main_handler(event, context):\n    sys.exit('enough')",
    "os._exit": "import os\ndef main_handler(event, context):\n    os._exit(5)",
    "killed by itself": "import os\ndef main_handler(event, context):\n    os.kill(os.getpid(), 9)",
    "KeyboardInterrupt": "def main_handler(event, context):\n    raise KeyboardInterrupt",
    "no JSON": "def main_handler(event, context):\n    return {1, 2}",
    "a ring": "ring = []\nring.append(ring)\ndef main_handler(event, context):\n    return ring",
    "a decimal": "from decimal import Decimal\ndef main_handler(event, context):\n    return Decimal('1.50')",
    "not a number": "def main_handler(event, context):\n    return {'rates': [float('nan'), float('-inf')]}",
    "a surrogate": r"def main_handler(event, context): return '\ud800'",
    "too large": "def main_handler(event, context):\n    return 'x' * (6 * 1024 * 1024 - 1)",
    "just fits": "def main_handler(event, context):\n    return len('x' * (6 * 1024 * 1024 - 2))",
    "too few arguments": "def main_handler(event):\n    pass",
    "at exit": """
        import atexit, sys, threading, time
        def work():
            time.sleep(5)
            print("worked")
        def main_handler(event, context):
            atexit.register(print, "at exit")
            threading.Thread(target=work).start()
            sys.exit(2)
    """,
    "a thread that fails": """
        import threading
        def main_handler(event, context):
            thread = threading.Thread(target=int, args=("x",), name="fails")
            thread.start()
            thread.join()
    """,
    "a fork that comes back": """
        import os
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                return "child"
            os.waitpid(pid, 0)
            return "parent"
    """,
    "a fork that raises": """
        import os
        def main_handler(event, context):
            if os.fork() == 0:
                raise ValueError("child")
            return os.waitstatus_to_exitcode(os.wait()[1])
    """,
    "a fork that exits": """
        import os, sys
        def main_handler(event, context):
            if os.fork() == 0:
                sys.exit(9)
            return os.waitstatus_to_exitcode(os.wait()[1])
    """,
    "signals": """
        import signal
        def main_handler(event, context):
            return {int(number): str(signal.getsignal(number)) for number in (1, 2, 13, 15, 17)}
    """,
    "standard input": "import sys\ndef main_handler(event, context):\n    return sys.stdin.read()",
    "a module beside it": """
        import helper
        def main_handler(event, context):
            return [helper.NAME, helper.__file__]
    """,
    "time zone": """
        import os, subprocess, time
        def main_handler(event, context):
            return [time.tzname, time.strftime("%H:%M"), subprocess.check_output(["date", "+%Z"], text=True)]
    """,
    "asyncio": """
        import asyncio
        async def work():
            child = await asyncio.create_subprocess_exec("true")
            return await child.wait()
        def main_handler(event, context):
            return asyncio.run(work())
    """,
}
"""Handlers of which nothing shows whether their children are simulated."""
# Without the mark, so on the oldest and the newest: no traceback, thread, fork, signal or loop of Python's is in them.
NOT_PYTHONS_OWN = {
    "success",
    "what children find in their environment",
    "lines without an end",
    "no such name",
    "no function",
    "exit 3",
    "exit 0",
    "exit with a text",
    "os._exit",
    "killed by itself",
    "a decimal",
    "not a number",
    "a surrogate",
    "too large",
    "just fits",
    "standard input",
    "a module beside it",
    "time zone",
}


def what_shows(event):
    """Status, code, error, result, log, and the fate of the instance, as lines."""
    assert event.instance is not None
    fate = [event.instance.alive, event.instance.reclaimed_because]
    shown = [event.status, event.status_code, event.error, short_log(event), fate]
    text = json.dumps(shown, ensure_ascii=False, indent=1)
    return text.replace(event.request_id, "ID").splitlines()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in NOT_PYTHONS_OWN else pytest.mark.interpreter) for name in SAME],
)
def test_all_else_is_as_with_real_children(deploy, tmp_path, name):
    function = deploy(SAME[name], name="export")
    (tmp_path / "code1" / "helper.py").write_text("NAME = __name__")
    real = what_shows(function.invoke_async({"rows": 3}).wait())
    function.update(children="simulated")

    assert what_shows(function.invoke_async({"rows": 3}).wait()) == real
