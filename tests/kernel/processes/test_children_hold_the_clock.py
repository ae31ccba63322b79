"""A child process that lives holds the simulated clock: its work is real, and takes no simulated time."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from datetime import timedelta

import pytest
from internals import lockstep_of, process_tree, procfs, shared_zygote
from process_support import descriptors, eventually, grow_impatient, is_gone, state_of, user_lines

from pytest_scf_async import CannotEndError

IMPORTS = """
import os, signal, subprocess, sys, threading, time
from pytest_scf_async.inside import record
BEGAN = time.time()
def passed():
    return time.time() - BEGAN
"""
# A child that begins the rest of its work when the handler lets it: that is when the handler has found it alive.
ENDS_LATER = """
import subprocess
def ends_later():
    return subprocess.Popen(["sh", "-c", "read word; sleep 0.1"], stdin=subprocess.PIPE)
"""


@pytest.fixture
def program(tmp_path):
    """Write a program of the test's own, whose name is what the kernel calls it."""

    def write(name: str, source: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(source)}")
        path.chmod(0o755)
        return str(path)

    return write


FFMPEG = """
import sys, time
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    sum(range(1000))
open(sys.argv[2], "w").write("encoded")
"""


def test_children_with_real_work_in_a_handler_that_sleeps_hours(deploy, program, tmp_path):
    ffmpeg = program("ffmpeg", FFMPEG)
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    program, out = event
    parts = [subprocess.Popen([program, "0.5", f"{out}/part{number}"]) for number in range(2)]
    time.sleep(3 * 3600)
    codes = [part.wait() for part in parts]
    there = [os.path.exists(f"{out}/part{number}") for number in range(2)]
    time.sleep(2 * 3600)
    return [codes, there, passed()]
"""
    ).invoke_async([ffmpeg, str(tmp_path)])

    assert event.wait().result == [[0, 0], [True, True], 5 * 3600]
    assert event.duration == timedelta(hours=5)


@pytest.mark.repeat
def test_a_loop_that_polls_a_child_sees_one_polls_time_pass(deploy):
    event = deploy(
        IMPORTS
        + ENDS_LATER
        + """
def main_handler(event, context):
    child = ends_later()
    polls = 0
    while child.poll() is None:
        polls += 1
        child.stdin.close()
        time.sleep(2)
    return [polls, passed(), child.returncode]
"""
    ).invoke_async()

    assert event.wait().result == [1, 2, 0]


START_ONE = {
    "Popen": "subprocess.Popen(CHILD)",
    "Popen in a session of its own": "subprocess.Popen(CHILD, start_new_session=True)",
    "Popen with preexec_fn": "subprocess.Popen(CHILD, preexec_fn=lambda: None)",
    "a shell in the background": 'os.system(f"head -c1 {event} > /dev/null &")',
    "fork": "os.fork() or (work(event), os._exit(0))",
    "forkpty": "os.forkpty()[0] or (work(event), os._exit(0))",
    "posix_spawn": 'os.posix_spawn("/usr/bin/head", CHILD, {})',
    "posix_spawnp": 'os.posix_spawnp("head", CHILD, {})',
    "spawnv": 'os.spawnv(os.P_NOWAIT, "/usr/bin/head", CHILD)',
    "a double fork": "double_fork()",
    "a thread": "in_a_thread()",
    "multiprocessing, fork": 'process("fork")',
    "multiprocessing, spawn": 'process("spawn")',
    "multiprocessing, forkserver": 'process("forkserver")',
}


@pytest.mark.parametrize("how", START_ONE)
def test_a_child_holds_the_clock_however_it_was_started(deploy, latch, how):
    event = deploy(
        IMPORTS
        + f"""
import multiprocessing

CHILD = ["head", "-c1", {latch.path!r}]

def double_fork():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work(CHILD[-1])
        os._exit(0)

def in_a_thread():
    thread = threading.Thread(target=lambda: subprocess.Popen(CHILD))
    thread.start()
    thread.join()

def process(method):
    multiprocessing.get_context(method).Process(target=work, args=CHILD[-1:]).start()

def work(path):
    with open(path, "rb", buffering=0) as file:
        file.read(1)

def main_handler(event, context):
    time.sleep(10)
    {START_ONE[how]}
    print("started")
    time.sleep(3600)
    return passed()
