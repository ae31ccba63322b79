"""``multiprocessing`` in a handler: its processes are real, live in real time, and hold the clock while they live."""

from __future__ import annotations

from collections import Counter

import pytest
from internals import process_tree, procfs
from process_support import START, Latch, eventually, is_gone, user_lines

pytestmark = pytest.mark.leases

IMPORTS = """
import multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pytest_scf_async.inside import record

BEGAN = time.time()

def passed():
    return time.time() - BEGAN

def double(value):
    time.sleep(0.01)
    return value * 2

def fails(value):
    raise ValueError(f"no {value}")

def sleeps(seconds):
    time.sleep(seconds)
    return os.getpid()
"""

METHODS = ["fork", "spawn", "forkserver"]

USES = {
    "Process and Queue": """
    queue = mp.Queue()
    processes = [mp.Process(target=work, args=(queue, value)) for value in range(2)]
    for process in processes:
        process.start()
    results = sorted(queue.get(timeout=100) for _ in processes)
    for process in processes:
        process.join(100)
    return [results, [process.exitcode for process in processes]]
""",
    "Process and SimpleQueue": """
    queue = mp.SimpleQueue()
    processes = [mp.Process(target=work, args=(queue, value)) for value in range(2)]
    for process in processes:
        process.start()
    results = sorted(queue.get() for _ in processes)
    for process in processes:
        process.join()
    return [results, [process.exitcode for process in processes]]
""",
    "Pipe": """
    results, codes = [], []
    for value in range(2):
        ours, theirs = mp.Pipe()
        process = mp.Process(target=answer, args=(theirs,))
        process.start()
        theirs.close()
        ours.send(value)
        assert ours.poll(100)
        results.append(ours.recv())
        process.join()
        codes.append(process.exitcode)
    return [results, codes]
""",
    "Pool": """
    with mp.Pool(2) as pool:
        results = pool.map(double, range(3))
        pool.close()
        pool.join()
    return [results, [0, 0, 0]]
""",
    "Pool, terminated": """
    with mp.Pool(2) as pool:
        results = pool.map(double, range(3))
    return [results, [0, 0, 0]]
""",
    "Pool, asynchronously": """
    with mp.Pool(2) as pool:
        results = sorted(pool.imap_unordered(double, range(3)))
        one = pool.apply_async(fails, (3,))
        try:
            one.get(timeout=100)
        except ValueError as error:
            record("failed", why=str(error))
        pool.close()
        pool.join()
    return [results, [0, 0, 0]]
""",
    "ProcessPoolExecutor": """
    with ProcessPoolExecutor(2, mp_context=mp) as pool:
        results = list(pool.map(double, range(3), timeout=100))
        try:
            pool.submit(fails, 3).result(timeout=100)
        except ValueError as error:
            record("failed", why=str(error))
        assert sorted(future.result() for future in as_completed([pool.submit(double, 1)], timeout=100)) == [2]
    return [results, [0, 0, 0]]
""",
    "Lock, Event and Value": """
    lock, go, total = mp.Lock(), mp.Event(), mp.Value("i", 0)
    processes = [mp.Process(target=add, args=(lock, go, total)) for _ in range(2)]
    for process in processes:
        process.start()
    with lock:
        go.set()
    for process in processes:
        process.join(100)
    assert total.value == 4
    return [[0, 2], [process.exitcode for process in processes]]
""",
}


# once: by these the handler waits in the same as where the children are forks, and those that are none cost the most
ONCE = {"Process and SimpleQueue", "Pipe", "Pool, terminated", "Pool, asynchronously"}
# On the oldest and the newest: of the rest, where children are no forks, two have on every Python what these have.
ENDS = {"Pool", "Lock, Event and Value"}


def marks_of(use: str, method: str) -> tuple[pytest.MarkDecorator, ...]:
    if method == "fork" or use not in ONCE | ENDS:
        return (pytest.mark.interpreter,)
    return (pytest.mark.once,) if use in ONCE else ()


@pytest.mark.parametrize(
    ("use", "method"),
    [pytest.param(use, method, marks=marks_of(use, method)) for use in USES for method in METHODS],
)
def test_results_are_right_and_no_simulated_time_passes(deploy, use: str, method: str) -> None:
    event = deploy(
        IMPORTS
        + f"""
def work(queue, value):
    time.sleep(0.01)
    queue.put(value * 2)

def answer(connection):
    connection.send(connection.recv() * 2)

def add(lock, go, total):
    assert go.wait(100)
    with lock:
        total.value += 2

def use(mp):
    {USES[use].strip()}

def main_handler(event, context):
    time.sleep(100)
    results, codes = use(multiprocessing.get_context(event))
    at = passed()
    time.sleep(3600)
    return [results, codes, at, passed()]
"""
    ).invoke_async(method)

    done = 3 if "Pool" in use else 2
    assert event.wait().result == [[0, 2, 4][:done], [0] * done, 100, 3700], str(event.log)


