"""What user code writes is in the event's log: all of it, line by line, in true order."""

from __future__ import annotations

import os

import pytest
from process_support import RECEIVED, short_log, user_lines

MEGABYTE = 1024 * 1024


def written(deploy, body, **options):
    """The lines of a handler with *body*."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"import logging, os, subprocess, sys, time\ndef main_handler(event, context):\n{lines}"
    event = deploy(source, **options).invoke_async().wait()
    assert event.status == "FINISHED", str(event.log)
    return user_lines(event)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("print('one'); print('two')", ["one", "two"]),
        ("print('no newline', end='')", ["no newline"]),
        ("print('half', end=' '); print('line')", ["half line"]),
        ("print()", [""]),
        ("print('a\\n\\nb')", ["a", "", "b"]),
        ("print('\\r 10%\\r 20%\\rdone')", ["\r 10%\r 20%\rdone"]),
        ("print('windows', end='\\r\\n'); print('unix')", ["windows\r", "unix"]),
        ("print('tab\\t nul\\0 bell\\a esc\\033[1m')", ["tab\t nul\0 bell\a esc\033[1m"]),
        ("print('输出 é 😀')", ["输出 é 😀"]),
        ("print('line\\u2028separator \\x0b \\x0c \\x85')", ["line\u2028separator \x0b \x0c \x85"]),
        ("sys.stdout.write('x'); sys.stdout.write('y\\nz'); sys.stdout.flush()", ["xy", "z"]),
        ("sys.stdout.writelines(['a\\n', 'b\\n'])", ["a", "b"]),
        ("sys.stdout.buffer.write(b'binary\\n'); print('text')", ["binary", "text"]),
        ("print('text', end=' '); sys.stdout.buffer.write(b'binary\\n')", ["text binary"]),
        ("sys.stdout.buffer.write(b'bad \\xff\\xfe utf-8\\n')", ["bad \ufffd\ufffd utf-8"]),
        ("sys.stdout.buffer.write(b'cut \\xe8\\xbe'); sys.stdout.buffer.write(b'\\x93 char\\n')", ["cut 输 char"]),
        ("os.write(1, b'by descriptor\\n'); print('by print')", ["by descriptor", "by print"]),
        ("os.write(2, b'to stderr\\n')", ["to stderr"]),
        ("print('to stderr', file=sys.stderr)", ["to stderr"]),
        ("print('1'); print('2', file=sys.stderr); os.write(2, b'3\\n'); os.write(1, b'4\\n')", list("1234")),
        ("print('out', end=''); print('err', file=sys.stderr)", ["outerr"]),
        ("print('lone \\ud800', file=sys.stderr)", ["lone \\ud800"]),
        ("logging.warning('careful %d', 3)", ["careful 3"]),
        ("logging.basicConfig(level=10, stream=sys.stdout, force=True)\nlogging.debug('a')", ["DEBUG:root:a"]),
        ("logging.getLogger('x').error('bad')", ["bad"]),
        ("sys.__stdout__.write('dunder\\n')", ["dunder"]),
        ("open('/dev/stdout', 'w').write('by device\\n')", ["by device"]),
        ("sys.stdout = open(os.devnull, 'w'); print('lost'); sys.stdout = sys.__stdout__; print('kept')", ["kept"]),
        ("sys.stdout.reconfigure(encoding='latin-1'); print('caf\\xe9')", ["caf\ufffd"]),
        ("", []),
    ],
)  # fmt: skip
def test_every_way_to_write_is_in_the_log(deploy, body, lines):
    assert written(deploy, body or "pass") == lines


def test_a_stream_of_ones_own_on_a_detached_buffer_is_in_the_log(deploy):
    body = """
