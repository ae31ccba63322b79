"""Threads and processes of a traced program: their starts and ends, who runs next, and whether all of them wait."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from program_internals import proc_reads
from traced_programs import NUMBERS, S, needs, python, run, said, said_untraced, trace

# once: what the kernel does with a traced program is the same, whatever Python traces it
pytestmark = pytest.mark.once


def test_of_two_threads_that_are_due_at_once_the_elder_goes_on_first() -> None:
    """However late it began to wait, and whatever it waits in."""
    source = """
order, gate = [], _thread.allocate_lock()

def wait(name, first, how):
    sleep(first)
    how(5 * S - first)
    order.append(name)

def poll(ns):
    call('ppoll', 0, 0, timespec(ns), 0, 8)

for name, first, how in ('a', 3 * S, sleep), ('b', 0, poll), ('c', 2 * S, poll), ('d', S, sleep):
    start(wait, name, first, how)
sleep(6 * S)
say(''.join(order))
"""
    assert [said(source)[0] for _ in range(3)] == ["abcd"] * 3


def test_one_thread_goes_on_and_all_wait_again_before_the_next_does() -> None:
    """A thread that is woken by one that is due works before the next one that is due at the same time."""
    source = """
log, locks = [], [_thread.allocate_lock() for _ in range(3)]

def work(number):
    locks[number].acquire()
    log.append(f'work {number}')

def wait(number):
    sleep(5 * S)
    log.append(f'due {number}')
    locks[number].release()

for number in range(3):
    locks[number].acquire()
    start(work, number)
    start(wait, number)
    sleep(0)
sleep(6 * S)
say(log)
"""
    assert said(source) == [[each for number in range(3) for each in (f"due {number}", f"work {number}")]]


@pytest.mark.parametrize("one_cpu", [True, False], ids=["one processor", "all processors"])
def test_a_ring_of_threads_is_never_taken_for_one_that_waits(one_cpu: bool) -> None:
    """A hand-over is a moment at which no thread runs: if that counted, the hour of another thread would pass."""
    source = """
locks = [_thread.allocate_lock() for _ in range(16)]
for lock in locks:
    lock.acquire()
done = _thread.allocate_lock()
done.acquire()

def hand_on(number):
    for _ in range(1_875):
        locks[number].acquire()
        locks[(number + 1) % 16].release()
    if number == 15:
        done.release()

start(sleep, 3_600 * S)
for number in range(16):
    start(hand_on, number)
locks[0].release()
done.acquire()
say(now())
os._exit(0)
"""
    assert said(source, one_cpu=one_cpu) == [0]


def test_a_ring_of_processes_is_never_taken_for_one_that_waits() -> None:
    source = """
pipes = [os.pipe() for _ in range(4)]
for number in range(4):
    if os.fork() == 0:
        for _ in range(500):
            os.write(pipes[(number + 1) % 4][1], os.read(pipes[number][0], 1))
        os._exit(0)
if os.fork() == 0:
    sleep(3_600 * S)
    os._exit(0)
os.write(pipes[0][1], b'x')
for _ in range(4):
    os.wait()
say(now())
os.kill(0, 0) or os._exit(0)
"""
    traced = run(source, one_cpu=False)

    assert traced.said == [0]
    assert traced.ns == 3_600 * S, "the child that sleeps outlives the program"


def test_a_thread_that_reads_files_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(1 << 20))
    source = f"""
import tempfile
start(sleep, 3_600 * S)
for number in range(150):
    fd = os.open({str(tmp_path / "big")!r}, os.O_RDONLY)
    while os.read(fd, 1 << 16):
        pass
    os.close(fd)
    with open({str(tmp_path / "copy")!r}, 'wb') as file:
        file.write(b'x' * 10_000)
        file.flush()
        number % 50 or os.fsync(file.fileno())
    os.listdir('/proc/self/fd')
say(now())
os._exit(0)
"""
    assert said(source, one_cpu=False) == [0]


@pytest.mark.parametrize("end", ["fifo", "pipe"])
def test_a_thread_that_opens_or_reads_what_is_no_file_waits(tmp_path: Path, end: str) -> None:
    source = f"""
if {end == "fifo"}:
    os.mkfifo({str(tmp_path / "fifo")!r})
    start(lambda: (sleep(5 * S), os.open({str(tmp_path / "fifo")!r}, os.O_WRONLY), sleep(S)))
    os.open({str(tmp_path / "fifo")!r}, os.O_RDONLY)
