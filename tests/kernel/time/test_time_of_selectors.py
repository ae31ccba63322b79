"""``select``, ``poll``, ``epoll`` and ``selectors`` on simulated time; and which descriptors make a wait real."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from process_support import grow_impatient, user_lines

from pytest_scf_async import CannotEndError
from pytest_scf_async.runtime import ScfRuntime

pytestmark = pytest.mark.leases

IMPORTS = """
import errno, multiprocessing.connection, os, select, selectors, signal, socket, socketserver, subprocess, sys
import tempfile, threading, time

BEGAN = time.time()

def passed():
    seconds = round(time.time() - BEGAN, 6)
    return int(seconds) if seconds == int(seconds) else seconds

def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread

def wait(fds, timeout):
    with_one = KIND() if callable(KIND) else KIND
    if with_one is select.select:
        return select.select(fds, [], [], timeout)[0]
    for fd in fds:
        with_one.register(fd, EVENT)
    if hasattr(with_one, "select"):
        return [key.fd for key, _ in with_one.select(timeout)]
    timeout = timeout * 1000 if timeout is not None and not isinstance(with_one, select.epoll) else timeout
    return [fd for fd, _ in with_one.poll(timeout)]
"""

KINDS = {
    "select": "KIND, EVENT = [select.select], None",
    "poll": "KIND, EVENT = select.poll, select.POLLIN",
    "epoll": "KIND, EVENT = select.epoll, select.EPOLLIN",
    "SelectSelector": "KIND, EVENT = selectors.SelectSelector, selectors.EVENT_READ",
    "PollSelector": "KIND, EVENT = selectors.PollSelector, selectors.EVENT_READ",
    "EpollSelector": "KIND, EVENT = selectors.EpollSelector, selectors.EVENT_READ",
}
IMPORTS = IMPORTS.replace("KIND() if callable(KIND) else KIND", "KIND() if callable(KIND) else KIND[0]")

each_kind = pytest.mark.parametrize("kind", KINDS)


def handler(kind: str, body: str) -> str:
    return f"{IMPORTS}\n{KINDS[kind]}\n\n{body}"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server of the test's own: a client of it waits for something real."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


# -- on simulated time -----------------------------------------------------------------------------------------------


@each_kind
def test_a_wait_ends_one_microsecond_after_its_timeout(deploy, kind: str) -> None:
    ends = deploy(
        handler(
            kind,
            """
def waits(ends):
    read, write = os.pipe()
    for timeout in (60, 0.25, 0.000001, 1.1, 40_000):
        before = time.time()
        found = wait([read], timeout)
        ends.append([found, round(time.time() - before, 6)])

def main_handler(event, context):
    ends = []
    waits(ends)
    in_a_thread(lambda: waits(ends)).join()
    return ends
""",
        ),
        timeout=86_400,
    ).run()

    assert ends == 2 * [[[], 60.000001], [[], 0.250001], [[], 0.000002], [[], 1.100001], [[], 40_000.000001]]


@each_kind
def test_a_timeout_of_zero_is_no_wait(deploy, kind: str) -> None:
    assert deploy(
        handler(
            kind,
            """
def main_handler(event, context):
    read, write = os.pipe()
    empty = wait([read], 0)
    os.write(write, b"x")
    return [empty, wait([read], 0) == [read], wait([read], 60) == [read], wait([read], None) == [read], passed()]
""",
        )
    ).run() == [[], True, True, True, 0]


OWN = {
    "a socketpair": ("socket.socketpair()", "ends[1].send(b'x')"),
    "a pair of datagram sockets": ("socket.socketpair(type=socket.SOCK_DGRAM)", "ends[1].send(b'x')"),
    "a pipe that is closed": ("os.pipe()", "os.close(ends[1])"),
    "an eventfd": ("[os.eventfd(0)]", "os.eventfd_write(ends[0], 1)"),
    "a socket that listens": ("[socket.create_server(('127.0.0.1', 0))]", "connect(ends[0])"),
    "a Unix socket that listens": ("[listening()]", "connect(ends[0])"),
    "a TCP connection to itself": ("connected(socket.create_server(('127.0.0.1', 0)))", "ends[1].send(b'x')"),
    "its other end": ("connected(socket.create_server(('127.0.0.1', 0)))[::-1]", "ends[1].send(b'x')"),
    "a connection that nobody has accepted yet": (
        "[connect(server := socket.create_server(('127.0.0.1', 0))), server]",
        "ends[1].accept()[0].close()",
    ),
    "an IPv6 connection to itself": (
        "connected(socket.create_server(('::1', 0), family=socket.AF_INET6))",
        "ends[1].send(b'x')",
    ),
    "a Unix connection to itself": ("connected(listening())", "ends[1].send(b'x')"),
    "an epoll of such": ("nested()", "os.write(ends[1], b'x')"),
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("kind", ["select", "poll", "epoll"])
def test_what_only_this_process_makes_ready_is_waited_for_on_simulated_time(deploy, kind: str, own: str) -> None:
    make, act = OWN[own]
    result = deploy(
        handler(
            kind,
            f"""
