"""What ends a wait of a traced program before its time: signals, by the rules of signal(7), and stops."""

from __future__ import annotations

from typing import Any

import pytest
from traced_programs import S, needs, run, said, said_untraced, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

HANDLERS = """
class Action(ctypes.Structure):
    _fields_ = (
        ('handler', ctypes.c_void_p),
        ('mask', ctypes.c_uint64 * 16),
        ('flags', ctypes.c_int),
        ('restorer', ctypes.c_void_p),
    )


RESTARTS = 0x10000000
came = []
noted = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda signum: came.append(now()))
"""
"""Handlers of C, so that what a call returns is what the program sees: Python makes calls again that end with EINTR."""

FUNCTIONS = (
    HANDLERS
    + """

def handle(signum, flags=0):
    action = Action(handler=ctypes.cast(noted, ctypes.c_void_p).value, flags=flags)
    assert libc.sigaction(signum, ctypes.byref(action), 0) == 0


def send_after(ns, signum, then=None):
    '''Have a child send a signal to this thread, which is the first one.'''
    pid = os.getpid()
    if os.fork() == 0:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        sleep(ns)
        os.kill(pid, signum)
        if then is not None:
            sleep(then[0])
            os.kill(pid, then[1])
        os._exit(0)


word = ctypes.c_uint32(0)
events = ctypes.create_string_buffer(1024)
quiet, _quiet = os.pipe()
polls = call('epoll_create1', 0)
libc.epoll_ctl(polls, 1, quiet, struct.pack('<IQ' if NUMBERS['poll'] == 7 else '<IxxxxQ', 1, 0))
pollfd = ctypes.create_string_buffer(struct.pack('ihh', quiet, 1, 0), 8)
bits = (ctypes.c_uint64 * 16)(1 << quiet)
wanted = ctypes.c_uint64(1 << signal.SIGUSR2 - 1)
waiters = (ctypes.c_uint64 * 3)(0, ctypes.addressof(word), 2 | 128)
limits = (ctypes.c_long * 8)(0, 1, 8, 0)


def queue():
    name = f'pytest-scf-async-{os.getpid()}'.encode()
    made = call('mq_open', name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, limits)
    call('mq_unlink', name)
    return made


def semaphore():
    made = call('semget', 0, 1, 0o600)
    return made


def drop(made):
    call('semctl', made, 0, 0, 0)


def aio():
    context = ctypes.c_ulong()
    call('io_setup', 8, ctypes.byref(context))
    return context.value

"""
)

CALLS = {
    "nanosleep": "call('nanosleep', timespec(9 * S), 0)",
    "clock_nanosleep": "call('clock_nanosleep', MONOTONIC, 0, timespec(9 * S), 0)",
    "clock_nanosleep until": "call('clock_nanosleep', MONOTONIC, ABSOLUTE, after(9 * S), 0)",
    "poll": "call('poll', pollfd, 1, 9_000)",
    "ppoll": "call('ppoll', pollfd, 1, timespec(9 * S), 0, 8)",
    "select": "call('select', quiet + 1, bits, 0, 0, timeval(9 * S))",
    "pselect6": "call('pselect6', quiet + 1, bits, 0, 0, timespec(9 * S), 0)",
    "epoll_wait": "call('epoll_wait', polls, events, 8, 9_000)",
    "epoll_pwait": "call('epoll_pwait', polls, events, 8, 9_000, 0, 8)",
    "epoll_pwait2": "call('epoll_pwait2', polls, events, 8, timespec(9 * S), 0, 8)",
    "futex": "call('futex', ctypes.byref(word), 0 | 128, 0, timespec(9 * S), 0, 0)",
    "futex until": "call('futex', ctypes.byref(word), 9 | 128, 0, after(9 * S), 0, 0xFFFFFFFF)",
    "futex_waitv": "call('futex_waitv', waiters, 1, 0, after(9 * S), MONOTONIC)",
    "rt_sigtimedwait": "call('rt_sigtimedwait', ctypes.byref(wanted), 0, timespec(9 * S), 8)",
    "semtimedop": "call('semtimedop', made, struct.pack('HhH', 0, -1, 0), 1, timespec(9 * S))",
    "mq_timedreceive": "call('mq_timedreceive', made, events, 8, 0, after(9 * S, REALTIME))",
    "recvmmsg": "call('recvmmsg', made, header, 1, 0, timespec(9 * S))",
    "io_getevents": "call('io_getevents', made, 1, 8, events, timespec(9 * S))",
}
MADE = {
    "semtimedop": "made = semaphore()",
    "mq_timedreceive": "made = queue()",
    "recvmmsg": "sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nmade = sockets[0].fileno()\n"
    "header = (ctypes.c_uint64 * 8)()",
    "io_getevents": "made = aio()",
}
AT_TIME = {
    "futex": -110, "futex until": -110, "futex_waitv": -110, "rt_sigtimedwait": -11, "semtimedop": -11,
    "mq_timedreceive": -110,
}  # fmt: skip
"""What a call returns at its time, where that is not 0; `recvmmsg` does not end then."""
RESTARTED = {"futex_waitv", "mq_timedreceive", "recvmmsg"}
"""With SA_RESTART. No other one is: signal(7)."""
ENDED_BY_STOPS = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "rt_sigtimedwait", "semtimedop", "io_getevents"}


