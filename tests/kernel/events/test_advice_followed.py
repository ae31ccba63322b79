"""What the text of a failure advises, done word for word: the failure goes away, or the text says what is next."""

from __future__ import annotations

import asyncio
import re
import socket
import zipfile
from pathlib import Path

import pytest
from process_support import LONG, grow_impatient

from pytest_scf_async import (
    AsyncEvent,
    CannotEndError,
    HandlerError,
    ScfApiError,
    ScfUsageError,
    assert_finished,
    assert_signal_handled,
    assert_stopped_within,
    assert_terminated,
    assert_timed_out,
)

pytestmark = pytest.mark.once  # texts, and the calls that they name


def refusal_of(check, event: AsyncEvent, *arguments: object) -> str:
    with pytest.raises(AssertionError) as caught:
        check(event, *arguments)
    return str(caught.value)


IMPORTS_ROWS = "import rows_of_export\n\ndef main_handler(event, context):\n    return rows_of_export.ROWS\n"


def test_a_module_that_is_missing_is_put_into_the_code_directory(runtime, tmp_path: Path) -> None:
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "export.py").write_text(IMPORTS_ROWS, encoding="utf-8")

    def deployed() -> AsyncEvent:
        return runtime.deploy(tmp_path, handler="handlers.export.main_handler").invoke_async().wait()

    text = refusal_of(assert_finished, deployed())
    directory = re.search(r"put the module into the code directory (\S+)$", text, re.MULTILINE)[1]
    Path(directory, "rows_of_export.py").write_text("ROWS = 3\n", encoding="utf-8")

    assert_finished(deployed(), 3)


