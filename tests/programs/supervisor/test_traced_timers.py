"""Timers of a traced program: those that send signals, and descriptors that can be read once a time is over."""

from __future__ import annotations

import pytest
from traced_programs import S, needs, run, said, said_untraced, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

SIGNALS = """
came = []


def note(signum, frame):
    came.append(now())


signal.signal(signal.SIGALRM, note)
signal.signal(signal.SIGUSR1, note)


def wait_for(count):
    while len(came) < count:
        signal.pause()
    return came


def itimer(every_ns, after_ns):
    return (ctypes.c_int64 * 4)(*timeval(every_ns), *timeval(after_ns))


def setting(every_ns, after_ns):
    return (ctypes.c_int64 * 4)(*timespec(every_ns), *timespec(after_ns))


def parts(setting, unit=1):
    return [ns_of(setting[:2], unit), ns_of(setting[2:], unit)]

"""


def test_a_timer_of_the_process_sends_its_signal_again_and_again() -> None:
    source = """
say(call('setitimer', 0, itimer(2 * S, 5 * S + 7_000), 0))
say(wait_for(3))
left = itimer(0, 0)
sleep(S // 2)
say(call('getitimer', 0, left), parts(left, 1_000))
say(call('setitimer', 0, itimer(0, 0), left), parts(left, 1_000))
say(call('getitimer', 0, left), parts(left, 1_000))
sleep(10 * S)
say(len(came))
"""
    assert said(SIGNALS + source) == [
        0,
        [5 * S + 7_000, 7 * S + 7_000, 9 * S + 7_000],
        [0, [2 * S, S + S // 2]],
        [0, [2 * S, S + S // 2]],
        [0, [0, 0]],
        3,
    ]


def test_a_timer_that_goes_off_once_is_over_then() -> None:
    source = """
left = itimer(0, 0)
say(call('setitimer', 0, itimer(0, 5 * S), left), parts(left, 1_000))
say(wait_for(1), call('getitimer', 0, left), parts(left, 1_000))
say(call('setitimer', 0, itimer(3 * S, 0), 0), call('getitimer', 0, left), parts(left, 1_000))
"""
    assert said(SIGNALS + source) == [[0, [0, 0]], [[5 * S], 0, [0, 0]], [0, 0, [0, 0]]]


def test_settings_of_a_timer_that_are_none_are_refused() -> None:
    source = """
for bad in (-1, 0, 1, 0), (0, -1, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1_000_000), (0, 1_000_000, 1, 0):
    say(call('setitimer', 0, (ctypes.c_int64 * 4)(*bad), 0))
say(call('setitimer', 0, 8, 0), call('getitimer', 0, 8), call('setitimer', 9, itimer(S, S), 0), call('getitimer', 9, 8))
"""
    traced = run(SIGNALS + source)

    assert traced.said == said_untraced(SIGNALS + source)
    assert traced.ns == 0


def test_an_alarm_is_reported_in_whole_seconds() -> None:
    needs("alarm")
    source = """
say(call('alarm', 5))
sleep(S // 4)
say(call('alarm', 3))
sleep(S)
sleep(S // 2)
say(call('alarm', 0), call('alarm', 0), came)
say(call('alarm', 7))
say(wait_for(1))
"""
    assert said(SIGNALS + source) == [0, 5, [2, 0, []], 0, [8 * S + 3 * S // 4]]


def test_timers_of_the_processors_time_are_the_kernels() -> None:
    source = """
signal.signal(signal.SIGVTALRM, note)
say(call('setitimer', 1, itimer(0, 20_000_000), 0))
while not came:
    sum(range(1_000))
say(came)
"""
    assert said(SIGNALS + source) == [0, [0]]


def test_an_alarm_outlives_exec_and_is_not_inherited() -> None:
    source = """
call('setitimer', 0, itimer(0, 5 * S), 0)
if os.fork():
    os.execv('/bin/sh', ['sh', '-c', 'sleep 30 & exec sleep 30'])
left = itimer(1, 1)
say(call('getitimer', 0, left), parts(left, 1_000))
sleep(7 * S)
say(now())
"""
    traced = trace(*_command(source), limit_ns=20 * S)

    assert traced.said == [[0, [0, 0]], 7 * S]
    assert traced.status == -14, "SIGALRM ended it, 5 s after it was set"
    assert (5 * S, "timer") in traced.ended


def _command(source: str) -> list[str]:
    from traced_programs import python

    return python(SIGNALS + source)


# -- timers of POSIX ---------------------------------------------------------------------------------------------------

POSIX = (
    SIGNALS
    + """
TIMER_ABSTIME, SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID = 1, 0, 1, 4


def create(clock=MONOTONIC, value=0, signum=signal.SIGUSR1, how=SIGEV_SIGNAL, thread=0):
    number = ctypes.c_int()
    event = ctypes.create_string_buffer(struct.pack('<qiii', value, signum, how, thread), 64)
    result = call('timer_create', clock, event, ctypes.byref(number))
    return result or number.value


def take(signum=signal.SIGUSR1):
    '''Wait for the blocked signal: what is told with it (si_code, the timer, the overrun, the value).'''
    wanted, found = ctypes.c_uint64(1 << signum - 1), ctypes.create_string_buffer(128)
    say(call('rt_sigtimedwait', ctypes.byref(wanted), found, 0, 8) == signum, now())
    return struct.unpack_from('<8xi4xiiq', found)

"""
)


@pytest.mark.parametrize(
    ("clock", "flags", "after"),
    [
        ("MONOTONIC", "0", "setting(2 * S, 5 * S + 7)"),
        ("REALTIME", "0", "setting(2 * S, 5 * S + 7)"),
        ("BOOTTIME", "0", "setting(2 * S, 5 * S + 7)"),
        ("MONOTONIC", "ABSOLUTE", "setting(2 * S, time.clock_gettime_ns(MONOTONIC) + 5 * S + 7)"),
        ("REALTIME", "ABSOLUTE", "setting(2 * S, time.clock_gettime_ns(REALTIME) + 5 * S + 7)"),
    ],
)
def test_a_timer_of_posix_goes_off(clock: str, flags: str, after: str) -> None:
    source = f"""
timer = create({clock})
say(call('timer_settime', timer, {flags}, {after}, 0))
say(wait_for(2))
left = setting(0, 0)
sleep(S // 2)
say(call('timer_gettime', timer, left), parts(left))
say(call('timer_settime', timer, 0, setting(S, 0), left), parts(left))
say(call('timer_gettime', timer, left), parts(left))
sleep(10 * S)
say(len(came), call('timer_getoverrun', timer), call('timer_delete', timer), call('timer_delete', timer))
say(call('timer_settime', timer, 0, setting(0, S), 0), call('timer_gettime', timer, left))
say(call('timer_getoverrun', timer))
"""
    assert said(POSIX + source) == [
        0,
        [5 * S + 7, 7 * S + 7],
        [0, [2 * S, S + S // 2]],
        [0, [2 * S, S + S // 2]],
        [0, [0, 0]],
        [2, 0, 0, -22],
        [-22, -22],
        -22,
    ]


def test_a_timer_says_who_it_is_and_how_often_it_went_off_unseen() -> None:
    source = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
timer = create(value=-1)
call('timer_settime', timer, 0, setting(S, S), 0)
code, number, overrun, value = take()
say(code, number == timer, overrun, value, call('timer_getoverrun', timer))
sleep(4 * S + S // 2)
code, number, _, value = take()
say(code, number == timer, value, call('timer_getoverrun', timer))
take()
say(call('timer_getoverrun', timer))
"""
    assert said(POSIX + source) == [
        [True, S],
        [-2, True, 0, -1, 0],
        [True, 5 * S + S // 2],
        [-2, True, -1, 3],
        [True, 6 * S],
        0,
    ]


def test_a_timer_that_is_set_to_a_past_time_goes_off_at_once() -> None:
    source = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
timer = create()
call('timer_settime', timer, ABSOLUTE, setting(S, time.monotonic_ns() - 3 * S - S // 2), 0)
take()
say(call('timer_getoverrun', timer))
take()
"""
    assert said(POSIX + source) == [[True, 0], 3, [True, S // 2]]


def test_the_number_of_a_timer_is_its_value_where_nothing_is_asked_for() -> None:
    source = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
number = ctypes.c_int()
for _ in range(3):
    call('timer_create', MONOTONIC, 0, ctypes.byref(number))
call('timer_settime', number.value, 0, setting(0, 5 * S), 0)
code, timer, overrun, value = take(signal.SIGALRM)
say(timer == number.value, value & 0xFFFFFFFF == number.value)
"""
    assert said(POSIX + source) == [[True, 5 * S], [True, True]]


def test_a_timer_sends_its_signal_to_one_thread_or_to_none() -> None:
    source = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
def wait():
    timer = create(how=SIGEV_THREAD_ID, thread=_thread.get_native_id())
    call('timer_settime', timer, 0, setting(0, 2 * S), 0)
    take()
start(wait)
silent = create(how=SIGEV_NONE)
call('timer_settime', silent, 0, setting(0, S), 0)
left = setting(0, 0)
sleep(S // 2)
say(call('timer_gettime', silent, left), parts(left))
sleep(10 * S)
say(call('timer_gettime', silent, left), parts(left), call('timer_getoverrun', silent), list(signal.sigpending()))
"""
    assert said(POSIX + source) == [[0, [0, S // 2]], [True, 2 * S], [0, [0, 0], 0, []]]


def test_settings_of_a_timer_of_posix_that_are_none_are_refused() -> None:
    source = """
timer = create()
for bad in (-1, 0, 1, 0), (0, -1, 1, 0), (0, 0, -1, 0), (0, 0, 0, S), (0, S, 1, 0):
    say(call('timer_settime', timer, 0, (ctypes.c_int64 * 4)(*bad), 0))
say(call('timer_settime', timer, 0, 0, 0), call('timer_settime', timer, 0, 8, 0), call('timer_gettime', timer, 8))
say(call('timer_settime', 99, 0, setting(0, S), 0), call('timer_create', 99, 0, 0), create(signum=99))
"""
    traced = run(POSIX + source)

    assert traced.said == said_untraced(POSIX + source)
    assert traced.ns == 0


def test_a_timer_of_posix_neither_outlives_exec_nor_is_inherited() -> None:
    source = """
call('timer_settime', create(), 0, setting(0, 2 * S), 0)
if os.fork() == 0:
    sleep(9 * S)
    say(came)
    os._exit(0)
os.execv('/bin/sh', ['sh', '-c', 'sleep 5; echo 5'])
"""
    traced = trace(*_command(POSIX[len(SIGNALS) :] + source))

    assert (traced.status, traced.said, traced.ns // S) == (0, [5, []], 9)


# -- descriptors -------------------------------------------------------------------------------------------------------

DESCRIPTORS = (
    SIGNALS
    + """
def create(clock=MONOTONIC, flags=0):
    return call('timerfd_create', clock, flags)


def read(fd):
    '''How often it has gone off, and when that was read.'''
    try:
        return struct.unpack('<Q', os.read(fd, 8))[0], now()
    except BlockingIOError:
        return None

"""
)


@pytest.mark.parametrize(
    ("clock", "flags", "after"),
    [
        ("MONOTONIC", "0", "setting(2 * S, 5 * S + 7)"),
        ("REALTIME", "0", "setting(2 * S, 5 * S + 7)"),
        ("BOOTTIME", "0", "setting(2 * S, 5 * S + 7)"),
        ("MONOTONIC", "ABSOLUTE", "setting(2 * S, time.clock_gettime_ns(MONOTONIC) + 5 * S + 7)"),
        ("REALTIME", "ABSOLUTE", "setting(2 * S, time.clock_gettime_ns(REALTIME) + 5 * S + 7)"),
    ],
)
def test_a_descriptor_can_be_read_once_its_time_is_over(clock: str, flags: str, after: str) -> None:
    source = f"""
fd = create({clock})
say(call('timerfd_settime', fd, {flags}, {after}, 0))
say(read(fd), read(fd))
left = setting(0, 0)
sleep(S // 2)
say(call('timerfd_gettime', fd, left), parts(left))
say(call('timerfd_settime', fd, 0, setting(0, 0), left), parts(left))
say(call('timerfd_gettime', fd, left), parts(left))
os.set_blocking(fd, False)
sleep(10 * S)
say(read(fd))
"""
    assert said(DESCRIPTORS + source) == [
        0,
        [(1, 5 * S + 7), (1, 7 * S + 7)],
        [0, [2 * S, S + S // 2]],
        [0, [2 * S, S + S // 2]],
        [0, [0, 0]],
        None,
    ]


def test_a_read_reports_how_often_the_time_was_over() -> None:
    source = """
fd = create(flags=os.O_NONBLOCK)
call('timerfd_settime', fd, 0, setting(2 * S, S), 0)
for ns in (S - 1, 2, 2 * S, 9 * S, 0, S):
    sleep(ns)
    say(read(fd))
call('timerfd_settime', fd, ABSOLUTE, setting(S, time.monotonic_ns() - 3 * S - S // 2), 0)
sleep(0)
say(read(fd) or select.select([fd], [], [], 5) and read(fd))
sleep(5 * S)
call('timerfd_settime', fd, 0, setting(0, 7 * S), 0)
say(read(fd))
"""
    assert said(DESCRIPTORS + source) == [
        None,
        (1, S + 1),
        (1, 3 * S + 1),
        (4, 12 * S + 1),
        None,
        (1, 13 * S + 1),
        (4, 13 * S + 1),
        None,
    ]


@pytest.mark.parametrize("wait", ["select.select([fd], [], [], 30)", "polls.poll(30)", "(os.read(fd, 8), fd)"])
def test_a_descriptor_ends_a_wait_for_it(wait: str) -> None:
    source = f"""
fd = create()
polls = select.epoll()
polls.register(fd)
call('timerfd_settime', fd, 0, setting(0, 5 * S), 0)
say(bool({wait}[0]), now())
"""
    assert said(DESCRIPTORS + source) == [[True, 5 * S]]


@pytest.mark.parametrize(
    "keep",
    [
        "fd, old = os.dup(fd), fd; os.close(old)",
        "pid = os.fork(); pid and os.close(fd); pid and os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
        "os.fork() and os._exit(0)",
        "fd = os.dup2(fd, 77); call('close', 3)",
    ],
)
def test_a_timer_lives_as_long_as_a_descriptor_of_it(keep: str) -> None:
    source = f"""
fd = create()
os.set_inheritable(fd, True)
call('timerfd_settime', fd, 0, setting(2 * S, 5 * S), 0)
{keep}
say(read(fd), read(fd))
"""
    assert said(DESCRIPTORS + source) == [[(1, 5 * S), (1, 7 * S)]]


@pytest.mark.parametrize("end", ["os.close(fd)", "subprocess.Popen(['sleep', '3']); os.close(fd)"])
def test_a_timer_whose_descriptors_are_closed_moves_no_clock(end: str) -> None:
    source = f"""
fd = create(flags=os.O_CLOEXEC)
call('timerfd_settime', fd, 0, setting(S, 5 * S), 0)
{end}
sleep(9 * S)
"""
    traced = run(DESCRIPTORS + source)

    assert {name for _, name in traced.ended} == {"clock_nanosleep"}


def test_settings_of_a_descriptor_that_are_none_are_refused() -> None:
    source = """
fd = create()
for bad in (-1, 0, 1, 0), (0, -1, 1, 0), (0, 0, -1, 0), (0, 0, 0, S), (0, S, 1, 0):
    say(call('timerfd_settime', fd, 0, (ctypes.c_int64 * 4)(*bad), 0))
say(call('timerfd_settime', fd, 8, setting(0, S), 0), call('timerfd_settime', fd, 0, 8, 0))
say(call('timerfd_gettime', fd, 8))
say(call('timerfd_settime', 0, 0, setting(0, S), 0), call('timerfd_settime', 99, 0, setting(0, S), 0))
say(call('timerfd_gettime', 0, setting(0, S)), call('timerfd_gettime', 99, setting(0, S)))
"""
    traced = run(DESCRIPTORS + source)

    assert traced.said == said_untraced(DESCRIPTORS + source)
    assert traced.ns == 0


def test_a_refused_setting_leaves_a_descriptor_as_it_was() -> None:
    source = """
fd = create()
call('timerfd_settime', fd, 0, setting(0, S), 0)
sleep(2 * S)
say(call('timerfd_settime', fd, 0, setting(-S, S), 0), read(fd))
"""
    assert said(DESCRIPTORS + source) == [[-22, (1, 2 * S)]]
