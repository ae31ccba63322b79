"""Modules of the standard library that an entry module begins with are imported once for all instances, unseen."""

from __future__ import annotations

import colorsys
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from internals import ahead, close_shared_zygote, shared_zygote

# Their modules are some that freezegun does not import, which zygotes have where there is no clock page.
# interpreter: what the standard library does as it is imported differs between Pythons
pytestmark = [pytest.mark.interpreter, pytest.mark.sandbox]

LOOKS = '''
    """What the file says of itself."""

    from __future__ import annotations

    import graphlib
    import random, time
    from xml.etree import ElementTree

    IN_EACH = "made once user code runs"

    def main_handler(event, context):
        import gc, os, sys
        fresh = {id(each) for each in gc.get_objects()}
        return {
            "own": id(globals()) in fresh,
            "fresh": [each.__name__ for each in (graphlib, random, ElementTree) if id(vars(each)) in fresh],
            "known": sorted(name for name in ("colorsys", "graphlib", "random") if name in sys.modules),
            "drawn": random.random(),
            "pid": os.getpid(),
        }
'''

IMPORTS_NAMES = """
    import graphlib, sys
    {before}
    import colorsys

    def main_handler(event, context):
        return colorsys.__file__, "sched" in sys.modules, "email.message" in sys.modules
"""


@pytest.fixture
def new_zygote() -> None:
    """A zygote keeps four sets of modules; one that other tests have used may have four already."""
    close_shared_zygote()


def test_each_instance_finds_them_imported(deploy, make_runtime, tmp_path, new_zygote) -> None:
    """A collection of garbage does not visit what the zygote had, only what an instance has made."""
    deploy(LOOKS, to=make_runtime()).run()  # its process may have been forked before anything of this file was known
    found = [make_runtime().deploy(tmp_path / "code1" / "index.py:main_handler").run() for _ in range(2)]

    assert [each["fresh"] for each in found] == [[], []]
    assert [each["own"] for each in found] == [True, True]
    assert [each["known"] for each in found] == [["graphlib", "random"]] * 2
    assert found[0]["pid"] != found[1]["pid"]
    assert found[0]["drawn"] != found[1]["drawn"]  # a fork has a state of its own