else:
    os.read(pipe_written_after(5 * S), 1)
say(now())
"""
    assert said(source) == [5 * S]


# -- processes ---------------------------------------------------------------------------------------------------------


def test_a_fork_sees_the_clock_and_sleeps_on_it() -> None:
    source = """
sleep(S)
child = os.fork()
sleep((2 if child else 5) * S)
say(bool(child), now())
if child:
    say(os.waitpid(child, 0)[1], now())
"""
    assert said(source) == [[True, 3 * S], [False, 6 * S], [0, 6 * S]]


def test_a_child_that_outlives_its_parent_sleeps_on() -> None:
    assert run("os.fork() and os._exit(0)\nsleep(5 * S)\nsay(now())").ns == 5 * S


@pytest.mark.parametrize("way", ["_posixsubprocess", "posix_spawn"])
def test_a_child_of_vfork_is_traced(way: str) -> None:
    """Its parent stands until the child has executed a program."""
    start = "os.posix_spawn('/bin/sh', command, {})" if way == "posix_spawn" else "subprocess.Popen(command).pid"
    source = f"""
start(sleep, 60 * S)
command = ['/bin/sh', '-c', 'sleep 5; exit 3']
say(os.waitstatus_to_exitcode(os.waitpid({start}, 0)[1]), now() // S)
os._exit(0)
"""
    assert said(source) == [[3, 5]]


@pytest.mark.parametrize("name", ["vfork", "clone", "clone3"])
def test_a_fork_that_takes_long_is_not_taken_for_one_that_waits(name: str) -> None:
    """The call of a parent that stands until its child has executed a program, or of one that is still being copied."""
    needs(name)
    pid, call = os.getpid(), f"{NUMBERS[name]} 0x1200011 0x0 0x0 0x0 0x0 0x0 0x0 0x0".encode()

    assert not proc_reads.waits(pid, pid, call, output="", in_vfork=False, is_stopped=False)
    assert proc_reads.waits(pid, pid, call, output="", in_vfork=True, is_stopped=False)


def test_a_subprocess_is_given_up_at_its_timeout() -> None:
    source = """
try:
    subprocess.run(['sleep', '60'], timeout=5)
except subprocess.TimeoutExpired:
    say(now())
"""
    assert abs(said(source)[0] - 5 * S) < S // 10, "it counts in floats, and looks every 50 ms"


def test_a_thread_that_ends_between_the_opens_of_its_files_has_none_of_them_open(monkeypatch) -> None:
    """As where the kernel opens ``schedstat`` of a thread that ends, and refuses ``syscall`` a moment later."""
    before = set(os.listdir("/proc/self/fd"))
    files = proc_reads.open_all(os.getpid(), os.getpid())
    assert len(files) == len(proc_reads.FILES)
    for file in files:
        os.close(file)
    opened: list[int] = []

    def ends(pid: int, tid: int, index: int) -> int:
        if index == proc_reads.CALL:
            raise PermissionError
        opened.append(os.open(f"/proc/{pid}/task/{tid}/{proc_reads.FILES[index]}", os.O_RDONLY))
        return opened[-1]

    monkeypatch.setattr(proc_reads, "opened", ends)
    with pytest.raises(PermissionError):
        proc_reads.open_all(os.getpid(), os.getpid())
    assert len(opened) == 1
    assert set(os.listdir("/proc/self/fd")) == before


def test_many_children_end_before_their_ends_are_received() -> None:
    """A child may have ended, and be gone, before the tracer gets the event of its clone."""
    assert trace("sh", "-c", "for i in $(seq 60); do (:) & done; wait; sleep 5", one_cpu=False).ns // S == 5


CLONES = {
    "clone": "call('clone', UNTRACED | signal.SIGCHLD, 0, 0, 0, 0)",
    "clone3": "call('clone3', given, 64)",
    "clone3, of what may only be read": "call('clone3', read_only(bytes(given)), 64)",
}
UNTRACED = """
import mmap
UNTRACED = 0x800000  # CLONE_UNTRACED
given = (ctypes.c_uint64 * 8)(UNTRACED, 0, 0, 0, signal.SIGCHLD)  # struct clone_args

page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

def read_only(data):
    page[: len(data)] = data
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    assert libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ) == 0
    return ctypes.c_void_p(address)