kept = []

def listening():
    made = socket.socket(socket.AF_UNIX)
    made.bind("in-here")
    made.listen()
    return made

def connect(server):
    client = socket.socket(server.family)
    client.connect(server.getsockname())
    kept.append(client)
    return client

def connected(server):
    client = connect(server)
    return [server.accept()[0], client]

def nested():
    read, write = os.pipe()
    inner = select.epoll()
    inner.register(read, select.EPOLLIN)
    kept.append(inner)
    return [inner.fileno(), write]

def main_handler(event, context):
    os.chdir(tempfile.gettempdir())
    ends = {make}
    fd = ends[0] if isinstance(ends[0], int) else ends[0].fileno()
    empty = wait([fd], 3600), passed()

    def act():
        time.sleep(30)
        {act}

    thread = in_a_thread(act)
    found = wait([fd], 3600)
    thread.join()
    return [*empty, found == [fd], passed()]
""",
        )
    ).run()

    assert result == [[], 3600.000001, True, 3630.000001]


@each_kind
def test_a_wait_that_nothing_ends_is_reported_and_cut_by_the_timeout(deploy, kind: str) -> None:
    source = handler(kind, "def main_handler(event, context):\n    wait([os.pipe()[0]], None)")
    event = deploy(source, timeout=600).invoke_async()

    assert (event.wait().status_code, event.duration) == (433, timedelta(seconds=600))
    call = "selectors.select" if "Selector" in kind else kind
    assert f"{call} at index.py:" in event.timeline


# -- signals ---------------------------------------------------------------------------------------------------------

SIGNALLED = """
def on_term(signum, frame):
    print("SIGTERM", passed())
    act()

def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_term)
    read, write = os.pipe()
    print(wait([read], 60), passed())
"""
ACTS = {
    "time.sleep(15)": ["SIGTERM 20", "[] 60.000001"],
    "time.sleep(100)": ["SIGTERM 20", "[] 120"],
    "wait([os.pipe()[0]], 15)": ["SIGTERM 20", "[] 60.000001"],
}


@each_kind
@pytest.mark.parametrize("act", ACTS)
def test_a_handler_may_wait_in_a_wait_that_it_interrupts(deploy, runtime: ScfRuntime, kind: str, act: str) -> None:
    event = deploy(handler(kind, f"def act():\n    {act}\n{SIGNALLED}")).invoke_async()
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)
    event.wait()

    assert user_lines(event) == ACTS[act]
    assert event.status_code == 200


def test_a_handler_may_make_ready_what_the_wait_that_it_interrupts_waits_for(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler(
            "epoll",
            """
read, write = os.pipe()

def on_term(signum, frame):
    os.write(write, b"x")
    time.sleep(5)

def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_term)
    return [wait([read], 60) == [read], passed()]
""",
        )
    ).invoke_async()
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)

    assert event.wait().result == [True, 25]


def test_a_wakeup_descriptor_ends_a_wait_at_the_instant_of_the_signal(deploy, runtime: ScfRuntime) -> None:
    event = deploy(
        handler(
            "select",
            """
def main_handler(event, context):
    read, write = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.set_wakeup_fd(write)
    return [wait([read], 3600) == [read], signal.SIGTERM in os.read(read, 10), passed()]
