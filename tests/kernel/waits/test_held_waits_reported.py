"""A call that cannot end for a real wait names the thread, the wait and its stack, and advises what to do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from process_support import eventually, grow_impatient, state_of

from pytest_scf_async import CannotEndError

IMPORTS = """
import ctypes, os, queue, signal, socket, subprocess, sys, tempfile, threading, time, _thread

def reads_fifo():
    path = os.path.join(tempfile.mkdtemp(), "fifo")
    os.mkfifo(path)
    with open(os.open(path, os.O_RDWR), "rb", 0) as file:
        file.read(1)
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def reported(deploy, make_runtime):
    """Run a handler that comes to a real wait, and return the text of the error."""

    def look(source: str, payload: object = None, *, watchdog: float = 0.2, until: str = "", **settings: object) -> str:
        runtime = make_runtime(**settings)
        event = deploy(IMPORTS + source, to=runtime).invoke_async(payload)
        if until:
            event.wait_for_log(until)
        else:
            event.settle()
        grow_impatient(runtime, watchdog)
        with pytest.raises(CannotEndError) as caught:
            event.wait()
        return str(caught.value)

    return look


def test_a_thread_that_reads_from_a_connection(reported, server) -> None:
    host, port = server.getsockname()

    text = reported(
        """
def upload(address):
    connection = socket.create_connection(address)
    return connection.recv(100)

def main_handler(event, context):
    uploader = threading.Thread(target=upload, args=[tuple(event)], name="uploader")
    uploader.start()
    uploader.join()
""",
        [host, port],
    )

    assert "is held by a real wait" in text
    lines = text.splitlines()
    at = lines.index(f"  thread 'uploader' is in recv() on a connection to 127.0.0.1:{port}, most recent call first:")
    assert re.fullmatch(r"    .*index\.py:12 in upload: return connection\.recv\(100\)", lines[at + 1])
    main = next(line for line in lines if "'MainThread'" in line)
    assert main == "  thread 'MainThread' is parked, most recent call first:"
    assert any(re.fullmatch(r"    .*index\.py:17 in main_handler: uploader\.join\(\)", line) for line in lines)
    assert "scf_clock.advance(86400, past_held=True) lets time pass regardless, up to the event's timeout" in text
    assert "terminate() ends it" in text
    assert "pytest_scf_async" not in text


WAITS = {
    "recv with a timeout": (
        "connection = socket.create_connection(event); connection.settimeout(1000); connection.recv(1)",
        r"recv\(\) on a connection to 127\.0\.0\.1:PORT",
    ),
    "recv_into of a file": (
        "socket.create_connection(event).makefile('rb').read(1)",
        r"recv\(\) on a connection to 127\.0\.0\.1:PORT",
    ),
    "recvmsg": (
        "socket.create_connection(event).recvmsg(1)",
        r"recvmsg\(\) on a connection to 127\.0\.0\.1:PORT",
    ),
    "UDP": (
        "s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); s.recvfrom(1)",
        r"recv\(\) on a UDP socket at 127\.0\.0\.1:\d+",
    ),
    "a full fifo": (
        "os.mkfifo('full'); open(os.open('full', os.O_RDWR), 'wb', 0).write(b'x' * (1 << 22))",
        r"write\(\) on \S*/full",
    ),
    "a fifo": ("os.mkfifo('fifo'); open(os.open('fifo', os.O_RDWR), 'rb', 0).read(1)", r"read\(\) on \S*/fifo"),
    "a child": (
        "child = subprocess.Popen(['sleep', '1000']); os.waitpid(child.pid, 0)",
        r"a wait for the child process \d+",
    ),
    "a child by waitid": (
        "child = subprocess.Popen(['sleep', '1000']); os.waitid(os.P_PID, child.pid, os.WEXITED)",
        r"a wait for the child process \d+",
    ),
    "any child": ("subprocess.Popen(['sleep', '1000']); os.wait()", "a wait for a child process"),
    "a lock of C": (
        "waits_in_c((ctypes.c_long * 2)(1 << 40))",
        "a lock in C code",
    ),
}


