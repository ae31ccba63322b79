"""The scout: it runs the handler, and forks a branch at each point that is to be interrupted."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterable, Sequence

from ...protocol import branches, linux, messages
from ..gates import gates, lines, occurrences
from ..originals import real_kill
from . import privacy, processes
from .directories import CannotCopyError
from .own_harness import OwnHarness

_FAULT = re.compile(r"fault,(?P<name>\w+)(?P<lasting>,lasting)?")
Key = tuple[object, ...]
_BY_FORCE = ("forced", "timeout")


class Scout:
    """What is to be interrupted where, in this process."""

    def __init__(self, harness: OwnHarness, wanted: Iterable[branches.Branch], ours: privacy.Ours) -> None:
        self._harness = harness
        self._ours = ours
        self._wanted: dict[Key, list[branches.Branch]] = {}
        for branch in wanted:
            self._wanted.setdefault(tuple(branch.key), []).append(branch)

    def collect(self) -> None:
        """Look at the points from here on."""
        plan = self._harness.plan
        gates.collect_anew(messages.Collect(plan.roots, plan.exclude))
        assert lines.collector is not None
        lines.collector.report_to(self._passed)

    def _passed(self, point: messages.Point) -> None:
        if point.offset >= 0:
            key: Key = (point.file, point.name, point.first, point.offset, point.number)
        else:
            key = (point.kind, point.number)
        found = self._wanted.pop(key, None)
        if found is None:
            return
        files: Sequence[privacy.OpenFile] = ()
        why = ""
        if any(branch.how not in _BY_FORCE for branch in found):
            files = privacy.users_files(self._ours)
            why = privacy.why_not(self._ours, files, self._harness.plan.run_path)
        for branch in found:
            if why and branch.how not in _BY_FORCE:
                branches.send(self._harness.connection, branches.Cannot(branch.job, why))
            elif self._begins(branch):
                if branch.how in _BY_FORCE:
                    self._ends_by_force(branch)
                elif self._branch_off(branch, files):
                    return

    def _begins(self, branch: branches.Branch) -> bool:
        """Copy the run's directory for *branch*; whether that can be."""
        harness = self._harness
        try:
            with occurrences.not_counted():
                harness.directories.copy_run(str(branch.job))
        except (OSError, CannotCopyError) as error:
            branches.send(harness.connection, branches.Cannot(branch.job, str(error)))
            return False
        harness.announce(branch.job, branch.job)
        return True

    def _ends_by_force(self, branch: branches.Branch) -> None:
        """Say how an event ends that is terminated by force: nothing of it runs any more, so no process is needed."""
        harness = self._harness
        now_us = harness.clock.now_us
        fact, end_us = ("TERMINATED", now_us) if branch.how == "forced" else (harness.timed_out, harness.deadline_us)
        branches.send(harness.connection, branches.Ends(branch.job, end_us, fact, None, None, []))

    def _branch_off(self, branch: branches.Branch, files: Sequence[privacy.OpenFile]) -> bool:
        """Fork the process of a branch, and wait for its end; True in that process, once it has had its SIGTERM.

        What can be done before the fork is done there: the first time that a new process does anything is slow, as it
        gets pages of its own.
        """
        harness, directory = self._harness, str(branch.job)
        working = os.readlink("/proc/self/cwd")
        try:
            with occurrences.not_counted():
                harness.directories.set_aside(directory)
        except (OSError, CannotCopyError) as error:
            branches.send(harness.connection, branches.Cannot(branch.job, str(error)))
            return False
        pid = privacy.fork()
        if pid:
            processes.await_end(harness, pid, branch.job)
            processes.end_what_is_left()
            with occurrences.not_counted():
                harness.directories.restore(directory)
            return False
        linux.die_with_parent()
        try:
            with occurrences.not_counted():
                privacy.own_files(files)
            os.chdir(working)
        except OSError as error:
            branches.send(harness.connection, branches.Cannot(branch.job, str(error)))
            processes.leave()
        harness.become(branch.job)
        if branch.how == "scout":
            linux.adopt_orphans()
            Scout(harness, (branches.Branch(*each) for each in branch.then), self._ours).collect()
        else:
            gates.stop_collecting()
        fault = _FAULT.fullmatch(branch.how)
        if fault is not None:
            occurrences.fail("write", getattr(errno, fault["name"].upper()), lasting=fault["lasting"] is not None)
        real_kill(os.getpid(), signal.SIGTERM)
        return True


def begin(harness: OwnHarness, wanted: Iterable[branches.Branch], ours: privacy.Ours) -> None:
    """Be a scout from here on."""
    Scout(harness, wanted, ours).collect()