""",
        )
    ).invoke_async()
    event.settle()
    runtime.clock.advance(20)
    event.terminate(grace_shutdown=True)

    assert event.wait().result == [True, True, 20]  # the harness's own signal may be there as well


# -- threads ---------------------------------------------------------------------------------------------------------

ROUNDS = """
def main_handler(event, context):
    count, trace = event, []
    pipes = [os.pipe() for _ in range(count)]

    def work(number):
        for round in range(3):
            wait([pipes[number][0]], 1000)
            os.read(pipes[number][0], 1)
            trace.append([number, passed()])
            time.sleep(number % 3)

    threads = [in_a_thread(lambda number=number: work(number)) for number in range(count)]
    for round in range(3):
        time.sleep(10)
        for number in (3, 0, 4, 1, 2):
            os.write(pipes[number][1], b"x")
    for thread in threads:
        thread.join()
    return trace
"""


@each_kind
@pytest.mark.repeat
def test_those_that_are_woken_together_go_on_in_the_order_in_which_they_began(deploy, kind: str) -> None:
    trace = deploy(handler(kind, ROUNDS)).run(5)

    assert [number for number, _ in trace] == [0, 1, 2, 3, 4, 0, 3, 1, 4, 2, 0, 3, 1, 4, 2]
    assert [seconds for _, seconds in trace] == [10] * 5 + [20] * 5 + [30] * 5


def test_two_threads_may_wait_for_the_same_and_one_takes_it(deploy) -> None:
    assert deploy(
        handler(
            "epoll",
            """
def main_handler(event, context):
    read, write = os.pipe2(os.O_NONBLOCK)
    shared, trace = select.epoll(), []
    shared.register(read, select.EPOLLIN)

    def work(name):
        while True:
            found = shared.poll(100)
            if not found:
                trace.append([name, "nothing", passed()])
                return
            try:
                trace.append([name, os.read(read, 1).decode(), passed()])
            except BlockingIOError:
                trace.append([name, "too late", passed()])

    threads = [in_a_thread(lambda name=name: work(name)) for name in "ab"]
    for letter in b"xyz":
        time.sleep(10)
        os.write(write, bytes([letter]))
    for thread in threads:
        thread.join()
    return trace
""",
        )
    ).run() == [
        ["a", "x", 10],
        ["a", "y", 20],
        ["a", "z", 30],
        ["b", "nothing", 100.000001],
        ["a", "nothing", 130.000001],
    ]


def test_what_another_thread_registers_meanwhile_is_waited_for(deploy) -> None:
    assert deploy(
        handler(
            "epoll",
            """
def main_handler(event, context):
    epoll = select.epoll()
    read, write = os.pipe()

    def later():
        time.sleep(10)
        epoll.register(read, select.EPOLLIN)
        time.sleep(10)
        os.write(write, b"x")

    in_a_thread(later)
    return [epoll.poll(1000) == [(read, select.EPOLLIN)], passed()]
""",
        )
    ).run() == [True, 20]


def test_a_connection_to_outside_that_another_thread_registers_meanwhile_holds_the_clock(
    deploy, runtime, server
) -> None:
    event = deploy(
        handler(
            "epoll",
            """
def main_handler(event, context):
    epoll = select.epoll()
    epoll.register(os.pipe()[0], select.EPOLLIN)
    client = socket.create_connection(tuple(event))

    def later():
        time.sleep(10)
        epoll.register(client, select.EPOLLIN)

    in_a_thread(later)
    return [epoll.poll(3600) == [(client.fileno(), select.EPOLLIN)], passed()]
""",
        )
    ).invoke_async(server.getsockname())
    event.settle()
    assert event.doing == "parked"
    runtime.clock.advance(10)
    assert event.doing == "held"
    with server.accept()[0] as connection:
        connection.send(b"x")
        event.wait()

    assert event.result == [True, 10]


def test_a_server_that_polls_for_its_end_does_so_all_the_time(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = in_a_thread(server.serve_forever)
        time.sleep(2_000)
        before = passed()
        server.shutdown()
        thread.join()
        return [before, passed() - before <= 0.500001]
""",
        timeout=86_400,
    ).invoke_async()

    assert event.wait().result == [2_000, True]


def test_a_loop_that_wants_its_deadline_to_have_passed_ends(deploy) -> None:
    assert deploy(
        IMPORTS
        + """
def main_handler(event, context):
    here, there = multiprocessing.connection.Pipe()
    found = multiprocessing.connection.wait([here], 60)
    before = passed()
    in_a_thread(lambda: (time.sleep(5), there.send("word")))
    return [found, before, here.poll(60), here.recv(), passed()]
"""
    ).run() == [[], 60.000001, True, "word", 65.000001]


