"""Output that takes another way than ``print``: it is whole and has its true time, in gates and in the log."""

from __future__ import annotations

import os
import signal
import time

import pytest
from internals import event_of, name_of, procfs, writers
from internals import instance as instance_module
from process_support import LONG, RECEIVED, eventually, short_log, user_lines

BY_FD = "write = lambda text: os.write(fd, text.encode() + b'\\n')"
BY_FILE = "write = lambda text: file.write(text + '\\n')"
WAYS = {
    "print": "write = print",
    "os.write": "write = lambda text: os.write(1, text.encode() + b'\\n')",
    "os.writev": "write = lambda text: os.writev(1, [text.encode(), b'\\n'])",
    "a file object on the descriptor": "file = os.fdopen(1, 'w', 1, closefd=False)\n" + BY_FILE,
    "FileIO": "file = io.FileIO(1, 'w', closefd=False)\nwrite = lambda text: file.write(text.encode() + b'\\n')",
    "the raw stream": "write = lambda text: sys.stdout.buffer.raw.write(text.encode() + b'\\n')",
    "the device": "file = open('/dev/stdout', 'w', 1)\n" + BY_FILE,
    "the device by descriptor": "fd = os.open('/dev/stdout', os.O_WRONLY)\n" + BY_FD,
    "a copy of the descriptor": "fd = os.dup(1)\n" + BY_FD,
    "a copy at a number": "fd = fcntl.fcntl(1, fcntl.F_DUPFD, 50)\n" + BY_FD,
    "a file object on a copy": "file = os.fdopen(os.dup(1), 'w', 1)\n" + BY_FILE,
    "sendfile": """
def write(text):
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(text.encode() + b'\\n')
        os.sendfile(1, file.fileno(), 0, 100)""",
    "write of libc": """
libc = ctypes.CDLL(None)
write = lambda text: libc.write(1, text.encode() + b'\\n', len(text) + 1)""",
    "puts of libc": "libc = ctypes.CDLL(None)\nwrite = lambda text: (libc.puts(text.encode()), libc.fflush(None))",
    "write of libc, loaded at the last moment": """
def write(text):
    ctypes.CDLL(None).write(1, text.encode() + b'\\n', len(text) + 1)""",
    "a child": "write = lambda text: subprocess.run(['echo', text], check=True)",
    "a shell": "write = lambda text: os.system(f'echo {text}')",
}  # fmt: skip
STOPS = int(os.environ.get("SCF_SOAK", "10"))
"""How often an instance that writes is stopped, and a fiftieth of the lines of another; by the environment, for a long
run."""
IMPORTS = "import ctypes, fcntl, io, os, signal, subprocess, sys, tempfile, time\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.sandbox
def test_a_line_has_the_time_at_which_it_was_written_whatever_wrote_it(deploy, runtime, way):
    function = deploy(f"""{IMPORTS}{WAYS[way]}
def main_handler(event, context):
    for second in (10, 20, 30):
        time.sleep(10)
        write(str(second))
    time.sleep(5)
""")

    waited = function.invoke_async().wait()
    advanced = function.invoke_async()
    runtime.clock.advance(60)

    for event in (waited, advanced):
        lines = [(line.text, (line.time - event.started_at).total_seconds()) for line in event.log]
        assert [line for line in lines if line[0].isdigit()] == [("10", 10), ("20", 20), ("30", 30)]


@pytest.mark.parametrize("way", WAYS)
def test_a_line_stands_before_a_line_of_the_platform_that_comes_after_it(deploy, way):
    event = deploy(f"""{IMPORTS}{WAYS[way]}
def main_handler(event, context):
    signal.signal(signal.SIGTERM, lambda *_: write("listener"))
    write("before")
    time.sleep(10)
    write("after")
""").invoke_async()
    event.terminate(grace_shutdown=True)
    event.wait()

    assert short_log(event)[2:-3] == ["before", RECEIVED, "listener", "after"]


@pytest.mark.repeat
@pytest.mark.parametrize("threads", [0, 1])
def test_lines_of_code_in_c_have_their_true_times_among_those_of_python_whoever_reads_when(deploy, threads):
    """With a second thread, waits of the main thread take another path than those of a handler that is alone."""
    event = deploy(f"""{IMPORTS}import threading
def main_handler(event, context):
    libc = ctypes.CDLL(None)
    for _ in range({threads}):
        threading.Thread(target=time.sleep, args=[1_000_000], daemon=True).start()
    for row in range(event):
        text = f"{{time.time():.6f}}"
        if row % 3:
            libc.write(1, text.encode() + b"\\n", len(text) + 1)
        if row % 5 == 0:
            print(text)
        for _ in range(row % 4):
            time.sleep(0.25)
        if row % 50 == 0:
            sum(range(100_000))
""").invoke_async(50 * STOPS)
    event.wait()

    lines = [(line.text, f"{line.time.timestamp():.6f}") for line in event.log if line.source == "Custom"]
    assert len(lines) > 25 * STOPS
    assert [text for text, _ in lines] == [time for _, time in lines]