@pytest.mark.interpreter
def test_the_clocks_of_forked_workers_go_on_at_the_real_rate_from_the_instant_of_their_birth(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def stamps(_):
    began = time.time(), time.monotonic()
    time.sleep(0.05)
    return [began, [time.time(), time.monotonic()]]

def main_handler(event, context):
    time.sleep(3600)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (first, last), = pool.map(stamps, [0])
        now = time.time(), time.monotonic()
    return [first, last, now]
"""
    ).invoke_async()

    first, last, now = event.wait().result

    assert now == [START.timestamp() + 3600, 7200]
    for before, after, parent in zip(first, last, now, strict=True):
        assert parent <= before < parent + 60
        assert 0.049 <= after - before < 60


@pytest.mark.interpreter
def test_the_timeouts_of_multiprocessing_are_real_and_take_no_simulated_time(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import queue

def main_handler(event, context):
    mp = multiprocessing.get_context("fork")
    process = mp.Process(target=sleeps, args=(1000,))
    process.start()
    ours, theirs = mp.Pipe()
    items, happens, condition = mp.Queue(), mp.Event(), mp.Condition()
    said = []
    process.join(0.05)
    said.append(process.exitcode)
    said.append(ours.poll(0.05))
    said.append(multiprocessing.connection.wait([ours, process.sentinel], 0.05))
    try:
        items.get(timeout=0.05)
    except queue.Empty:
        said.append("empty")
    said.append(happens.wait(0.05))
    with condition:
        said.append(condition.wait_for(lambda: False, 0.05))
    process.terminate()
    process.join(100)
    return [said, process.exitcode, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [[None, False, [], "empty", False, False], -15, 0]


@pytest.mark.interpreter
def test_timeouts_of_connections_end_where_no_process_lives(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import queue

def main_handler(event, context):
    mp = multiprocessing.get_context("fork")
    process = mp.Process(target=sleeps, args=(0,))
    process.start()
    process.join()
    ours, theirs = mp.Pipe()
    items = mp.Queue()
    said = [ours.poll(0.05), multiprocessing.connection.wait([ours], 0.05)]
    try:
        items.get(timeout=0.05)
    except queue.Empty:
        said.append("empty")
    return [said, passed() < 1]
"""
    ).invoke_async()

    assert event.wait().result == [[False, [], "empty"], True]


SIGTERM = (
    IMPORTS
    + """
class Stop(BaseException):
    pass

PARENT = os.getpid()

def on_term(signum, frame):
    if os.getpid() != PARENT:
        os._exit(0)
    record("SIGTERM", at=passed())
    if RAISES:
        raise Stop

def start_and_say(latch):
    os.write(1, b"started\\n")
    with open(latch, "rb", buffering=0) as file:
        return len(file.read(1))
"""
)

WORKS = {
    "Pool": """
def work(mp):
    with mp.Pool(2) as pool:
        return pool.map(start_and_say, [LATCH, LATCH], chunksize=1)
""",
    "ProcessPoolExecutor": """
def work(mp):
    pool = ProcessPoolExecutor(2, mp_context=mp)
    try:
        return list(pool.map(start_and_say, [LATCH, LATCH]))
    except Stop:
        for process in list(pool._processes.values()):
            process.kill()
        raise
    finally:
        pool.shutdown()
""",
    "Process": """
def work(mp):
    processes = [mp.Process(target=start_and_say, args=(LATCH,)) for _ in range(2)]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
        return [1, 1]
    finally:
        for process in processes:
            process.kill()
            process.join()
""",
}


@pytest.mark.parametrize(
    ("raises", "use", "method"),
    [
        # once: as above; only that of a single process waits in another way for each method
        pytest.param(
            raises,
            use,
            method,
            marks=pytest.mark.interpreter if raises or method == "fork" or use == "Process" else pytest.mark.once,
        )
        for raises in (True, False)
        for use in WORKS
        for method in METHODS
        if (use, method) != ("Process", "fork")  # in the table of waits_table.py
    ],
)
def test_a_sigterm_while_processes_work(deploy, latch: Latch, use: str, method: str, raises: bool) -> None:
    event = deploy(
        f"RAISES, LATCH = {raises}, {latch.path!r}\n"
        + SIGTERM
        + WORKS[use]
        + """
def main_handler(event, context):
    signal.signal(signal.SIGTERM, on_term)
    time.sleep(50)
    try:
        results = work(multiprocessing.get_context(event))
    except Stop:
        results = "stopped"
    time.sleep(50)
    return [results, passed()]
"""
    ).invoke_async(method)
    event.wait_for_log("started", count=2)
    below = procfs.descendants_of(event.instance.pid)
    assert len(below) >= 2

    event.terminate(grace_shutdown=True)
    if not raises:
        latch.open(children=2)

    assert event.wait().result == ["stopped" if raises else [1, 1], 100], str(event.log)
    assert [each.fields for each in event.records] == [{"at": 50}]


