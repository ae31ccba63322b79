"""Programs that share the machine's network listen on its loopback only: images, Go functions, children of handlers."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from free_ports import free_port
from image_support import program
from internals import Watchdog, Zygote, event_of, pool_of, waits_for_reaper
from program_internals import bind_filter

# once: the kernel's side, and the test's: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

LISTENS = "0A"
ANSWERS = "def handle(event, request): return event"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, ::ffff:127.0.0.1 and ::1, in the form of ``/proc``."""

DUAL_STACK = "HTTPServer.address_family = ThreadingHTTPServer.address_family = socket.AF_INET6"


def rows(table: str) -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of what listens, of a table in ``/proc/net``."""
    for line in table.splitlines():
        fields = line.split()
        address, _, number = fields[1].partition(":")
        if fields[3] == LISTENS:
            yield address, int(number, 16), fields[9]


def at_port(port: int, table: str) -> set[str]:
    return {address for address, number, _ in rows(table) if number == port}


def machines_tables() -> str:
    paths = (Path("/proc/net", name) for name in ("tcp", "tcp6"))
    return "".join(path.read_text() for path in paths if path.exists())


def listeners(port: int) -> set[str]:
    """The addresses at which something listens on *port* of the machine, in the form of ``/proc``."""
    return at_port(port, machines_tables())


@pytest.fixture
def unmounted(make_runtime):
    """A runtime whose programs share the machine's network."""
    return make_runtime(sandbox="none")


# -- programs of instances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_free_running_program_listens_on_loopback_only(deploy_free, unmounted, address):
    port = free_port()
    source = program(ANSWERS, address=address, port=port)
    if address == "::":
        source = f"import socket\n{source}".replace("\nHTTPServer((", f"\n{DUAL_STACK}\nHTTPServer((")
    event = deploy_free(source, to=unmounted, port=port).invoke_async("asked").wait()

    assert event.result == "asked"  # so that the platform's way to the program is open
    assert listeners(port)
    assert listeners(port) <= LOOPBACK


def test_it_listens_on_loopback_only_with_network_all(deploy_free):
    port = free_port()
    event = deploy_free(program(ANSWERS, port=port), port=port, network="all").invoke_async("asked").wait()

    assert (event.result, listeners(port)) == ("asked", {"0100007F"})


@pytest.mark.parametrize("before", [True, False])
def test_a_program_that_asks_for_127_0_0_1_gets_the_advice_to_ask_for_all(deploy_free, unmounted, before):
    """Also where the last program on its port had bound it on all addresses."""
    port = free_port()
    if before:
        event = deploy_free(program(ANSWERS, port=port), to=unmounted, port=port).invoke_async().wait()
        assert event.status == "FINISHED"
        unmounted.clock.advance(1000)
        assert listeners(port) == set()
    event = deploy_free(program(ANSWERS, address="127.0.0.1", port=port), to=unmounted, port=port).invoke_async().wait()

    assert event.status_code == 446
    assert f"listens on 127.0.0.1:{port} only" in event.error["errorMessage"]


def test_a_network_of_its_own_is_left_alone(deploy_free, mounted):
    port = free_port()
    handle = "def handle(event, request): return open('/proc/net/tcp').read()"
    event = deploy_free(program(handle, port=port), port=port).invoke_async().wait()

    assert at_port(port, event.result) == {"00000000" if mounted else "0100007F"}


@pytest.mark.go
def test_a_go_function_listens_on_loopback_only(unmounted):
    function = unmounted.deploy("go", runtime="Go1")
    event = function.invoke_async({"do": "echo"}).wait()

    pid = event_of(event).instance.user_process.pid
    sockets = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
    inodes = {target[8:-1] for target in sockets if target.startswith("socket:[")}
    found = {address for address, _, inode in rows(machines_tables()) if inode in inodes}
    assert found
    assert found <= LOOPBACK


# -- children of handlers --------------------------------------------------------------------------------------------