def _interrupted(name: str, before: str, **options: Any) -> list[object]:
    """What the call returns and when, if *before* is done first; then the times at which the handler ran."""
    needs(name.partition(" ")[0])
    source = f"""
{MADE.get(name, "made = None")}
{before}
timed(lambda: {CALLS[name]})
say(came)
drop(made) if {name == "semtimedop"} else None
os._exit(0)
"""
    traced = run(FUNCTIONS + source, **options)
    if [-38, 0] in traced.said:
        pytest.skip(f"needs a kernel with {name}")
    return traced.said


@pytest.mark.parametrize("name", CALLS)
def test_a_caught_signal_ends_a_wait(name: str) -> None:
    assert _interrupted(name, "handle(signal.SIGUSR1)\nsend_after(2 * S, signal.SIGUSR1)") == [[-4, 2 * S], [2 * S]]


@pytest.mark.parametrize("name", sorted(set(CALLS) - RESTARTED))
def test_it_does_even_if_its_handler_restarts_calls(name: str) -> None:
    before = "handle(signal.SIGUSR1, RESTARTS)\nsend_after(2 * S, signal.SIGUSR1)"

    assert _interrupted(name, before) == [[-4, 2 * S], [2 * S]]


@pytest.mark.parametrize("name", sorted(RESTARTED - {"recvmmsg"}))
def test_a_wait_that_is_started_again_ends_when_it_would_have(name: str) -> None:
    before = "handle(signal.SIGUSR1, RESTARTS)\nsend_after(2 * S, signal.SIGUSR1)"

    assert _interrupted(name, before) == [[AT_TIME[name], 9 * S], [2 * S]]


@pytest.mark.parametrize("ignored", ["signal.SIGCHLD", "signal.SIGWINCH", "signal.SIGCONT", "signal.SIGUSR1"])
@pytest.mark.parametrize("name", ["nanosleep", "poll", "epoll_wait", "futex", "rt_sigtimedwait"])
def test_a_signal_that_is_ignored_ends_no_wait(name: str, ignored: str) -> None:
    before = (
        f"{'' if 'USR' not in ignored else f'signal.signal({ignored}, signal.SIG_IGN)'}\nsend_after(2 * S, {ignored})"
    )

    assert _interrupted(name, before) == [[AT_TIME.get(name, 0), 9 * S], []]


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"nanosleep", "poll", "epoll_wait", "futex", "rt_sigtimedwait"}))
def test_the_end_of_a_child_ends_no_wait(name: str) -> None:
    if name == "recvmmsg":
        before = "send_after(2 * S, signal.SIGCHLD)\nstart(lambda: (sleep(9 * S), sockets[1].send(b'x')))"
        assert _interrupted(name, before) == [[1, 9 * S], []]
    else:
        assert _interrupted(name, "send_after(2 * S, signal.SIGCHLD)") == [[AT_TIME.get(name, 0), 9 * S], []]


