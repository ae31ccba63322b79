"""The waits of a handler that the conformance tests run: one row each, with what its code is and when it ends.

A row's code runs in an instance, in a function of its own, with the helpers of waits_handler.py. What each test finds
is compared with the row's own words and with the table of docs/waits.md, which ``SCF_CONFORMANCE=write`` writes.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WRITE = os.environ.get("SCF_CONFORMANCE") == "write"
HANDLER = Path(__file__).with_name("waits_handler.py")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "waits.md"
SECOND = 1_000_000

MAIN, OTHER, RETURNS, RAISES, ABSENT, HOLDS = COLUMNS = (
    "main thread",
    "another thread",
    "handler returns",
    "handler raises",
    "no handler",
    "beside a sleep",
)
_HEAD = f"| wait | {' | '.join(COLUMNS)} |"


@dataclass(frozen=True)
class Row:
    """One wait. Times are simulated µs from its beginning."""

    name: str
    """As the page shows it."""
    code: str
    end: int
    signal_at: int = 20 * SECOND
    """When the SIGTERM comes."""
    raises: int | None = None
    """When it ends with the handler's exception, where that is not when the SIGTERM comes."""
    received: int | None = None
    """When the handler is called, where that is not when the SIGTERM comes."""
    main_only: bool = False
    release: str | None = None
    """How the test ends a real wait: a method of its ``Peer``; None: the wait is simulated."""
    not_listening: bool = False
    """C code that lets no handler run before the wait has ended."""
    since: tuple[int, int] = (3, 10)

    @property
    def real(self) -> bool:
        return self.release is not None

    @property
    def runs_here(self) -> bool:
        return sys.version_info >= self.since

    @property
    def columns(self) -> list[str]:
        """Those in which it has a cell."""
        left_out = [HOLDS] * (not self.real) + [OTHER] * self.main_only
        return [column for column in COLUMNS if column not in left_out]

    @property
    def received_at(self) -> int:
        """When the handler is called."""
        return self.signal_at if self.received is None else self.received

    def expected(self, column: str) -> str:
        """What has to be found."""
        if self.real:
            return {RAISES: "0 s, its exception", ABSENT: "439 at 0 s"}.get(column, "held, 0 s")
        if column == RAISES:
            return f"{seconds(self.signal_at if self.raises is None else self.raises)}, its exception"
        if column == ABSENT:
            return f"439 at {seconds(self.signal_at)}"
        return seconds(self.end)


def seconds(microseconds: int) -> str:
    whole, rest = divmod(microseconds, SECOND)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".") + " s"


def timed(name: str, code: str, **options: object) -> Row:
    """A wait with a timeout of 60 s that nothing ends."""
    return Row(name, code, 60 * SECOND + 1, **options)  # type: ignore[arg-type]


def woken(name: str, code: str, **options: object) -> Row:
    """A wait that ends after exactly 60 s: another thread ends it, or it is a sleep."""
    return Row(name, code, 60 * SECOND, **options)  # type: ignore[arg-type]


def in_asyncio(name: str, code: str, **options: object) -> Row:
    """A wait of a coroutine that ends after exactly 60 s."""
    return woken(name, coroutine(code), **options)


def coroutine(code: str) -> str:
    lines = "".join(f"    {line}\n" for line in code.split("\n"))
    return f"async def main():\n{lines}asyncio.run(main())"


def real(name: str, code: str, release: str, **options: object) -> Row:
    """A wait for something outside, which the test brings by *release*."""
    return Row(name, code, 0, 0, release=release, **options)  # type: ignore[arg-type]


_MODULES = ("asyncio", "fcntl", "multiprocessing", "sched", "subprocess", "urllib.request")
"""What a row's code may need beside what waits_handler.py imports: some take long to import."""

TIMES = [
    woken("`time.sleep(60)`", "time.sleep(60)"),
    Row("`time.sleep(0.25)`", "time.sleep(0.25)", 250_000, 100_000),
    Row("`time.sleep(0.000001)`", "time.sleep(0.000001)", 1, 0),
    woken("`sched.scheduler.run()`", "s = sched.scheduler(); s.enter(60, 1, int); s.run()"),
]

