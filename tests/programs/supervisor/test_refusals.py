"""What cannot be traced: 32-bit programs, tracers, programs with rights of their own. Nothing of it hangs."""

from __future__ import annotations

import os
import shlex
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from image_support import program
from internals import event_of, procfs

from pytest_scf_async import AsyncEvent
from pytest_scf_async.errors import ScfAsyncWarning
from pytest_scf_async.report.cause import likely_cause

# once: the kernel's and the supervisor's: the same on all Pythons
pytestmark = [
    pytest.mark.once,
    pytest.mark.x86_64,
]

GETPID_32 = bytes.fromhex("b814000000cd80")
"""mov eax,20; int 0x80"""
EXIT_32 = bytes.fromhex("b801000000bb07000000cd80")
"""mov eax,1; mov ebx,7; int 0x80"""
EXIT_64 = bytes.fromhex("b83c000000bf030000000f05")
"""mov eax,60; mov edi,3; syscall"""
_AT = 0x400000


def elf(path: Path, code: bytes, *, bits: int) -> Path:
    """An executable file that runs *code*."""
    identification = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    header, entry = (64, 56) if bits == 64 else (52, 32)
    size = header + entry + len(code)
    numbers = (2, 62 if bits == 64 else 3, 1, _AT + header + entry, header, 0, 0, header, entry, 1, 0, 0, 0)
    word = "Q" if bits == 64 else "I"
    data = identification + struct.pack(f"<HHI{word}{word}{word}IHHHHHH", *numbers)
    if bits == 64:
        data += struct.pack("<IIQQQQQQ", 1, 5, 0, _AT, _AT, size, size, 4096)
    else:
        data += struct.pack("<IIIIIIII", 1, 0, _AT, _AT, size, size, 5, 4096)
    path.write_bytes(data + code)
    path.chmod(0o755)
    return path


@pytest.fixture
def serve(deploy_image):
    """Run one event of a program, given by text or command; return the event and the warnings."""

    def run(source: str = "", command=("python", "-I", "app.py")) -> tuple[AsyncEvent, list[str]]:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ScfAsyncWarning)
            event = deploy_image(source, command=command).invoke_async().wait()
        return event, [str(each.message) for each in warned]

    return run


@pytest.fixture
def thirty_two(tmp_path):
    made = elf(tmp_path / "thirty-two", EXIT_32, bits=32)
    if os.spawnv(os.P_WAIT, made, [made.name]) != 7:
        pytest.skip("needs a kernel that runs 32-bit programs")
    return made


# -- 32-bit programs ---------------------------------------------------------------------------------------------------


OF_32_BIT = "'thirty-two' is a 32-bit program, which cannot be on the simulated clock: it was ended"


def test_a_32_bit_program_is_445_and_the_cause_says_so(serve, thirty_two):
    event, warned = serve(command=[str(thirty_two)])

    assert (event.status, event.status_code, warned) == ("FAILED", 445, [])
    assert likely_cause(event_of(event)) == f"the program could not be started: {OF_32_BIT}"


def test_a_program_that_starts_one_goes_on_without_it_and_a_warning_says_so(serve, thirty_two):
    event, warned = serve(
        program(f"""
            import subprocess

            def handle(event, request):
                before = time.time()
                ended = subprocess.run([{str(thirty_two)!r}]).returncode
                time.sleep(60)
                return [ended, round(time.time() - before)]
        """)
    )

    assert (event.status, event.result) == ("FINISHED", [-9, 60])
    assert warned == [OF_32_BIT]
    assert event.timeline.count(OF_32_BIT) == 1


def test_a_program_that_becomes_one_is_439_and_the_cause_says_so(serve, thirty_two):
    handle = f"def handle(event, request): os.execv({str(thirty_two)!r}, ['it'])"
    event, warned = serve(program(handle))

    assert (event.status, event.status_code, warned) == ("FAILED", 439, [OF_32_BIT])
    assert likely_cause(event_of(event)).startswith(f"{OF_32_BIT}; the process was killed by ")


FOREIGN = "makes system calls of another architecture, which cannot be simulated: it was ended"


@pytest.mark.usefixtures("thirty_two")
def test_a_64_bit_program_that_makes_a_call_of_32_bits_is_reported_and_ended(serve, tmp_path):
    both = elf(tmp_path / "both", GETPID_32 + EXIT_64, bits=64)
    assert os.spawnv(os.P_WAIT, both, [both.name]) == 3

    event, warned = serve(command=[str(both)])
    assert (event.status, event.status_code, warned) == ("FAILED", 445, [])
    assert likely_cause(event_of(event)) == f"the program could not be started: 'both' {FOREIGN}"

    child = f"import subprocess\ndef handle(event, request): return subprocess.run([{str(both)!r}]).returncode"
    event, warned = serve(program(child))
    assert (event.status, event.result, warned) == ("FINISHED", -9, [f"'both' {FOREIGN}"])


def test_its_own_sigsys_is_the_programs(serve):
    handle = """
        import signal
        signal.signal(signal.SIGSYS, lambda *of: print("caught", flush=True))

        def handle(event, request):
            os.kill(os.getpid(), signal.SIGSYS)
            return "went on"
    """
    event, warned = serve(program(handle))
    assert (event.result, warned) == ("went on", [])
    assert "caught" in [line.text for line in event.log]