"""
    ).invoke_async(latch.path)
    event.wait_for_log("started")
    pid = event.instance.pid
    living = [child for child in procfs.descendants_of(pid) if state_of(child) != "Z"]
    assert living or "double" in how or "system" in START_ONE[how]

    runtime_clock = lockstep_of(event).clock
    at = runtime_clock.now_us
    ends = []
    runtime_clock.call_at(at + 1_000_000, lambda: ends.extend(process_tree._look_below(pid, ())[0]))
    work = threading.Timer(0.1, latch.open)
    work.start()
    assert event.wait().result == 3610
    work.join()
    assert ends == []  # when the first second had passed no child lived any more


@pytest.mark.repeat
def test_a_grandchild_whose_parent_has_ended_holds_the_clock(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(read)
            time.sleep(0.3)
            os.write(write, b"done")
        os._exit(0)
    os.waitpid(middle, 0)
    os.close(write)
    os.set_blocking(read, False)
    time.sleep(3600)
    return os.read(read, 10).decode()
"""
    ).invoke_async()

    assert event.wait().result == "done"


def test_a_child_that_was_not_waited_for_does_not_hold_the_clock(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    child = subprocess.Popen(["true"])
    time.sleep(100)
    with open(f"/proc/{child.pid}/stat") as file:
        state = file.read().rpartition(")")[2].split()[0]
    time.sleep(100)
    return [state, passed()]
"""
    ).invoke_async()

    assert event.wait().result == ["Z", 200]


@pytest.mark.repeat
def test_a_handler_of_sigchld_is_called_at_the_time_of_the_childs_end(deploy):
    event = deploy(
        IMPORTS
        + """
def on_child(signum, frame):
    pid, status = os.waitpid(-1, os.WNOHANG)
    record("ended", at=passed(), any=pid > 0, status=status)

def main_handler(event, context):
    signal.signal(signal.SIGCHLD, on_child)
    for number in range(5):
        subprocess.Popen(["sleep", f"0.0{number}"])
        time.sleep(3600)
    subprocess.Popen(["true"])
    time.sleep(3600)
    return passed()
"""
    ).invoke_async()

    assert event.wait().result == 6 * 3600
    assert [each.fields for each in event.records] == [
        {"at": number * 3600, "any": True, "status": 0} for number in range(6)
    ]


@pytest.mark.repeat
def test_a_handler_of_sigchld_may_raise_out_of_a_sleep_and_may_sleep_itself(deploy):
    event = deploy(
        IMPORTS
        + """
class Ended(Exception):
    pass

def on_child(signum, frame):
    time.sleep(7)
    os.waitpid(-1, 0)
    raise Ended

def main_handler(event, context):
    signal.signal(signal.SIGCHLD, on_child)
    try:
        subprocess.Popen(["sleep", "0.1"])
        time.sleep(3600)
    except Ended:
        first = passed()
    time.sleep(100)
    return [first, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [7, 107]


def test_a_child_that_the_harness_stops_is_no_sigchld(deploy, runtime, latch):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    signal.signal(signal.SIGCHLD, lambda *_: record("SIGCHLD", at=passed()))
    child = subprocess.Popen(["head", "-c1", event], stdout=subprocess.DEVNULL)
    print("started")
    time.sleep(100)
    child.wait()
    return passed()
"""
    ).invoke_async(latch.path)
    event.wait_for_log("started")
    for _ in range(5):
        event.settle()
        assert event.doing == "held"
        assert eventually(lambda: state_of(event.instance.pid) == "T")

    latch.open()
    assert event.wait().result == 100
    assert [each.fields for each in event.records] == [{"at": 0}]


def test_a_child_that_is_killed_ends_the_wait_for_it(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    child = subprocess.Popen(["sleep", "1000"])
    time.sleep(1)
    return [child.wait(), passed()]
"""
    ).invoke_async()
    event.settle()
    assert event.doing == "held"
    child = procfs.descendants_of(event.instance.pid)[0]

    os.kill(child, 9)

    assert event.wait().result == [-9, 1]
    assert event.duration == timedelta(seconds=1)


def test_a_child_lives_and_the_error_names_it_and_what_to_do(deploy, make_runtime, program):
    server = program("a-long-named-server", "import time; time.sleep(1000)")
    runtime = make_runtime()
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    child = subprocess.Popen([event], stdout=subprocess.PIPE)
    time.sleep(100)
    child.kill()
    child.wait()
    return passed()
""",
        to=runtime,
    ).invoke_async(server)
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as caught:
        event.wait()

    text = str(caught.value)
    pid = event.instance.pid
    (child,) = procfs.descendants_of(pid)
    assert f"is parked in sleep(100) at index.py:10; the child process 'a-long-named-server' (pid {child}) is" in text
    assert "a child process holds the clock for as long as it lives" in text
    assert "deploy(..., background=('a-long-named-server',))" in text
    assert "scf_clock.advance(86400, past_held=True)" in text
    assert "terminate()" in text
    runtime.clock.advance(50, past_held=True)
    assert event.doing == "held"
    runtime.clock.advance(50, past_held=True)
    assert event.wait().result == 100


def test_the_error_calls_a_fork_of_the_handler_by_what_it_is(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    if os.fork() == 0:
        time.sleep(1000)
    time.sleep(100)
""",
        to=runtime,
    ).invoke_async()
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match=r"the child process pid \d+, a fork of the handler's process is alive"):
        event.wait()


