"""C code that waits is not disturbed by the clock page: it keeps the kernel's clock, as its waits do.

The simulated clock is a year ahead of the machine's, or a year behind it: a deadline that was computed by the one and
waited for by the other would never come, or be over at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from process_support import LONG

from pytest_scf_async.plugin.plugin import _configured as configured
from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

SUPPORT = """
    import _thread, ctypes, faulthandler, multiprocessing, os, sqlite3, tempfile, threading, time

    libc = ctypes.CDLL(None)

    class Timespec(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]

    def machine(clock):
        now = Timespec()
        libc.clock_gettime(clock, ctypes.byref(now))
        return now.seconds * 10**9 + now.ns

    def deadline(seconds):
        return Timespec(*divmod(machine(0) + int(seconds * 1e9), 10**9))

    def lock():
        held = multiprocessing.Lock()
        held.acquire()
        assert not held.acquire(timeout=0.2)

    def raw_lock():
        held = _thread.allocate_lock()
        held.acquire()
        assert not held.acquire(timeout=0.2)

    def queue():
        import queue
        os.system("true")  # from the first child on these count real time
        try:
            multiprocessing.Queue().get(timeout=0.2)
        except queue.Empty:
            return
        raise AssertionError

    def barrier():
        try:
            multiprocessing.Barrier(2).wait(timeout=0.2)
        except threading.BrokenBarrierError:
            return
        raise AssertionError

    def event():
        assert not multiprocessing.Event().wait(0.2)

    def condition_of_pthread():
        mutex, condition = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
        libc.pthread_mutex_lock(mutex)
        import errno
        assert libc.pthread_cond_timedwait(condition, mutex, ctypes.byref(deadline(0.2))) == errno.ETIMEDOUT

    def semaphore():
        held = ctypes.create_string_buffer(64)
        libc.sem_init(held, 0, 0)
        assert libc.sem_timedwait(held, ctypes.byref(deadline(0.2))) == -1

    def nanosleep():
        assert libc.clock_nanosleep(0, 1, ctypes.byref(deadline(0.2)), None) == 0

    def sqlite():
        path = tempfile.mktemp()
        first = sqlite3.connect(path, isolation_level=None)
        first.execute("create table t (x)")
        first.execute("begin exclusive")
        try:
            sqlite3.connect(path, timeout=0.2).execute("insert into t values (1)")
        except sqlite3.OperationalError:
            return
        raise AssertionError

    def watchdog():
        with tempfile.TemporaryFile() as file:  # a read of a pipe of its own would be a wait that only this code ends
            faulthandler.dump_traceback_later(0.2, file=file)
            while not os.fstat(file.fileno()).st_size:
                libc.usleep(1_000)
            assert os.pread(file.fileno(), 1, 0) == b"T"  # "Timeout"
            faulthandler.cancel_dump_traceback_later()

    def child_with_a_lock():
        pid = os.fork()
        if pid == 0:
            held = threading.Lock()
            held.acquire()
            before = time.time()
            expired = not held.acquire(timeout=0.2) and not threading.Event().wait(0.01)
            ran = 0.2 < time.time() - before
            os._exit(0 if expired and ran else 1)
        assert os.waitpid(pid, 0)[1] == 0

    def main_handler(name, context):
        page = time.time()
        assert abs(page - machine(0) / 1e9) > 86_400 * 300, "the two clocks are to be far apart"
        before = machine(1)
        globals()[name]()
        return (machine(1) - before) / 1e9
"""
WAITS = (
    *("lock", "raw_lock", "queue", "barrier", "event", "condition_of_pthread", "semaphore", "nanosleep", "sqlite"),
    *("watchdog", "child_with_a_lock"),
)


@pytest.fixture(params=[366, -366], ids=["a year ahead", "a year behind"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScfRuntime]:
    with ScfRuntime(
        configured(request.config),
        start=datetime.now(timezone.utc) + timedelta(days=request.param),
        base_temp=tmp_path_factory.getbasetemp(),
        root=request.config.rootpath,
    ) as runtime:
        yield runtime


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_of_c_code_lasts_its_real_time(deploy, runtime: ScfRuntime, wait: str) -> None:
    lasted = deploy(SUPPORT, to=runtime).run(wait)

    if wait == "raw_lock":
        assert lasted < LONG
    else:
        assert 0.19 < lasted < LONG
