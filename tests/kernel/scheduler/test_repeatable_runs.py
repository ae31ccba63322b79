"""Runs of a handler with the same start are the same: statuses, codes, lines with their times, and all rows of waits.

``SCF_RUNS=50`` makes as many of each (``make runs``). ``supervisor/test_runs_of_programs.py`` has programs of images.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from process_support import LIBRARY_IN_C, START

from pytest_scf_async import ScfRuntime

RUNS = int(os.environ.get("SCF_RUNS", "2"))
pytestmark = [pytest.mark.interpreter, pytest.mark.timeout(60 + 5 * RUNS)]

THREADS = """
    import queue, threading, time

    def main_handler(event, context):
        jobs, lock, done, ready = queue.Queue(2), threading.Lock(), [], threading.Condition()

        def work(number):
            while (job := jobs.get()) is not None:
                time.sleep(1 + job % 3)
                with lock:
                    print(number, "did", job, "at", time.time(), flush=True)
                    time.sleep(0.25)
                    done.append(job)
                with ready:
                    ready.notify_all()

        threads = [threading.Thread(target=work, args=(n,), name=f"w{n}") for n in range(4)]
        for thread in threads:
            thread.start()
        for job in range(12):
            jobs.put(job)
        with ready:
            ready.wait_for(lambda: len(done) == 12, 600)
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()
        return done
"""
POOL_OF_THREADS = """
    import concurrent.futures, time

    def work(job):
        time.sleep(job % 4)
        print("job", job, time.time(), flush=True)
        time.sleep(1)
        return job

    def main_handler(event, context):
        with concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="pool") as pool:
            futures = [pool.submit(work, job) for job in range(9)]
            for future in concurrent.futures.as_completed(futures):
                print("done", future.result(), time.time(), flush=True)
            return list(pool.map(work, range(5)))
"""
SUBPROCESS = """
    import subprocess, sys, time

    def main_handler(event, context):
        for number in range(4):
            run = subprocess.run(["sh", "-c", f"echo out {number}; echo err >&2"], capture_output=True, text=True)
            print(run.stdout, run.stderr, time.time(), flush=True)
            time.sleep(2)
            subprocess.run(["sh", "-c", "echo written by a child"], timeout=60)
            child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            time.sleep(1)
            print(child.communicate("a line", timeout=60)[0], child.wait(), time.time(), flush=True)
        print(subprocess.check_output([sys.executable, "-I", "-c", "print('python')"]), flush=True)
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        print(child.poll(), time.time(), flush=True)
        child.stdin.close()
        time.sleep(5)
        return child.poll()
"""
THREADS_AND_CHILDREN = """
    import os, subprocess, threading, time

    def main_handler(event, context):
        lines = []

        def follow(number):
            with subprocess.Popen(["sh", "-c", f"echo a{number}; echo b{number}"], stdout=subprocess.PIPE) as child:
                for line in child.stdout:
                    lines.append((number, line))
            time.sleep(1)

        threads = [threading.Thread(target=follow, args=(n,), name=f"f{n}") for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(sorted(lines), time.time(), flush=True)
        os.system("true")
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b"from a fork")
            os._exit(0)
        print(os.read(read, 100), os.wait()[1], time.time(), flush=True)
        time.sleep(1)
