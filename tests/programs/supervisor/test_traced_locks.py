"""Waits of a traced program for locks, messages and the like: at their timeout, and where something ends them."""

from __future__ import annotations

import pytest
from traced_programs import S, needs, run, said, said_untraced

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

FUTEX = """
WAIT, WAKE, LOCK_PI, WAIT_BITSET, LOCK_PI2, PRIVATE, ON_REALTIME, ALL = 0, 1, 6, 9, 13, 128, 256, 0xFFFFFFFF
word = ctypes.c_uint32(0)
taken = ctypes.c_uint32(0)
gate = _thread.allocate_lock()


def hold():
    call('futex', ctypes.byref(taken), LOCK_PI | PRIVATE, 0, 0, 0, 0)
    gate.release()
    sleep(1000 * S)


def take():
    '''Have another thread take the lock that knows its owner.'''
    gate.acquire()
    start(hold)
    gate.acquire()


def wake_after(ns, private=PRIVATE):
    start(lambda: (sleep(ns), call('futex', ctypes.byref(word), WAKE | private, 1, 0, 0, 0)))

"""
TIMED_OUT, AGAIN = -110, -11


@pytest.mark.parametrize(
    ("operation", "timeout"),
    [
        ("WAIT | PRIVATE", "timespec(ns)"),
        ("WAIT", "timespec(ns)"),
        ("WAIT_BITSET | PRIVATE", "after(ns)"),
        ("WAIT_BITSET | PRIVATE | ON_REALTIME", "after(ns, REALTIME)"),
    ],
)
def test_a_futex_is_waited_for(operation: str, timeout: str) -> None:
    source = f"""
def wait(ns):
    return call('futex', ctypes.byref(word), {operation}, 0, {timeout}, 0, ALL)

timed(wait, 5 * S + 7)
timed(wait, 0)
wake_after(2 * S, ({operation}) & PRIVATE)
timed(wait, 5 * S)
word.value = 1
timed(wait, 5 * S)
"""
    assert said(FUTEX + source) == [[TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0], [0, 2 * S], [AGAIN, 0]]


@pytest.mark.parametrize(
    ("operation", "clock"), [("LOCK_PI", "REALTIME"), ("LOCK_PI2 | ON_REALTIME", "REALTIME"), ("LOCK_PI2", "MONOTONIC")]
)
def test_a_lock_that_knows_its_owner_is_waited_for(operation: str, clock: str) -> None:
    source = f"""
take()
def wait(ns):
    return call('futex', ctypes.byref(taken), {operation} | PRIVATE, 0, after(ns, {clock}), 0, 0)

timed(wait, 5 * S + 7)
timed(wait, -S)
os._exit(0)
"""
    assert said(FUTEX + source) == [[TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0]]


@pytest.mark.parametrize("clock", ["MONOTONIC", "REALTIME"])
def test_several_futexes_are_waited_for(clock: str) -> None:
    source = f"""
waiters = (ctypes.c_uint64 * 6)(0, ctypes.addressof(taken), 2 | PRIVATE, 0, ctypes.addressof(word), 2 | PRIVATE)
def wait(ns):
    return call('futex_waitv', waiters, 2, 0, after(ns, {clock}), {clock})

timed(wait, 5 * S + 7)
timed(wait, -S)
wake_after(2 * S)
timed(wait, 5 * S)
timed(lambda: call('futex_waitv', waiters, 2, 0, after(5 * S), BOOTTIME))
timed(lambda: call('futex_waitv', waiters, 2, 0, timespec(0, S), MONOTONIC))
"""
    assert said(FUTEX + source) == [[TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0], [1, 2 * S], [-22, 0], [-22, 0]]


@pytest.mark.parametrize("clock", ["MONOTONIC", "REALTIME"])
def test_a_futex_is_waited_for_by_the_newer_call(clock: str) -> None:
    source = f"""
def wait(ns, clock={clock}):
    return call('futex_wait', ctypes.byref(word), 0, ALL, 2 | PRIVATE, after(ns, clock), clock)

if wait(-S) == -errno.ENOSYS:
    say('none')
else:
    timed(wait, 5 * S + 7)
    timed(wait, -S)
    wake_after(2 * S)
    timed(wait, 5 * S)
    timed(wait, 5 * S, BOOTTIME)
"""
    found = said(FUTEX + source)
    if found == ["none"]:
        pytest.skip("needs a kernel with futex_wait")
    assert found == [[TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0], [0, 2 * S], [-22, 0]]