@pytest.mark.parametrize("thread", ["main", "second"])
@pytest.mark.parametrize("wait", WAITS)
def test_each_wait_is_called_by_its_name(reported, server, wait: str, thread: str) -> None:
    source, expected = WAITS[wait]
    port = server.getsockname()[1]

    text = reported(
        f"""
def waits_in_c(until):
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_timedlock(lock, until)

def waits(event):
    {source}

def main_handler(event, context):
    thread, *address = event
    os.chdir(os.environ["TMPDIR"] if "TMPDIR" in os.environ else "/tmp")
    if thread == "main":
        waits(tuple(address))
    second = threading.Thread(target=waits, args=[tuple(address)], name="second")
    second.start()
    second.join()
""",
        [thread, *server.getsockname()],
    )

    name = "MainThread" if thread == "main" else "second"
    pattern = rf"  thread '{name}' is in {expected.replace('PORT', str(port))}, most recent call first:"
    (line,) = [line for line in text.splitlines() if f"thread '{name}'" in line]
    assert re.fullmatch(pattern, line), text


def test_a_wait_of_an_instance_that_was_stopped_meanwhile_is_called_by_its_name(deploy, runtime, server) -> None:
    host, port = server.getsockname()
    event = deploy(
        IMPORTS
        + """
def waits(address):
    connection = socket.create_connection(address)
    connection.settimeout(1000)
    connection.recv(1)

def main_handler(event, context):
    second = threading.Thread(target=waits, args=[tuple(event)], name="second")
    second.start()
    second.join()
""",
    ).invoke_async([host, port])
    event.settle()
    assert eventually(lambda: state_of(event.instance.pid) == "T")  # as it is while a test does something else
    grow_impatient(runtime, 0.2)

    with pytest.raises(CannotEndError, match=rf"'second' is in recv\(\) on a connection to 127\.0\.0\.1:{port}, most"):
        event.wait()


def test_an_epoll_names_what_it_waits_for(reported, server) -> None:
    host, port = server.getsockname()

    text = reported(
        """
import select

def main_handler(event, context):
    epoll = select.epoll()
    connections = [socket.create_connection(tuple(event)) for _ in range(5)]
    for connection in connections:
        epoll.register(connection, select.EPOLLIN)
    epoll.poll()
""",
        [host, port],
    )

    there = f"a connection to 127.0.0.1:{port}"
    assert re.search(rf"thread 'MainThread' is (in|held in) epoll\S* on {there}, {there}, {there} and 2 more", text), (
        text
    )


def test_a_thread_is_called_as_it_is_called_now(reported) -> None:
    text = reported(
        """
def reads():
    threading.current_thread().name = "of 'today' – \u4e0a\u4f20"
    reads_fifo()

def main_handler(event, context):
    thread = threading.Thread(target=reads, name="of yesterday")
    thread.start()
    thread.join()
"""
    )

    assert """thread "of 'today' – 上传" is in read() on """ in text


def test_a_thread_without_a_name_is_called_by_its_function(reported) -> None:
    text = reported(
        """
def uploads():
    reads_fifo()

def main_handler(event, context):
    _thread.start_new_thread(uploads, ())
    time.sleep(1000)
"""
    )

    assert "thread of uploads() is in read() on" in text
    assert "thread 'MainThread' is parked, most" in text


def test_threads_are_named_though_the_main_thread_does_not_come_back_to_the_interpreter(reported) -> None:
    text = reported(
        """
def uploads():
    threading.main_thread().name = "root"
    reads_fifo()

def main_handler(event, context):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    uploader = threading.Thread(target=uploads, name="uploader", daemon=True)
    uploader.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    lock = ctypes.create_string_buffer(64)
    [ctypes.CDLL(None).pthread_mutex_lock(lock) for _ in range(2)]
"""
    )

    assert "thread 'uploader' is in read() on" in text
    assert "thread 'root' is in a lock in C code, most" in text


