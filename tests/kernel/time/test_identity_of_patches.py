"""To other code patched functions and types are what they replace: each patch of the registry beside its original.

What the patched interpreter of an instance reports of a function, a class or an instance of it is compared with what a
plain interpreter reports of the one that it has.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import identity
import pytest
from image_support import program
from process_support import LONG

pytestmark = pytest.mark.interpreter

HERE = Path(__file__).parent

WALK = """
    import json, sys
    sys.path.append({here!r})
    import identity
    from pytest_scf_async.python.patches.registry import PATCHES

    def walk():
        public = {{id(patch.replacement) for patch in PATCHES.values() if patch.imitates}}
        targets = [target for target, patch in PATCHES.items() if id(patch.replacement) in public]
        targets.append("threading.RLock")
        facts = identity.collect(targets)
        facts["pickles"] = identity.pickles(targets)
        facts["unreasoned"] = [target for target, patch in PATCHES.items() if not patch.why]
        facts["unregistered"] = identity.unregistered()
        with open({out!r}, "w") as file:
            json.dump(facts, file)
"""

MUST_BE_THERE = {
    *("threading.Lock", "threading.RLock", "os.fork", "os.system", "os.waitpid", "os.kill", "signal.pause"),
    *("signal.alarm", "signal.signal", "time.sleep", "time.monotonic", "select.select", "select.epoll"),
    *("queue.SimpleQueue", "threading.Thread.join", "socket.socket.connect", "_socket.getaddrinfo"),
}


def plain(asked: dict[str, Any]) -> Any:
    """What a plain interpreter reports."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "identity.py")],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONG,
    )
    return json.loads(run.stdout)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Facts that are not the same, one a line; a method that is written in C is compared as a method."""
    if "as a method" in ours and "type" not in theirs:
        ours = ours["as a method"]
    ours = {name: value for name, value in ours.items() if name != "as a method"}
    theirs = {name: value for name, value in theirs.items() if name != "as a method"}
    found = []
    for name, their in theirs.items():
        our = ours.get(name)
        if name == "methods":
            found += [
                f"{method}: {line}"
                for method, facts in their.items()
                for line in (differences(our[method], facts) if method in our else ["is missing"])
                if not (method == "__exit__" and line.startswith("signature"))  # it has other names on each Python
            ]
        elif name == "signature" and ": " in their and "Error" in their.partition(":")[0]:
            continue  # it has one that inspect cannot find
        elif our != their and not (name in ("copies", "deep copies") and our is None):
            found.append(f"{name}: {our!r}, not {their!r}")
    return found


def assert_identical(facts: dict[str, Any]) -> None:
    targets = facts["targets"]
    original = plain({"targets": list(targets), "pickles": facts["pickles"]})
    wrong = [
        f"{kind}{target}: {line}"
        for kind, group in (("", "targets"), ("an instance of ", "instances"))
        for target in facts[group]
        for line in differences(facts[group][target], original[group][target])
    ]
    assert not wrong, "\n".join(wrong)
    assert [target for target, same in original["pickles"].items() if not same] == []
    assert [target for target in original["picklable"] if target not in facts["pickles"]] == []
    assert facts["unreasoned"] == []
    assert not facts["unregistered"], "\n".join(facts["unregistered"])


def test_each_patch_of_a_handler_is_what_it_replaces(deploy, tmp_path: Path) -> None:
    out = tmp_path / "facts.json"
    source = WALK.format(here=str(HERE), out=str(out))
    event = deploy(source + "\n    def main_handler(event, context):\n        walk()\n").invoke_async()

    event.wait()

    assert event.status == "FINISHED", str(event.log)
    facts = json.loads(out.read_text())
    assert facts["targets"].keys() >= MUST_BE_THERE
    assert_identical(facts)


def test_each_patch_of_an_instance_with_a_gate_at_a_line_is_what_it_replaces(deploy, tmp_path: Path) -> None:
    out = tmp_path / "facts.json"
    source = WALK.format(here=str(HERE), out=str(out)) + "\n    def main_handler(event, context):\n        walk()\n"
    event = deploy(source).invoke_async().run_to("walk")

    event.wait()

    assert event.status == "FINISHED", str(event.log)
    facts = json.loads(out.read_text())
    if sys.version_info < (3, 12):
        assert {"sys.settrace", "sys.gettrace", "threading.settrace"} <= facts["targets"].keys()
    assert_identical(facts)


def test_each_patch_of_an_images_program_is_what_it_replaces(deploy_in_process, tmp_path: Path) -> None:
    out = tmp_path / "facts.json"
    walk = textwrap.dedent(WALK.format(here=str(HERE), out=str(out)))
    event = deploy_in_process(program(walk + "\ndef handle(event, request):\n    walk()\n")).invoke_async()

    event.wait()

    facts = json.loads(out.read_text())
    assert_identical(facts)


def test_patched_functions_and_locks_go_to_processes_without_patches(deploy) -> None:
    event = deploy(
        """
        import multiprocessing, os, pickle, signal, threading

        def main_handler(event, context):
            found = {}
            for method in ("spawn", "forkserver"):
                context = multiprocessing.get_context(method)
                with context.Pool(2) as pool:
                    statuses = pool.map(os.system, ["true", "false"])
                    others = pool.map(callable, [os.fork, os.waitpid, signal.alarm, threading.Lock, threading.RLock])
                with context.Manager() as manager:
                    lock, queue = manager.Lock(), manager.Queue()
                    with lock:
                        queue.put(manager.dict(key="value")["key"])
                    found[method] = [[os.WEXITSTATUS(status) for status in statuses], others, queue.get(timeout=100)]
            return found
        """
    ).invoke_async()

    event.wait()

    assert event.status == "FINISHED", str(event.log)
    each = [[0, 1], [True] * 5, "value"]
    assert event.result == {"spawn": each, "forkserver": each}


def test_a_patched_function_is_no_method_of_a_class_that_has_it(deploy) -> None:
    event = deploy(
        """
        import os, queue, select, signal, time, threading

        class Tools:
            fork = os.fork
            sleep = time.sleep
            pause = signal.pause
            select = select.select
            now = time.time
            make_lock = threading.Lock

        def main_handler(event, context):
            tools = Tools()
            tools.sleep(5)
            with tools.make_lock():
                tools.select([], [], [], 0)
            return tools.now() - tools.now()
        """
    ).invoke_async()

    event.wait()

    assert (event.status, event.duration.total_seconds()) == ("FINISHED", 5)


def test_calls_that_write_and_read_refuse_in_the_words_of_the_originals(deploy) -> None:
    handler = f"""
        import sys
        sys.path.append({str(HERE)!r})
        import identity

        def main_handler(event, context):
            return identity.refusals()
    """

    assert deploy(textwrap.dedent(handler)).run() == identity.refusals()
