"""Waits of a traced program for descriptors: at their timeout, at zero, and where a descriptor ends them before it."""

from __future__ import annotations

import pytest
from traced_programs import S, needs, run, said, said_untraced

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once

WAYS = {
    "poll": "call('poll', pollfd(fd), 1, milliseconds(ns))",
    "ppoll": "call('ppoll', pollfd(fd), 1, spec(ns), 0, 8)",
    "select": "call('select', fd + 1, bits(fd), 0, 0, 0 if ns is None else timeval(ns))",
    "pselect6": "call('pselect6', fd + 1, bits(fd), 0, 0, spec(ns), 0)",
    "epoll_wait": "call('epoll_wait', epoll(fd), events, 8, milliseconds(ns))",
    "epoll_pwait": "call('epoll_pwait', epoll(fd), events, 8, milliseconds(ns), 0, 8)",
    "epoll_pwait2": "call('epoll_pwait2', epoll(fd), events, 8, spec(ns), 0, 8)",
}
FUNCTIONS = """
events = ctypes.create_string_buffer(8 * 16)


def pollfd(fd):
    return ctypes.create_string_buffer(struct.pack('ihh', fd, 1, 0), 8)


def bits(*fds):
    return (ctypes.c_uint64 * 16)(sum(1 << fd for fd in fds))


def milliseconds(ns):
    return -1 if ns is None else ns // 1_000_000


def spec(ns):
    return 0 if ns is None else timespec(ns)


def epoll(fd):
    polls = call('epoll_create1', 0)
    libc.epoll_ctl(polls, 1, fd, struct.pack('<IQ' if NUMBERS['poll'] == 7 else '<IxxxxQ', 1, fd))
    return polls


quiet, _quiet = os.pipe()
ready, _ready = os.pipe()
os.write(_ready, b'x')

"""


