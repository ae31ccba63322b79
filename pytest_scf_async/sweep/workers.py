"""Worker processes of a sweep: forks of the test's process, each of which makes one run after another.

They are forks because what runs call are closures of the test, over fakes and fixtures, which cannot be sent to another
process. Each has a mount namespace with a directory of its own at the one path of all runs, so that user code sees the
same path in each, and zygotes of its own: those of the parent are forgotten by a fork.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from types import FrameType
from typing import NoReturn

from ..errors import HarnessError, ScfAsyncError, ScfUsageError, hidden_from_users
from ..instances.interrupts import exposed, shielded
from ..instances.zygote import close_shared_zygote, reapers
from ..linux import procfs
from ..linux.linux import die_with_parent
from ..linux.mount_namespaces import find_at
from ..lockstep.features.feature import Forked
from ..protocol.real_time import REAL
from .agenda import Answer, Job, Made, no_workers

__tracebackhide__ = hidden_from_users

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
LOOK_AGAIN = 0.25
"""Real seconds after which a wait for workers checks its time limit."""
END_LIMIT = 10.0
"""Real seconds that a worker gets to end before it is killed."""


class _Ended(BaseException):
    """The parent ends this worker; no ``except Exception`` of the test takes it."""


class _Worker:
    """The parent's side of one worker."""

    def __init__(self, number: int, pid: int, connection: Connection) -> None:
        self.number, self.pid, self.connection = number, pid, connection
        self.pidfd = os.pidfd_open(pid)
        self.job: Job | None = None
        """What it makes now."""
        self.reapers: list[int] = []
        """A descriptor of each process that cleans up after it."""

    def give(self, job: Job) -> None:
        self.job = job
        with contextlib.suppress(OSError):  # it has died, which its pidfd says
            self.connection.send(job)

    def go_on(self) -> None:
        """Have it go on where a signal (SIGSTOP) has stopped it: nothing else would."""
        if procfs.state_of(self.pid) == b"T":
            signal.pidfd_send_signal(self.pidfd, signal.SIGCONT)

    def end(self, deadline: float) -> None:
        """Wait until it has ended, and all below it; kill it where it does not."""
        if not _ends(self.pidfd, deadline):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            _ends(self.pidfd, REAL.monotonic() + END_LIMIT)
        with contextlib.suppress(ChildProcessError):  # a handler of SIGCHLD may have reaped it
            os.waitpid(self.pid, os.WNOHANG)
        os.close(self.pidfd)
        while self.reapers:
            reaper = self.reapers.pop()
            _ends(reaper, REAL.monotonic() + END_LIMIT)
            os.close(reaper)