def test_of_a_zip_it_is_put_there(runtime, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.py", IMPORTS_ROWS)
    event = runtime.deploy(path, handler="index.main_handler").invoke_async().wait()

    assert f", or put the module into the zip {path}\n" in refusal_of(assert_finished, event)

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("rows_of_export.py", "ROWS = 3\n")
    assert_finished(runtime.deploy(path, handler="index.main_handler").invoke_async().wait(), 3)


CRASHES = """
import ctypes

def main_handler(event, context):
    ctypes.string_at(0)
"""


def test_faulthandler_names_the_line_of_a_crash(deploy) -> None:
    text = refusal_of(assert_finished, deploy(CRASHES).invoke_async().wait())
    assert "what to do: call faulthandler.enable() at the top of the module" in text

    source = "import faulthandler\nfaulthandler.enable()\n" + CRASHES.lstrip()
    text = refusal_of(assert_finished, deploy(source).invoke_async().wait())

    assert (
        "likely cause: C code called at index.py:6 crashed, and the process was killed by SIGSEGV (signal 11): " in text
    )
    assert "what to do" not in text
    assert "line 6 in main_handler" in text
    assert "pytest_scf_async" not in text


SLEEPS = "import time\n\ndef main_handler(event, context):\n    time.sleep(3600)\n"


def test_a_sync_function_that_needs_more_time_becomes_an_async_one(deploy) -> None:
    with pytest.raises(HandlerError, match=r"set timeout= \(at most 900 s for a sync function\); for longer work, "):
        deploy(SLEEPS, async_run=False).run()
    with pytest.raises(
        HandlerError, match=r"remove async_run=False \(an async function may run for up to 86,400 s\), or make"
    ):
        deploy(SLEEPS, async_run=False, timeout=900).run()

    deploy(SLEEPS).run()


STOPS = """
import signal, time

stop = []

def on_sigterm(signum, frame):
    BODY

def main_handler(event, context):
    signal.signal(signal.SIGTERM, HANDLER)
    for row in range(100):
        if stop:
            return "stopped"
        time.sleep(1)
"""


def stopped(deploy, body: str, handler: str = "on_sigterm") -> AsyncEvent:
    event = deploy(STOPS.replace("BODY", body).replace("HANDLER", handler)).invoke_async().settle()
    event.terminate(grace_shutdown=True)
    return event.wait()


@pytest.mark.parametrize(
    ("body", "handler", "advice"),
    [
        ("raise RuntimeError", "on_sigterm", "do not raise in the SIGTERM handler: set a flag there, check it in"),
        ("pass", "on_sigterm", "set a flag in the SIGTERM handler, check it in the work after each wait, and"),
        ("pass", "signal.SIG_IGN", "replace signal.SIG_IGN with a handler in the signal.signal call for SIGTERM"),
    ],
    ids=["raises", "goes on", "ignored"],
)
def test_a_handler_of_sigterm_sets_a_flag(deploy, body: str, handler: str, advice: str) -> None:
    event = stopped(deploy, body, handler)
    check, arguments = (assert_stopped_within, [30]) if body == "pass" else (assert_signal_handled, [])
    assert f"what to do: {advice}" in refusal_of(check, event, *arguments)

    followed = stopped(deploy, "stop.append(signum)")

    assert_signal_handled(followed)
    assert_stopped_within(followed, 30)
    assert_finished(followed, "stopped")


def test_a_coroutine_that_a_handler_returns_leaves_no_warning_of_ours(deploy) -> None:
    event = deploy("async def main_handler(event, context): ...").invoke_async().wait()
    text = refusal_of(assert_finished, event)
    assert "what to do: make the handler a plain function that calls asyncio.run(...)" in text
    assert "RuntimeWarning" not in str(event.log)


REPLACES = """
import faulthandler, signal, time

def main_handler(event, context):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append("stop"))
    faulthandler.register(signal.SIGTERM)
    for _ in range(3):
        time.sleep(1)
        if stop:
            break
    return stop
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("faulthandler.register(signal.SIGTERM)", "faulthandler.register(signal.SIGTERM, chain=True)"),
        ("    stop = []\n", "    stop = []\n    faulthandler.register(signal.SIGTERM)\n"),
        (
            "faulthandler.register(signal.SIGTERM)",
            "faulthandler.register(signal.SIGTERM); faulthandler.unregister(signal.SIGTERM)",
        ),
    ],
    ids=["chained", "registered before", "unregistered"],
)
def test_faulthandler_lets_the_handler_of_python_be_called(runtime, deploy, before: str, after: str) -> None:
    def stopped(source: str) -> AsyncEvent:
        event = deploy(source).invoke_async()
        runtime.clock.advance(1.5)
        event.terminate(grace_shutdown=True)
        return event.wait()

    text = refusal_of(assert_signal_handled, stopped(REPLACES))
    assert (
        "likely cause: SIGTERM arrived 1.5 s after the start; code outside Python (faulthandler.register) had replaced "
        "the handler installed with signal.signal, and caught it\n" in text
    )
    assert "what to do: call faulthandler.register for SIGTERM with chain=True, or before signal.signal" in text
    assert "+0 s  signal    code outside Python replaced user code's SIGTERM handler" in text

    source = REPLACES.replace(before, after)
    if "    stop = []\n    fault" in after:
        source = source.replace('append("stop"))\n    faulthandler.register(signal.SIGTERM)\n', 'append("stop"))\n')
    event = stopped(source)
    assert_signal_handled(event)
    assert_finished(event, ["stop"])


@pytest.mark.parametrize("packed", [False, True], ids=["directory", "zip"])
def test_a_layer_has_its_modules_at_its_root(runtime, tmp_path: Path, deploy, packed: bool) -> None:
    layer = tmp_path / ("layer.zip" if packed else "layer")
    if packed:
        with zipfile.ZipFile(layer, "w") as archive:
            archive.writestr("python/lib/python3.10/site-packages/rows_of_export/__init__.py", "ROWS = 3\n")
    else:
        (layer / "python" / "rows_of_export").mkdir(parents=True)
        (layer / "python" / "rows_of_export" / "__init__.py").write_text("ROWS = 3\n", encoding="utf-8")

    def deployed() -> AsyncEvent:
        return deploy(IMPORTS_ROWS, layers=[layer]).invoke_async().wait()

    text = refusal_of(assert_finished, deployed())
    assert ": SCF unpacks a layer into /opt as it is, and Python looks for modules in /opt itself\n" in text
    if packed:
        below = re.search(
            rf"what to do: repack {layer}, so that rows_of_export is at the root of the layer and not in (\S+)/: ", text
        )[1]
        with zipfile.ZipFile(layer) as archive:
            files = {name.removeprefix(f"{below}/"): archive.read(name) for name in archive.namelist()}
        layer = tmp_path / "layer-2.zip"
        with zipfile.ZipFile(layer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        layer = Path(re.search(r"what to do: name (\S+) in layers=, so that rows_of_export is at the root ", text)[1])

    assert_finished(deployed(), 3)


def test_a_payload_that_was_not_given_is_passed(deploy) -> None:
    function = deploy("def main_handler(event, context):\n    return event['rows']\n")
    text = refusal_of(assert_finished, function.invoke_async().wait())
    assert (
        "what to do: if 'rows' should come from the payload, pass one: the event was invoked without a payload, so "
        "the handler gets {}; use invoke_async({'rows': ...}), or payload= of the scf_function marker\n" in text
    )

    assert_finished(function.invoke_async({"rows": 5}).wait(), 5)
    assert "pass a payload" not in refusal_of(assert_finished, function.invoke_async({"row": 5}).wait())


@pytest.mark.parametrize("call", ["invoke_async", "wait", "settle"])
def test_an_event_is_not_awaited(deploy, call: str) -> None:
    event = deploy("def main_handler(event, context):\n    return 5\n").invoke_async()

    async def awaits() -> None:
        await (event if call == "invoke_async" else getattr(event, call)())

    with pytest.raises(
        ScfUsageError, match=r"was awaited: invoke_async\(\), wait\(\) and the other calls block; remove `await`$"
    ):
        asyncio.run(awaits())

    async def calls() -> None:
        assert_finished(event.wait(), 5)

    asyncio.run(calls())


COMPUTES_IN_C = """
import collections, resource

def main_handler(event, context):
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    ends = iter(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime - used > 0.5, True)
    collections.deque(ends, maxlen=0)
"""


def test_a_long_call_in_c_has_a_longer_real_timeout(make_runtime, deploy) -> None:
    impatient = deploy(COMPUTES_IN_C, to=make_runtime(real_timeout=0.1)).invoke_async()
    with pytest.raises(CannotEndError, match=r"(?m)^What to do: it computes without a wait: raise real_timeout \("):
        impatient.wait()

    assert_finished(deploy(COMPUTES_IN_C, to=make_runtime(real_timeout=LONG)).invoke_async().wait())


def test_computing_for_ever_has_time_pass_or_its_timeout(make_runtime, deploy) -> None:
    source = "def main_handler(event, context):\n    print('begins')\n    while True: pass\n"
    runtime = make_runtime(compute_grace=0.05)
    event = deploy(source, to=runtime, timeout=60).invoke_async().wait_for_log("begins")
    grow_impatient(runtime)
    with pytest.raises(CannotEndError) as caught:
        runtime.clock.advance(10)
    text = str(caught.value)
    assert "deploy(..., compute_rate=1.0) lets time pass while it computes; scf_clock.advance(60) takes it to" in text

    runtime.clock.advance(60)
    assert_timed_out(event)
    event = deploy(source, to=make_runtime(real_timeout=2), timeout=60, compute_rate=100.0).invoke_async()
    assert_timed_out(event.wait())


EXITS = """
import os, sys

def check():
    if "ROWS" not in os.environ:
        sys.exit("ROWS is not set")

check()

def main_handler(event, context):
    return "exported"
"""


def test_a_module_that_exits_checks_in_the_function(deploy) -> None:
    text = refusal_of(assert_finished, deploy(EXITS).invoke_async().wait())
    assert (
        "likely cause: the process ended by itself while the module was being imported (exit code 1): the platform"
        in text
    )
    assert (
        "what to do: check this in the function, and return or raise there: sys.exit() in an import ends the process\n"
        in text
    )

    followed = EXITS.replace("\ncheck()\n", "").replace("        sys.exit(", "        raise RuntimeError(")
    followed = followed.replace('    return "exp', '    check()\n    return "exp')
    text = refusal_of(assert_finished, deploy(followed).invoke_async().wait())
    assert "likely cause: the function raised RuntimeError: ROWS is not set\n" in text
    assert_finished(deploy(followed, environment={"ROWS": "5"}).invoke_async().wait(), "exported")


def test_what_is_to_be_stopped_has_not_ended(deploy) -> None:
    function = deploy(STOPS.replace("BODY", "stop.append(signum)").replace("HANDLER", "on_sigterm"))
    with pytest.raises(
        ScfApiError,
        match=r"\(it ended 100 s after its start: its function returned; call a gate earlier, such as wait_for_l",
    ):
        function.invoke_async().wait().stop()

    assert_finished(function.invoke_async().wait_until_listening().stop(), "stopped")


def test_that_it_has_failed_is_said_first(deploy) -> None:
    function = deploy("def main_handler(event, context):\n    return event['rows']\n")
    failed = function.invoke_async()
    for _ in range(2):  # before its first wait, and later
        with pytest.raises(
            ScfApiError,
            match=r"\(it ended 0 s after its start: the function raised KeyError: 'rows'; if 'rows' should come from "
            r"the payload, ",
        ):
            failed.stop()
    aborted = function.invoke_async()
    aborted.terminate(when="now")
    with pytest.raises(ScfApiError, match=r"terminate\(\) ended it by force, .*; call assert_terminated\(event\) if"):
        aborted.stop()


BINDS = """
import socket

def main_handler(event, context):
    with socket.create_server(("127.0.0.1", event)):
        return "served"
"""


def test_an_address_that_is_taken_is_freed_or_another_one_is_used(deploy) -> None:
    function = deploy(BINDS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = refusal_of(assert_finished, function.invoke_async(port).wait())
        assert "likely cause: the function raised OSError: [Errno 98] Address already in use" in text
        assert "what to do: stop what already listens at that address (another server of the function or of the" in text
        assert "or listen on another port: port 0 picks a free one\n" in text

        assert_finished(function.invoke_async(0).wait(), "served")
    assert_finished(function.invoke_async(port).wait(), "served")


BINDS_TWICE = """
import socket
servers = [socket.create_server(("0.0.0.0", 9000)) for _ in range(2)]
"""


@pytest.mark.parametrize(
    "command", [("python", "app.py"), ("sh", "-c", "echo listen tcp: Address already in use; exit 1")]
)
def test_of_a_program_that_says_so_in_any_language(deploy_traced, command: tuple[str, ...]) -> None:
    event = deploy_traced(BINDS_TWICE, command=command).invoke_async().wait()
    assert "what to do: stop what already listens at that address" in refusal_of(assert_finished, event)


POOLED = """
import signal, time
from concurrent.futures import ThreadPoolExecutor

stop = []

def main_handler(event, context):
    signal.signal(signal.SIGTERM, lambda *_: stop.append("stop"))
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            if stop:
                break
            pool.submit(time.sleep, 10)
            time.sleep(1)
    return "stopped"
"""


def test_a_pool_whose_end_waits_for_its_tasks_is_left_without_them(runtime, deploy) -> None:
    event = deploy(POOLED).invoke_async().wait_until_listening()
    runtime.clock.advance(10.5)
    with pytest.raises(AssertionError) as caught:
        event.stop(within=12)
    text = str(caught.value)
    assert re.search(
        r"likely cause: the SIGTERM handler returned, and the event ended 49\.5 s after SIGTERM: until then it waited "
        r"in `sleep\(1\)` on index\.py:14 and in `concurrent\.futures\._base\.__exit__` on index\.py:9\n"
        r"what to do: end the pool with shutdown\(cancel_futures=True\), and have its tasks check the flag: ",
        text,
    ), text

    followed = POOLED.replace(
        "                break", "                pool.shutdown(cancel_futures=True)\n                break"
    )
    event = deploy(followed).invoke_async().wait_until_listening()
    runtime.clock.advance(10.5)
    assert_finished(event.stop(within=12), "stopped")


def test_a_key_that_the_payload_has_by_another_name_is_passed(deploy) -> None:
    function = deploy("def main_handler(event, context):\n    return event['parts']\n")
    text = refusal_of(assert_finished, function.invoke_async({"part": 2}).wait())
    assert "what to do: if the handler reads 'parts' from the payload, pass it there: the payload has 'part'\n" in text
    assert "the payload has" not in refusal_of(assert_finished, function.invoke_async({"rows": 2}).wait())

    assert_finished(function.invoke_async({"parts": 2}).wait(), 2)


def test_the_event_of_a_runtime_that_a_fixture_returns_runs_before_that_is_closed(make_runtime, tmp_path: Path) -> None:
    (tmp_path / "index.py").write_text("def main_handler(event, context):\n    return 1\n", encoding="utf-8")
    with make_runtime() as runtime:
        function = runtime.deploy(f"{tmp_path}/index.py:main_handler")
        assert_finished(function.invoke_async().wait(), 1)
    yields = (
        r"function 'index': the runtime is closed, .* \(a fixture yields the runtime within the block\), or make the"
    )
    with pytest.raises(ScfUsageError, match=yields):
        function.invoke_async()


def test_an_event_is_terminated_before_it_has_ended(deploy, runtime) -> None:
    function = deploy("import time\ndef main_handler(event, context):\n    time.sleep(9)\n")
    text = refusal_of(assert_terminated, function.invoke_async().wait())
    assert "; terminate() without it forces the end (ABORTED, no" in text

    event = function.invoke_async()
    runtime.clock.advance(1)
    event.terminate()
    assert_terminated(event)


PROCESSES = """
import multiprocessing, signal, time
from concurrent.futures import ProcessPoolExecutor

stop = []

def main_handler(event, context):
    signal.signal(signal.SIGTERM, lambda *_: stop.append("stop"))
    with POOL as pool:
        for _ in range(20):
            if stop:
                break
            pool.TASK
            time.sleep(1)
        END
    return "stopped"
"""
ENDS_OF_POOLS = {
    "pass": "pool.shutdown(cancel_futures=True)",
    "pool.close(); pool.join()": "pool.terminate()",
}
POOL = "multiprocessing.Pool(2, initializer=signal.signal, initargs=(signal.SIGTERM, signal.SIG_DFL))"


@pytest.mark.parametrize("end", ENDS_OF_POOLS)
def test_a_pool_of_simulated_processes_is_left_without_its_tasks(runtime, deploy, end: str) -> None:
    source = PROCESSES.replace("POOL", "ProcessPoolExecutor(2)").replace("TASK", "submit(time.sleep, 10)")
    if end != "pass":
        source = PROCESSES.replace("POOL", POOL).replace("TASK", "apply_async(time.sleep, (10,))")
    event = deploy(source.replace("END", end), children="simulated").invoke_async().wait_until_listening()
    runtime.clock.advance(10.5)
    with pytest.raises(AssertionError) as caught:
        event.stop(within=31)
    text = str(caught.value)
    assert re.search(r"likely cause: the SIGTERM handler returned, and the event ended \S+ s after SIGTERM\n", text)
    assert "; end a process pool with shutdown(cancel_futures=True): it waits for all its tasks otherwise\n" in text

    followed = source.replace("END", ENDS_OF_POOLS[end])
    event = deploy(followed, children="simulated").invoke_async().wait_until_listening()
    runtime.clock.advance(10.5)
    assert_finished(event.stop(within=31), "stopped")


CROSSWISE = """
import asyncio

async def takes(first, second):
    async with first:
        await asyncio.sleep(1)
        async with second:
            return "both"

async def main():
    one, other = asyncio.Lock(), asyncio.Lock()
    given = {"here": (one, other), "there": ORDER}
    if not hasattr(asyncio, "TaskGroup"):
        return await asyncio.gather(*(asyncio.create_task(takes(*locks), name=name) for name, locks in given.items()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(takes(*locks), name=name) for name, locks in given.items()]
    return [task.result() for task in tasks]

def main_handler(event, context):
    return asyncio.run(main())
"""


def test_tasks_that_wait_for_each_other_are_named_with_what_they_await(deploy) -> None:
    event = deploy(CROSSWISE.replace("ORDER", "(other, one)"), timeout=60).invoke_async().wait()
    text = refusal_of(assert_finished, event)
    assert (
        "likely cause: task here was stuck at `await Lock.acquire` on index.py:7 (held by task there at index.py:7) "
        "and task there at `await Lock.acquire` on index.py:7 (held by task here at index.py:7) until the 60 s timeout"
        in text
    )
    assert (
        "what to do: have the thread or task that holds this lock release it (`with lock:`, `async with lock:`)" in text
    )
    assert ", and acquire several locks in the same order everywhere\n" in text

    assert_finished(deploy(CROSSWISE.replace("ORDER", "(one, other)"), timeout=60).invoke_async().wait(), ["both"] * 2)


HOLDERS = """
import asyncio

async def takes(lock):
    async with lock:
        return "taken"

async def waits(lock):
    async with lock:
        await asyncio.Event().wait()

async def notified(condition):
    async with condition:
        await condition.wait()

async def notifies(lock, condition):
    async with condition:
        condition.notify()
        async with lock:
            pass

async def rows(lock):
    async with lock:
        yield "row"
        await asyncio.create_task(takes(lock), name="row")

async def reads(lock):
    async for _ in rows(lock):
        pass

class Guard:
    def __init__(self, lock):
        self.lock = lock

    async def __aenter__(self):
        async with self.lock:
            await asyncio.create_task(takes(self.lock), name="guard")

    async def __aexit__(self, *_):
        pass

async def guarded(lock):
    async with Guard(lock):
        pass

async def forks(lock):
    async with lock:
        await asyncio.sleep(0)
        async with lock:
            pass

async def main(lock):
    BODY

def main_handler(event, context):
    return asyncio.run(main(asyncio.Lock()))
"""
HELD = {
    "await lock.acquire(); await takes(lock)": (
        "Task-1 was stuck at `await Lock.acquire` on index.py:5 (which no task holds in an `async with`)"
    ),
    "async with lock: await takes(lock)": (
        "Task-1 was stuck at `await Lock.acquire` on index.py:5 (held by itself at index.py:53)"
    ),
    "async with lock: await asyncio.create_task(takes(lock), name='row')": (
        "task row was stuck at `await Lock.acquire` on index.py:5 (held by Task-1 at index.py:53)"
    ),
    "await reads(lock)": "task row was stuck at `await Lock.acquire` on index.py:5 (held by Task-1 at index.py:25)",
    "await guarded(lock)": "task guard was stuck at `await Lock.acquire` on index.py:5 (held by Task-1 at index.py:37)",
    "one = asyncio.create_task(waits(lock), name='one'); await asyncio.sleep(1); await takes(lock)": (
        "task one was stuck at `await Event.wait` on index.py:10 and Task-1 at `await Lock.acquire` on index.py:5 "
        "(held by task one at index.py:10)"
    ),
    "condition = asyncio.Condition(lock); one = asyncio.create_task(notified(condition), name='one'); "
    "await asyncio.sleep(1); await notifies(lock, condition)": (
        "on index.py:14 (held by Task-1 at index.py:19) and Task-1 at `await Lock.acquire` on index.py:19 (held by "
        "itself at index.py:19)"
    ),
    "lock = asyncio.Semaphore(3); held = [asyncio.create_task(takes(lock), name=f'n{n}') for n in range(5)]; "
    "[await lock.acquire() for _ in range(3)]; await asyncio.gather(*held)": (
        "task n0 and task n1 were stuck at `await Semaphore.acquire` on index.py:5 (which no task holds in an `async "
        "with`), as were 3 more tasks,"
    ),
    "lock = asyncio.Semaphore(3); [asyncio.create_task(forks(lock), name=f'n{n}') for n in range(3)]; "
    "await asyncio.sleep(1); await takes(lock)": (
        "at `await Semaphore.acquire` on index.py:49 (held by itself at index.py:49, task n0 at index.py:49 and 1 "
        "more), as were 2 more tasks,"
    ),
    "lock = asyncio.BoundedSemaphore(2); await lock.acquire(); one = asyncio.create_task(waits(lock), name='one'); "
    "await asyncio.sleep(1); await takes(lock)": (
        " and Task-1 at `await BoundedSemaphore.acquire` on index.py:5 (held by task one at index.py:10)"
    ),
}
ENDERS = {
    "Event.wait": ("asyncio.Event()", "await shared.wait()", "shared.set()"),
    "Queue.get": ("asyncio.Queue()", "await shared.get()", "shared.put_nowait(1)"),
    "Queue.put": ("asyncio.PriorityQueue(1); shared.put_nowait(1)", "await shared.put(2)", "await shared.get()"),
    "Queue.join": ("asyncio.Queue(); shared.put_nowait(1)", "await shared.join()", "shared.task_done()"),
    "Condition.wait": (
        "asyncio.Condition(); held = contextlib.AsyncExitStack(); await held.enter_async_context(shared)",
        "await shared.wait()",
        "shared.notify_all()",
    ),
    "": ("asyncio.get_running_loop().create_future()", "await shared", "shared.set_result(1)"),
}
"""By a wait of asyncio's: what makes the object, what waits, and what ends that."""
ENDED_BY_ANOTHER = """
import asyncio, contextlib

class Work:
    async def waits(self):
        shared = self.shared
        WAITS

    async def ends(self):
        HAS
        await asyncio.Event().wait()
        ENDS

    @staticmethod
    async def looks_on():
        await asyncio.Queue().get()

    async def main(self):
        shared = MADE
        self.shared = shared
        names = "waits", "ends", *["looks_on"] * OTHERS
        others = [asyncio.create_task(getattr(self, name)(), name=f"T-{at}") for at, name in enumerate(names)]
        await asyncio.wait(others)

def main_handler(event, context):
    return asyncio.run(Work().main())
"""


HAS = {
    "a local variable": "shared = self.shared",
    "an attribute": "it = self",
    "a variable around it": "shared = self.shared; hold = lambda: shared",
    "a global": "global shared; shared = self.shared",
}
"""What `ends` begins with: how it has the object."""


@pytest.mark.parametrize(
    ("call", "others", "has"),
    [
        *((each, number, "a local variable") for each in ENDERS for number in (0, 3) if each or not number),
        *(("Event.wait", 0, has) for has in HAS),
    ],
)
def test_who_can_end_what_a_task_waits_for_is_named_with_its_place(deploy, call: str, others: int, has: str) -> None:
    made, waits, ends = ENDERS[call]
    source = ENDED_BY_ANOTHER.replace("MADE", made).replace("WAITS", waits).replace("HAS", HAS[has])
    source = source.replace("ENDS", f"it.{ends}" if has == "an attribute" else ends)
    event = deploy(source.replace("OTHERS", str(others)), timeout=60).invoke_async().wait()
    text = refusal_of(assert_finished, event)
    assert "on index.py:7 (which task T-1 at index.py:11 can end) and task T-1 at `await Event.wait`" in text


def test_what_a_task_has_is_not_kept_alive_by_that(deploy) -> None:
    source = """
import asyncio

class Row:
    def __del__(self):
        print("gone", flush=True)

async def ends(shared):
    row = Row()
    await asyncio.get_running_loop().run_in_executor(None, int)
    del row
    print("deleted", flush=True)
    shared.set()

async def waits(shared):
    await shared.wait()

async def main():
    shared = asyncio.Event()
    await asyncio.gather(ends(shared), waits(shared))

def main_handler(event, context):
    return asyncio.run(main())
"""
    event = deploy(source).invoke_async().wait()
    assert_finished(event)
    assert "(up to Task-2 at index.py:10)" in event.timeline
    assert [line.text for line in event.log if line.source == "Custom"][-2:] == ["gone", "deleted"]


@pytest.mark.parametrize("body", HELD)
def test_who_has_the_lock_that_a_task_waits_for_is_named_with_its_place(deploy, body: str) -> None:
    event = deploy(HOLDERS.replace("BODY", body), timeout=60).invoke_async().wait()
    assert f"{HELD[body]} until the 60 s timeout" in refusal_of(assert_finished, event)