# -- real waits ------------------------------------------------------------------------------------------------------

ASKS = """
def main_handler(event, context):
    client = socket.create_connection(tuple(event))
    sleeper = in_a_thread(lambda: (time.sleep(3600), print("slept", passed())))
    client.send(b"?")
    found = wait([client.fileno()], 60)
    print(found == [client.fileno()], passed())
    print(client.recv(100).decode())
    sleeper.join()
"""


@each_kind
@pytest.mark.repeat
def test_who_waits_for_an_answer_from_outside_holds_the_clock(deploy, server: socket.socket, kind: str) -> None:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            threading.Event().wait(0.1)  # of work
            connection.send(b"the answer")
            connection.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    event = deploy(handler(kind, ASKS)).invoke_async(server.getsockname())
    event.wait()
    thread.join()

    assert user_lines(event) == ["True 0", "the answer", "slept 3600"]


@each_kind
def test_without_an_answer_the_timeout_passes_in_both_times(deploy, server: socket.socket, kind: str) -> None:
    event = deploy(
        handler(
            kind,
            """
def main_handler(event, context):
    client = socket.create_connection(tuple(event))
    return [[wait([client.fileno()], 0.2), passed()] for _ in range(2)]
""",
        )
    ).invoke_async(server.getsockname())
    began = time.monotonic()
    result = event.wait().result

    assert result == [[[], 0.200001], [[], 0.400002]]
    assert time.monotonic() - began >= 0.4


@each_kind
def test_a_wait_that_is_held_is_named_and_time_may_pass_it(deploy, make_runtime, server, kind: str) -> None:
    runtime = make_runtime()
    event = deploy(handler(kind, ASKS), to=runtime).invoke_async(server.getsockname())
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match="is held by a real wait"):
        event.wait()
    assert f"on a connection to 127.0.0.1:{server.getsockname()[1]} at index.py:" in event.timeline
    assert event.doing == "held"

    runtime.clock.advance(3599, past_held=True)
    assert user_lines(event) == ["False 60.000001"]


def test_a_handler_may_wait_in_a_held_wait_that_it_interrupts(deploy, server) -> None:
    event = deploy(
        handler(
            "epoll",
            """
def on_term(signum, frame):
    print("SIGTERM", passed())
    time.sleep(5)
    print("handled", passed())

def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_term)
    client = socket.create_connection(tuple(event))
    print(wait([client.fileno()], None) == [client.fileno()], passed())
""",
        )
    ).invoke_async(server.getsockname())
    event.settle()
    assert event.doing == "held"
    event.terminate(grace_shutdown=True)
    with server.accept()[0] as connection:
        event.wait_for_log("handled")
        connection.send(b"x")
        event.wait()

    assert user_lines(event) == ["SIGTERM 0", "handled 5", "True 5"]


FOREIGN = {
    "a connection": "socket.create_connection(tuple(event))",
    "a UDP socket": "udp()",
    "a fifo": "os.open(fifo(), os.O_RDWR | os.O_NONBLOCK)",
    "an inotify": "inotify()",
    "another process": "os.pidfd_open(os.getppid())",
    "an epoll of a connection": "nested(socket.create_connection(tuple(event)))",
}


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("kind", ["select", "poll", "epoll"])
def test_what_somebody_else_makes_ready_is_waited_for_in_real_time(deploy, server, kind: str, foreign: str) -> None:
    event = deploy(
        handler(
            kind,
            f"""
import ctypes
kept = []

def udp():
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made

def fifo():
    os.mkfifo("fifo")
    return "fifo"

def inotify():
    return ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC)

def nested(sock):
    inner = select.epoll()
    inner.register(sock, select.EPOLLIN)
    kept.extend([inner, sock])
    return inner.fileno()

def main_handler(event, context):
    os.chdir(tempfile.gettempdir())
    what = {FOREIGN[foreign]}
    wait([os.pipe()[0], what if isinstance(what, int) else what.fileno()], 3600)
""",
        )
    ).invoke_async(server.getsockname())

    event.settle()

    assert event.doing == "held"