"""
CHILDREN_THAT_WRITE = """
    import asyncio, multiprocessing, os, subprocess, threading, time

    BOTH = "echo to the log >&2; echo to the handler; echo to the log again >&2"

    def say(text):
        os.write(1, f"{text}\\n".encode())

    async def children():
        started = await asyncio.create_subprocess_exec("sh", "-c", BOTH, stdout=asyncio.subprocess.PIPE)
        print((await started.communicate())[0], flush=True)
        started = await asyncio.create_subprocess_shell("echo of asyncio")
        print(await started.wait(), flush=True)
        await asyncio.sleep(1)

    def main_handler(event, context):
        subprocess.run(["sh", "-c", "echo one"])
        subprocess.run(["sh", "-c", "echo two"], timeout=60)
        subprocess.run(BOTH, shell=True, stdout=subprocess.PIPE)
        subprocess.run(BOTH, shell=True, stdout=subprocess.PIPE, timeout=60)
        child = subprocess.Popen("echo before a sleep", shell=True)
        time.sleep(1)
        print(child.poll(), os.system("echo of system"), flush=True)
        lines = "for i in 1 2 3; do echo $i; echo to the log >&2; done"
        one = subprocess.Popen(lines, shell=True, stdout=subprocess.PIPE, text=True)
        print([line for line in one.stdout], one.wait(), flush=True)
        one = subprocess.Popen("for i in 1 2 3; do echo $i; done", shell=True, stdout=subprocess.PIPE, text=True)
        other = subprocess.Popen("for i in 4 5 6; do echo $i; done", shell=True, stdout=subprocess.PIPE)
        for line in one.stdout:
            print(line.strip(), other.stdout.readline(), flush=True)
        print(one.wait(), other.wait(), flush=True)
        method = multiprocessing.get_context("fork")
        queue, lock = method.Queue(), method.Lock()
        child = method.Process(target=queue.put, args=("from a child",))
        child.start()
        print(queue.get(), child.join(), flush=True)
        with lock:
            child = method.Process(target=say, args=("of a fork",))
            child.start()
        child.join()
        for wait in (lambda pid: os.waitpid(pid, 0), lambda pid: os.wait()):
            pid = os.fork()
            if pid == 0:
                say("of another fork")
                os._exit(3)
            print(wait(pid)[1], flush=True)
        thread = threading.Thread(target=subprocess.run, args=(["sh", "-c", "echo of a thread"],), name="runs")
        thread.start()
        thread.join()
        asyncio.run(children())
        time.sleep(1)
"""
POOL_OF_PROCESSES = """
    import concurrent.futures, multiprocessing, os, time

    def work(job):
        return job * job

    def main_handler(event, context):
        method = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=method) as pool:
            futures = [pool.submit(work, job) for job in range(6)]
            print([future.result() for future in futures], time.time(), flush=True)
            time.sleep(3)
            print(list(pool.map(work, range(4))), time.time(), flush=True)
        queue = method.Queue()
        child = method.Process(target=queue.put, args=("from a child",))
        child.start()
        print(queue.get(), time.time(), flush=True)
        child.join()
        with method.Pool(2) as pool:
            print(pool.map(work, range(5)), pool.apply_async(work, (7,)).get(60), time.time(), flush=True)
        time.sleep(1)
        return child.exitcode
"""
PIPES_AND_LOCKS = """
    import fcntl, os, time

    def in_a_child(work):
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        return pid

    def main_handler(event, context):
        opened = {
            "os.fdopen": lambda fd: os.fdopen(fd),
            "in bytes": lambda fd: os.fdopen(fd, "rb"),
            "unbuffered": lambda fd: os.fdopen(fd, "rb", 0),
        }
        for name, make in opened.items():
            read, write = os.pipe()
            child = in_a_child(lambda: [os.write(fd, b"a line\\n") for fd in (1, write, write)])
            os.close(write)
            with make(read) as file:
                for line in file:
                    print(name, line, time.time(), flush=True)
            os.waitpid(child, 0)
        for lock in (fcntl.flock, fcntl.lockf):
            read, write = os.pipe()
            with open("/tmp/lock", "w") as file:

                def hold():
                    with open("/tmp/lock", "w") as other:
                        lock(other, fcntl.LOCK_EX)
                        os.write(1, b"it is held\\n")
                        os.write(write, b"held")

                child = in_a_child(hold)
                print(os.read(read, 4), flush=True)
                lock(file, fcntl.LOCK_EX)
                print("mine", time.time(), flush=True)
                lock(file, fcntl.LOCK_UN)
            os.waitpid(child, 0)
            time.sleep(1)
