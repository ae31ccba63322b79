"""Waits whose time comes before they have begun: what a program sees is the same, and it stops less often for it."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from image_support import program
from process_support import START, eventually, grow_impatient, user_lines
from test_traced_polls import FUNCTIONS, WAYS
from traced_programs import S, Traced, needs, python, run, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

ROUNDS = 30


def same_in_all_ways(source: str, *, one_cpu: bool = True) -> tuple[Traced, Traced]:
    """A run by itself, and one with leases; one in which each lease is withdrawn at the last moment is the same."""
    by_itself, with_lease, withdrawn = (
        run(source, leases=leases, one_cpu=one_cpu) for leases in (False, True, "withdrawn")
    )
    seen = [(each.said, each.ns, each.ended) for each in (by_itself, with_lease, withdrawn)]
    assert seen[0] == seen[1] == seen[2]
    return by_itself, with_lease


@pytest.mark.parametrize("name", WAYS)
def test_a_poll_that_finds_nothing_is_over_at_once(name: str) -> None:
    """And it finds what is there, or what another thread writes before its time."""
    needs(name)
    source = f"""
def wait(fd, ns):
    return {WAYS[name]}

for _ in range({ROUNDS}):
    wait(quiet, S)
timed(wait, ready, 5 * S)
timed(wait, pipe_written_after(2 * S), 5 * S)
timed(wait, pipe_written_after(2 * S), S)
"""
    by_itself, with_lease = same_in_all_ways(FUNCTIONS + source)

    assert by_itself.said == [[1, 0], [1, 2 * S], [0, S]]
    if "epoll" in name:  # the others have to be made to poll what they wait for
        assert with_lease.stops < by_itself.stops - ROUNDS // 2


LOOP = """
import functools

def polls_for(ms):
    before, behind = (map(ctypes.c_long, each) for each in ((NUMBERS['NAME'], polls), (8, ms, 0, 8)))
    return functools.partial(libc.syscall, *before, events, *behind)

polls = epoll(quiet)
look, wait = polls_for(0), polls_for(1_000)
"""
"""A poll and a wait that make no system call beside."""
READS = 100
"""Of the clock in each round."""


@pytest.mark.parametrize("name", ["epoll_wait", "epoll_pwait"])
@pytest.mark.parametrize("as_cpython", [False, True], ids=["", "as of Python"])
def test_a_loop_of_waits_is_asked_less_about(name: str, as_cpython: bool) -> None:
    """Its waits end at their times, reads of the clock are allowed again after each, and its last one is refused."""
    needs(name)
    source = (
        FUNCTIONS
        + LOOP.replace("NAME", name)
        + f"""
for _ in range({ROUNDS}):
    assert look() == 0
    began = [time.monotonic_ns() for _ in range({READS})][-1]
    assert wait() == 0
    assert time.monotonic_ns() - began == S + {1000 if as_cpython else 0}
say(call({name!r}, polls, events, 0, 1_000, 0, 8), call({name!r}, quiet, events, 8, 1_000, 0, 8))
for _ in range({ROUNDS}):
    wait()
say(call('epoll_pwait', polls, events, 8, 1_000, 8, 7))
"""
    )
    by_itself, with_lease = (
        run(source, leases=leases, as_cpython=as_cpython, real_time=False, reads_before_wait=10 * READS)
        for leases in (False, True)
    )

    assert (by_itself.said, by_itself.ended) == ([[-22, -22], -22], with_lease.ended)
    assert with_lease.said == by_itself.said
    assert len(by_itself.ended) == 2 * ROUNDS
    assert with_lease.again > ROUNDS


@pytest.mark.parametrize("name", ["epoll_wait", "epoll_pwait"])
def test_a_loop_of_waits_finds_what_somebody_outside_has_written(name: str) -> None:
    needs(name)
    source = (
        FUNCTIONS
        + "quiet = 0\n"
        + LOOP.replace("NAME", name)
        + """
found = 0
while not found:
    look()
    found = wait()
say(found, now())
"""
    )
    traced = run(source, leases=True, real_time=False, input_in_loop=5, limit_ns=20 * S)

    assert traced.again == 5
    assert traced.said == [[1, len(traced.ended) * S]]
    assert len(traced.ended) < 10


@pytest.mark.parametrize("name", ["select", "pselect6"])
def test_sets_of_descriptors_are_whole_after_a_look_in_vain(name: str) -> None:
    """``select`` empties them where it finds nothing, and then it waits for the same ones."""
    needs(name)
    source = f"""
