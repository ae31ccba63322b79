"""What a call that cannot end reports of a supervised program: each thread of each process, and what it waits for."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator

import pytest
from image_support import program
from internals import lockstep_of, what_instances_do
from process_support import grow_impatient

from pytest_scf_async.errors import CannotEndError

# once, but for one: what the platform does with a program is the same, whatever Python it runs on


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


WAITS = program("""
import subprocess

def handle(event, request):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    time.sleep(1)
    read, write = os.pipe()
    child = subprocess.Popen(["cat"], stdin=read)
    time.sleep(1)
    child.wait()
""")
ASKS = program("""
import socket

def handle(event, request):
    server = socket.create_connection(("127.0.0.1", event))
    server.sendall(b"question")
    server.recv(100)
""")
COMPUTES = program("""
def handle(event, request):
    print("computes", flush=True)
    while True:
        pass
""")


def lines_of(text: str) -> list[str]:
    """The lines of *text* about threads, without numbers, and without the names that Python 3.14 gives to threads."""
    found = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    return [re.sub(r"(pid|thread|process) \d+( 'Thread-[^']*')?", r"\1 N", line) for line in found]


@pytest.mark.interpreter  # which call of the kernel a sleep is
def test_each_thread_of_each_process_is_named_with_its_wait(deploy_image, runtime):
    event = deploy_image(WAITS).invoke_async()
    runtime.clock.advance(10)
    of_sleep = "clock_nanosleep" if sys.version_info >= (3, 11) else "pselect6"  # what `time.sleep` calls

    assert lines_of(what_instances_do(lockstep_of(runtime).snapshot())) == [
        "'python' (pid N) is waiting in wait4() on the child process N",
        f"'python' (pid N), thread N is waiting in {of_sleep}(), for 3,590 more simulated seconds",
        "'cat' (pid N) is waiting in read() on a pipe",
    ]
    event.terminate()


@pytest.mark.once
def test_a_program_that_computes_is_named(deploy_image, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    event = deploy_image(COMPUTES, to=runtime).invoke_async().wait_for_log("computes")
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as raised:
        event.wait()

    assert lines_of(str(raised.value)) == ["'python' (pid N) is computing"]
    event.terminate()


@pytest.mark.once
def test_the_connection_that_holds_the_clock_is_named_with_what_to_do(deploy_image, make_runtime, silent_server):
    runtime = make_runtime()
    event = deploy_image(ASKS, to=runtime, ports=[silent_server]).invoke_async(silent_server)
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as raised:
        event.wait()

    assert lines_of(str(raised.value)) == [
        f"'python' (pid N) is waiting in recvfrom() on a connection to 127.0.0.1:{silent_server}",
        f"the program is waiting for an answer on a connection to 127.0.0.1:{silent_server}",
    ]
    assert f"idle_ok=['127.0.0.1:{silent_server}']" in str(raised.value)
    event.terminate()