def test_a_futex_with_a_time_that_is_none_is_refused() -> None:
    source = """
for bad in (-1, 0), (0, -1), (0, S):
    for operation in WAIT, WAIT_BITSET, WAIT_BITSET | ON_REALTIME, LOCK_PI:
        say(call('futex', ctypes.byref(word), operation | PRIVATE, 0, timespec(*bad), 0, ALL))
say(call('futex', ctypes.byref(word), WAIT, 0, 8, 0, ALL), call('futex', 8, WAIT, 0, timespec(5 * S), 0, ALL))
"""
    traced = run(FUTEX + source)

    assert traced.said == said_untraced(FUTEX + source)
    assert traced.ns == 0


@pytest.mark.parametrize(
    "call", ["lock.acquire(timeout=5)", "threading.Semaphore(0).acquire(timeout=5)", "threading.Event().wait(5)"]
)
def test_a_lock_of_python_is_waited_for(call: str) -> None:
    source = f"lock = _thread.allocate_lock()\nlock.acquire()\ntimed(lambda: {call})"

    assert said(source) == [[False, 5 * S]]


# -- signals, semaphores, queues of messages, datagrams, files ---------------------------------------------------------


def test_a_signal_is_waited_for() -> None:
    source = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
wanted = ctypes.c_uint64(1 << signal.SIGUSR1 - 1)
def wait(ns):
    return call('rt_sigtimedwait', ctypes.byref(wanted), 0, timespec(ns), 8)

timed(wait, 5 * S + 7)
timed(wait, 0)
start(lambda: (sleep(2 * S), os.kill(os.getpid(), signal.SIGUSR1)))
timed(wait, 5 * S)
timed(lambda: call('rt_sigtimedwait', ctypes.byref(wanted), 0, timespec(0, S), 8))
timed(lambda: call('rt_sigtimedwait', ctypes.byref(wanted), 0, timespec(-1, 0), 8))
"""
    assert said(source) == [[AGAIN, 5 * S + 7], [AGAIN, 0], [10, 2 * S], [-22, 0], [-22, 0]]


def test_a_semaphore_of_system_v_is_waited_for() -> None:
    source = """
semaphore = call('semget', 0, 1, 0o600)
down, up = (struct.pack('HhH', 0, by, 0) for by in (-1, 1))
def wait(spec):
    return call('semtimedop', semaphore, down, 1, spec)

try:
    timed(wait, timespec(5 * S + 7))
    timed(wait, timespec(0))
    for spec in timespec(5 * S), 0:
        start(lambda: (sleep(2 * S), call('semtimedop', semaphore, up, 1, 0)))
        timed(wait, spec)
    timed(wait, timespec(0, S))
    timed(wait, timespec(-1, 0))
finally:
    call('semctl', semaphore, 0, 0, 0)
"""
    assert said(source) == [[AGAIN, 5 * S + 7], [AGAIN, 0], [0, 2 * S], [0, 2 * S], [-22, 0], [-22, 0]]


def test_a_wait_that_is_over_ends_however_long_the_kernel_sleeps_in_it() -> None:
    """It sleeps for the slack of its timers, with a timeout of 0 too: 50 ms here, so that the tracer sees it asleep."""
    source = """
PR_SET_TIMERSLACK = 29
call('prctl', PR_SET_TIMERSLACK, 50_000_000, 0, 0, 0)
semaphore = call('semget', 0, 1, 0o600)
down = struct.pack('HhH', 0, -1, 0)
try:
    timed(lambda: call('semtimedop', semaphore, down, 1, timespec(0)))
    timed(lambda: call('futex', ctypes.byref(word), WAIT, 0, timespec(0), 0, ALL))
finally:
    call('semctl', semaphore, 0, 0, 0)
"""
    assert said(FUTEX + source) == [[AGAIN, 0], [TIMED_OUT, 0]]


def test_a_queue_of_messages_is_waited_for() -> None:
    source = """
limits = (ctypes.c_long * 8)(0, 1, 8, 0)
name = f'pytest-scf-async-{os.getpid()}'.encode()
queue = call('mq_open', name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, limits)
if queue < 0:
    say(queue)
    raise SystemExit
call('mq_unlink', name)
message = ctypes.create_string_buffer(8)
def receive(spec):
    return call('mq_timedreceive', queue, message, 8, 0, spec)
def send(spec):
    return call('mq_timedsend', queue, message, 8, 0, spec)

timed(receive, after(5 * S + 7, REALTIME))
timed(receive, after(-S, REALTIME))
for spec in after(5 * S, REALTIME), 0:
    start(lambda: (sleep(2 * S), send(0)))
    timed(receive, spec)