STARTS = f"""
import json, subprocess, sys
def main_handler(event, context):
    done = subprocess.run([{sys.executable!r}, "-I", "-c", event], capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else done.stderr
"""
CHILD = """
import errno, json, os, socket, threading
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM

def bound(family, kind, address, *options):
    made = socket.socket(family, kind)
    for option in options:
        made.setsockopt(*option)
    made.bind(address)
    return made

def host(made):
    return made.getsockname()[0]

def attempt(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]

ONLY_6 = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
BOTH = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
SHARED = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
"""


@pytest.fixture(params=["auto", "none"])
def ask(request, deploy, make_runtime) -> Callable[[str], object]:
    """What an expression gives in a program that a handler starts."""
    function = deploy(STARTS, to=make_runtime(sandbox=request.param))

    def run(text: str) -> object:
        *lines, last = textwrap.dedent(text).strip().splitlines()
        return function.run("\n".join([CHILD, *lines, f"print(json.dumps({last}))"]))

    return run


def any_port_of_datagrams() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


def test_a_server_of_a_program_that_a_handler_starts(ask):
    assert ask('host(bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0)))') == "127.0.0.1"
    assert ask('host(bound(AF_INET6, SOCK_STREAM, ("::", 0), ONLY_6))') == "::1"
    assert ask('host(bound(AF_INET6, SOCK_STREAM, ("::", 0), BOTH))') == "::ffff:127.0.0.1"
    assert ask('host(bound(AF_INET6, SOCK_STREAM, ("::ffff:0.0.0.0", 0), BOTH))') == "::ffff:127.0.0.1"


def test_a_socket_that_listens_without_an_address(ask):
    assert (
        ask("""
        made = socket.socket()
        made.listen()
        host(made)
    """)
        == "127.0.0.1"
    )


def test_the_port_is_the_one_that_was_asked_for_or_one_that_the_kernel_chose(ask):
    port = free_port()
    assert ask(f'bound(AF_INET, SOCK_STREAM, ("0.0.0.0", {port})).getsockname()') == ["127.0.0.1", port]
    assert ask('bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0)).getsockname()[1] > 0') is True


def test_datagrams(ask):
    """A fixed port is a server's; a port that the kernel chooses is a client's, which has to reach others."""
    port = any_port_of_datagrams()
    assert ask(f'host(bound(AF_INET, SOCK_DGRAM, ("0.0.0.0", {port})))') == "127.0.0.1"
    assert ask(f'host(bound(AF_INET6, SOCK_DGRAM, ("::", {port}), ONLY_6))') == "::1"
    assert ask('host(bound(AF_INET, SOCK_DGRAM, ("0.0.0.0", 0)))') == "0.0.0.0"


def test_an_address_of_others_is_refused(ask):
    port = any_port_of_datagrams()
    assert ask(f'attempt(lambda: bound(AF_INET, SOCK_DGRAM, ("224.0.0.251", {port})))') == "EADDRNOTAVAIL"


def test_what_the_program_asks_of_the_loopback_is_as_it_says(ask, tmp_path):
    assert ask('host(bound(AF_INET, SOCK_STREAM, ("127.0.0.5", 0)))') == "127.0.0.5"
    assert ask('host(bound(AF_INET6, SOCK_STREAM, ("::1", 0)))') == "::1"
    path = str(tmp_path / "socket")
    assert ask(f"bound(socket.AF_UNIX, SOCK_STREAM, {path!r}).getsockname()") == path
    assert ask('socket.getaddrinfo("localhost", 80, AF_INET)[0][4]') == ["127.0.0.1", 80]


def test_errors_are_the_kernels(ask):
    assert ask("""
        first = bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0))
        first.listen()
        again = attempt(lambda: bound(AF_INET, SOCK_STREAM, ("0.0.0.0", first.getsockname()[1])))
        twice = attempt(lambda: first.bind(("0.0.0.0", 0)))
        closed = socket.socket(fileno=first.detach())
        os.close(closed.fileno())
        [again, twice, attempt(lambda: closed.bind(("0.0.0.0", 0)))]
    """) == ["EADDRINUSE", "EINVAL", "EBADF"]