@pytest.mark.parametrize(
    ("call", "wake", "result"),
    [
        ("'epoll_pwait', polls, events, 8, -1, 0, 8", "os.write(_quiet, b'x')", 1),
        ("'poll', pollfd, 1, -1", "os.write(_quiet, b'x')", 1),
        ("'ppoll', pollfd, 1, 0, 0, 8", "os.write(_quiet, b'x')", 1),
        ("'rt_sigtimedwait', ctypes.byref(wanted), 0, 0, 8", "os.kill(os.getpid(), signal.SIGUSR2)", 12),
        ("'semop', made, change(-1), 1", "call('semop', made, change(1), 1)", 0),
        ("'futex', ctypes.byref(word), 128, 0, 0, 0, 0", "call('futex', ctypes.byref(word), 1 | 128, 1, 0, 0, 0)", 0),
    ],
)
def test_nor_does_it_end_a_wait_without_a_timeout(call: str, wake: str, result: int) -> None:
    needs(call.split("'", 2)[1])
    source = f"""
def change(by):
    return struct.pack('HhH', 0, by, 0)

made = semaphore() if 'semop' in {call!r} else None
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR2}})
send_after(2 * S, signal.SIGCHLD)
start(lambda: (sleep(9 * S), {wake}))
timed({call})
made is None or drop(made)
"""
    assert said(FUNCTIONS + source) == [[result, 9 * S]]


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"recvmmsg"}))
@pytest.mark.parametrize(("seconds", "ends"), [(3, 9), (10, 12)], ids=["shortly", "past its time"])
def test_a_stop_takes_its_time(name: str, seconds: int, ends: int) -> None:
    """A program that is stopped and goes on waits until its time; if that is past, the wait is over at once."""
    before = f"send_after(2 * S, signal.SIGSTOP, ({seconds} * S, signal.SIGCONT))"
    expected = [-4, (2 + seconds) * S] if name in ENDED_BY_STOPS else [AT_TIME.get(name, 0), ends * S]

    assert _interrupted(name, before) == [expected, []]


@pytest.mark.parametrize("name", CALLS)
def test_a_gate_takes_no_time_and_ends_no_wait(name: str) -> None:
    """All threads are stopped there, and go on: the program sees nothing of that."""
    before = "start(lambda: (sleep(9 * S), sockets[1].send(b'x')))" if name == "recvmmsg" else ""
    expected = [1 if name == "recvmmsg" else AT_TIME.get(name, 0), 9 * S]

    assert _interrupted(name, before, events=[(2 * S, "hold", None), (4 * S, "hold", None)]) == [expected, []]


@pytest.mark.parametrize("flags", ["0", "RESTARTS"])
def test_a_wait_for_a_lock_that_knows_its_owner_goes_on_after_a_signal(flags: str) -> None:
    source = f"""
taken, gate = ctypes.c_uint32(0), _thread.allocate_lock()

def hold():
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})  # the kernel may choose any thread that takes it
    call('futex', ctypes.byref(taken), 6 | 128, 0, 0, 0, 0)
    gate.release()
    sleep(60 * S)

gate.acquire()
start(hold)
gate.acquire()
handle(signal.SIGUSR1, {flags})
send_after(2 * S, signal.SIGUSR1)
timed('futex', ctypes.byref(taken), 6 | 128, 0, after(9 * S, REALTIME), 0, 0)
say(came)
os._exit(0)
"""
    assert said(FUNCTIONS + source) == [[-110, 9 * S], [2 * S]]


@pytest.mark.parametrize(
    ("name", "rest", "left"),
    [
        ("nanosleep", "call('nanosleep', timespec(9 * S + 5), rest)", 7 * S + 5),
        ("clock_nanosleep", "call('clock_nanosleep', REALTIME, 0, timespec(9 * S + 5), rest)", 7 * S + 5),
        ("clock_nanosleep", "call('clock_nanosleep', MONOTONIC, ABSOLUTE, after(9 * S), rest)", 1),
        ("ppoll", "ns_of(rest) and call('ppoll', pollfd, 1, rest, 0, 8)", 7 * S),
        ("pselect6", "call('pselect6', quiet + 1, bits, 0, 0, rest, 0)", 7 * S),
    ],
)
def test_an_interrupted_wait_reports_the_rest_of_its_time(name: str, rest: str, left: int) -> None:
    needs(name)
    ns = 9 * S if "poll" in name or "select" in name else 1
    source = f"""
handle(signal.SIGUSR1)
send_after(2 * S, signal.SIGUSR1)
rest = timespec({ns})
say({rest}, ns_of(rest))
"""
    assert said(FUNCTIONS + source) == [[-4, left]]