def test_more_threads_than_there_is_room_for_are_reported(reported) -> None:
    text = reported(
        """
def sleeps(seconds):
    time.sleep(seconds)

def main_handler(event, context):
    for _ in range(100):
        thread = threading.Thread(target=sleeps, args=[1])
        thread.start()
        thread.join()
    for number in range(70):
        threading.Thread(target=sleeps, args=[1000], name=f"sleeper {number} with a name that is cut somewhere").start()
    reads_fifo()
""",
        watchdog=2,  # the last thread gets to run, and to its sleep, only after the main thread is seen to wait
    )

    lines = [line for line in text.splitlines() if line.endswith(" is parked, most recent call first:")]
    assert len(lines) == 2  # of threads that do the same one is shown, and the others are counted
    assert any(re.search(r"'sleeper \d+ with a name that is cut somewhe", line) for line in lines)
    assert any("thread of sleeps()" in line for line in lines)
    assert re.search(r"\n    63 more threads do the same: 'sleeper .*' and 60 more\n", text)
    assert "\n    5 more threads do the same\n" in text


def test_threads_that_compute_are_in_no_wait(reported) -> None:
    text = reported(
        """
def main_handler(event, context):
    threading.Thread(target=sum, args=[range(10**14)], daemon=True).start()
    print("computes")
    while True:
        pass
""",
        until="computes",
        compute_grace=0.05,
    )

    lines = [line for line in text.splitlines() if line.startswith("  thread ")]
    assert len(lines) == 2
    assert not any(" is in " in line for line in lines), text


@pytest.mark.parametrize("leases", [True, False])
def test_a_thread_that_waits_for_its_turn_has_it_while_the_one_before_it_waits_for_something_real(
    deploy, make_runtime, leases: bool
) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    read, write = os.pipe()
    answers = [threading.Thread(target=os.write, args=[write, b"answer"]) for _ in range(2)]
    for thread in answers:
        thread.start()
    received = [os.read(read, 6).decode() for _ in answers]
    time.sleep(10)
    return received
""",
        to=make_runtime(leases=leases),
    ).invoke_async()

    assert event.wait().result == ["answer", "answer"]
    assert event.duration.total_seconds() == 10


def test_what_a_handler_waits_in_goes_on_once_it_was_reported(deploy, make_runtime, server) -> None:
    runtime = make_runtime()
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    connection = socket.create_connection(tuple(event))
    received = connection.recv(100).decode()
    with os.fdopen(connection.detach(), "rb", 0) as file:
        return [received, file.read(100).decode()]
""",
        to=runtime,
    ).invoke_async(list(server.getsockname()))
    event.settle()
    grow_impatient(runtime)
    for _ in range(2):
        with pytest.raises(CannotEndError, match=r"in recv\(\) on a connection to 127\.0\.0\.1:") as caught:
            event.wait()
        assert "idle_ok=['127.0.0.1:" in str(caught.value)
    there, _ = server.accept()
    with there:
        there.send(b"first")
        with pytest.raises(CannotEndError, match=r"in read\(\) on a connection to 127\.0\.0\.1:") as caught:
            event.wait()
        assert "idle_ok" not in str(caught.value)  # it would not help: what is read past the socket is not seen
        there.send(b"second")

        assert event.wait().result == ["first", "second"]


def test_a_child_that_holds_the_clock_is_named_beside_the_thread_that_waits_for_it(reported) -> None:
    text = reported(
        """
def main_handler(event, context):
    def encodes():
        subprocess.run(["sleep", "1000"])
    thread = threading.Thread(target=encodes, name="encoder")
    thread.start()
    thread.join()
"""
    )

    pid = re.search(r"the child process 'sleep' \(pid (\d+)\) is alive", text)[1]
    assert f"thread 'encoder' is in a wait for the child process {pid}, most" in text
    assert "background=" not in text  # the thread would wait for it all the same
    assert 'deploy(..., children="simulated") puts its sleeps on the simulated clock; ' in text


@pytest.mark.parametrize("keywords", ["", ", capture_output=True"])
def test_what_a_child_sleeps_passes_where_children_are_simulated(deploy, keywords: str) -> None:
    """What the text for a child that a thread waits for advises, followed."""
    source = f"{IMPORTS}\ndef main_handler(event, context):\n    subprocess.run(['sleep', '1000']{keywords})\n"
    assert deploy(source, children="simulated").invoke_async().wait().status == "FINISHED"