THREADING = [
    timed("`Event.wait(60)`", "assert not threading.Event().wait(60)"),
    woken("`Event.wait()`, set", "e = threading.Event(); later(e.set); assert e.wait()"),
    timed("`Condition.wait(60)`", "c = threading.Condition()\nwith c:\n    assert not c.wait(60)"),
    woken("`Condition.wait()`, notified", "c = notified(threading.Condition())\nwith c:\n    assert c.wait()"),
    timed("`Condition.wait_for(…, 60)`", "c = threading.Condition()\nwith c:\n    assert not c.wait_for(list, 60)"),
    woken(
        "`Condition.wait_for(…)`, notified",
        "c, began = notified(threading.Condition()), time.time()\nwith c:\n    c.wait_for(lambda: time.time() > began)",
    ),
    timed("`Semaphore.acquire(timeout=60)`", "assert not threading.Semaphore(0).acquire(timeout=60)"),
    woken("`Semaphore.acquire()`, released", "s = threading.Semaphore(0); later(s.release); s.acquire()"),
    timed(
        "`BoundedSemaphore.acquire(timeout=60)`",
        "s = threading.BoundedSemaphore(1); s.acquire(); assert not s.acquire(timeout=60)",
    ),
    woken(
        "`BoundedSemaphore.acquire()`, released",
        "s = threading.BoundedSemaphore(1); s.acquire(); later(s.release); s.acquire()",
    ),
    timed("`Barrier.wait(60)`", "expect(threading.BrokenBarrierError, threading.Barrier(2).wait, 60)"),
    woken(
        "`Barrier.wait()`, the other comes",
        "b = threading.Barrier(2); later(b.wait); tidying.append(b.abort); b.wait()",
    ),
    timed("`Timer(60, …).join()`", "t = threading.Timer(60, int); t.start(); tidying.append(t.join); t.join()"),
    timed("`Thread.join(60)`", "t = later(int, seconds=100); t.join(60); assert t.is_alive()"),
    woken("`Thread.join()`", "t = later(int); t.join(); assert not t.is_alive()"),
    timed("`Lock.acquire(timeout=60)`", "lock = threading.Lock(); lock.acquire(); assert not lock.acquire(timeout=60)"),
    woken("`Lock.acquire()`, released", "lock = threading.Lock(); lock.acquire(); later(lock.release); lock.acquire()"),
    woken("`with lock:`, released", "with holding(threading.Lock()):\n    pass"),
    timed("`RLock.acquire(timeout=60)`", "assert not holding(threading.RLock(), 100).acquire(timeout=60)"),
    woken("`RLock.acquire()`, released", "holding(threading.RLock()).acquire()"),
    woken("`with rlock:`, released", "with holding(threading.RLock()):\n    pass"),
]

QUEUES = [
    timed("`Queue.get(timeout=60)`", "expect(queue.Empty, queue.Queue().get, timeout=60)"),
    woken("`Queue.get()`, put", 'q = queue.Queue(); later(q.put, "x"); assert q.get() == "x"'),
    timed("`Queue.put(…, timeout=60)`", 'expect(queue.Full, full().put, "y", timeout=60)'),
    woken("`Queue.put(…)`, taken from", 'q = full(); later(q.get); q.put("y")'),
    woken("`Queue.join()`, all done", "q = full(); later(q.task_done); q.join()"),
    timed("`LifoQueue.get(timeout=60)`", "expect(queue.Empty, queue.LifoQueue().get, timeout=60)"),
    woken("`LifoQueue.get()`, put", "q = queue.LifoQueue(); later(q.put, 1); assert q.get() == 1"),
    timed("`PriorityQueue.get(timeout=60)`", "expect(queue.Empty, queue.PriorityQueue().get, timeout=60)"),
    woken("`PriorityQueue.get()`, put", "q = queue.PriorityQueue(); later(q.put, 1); assert q.get() == 1"),
    timed("`SimpleQueue.get(timeout=60)`", "expect(queue.Empty, queue.SimpleQueue().get, timeout=60)"),
    woken("`SimpleQueue.get()`, put", "q = queue.SimpleQueue(); later(q.put, 1); assert q.get() == 1"),
]