"""
PROCESSES = """
    import multiprocessing, time

    def work(number, jobs, results):
        while (job := jobs.get()) is not None:
            time.sleep(job)
            print(number, "did", job, time.time(), flush=True)
            results.put(job * job)

    def main_handler(event, context):
        method = multiprocessing.get_context("fork")
        jobs, results = method.SimpleQueue(), method.SimpleQueue()
        children = [method.Process(target=work, args=(n, jobs, results)) for n in range(2)]
        for child in children:
            child.start()
        for job in (1, 2, 3, 5):
            jobs.put(job)
        print([results.get() for _ in range(4)], time.time(), flush=True)
        for _ in children:
            jobs.put(None)
        for child in children:
            child.join()
        return [child.exitcode for child in children]
"""
ASYNCIO = """
    import asyncio, sys, time

    async def worker(name, jobs):
        while True:
            job = await jobs.get()
            await asyncio.sleep(job % 3 + 0.5)
            print(name, "did", job, time.time(), flush=True)
            jobs.task_done()

    async def child(text):
        started = await asyncio.create_subprocess_exec("sh", "-c", f"echo {text}", stdout=asyncio.subprocess.PIPE)
        out, _ = await started.communicate()
        return out.decode().strip(), started.returncode

    async def main():
        jobs = asyncio.Queue()
        for job in range(8):
            jobs.put_nowait(job)
        tasks = [asyncio.create_task(worker(f"w{n}", jobs)) for n in range(3)]
        await jobs.join()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(await child("one"), time.time(), flush=True)
        await asyncio.sleep(1)
        print(await asyncio.gather(*(child(f"text{n}") for n in range(3))), time.time(), flush=True)
        print(await asyncio.to_thread(time.sleep, 2), time.time(), flush=True)
        try:
            await asyncio.wait_for(asyncio.sleep(60), 5)
        except asyncio.TimeoutError:
            print("timeout", time.time(), flush=True)
        return time.time()

    def main_handler(event, context):
        return asyncio.run(main())
"""
SOCKETS = """
    import http.client, threading, time, urllib.request

    def main_handler(event, context):
        url = event["url"]
        for number in range(3):
            print(urllib.request.urlopen(url + str(number)).read(), time.time(), flush=True)
            time.sleep(10)
        connection = http.client.HTTPConnection(url.split("/")[2])
        for number in range(3):
            connection.request("POST", "/kept", b"x" * 100_000)
            print(connection.getresponse().read(), time.time(), flush=True)
            time.sleep(5)
        connection.close()

        def ask(number):
            print(number, urllib.request.urlopen(url + f"t{number}").read(), time.time(), flush=True)
            time.sleep(3)

        thread = threading.Thread(target=ask, args=(1,), name="asks")
        thread.start()
        time.sleep(1)
        thread.join()
        return time.time()
"""
OWN_SERVER = """
    import socket, threading, time

    def serve(listening):
        while True:
            connection, _ = listening.accept()
            with connection:
                while data := connection.recv(1000):
                    time.sleep(1)
                    connection.sendall(data.upper())
                    if data == b"end":
                        return

    def main_handler(event, context):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = threading.Thread(target=serve, args=(listening,), name="serves")
            server.start()
            for texts in (["one", "two"], ["three", "end"]):
                with socket.create_connection(listening.getsockname(), timeout=30) as client:
                    for text in texts:
                        client.sendall(text.encode())
                        print(client.recv(1000), time.time(), flush=True)
            server.join()
        one, other = socket.socketpair()
        writes = threading.Timer(5, one.sendall, (b"late",))
        writes.start()
        print(other.recv(10), time.time(), flush=True)
        return time.time()