@pytest.mark.parametrize("name", WAYS)
def test_a_wait_ends_at_its_timeout_or_when_there_is_something(name: str) -> None:
    needs(name)
    source = f"""
def wait(fd, ns):
    return {WAYS[name]}

timed(wait, quiet, 5_123 * S // 1_000)
timed(wait, quiet, 86_400 * S)
timed(wait, quiet, 0)
timed(wait, ready, 0)
timed(wait, ready, 5 * S)
timed(wait, pipe_written_after(2 * S), 5 * S)
timed(wait, pipe_written_after(2 * S), None)
"""
    assert said(FUNCTIONS + source) == [
        [0, 5_123 * S // 1_000],
        [0, 86_400 * S],
        [0, 0],
        [1, 0],
        [1, 0],
        [1, 2 * S],
        [1, 2 * S],
    ]


@pytest.mark.parametrize("name", ["ppoll", "pselect6", "epoll_pwait2"])
def test_a_timeout_counts_in_nanoseconds(name: str) -> None:
    needs(name)
    source = f"fd = quiet\nfor ns in 1, 999, 5_000_000_001:\n    timed(lambda: {WAYS[name]})\n"

    assert said(FUNCTIONS + source) == [[0, 1], [0, 999], [0, 5_000_000_001]]


@pytest.mark.parametrize(
    ("name", "call", "unit"),
    [
        ("ppoll", "call('ppoll', pollfd(fd), 1, rest, 0, 8)", 1),
        ("pselect6", "call('pselect6', fd + 1, bits(fd), 0, 0, rest, 0)", 1),
        ("select", "call('select', fd + 1, bits(fd), 0, 0, rest)", 1_000),
    ],
)
def test_the_rest_of_the_time_is_left_in_the_timeout(name: str, call: str, unit: int) -> None:
    needs(name)
    make = "timeval" if unit == 1_000 else "timespec"
    source = f"""
for fd in pipe_written_after(2 * S), quiet, ready:
    rest = {make}(5 * S + 7_000)
    say({call}, ns_of(rest, {unit}))
"""
    of_all = said(FUNCTIONS + source)

    assert of_all[:2] == [[1, 3 * S + 7_000], [0, 0]]
    assert of_all[2] == [1, 5 * S + 7_000]


@pytest.mark.parametrize("name", ["select", "pselect6"])
def test_the_sets_say_which_descriptors_are_ready(name: str) -> None:
    needs(name)
    source = f"""
def wait(fd, ns):
    reads, writes, errors = bits(fd, quiet), bits(quiet), bits(fd)
    timeout = {"timeval" if name == "select" else "timespec"}(ns)
    result = call('{name}', max(fd, quiet) + 1, reads, writes, errors, timeout, 0)
    return result, [[each for each in (quiet, fd) if found[0] >> each & 1] for found in (reads, writes, errors)], fd

timed(wait, ready, 0)
timed(wait, pipe_written_after(2 * S), S)
timed(wait, pipe_written_after(2 * S), 3 * S)
"""
    at_zero, timed_out, written = said(FUNCTIONS + source)

    assert at_zero == [(1, [[at_zero[0][2]], [], []], at_zero[0][2]), 0]
    assert timed_out == [(0, [[], [], []], timed_out[0][2]), S]
    assert written == [(1, [[written[0][2]], [], []], written[0][2]), 2 * S]


def test_sets_beyond_the_highest_descriptor_stay_as_they_are() -> None:
    needs("select")
    source = """
reads = (ctypes.c_uint64 * 16)(1 << quiet, 1 << 63, 5)
say(call('select', quiet + 1, reads, 0, 0, timeval(S)), list(reads)[:3])
"""
    assert said(FUNCTIONS + source) == [[0, [0, 1 << 63, 5]]]


@pytest.mark.parametrize(
    "call",
    [
        "'ppoll', pollfd(quiet), 1, timespec(*bad), 0, 8",
        "'pselect6', quiet + 1, bits(quiet), 0, 0, timespec(*bad), 0",
        "'select', quiet + 1, bits(quiet), 0, 0, timespec(*bad)",
        "'epoll_pwait2', epoll(quiet), events, 8, timespec(*bad), 0, 8",
    ],
)
def test_a_time_that_is_none_is_refused(call: str) -> None:
    name = call.split("'", 2)[1]
    needs(name)
    times = "(-1, 0), (0, -1), (-2, 0)" if name == "select" else "(-1, 0), (0, -1), (0, S)"
    source = f"for bad in {times}:\n    say(call({call}))\nsay(call({call.replace('timespec(*bad)', '8')}))\n"
    traced = run(FUNCTIONS + source)

    assert traced.said == said_untraced(FUNCTIONS + source) == [-22, -22, -22, -14]
    assert traced.ns == 0


def test_bad_descriptors_and_sizes_are_refused() -> None:
    source = """
say(call('ppoll', 8, 1, timespec(5 * S), 0, 8), call('epoll_pwait', 99, events, 8, 5_000, 0, 8))
say(call('epoll_pwait', epoll(quiet), events, 0, 5_000, 0, 8), call('epoll_pwait', quiet, events, 8, 5_000, 0, 8))
say(call('pselect6', 61, bits(60), 0, 0, timespec(5 * S), 0), call('pselect6', -1, 0, 0, 0, timespec(5 * S), 0))
"""
    traced = run(FUNCTIONS + source)

    assert traced.said == said_untraced(FUNCTIONS + source)
    assert traced.ns == 0


def test_microseconds_of_select_may_be_more_than_a_second() -> None:
    needs("select")
    assert said("timed('select', 0, 0, 0, 0, timespec(1, 2_500_000))") == [[0, 3 * S + S // 2]]


@pytest.mark.parametrize("call", ["select.select([quiet], [], [], 5)", "threading.Event().wait(5)"])
def test_a_wait_of_python_that_is_no_sleep_is_over_when_it_ends(call: str) -> None:
    """Loops of its library end only when their deadline is past: such a wait takes 1 µs longer."""
    assert run(FUNCTIONS + f"timed(lambda: {call} and None)", as_cpython=True).ns == 5 * S + 1_000


@pytest.mark.parametrize("call", ["select.select([], [], [], 5)", "select.poll().poll(5_000)"])
def test_a_wait_of_python_for_no_descriptor_is_a_sleep(call: str) -> None:
    """``time.sleep`` of Python 3.10 is such a ``select``."""
    assert run(f"timed(lambda: {call} and None)", as_cpython=True).ns == 5 * S
