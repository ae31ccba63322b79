"""Images whose program forks: a pre-fork server of our own, and children of handlers.

Every fork is on simulated time, as the program that made it: what it sleeps is simulated and exact.
"""

from __future__ import annotations

import re
import textwrap
from datetime import timedelta

import pytest
from image_support import processes
from process_support import assert_kept, descriptors, eventually, is_gone, user_lines

from pytest_scf_async import assert_user_exit

FORKING = """
import warnings

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads

import concurrent.futures, json, multiprocessing, os, signal, socket, sys, threading, time

FORK = multiprocessing.get_context("fork")

def since():
    return round(time.time() - STARTED, 6)

def say(*words):
    print(*words, since(), flush=True)

def in_a_child(do):
    pid = os.fork()
    if pid == 0:
        try:
            do()
        finally:
            os._exit(7)
    return pid

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def child_exits():
    return status(in_a_child(lambda: None))

def many_children_exit():
    return {status(in_a_child(lambda: None)) for _ in range(300)} == {7}

def child_sleeps():
    say("forks")
    pid = in_a_child(lambda: (say("child"), time.sleep(50), say("child wakes")))
    say("waits")
    code = status(pid)
    say("reaped")
    return code

def children_sleep_at_once():
    pids = [in_a_child(lambda number=number: (time.sleep(10 - number), say("child", number))) for number in range(4)]
    return [status(pid) for pid in pids]

def child_is_another_program():
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", "echo from sh; exit 5"])
    return status(pid)

def two_of_three():
    pids = [in_a_child(lambda number=number: time.sleep(number)) for number in (30, 10, 20)]
    found = []
    for wait in (os.wait, lambda: os.wait3(0)[:2], lambda: os.wait4(-1, 0)[:2]):
        pid, code = wait()
        found.append([pids.index(pid), os.waitstatus_to_exitcode(code), since()])
    return found

def forms_of_waitid():
    def ended(kind, number, options=0):
        found = os.waitid(kind, number, os.WEXITED | options)
        return [pids.index(found.si_pid), found.si_status, since()]
    pids = [in_a_child(lambda number=number: time.sleep(number)) for number in (30, 10, 20, 5)]
    os.setpgid(pids[0], 0)
    pidfd = os.pidfd_open(pids[2])
    found = [ended(os.P_ALL, 0), ended(os.P_ALL, 0, os.WNOWAIT), ended(os.P_PIDFD, pidfd)]
    found += [ended(os.P_PGID, pids[0]), ended(os.P_ALL, 0)]
    os.close(pidfd)
    return found

def groups():
    pids = [in_a_child(lambda number=number: time.sleep(number)) for number in (30, 10, 20)]
    os.setpgid(pids[0], 0)
    os.setpgid(pids[2], pids[0])
    return [[pids.index(os.waitpid(of, 0)[0]), since()] for of in (-pids[0], 0, -1)]

def fork_from_a_signal():
    pids = [in_a_child(lambda: time.sleep(30))]
    def more(signum, frame):
        say("forks")
        pids.append(in_a_child(lambda: time.sleep(5)))
    signal.signal(signal.SIGALRM, more)
    signal.alarm(10)
    return [[pids.index(os.wait()[0]), since()] for _ in range(2)]

def fork_from_a_thread():
    pids = [in_a_child(lambda: time.sleep(30))]
    def more():
        time.sleep(10)
        pids.append(in_a_child(lambda: time.sleep(5)))
    threading.Thread(target=more).start()
    return [[pids.index(os.wait()[0]), since()] for _ in range(2)]

def no_children():
    found = []
    for wait in (os.wait, lambda: os.waitpid(-1, 0), lambda: os.waitid(os.P_ALL, 0, os.WEXITED), lambda: os.wait3(0)):
        try:
            wait()
        except ChildProcessError as error:
            found.append(error.strerror)
    return found

def process_of_multiprocessing():
    process = FORK.Process(target=lambda: (time.sleep(30), say("process")))
    process.start()
    process.join()
    return process.exitcode

def queue_between_processes():
    queue = FORK.Queue()
    process = FORK.Process(target=lambda: [(time.sleep(5), queue.put(number)) for number in range(3)])
    process.start()
    found = [(queue.get(), since()) for _ in range(3)]
    process.join()
    return found

def connections():
    here, there = FORK.Pipe()
    process = FORK.Process(target=lambda: (time.sleep(5), there.send("hello"), there.send(there.recv() * 2)))
    process.start()
    found = [here.recv()]
    here.send(4)
    found.append(here.recv())
    process.join()
    return found

def event_between_processes():
    event = FORK.Event()
    process = FORK.Process(target=lambda: (time.sleep(5), event.set()))
    process.start()
    found = [event.wait(2), since(), event.wait(), since()]
    process.join()
    return found

def lock_between_processes():
    lock = FORK.Lock()
    def work(number):
        with lock:
            time.sleep(3)
            say("process")
    processes = [FORK.Process(target=work, args=(number,)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]

def square(number):
    time.sleep(number)
    return number * number

def pool():
    with FORK.Pool(2) as processes:
        return processes.map(square, [1, 2, 3])

def executor():
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=FORK) as processes:
        return list(processes.map(square, [1, 2, 3]))

def signals():
    read, write = os.pipe()
    def child():
        signal.signal(signal.SIGUSR1, lambda signum, frame: say("signal"))
        os.write(write, b"x")
        before = time.monotonic()
        while time.monotonic() - before < 100:
            time.sleep(40)
        say("child ends")
    pid = in_a_child(child)
    os.read(read, 1)
    for _ in range(3):
        time.sleep(5)
        say("sends")
        os.kill(pid, signal.SIGUSR1)
    return status(pid)

def pipes():
    down, to_child = os.pipe()
    from_child, up = os.pipe()
    def child():
        os.close(to_child)
        while data := os.read(down, 100):
            say("child", data.decode())
            time.sleep(2)
            os.write(up, data.upper())
    pid = in_a_child(child)
    os.close(down)
    answers = []
    for word in ("one", "two", "three"):
        os.write(to_child, word.encode())
        answers.append(os.read(from_child, 100).decode())
        say("parent", answers[-1])
    os.close(to_child)
    return [answers, status(pid)]

def child_of_a_child():
    return status(in_a_child(lambda: (say("child"), status(in_a_child(lambda: (time.sleep(3), say("grandchild")))))))

def left_behind():
    in_a_child(lambda: time.sleep(1_000_000))
    time.sleep(1)

def forks_and_answers():
    in_a_child(lambda: (say("child"), time.sleep(100), say("child wakes")))
    return "at once"

def kills_what_has_not_begun():
    pid = in_a_child(lambda: say("never"))
    os.kill(pid, signal.SIGTERM)
    return status(pid)

def sleeps():
    say("worker")
    time.sleep(20)

def answer(connection):
    global STARTED
    STARTED = time.time()
    request = b""
    while b"\\r\\n\\r\\n" not in request:
        request += connection.recv(65_536)
    head, _, body = request.partition(b"\\r\\n\\r\\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\\r\\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    result = json.dumps(globals()[json.loads(body)["do"]]()).encode()
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(result) + result)
    connection.close()

def serve(listener):
    while True:
        answer(listener.accept()[0])
"""
ALONE = "serve(socket.create_server(('0.0.0.0', 9000)))\n"
PREFORK = """
def main():
    listener = socket.create_server(("0.0.0.0", 9000))
    stopping = []
    signal.signal(signal.SIGTERM, lambda signum, frame: stopping.append(signum))
    workers = []
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve(listener)
        workers.append(pid)
    while not stopping:
        time.sleep(1)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        print("worker ended with", status(pid), flush=True)

main()
"""

