"""What ``/proc`` says of processes, threads and descriptors, as facts: nothing else reads it.

It is never asked whether the clock may jump because an instance waits; of the test's own threads, which have no
scheduler, and of child processes there is nothing else to ask. A process is given by its id, or as "self".
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from ..protocol.shortening import shortened_line, shortened_list

_EXITING, _FORKED_ONLY = 0x4, 0x40
"""Flags of a process (PF_EXITING, PF_FORKNOEXEC)."""
ASLEEP = ("S", "T", "Z", "X", "t", "I")
"""States of a thread that does not run, and cannot before something wakes it."""


class SignalState(NamedTuple):
    """What the kernel does with one signal for one process."""

    ignored: bool
    blocked: bool
    caught: bool


def signal_state(pid: int, signum: int) -> SignalState | None:
    """How *signum* meets process *pid*; None when the process is gone. Blocked: by all its threads."""
    text = _read(f"/proc/{pid}/status")
    if not text or b"\nState:\tZ" in text:
        return None
    masks, bit = _masks_in(text), 1 << (signum - 1)
    blocked = bool(masks[b"SigBlk"] & bit) and is_blocked(pid, signum)
    return SignalState(bool(masks[b"SigIgn"] & bit), blocked, bool(masks[b"SigCgt"] & bit))


def _masks_in(status: bytes) -> dict[bytes, int]:
    words = (line.partition(b":") for line in status.splitlines())
    return {name: int(value, 16) for name, _, value in words if name.startswith((b"Sig", b"Shd")) and name != b"SigQ"}


Picture = tuple[tuple[str, str, bytes], ...]
"""Of each thread of a process: its number, its state, and how long and how often it has run and waited for a
processor."""


def activity(pid: int) -> tuple[bool, Picture]:
    """Whether a thread of *pid* runs or could, and a picture of all threads: equal pictures mean that none ran."""
    picture: list[tuple[str, str, bytes]] = []
    for task in sorted(tasks_of(pid)):
        state, scheduled = state_of(pid, task).decode(), _read(f"/proc/{pid}/task/{task}/schedstat")
        if state and scheduled:
            picture.append((task, state, scheduled))
    return any(state not in ASLEEP for _, state, _ in picture), tuple(picture)


def activity_of(pids: Iterable[int]) -> tuple[bool, Picture]:
    """The same of several processes together."""
    found = [activity(pid) for pid in pids]
    return any(running for running, _ in found), tuple(each for _, picture in found for each in picture)


def cpu_ns_of(picture: Picture) -> int:
    """Nanoseconds of processor time that the threads in *picture* had used."""
    return sum(int(scheduled.split()[0]) for _, _, scheduled in picture)


def delays_ns_of(picture: Picture) -> dict[str, int]:
    """Nanoseconds that each thread in *picture* had waited for a processor while it could have run."""
    return {task: int(scheduled.split()[1]) for task, _, scheduled in picture}


def cpu_ns(pid: int) -> int:
    """Nanoseconds of processor time that the threads of *pid* which live have used."""
    return sum(processor_ns_of(pid, task) for task in tasks_of(pid))


def reaped_cpu_ns(pid: int) -> int:
    """Nanoseconds of processor time that children of *pid* had used which have ended and were waited for, with theirs.

    The kernel shows what they spent as users and in the kernel in whole ticks, each rounded down, so that up to two
    ticks are missing: once there is any, one is added, for the error to be one tick at most.
    """
    ticks = sum(map(int, _fields_of(pid)[13:15]))
    return (ticks + 1) * (1_000_000_000 // os.sysconf("SC_CLK_TCK")) if ticks else 0


def _fields_of(pid: int, task: str | None = None) -> list[bytes]:
    """What ``stat`` has of a process, or of one of its threads, behind its name: the state first; empty: gone."""
    path = f"/proc/{pid}/stat" if task is None else f"/proc/{pid}/task/{task}/stat"
    return _read(path).rpartition(b")")[2].split()


def tracer_of(pid: int) -> int:
    """The process that traces *pid*; 0: none does, or *pid* is gone."""
    found = re.search(rb"^TracerPid:\s*(\d+)", _read(f"/proc/{pid}/status"), re.MULTILINE)
    return 0 if found is None else int(found[1])


def descendants_of(pid: int) -> list[int]:
    """All processes below *pid*, parents first."""
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children_of(parent)]
        found += level
    return found


def parent_of(pid: int) -> int | None:
    """The parent of *pid*, living or unreaped; None when it is gone."""
    fields = _fields_of(pid)
    return int(fields[1]) if fields else None


def writes_of(pid: int | str) -> int:
    """How often *pid*, or the thread that is "thread-self", has written anything; 0 where the kernel does not count."""
    return _sum_of(f"/proc/{pid}/io", b"syscw:")


def memory(pid: int) -> int:
    """Bytes that *pid* has in memory, shared ones too; 0 when the process is gone."""
    return _sum_of(f"/proc/{pid}/status", b"VmRSS:") * 1024


def peak_memory(pid: int) -> int:
    """The most bytes that *pid* has had in memory; 0 when the process is gone."""
    return _sum_of(f"/proc/{pid}/status", b"VmHWM:") * 1024


def unshared_memory(pid: int) -> int:
    """Bytes in memory that *pid* shares with no other process; slower to find out than the others."""
    path = f"/proc/{pid}/smaps_rollup"
    private = _sum_of(path, b"Private_Clean:", b"Private_Dirty:") * 1024
    return private or memory(pid)


def _sum_of(path: str, *names: bytes) -> int:
    """The sum of what the lines *names* of a file begin with; 0 where it cannot be read."""
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


def signal_masks(pid: int | str, task: int) -> dict[bytes, int]:
    """What ``/proc`` says of a thread's signals, by its words (``SigBlk``, ``SigPnd``, ``ShdPnd``, …); empty: gone."""
    return _masks_in(_read(f"/proc/{pid}/task/{task}/status"))