"""


@pytest.mark.parametrize("name", CLONES)
def test_a_child_that_is_not_to_be_traced_is(name: str) -> None:
    """CLONE_UNTRACED would leave it with a filter and no tracer. The arguments of the call are as before."""
    needs(name.partition(",")[0])
    source = f"""{UNTRACED}
start(sleep, 60 * S)
child = {CLONES[name]}
if not child:
    sleep(5 * S)
    os._exit(3)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), now(), given[0] == UNTRACED)
os._exit(0)
"""
    assert said(source) == [[3, 5 * S, True]]


def test_a_clone3_is_refused_as_the_kernel_refuses_it() -> None:
    needs("clone3")
    source = f"""{UNTRACED}
say(call('clone3', 8, 64), call('clone3', given, 63), call('clone3', given, 1 << 20), given[0] == UNTRACED)
given[0] |= 0x10000  # CLONE_THREAD, without what it needs
say(call('clone3', given, 64), hex(given[0]))
"""
    expected = [[-14, -22, -7, True], [-22, "0x810000"]]

    assert said_untraced(source) == expected
    assert said(source) == expected


def test_more_threads_than_descriptors_wait() -> None:
    source = """
import resource, threading
threading.stack_size(1 << 16)
for _ in range(300):
    start(sleep, 5 * S)