reads, writes = bits(0, quiet), bits(quiet)
rest = {"timeval" if name == "select" else "timespec"}(5 * S)
say(call('{name}', quiet + 1, reads, writes, 0, rest, 0), reads[0], writes[0], ns_of(rest), now())
"""
    traced = run(FUNCTIONS + source, leases="withdrawn", events=[(2 * S, "input", "x")])

    assert traced.said == [[1, 1, 0, 3 * S, 2 * S]]


def test_a_lock_whose_value_has_changed_is_not_waited_for() -> None:
    source = f"""
value_of_word = ctypes.c_uint32(1)
word = ctypes.addressof(value_of_word)
for value, operation in (0, 128), (1, 128), (0, 128 | 9), (1, 128 | 9):
    timeout = timespec(S) if operation == 128 else after(S)
    timed('futex', word, operation, value, timeout, 0, 0xFFFFFFFF)
timed('futex', word + 1, 128, 1, timespec(S), 0, 0)
timed('futex', word, 128 | 9, 1, after(S), 0, 0)
timed('futex', 8, 128, 1, timespec(S), 0, 0)
for _ in range({ROUNDS}):
    call('futex', word, 128, 1, timespec(S), 0, 0)
"""
    by_itself, with_lease = same_in_all_ways(source)

    assert by_itself.said == [[-11, 0], [-110, S], [-11, 0], [-110, S], [-22, 0], [-22, 0], [-14, 0]]
    assert with_lease.stops < by_itself.stops - ROUNDS // 2


def test_a_poll_is_refused_as_the_kernel_refuses_it() -> None:
    source = """
say(call('epoll_pwait', epoll(quiet), events, 0, 5_000, 0, 8), call('epoll_pwait', quiet, events, 8, 5_000, 0, 8))
say(call('epoll_pwait', 99, events, 8, 5_000, 0, 8), call('epoll_pwait', epoll(quiet), events, 8, 5_000, 8, 7))
say(call('ppoll', 8, 1, timespec(5 * S), 0, 8), call('pselect6', 61, bits(60), 0, 0, timespec(5 * S), 0))
"""
    by_itself, _ = same_in_all_ways(FUNCTIONS + source)

    assert by_itself.ns == 0


def test_another_epoll_under_the_same_number_is_looked_at() -> None:
    source = """
for _ in range(5):
    polls = epoll(quiet)
    for _ in range(5):
        call('epoll_pwait', polls, events, 8, 1_000, 0, 8)
    os.close(polls)
    assert epoll(ready) == polls
    timed('epoll_pwait', polls, events, 8, 1_000, 0, 8)
    timed('epoll_pwait', polls, events, 8, 0, 0, 8)
    os.close(polls)
"""
    by_itself, _ = same_in_all_ways(FUNCTIONS + source)

    assert by_itself.said == [[1, 0]] * 10


@pytest.mark.parametrize("one_cpu", [True, False], ids=["one processor", "all processors"])
def test_a_thread_that_is_woken_between_two_waits_works_before_time_passes(one_cpu: bool) -> None:
    source = f"""
import hashlib
begin, end = os.pipe()
lock, log = _thread.allocate_lock(), []

def work():
    while True:
        number = os.read(begin, 1)[0]
        hashlib.pbkdf2_hmac('sha256', b'', b'', 5_000)  # computes without the lock of the interpreter
        log.append((number, now()))

start(work)
start(sleep, 10_000 * S)
for number in range({ROUNDS}):
    for _ in range(3):
        sleep(S)
        libc.epoll_wait(polls, events, 8, 1_000)
        libc.epoll_wait(polls, events, 8, 0)
    if number % 3:
        os.write(end, bytes([number]))
sleep(S)
say(log == [(number, 6 * (number + 1) * S) for number in range({ROUNDS}) if number % 3], len(log))
os._exit(0)
"""
    by_itself, _ = same_in_all_ways(FUNCTIONS + "polls = epoll(quiet)\n" + source, one_cpu=one_cpu)

    assert by_itself.said == [[True, len([number for number in range(ROUNDS) if number % 3])]]


def test_time_hardly_passes_while_a_thread_works_that_somebody_outside_has_woken() -> None:
    """Nothing of the program has woken it, so that is seen at the next check of all threads, a real ms later."""
    source = """
import hashlib
took = []

def work():
    os.read(0, 1)
    began = now()
    hashlib.pbkdf2_hmac('sha256', b'', b'', 300_000)  # computes without the lock of the interpreter
    took.append(now() - began)

start(work)
while not took:
    look()
    wait()
say(took[0])
os._exit(0)
"""
    traced = run(FUNCTIONS + LOOP.replace("NAME", "epoll_pwait") + source, leases=True, input_in_loop=5)

    assert traced.said[0] < 100 * S


def test_a_signal_that_comes_between_two_waits_is_delivered() -> None:
    source = """