FUTURES = [
    timed(
        "`Future.result(60)`",
        "expect(concurrent.futures.TimeoutError, concurrent.futures.Future().result, 60)",
    ),
    woken("`Future.result()` of a thread pool", "workers().submit(time.sleep, 60).result()"),
    timed(
        "`Future.exception(60)`",
        "expect(concurrent.futures.TimeoutError, concurrent.futures.Future().exception, 60)",
    ),
    timed(
        "`concurrent.futures.wait(…, 60)`",
        "assert not concurrent.futures.wait([concurrent.futures.Future()], 60).done",
    ),
    woken(
        "`concurrent.futures.wait(…)`",
        "pool = workers(2)\nconcurrent.futures.wait([pool.submit(time.sleep, s) for s in (30, 60)])",
    ),
    timed(
        "`concurrent.futures.as_completed(…, 60)`",
        "f = concurrent.futures; expect(f.TimeoutError, list, f.as_completed([f.Future()], 60))",
    ),
    woken(
        "`concurrent.futures.as_completed(…)`",
        "pool = workers(2)\nlist(concurrent.futures.as_completed([pool.submit(time.sleep, s) for s in (60, 30)]))",
    ),
    timed(
        "`Executor.map(…, timeout=60)`",
        "expect(concurrent.futures.TimeoutError, list, workers().map(time.sleep, [100], timeout=60))",
    ),
    woken("`Executor.map(…)`", "list(workers().map(time.sleep, [20, 40]))"),
    woken("`Executor.shutdown()`", "pool = workers()\npool.submit(time.sleep, 60)\npool.shutdown()"),
]

MULTIPLEXED = [
    timed("`select.select(…, 60)`", "assert select.select([pipe()[0]], [], [], 60) == ([], [], [])"),
    woken("`select.select(…)`, written to", "r = written(); assert select.select([r], [], []) == ([r], [], [])"),
    woken(
        "`socket.accept()`, connected to by a thread",
        "s = socket.create_server(('127.0.0.1', 0)); later(socket.create_connection, s.getsockname()); s.accept()",
    ),
    woken(
        "`socket.recv(…)` of a pair of sockets",
        "here, there = socket.socketpair(); later(there.send, b'x'); assert here.recv(1) == b'x'",
    ),
    woken("`os.read(…)` of its own pipe", "assert os.read(written(), 1)"),
    timed("`select.poll().poll(60_000)`", "assert polling(select.poll(), pipe()[0]).poll(60_000) == []"),
    woken(
        "`select.poll().poll()`, written to",
        "r = written(); assert polling(select.poll(), r).poll() == [(r, select.POLLIN)]",
    ),
    timed("`select.epoll().poll(60)`", "assert polling(select.epoll(), pipe()[0]).poll(60) == []"),
    woken(
        "`select.epoll().poll()`, written to",
        "r = written(); assert polling(select.epoll(), r).poll() == [(r, select.EPOLLIN)]",
    ),
    *(
        row
        for kind in ("DefaultSelector", "SelectSelector", "PollSelector", "EpollSelector")
        for row in (
            timed(f"`{kind}.select(60)`", f"assert selecting(selectors.{kind}(), pipe()[0]).select(60) == []"),
            woken(
                f"`{kind}.select()`, written to",
                f"r = written(); assert [key.fd for key, _ in selecting(selectors.{kind}(), r).select()] == [r]",
            ),
        )
    ),
]

