"""Functions with ``children="simulated"``: what the handler starts is on the simulated clock, as it is itself."""

from __future__ import annotations

import json
import textwrap
import time

import pytest
from process_support import (
    LONG,
    short_log,
)

# once: children are programs that the kernel's side traces, whatever Python calls the handler
once = pytest.mark.once


@pytest.fixture
def simulated(deploy):
    """Deploy the text of a handler whose children are simulated."""

    def deploy_so(source, **options):
        return deploy(source, children="simulated", **options)

    return deploy_so


IMPORTS = "import multiprocessing, os, signal, subprocess, sys, time\n"


def calls(body, before=""):
    """A handler of these lines, which gives what they leave in ``result``, and the seconds that they took."""
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return (
        f"{IMPORTS}{textwrap.dedent(before)}\ndef main_handler(event, context):\n"
        f"    began = time.time()\n    result = None\n{lines}\n    return [result, time.time() - began]\n"
    )


# -- time ------------------------------------------------------------------------------------------------------------


WAITS = {
    "run": ('subprocess.run(["sleep", "600"])', None, 600),
    "os.system": ('result = os.system("sleep 60; exit 3") >> 8', 3, 60),
    "wait": ('child = subprocess.Popen(["sleep", "3600"]); result = child.wait()', 0, 3600),
    "output": ('result = subprocess.check_output("sleep 5; echo five", shell=True, text=True)', "five\n", 5),
    "in Bash": (
        'result = subprocess.run(["bash", "-c", "sleep 30 & sleep 10; wait; echo $SECONDS >&2"]).returncode',
        0,
        30,
    ),
    "poll": (
        """
        child = subprocess.Popen(["sleep", "60"])
        result = 0
        while child.poll() is None:
            time.sleep(7)
            result += 1
        """,
        9,
        63,
    ),
    "timeout": (
        """
        try:
            subprocess.run(["sleep", "600"], timeout=90)
        except subprocess.TimeoutExpired:
            result = "timed out"
        """,
        "timed out",
        90,
    ),
    "communicate": (
        """
        child = subprocess.Popen(["sh", "-c", "sleep 1; echo a; exec sleep 600"], stdout=subprocess.PIPE)
        try:
            child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            result = child.communicate()[0].decode()
        """,
        "a\n",
        20,
    ),
    "fork": (
        """
        pid = os.fork()
        if pid == 0:
            time.sleep(100)
            os._exit(7)
        result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
        7,
        100,
    ),
    "two": (
        """
        for child in [subprocess.Popen(["sleep", str(seconds)]) for seconds in (40, 60, 50)]:
            child.wait()
        """,
        None,
        60,
    ),
    "a child that computes": (
        """
        code = "print(sum(range(10**6)))"
        result = int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
        """,
        499_999_500_000,
        0,
    ),
    "a child's clock": (
        """
        code = "import time; began = time.time(); time.sleep(33); print(time.time() - began)"
        result = float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
        """,
        33,
        33,
    ),
}
"""By name: the lines of a handler, what they find, and the simulated seconds that they take."""


@once
@pytest.mark.parametrize("name", WAITS)
def test_how_long_children_take(simulated, name):
    lines, found, seconds = WAITS[name]
    event = simulated(calls(lines)).invoke_async().wait()

    assert (event.status, event.result) == ("FINISHED", [found, pytest.approx(seconds, abs=0.01)]), event.log
    assert event.duration.total_seconds() == pytest.approx(seconds, abs=0.001)


@pytest.mark.interpreter
def test_a_sleep_of_a_child_ends_when_it_should_and_takes_no_real_time(simulated):
    function = simulated(calls('subprocess.run(["sleep", "600"])'))
    first = function.invoke_async().wait()
    began = time.monotonic()
    second = function.invoke_async().wait()
    took = time.monotonic() - began

    assert [event.duration.total_seconds() for event in (first, second)] == [600, 600]
    assert first.result[1] == second.result[1] == 600
    assert (second.instance.cold, second.instance.pid) == (False, first.instance.pid)
    assert took < LONG


@pytest.mark.interpreter
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(simulated, method):
    body = f"""
        processes = multiprocessing.get_context("{method}")
        child = processes.Process(target=time.sleep, args=(120,))
        child.start()
        child.join(50)
        result = [child.is_alive()]
        child.join()
        result.append(child.exitcode)
    """
    event = simulated(calls(body)).invoke_async().wait()

    assert event.result == [[True, 0], pytest.approx(120, abs=0.01)], event.log


# -- what is the same ------------------------------------------------------------------------------------------------


SAME = {
    "success": """
        def main_handler(event, context):
            print("rows", event["rows"])
            return {"ä": event, "context": context, "cwd": __import__("os").getcwd(), "name": __name__}
    """,
    "environment, path and arguments": """
        import os, sys, json
        print(sorted(name for name in os.environ if name not in ("HOSTNAME",)))
        def main_handler(event, context):
            flags = [sys.flags.utf8_mode, sys.flags.optimize, sys.dont_write_bytecode, sys.getfilesystemencoding()]
            hidden = ("HOSTNAME", "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN")
            found = {name: value for name, value in os.environ.items() if name not in hidden}
            return [found, sys.path, sys.argv, flags, hash("text"), sys.stdout.encoding, sys.stderr.errors]
    """,
    "what children find in their environment": """
        import subprocess
        def main_handler(event, context):
            skip = ("HOSTNAME", "TENCENTCLOUD_SE", "PYTEST_SCF_ASYNC_OWNER", "_=")
            lines = subprocess.check_output(["env"], text=True).splitlines()
            return sorted(line for line in lines if not line.startswith(skip))
    """,
    "logging": """
        import logging
        logging.debug("at import")
        def main_handler(event, context):
            logging.getLogger("a.b").info("row %d", 1)
            logging.basicConfig(level=logging.ERROR)
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("no row")
            handler, = logging.getLogger().handlers
            return [logging.getLogger().level, str(type(handler))]
    """,
    "lines without an end": r"""
        import os, subprocess, sys
        def main_handler(event, context):
            print("a", end="")
            subprocess.run(["echo", "b"])
            print("c", file=sys.stderr)
            sys.stdout.write("d\n")
            os.write(1, b"e\n")
            sys.stdout.buffer.write(b"f\xff\n")
            print("no end", end="")
    """,
    "an exception": """
        def main_handler(event, context):
            inner(event)
        def inner(event):
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise ValueError("ä row") from error
    """,
    "an exception in a callback of json": """
        import json
        def main_handler(event, context):
            json.loads("{")
    """,
    "an exception of a thread": """
        import concurrent.futures
        def main_handler(event, context):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                future = pool.submit(int, "x")
                concurrent.futures.wait([future])
                future.result()
    """,
    "no such name": "def other(event, context): pass",
    "no function": "main_handler = 3",
    "a syntax error": "def main_handler(event, context)\n    pass",
    "an import that fails": "import no_such_module",
    "an import that raises": "def f():\n    raise KeyError('x')\nf()",
    "an import that exits": "import sys\nsys.exit(4)",
    "exit 3": "import sys\ndef main_handler(event, context):\n    print('out')\n    sys.exit(3)",
    "exit 0": "import sys\ndef main_handler(event, context):\n    sys.exit()",
    "exit with a text": "import sys\ndef main_handler(event, context):\n    sys.exit('enough')",
    "os._exit": "import os\ndef main_handler(event, context):\n    os._exit(5)",
    "killed by itself": "import os\ndef main_handler(event, context):\n    os.kill(os.getpid(), 9)",
    "KeyboardInterrupt": "def main_handler(event, context):\n    raise KeyboardInterrupt",
    "no JSON": "def main_handler(event, context):\n    return {1, 2}",
    "a ring": "ring = []\nring.append(ring)\ndef main_handler(event, context):\n    return ring",
    "a decimal": "from decimal import Decimal\ndef main_handler(event, context):\n    return Decimal('1.50')",
    "a surrogate": r"def main_handler(event, context): return '\ud800'",
    "too large": "def main_handler(event, context):\n    return 'x' * (6 * 1024 * 1024 - 1)",
    "just fits": "def main_handler(event, context):\n    return len('x' * (6 * 1024 * 1024 - 2))",
    "too few arguments": "def main_handler(event):\n    pass",
    "at exit": """
        import atexit, sys, threading, time
        def work():
            time.sleep(5)
            print("worked")
        def main_handler(event, context):
            atexit.register(print, "at exit")
            threading.Thread(target=work).start()
            sys.exit(2)
    """,
    "a thread that fails": """
        import threading
        def main_handler(event, context):
            thread = threading.Thread(target=int, args=("x",), name="fails")
            thread.start()
            thread.join()
    """,
    "a fork that comes back": """
        import os
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                return "child"
            os.waitpid(pid, 0)
            return "parent"
    """,
    "a fork that raises": """
        import os
        def main_handler(event, context):
            if os.fork() == 0:
                raise ValueError("child")
            return os.waitstatus_to_exitcode(os.wait()[1])
    """,
    "a fork that exits": """
        import os, sys
        def main_handler(event, context):
            if os.fork() == 0:
                sys.exit(9)
            return os.waitstatus_to_exitcode(os.wait()[1])
    """,
    "signals": """
        import signal
        def main_handler(event, context):
            return {int(number): str(signal.getsignal(number)) for number in (1, 2, 13, 15, 17)}
    """,
    "standard input": "import sys\ndef main_handler(event, context):\n    return sys.stdin.read()",
    "a module beside it": """
        import helper
        def main_handler(event, context):
            return [helper.NAME, helper.__file__]
    """,
    "time zone": """
        import os, subprocess, time
        def main_handler(event, context):
            return [time.tzname, time.strftime("%H:%M"), subprocess.check_output(["date", "+%Z"], text=True)]
    """,
    "asyncio": """
        import asyncio
        async def work():
            child = await asyncio.create_subprocess_exec("true")
            return await child.wait()
        def main_handler(event, context):
            return asyncio.run(work())
    """,
}
"""Handlers of which nothing shows whether their children are simulated."""


def what_shows(event):
    """Status, code, error, result, log, and the fate of the instance, as lines."""
    assert event.instance is not None
    fate = [event.instance.alive, event.instance.reclaimed_because]
    shown = [event.status, event.status_code, event.error, short_log(event), fate]
    text = json.dumps(shown, ensure_ascii=False, indent=1)
    return text.replace(event.request_id, "ID").splitlines()


@pytest.mark.interpreter
@pytest.mark.parametrize("name", SAME)
def test_all_else_is_as_with_real_children(deploy, tmp_path, name):
    function = deploy(SAME[name], name="export")
    (tmp_path / "code1" / "helper.py").write_text("NAME = __name__")
    real = what_shows(function.invoke_async({"rows": 3}).wait())
    function.update(children="simulated")

    assert what_shows(function.invoke_async({"rows": 3}).wait()) == real