def test_nothing_that_a_program_passes_ends_the_reaper(ask):
    """The next bind is answered as well."""
    assert ask("""
        import ctypes, mmap, sys
        libc = ctypes.CDLL(None, use_errno=True)
        pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        end = ctypes.addressof(ctypes.c_char.from_buffer(pages)) + mmap.PAGESIZE
        assert libc.munmap(ctypes.c_void_p(end), ctypes.c_size_t(mmap.PAGESIZE)) == 0
        whole, cut = end - 128, end - 6
        for start in (whole, cut):
            ctypes.memmove(start, AF_INET.to_bytes(2, sys.byteorder), 2)
        made, found = socket.socket(), set()
        for length in (16, 28, 128, 129, 2**31, 2**32 - 1):
            for address in (0, 1, 2**47, 2**63, 2**64 - 1, cut):
                found.add(libc.bind(made.fileno(), ctypes.c_void_p(address), ctypes.c_uint(length)))
            for fd in (-1, 0, 2**31 - 1):
                found.add(libc.bind(fd, ctypes.c_void_p(whole), ctypes.c_uint(length)))
                found.add(libc.listen(fd, 1))
        [sorted(found), host(bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0)))]
    """) == [[-1], "127.0.0.1"]


def test_forks_and_threads_that_share_a_port(ask):
    """Servers that fork before they listen, and uvicorn's workers."""
    assert ask("""
        first = bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0), SHARED)
        address = ("0.0.0.0", first.getsockname()[1])
        found = [host(first)]
        def one_more():
            found.append(host(bound(AF_INET, SOCK_STREAM, address, SHARED)))
        threads = [threading.Thread(target=one_more) for _ in range(20)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, host(bound(AF_INET, SOCK_STREAM, address, SHARED)).encode())
            os._exit(0)
        os.wait()
        sorted({*found, os.read(read, 100).decode()})
    """) == ["127.0.0.1"]


UNDER_SIGNALS = """
import os
import signal
import socket
import subprocess


def bind_and_listen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


def main_handler(event, context):
    received = []
    signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    sender = subprocess.Popen(["sh", "-c", f"while kill -USR1 {os.getpid()}; do /bin/true; done"])
    try:
        while len(received) < event:
            bind_and_listen()
    finally:
        sender.kill()
        sender.wait()
    return "done"
"""


@pytest.mark.parametrize("sandbox", ["auto", "none"])
def test_a_signal_that_has_a_handler_interrupts_no_call_of_a_handler(deploy, make_runtime, sandbox):
    event = deploy(UNDER_SIGNALS, to=make_runtime(sandbox=sandbox)).invoke_async(200).wait()

    assert event.result == "done"


def test_the_server_of_the_standard_library(deploy, tmp_path):
    port = free_port()
    function = deploy(f"""
        import subprocess, time, urllib.request
        def main_handler(event, context):
            server = subprocess.Popen([{sys.executable!r}, "-u", "-m", "http.server", "{port}"], cwd=event["directory"],
                                      stdout=subprocess.PIPE, text=True)
            try:
                server.stdout.readline()
                tables = [open(f"/proc/net/{{name}}").read() for name in ("tcp", "tcp6")]
                return ["".join(tables), urllib.request.urlopen("http://127.0.0.1:{port}/answer").read().decode()]
            finally:
                server.kill()
                server.wait()
    """)
    (tmp_path / "answer").write_text("here")

    tables, text = function.run({"directory": str(tmp_path)})

    assert text == "here"
    assert at_port(port, tables) in ({"0100007F"}, {"0000000000000000FFFF00000100007F"})


def test_a_bind_that_the_reaper_has_still_to_answer_is_no_wait(deploy, runtime, monkeypatch):
    event = deploy("""
        import socket, time
        def main_handler(event, context):
            print("ready", flush=True)
            time.sleep(1)
            with socket.socket() as server:
                server.bind(("127.0.0.1", 0))
                print("bound", flush=True)
            time.sleep(5)
    """).invoke_async()
    event.wait_for_log("ready")
    reaper = pool_of(runtime).sandboxes.zygote().process
    looks = []
    look_at = Watchdog._look_at

    def look(self, instance, passed):
        starved = look_at(self, instance, passed)
        if waits_for_reaper(instance.pid):
            looks.append(instance.state.preempted)
            if len(looks) == 5:
                reaper.send_signal(signal.SIGCONT)
        return starved

    monkeypatch.setattr(Watchdog, "_look_at", look)
    monkeypatch.setattr(Zygote, "go_on", lambda _: None)
    reaper.send_signal(signal.SIGSTOP)
    try:
        runtime.clock.advance(2)
    finally:
        reaper.send_signal(signal.SIGCONT)

    assert looks[:5] == [False] * 5
    assert "bound" in str(event.log)