PREFORK_THAT_WAITS = """
def main():
    listener = socket.create_server(("0.0.0.0", 9000))
    def end(signum, frame):
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
    signal.signal(signal.SIGTERM, end)
    workers = set()
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve(listener)
        workers.add(pid)
    while workers:
        pid, code = os.wait()
        workers.remove(pid)
        print("worker ended with", os.waitstatus_to_exitcode(code), flush=True)

main()
"""


@pytest.fixture
def program(make_runtime, tmp_path):
    """Deploy a program of what stands above, which ends with *end*, in a runtime of its own."""

    def deploy(end: str = ALONE, *, to=None, **keywords):
        (tmp_path / "server.py").write_text(textwrap.dedent(FORKING + end))
        return (to or make_runtime()).deploy_image(["python", "server.py"], cwd=tmp_path, **keywords)

    return deploy


def timeline(event) -> str:
    """Without what differs from run to run: process ids, memory, and how many waits a line of them stands for."""
    text = "\n".join(line for line in event.timeline.splitlines() if not re.match(r" *\S+ s  wait ", line))
    text = re.sub(r"MemUsage:\s*[\d.]+MB", "MemUsage", text)
    return re.sub(r"\b(pid|process) \d+", r"\1", re.sub(r"127\.0\.0\.3:\d+", "127.0.0.3", text))