signal.signal(signal.SIGTERM, lambda *_: say(now()))
for _ in range(10):
    sleep(S)
"""
    traced = trace(*python(f"import signal\n{source}"), leases=True, events=[(4 * S + S // 2, "signal", 15)])

    assert (traced.status, traced.said) == (0, [4 * S + S // 2])


def test_threads_are_stopped_and_go_on_between_waits() -> None:
    source = "for _ in range(10):\n    sleep(S)\n    call('epoll_pwait', polls, events, 8, 1_000, 0, 8)\nsay(now())"
    traced = trace(
        *python(FUNCTIONS + "polls = epoll(quiet)\n" + source),
        leases=True,
        events=[(number * S + S // 2, "hold", None) for number in range(20)],
    )

    assert (traced.status, traced.said) == (0, [20 * S])


# -- connections -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server in real time, which answers each line after a moment."""

    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                threading.Event().wait(0.2)
                self.wfile.write(line)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


CONNECTS = """
connection = socket.create_connection(('127.0.0.1', {port}))
connection.sendall(b'x\\n')
say(connection.recv(100), now())
"""


def test_a_program_with_an_idle_connection_has_leases(server: int) -> None:
    """No answer is owed on the connection, so it holds nothing, even while another thread waits to receive on it."""
    source = CONNECTS.format(port=server) + f"start(connection.recv, 100)\nfor _ in range({ROUNDS}):\n    sleep(S)\n"
    by_itself, with_lease = same_in_all_ways(source + "say(now())\nos._exit(0)\n")

    assert by_itself.said == [[b"x\n", 0], ROUNDS * S]
    assert with_lease.stops < by_itself.stops - ROUNDS // 2


def test_no_lease_is_given_while_an_answer_is_owed(server: int) -> None:
    """A thread has sent a request, and waits for the answer, when another one is about to sleep."""
    needs("sched_yield")
    source = (
        CONNECTS.format(port=server)
        + f"""
has_asked, reports = os.pipe()

def ask():
    before = now()
    connection.sendall(b'x\\n')
    os.write(reports, b'x')
    connection.recv(100)
    say(now() - before)

start(ask)
os.read(has_asked, 1)
for _ in range(100):
    call('sched_yield')  # until the other one is in its wait
for _ in range({ROUNDS}):
    sleep(S)
say(now())
os._exit(0)
"""
    )
    by_itself, _ = same_in_all_ways(source)

    assert by_itself.said == [[b"x\n", 0], 0, ROUNDS * S]


# -- Go ----------------------------------------------------------------------------------------------------------------

SLEEPS = """
package main

import (
    "fmt"
    "time"
)

func main() {
    begin := time.Now()
    for i := 0; i < 600; i++ {
        time.Sleep(time.Second)
    }
    fmt.Println(time.Since(begin))
}
"""
COMPUTES = """
package main

import (
    "fmt"
    "net/http"
    "time"
)

func main() {
    http.HandleFunc("/event-invoke", func(answer http.ResponseWriter, request *http.Request) {
        go func() {
            time.Sleep(time.Second)
            for {
            }
        }()
        time.Sleep(3 * time.Second)
        fmt.Println("goes on")
    })
    http.ListenAndServe("0.0.0.0:9000", nil)
}
"""


@pytest.mark.go
def test_a_loop_in_go_stops_twice_a_sleep(build_go) -> None:
    """Once for the sleep, and once for a poll of what is ready. The runtime's monitor thread sleeps meanwhile."""
    traced = trace(build_go(SLEEPS), leases=True)

    assert (traced.out, traced.ns) == ("10m0s\n", 600 * S)
    assert traced.stops < 600 * 3


@pytest.mark.go
def test_a_goroutine_that_computes_is_preempted_as_time_passes(deploy_image, make_runtime, build_go) -> None:
    """The thread of Go's runtime that preempts it does not sleep a minute longer than it requests.

    It needs the processor for that while the goroutine computes, so time flows here, and less than 10 s in all.
    """
    runtime = make_runtime(compute_grace=0.05)
    command = [build_go(COMPUTES)]
    event = deploy_image(program(""), command=command, to=runtime, timeout=60).invoke_async()
    runtime.clock.advance(0.5)
    grow_impatient(runtime)
    runtime.clock.advance(2.5, past_held=True)
    assert user_lines(event) == []

    with runtime.clock.running(rate=0.1):
        assert eventually(lambda: user_lines(event) == ["goes on"])

    assert runtime.clock.now < START + timedelta(seconds=10)