def test_they_are_imported_for_code_that_the_mounts_of_the_last_instance_hide(make_runtime, new_zygote) -> None:
    """The zygote stays where it has forked the last instance, and ``/tmp`` is that instance's own there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as hidden, tempfile.TemporaryDirectory(dir="/tmp") as other:
        for directory, source in (other, "def main_handler(event, context): pass"), (hidden, LOOKS):
            Path(directory, "index.py").write_text(textwrap.dedent(source), encoding="utf-8")
        make_runtime().deploy(f"{other}/index.py:main_handler").run()
        found = [make_runtime().deploy(f"{hidden}/index.py:main_handler").run() for _ in range(3)]

    assert [each["fresh"] for each in found[1:]] == [[], []]  # as above: the first one may have been forked before


def test_a_fifth_set_is_left_to_the_instances(deploy, make_runtime, tmp_path, new_zygote) -> None:
    """Each set is in the memory of each instance, so a zygote keeps four: those of the first functions."""
    for name in ("bisect", "calendar", "glob", "shlex"):
        deploy(f"import {name}\ndef main_handler(event, context): pass", to=make_runtime()).run()

    deploy(LOOKS, to=make_runtime()).run()
    found = make_runtime().deploy(tmp_path / "code5" / "index.py:main_handler").run()

    assert found["fresh"] == ["graphlib", "random", "xml.etree.ElementTree"]


def test_what_one_function_imports_no_other_one_finds(deploy, make_runtime) -> None:
    deploy("import email.message, sched\ndef main_handler(event, context): pass", to=make_runtime()).run()

    path, *found = deploy(IMPORTS_NAMES.format(before=""), to=make_runtime()).run()

    assert found == [False, False]
    assert path == colorsys.__file__


@pytest.mark.parametrize("before", ["", "sys.path.insert(0, __file__.rpartition('/')[0] + '/vendor')"])
@pytest.mark.parametrize("again", [False, True], ids=["new", "imported before"])
def test_a_module_of_the_functions_own_is_the_one_that_it_gets(deploy, make_runtime, tmp_path, before, again) -> None:
    """In the code directory, or in a directory that the module itself adds to ``sys.path`` before."""
    if again:
        deploy("import colorsys, graphlib\ndef main_handler(event, context): pass", to=make_runtime()).run()
    function = deploy(IMPORTS_NAMES.format(before=before), to=make_runtime())
    code = tmp_path / f"code{1 + again}"
    own = code / "vendor" if before else code
    own.mkdir(exist_ok=True)
    (own / "colorsys.py").write_text("")

    assert function.run()[0] == str(own / "colorsys.py")


def test_a_module_of_the_test_environment_is_neither_imported_ahead_nor_hidden(
    deploy, make_runtime, tmp_path, monkeypatch
) -> None:
    """In PYTHONPATH, which comes before the standard library: in the test's process and in instances."""
    (tmp_path / "colorsys.py").write_text(
        "import os, sys\nsys.imported_in = [*getattr(sys, 'imported_in', ()), os.getpid()]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = shared_zygote()
    try:
        runtime = make_runtime(preload=["graphlib"])  # a zygote of its own, with that environment
        source = """
            import colorsys, os, sys
            def main_handler(event, context):
                return [each - os.getpid() for each in sys.imported_in]
        """
        found = [deploy(source, to=runtime).run() for _ in range(2)]
    finally:
        close_shared_zygote()

    assert found == [[0], [0]]
    assert not before.alive


def test_a_file_that_has_changed_gets_what_it_imports_now(deploy, make_runtime, tmp_path) -> None:
    runtime = make_runtime()
    function = deploy("import graphlib\ndef main_handler(event, context): pass", to=runtime)
    function.run()
    runtime.clock.advance(300)
    (tmp_path / "code1" / "index.py").write_text(
        "import sys\ndef main_handler(event, context): return 'graphlib' in sys.modules\n"
    )

    assert function.run() is False


IMPORTS = """
import atexit, importlib, json, os, signal, sys, threading, time, warnings
seen = []
inside = False

def note(what):
    if inside:
        seen.append(what)

class Watched(type(os.environ)):
    def __getitem__(self, name):
        note(f"reads the variable {name}")
        return super().__getitem__(name)
    def __iter__(self):
        note("reads all variables")
        return super().__iter__()

os.environ.__class__ = Watched
for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "sleep"):
    def watched(*given, of=getattr(time, name), name=name):
        note(f"calls time.{name}")
        return of(*given)
    setattr(time, name, watched)

REFUSED = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "os.putenv", "_thread.",
           "os.mkdir", "os.remove", "tempfile.", "shutil.", "sqlite3.", "signal.")

def receive(event, given):
    if inside and event.startswith(REFUSED):
        note(f"{event} {given}")
    elif inside and event == "open" and (given[2] & 3 or not str(given[0]).endswith((".py", ".pyc"))):
        note(f"opens {given[0]}")

sys.addaudithook(receive)
import ctypes, logging, shutil, subprocess, uuid  # what the zygote has
handlers = {number: signal.getsignal(number) for number in range(1, 32)}

def state():
    return (threading.active_count(), atexit._ncallbacks(), len(threading._threading_atexits),
            len(sys.path_hooks), list(sys.meta_path), list(sys.path),
            list(warnings.filters), {number: signal.getsignal(number) for number in range(1, 32)}, os.getcwd())

before = state()
inside = True
importlib.import_module(sys.argv[1])
inside = False
if state() != before:
    seen.append("leaves something in the interpreter")
known = set(sys.modules)
seen += sorted(known & {"_ssl", "_hashlib", "_sqlite3", "asyncio", "multiprocessing", "zoneinfo"})
print(json.dumps(seen))
"""


def seen_of(name: str) -> list[str]:
    """What the import of the module *name* does in a new interpreter, beside making modules."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(IMPORTS), name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: list[str] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("name", sorted(ahead.AHEAD))
def test_its_import_does_nothing_that_instances_could_notice(name) -> None:
    assert seen_of(name) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("hashlib", "_hashlib"),
        ("zoneinfo", "PYTHONTZPATH"),
        ("concurrent.futures.thread", "leaves"),
        ("asyncio", "_ssl"),
    ],
)
def test_what_could_be_noticed_is_not_imported_ahead(name, what) -> None:
    assert name not in ahead.AHEAD
    assert what in " ".join(seen_of(name))