timed(receive, timespec(0, S))
send(0)
timed(send, after(5 * S + 7, REALTIME))
timed(send, after(-S, REALTIME))
start(lambda: (sleep(2 * S), receive(0)))
timed(send, after(5 * S, REALTIME))
timed(receive, after(-S, REALTIME))
"""
    found = said(source)
    if found == [-38]:
        pytest.skip("needs a kernel with queues of messages")
    received = [[TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0], [8, 2 * S], [8, 2 * S], [-22, 0]]
    assert found == [*received, [TIMED_OUT, 5 * S + 7], [TIMED_OUT, 0], [0, 2 * S], [8, 0]]


RECEIVE = """
WAIT_FOR_ONE = 0x10000
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
buffers = [ctypes.create_string_buffer(8) for _ in range(4)]
parts = [(ctypes.c_uint64 * 2)(ctypes.addressof(each), 8) for each in buffers]
headers = (ctypes.c_uint64 * 32)()
for number, part in enumerate(parts):
    headers[8 * number + 2], headers[8 * number + 3] = ctypes.addressof(part), 1


def send_at(*seconds):
    def send():
        for number, second in enumerate(seconds):
            sleep((second - (seconds[number - 1] if number else 0)) * S)
            ours.send(b'%d' % second)
    start(send)


def receive(count, ns, flags=0):
    rest = None if ns is None else timespec(ns)
    result = call('recvmmsg', theirs.fileno(), headers, count, flags, 0 if ns is None else rest)
    return result, None if ns is None else ns_of(rest), [each.value.decode() for each in buffers[:max(result, 0)]]

"""


@pytest.mark.parametrize(
    ("sent", "count", "ns", "flags", "expected"),
    [
        ("1", 1, 5 * S, "0", (1, 4 * S, ["1"], 1)),
        ("1, 2, 3", 3, 5 * S, "0", (3, 2 * S, ["1", "2", "3"], 3)),
        ("1, 2, 7", 3, 5 * S, "0", (3, 0, ["1", "2", "7"], 7)),
        ("1, 6, 9", 3, 5 * S, "0", (2, 0, ["1", "6"], 6)),
        ("7", 3, 5 * S, "0", (1, 0, ["7"], 7)),
        ("5, 6", 3, 5 * S, "0", (1, 0, ["5"], 5)),
        ("2, 3", 2, 0, "0", (1, 0, ["2"], 2)),
        ("2, 3", 3, 5 * S, "WAIT_FOR_ONE", (1, 3 * S, ["2"], 2)),
        ("2, 3", 2, None, "0", (2, None, ["2", "3"], 3)),
    ],
)
def test_datagrams_are_received_until_a_time(
    sent: str, count: int, ns: int | None, flags: str, expected: tuple[int, int, list[str], int]
) -> None:
    """The kernel checks the timeout after each datagram, and never in between (recvmmsg(2), BUGS)."""
    source = f"send_at({sent})\nsay(*receive({count}, {ns}, {flags}), now())"
    *received, second = said(RECEIVE + source)[0]

    assert (*received, second // S) == expected


def test_what_stands_there_of_datagrams_is_received_at_once() -> None:
    source = """
for each in b'abc':
    ours.send(bytes((each,)))
say(*receive(2, 5 * S), now())
say(*receive(4, 5 * S, WAIT_FOR_ONE), now())
say(*receive(4, 5 * S, socket.MSG_DONTWAIT), now())
"""
    assert said(RECEIVE + source) == [[2, 5 * S, ["a", "b"], 0], [1, 5 * S, ["c"], 0], [AGAIN, 5 * S, [], 0]]


def test_a_receive_of_datagrams_with_a_bad_time_is_refused() -> None:
    source = """
for bad in (-1, 0), (0, -1), (0, S):
    say(call('recvmmsg', theirs.fileno(), headers, 2, 0, timespec(*bad)))
say(call('recvmmsg', theirs.fileno(), headers, 2, 0, 8), call('recvmmsg', 0, headers, 2, 0, timespec(5 * S)))
say(call('recvmmsg', 99, headers, 2, 0, timespec(5 * S)), receive(0, 5 * S))
"""
    traced = run(RECEIVE + source)

    assert traced.said == said_untraced(RECEIVE + source)
    assert traced.ns == 0


def test_events_of_files_are_waited_for() -> None:
    needs("io_setup")
    source = """
context, events = ctypes.c_ulong(), ctypes.create_string_buffer(32 * 8)
made = call('io_setup', 8, ctypes.byref(context))
if made < 0:
    say(made)
    raise SystemExit
def wait(spec):
    return call('io_getevents', context.value, 1, 8, events, spec)

timed(wait, timespec(5 * S + 7))
timed(wait, timespec(0))
timed(lambda: call('io_pgetevents', context.value, 1, 8, events, timespec(5 * S + 7), 0))
"""
    found = said(source)
    if found == [-38]:
        pytest.skip("needs a kernel with io_setup")
    assert found == [[0, 5 * S + 7], [0, 0], [0, 5 * S + 7]]


def test_a_ring_of_io_is_refused() -> None:
    """Programs that would use one do without: waits in it could not be seen."""
    assert said("say(call('io_uring_setup', 8, ctypes.create_string_buffer(256)))") == [-38]