# -- children of handlers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "result", "after", "lines"),
    [
        ("child_exits", 7, 0, []),
        ("child_sleeps", 7, 50, ["forks 0.0", "waits 0.0", "child 0.0", "child wakes 50.0", "reaped 50.0"]),
        ("children_sleep_at_once", [7] * 4, 10, ["child 3 7.0", "child 2 8.0", "child 1 9.0", "child 0 10.0"]),
        ("child_is_another_program", 5, 0, ["from sh"]),
        ("two_of_three", [[1, 7, 10.0], [2, 7, 20.0], [0, 7, 30.0]], 30, []),
        ("forms_of_waitid", [[3, 7, 5.0], [1, 7, 10.0], [2, 7, 20.0], [0, 7, 30.0], [1, 7, 30.0]], 30, []),
        ("groups", [[2, 20.0], [1, 20.0], [0, 30.0]], 30, []),
        ("fork_from_a_signal", [[1, 15.0], [0, 30.0]], 30, ["forks 10.0"]),
        ("fork_from_a_thread", [[1, 15.0], [0, 30.0]], 30, []),
        ("no_children", ["No child processes"] * 4, 0, []),
        ("process_of_multiprocessing", 0, 30, ["process 30.0"]),
        (
            "signals",
            7,
            120,
            ["sends 5.0", "signal 5.0", "sends 10.0", "signal 10.0", "sends 15.0", "signal 15.0", "child ends 120.0"],
        ),
        (
            "pipes",
            [["ONE", "TWO", "THREE"], 7],
            6,
            [
                "child one 0.0",
                "parent ONE 2.0",
                "child two 2.0",
                "parent TWO 4.0",
                "child three 4.0",
                "parent THREE 6.0",
            ],
        ),
        ("connections", ["hello", 8], 5, []),
        ("event_between_processes", [False, 2.000001, True, 5.0], 5, []),
        ("lock_between_processes", [0, 0, 0], 9, ["process 3.0", "process 6.0", "process 9.0"]),
        ("child_of_a_child", 7, 3, ["child 0.0", "grandchild 3.0"]),
    ],
)
def test_a_child_of_a_handler(program, do, result, after, lines):
    function = program()
    for _ in range(2):  # on a cold and on a warm instance
        event = function.invoke_async({"do": do}).wait()
        assert (event.status, event.result, event.duration) == ("FINISHED", result, timedelta(seconds=after))
        assert sorted(user_lines(event)) == sorted(lines)  # which of two processes goes on first is up to the kernel
        assert_kept(event)


def test_hundreds_of_children_of_a_handler(program):
    event = program().invoke_async({"do": "many_children_exit"}).wait()
    assert (event.status, event.result, event.duration) == ("FINISHED", True, timedelta(0))


@pytest.mark.parametrize(
    ("do", "result", "after"),
    [
        ("queue_between_processes", [[0, 5.0], [1, 10.0], [2, 15.0]], 15),
        ("pool", [1, 4, 9], 4),
        ("executor", [1, 4, 9], 4),
    ],
)
def test_threads_beside_children_of_a_handler(program, do, result, after):
    event = program().invoke_async({"do": do}).wait()
    assert (event.status, event.result) == ("FINISHED", result)
    assert timedelta(seconds=after) <= event.duration < timedelta(seconds=after + 1)


def test_a_child_that_is_left_behind_goes_with_the_instance(program):
    function = program()
    event = function.invoke_async({"do": "left_behind"}).wait()
    assert (event.status, event.duration) == ("FINISHED", timedelta(seconds=1))
    pids = processes(event)
    assert len(pids) == 2
    function.update(timeout=60)
    assert all(map(is_gone, pids))


def test_a_child_that_outlives_its_event_goes_on_with_the_next(program, runtime):
    function = program(to=runtime)
    first = function.invoke_async({"do": "forks_and_answers"}).wait()
    assert (first.result, first.duration) == ("at once", timedelta(0))
    second = function.invoke_async({"do": "sleeps"}).wait()
    runtime.clock.advance(200)  # it is frozen, and so is the child, whose 100 s have passed
    third = function.invoke_async({"do": "sleeps"}).wait()

    assert (second.duration, third.duration, third.instance.cold) == (*[timedelta(seconds=20)] * 2, False)
    assert "child wakes 220.0" not in user_lines(second)
    assert "child wakes 220.0" in user_lines(third)


# -- a server that forks its workers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("server", [PREFORK, PREFORK_THAT_WAITS])
def test_two_runs_of_a_server_that_forks_are_equal(program, server):
    runs = []
    for _ in range(2):
        event = program(server).invoke_async({"do": "sleeps"}).wait()
        assert (event.status, event.duration) == ("FINISHED", timedelta(seconds=20))
        assert user_lines(event) == ["worker 0.0"]
        runs.append(timeline(event))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("server", [PREFORK, PREFORK_THAT_WAITS])
def test_a_server_that_ends_its_workers_at_sigterm(program, server):
    event = program(server).invoke_async({"do": "sleeps"})
    event.wait_for_log("worker")
    pids = processes(event)
    assert len(pids) == 3
    event.terminate(grace_shutdown=True)
    event.wait()
    assert event.status == "FAILED"
    assert eventually(lambda: all(map(is_gone, pids)))
    assert "worker ended with -15" in user_lines(event) or event.status_code == 430


def test_a_server_whose_first_process_ends(program):
    function = program("if os.fork():\n    time.sleep(5)\n    os._exit(0)\n" + ALONE)
    event = function.invoke_async({"do": "sleeps"}).wait()
    assert_user_exit(event)
    assert event.duration == timedelta(seconds=5)
    assert eventually(lambda: not event.instance.alive)


def test_nothing_is_left_of_instances_with_forks(program):
    function = program(PREFORK)
    function.run({"do": "child_exits"})
    function.update(timeout=60)
    before = descriptors()
    for _ in range(10):
        event = function.invoke_async({"do": "sleeps"})
        event.wait_for_log("worker")
        event.terminate()
    assert descriptors() == before
