"""Runs commands under the tracer, each on a simulated clock of its own: ``python traced_runs.py ROOT``.

A request is a line of JSON on stdin, its result a line on stdout. Each run has a process of its own, forked from this
one: ``ptrace`` belongs to the thread that traces, and a run that hangs ends with what it traces, not with the tests.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import sys
import tempfile
import time
from typing import Any, NoReturn

sys.path.insert(0, sys.argv[1])

from pytest_scf_async.programs.supervisor import exec as exec_stop
from pytest_scf_async.programs.supervisor import filter as seccomp
from pytest_scf_async.programs.supervisor.tree import Due, Hooks, Process, Thread, Tree
from pytest_scf_async.programs.supervisor.waits import NS, Clocks, Wait

START_NS = 2_524_608_000 * NS
"""2050-01-01, where the realtime clock starts: what is past for the program lies in the machine's future."""
UPTIME_NS = 10_000_000 * NS
"""Where the monotonic clock starts."""
LOOK_SECONDS = 0.0005
"""Real seconds between checks of a program that goes on."""
LAST_RESORT = 5
"""Real seconds after which a run that has passed its limit is killed."""


class Run:
    """One run of a command."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.now_ns = START_NS
        self.events = [(START_NS + ns, kind, value) for ns, kind, value in request["events"]]
        """What comes from outside, and at which time: a signal, input, or a stop of all threads as at a gate."""
        self.ended: list[list[Any]] = []
        """Of each wait that has ended at its time: when, and what it was."""
        self.again = 0
        """How many of them were over at once, as the one before."""
        self.status: int | None = None
        self.pid = 0
        self.feed = -1
        numbers = itertools.count()
        hooks = Hooks(
            lambda: Clocks(self.now_ns, self.now_ns - START_NS + UPTIME_NS),
            time.monotonic if request["real_time"] else lambda: 0.0,
            next_order=lambda: (self.now_ns // 1000, 0, next(numbers)),
            process_began=self._began,
            process_ended=self._process_ended,
            may_lease=self._may_lease,
            lease_wait=self._lease_wait,
            lease_wait_again=self._lease_wait_again,
        )
        if not request["vdso"]:
            exec_stop._patch = _refuse  # type: ignore[assignment]
        self.tree = Tree(hooks)
        self.tree.limit_reads(request["reads_before_wait"])

    def _began(self, process: Process) -> None:
        if not self.request["as_cpython"]:
            process.kind = process.kind._replace(is_cpython=False)

    def _process_ended(self, pid: int, status: int) -> None:
        if pid == self.pid:
            self.status = status

    def _may_lease(self, due_ns: int) -> bool:
        """Whether nothing of *events* is due before."""
        limit_ns = min([self.request["limit_ns"] + START_NS, *(at_ns - 1 for at_ns, _, _ in self.events)])
        return self.request["leases"] == "withdrawn" or (self.request["leases"] and due_ns <= limit_ns)

    def _lease_wait(self, _thread: object, wait: Wait, _is_calm: bool) -> bool:
        """Move the clock to the end of a wait that is about to begin."""
        if self.request["leases"] == "withdrawn" or not self._may_lease(wait.due_ns):
            return False
        self._move_to(wait.due_ns, wait.name)
        return True

    def _move_to(self, due_ns: int, name: str) -> None:
        self.now_ns = due_ns
        self.ended.append([self.now_ns - START_NS, name])
        self.tree.show_time()

    def _lease_wait_again(self, due_ns: int, name: str) -> bool:
        if not self._may_lease(due_ns) or self.request["leases"] == "withdrawn":
            return False
        self.again += 1
        if self.again == self.request["input_in_loop"]:
            os.write(self.feed, b"x")
        self._move_to(due_ns, name)
        return True

    def start(self, out: int, err: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        if self.request["descriptors"]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.request["descriptors"],) * 2)
        may_begin, begin = os.pipe()
        stdin, self.feed = os.pipe()
        instructions = seccomp.program()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(begin)
            os.read(may_begin, 1)
            try:
                for number, fd in enumerate((stdin, out, err)):
                    os.dup2(fd, number)
                os.closerange(3, 256)
                if self.request["one_cpu"]:
                    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                seccomp.install(instructions)
                os.execvp(self.request["argv"][0], self.request["argv"])
            except BaseException as error:
                os.write(2, repr(error).encode())
            os._exit(127)
        self.tree.adopt(self.pid)
        for fd in (stdin, may_begin, begin):
            os.close(fd)

    def go(self) -> str:
        """Run it to its end; how that came."""
        until = time.monotonic() + self.request["real_limit"]
        while self.tree.threads:
            if self.tree.step():
                continue
            if not self.tree.settled():
                if time.monotonic() > until:
                    return "hangs"
                signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
            elif self.tree.connections.held:
                signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
            elif not self._move():
                return "waits"
        return "ended"

    def _move(self) -> bool:
        """Move the clock to what is due next, and do that; False: nothing is."""
        due = self.tree.first()
        if self.events and (due is None or due.due_ns > self.events[0][0]):
            self.now_ns, kind, value = self.events.pop(0)
            self.tree.show_time()
            if kind == "signal":
                os.kill(self.pid, value)
            elif kind == "input":
                os.write(self.feed, value.encode())
            else:
                self._hold()
            return True
        if due is None or due.due_ns - START_NS > self.request["limit_ns"]:
            return False
        self.now_ns = max(self.now_ns, due.due_ns)
        self.ended.append([self.now_ns - START_NS, self._name(due)])
        self.tree.show_time()
        self.tree.wake(due)
        return True

    def _hold(self) -> None:
        """Stop all threads, as at a gate, and let them go on."""
        self.tree.stop()
        while not self.tree.all_held():
            if not self.tree.step():
                signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS)
        self.tree.go_on()

    @staticmethod
    def _name(due: Due) -> str:
        return due.source.wait.name if isinstance(due.source, Thread) and due.source.wait is not None else "timer"

    def result(self) -> dict[str, Any]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            self.start(out.fileno(), err.fileno())
            end = self.go()
            busy = self.tree.busy() if end == "hangs" else None
            written = [os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace") for file in (out, err)]
        return {
            "end": end if busy is None else f"hangs: {_call_of(busy)}",
            "ns": self.now_ns - START_NS,
            "status": None if self.status is None else os.waitstatus_to_exitcode(self.status),
            "out": written[0],
            "err": written[1],
            "stops": self.tree.stops,
            "again": self.again,
            "ended": self.ended,
        }


def _refuse(*_: object) -> NoReturn:
    raise LookupError("as where the vDSO cannot be patched")


def _call_of(thread: Thread) -> str:
    with open(f"/proc/{thread.process.pid}/task/{thread.tid}/syscall", encoding="ascii") as file:
        return file.read().strip()


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.alarm(int(request["real_limit"]) + LAST_RESORT)
            result = Run(request).result()
            print(json.dumps(result), flush=True)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status != 0:
            print(json.dumps({"end": f"the tracer ended with {os.waitstatus_to_exitcode(status)}"}), flush=True)


main()