"""
SIGNALS = """
    import os, signal, subprocess, threading, time

    stopping = threading.Event()

    def on_term(signum, frame):
        print("SIGTERM", time.time(), flush=True)
        stopping.set()

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_term)
        signal.signal(signal.SIGALRM, lambda *_: print("alarm", time.time(), flush=True))
        signal.signal(signal.SIGUSR1, lambda *_: print("usr1", time.time(), flush=True))
        ended = []
        signal.signal(signal.SIGCHLD, lambda *_: ended.append(time.time()))
        signal.setitimer(signal.ITIMER_REAL, 7, 10)
        subprocess.run(["sh", "-c", "kill -USR1 $PPID"])
        print("child", len(ended), flush=True)
        threading.Timer(3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        time.sleep(20)
        while not stopping.wait(60):
            print("working", time.time(), flush=True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(signal.sigtimedwait([signal.SIGUSR2], 30), time.time(), flush=True)
        return time.time()
"""
LIBRARY_THAT_ASKS = (
    LIBRARY_IN_C
    + """
import selectors, time

def get(client, path):
    return client.ask(b"GET %s HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n" % path, path)[-len(path):]

def once(port, path):
    client = Client(port)
    print(get(client, path), time.time(), flush=True)
    client.close()

def main_handler(event, context):
    port = int(event["url"].split(":")[2].rstrip("/"))
    kept = Client(port)
    for number in range(3):
        print(get(kept, b"/%d" % number), time.time(), flush=True)
        get(kept, b"/unseen")
        time.sleep(1)
        once(port, b"/once")
    with selectors.DefaultSelector() as selector:
        selector.register(kept, selectors.EVENT_READ)
        for number in range(3):
            kept.send(b"GET /selected HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n")
            print(len(selector.select(60)), kept.read(b"/selected")[-9:], flush=True)
    kept.close()
    time.sleep(1)
"""
)


@dataclass(frozen=True)
class Program:
    """A handler, and how it is deployed."""

    name: str
    handler: str
    options: dict[str, Any] = field(default_factory=dict)
    sigterm_at: float | None = None
    """In simulated seconds from its start."""
    marks: tuple[pytest.MarkDecorator, ...] = ()


SIMULATED = {"children": "simulated"}
PROGRAMS = [
    Program("threads", THREADS),
    Program("pool of threads", POOL_OF_THREADS),
    Program("children", SUBPROCESS),
    Program("simulated children", SUBPROCESS, SIMULATED),
    Program("threads with children", THREADS_AND_CHILDREN),
    Program("children that write", CHILDREN_THAT_WRITE),
    Program("pipes and locks", PIPES_AND_LOCKS),
    Program("simulated pipes and locks", PIPES_AND_LOCKS, SIMULATED),
    Program("simulated children that write", CHILDREN_THAT_WRITE, SIMULATED),
    Program("pool of processes", POOL_OF_PROCESSES),
    Program("simulated processes", PROCESSES, SIMULATED),
    Program("asyncio", ASYNCIO),
    Program("simulated asyncio", ASYNCIO, SIMULATED),
    Program("sockets", SOCKETS),
    Program("library in C that asks", LIBRARY_THAT_ASKS, marks=(pytest.mark.libcrypto,)),
    Program("simulated sockets", SOCKETS, SIMULATED),
    Program("own server", OWN_SERVER),
    Program("signals", SIGNALS, sigterm_at=130),
]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def server() -> Iterator[str]:
    """A server of the test; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as serving:
        thread = Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_address[1]}/"
        finally:
            serving.shutdown()
            thread.join()


def one_run(program: Program, file: Path) -> list[str]:
    """What is to be seen of an event of it."""
    with ExitStack() as stack:
        url = stack.enter_context(server()) if "url" in program.handler else ""
        ports = {"ports": [int(url.split(":")[2].strip("/"))]} if url and program.options else {}
        runtime = stack.enter_context(ScfRuntime(start=START, seed="the same"))
        function = runtime.deploy(f"{file}:main_handler", name="same", timeout=3600, **program.options, **ports)
        event = function.invoke_async({"url": url})
        if program.sigterm_at is not None:
            runtime.clock.advance(program.sigterm_at)
            event.terminate(grace_shutdown=True)
        event.wait()
        assert event.status == "FINISHED", event.timeline
        lines = [f"{line.time} {line.source} {line.text}" for line in event.log]
        return [comparable(line) for line in [*event.timeline.splitlines(), *lines] if not REAL.match(line)]


REAL = re.compile(r" *\+\S+ s  real ")
"""A row for real time that was spent."""


def comparable(line: str) -> str:
    """The line without what is real: memory, and the port of the test's server."""
    return re.sub(r"MemUsage:\s?[\d.]+MB", "MemUsage", re.sub(r"127\.0\.0\.1:\d+", "server", line))


@pytest.mark.parametrize(
    "program",
    [pytest.param(each, id=each.name.replace(" ", "-"), marks=each.marks) for each in PROGRAMS],
)
def test_all_runs_are_the_same(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "index.py"
    file.write_text(textwrap.dedent(program.handler), encoding="utf-8")
    first = one_run(program, file)
    for _ in range(RUNS - 1):
        assert one_run(program, file) == first


WAITS_FOR_CHILDREN = [
    *["readline at index.py:22", "os.waitpid at index.py:24"] * 3,
    *["read at index.py:36", "fcntl.flock at index.py:37", "os.waitpid at index.py:40"],
    *["read at index.py:36", "fcntl.lockf at index.py:37", "os.waitpid at index.py:40"],
]


def test_each_wait_for_a_child_has_its_row_whatever_it_finds(tmp_path: Path) -> None:
    file = tmp_path / "index.py"
    file.write_text(textwrap.dedent(PIPES_AND_LOCKS), encoding="utf-8")
    rows = [ROW.match(line) for line in one_run(Program("pipes", PIPES_AND_LOCKS), file)]
    assert [row[1] for row in rows if row and "sleep" not in row[1]] == WAITS_FOR_CHILDREN


ROW = re.compile(r" *\+\S+ s  wait +(.+)")

FILES_OF_PIPES = """
import io, os, warnings

def is_open(fd):
    try:
        os.close(fd)
        return True
    except OSError:
        return False

def seen(make):
    read, write = os.pipe()
    os.write(write, b"one\\r\\ntwo\\nthree")
    os.close(write)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            file = make(read)
        except Exception as error:
            return [repr(error), is_open(read), len(warned)]
    names = ("mode", "encoding", "errors", "line_buffering", "newlines", "closed")
    found = [type(file).__name__, file.name == read, *(repr(getattr(file, name, None)).lower() for name in names)]
    with file:
        content = repr([file.readline(), file.read()])
    return [*found, content, is_open(read), len(warned), isinstance(file, io.IOBase)]

def main_handler(event, context):
    return [seen(eval(f"lambda fd: {call}")) for call in event]
"""
CALLS = [
    *["os.fdopen(fd)", "os.fdopen(fd, 'rb')", "os.fdopen(fd, 'rb', 0)", "os.fdopen(fd, mode='rt', buffering=1)"],
    *["os.fdopen(fd, 'r', 1, 'ascii', 'replace', '')", "os.fdopen(fd, closefd=False)", "os.fdopen(fd, 'r', -1, None)"],
    *["os.fdopen(fd, 'br', buffering=100, closefd=False)", "os.fdopen(fd, encoding='latin-1')"],
    *["os.fdopen(fd, buffering=0)", "os.fdopen(fd, 'rb', encoding='ascii')", "os.fdopen(fd, encoding='none such')"],
    *["os.fdopen(fd, 'rq')", "os.fdopen(fd, newline='x')", "os.fdopen(fd, [])", "os.fdopen(fd, 'rb', 1)"],
    *["os.fdopen(str(fd))", "os.fdopen(fd, 'r', 'x')", "os.fdopen(fd=fd)", "os.fdopen()", "os.fdopen(fd, mode=None)"],
    *["open(fd)", "os.fdopen(fd, opener=lambda *_: 1 / 0)", "os.fdopen(fd, no=1)", "os.fdopen(fd, file=fd)"],
]


def test_a_file_that_is_made_of_a_pipe_is_as_python_makes_it(scf_runtime: ScfRuntime, tmp_path: Path) -> None:
    file = tmp_path / "index.py"
    file.write_text(FILES_OF_PIPES, encoding="utf-8")
    here: dict[str, Any] = {}
    exec(FILES_OF_PIPES, here)  # noqa: S102
    function = scf_runtime.deploy(f"{file}:main_handler", environment={"PYTHONUTF8": "1"})
    for call, found, known in zip(CALLS, function.run(CALLS), here["main_handler"](CALLS, None), strict=True):
        assert (call, found) == (call, known)