def test_a_sleep_that_is_made_again_for_its_rest_lasts_as_long_as_asked() -> None:
    source = """
handle(signal.SIGUSR1)
for second in 1, 2, 3:
    send_after(second * S, signal.SIGUSR1)
rest, times = timespec(9 * S + 5), 0
while call('nanosleep', rest, rest) == -4:
    times += 1
say(times, now(), came)
"""
    assert said(FUNCTIONS + source) == [[3, 9 * S + 5, [S, 2 * S, 3 * S]]]


def test_a_wait_that_follows_an_interrupted_one_has_its_own_time() -> None:
    """Made again at the same place of the program, after a signal and after a stop."""
    source = """
def wait():
    return call('epoll_pwait', polls, events, 8, 9_000, 0, 8)

handle(signal.SIGUSR1)
send_after(2 * S, signal.SIGUSR1)
send_after(13 * S, signal.SIGSTOP, (S, signal.SIGCONT))
for _ in range(4):
    timed(wait)
"""
    assert said(FUNCTIONS + source) == [[-4, 2 * S], [0, 9 * S], [-4, 3 * S], [0, 9 * S]]


def test_python_makes_a_wait_again_that_a_signal_has_interrupted() -> None:
    source = """
signal.signal(signal.SIGUSR1, lambda *_: say(now()))
pid = os.getpid()
start(lambda: (sleep(2 * S), os.kill(pid, signal.SIGUSR1)))
time.sleep(9)
say(now())
select.select([quiet := os.pipe()[0]], [], [], 9)
say(now())
"""
    assert said(source) == [2 * S, 9 * S, 18 * S]


@pytest.mark.parametrize("signum", [15, 9, 10])
def test_a_signal_that_is_not_caught_ends_the_program(signum: int) -> None:
    traced = trace("sleep", "60", events=[(5 * S, "signal", signum)])

    assert (traced.end, traced.status, traced.ns) == ("ended", -signum, 5 * S)


def test_a_trap_of_a_shell_runs_when_its_command_ends() -> None:
    command = "trap 'echo $SECONDS; exit 7' TERM; for i in 1 2 3 4 5; do sleep 4; done"
    traced = trace("bash", "-c", command, events=[(6 * S, "signal", 15)])

    assert (traced.out, traced.status, traced.ns // S) == ("8\n", 7, 8)


def test_a_program_that_stops_itself_can_be_made_to_go_on() -> None:
    command = "(sleep 5; kill -CONT $$) & echo $SECONDS; kill -STOP $$; echo $SECONDS; sleep 2; echo $SECONDS"

    assert trace("bash", "-c", command).out.split() == ["0", "5", "7"]


def test_all_threads_of_a_stopped_program_stand() -> None:
    source = """
def tick():
    while True:
        sleep(S)
        ticks.append(now())

ticks = []
pid = os.getpid()
for _ in range(3):
    start(tick)
send_after(2 * S + 1, signal.SIGSTOP, (3 * S, signal.SIGCONT))
sleep(7 * S)
say(sorted(ticks))
"""
    assert said(FUNCTIONS + source) == [sorted([S, 2 * S, 5 * S + 1, 6 * S + 1] * 3)]


def test_a_program_that_is_stopped_for_good_waits() -> None:
    traced = trace("sh", "-c", "kill -STOP $$; sleep 5")

    assert (traced.end, traced.ns) == ("waits", 0)


def test_refusals_are_the_kernels() -> None:
    """What a signal does to a wait that cannot begin: nothing."""
    source = "handle(signal.SIGUSR1)\nsay(call('ppoll', 8, 1, timespec(S), 0, 8), call('nanosleep', timespec(-1), 0))\n"

    assert run(FUNCTIONS + source).said == said_untraced(FUNCTIONS + source)