sleep(7 * S)
say(now(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
os._exit(0)
"""
    assert said(source, descriptors=256) == [[7 * S, 256]]


@pytest.mark.parametrize("thread", ["first", "another"])
def test_a_program_with_threads_is_replaced(thread: str) -> None:
    """Its other threads end, and what they waited for with them; the one that calls has the number of the process."""
    replace = "os.execv('/bin/sh', ['sh', '-c', 'sleep 5; echo $PPID'])"
    source = f"""
for _ in range(3):
    start(sleep, 2 * S)
start(os.read, os.pipe()[0], 1)
say(os.getppid())
{replace if thread == "first" else f"start(lambda: (sleep(1_000), {replace}))"}
sleep(3 * S)
say('it goes on')
"""
    traced = trace(*python(source))

    assert (traced.end, traced.status, len(set(traced.said)), len(traced.said)) == ("ended", 0, 1, 2)
    assert traced.ns // S == 5
    assert traced.ended[-1][0] == traced.ns


def test_a_first_thread_that_ends_leaves_the_others() -> None:
    """Its process lives on, and the tracer can neither wait for it nor request anything of it."""
    needs("exit")
    source = """
def work():
    sleep(5 * S)
    say(now())
    os._exit(7)
start(work)
call('exit', 0)
"""
    for events in [], [(S, "hold", None)]:
        traced = trace(*python(source), events=events)

        assert (traced.end, traced.status, traced.said) == ("ended", 7, [5 * S])


def test_a_gate_stops_a_program_that_a_signal_has_stopped() -> None:
    traced = trace("sh", "-c", "(sleep 5; kill -CONT $$) & kill -STOP $$; sleep 2", events=[(S, "hold", None)])

    assert (traced.end, traced.ns // S) == ("ended", 7)


def test_a_read_whose_descriptor_another_thread_has_closed_waits() -> None:
    source = """
read, write = os.pipe()
other = os.dup(write)
start(os.read, read, 1)
sleep(S)
os.close(read)
sleep(5 * S)
say(now())
os._exit(0)
"""
    assert said(source) == [6 * S]


def test_all_ends_of_threads_are_seen() -> None:
    source = """
left = [200]
lock, done = _thread.allocate_lock(), _thread.allocate_lock()
done.acquire()

def end(number):
    sleep(number % 7)
    with lock:
        left[0] -= 1
        left[0] or done.release()

for number in range(200):
    start(end, number)
done.acquire()
sleep(5 * S)
say(now() // S)
"""
    assert said(source, one_cpu=False) == [5]


def test_a_program_that_waits_for_ever_is_seen_to() -> None:
    traced = trace(*python("os.read(os.pipe()[0], 1)"))

    assert (traced.end, traced.ns) == ("waits", 0)


# -- registers ---------------------------------------------------------------------------------------------------------

KEPT = """
import mmap
code = bytes.fromhex(
    '5355 4889fb'            # push rbx; push rbp; mov rbx,rdi
    '488b03 488b7b08 488b7310 488b5318 4c8b5320 4c8b4328 4c8b4b30'  # the number and the arguments from [rbx]
    '0f05'                   # syscall
    '488903 48897b08 48897310 48895318 4c895320 4c894328 4c894b30'  # and back
    '5d5b c3'                # pop rbp; pop rbx; ret
)
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))


def kept(name, *arguments):
    '''Whether the registers of all arguments are after a call what they were before.'''
    given = [each if isinstance(each, int) else ctypes.addressof(each) for each in arguments]
    given += [7] * (6 - len(given))
    registers = (ctypes.c_int64 * 7)(NUMBERS[name], *given)
    function(registers)
    return registers[0], list(registers)[1:] == given


word, mask, quiet = ctypes.c_uint32(0), ctypes.c_uint64(1 << 9), os.pipe()[0]
pollfd = ctypes.create_string_buffer(struct.pack('ihh', quiet, 1, 0), 8)
"""


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("'nanosleep', timespec(5 * S), 0", 0),
        ("'clock_nanosleep', MONOTONIC, 0, timespec(5 * S), 0", 0),
        ("'clock_nanosleep', MONOTONIC, ABSOLUTE, timespec(1), 0", 0),
        ("'poll', pollfd, 1, 5_000", 0),
        ("'ppoll', pollfd, 1, timespec(5 * S), 0, 8", 0),
        ("'ppoll', pollfd, 1, timespec(0), 0, 8", 0),
        ("'select', 0, 0, 0, 0, timespec(5)", 0),
        ("'futex', word, 128, 0, timespec(5 * S), 0, 0", -110),
        ("'futex', word, 128, 1, timespec(5 * S), 0, 0", -11),
        ("'futex', word, 128 | 9, 0, timespec(1), 0, 0xFFFFFFFF", -110),
        ("'futex', word, 128 | 9 | 256, 0, timespec(1), 0, 0xFFFFFFFF", -110),
        ("'rt_sigtimedwait', mask, 0, timespec(5 * S), 8", -11),
        ("'clock_gettime', REALTIME, timespec(0)", 0),
        ("'timerfd_settime', 99, 0, timespec(0), 0", -9),
        ("'recvmmsg', 99, 0, 1, 0, timespec(5 * S)", -9),
    ],
)
@pytest.mark.parametrize("vdso", [True, False], ids=["vdso", "traced"])
def test_the_arguments_are_in_their_registers_when_a_call_returns(call: str, result: int, vdso: bool) -> None:
    """Compilers rely on that."""
    needs("arch_prctl")
    assert said(f"{KEPT}\nsay(*kept({call}))", vdso=vdso) == [[result, True]]


GO = """
package main

import (
    "fmt"
    "time"
)

func main() {
    begin, ticker, ticks := time.Now(), time.NewTicker(time.Minute), 0
    timeout := time.After(time.Hour + time.Second)
    for {
        select {
        case <-ticker.C:
            ticks++
        case <-timeout:
            fmt.Println(ticks, int64(time.Since(begin)/time.Second))
            return
        }
    }
}
"""


@pytest.mark.go
def test_a_program_of_go_waits_an_hour(tmp_path: Path) -> None:
    go = shutil.which("go")
    assert go is not None
    (tmp_path / "main.go").write_text(GO)
    subprocess.run([go, "build", "-o", "main", "main.go"], cwd=tmp_path, check=True, capture_output=True)

    assert trace(str(tmp_path / "main")).out == "60 3601\n"


def test_who_looks_for_an_ended_child_sees_what_that_does_at_the_same_instant() -> None:
    source = """
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    for _ in range(300_000):
        pass
    os._exit(7)
os.close(write)
os.read(read, 1)
say(os.waitpid(child, os.WNOHANG)[1] >> 8, now())
"""
    assert said(source) == [[7, 0]]


def test_who_looks_for_a_child_that_computes_for_ever_goes_on_once_it_has_waited_for_that() -> None:
    source = """
child = os.fork()
while child == 0:
    pass
say(os.waitpid(child, os.WNOHANG), os.waitpid(child, os.WNOHANG), now())
os.kill(child, signal.SIGKILL)
say(os.waitpid(child, 0)[1])
"""
    assert said(source) == [[(0, 0), (0, 0), 0], 9]