# -- programs for nothing here -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "#!/no/such/interpreter\n",
            "No such file or directory, though the file is there: the interpreter that it names is not",
        ),
        ("no program", "Exec format error: it is neither a program for this machine nor a script with a #! line"),
        (
            b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 183, 1) + bytes(200),
            "Exec format error: it is neither a program for this machine nor a script with a #! line",
        ),
    ],
    ids=["no interpreter", "text", "arm64"],
)
def test_what_cannot_be_executed_is_445_in_the_words_of_free_running_programs(serve, tmp_path, text, said):
    file = tmp_path / "program"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o755)

    event, _ = serve(command=[str(file)])

    assert (event.status, event.status_code) == ("FAILED", 445)
    assert likely_cause(event_of(event)) == f"the program could not be started: {file}: {said}"


def test_what_may_not_be_executed_is_445(serve, tmp_path):
    file = tmp_path / "program"
    file.write_text("#!/bin/sh\n")
    event, _ = serve(command=[str(file)])
    assert event.status_code == 445
    assert likely_cause(event_of(event)).endswith("Permission denied: it may not be executed (chmod +x)")


# -- tracers -----------------------------------------------------------------------------------------------------------


TRACES = (
    "tried to trace a process (ptrace) and got EPERM: a process can have only one tracer, and on the simulated clock "
    "every process of a program already has one"
)
PTRACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
TRACE_ME, ATTACH, SEIZE = 0, 16, 0x4206
def ptrace(request, pid=0):
    return ctypes.get_errno() if libc.ptrace(request, pid, None, None) < 0 else 0
"""


def test_a_program_that_tries_to_trace_gets_eperm_and_goes_on_and_a_warning_says_so(serve):
    handle = (
        PTRACE
        + """
child = os.fork()
if child == 0:
    time.sleep(10_000)
def handle(event, request):
    return [ptrace(TRACE_ME), ptrace(ATTACH, child), ptrace(SEIZE, child), ptrace(SEIZE, os.getppid())]
"""
    )
    event, warned = serve(program(handle))

    assert (event.status, event.result) == ("FINISHED", [1, 1, 1, 1])
    assert warned == [f"{os.path.basename(os.path.realpath(sys.executable))!r} {TRACES}"]


@pytest.mark.parametrize(
    "tracer",
    [
        pytest.param("strace -f -o /dev/null", marks=pytest.mark.strace),
        pytest.param("gdb -batch -ex run --args", marks=pytest.mark.gdb),
    ],
)
def test_a_tracer_ends_by_itself_and_the_cause_says_why(serve, tracer):
    words = shlex.split(tracer)
    event, warned = serve(program("def handle(event, request): return 1"), command=[*words, "python3", "-I", "app.py"])

    assert (event.status, event.status_code) == ("FAILED", 439)
    assert warned == [f"{words[0]!r} {TRACES}"]
    assert likely_cause(event_of(event)).startswith(f"{words[0]!r} {TRACES}; the process ended during init (")


# -- programs with rights of their own ---------------------------------------------------------------------------------


LACKS = "and the kernel grants a traced program no rights of its file"


@pytest.mark.root
@pytest.mark.parametrize(("mode", "kind"), [(0o4755, "set-uid"), (0o2755, "set-gid")])
def test_a_program_with_rights_of_its_own_has_none_and_a_warning_says_so(serve, tmp_path, mode, kind):
    made = elf(tmp_path / "rights", EXIT_64, bits=64)
    os.chown(made, 65534, 65534)
    made.chmod(mode)

    handle = f"import subprocess\ndef handle(event, request): return subprocess.run([{str(made)!r}]).returncode"
    event, warned = serve(program(handle))

    assert (event.status, event.result) == ("FINISHED", 3)
    assert warned == [f"'rights' is {kind}, {LACKS}"]


@pytest.mark.root
def test_rights_that_it_has_anyway_are_nothing_to_report(serve, tmp_path):
    made = elf(tmp_path / "rights", EXIT_64, bits=64)
    made.chmod(0o6755)
    handle = f"import subprocess\ndef handle(event, request): return subprocess.run([{str(made)!r}]).returncode"
    event, warned = serve(program(handle))
    assert (event.result, warned) == (3, [])


def test_a_process_that_ends_is_exiting_before_it_is_reaped() -> None:
    """What it had open closes first: a connection that ends is no answer of a program that is being killed."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as child:
        assert not procfs.is_exiting(child.pid)
        child.kill()
        assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
        assert procfs.is_exiting(child.pid)
    assert procfs.is_exiting(child.pid)


def test_a_program_that_lives_on_without_its_connection_has_failed(deploy_traced) -> None:
    source = """
import os, socket, time

server = socket.create_server(("0.0.0.0", 9000))
while True:
    connection, _ = server.accept()
    if b"event-invoke" in connection.recv(65536):
        os.closerange(3, 4096)
        time.sleep(1)
    connection.close()
"""
    event = deploy_traced(source).invoke_async().wait()
    assert (event.status, event.status_code) == ("FAILED", 430), event.timeline