def is_blocked(pid: int | str, signum: int) -> bool:
    """Whether every thread of *pid* blocks *signum*, so that it stays pending."""
    bit = 1 << (signum - 1)
    tasks = tasks_of(pid)
    return bool(tasks) and all(signal_masks(pid, int(task)).get(b"SigBlk", bit) & bit for task in tasks)


def taker_of(pid: int | str, signum: int, waits: int) -> int:
    """Whether the thread *waits* is to get a *signum* of process *pid*: its number, else 0: the kernel knows better.

    The kernel gives it to the oldest thread that does not block it, or is in ``sigwait`` for it. In an instance a
    thread that waits blocks it meanwhile, so the kernel would pass by it where another thread does not.
    """
    bit, tasks = 1 << (signum - 1), [int(task) for task in tasks_of(pid)]  # by age: ids begin again at the largest one
    could = [task for task in tasks if task == waits or not signal_masks(pid, task).get(b"SigBlk", bit) & bit]
    return waits if could[:1] == [waits] and len(could) > 1 else 0


def children_of(pid: int) -> list[int]:
    """The living and the unreaped child processes of *pid*, of all its threads; none when it is gone."""
    return [int(child) for task in tasks_of(pid) for child in _read(f"/proc/{pid}/task/{task}/children").split()]


def tasks_of(pid: int | str) -> list[str]:
    """The numbers of the threads of *pid*; none when it is gone."""
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def is_own_task(task: str) -> bool:
    """Whether a thread of this process has that number."""
    return os.path.exists(f"/proc/self/task/{task}")


def processes() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def command_of(pid: int | str) -> bytes:
    """The words of the command of *pid*, each with a zero byte behind it; nothing when it is gone."""
    return _read(f"/proc/{pid}/cmdline")


def is_fork_server(command: bytes) -> bool:
    """Whether that is the command of a process that ``multiprocessing`` keeps to fork others."""
    return b"from multiprocessing.forkserver import main" in command


def is_resource_tracker(command: bytes) -> bool:
    """Whether that is the command of a process that ``multiprocessing`` keeps to clean up behind the others."""
    return b"from multiprocessing.resource_tracker import main" in command


def is_of_multiprocessing(command: bytes) -> bool:
    """Whether ``multiprocessing`` has started a process for its own use, and keeps it as long as its parent lives."""
    return is_fork_server(command) or is_resource_tracker(command)


def environment_of(pid: int | str) -> list[bytes]:
    """The environment that *pid* was started with."""
    return _read(f"/proc/{pid}/environ").split(b"\0")


def living_name(pid: int) -> str | None:
    """The kernel's name of the program that *pid* runs; None when it has ended.

    Its end is none yet while a tracer has not taken note of it: until then its parent waits for it in vain.
    """
    before, bracket, after = _read(f"/proc/{pid}/stat").rpartition(b")")
    fields = after.split()
    if not bracket or fields[0] == b"X":
        return None
    if fields[0] == b"Z" and int(fields[17]) < 2 and not tracer_of(pid):  # its first thread may end first
        return None
    return before.partition(b"(")[2].decode("utf-8", "replace")


def became(pid: int) -> str:
    """The kernel's name of the program that *pid*, which was forked, has executed since; empty: none, or it is gone."""
    before, _, after = _read(f"/proc/{pid}/stat").rpartition(b")")
    fields = after.split()
    if len(fields) < 7 or int(fields[6]) & _FORKED_ONLY:
        return ""
    return before.partition(b"(")[2].decode("utf-8", "replace")


