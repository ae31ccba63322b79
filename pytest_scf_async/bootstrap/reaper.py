"""The keeper: the zygote's parent, which leaves nothing of a session behind however the zygote ends.

Whatever loses its last parent below it comes to it, in whatever session or environment it runs: while the zygote lives
that is nothing, after its end it is all that is left. Should the keeper itself be killed, the zygote and the instances
die with it, and the test process looks for what they leave by our mark in the environment.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Container

from ..protocol import linux


def kill_children(spared: Container[int] = ()) -> None:
    """Kill the child processes of this one but *spared*, what comes to it by their ends too, and reap them."""
    while strays := [pid for pid in linux.children_of(os.getpid()) if pid not in spared]:
        for pid in strays:
            os.kill(pid, signal.SIGKILL)  # a child that we have not reaped: the id cannot be anyone else's
        for pid in strays:
            os.waitpid(pid, 0)


def stand_above(connection: int, scratch: str) -> None:
    """Fork, and return in the child, which is to be the zygote; its parent keeps, and does not return.

    *connection* is the zygote's socket; *scratch* is the session's temporary directory, removed at the end.
    """
    linux.adopt_orphans()
    keeper = os.getpid()
    zygote = os.fork()
    if zygote == 0:
        linux.die_with_parent()
        if os.getppid() != keeper:
            os._exit(1)
        return
    os.close(connection)  # the test process has to see its end
    os.waitid(os.P_PID, zygote, os.WEXITED | os.WNOWAIT)
    kill_children()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)