ASYNCIO = [
    in_asyncio("`asyncio.sleep(60)`", "await asyncio.sleep(60)"),
    in_asyncio("`asyncio.wait_for(…, 60)`", "await times_out(asyncio.wait_for(asyncio.sleep(100), 60))"),
    in_asyncio(
        "`asyncio.timeout(60)`, from Python 3.11 on",
        "async def wait():\n    async with asyncio.timeout(60):\n        await asyncio.Event().wait()\n"
        "await times_out(wait())",
        since=(3, 11),
    ),
    in_asyncio(
        "`asyncio.wait(…, timeout=60)`",
        "task = asyncio.ensure_future(asyncio.sleep(100))\n"
        "assert await asyncio.wait([task], timeout=60) == (set(), {task})\ntask.cancel()",
    ),
    in_asyncio("`asyncio.gather(…)`", "await asyncio.gather(*map(asyncio.sleep, (30, 60, 1)))"),
    in_asyncio(
        "`asyncio.as_completed(…)`",
        "for first in asyncio.as_completed([asyncio.sleep(60), asyncio.sleep(30)]):\n    await first",
    ),
    in_asyncio("`asyncio.Event.wait()`, set", "event = asyncio.Event()\nin_a_minute(event.set)\nawait event.wait()"),
    in_asyncio(
        "`asyncio.Condition.wait()`, notified",
        "condition = asyncio.Condition()\nin_a_minute(lambda: asyncio.ensure_future(notify(condition)))\n"
        "async with condition:\n    await condition.wait()",
    ),
    in_asyncio(
        "`asyncio.Semaphore.acquire()`, released",
        "semaphore = asyncio.Semaphore(0)\nin_a_minute(semaphore.release)\nawait semaphore.acquire()",
    ),
    in_asyncio(
        "`asyncio.Lock.acquire()`, released",
        "lock = asyncio.Lock()\nawait lock.acquire()\nin_a_minute(lock.release)\nawait lock.acquire()",
    ),
    in_asyncio(
        "`asyncio.Queue.get()`, put",
        "queue = asyncio.Queue()\nin_a_minute(queue.put_nowait, 1)\nassert await queue.get() == 1",
    ),
    in_asyncio(
        "`loop.call_soon_threadsafe(…)` of another thread",
        "event, loop = asyncio.Event(), asyncio.get_running_loop()\nlater(loop.call_soon_threadsafe, event.set)\n"
        "await event.wait()",
    ),
    in_asyncio(
        "`loop.run_in_executor(…)`",
        "await asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)",
        raises=60 * SECOND,  # asyncio.run() waits for the threads
    ),
    in_asyncio("`asyncio.to_thread(…)`", "await asyncio.to_thread(time.sleep, 60)", raises=60 * SECOND),
]

SIGNALS = [
    woken("`signal.alarm(60)` in `pause()`", "signal.alarm(60)\nwhile not rang:\n    signal.pause()", main_only=True),
    woken(
        "`signal.setitimer(…, 60)` that ends a sleep",
        'alarms["raise"] = True\nsignal.setitimer(signal.ITIMER_REAL, 60)\nexpect(Rang, time.sleep, 100)',
        main_only=True,
    ),
    woken(
        "`signal.pause()`, a signal sent to the thread",
        "later(signal.pthread_kill, threading.get_ident(), signal.SIGALRM)\nwhile not rang:\n    signal.pause()",
    ),
    timed("`signal.sigtimedwait(…, 60)`", "assert signal.sigtimedwait([signal.SIGUSR1], 60) is None"),
    woken(
        "`signal.sigtimedwait(…, 100)`, sent",
        "later(os.kill, os.getpid(), signal.SIGUSR1)\nassert signal.sigtimedwait([signal.SIGUSR1], 100)",
    ),
    woken(
        "`signal.sigwaitinfo(…)`, sent",
        "later(os.kill, os.getpid(), signal.SIGUSR1)\nassert signal.sigwaitinfo([signal.SIGUSR1])",
    ),
    woken(
        "`signal.sigwait(…)`, sent: a handler is called at its end",
        "later(os.kill, os.getpid(), signal.SIGUSR1)\nassert signal.sigwait([signal.SIGUSR1])",
        raises=60 * SECOND,
        received=60 * SECOND,
    ),
]