@pytest.mark.interpreter
def test_processes_are_gone_with_an_instance_that_is_terminated(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    pool = multiprocessing.get_context("fork").Pool(3)
    print("started")
    pool.map(sleeps, [1000] * 3)
"""
    ).invoke_async()
    event.wait_for_log("started")
    event.settle()
    below = procfs.descendants_of(event.instance.pid)
    assert len(below) == 3

    event.terminate()

    assert event.status == "ABORTED"
    assert all(eventually(lambda pid=pid: is_gone(pid)) for pid in below)


@pytest.mark.interpreter
@pytest.mark.repeat
def test_a_pool_in_one_thread_while_others_sleep(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    trace = []

    def counts():
        for _ in range(3):
            time.sleep(10)
            trace.append(["tick", passed()])

    def works():
        time.sleep(15)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            trace.append([sum(pool.map(double, range(10))), passed()])

    threads = [threading.Thread(target=counts), threading.Thread(target=works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return trace
"""
    ).invoke_async()

    assert event.wait().result == [["tick", 10], [90, 15], ["tick", 20], ["tick", 30]]


@pytest.mark.interpreter
def test_a_forked_process_has_nothing_of_the_handlers_channel_left(deploy) -> None:
    event = deploy(
        IMPORTS
        + """
import queue, select, socket

def uses_everything(connection):
    # Whatever waits, waits in real time; whatever sends the harness something in the handler, sends nothing here.
    items, lock, happened = queue.Queue(), threading.RLock(), threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: items.put("signal"))
    thread = threading.Thread(target=lambda: (time.sleep(0.01), items.put("thread"), happened.set()))
    thread.start()
    said = [items.get(timeout=100), happened.wait(100)]
    thread.join(100)
    os.kill(os.getpid(), signal.SIGUSR1)
    said.append(items.get(timeout=100))
    try:
        items.get(timeout=0.01)
    except queue.Empty:
        said.append("empty")
    ours, theirs = socket.socketpair()
    said.append(select.select([ours], [], [], 0.01)[0])
    theirs.send(b"x")
    said.append(len(select.select([ours], [], [], 100)[0]))
    signal.signal(signal.SIGALRM, lambda *_: items.put("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    said.append(items.get(timeout=100))
    record("not received")
    print("printed")
    for _ in range(5000):
        time.time()
    connection.send(said)

def main_handler(event, context):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=uses_everything, args=(theirs,))
    process.start()
    said = ours.recv()
    process.join()
    time.sleep(1)
    return [said, process.exitcode, passed()]
"""
    ).invoke_async()

    assert event.wait().result == [["thread", True, "signal", "empty", [], 1, "alarm"], 0, 1], str(event.log)
    assert user_lines(event) == ["printed"]


SLOW = """
import os

def waits():
    with open({waits!r}, "ab") as file:
        file.write(b"x")
    with open({path!r}, "rb", buffering=0) as file:
        file.read(1)

{when}
"""

WHEN_SLOW = {
    "starts": "waits()",
    "forks": "os.register_at_fork(before=waits)",
}


@pytest.mark.interpreter
@pytest.mark.parametrize("when", WHEN_SLOW)
def test_a_fork_server_that_has_a_request_holds_the_clock(deploy, latch: Latch, monkeypatch, tmp_path, when) -> None:
    """Its worker waits for the handler, which waits for the id of the next one: the server is all that works."""
    waits = tmp_path / "waits"
    looks: Counter[int] = Counter()
    """By how often the server has waited."""
    look_below = process_tree._look_below

    def looks_below(*args, **named):
        times = waits.stat().st_size if waits.exists() else 0
        looks[times] += 1
        if times and looks[times] == 20:
            latch.open()
        return look_below(*args, **named)

    function = deploy(
        IMPORTS
        + """
def is_ready(connection):
    connection.send("ready")
    connection.recv()

def main_handler(event, context):
    mp = multiprocessing.get_context("forkserver")
    mp.set_forkserver_preload(["slow"])
    said = []
    for number in range(2):
        ours, theirs = mp.Pipe()
        process = mp.Process(target=is_ready, args=(theirs,))
        process.start()
        said.append([ours, process])
        assert ours.recv() == "ready"
        record("ready", at=passed())
    time.sleep(60)
    for connection, process in said:
        connection.send("end")
        process.join()
    return passed()
"""
    )
    slow = SLOW.format(waits=str(waits), path=latch.path, when=WHEN_SLOW[when])
    (tmp_path / "code1" / "slow.py").write_text(slow)
    monkeypatch.setattr(process_tree, "_look_below", looks_below)
    event = function.invoke_async()

    assert event.wait().result == 60, str(event.log)
    assert [each.fields for each in event.records] == [{"at": 0}, {"at": 0}]
    assert waits.stat().st_size == (1 if when == "starts" else 2)