EXACT = ("print", "os.write", "os.writev", "the device by descriptor", "a copy of the descriptor")


@pytest.mark.parametrize("way", EXACT)
def test_a_gate_stands_right_behind_the_function_that_wrote_the_line(deploy, way):
    event = deploy(f"""{IMPORTS}{WAYS[way]}
def main_handler(event, context):
    for row in range(100):
        write(f"row {{row}}.")
""").invoke_async()

    for row in (7, 50):
        event.wait_for_log(f"row {row}.")

        assert event.doing == "gated"
        assert user_lines(event)[-1] == f"row {row}."
    assert event.wait().status == "FINISHED"


MOMENT = "def main_handler(event, context): pass"
"""Whoever computes is stopped at the end of a call that runs this."""
WRITES = {
    "os.write": "os.write(1, data)",
    "os.write of a view": "os.write(1, memoryview(data).cast('I'))",
    "os.writev": "os.writev(1, [data[:100], data[100:]])",
    "the raw stream": "sys.stdout.buffer.raw.write(data)",
    "a file object": "open('/dev/stdout', 'wb', buffering=0).write(data)",
}


@pytest.mark.repeat
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_blocks_is_whole_although_its_process_is_stopped_in_it(deploy, make_runtime, write):
    runtime = make_runtime(compute_grace=0.01)
    event = deploy(
        f"""{IMPORTS}
def main_handler(event, context):
    data = b"x" * 100_000
    return [{WRITES[write]} for _ in range(100)]
""",
        to=runtime,
    ).invoke_async()

    moment = deploy(MOMENT, to=runtime)

    while event.status == "RUNNING":
        moment.run()  # the other is preempted where it computes, and stopped until the next call

    assert event.result == [100_000] * 100
    assert user_lines(event) == ["x" * 10_000_000]


def in_c(size: int, count: int) -> str:
    """It computes longer than it writes: who only writes ends before anybody looks twice, and is not stopped."""
    return f"""
    data, write = b"x" * {size - 1} + b"\\n", ctypes.CDLL(None).write
    return sum(write(1, data, {size} + 0 * sum(range({size // 2}))) != {size} for _ in range({count}))"""


def of_children(size: int, count: int, children: int = 1) -> str:
    code = (
        f"import os; d = b'x' * {size - 1} + b'\\n'; "
        f"os._exit(sum(os.write(1, d) != {size} + 0 * sum(range({size // 2})) for _ in range({count})))"
    )
    return f"""
    children = [subprocess.Popen([sys.executable, "-c", {code!r}]) for _ in range({children})]
    return sum(child.wait() for child in children)"""


UNCHECKED = {
    "code in C": in_c(100_000, 300),
    "code in C, more than a large pipe holds": in_c(5_000_000, 6),
    "a child": of_children(100_000, 300),
    "a child, more than a large pipe holds": of_children(5_000_000, 6),
    "two children": of_children(100_000, 150, children=2),
    "a pipeline": """
    subprocess.run(["sh", "-c", r"head -c 29999700 /dev/zero | tr '\\0' x | fold -w 99999; echo"])
    return 0""",
}


# once: what writes in a child is another program, and the pipes are the kernel's
OF_CHILDREN = ("a child", "a child, more than a large pipe holds", "two children", "a pipeline")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.once if kind in OF_CHILDREN else ()) for kind in UNCHECKED]
)
def test_a_write_of_which_nobody_looks_how_much_it_wrote_is_whole_although_its_process_is_stopped(
    deploy, make_runtime, kind
):
    runtime = make_runtime(compute_grace=0.001)
    function = deploy(f"{IMPORTS}def main_handler(event, context):{UNCHECKED[kind]}", to=runtime)
    moment = deploy(MOMENT, to=runtime)
    stops = 0

    while stops < STOPS:
        event = function.invoke_async()
        while event.status == "RUNNING":
            moment.run()  # the other is stopped until the next call
            stops += event.status == "RUNNING"

        assert event.result == 0
        assert sum(len(line) + 1 for line in user_lines(event)) == 30_000_000


