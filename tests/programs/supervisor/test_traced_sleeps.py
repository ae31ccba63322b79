"""Sleeps of a traced program: each lasts as requested, to the nanosecond, and refuses what the kernel refuses."""

from __future__ import annotations

import pytest
from traced_programs import S, python, run, said_untraced, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

ODD = 5 * S + 123_456_789


@pytest.mark.parametrize(
    ("call", "ns"),
    [
        (f"timed('nanosleep', timespec({ODD}), 0)", ODD),
        ("timed('nanosleep', timespec(1), 0)", 1),
        ("timed('nanosleep', timespec(0), 0)", 0),
        ("timed('nanosleep', timespec(0), timespec(7))", 0),
        ("timed('nanosleep', timespec(86_400 * S), 0)", 86_400 * S),
        (f"timed('clock_nanosleep', REALTIME, 0, timespec({ODD}), 0)", ODD),
        (f"timed('clock_nanosleep', MONOTONIC, 0, timespec({ODD}), 0)", ODD),
        (f"timed('clock_nanosleep', BOOTTIME, 0, timespec({ODD}), 0)", ODD),
        (f"timed('clock_nanosleep', TAI, 0, timespec({ODD}), 0)", ODD),
        (f"timed('clock_nanosleep', REALTIME, ABSOLUTE, after({ODD}, REALTIME), 0)", ODD),
        (f"timed('clock_nanosleep', MONOTONIC, ABSOLUTE, after({ODD}), 0)", ODD),
        (f"timed('clock_nanosleep', BOOTTIME, ABSOLUTE, after({ODD}, BOOTTIME), 0)", ODD),
        (f"timed('clock_nanosleep', TAI, ABSOLUTE, after({ODD}, TAI), 0)", ODD),
        ("timed('clock_nanosleep', REALTIME, ABSOLUTE, after(0, REALTIME), 0)", 0),
        ("timed('clock_nanosleep', MONOTONIC, ABSOLUTE, after(-S), 0)", 0),
        ("timed('clock_nanosleep', REALTIME, ABSOLUTE, timespec(1), 0)", 0),
        ("timed('clock_nanosleep', MONOTONIC, 0, timespec(0), 0)", 0),
    ],
)
@pytest.mark.parametrize("leases", [False, True], ids=["", "lease"])
def test_a_sleep_lasts_as_long_as_asked(call: str, ns: int, leases: bool) -> None:
    traced = run(call, leases=leases)

    assert traced.said == [[0, ns]]
    assert traced.ns == ns


def test_a_thread_need_not_be_woken_from_a_sleep_whose_time_comes_at_once() -> None:
    source = "for _ in range(100): call('nanosleep', timespec(S), 0)"
    by_itself, with_lease = run(source, leases=False), run(source, leases=True)

    assert by_itself.ns == with_lease.ns == 100 * S
    assert by_itself.ended == with_lease.ended
    assert by_itself.stops - with_lease.stops >= 99


@pytest.mark.parametrize(
    "source",
    [
        "start(sleep, 3 * S); call('nanosleep', timespec(5 * S), 0); say(now() // S)",
        "start(sleep, 5 * S); call('nanosleep', timespec(5 * S), 0); say(now() // S)",
        """
signal.setitimer(signal.ITIMER_REAL, 3); signal.signal(signal.SIGALRM, lambda *_: say(now() // S))
call('nanosleep', timespec(5 * S), 0)
""",
    ],
    ids=["another thread is due first", "two at one time", "a timer is due first"],
)
def test_a_lease_changes_nothing_of_what_happens(source: str) -> None:
    by_itself, with_lease = run(source), run(source, leases=True)

    assert (by_itself.said, by_itself.ns, by_itself.ended) == (with_lease.said, with_lease.ns, with_lease.ended)


@pytest.mark.parametrize("seconds", [60, 86_400 * 365])
def test_a_sleep_that_nothing_ends_takes_no_longer_than_the_program_lives(seconds: int) -> None:
    assert trace("sh", "-c", f"sleep {seconds} & exit 3").status == 3


def test_what_the_kernel_refuses_is_refused() -> None:
    """Invalid times, addresses and clocks, each with its error; no time passes, traced or not."""
    source = """
for seconds, ns in ((-1, 0), (0, -1), (0, S), (1, S), (-(1 << 62), 0)):
    say(call('nanosleep', timespec(seconds, ns), 0))
    for clock in REALTIME, MONOTONIC:
        say(call('clock_nanosleep', clock, 0, timespec(seconds, ns), 0))
        say(call('clock_nanosleep', clock, ABSOLUTE, timespec(seconds, ns), 0))
say(call('nanosleep', 0, 0), call('nanosleep', 8, 0), call('clock_nanosleep', MONOTONIC, 0, 0, 0))
for clock in -1, 3, 4, 5, 6, 12, 99:
    say(clock, call('clock_nanosleep', clock, 0, timespec(0), 0))
"""
    traced = run(source)

    assert traced.said == said_untraced(source)
    assert -22 in traced.said  # EINVAL
    assert traced.ns == 0


def test_a_sleep_on_a_clock_of_processor_time_is_the_kernels() -> None:
    """Nothing but real computing moves that clock."""
    source = """
import hashlib
start(hashlib.pbkdf2_hmac, 'sha256', b'', b'', 1 << 30)  # without the lock of the interpreter
say(call('clock_nanosleep', 2, 0, timespec(1_000_000), 0))
say(now())
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert trace(*python(source)).said == [0, 0]


@pytest.mark.parametrize(
    ("command", "ns"),
    [
        ("sleep 3", 3 * S),
        ("sleep 1; sleep 0.25; sleep 2", 3 * S + S // 4),
        ("sleep 2 & sleep 5 & wait", 5 * S),
        ("sleep 4 | sleep 1", 4 * S),
        ("(sleep 1; (sleep 1; sleep 1) & wait)", 3 * S),
        ("timeout 5 sleep 30", 5 * S),
        ("timeout -k 2 3 sh -c 'trap \"\" TERM; sleep 30; sleep 30'", 5 * S),
    ],
)
def test_a_shell_and_its_commands_sleep(command: str, ns: int) -> None:
    traced = trace("sh", "-c", command)

    assert traced.end == "ended"
    assert 0 <= traced.ns - ns < 10, "coreutils add a nanosecond to some of their sleeps"


def test_the_date_that_a_shell_sees_moves_with_its_sleeps() -> None:
    traced = trace("sh", "-c", "date -u +%T; sleep 3600; date -u +%T; sleep 0.5; date -u +%T.%1N")

    assert traced.out.split() == ["00:00:00", "01:00:00", "01:00:00.5"]


@pytest.mark.parametrize(
    ("command", "ns"),
    [("read -t 7 line; echo $? $SECONDS", 7 * S), ("read -t 0.5 line; echo $? $SECONDS", S // 2)],
)
def test_read_of_bash_waits_for_input_for_a_time(command: str, ns: int) -> None:
    traced = trace("bash", "-c", command)

    assert traced.out.split() == ["142", str(ns // S)]
    assert traced.ns == ns


def test_input_ends_a_read_of_bash_before_its_time() -> None:
    traced = trace("bash", "-c", "read -t 7 line; echo $? $SECONDS $line", events=[(3 * S, "input", "hello\n")])

    assert traced.out.split() == ["0", "3", "hello"]
    assert traced.ns == 3 * S