# -- children --------------------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.repeat
def test_the_pipe_of_a_child_is_ready_before_the_timeout_however_long_it_works(deploy, kind: str) -> None:
    assert deploy(
        handler(
            kind,
            """
def main_handler(event, context):
    child = subprocess.Popen(["sh", "-c", "sleep 0.2; echo word"], stdout=subprocess.PIPE)
    found = wait([child.stdout.fileno()], 60) == [child.stdout.fileno()]
    said = child.stdout.readline().decode()
    pidfd = os.pidfd_open(child.pid)
    return [found, said, wait([pidfd], 60) == [pidfd], child.wait(), passed()]
""",
        )
    ).run() == [True, "word\n", True, 0, 0]


def test_a_child_in_the_background_holds_no_wait_for_its_pipe(deploy) -> None:
    event = deploy(
        handler(
            "epoll",
            """
def main_handler(event, context):
    child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE)
    return [wait([child.stdout.fileno(), os.pidfd_open(child.pid)], 3600), passed()]
""",
        ),
        background=("sleep",),
    ).invoke_async()

    assert event.wait().result == [[], 3600.000001]


def test_communicate_holds_the_clock_by_itself_and_its_timeout_is_real(deploy) -> None:
    assert deploy(
        IMPORTS
        + """
def main_handler(event, context):
    sleeper = in_a_thread(lambda: time.sleep(3600))
    child = subprocess.Popen(["sh", "-c", "exec sleep 1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child.communicate(timeout=0.1)
    except subprocess.TimeoutExpired:
        first = passed()
    child.kill()
    child.communicate(timeout=60)
    return [first, passed()]
""",
        background=("sleep",),
    ).run() == [0, 0]


def test_a_forked_child_waits_in_real_time(deploy) -> None:
    assert deploy(
        handler(
            "epoll",
            """
def main_handler(event, context):
    read, write = os.pipe()
    epoll = select.epoll()
    epoll.register(read, select.EPOLLIN)
    pid = os.fork()
    if pid == 0:
        epoll.poll(0.05)
        os.write(write, str(passed()).encode())
        os._exit(0)
    found = epoll.poll(60) == [(read, select.EPOLLIN)]
    os.waitpid(pid, 0)
    return [found, float(os.read(read, 100)) >= 0.05, passed()]
""",
        )
    ).run() == [True, True, 0]


# -- the same types --------------------------------------------------------------------------------------------------


def test_what_the_real_calls_refuse_is_refused_in_their_words(deploy) -> None:
    source = """
def said():
    import os, select
    out = []
    epoll, poll = select.epoll(), select.poll()
    read, write = os.pipe()
    closed = select.epoll()
    closed.close()
    for call in (
        lambda: select.select([], [], [], -1), lambda: select.select([], [], [], "1"), lambda: select.select([], []),
        lambda: select.select([-1], [], [], 1), lambda: select.select(["x"], [], [], 1),
        lambda: select.select(1, [], []), lambda: select.select([], [], [], None, 1),
        lambda: select.select([], [], [], float("nan")), lambda: select.select([], [], [], 1e300),
        lambda: epoll.poll(1, 0), lambda: epoll.poll("1"), lambda: epoll.poll(1, -2), lambda: epoll.register(9999, 1),
        lambda: epoll.register(read, -1), lambda: epoll.modify(write, 1), lambda: epoll.unregister(write),
        lambda: closed.poll(1), lambda: closed.register(read), lambda: closed.fileno(), lambda: closed.__enter__(),
        lambda: poll.poll("1"), lambda: poll.modify(9999, 1), lambda: poll.unregister(9999),
        lambda: poll.register("x"), lambda: select.epoll(-2), lambda: select.epoll(0), lambda: select.poll(1),
    ):
        try:
            out.append(repr(call()))
        except Exception as error:
            out.append(f"{type(error).__name__}: {error}")
    return out
"""
    namespace: dict = {}
    exec(source, namespace)  # noqa: S102

    assert deploy(source + "\ndef main_handler(event, context):\n    return said()").run() == namespace["said"]()


def test_the_types_are_as_they_are_outside(deploy) -> None:
    assert deploy(
        IMPORTS
        + """
def main_handler(event, context):
    with select.epoll() as epoll:
        known = [isinstance(epoll, select.epoll), epoll.closed, select.epoll.fromfd(os.dup(epoll.fileno())).closed]
    selector = selectors.DefaultSelector()
    return [*known, epoll.closed, type(selector).__name__, select.epoll.__module__, select.poll.__name__]
"""
    ).run() == [True, False, False, True, "EpollSelector", "select", "poll"]