REAL = [
    real("`subprocess.run(…)`", 'subprocess.run(["head", "-n1", peer["fifo"]], stdout=subprocess.DEVNULL)', "write"),
    real(
        "`subprocess.run(…, timeout=60)`",
        'assert subprocess.run(["head", "-n1", peer["fifo"]], stdout=subprocess.DEVNULL, timeout=60).returncode == 0',
        "write",
    ),
    real("`Popen.wait()`", "child().wait()", "write"),
    real("`Popen.wait(60)`", "child().wait(60)", "write"),
    real(
        "`Popen.communicate()`",
        'assert child(stdout=subprocess.PIPE, stderr=subprocess.PIPE).communicate()[0] == b"go\\n"',
        "write",
    ),
    real(
        "`Popen.communicate(timeout=60)`",
        'assert child(stdout=subprocess.PIPE).communicate(timeout=60)[0] == b"go\\n"',
        "write",
    ),
    real("`os.waitpid(…)`", "os.waitpid(child().pid, 0)", "write"),
    real(
        "`os.system(…)`: a handler is called at its end",
        "os.system(f\"head -n1 {peer['fifo']} > /dev/null\")",
        "write",
        not_listening=True,
    ),
    real("read of a pipe from a child", 'assert child(stdout=subprocess.PIPE).stdout.readline() == b"go\\n"', "write"),
    real("`socket.recv(…)` from a server", 'assert connected().recv(4) == b"HTTP"', "answer"),
    real(
        "`urllib.request.urlopen(…)`",
        "assert urllib.request.urlopen(f\"http://127.0.0.1:{peer['port']}/\").read() == b'here'",
        "answer",
    ),
    real(
        "`fcntl.flock(…)` of a file that is locked",
        'file = open(peer["lock"])\nfcntl.flock(file, fcntl.LOCK_EX)\nfile.close()',
        "unlock",
    ),
    real("`select.select(…)` of a connection", "assert select.select([connected()], [], [])[0]", "answer"),
    real("`multiprocessing.Process.join()`", "process().join()", "write"),
    real("`multiprocessing.Process.join(60)`", "process().join(60)", "write"),
    real("`multiprocessing.Queue.get()`", "q = multiprocessing.Queue(); process(q.put); assert q.get()", "write"),
    real(
        "`multiprocessing.Connection.recv()`",
        "mine, theirs = multiprocessing.Pipe(); process(theirs.send); assert mine.recv()",
        "write",
    ),
    real(
        "`asyncio.create_subprocess_exec(…)`, `wait()`",
        coroutine(
            'child = await asyncio.create_subprocess_exec("head", "-n1", peer["fifo"], stdout=subprocess.DEVNULL)\n'
            "try:\n    assert await child.wait() == 0\n"
            "finally:  # its end is reported to the loop, which says so in the log once it is closed\n"
            "    if child.returncode is None:\n        child.kill()\n        await child.wait()"
        ),
        "write",
    ),
    real(
        "`asyncio.open_connection(…)`, `read()`",
        coroutine(
            'reader, writer = await asyncio.open_connection("127.0.0.1", peer["port"])\n'
            'writer.write(b"hello")\nassert await reader.read()\nwriter.close()'
        ),
        "answer",
    ),
    real("read of a FIFO", 'with open(peer["fifo"]) as file:\n    assert file.readline() == "go\\n"', "write"),
]

ROWS = {row.name: row for row in [*TIMES, *THREADING, *QUEUES, *FUTURES, *MULTIPLEXED, *ASYNCIO, *SIGNALS, *REAL]}


def source() -> str:
    """The handler file of all rows."""
    text = HANDLER.read_text(encoding="utf-8")
    for number, row in enumerate(ROWS.values()):
        imports = [f"import {module}" for module in _MODULES if f"{module}." in row.code]
        lines = "".join(f"    {line}\n" for line in [*imports, *row.code.split("\n")])
        text += f"\ndef wait_{number}():\n{lines}"
    pairs = ", ".join(f"{name!r}: wait_{number}" for number, name in enumerate(ROWS))
    return f"{text}\nWAITS.update({{{pairs}}})\n"


# -- the table of the page -------------------------------------------------------------------------------------------


def _lines(text: str) -> tuple[int, int, list[str]]:
    """Where the rows of the table begin and end among the lines of *text*."""
    lines = text.split("\n")
    first = lines.index(_HEAD) + 2
    return first, lines.index("", first), lines


def _cells(line: str) -> tuple[str, dict[str, str]]:
    name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
    return name, dict(zip(COLUMNS, cells, strict=True))


def shown() -> dict[str, dict[str, str]]:
    """What the page shows: for each row its cells by column."""
    first, last, lines = _lines(PAGE.read_text(encoding="utf-8"))
    return dict(_cells(line) for line in lines[first:last])


@contextmanager
def rewriting() -> Iterator[dict[str, dict[str, str]]]:
    """The cells of the page, which are written back: all rows of this file, in its order."""
    with open(PAGE, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first, last, lines = _lines(file.read())
        table = dict(_cells(line) for line in lines[first:last])
        yield table
        empty = dict.fromkeys(COLUMNS, "")
        lines[first:last] = [
            re.sub(r" +", " ", f"| {name} | {' | '.join({**empty, **table.get(name, {})}.values())} |") for name in ROWS
        ]
        file.seek(0)
        file.write("\n".join(lines))
        file.truncate()