import io
print('before')
sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')
print('through the new one')
print('and more', end='')
"""

    assert written(deploy, body) == ["before", "through the new one", "and more"]


def test_a_detached_stdout_does_not_disturb_the_end_of_the_event(deploy):
    assert written(deploy, "b = sys.stdout.detach()\nb.write(b'raw\\n')\nb.flush()") == ["raw"]


def test_a_closed_stdout_does_not_disturb_the_end_of_the_event(deploy):
    assert written(deploy, "print('before')\nsys.stdout.close()\nsys.stderr.write('after\\n')") == ["before", "after"]


def test_closed_descriptors_do_not_disturb_the_end_of_the_event(deploy):
    event = (
        deploy("""
        import os
        def main_handler(event, context):
            print("before")
            os.close(1)
            os.close(2)
            return "alive"
    """)
        .invoke_async()
        .wait()
    )

    assert (event.result, user_lines(event)) == ("alive", ["before"])


def test_lines_have_the_simulated_time_at_which_they_were_written(deploy):
    event = (
        deploy("""
        import time
        def main_handler(event, context):
            for row in range(3):
                print(row)
                time.sleep(1.5)
    """)
        .invoke_async()
        .wait()
    )

    lines = [line for line in event.log if line.source == "Custom"]
    assert [(line.time - event.started_at).total_seconds() for line in lines] == [0, 1.5, 3]


def test_a_line_has_the_time_at_which_it_was_completed(deploy):
    event = (
        deploy("""
        import time
        def main_handler(event, context):
            print("half", end=" ")
            time.sleep(10)
            print("line")
    """)
        .invoke_async()
        .wait()
    )

    (line,) = [line for line in event.log if line.source == "Custom"]
    assert line.text == "half line"
    assert (line.time - event.started_at).total_seconds() == 10


@pytest.mark.parametrize("write", ["print(time.time_ns())", "os.write(1, b'%d\\n' % time.time_ns())"])
def test_a_line_has_the_time_at_which_it_was_written_though_another_thread_reports_an_earlier_one(deploy, write):
    """A parked thread reports the time when the harness asks; here it does as the handler writes its next line."""
    event = (
        deploy(f"""
        import _thread, os, select, time
        from pytest_scf_async.side.originals import real_poll
        from pytest_scf_async.python.patches import threads
        from pytest_scf_async.side.channel import Channel
        from pytest_scf_async.python.scheduler.lock import Section
        from pytest_scf_async.python.scheduler.scheduler import scheduler

        reports, writes = os.eventfd(0), os.eventfd(0)
        main = _thread.get_ident()

        def wait_for(fd):
            poller = real_poll()
            poller.register(fd, select.POLLIN)
            poller.poll()

        class Lock(Section):
            def __enter__(self):
                if _thread.get_ident() == main:
                    os.eventfd_write(writes, 1)
                super().__enter__()

        class SlowChannel(Channel):
            __slots__ = ()

            def send_marked(self, frame):
                if _thread.get_ident() != main:
                    os.eventfd_write(reports, 1)
                    wait_for(writes)  # until the line is written, or waits until this time is reported
                super().send_marked(frame)

        def reporter():
            scheduler.before_output()
            os.eventfd_write(reports, 1)

        def main_handler(event, context):
            time.sleep(2)
            time.sleep(3)  # under a lease, which comes with the end of the first one
            scheduler.lock, scheduler.channel.__class__ = Lock(), SlowChannel
            threads._real_start_new_thread(reporter, ())
            wait_for(reports)
            {write}
            os.eventfd_write(writes, 1)
    """)
        .invoke_async()
        .wait()
    )

    (line,) = [line for line in event.log if line.source == "Custom"]
    assert (line.time - event.started_at).total_seconds() == 5
    assert line.text == str(round(line.time.timestamp() * 1e9))


@pytest.mark.parametrize(
    "writer",
    [
        "print('x' * size)",
        "data = b'x' * size + b'\\n'\nwhile data: data = data[os.write(1, data):]",
        "sys.stdout.buffer.write(b'x' * size)",
    ],
)
def test_one_line_of_a_megabyte_is_one_line(deploy, writer):
    assert written(deploy, f"size = {MEGABYTE}\n{writer}") == ["x" * MEGABYTE]


@pytest.mark.once  # it is about the pipe
def test_a_hundred_thousand_lines_are_all_there_in_order(deploy):
    event = (
        deploy("""
        import sys
        def main_handler(event, context):
            for row in range(100_000):
                sys.stdout.write(f"{row}\\n")
            return "done"
    """)
        .invoke_async()
        .wait()
    )

    assert user_lines(event) == [str(row) for row in range(100_000)]
    assert short_log(event)[-3:] == ['RESPONSE "done"', "END", "REPORT 0ms"]


@pytest.mark.repeat
def test_a_partial_line_before_a_signal_the_end_or_a_kill_is_in_the_log_where_it_was_written(deploy):
    function = deploy("""
        import os, signal, time
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: print("B", end=""))
            print("A", end="")
            time.sleep(10)
            print("C", end="")
            if event["exit"]:
                os._exit(0)
    """)
    returns = function.invoke_async({"exit": False})
    returns.terminate(grace_shutdown=True)
    returns.wait()
    exits = function.invoke_async({"exit": True}).wait()
    killed = function.invoke_async({"exit": True})
    killed.terminate()

    assert short_log(returns)[2:-3] == [RECEIVED, "ABC"]
    assert short_log(exits) == ["START", "AC", "ERROR 439", "END", "REPORT 10000ms"]
    assert short_log(killed) == ["START", "INIT 0ms", "A", "ERROR 499", "END", "REPORT 0ms"]


def test_output_at_the_exit_of_the_process_is_in_the_log(deploy):
    event = (
        deploy("""
        import atexit, sys, threading
        class Loud:
            def __del__(self):
                print("never")
        def main_handler(event, context):
            atexit.register(print, "at exit", end="")
            threading.Thread(target=print, args=("in a thread",)).start()
            sys.exit("exit text")
    """)
        .invoke_async()
        .wait()
    )

    assert short_log(event) == [
        "START", "INIT 0ms", "exit text", "in a thread", "at exit", "ERROR 439", "END", "REPORT 0ms"
    ]  # fmt: skip


def test_the_lines_of_a_listener_stand_where_it_ran(deploy):
    event = deploy("""
        import signal
        def on_sigterm(signum, frame):
            print("listener 1")
            print("listener 2")
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for row in range(2000):
                print("row", row)
    """).invoke_async()
    event.wait_for_log("row 999")
    event.terminate(grace_shutdown=True)
    event.wait()

    rows = [f"row {row}" for row in range(2000)]
    assert short_log(event)[2:-3] == [*rows[:1000], RECEIVED, "listener 1", "listener 2", *rows[1000:]]


def test_what_threads_write_is_whole_lines(deploy):
    event = (
        deploy("""
        import threading, time
        def work(name):
            for row in range(200):
                print(f"{name}-{row}")
                time.sleep(0.001)
        def main_handler(event, context):
            threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    """)
        .invoke_async()
        .wait()
    )

    assert user_lines(event) == [f"{name}-{row}" for row in range(200) for name in "ab"]


def test_the_streams_look_like_those_of_a_pipe(deploy):
    body = "print(sys.stdout.isatty(), sys.stdout.seekable(), sys.stdout.fileno(), sys.stderr.fileno())"

    assert written(deploy, body) == ["False False 1 2"]


def test_nothing_of_the_handlers_output_reaches_the_tests_own(deploy, capfd):
    written(deploy, "print('loud'); os.write(1, b'louder\\n'); os.write(2, b'loudest\\n')")
    os.write(1, b"")

    assert capfd.readouterr() == ("", "")
