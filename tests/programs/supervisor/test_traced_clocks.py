"""Clocks of a traced program: all its ways to read one show the simulated time, in nanoseconds."""

from __future__ import annotations

import pytest
from traced_programs import S, needs, run, said, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

START_NS, UPTIME_NS = 2_524_608_000 * S, 10_000_000 * S
STEP = 5 * S + 123_456_789
READS = """
def raw(clock):
    spec = timespec(0)
    assert call('clock_gettime', clock, spec) == 0
    return ns_of(spec)


def by_libc(clock):
    spec = timespec(0)
    assert libc.clock_gettime(clock, spec) == 0
    return ns_of(spec)


libc.time.restype = ctypes.c_long
"""
"""``by_libc`` reads in the vDSO, where there is one."""

REALTIME_CLOCKS = {"REALTIME": 0, "REALTIME_COARSE": 5, "REALTIME_ALARM": 8, "TAI": 11}
MONOTONIC_CLOCKS = {"MONOTONIC": 1, "MONOTONIC_RAW": 4, "MONOTONIC_COARSE": 6, "BOOTTIME": 7, "BOOTTIME_ALARM": 9}


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
@pytest.mark.parametrize("clock", [*REALTIME_CLOCKS, *MONOTONIC_CLOCKS])
def test_a_clock_shows_the_simulated_time(clock: str, vdso: bool) -> None:
    number = {**REALTIME_CLOCKS, **MONOTONIC_CLOCKS}[clock]
    source = f"for _ in range(2):\n    say(raw({number}), by_libc({number}))\n    sleep({STEP})\n"
    start = START_NS if clock in REALTIME_CLOCKS else UPTIME_NS

    assert said(READS + source, vdso=vdso) == [[start, start], [start + STEP, start + STEP]]


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
def test_the_older_calls_show_it_as_well(vdso: bool) -> None:
    source = f"""
sleep({STEP})
value, zone = timeval(0), (ctypes.c_int * 2)(7, 7)
say(libc.gettimeofday(value, 0), ns_of(value, 1_000))
say(libc.gettimeofday(value, zone), zone[0])
stored = ctypes.c_long()
say(libc.time(0), libc.time(ctypes.byref(stored)), stored.value)
"""
    now = START_NS + STEP

    assert said(READS + source, vdso=vdso) == [[0, now // 1_000 * 1_000], [0, 0], [now // S] * 3]


def test_the_older_calls_show_it_as_system_calls() -> None:
    needs("time", "gettimeofday")
    source = f"""
sleep({STEP})
value, stored = timeval(0), ctypes.c_long()
zone = (ctypes.c_int * 2)(7, 7)
say(call('gettimeofday', value, zone), ns_of(value, 1_000), list(zone), call('gettimeofday', 8, 0))
say(call('time', 0), call('time', ctypes.byref(stored)), stored.value, call('time', 8))
"""
    now = START_NS + STEP

    assert said(READS + source) == [[0, now // 1_000 * 1_000, [0, 0], -14], [*[now // S] * 3, -14]]


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
def test_clocks_of_processor_time_and_clocks_that_are_none_are_the_kernels(vdso: bool) -> None:
    source = """
for clock in 2, 3:
    before = raw(clock)
    sum(range(100_000))
    say(0 < before < by_libc(clock) < 60 * S)
say([libc.clock_gettime(clock, timespec(0)) for clock in (-1, 10, 12, 99)])
say([call('clock_gettime', clock, timespec(0)) for clock in (-1, 12, 99)], call('clock_gettime', 0, 8))
"""
    assert said(READS + source, vdso=vdso) == [True, True, [-1] * 4, [[-22] * 3, -14]]


def test_time_stands_while_a_program_computes() -> None:
    source = """
sum(range(3_000_000))
say(now(), time.time_ns(), len({time.monotonic_ns() for _ in range(10_000)}))
"""
    assert said(source) == [[0, START_NS, 1]]


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
@pytest.mark.parametrize("read", ["time.monotonic_ns()", "time.time_ns()", "time.clock_gettime_ns(BOOTTIME)"])
def test_a_loop_that_polls_the_clock_ends_at_its_time(read: str, vdso: bool) -> None:
    """After many reads in a row each further one is a wait of 1 ms, or one in a thousand is."""
    source = f"""
end = {read} + 50_000_000
while {read} < end:
    pass
say(now())
"""
    assert said(source, vdso=vdso, reads_before_wait=50) == [50_000_000]


def test_a_program_that_waits_between_its_reads_may_read_as_often_as_it_likes() -> None:
    source = """
for _ in range(30):
    for _ in range(80):
        time.monotonic_ns()
    sleep(1)
say(now())
"""
    for vdso in True, False:
        assert said(source, vdso=vdso, reads_before_wait=100) == [30]


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
def test_a_program_that_writes_between_its_reads_may_read_as_often_as_it_likes(vdso: bool) -> None:
    source = """
nothing = os.open('/dev/null', os.O_WRONLY)
for _ in range(1_000):
    time.monotonic_ns()
    os.write(nothing, b'-')
for _ in range(100):
    time.monotonic_ns()
    os.write(2, b'')
say(now())
"""
    assert said(source, vdso=vdso, reads_before_wait=50) == [0]


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
@pytest.mark.parametrize("wait", ["sleep(0)", "libc.select(0, 0, 0, 0, timeval(0))"])
def test_waits_of_no_length_are_none(wait: str, vdso: bool) -> None:
    source = f"""
end = time.monotonic_ns() + 20_000_000
while time.monotonic_ns() < end:
    {wait}
say(now())
"""
    assert said(source, vdso=vdso, reads_before_wait=50) == [20_000_000]


POLLS = {"poll": "polled.poll(0)", "epoll": "polled.poll(0)", "sched_yield": "os.sched_yield()"}
"""By name: a wait of no length at which the filter stops no thread."""


@pytest.mark.repeat
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", POLLS)
def test_polls_between_reads_make_them_a_loop_that_polls_the_clock(name: str, threads: int) -> None:
    source = f"""
end, passes = time.monotonic_ns() + 1, 0
def poll():
    global passes
    polled = select.epoll() if {name!r} == 'epoll' else select.poll()
    while time.monotonic_ns() < end:
        {POLLS[name]}
        passes += 1
for _ in range({threads - 1}):
    start(poll)
poll()
say(passes, now())
sleep(S)
"""
    ((passes, ns),) = said(source, as_cpython=True, reads_before_wait=1_000)

    assert ns == 1_000_000
    assert 500 <= passes <= 5_000  # without the polls 100,000


def test_who_sends_and_receives_between_polls_does_not_poll_the_clock() -> None:
    source = """
ours, theirs = socket.socketpair()
polled = select.epoll()
polled.register(ours, select.EPOLLIN)
for _ in range(5_000):
    theirs.send(b'-')
    time.monotonic_ns()
    polled.poll(0)
    time.monotonic_ns()
    ours.recv(1)
say(now())
"""
    assert said(source, as_cpython=True, reads_before_wait=1_000) == [0]


def test_two_processes_may_poll_the_clock() -> None:
    source = """
child = os.fork()
end = time.monotonic_ns() + (20_000_000 if child else 30_000_000)
while time.monotonic_ns() < end:
    pass
say(bool(child), now())
if child:
    os.waitpid(child, 0)
"""
    (_, first), (_, second) = said(source, reads_before_wait=1_000)  # they share the count of their reads

    assert 20_000_000 <= first <= 22_000_000
    assert 30_000_000 <= second <= 32_000_000


@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
def test_a_program_that_is_executed_sees_the_same_time(vdso: bool) -> None:
    source = """
sleep(60 * S)
os.execv('/bin/sh', ['sh', '-c', 'date +%s; sleep 60; date +%s'])
"""
    seconds = START_NS // S

    assert run(source, vdso=vdso).said == [seconds + 60, seconds + 120]


NODE = """
const began = [Date.now(), performance.now()]
const report = () => console.log(JSON.stringify([Date.now() - began[0], Math.round(performance.now() - began[1])]))
setTimeout(report, 3600000)
"""


@pytest.mark.nodejs
def test_node_waits_an_hour() -> None:
    assert trace("node", "-e", NODE).said == [[3_600_000, 3_600_000]]