@pytest.mark.parametrize("size", [100, 100_000, 5_000_000])
def test_a_first_write_of_code_in_c_is_whole_although_it_begins_just_before_its_process_is_stopped(
    deploy, make_runtime, monkeypatch, size
):
    """The test's process gets no processor between its check of what the instance does and the signal."""
    send = instance_module.send

    def send_late(signum, pidfds, besides=()):
        if signum == signal.SIGSTOP and not stopped:
            stopped.append(eventually(lambda: is_in_a_write(event_of(event).instance.pid)))
        return send(signum, pidfds, besides)

    def is_in_a_write(pid):
        call = procfs.system_call_of(pid, str(pid))
        return call[:1] != [b"running"] and name_of(int(call[0])) == "write"

    stopped: list[bool] = []
    monkeypatch.setattr(instance_module, "send", send_late)
    runtime = make_runtime(compute_grace=0.001)
    event = deploy(
        f"""{IMPORTS}
def main_handler(event, context):
    write = ctypes.CDLL(None).write
    until = time.thread_time() + 0.2
    while time.thread_time() < until:
        pass
    return write(1, b"x" * {size}, {size})
""",
        to=runtime,
    ).invoke_async()
    moment = deploy(MOMENT, to=runtime)
    while event.status == "RUNNING":
        moment.run()

    assert (stopped, event.result) == ([True], size)
    assert user_lines(event) == ["x" * size]


@pytest.mark.sandbox
def test_who_may_not_be_stopped_is_not_waited_for_when_the_others_go_on(deploy, latch, monkeypatch):
    """A child that has become another user's (``sudo``) runs on while its instance stands still."""
    event = deploy(f"""{IMPORTS}
def main_handler(event, context):
    child = subprocess.Popen(["head", "-c1", event], stdout=subprocess.DEVNULL)
    print("started", child.pid)
    return child.wait()
""").invoke_async(latch.path)
    real = signal.pidfd_send_signal
    refused = []

    def is_refused(pidfd, signum):
        pid = procfs.process_of_pidfd("self", pidfd)
        if procfs.command_of(pid).startswith(b"head\0"):
            refused.append(signum)
            raise PermissionError
        real(pidfd, signum)

    monkeypatch.setattr(signal, "pidfd_send_signal", is_refused)
    monkeypatch.setattr(writers, "LONGEST", 2 * LONG)
    event.wait_for_log("started")
    began = time.monotonic()

    event.settle()

    assert time.monotonic() - began < LONG
    assert event.doing == "held"
    assert signal.SIGSTOP in refused
    latch.open()
    assert event.wait().result == 0


def test_a_write_that_the_kernel_cuts_short_for_another_reason_says_so(deploy):
    event = deploy(f"""{IMPORTS}
def main_handler(event, context):
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    return [os.write(theirs, b"x" * 1_000_000), os.get_blocking(theirs)]
""").invoke_async()

    assert event.wait().result == [65_536, False]


@pytest.mark.parametrize("write", ["print('\\r40%', end='', flush=True)", "os.write(1, b'\\r40%')"])
def test_what_is_flushed_without_a_newline_can_be_waited_for(deploy, write):
    event = deploy(f"""{IMPORTS}
def main_handler(event, context):
    print("\\r20%", end="", flush=True)
    {write}
    print("\\r60%", end="", flush=True)
    time.sleep(10)
    print("\\rdone")
""").invoke_async()

    event.wait_for_log("40%")

    assert event.doing == "gated"
    assert user_lines(event) == ["\r20%\r40%"]
    assert event.wait_for_log("60%").wait_for_log("40%").doing == "gated"
    event.wait()
    assert user_lines(event) == ["\r20%\r40%\r60%\rdone"]


def test_an_unfinished_line_counts_once(deploy):
    event = deploy("""
        import time
        def main_handler(event, context):
            for part in range(3):
                print("row 1 part", part, end=" ", flush=True)
            print("end")
            print("row 2")
    """).invoke_async()

    event.wait_for_log("row").wait_for_log("row", count=2)

    assert user_lines(event) == ["row 1 part 0 row 1 part 1 row 1 part 2 end", "row 2"]


def test_what_is_flushed_without_a_newline_stands_before_a_line_of_the_platform(deploy):
    event = deploy("""
        import signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("listener"))
            print("40%", end="", flush=True)
            print(" unflushed", end="")
            time.sleep(10)
            print(" end")
    """).invoke_async()
    event.terminate(grace_shutdown=True)
    event.wait()

    assert short_log(event)[2:-3] == ["40%", RECEIVED, " unflushedlistener", " end"]


@pytest.mark.repeat
def test_a_thread_that_comes_back_from_a_real_wait_stands_at_its_gate(deploy):
    event = deploy("""
        import ctypes, time
        def main_handler(event, context):
            for row in range(4):
                ctypes.CDLL(None).usleep(100_000)
                print(f"row {row}\\n" + "x" * 1_000_000)
                time.sleep(1)
    """).invoke_async()

    doing = []
    for row in range(4):
        event.wait_for_log(f"row {row}")
        doing.append(event.doing)

    assert doing == ["gated"] * 4