BACKGROUND = (
    IMPORTS
    + """
def main_handler(event, context):
    server = subprocess.Popen([event])
    time.sleep(3600)
    alive = server.poll() is None
    time.sleep(3600)
    return [alive, passed(), server.pid]
"""
)


@pytest.mark.parametrize("name", ["redis-server", "a-program-with-a-long-name"])
def test_a_program_in_the_background_does_not_hold_the_clock_and_its_children_do_not(deploy, program, name):
    server = program(name, "import subprocess; subprocess.run(['sleep', '1000'])")

    alive, passed, pid = deploy(BACKGROUND, background=(name,)).run(server)

    assert (alive, passed) == (True, 7200)
    assert eventually(lambda: state_of(pid) in "TD")  # D: it is just starting its own child, which is stopped


def test_a_program_in_the_background_may_be_named_as_it_was_started(deploy, tmp_path):
    link = tmp_path / "my-daemon"
    link.symlink_to("/bin/sleep")
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    subprocess.Popen(["/bin/sh", "-c", "exec -a renamed true; true"])
    subprocess.Popen([event, "1000"])
    time.sleep(3600)
    return passed()
""",
        background=["my-daemon"],
    ).invoke_async(str(link))

    assert event.wait().result == 3600


def test_beside_a_program_in_the_background_another_child_holds_the_clock(deploy, program):
    server = program("redis-server", "import time; time.sleep(1000)")
    event = deploy(
        IMPORTS
        + ENDS_LATER
        + """
def main_handler(event, context):
    subprocess.Popen([event])
    time.sleep(50)
    child = ends_later()
    polls = 0
    while child.poll() is None:
        polls += 1
        child.stdin.close()
        time.sleep(2)
    return [polls, passed()]
""",
        background=("redis-server",),
    ).invoke_async(server)

    assert event.wait().result == [1, 52]


ENDS_ITS_DAEMON = """
async def in_a_loop(program, end):
    import asyncio
    read, write = os.pipe()
    child = await asyncio.create_subprocess_exec(program, stdout=write)
    os.read(read, 6)  # it has its handlers
    await asyncio.sleep(7200)
    end(child)
    return await child.wait()

def by_polls(program, end):
    read, write = os.pipe()
    child = subprocess.Popen([program], stdout=write)
    os.read(read, 6)
    time.sleep(7200)
    end(child)
    polls = 0
    while child.poll() is None:
        polls += 1
        time.sleep(60)
    return child.returncode, polls <= 1

def main_handler(event, context):
    import asyncio
    program, where, how = event
    ends = {
        "kill": lambda child: child.kill(),
        "terminate": lambda child: child.terminate(),
        "os.kill": lambda child: os.kill(child.pid, signal.SIGINT),
    }
    if where == "loop":
        return asyncio.run(in_a_loop(program, ends[how])), passed()
    return by_polls(program, ends[how]), passed() <= 7260
"""

DAEMON = """
import os, signal, sys, time

def end(signum, frame):
    began = time.monotonic()
    while time.monotonic() - began < 0.2:  # it saves what it has
        pass
    sys.exit(3)

came, comes = os.pipe()
os.set_blocking(comes, False)
signal.set_wakeup_fd(comes)  # a signal that comes just before the wait ends it as well
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
os.write(1, b"ready\\n")
while True:
    os.read(came, 1)