def thread_name(pid: int, task: int) -> str:
    """The kernel's name of a thread, which is that of its program unless it has another one; empty when it is gone."""
    return _read(f"/proc/{pid}/task/{task}/comm").decode("utf-8", "replace").rstrip("\n")


def state_of(pid: int, task: str | None = None) -> bytes:
    """The state of a process, or of one of its threads, as a letter; nothing when it is gone."""
    return b"".join(_fields_of(pid, task)[:1])


def start_of(pid: int) -> int | None:
    """When the process *pid* was started, in ticks since the machine's start: no other of that id has the same."""
    fields = _fields_of(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else None


def runs_of_sleepers(pids: Iterable[int]) -> dict[tuple[int, str], bytes] | None:
    """What the kernel has counted of each thread that sleeps, by process and thread; None where one does not."""
    found = {}
    for pid in pids:
        tasks = tasks_of(pid)
        if not tasks:
            return None
        for task in tasks:
            if state_of(pid, task) != b"S":
                return None
            found[pid, task] = _read(f"/proc/{pid}/task/{task}/schedstat")
    return found


def ticks_of_sleepers(pid: int) -> list[bytes] | None:
    """The threads of *pid* and the processor time of each, in the kernel's ticks; None where one does not sleep."""
    found = []
    for task in sorted(tasks_of(pid)):
        fields = _fields_of(pid, task)
        if fields[:1] != [b"S"]:
            return None
        found.append(b" ".join([task.encode(), *fields[11:13]]))
    return found or None


def processor_ns_of(pid: int, task: str) -> int:
    """Nanoseconds of processor time that one thread has used; 0 when it is gone."""
    return int((_read(f"/proc/{pid}/task/{task}/schedstat").split() or [b"0"])[0])


def system_call_of(pid: int, task: str) -> list[bytes]:
    """The system call that a thread is in, as the kernel writes it: its number, arguments, stack pointer and place."""
    return _read(f"/proc/{pid}/task/{task}/syscall").split()


def has_timer(pid: int) -> bool:
    """Whether *pid* has made a timer of POSIX, set or not; False on a kernel that does not say."""
    return bool(_read(f"/proc/{pid}/timers"))


def thread_group_of(task: int) -> int:
    """The process that a thread belongs to; ``ProcessLookupError`` when it is gone."""
    found = _read(f"/proc/{task}/status").partition(b"\nTgid:")[2].split(None, 1)
    if not found:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return int(found[0])


def id_inside(pid: int) -> int:
    """The number of a process in its own namespace of processes; 0 when it is gone."""
    found = _read(f"/proc/{pid}/status").partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
    return int(found[-1]) if found else 0


def shares_network(task: int) -> bool:
    """Whether a thread is in the same network namespace as this process; ``OSError`` when it is gone."""
    return os.stat(f"/proc/{task}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino


def memory_at(pid: int, address: int, size: int) -> bytes:
    """What is at *address* of the memory of *pid*; ``OSError`` where nothing is, or it is not to be seen."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        return os.pread(file.fileno(), size, address)


# -- descriptors -------------------------------------------------------------------------------------------------------


def descriptors_of(pid: int | str) -> list[int]:
    """The descriptors of *pid*; none when it is gone or may not be read."""
    try:
        return list(map(int, os.listdir(f"/proc/{pid}/fd")))
    except OSError:
        return []


def descriptor_of(task: int | str, fd: int) -> bytes:
    """What the kernel says of a descriptor: ``pos:`` and the position, ``flags:`` and these. Raises ``OSError``."""
    file = os.open(f"/proc/{task}/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 512)
    finally:
        os.close(file)


def is_exiting(pid: int) -> bool:
    """Whether *pid* ends or has ended: the kernel closes what it has open first, and reports its end a moment later."""
    fields = _fields_of(pid)
    return not fields or bool(int(fields[6]) & _EXITING)


def target_of(pid: int | str, fd: int) -> str:
    """What a descriptor refers to, in the kernel's words ("pipe:[123]"); empty where there is none."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


def has_only_own_files(pid: int, zygote: int) -> bool:
    """Whether nobody can see that *pid*, an instance of ours, has closed its files: its channel is its one socket.

    What has a path another process may have opened, or locked, too; pipes, eventfds and memory files have none. What
    the *zygote* that forked it has at the same number is open there still, as the file of libffi, which opens itself.
    False where it may not be looked at.
    """
    targets = {fd: target_of(pid, fd) for fd in descriptors_of(pid)}
    sockets = sum(target.startswith("socket:") for target in targets.values())
    with_path = [fd for fd, each in targets.items() if each.startswith("/") and not each.startswith("/memfd:")]
    shared = [fd for fd in with_path if targets[fd] not in ("/dev/null", target_of(zygote, fd))]
    return bool(targets) and all(targets.values()) and not shared and sockets <= 1


def holders_of_lock(pid: int) -> set[int]:
    """The processes that hold the lock of a file for which a thread of *pid* waits, by ``flock`` or ``fcntl``.

    None where it waits for none; -1 is among them where the kernel does not say who holds it.
    """
    holders: dict[bytes, set[int]] = {}
    awaited: set[bytes] = set()
    for number, *fields in map(bytes.split, _read("/proc/locks").splitlines()):
        if fields[0] != b"->":
            holders.setdefault(number, set()).add(int(fields[3]))
        elif int(fields[4]) == pid:
            awaited.add(number)
    return {holder for number in awaited for holder in holders.get(number, ())}


def inode_of(pid: int, fd: int) -> int | None:
    """The inode of what a descriptor refers to."""
    try:
        return os.stat(f"/proc/{pid}/fd/{fd}").st_ino
    except OSError:
        return None


def may_have(pid: int, target: str) -> bool:
    """Whether a descriptor of *pid* refers to *target*, or may, as it cannot be read."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except FileNotFoundError:
        return False  # it has ended
    except OSError:
        return True
    return any(target_of(pid, int(name)) == target for name in names)


def registered_with(pid: int | str, epoll: int) -> list[int]:
    """What is registered with *epoll* by the kernel's word: what was closed is not."""
    return [int(fd) for fd in re.findall(rb"^tfd:\s*(\d+)", _read(f"/proc/{pid}/fdinfo/{epoll}"), re.MULTILINE)]


def process_of_pidfd(pid: int | str, pidfd: int) -> int | None:
    """Which process a pidfd refers to; None when that has ended."""
    found = re.search(rb"^Pid:\s*(\d+)", _read(f"/proc/{pid}/fdinfo/{pidfd}"), re.MULTILINE)
    return None if found is None else int(found[1])


# -- the network and the disk ------------------------------------------------------------------------------------------

_LISTENS = "0A"
_LOOPBACK = {"0100007F": "127.0.0.1", f"{0:016X}FFFF00000100007F": "127.0.0.1", f"{0:024X}01000000": "::1"}
"""Its addresses as the kernel writes them: words of 4 bytes, each as a number."""
"""How ``/proc/net/tcp`` writes the state of a socket that listens."""


def table_of_sockets(pid: int | str, protocol: str) -> list[list[str]]:
    """The rows of a table of sockets ("tcp6", "unix") in the network of *pid*, in words; the last of them is a path."""
    lines = _read(f"/proc/{pid}/net/{protocol}").decode("utf-8", "replace").splitlines()[1:]
    return [line.split(None, 7) if protocol == "unix" else line.split() for line in lines]


def listening_inodes(pid: int | str, ports: set[int]) -> Iterator[str]:
    """The inodes of the TCP sockets that listen on one of *ports* in the network of *pid*."""
    for protocol in ("tcp", "tcp6"):
        for row in table_of_sockets(pid, protocol):
            if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) in ports:
                yield row[9]


def listens_on_loopback(port: int) -> str:
    """The loopback's address at which a TCP socket in this network listens on *port*; empty: none does."""
    for row in chain.from_iterable(table_of_sockets("self", protocol) for protocol in ("tcp", "tcp6")):
        address, _, of_port = row[1].rpartition(":")
        if row[3] == _LISTENS and int(of_port, 16) == port and address in _LOOPBACK:
            return _LOOPBACK[address]
    return ""


def listeners_on(port: int) -> str:
    """Who listens on a TCP *port* in this network: ``pid 12 (nc -l 80)``, or "another program", where none is seen."""
    sockets = {f"socket:[{inode}]" for inode in listening_inodes("self", {port})}
    who = [pid for pid in processes() if sockets and any(target_of(pid, fd) in sockets for fd in descriptors_of(pid))]
    words = [command_of(pid).replace(bytes(1), b" ").decode("utf-8", "replace").strip() for pid in who]
    found = [f"pid {pid} ({shortened_line(command, 80)})" for pid, command in zip(who, words, strict=True)]
    return shortened_list(found, 2) or "another program"


def ports_given_out() -> tuple[int, int]:
    """The first and the last port that the kernel gives to connections."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first, last = map(int, file.read().split())
    return first, last


def mount_points() -> list[str]:
    """Where something is mounted in the namespace of this process, in the order in which it was."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines()
    points = [line.split(" ", 5)[4] for line in lines]
    return [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), at) if "\\" in at else at for at in points]


def _read(path: str) -> bytes:
    """What the kernel writes there; nothing when the process is gone."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