class Workers:
    """The workers of one sweep; also a context manager, at whose end none of them is left."""

    def __init__(
        self,
        count: int,
        path: str,
        why_unmounted: Callable[[], str],
        make: Callable[[Job], Made],
        forked: Callable[[], Sequence[Forked]],
    ) -> None:
        """Fork *count* workers, which *make* jobs; *path* is the directory of all runs.

        *why_unmounted* says in a worker why its instances have no mount namespaces, *forked* gives what features do in
        one that is about to be forked.
        """
        self._count, self._path, self._why_unmounted, self._make = count, path, why_unmounted, make
        self._forked = forked
        self._all: list[_Worker] = []
        sys.stdout.flush()  # what is buffered here is nothing that a worker has to write
        sys.stderr.flush()
        try:
            for number in range(count):
                os.makedirs(f"{path}-{number + 1}", exist_ok=True)  # a sweep with real kills may follow
                self._start(number)
        except BaseException:
            self._end()
            raise

    def _start(self, number: int) -> None:
        ours, theirs = Pipe()
        features = self._forked()
        parent = os.getpid()
        # Between the fork and what is kept of it no handler of a signal may raise; a worker has others.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():  # of threads of the test, which a worker has not
                warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
                pid = os.fork()
            if not pid:
                ours.close()
                self._serve(number, theirs, parent, features, before)
            self._all.append(_Worker(number, pid, ours))
        except OSError as error:
            raise HarnessError(f"sweep: worker {number + 1} of {self._count} could not be forked: {error}") from error
        finally:
            theirs.close()
            for feature in features:
                feature.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # -- in a worker ---------------------------------------------------------------------------------------------------

    def _serve(
        self, number: int, connection: Connection, parent: int, features: Sequence[Forked], mask: Iterable[int]
    ) -> NoReturn:
        """Make what the parent asks for until it closes the connection, and end without the exit handlers of pytest."""
        code = 1
        try:
            gc.freeze()  # what the parent has still to collect is not for us to close
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, _ignored)  # Ctrl-C reaches all processes of a terminal, also the parent
            signal.signal(signal.SIGTERM, _end)
            for other in self._all:
                other.connection.close()  # else a worker would not see that the parent has closed it
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for feature in features:
                feature.begins()
            begun = self._begin(number, parent)
            connection.send(begun)
            while isinstance(begun, list):
                connection.send(self._answer(connection.recv()))
        except (_Ended, EOFError, ConnectionError):
            code = 0
        except BaseException:  # noqa: BLE001  (it is the last that can be said)
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException), shielded():
                close_shared_zygote()
                for feature in features:
                    feature.ends()
            os._exit(code)

    def _begin(self, number: int, parent: int) -> list[int] | ScfAsyncError:
        """Have a directory and a zygote of our own: the processes that clean up after that, or why there are none."""
        try:
            find_at(self._path, f"{self._path}-{number + 1}")
            die_with_parent()
            if os.getppid() != parent:
                raise _Ended
            if why := self._why_unmounted():
                raise OSError(0, why)
        except OSError as error:
            return ScfUsageError(no_workers(self._count, error.strerror or str(error)))
        except ScfAsyncError as error:
            return error
        return reapers()

    def _answer(self, job: Job) -> Answer:
        made, error, trace = None, None, ""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                made = self._make(job)
            except _Ended:
                raise
            except BaseException as raised:  # noqa: BLE001  (pytest.skip, say, raises one)
                error = _portable(raised)
                if isinstance(raised, HarnessError) or not isinstance(raised, ScfAsyncError):
                    trace = "".join(traceback.format_exception(raised)).rstrip()
        return Answer(made, error, trace, (out.getvalue(), err.getvalue()))

    # -- in the parent -------------------------------------------------------------------------------------------------

    def make(self, next_for: Callable[[int], Job | None]) -> Iterator[tuple[int, Job, Answer] | None]:
        """Have jobs made until *next_for* has none for any worker, and none is under way.

        Gives the number of the worker, the job, and what has come of it, as they come; None where nothing has for a
        moment. Raises ``HarnessError`` where a worker dies.
        """
        while True:
            for worker in self._all:
                if worker.job is None and (job := next_for(worker.number)) is not None:
                    worker.give(job)
            busy = {worker.connection.fileno(): worker for worker in self._all if worker.job is not None}
            if not busy:
                return
            poller = select.poll()
            for worker in busy.values():
                poller.register(worker.connection.fileno(), select.POLLIN)
                poller.register(worker.pidfd, select.POLLIN)
            found = dict(exposed(poller.poll, LOOK_AGAIN * 1000))
            answers = [self._received(worker) for fd, worker in busy.items() if fd in found or worker.pidfd in found]
            if not answers:
                for worker in busy.values():
                    worker.go_on()
            yield from answers or [None]

    def _received(self, worker: _Worker) -> tuple[int, Job, Answer] | None:
        job = worker.job
        assert job is not None
        try:
            answer: list[int] | ScfAsyncError | Answer = worker.connection.recv()
        except (EOFError, OSError):
            raise HarnessError(self._how_died(worker, job)) from None
        if isinstance(answer, ScfAsyncError):
            raise answer
        if isinstance(answer, list):
            for pid in answer:
                with contextlib.suppress(ProcessLookupError):
                    worker.reapers.append(os.pidfd_open(pid))
            return None
        worker.job = None
        return worker.number, job, answer

    def _how_died(self, worker: _Worker, job: Job) -> str:
        how = "has ended"
        if _ends(worker.pidfd, REAL.monotonic() + END_LIMIT):
            with contextlib.suppress(ChildProcessError):
                code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, os.WNOHANG)[1])
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return (
            f"sweep: worker {worker.number + 1} of {self._count} {how} while it made the run {job.plan.key!r}; if "
            "the machine has too little memory for so many, use fewer, or leave workers= out"
        )

    def _end(self) -> None:
        with shielded():
            for worker in self._all:
                if worker.job is not None:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(worker.pidfd, signal.SIGTERM)
                worker.connection.close()
            deadline = REAL.monotonic() + END_LIMIT
            while self._all:
                self._all.pop().end(deadline)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()


def _ignored(signum: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN this is not inherited by programs that a worker starts."""


def _end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
    signal.signal(signum, _ignored)
    raise _Ended


def _ends(pidfd: int, deadline: float) -> bool:
    """Whether the process ends before the *deadline*."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(max(deadline - REAL.monotonic(), 0) * 1000))


def _portable(error: BaseException) -> BaseException:
    """*error* as it can be sent; one of a class that cannot, as of a class within a function, becomes another."""
    try:
        sent: BaseException = pickle.loads(pickle.dumps(error))  # noqa: S301  (of our own)
    except Exception:  # noqa: BLE001  (classes of users can do anything there)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return sent