"""


@pytest.mark.repeat
@pytest.mark.parametrize(("how", "code"), [("kill", -9), ("terminate", 3), ("os.kill", 3)])
@pytest.mark.parametrize("where", ["loop", "polls"])
def test_a_program_in_the_background_that_the_handler_ends_holds_the_clock_until_it_has(
    deploy, program, where, how, code
):
    server = program("redis-server", DAEMON)

    ended = deploy(IMPORTS + ENDS_ITS_DAEMON, background=("redis-server",)).invoke_async([server, where, how]).wait()

    assert ended.result == ([code, 7200] if where == "loop" else [[code, True], True])


def test_a_child_of_one_instance_holds_the_clock_of_all(deploy):
    works = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    subprocess.run(["sleep", "0.3"])
    return time.time()
"""
    )
    sleeps = deploy(IMPORTS + "def main_handler(event, context):\n    time.sleep(1000)\n    return time.time()\n")
    first, second = works.invoke_async(), sleeps.invoke_async()

    assert second.wait().result - first.wait().result == 1000


def test_children_of_a_frozen_instance_are_stopped_and_hold_nothing(deploy, runtime):
    event = (
        deploy(
            IMPORTS
            + """
def main_handler(event, context):
    return [subprocess.Popen(["sleep", "1000"]).pid, subprocess.Popen(["sleep", "1000"], start_new_session=True).pid]
"""
        )
        .invoke_async()
        .wait()
    )
    assert all(eventually(lambda pid=pid: state_of(pid) == "T") for pid in event.result)

    runtime.clock.advance(299)
    assert event.instance.alive
    runtime.clock.advance(1)

    assert not event.instance.alive
    assert all(is_gone(pid) for pid in event.result)


def test_a_child_of_a_warm_instance_holds_the_clock_of_the_next_event(deploy):
    function = deploy(
        IMPORTS
        + ENDS_LATER
        + """
child = None
def main_handler(event, context):
    global child
    if child is None:
        child = ends_later()
        return
    began = time.time()
    polls = 0
    while child.poll() is None:
        polls += 1
        child.stdin.close()
        time.sleep(2)
    return [polls, time.time() - began]
"""
    )
    function.run()

    assert function.run() == [1, 2]


@pytest.mark.parametrize("mode", ["setsid", "double fork"])
@pytest.mark.parametrize("end", ["terminated", "idle", "runtime closed"])
def test_what_a_child_left_is_killed_when_the_instance_is_reclaimed(deploy, make_runtime, mode, end):
    runtime = make_runtime()
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    mode, waits = event
    read, write = os.pipe()
    if mode == "setsid":
        pid = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
    else:
        middle = os.fork()
        if middle == 0:
            os.setsid()
            grandchild = os.fork()
            if grandchild == 0:
                os.execvp("sleep", ["sleep", "1000"])
            os.write(write, str(grandchild).encode())
            os._exit(0)
        os.waitpid(middle, 0)
        pid = int(os.read(read, 20))
    print("orphan", pid)
    if waits:
        time.sleep(1)
""",
        to=runtime,
    ).invoke_async([mode, end == "terminated"])
    event.wait_for_log("orphan") if end == "terminated" else event.wait()
    orphan = int(user_lines(event)[0].removeprefix("orphan "))
    assert not is_gone(orphan)

    if end == "terminated":
        event.terminate()
    elif end == "idle":
        runtime.clock.advance(300)
    else:
        runtime.close()

    assert is_gone(orphan)
    assert is_gone(event.instance.pid)


def test_an_instance_without_children_is_never_looked_at(deploy, monkeypatch):
    def refuse(pid):
        raise AssertionError("/proc was read for an instance that started no child")

    function = deploy(IMPORTS + "def main_handler(event, context):\n    time.sleep(3600)\n")
    with monkeypatch.context() as patch:
        patch.setattr(procfs, "children_of", refuse)
        patch.setattr(procfs, "descendants_of", refuse)
        for _ in range(3):
            function.run()

    assert [event.instance.cold for event in function.events] == [True, False, False]


def test_once_all_children_have_ended_their_instance_is_not_looked_at_any_more(deploy, monkeypatch):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    subprocess.run(["true"])
    time.sleep(1)
    print("here")
    for _ in range(1000):
        time.sleep(1)
    return passed()
"""
    ).invoke_async()
    event.wait_for_log("here")
    looks = []
    look = process_tree._look_below
    monkeypatch.setattr(process_tree, "_look_below", lambda *arguments: looks.append(1) or look(*arguments))

    assert event.wait().result == 1001
    assert looks == []


def test_many_children_leave_no_descriptor_behind(deploy, runtime):
    function = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    for _ in range(20):
        subprocess.Popen(["sleep", "0.01"])
    time.sleep(3600)
"""
    )
    function.run()
    before = descriptors()
    for _ in range(5):
        function.run()

    assert descriptors() <= before
    assert shared_zygote().alive