# -- the filter ------------------------------------------------------------------------------------------------------


@pytest.fixture
def filtered() -> Iterator[Callable[[Callable[[], int]], tuple[int, int]]]:
    """Start a process whose binds are filtered: its id, and the descriptor for notifications. It ends with the code."""
    started = []

    def start(act: Callable[[], int]) -> tuple[int, int]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                ours.close()
                if not bind_filter.install(theirs):
                    code = act()
            finally:
                os._exit(code)
        started.append(pid)
        theirs.close()
        bind_filter.offer(pid, ours)
        return pid, bind_filter.take(ours)

    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def binds_to_all() -> int:
    with socket.socket() as made:
        try:
            made.bind(("0.0.0.0", 0))
        except OSError as error:
            return error.errno or 254
        return 0 if made.getsockname()[0] == "127.0.0.1" else 253


def exit_code(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    return code


def is_asked(listener: int) -> bool:
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    return any(events & select.POLLIN for _, events in poller.poll(60_000))


def test_a_call_ends_when_whoever_answers_is_gone(filtered):
    pid, listener = filtered(binds_to_all)
    assert is_asked(listener)

    os.close(listener)

    assert exit_code(pid) == errno.ENOSYS


def test_a_process_that_is_killed_while_it_asks_is_no_error(filtered):
    pid, listener = filtered(binds_to_all)
    assert is_asked(listener)
    os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL

    bind_filter.answer(listener)  # it does not wait either

    os.close(listener)


def test_signals_do_not_have_a_call_made_twice(filtered):
    """The second one would be EINVAL: the socket is bound."""

    def binds_under_signals() -> int:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, False)
        return max(binds_to_all() for _ in range(50))

    pid, listener = filtered(binds_under_signals)
    real_bind = bind_filter._bind

    def bind(sock: socket.socket, port: int) -> int:
        error = real_bind(sock, port)
        os.kill(pid, signal.SIGUSR1)  # the call was made, and is not answered yet
        return error

    bind_filter._bind = bind
    try:
        for _ in range(50):
            assert is_asked(listener)
            bind_filter.answer(listener)
    finally:
        bind_filter._bind = real_bind
        os.close(listener)

    assert exit_code(pid) == 0


def test_the_filter_names_calls_as_the_kernel_of_this_machine_does():
    """The numbers of the architecture, tried where nothing is filtered."""
    _, seccomp, bind, listen = bind_filter._NUMBERS[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket() as made:
        address = socket.AF_INET.to_bytes(2, sys.byteorder) + b"\0\0" + b"\x7f\0\0\1" + b"\0" * 8
        assert libc.syscall(bind, made.fileno(), address, 16) == 0
        assert libc.syscall(listen, made.fileno(), 1) == 0
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert libc.syscall(seccomp, 99, 0, 0) == -1
    assert ctypes.get_errno() == errno.EINVAL


def test_the_reaper_keeps_no_descriptor_of_programs(deploy, runtime):
    """The reaper closes the copy of a socket that it has bound, so a server's port is free when the server is gone."""
    function = deploy(STARTS)
    text = f'{CHILD}\nfor _ in range(50): bound(AF_INET, SOCK_STREAM, ("0.0.0.0", 0)).close()\nprint("true")'
    reaper = pool_of(runtime).sandboxes.zygote().process.pid
    found = []
    for _ in range(2):
        assert function.run(text) is True
        found.append(len(os.listdir(f"/proc/{reaper}/fd")))
    assert found[0] == found[1]
