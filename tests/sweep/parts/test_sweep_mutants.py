"""The mutants of a handler's shutdown code: which breaks there are, and that nothing else of the source changes."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

import pytest

from pytest_scf_async.sweep.mutants import Mutant, mutants

# once: a source and its tree; no process
pytestmark = pytest.mark.interpreter

HANDLERS = sorted((Path(__file__).parents[1] / "seeded").rglob("*.py"), key=lambda path: path.stem)


def made(source: str) -> list[Mutant]:
    return mutants(textwrap.dedent(source).lstrip("\n"), "export.py")


def of_kind(kind: str, source: str) -> list[Mutant]:
    return [mutant for mutant in made(source) if mutant.kind == kind]


def lines(source: str) -> list[str]:
    return textwrap.dedent(source).lstrip("\n").split("\n")


def changed(source: str, mutant: Mutant) -> dict[int, str]:
    """The lines that the mutant has and the source has not, by their number."""
    before, after = lines(source), mutant.source.split("\n")
    assert len(before) <= len(after) <= len(before) + 1  # one more only at the end
    return {
        number: line.strip()
        for number, line in enumerate(after, 1)
        if number > len(before) or line != before[number - 1]
    }


# -- the listener removed ----------------------------------------------------------------------------------------------

REMOVED = {
    "a call": ("signal.signal(signal.SIGTERM, stop)", {1: "pass"}),
    "a name": ("signal(SIGTERM, stop)", {1: "pass"}),
    "of several lines": ("signal.signal(\n    signal.SIGTERM,\n    stop,\n)", {1: "pass", 2: "", 3: "", 4: ""}),
    "with a semicolon": ("signal.signal(\n    SIGTERM, stop); work()", {1: "\\", 2: "pass; work()"}),
    "behind other text": ("ä = 'ä'; signal.signal(SIGTERM, stop)  # ä", {1: "ä = 'ä'; pass  # ä"}),
    "in one line with if": ("if main: signal.signal(SIGTERM, stop)", {1: "if main: pass"}),
    "whose value is used": (
        "before = signal.signal(signal.SIGTERM, stop)",
        {1: 'before = __import__("signal").getsignal(signal.SIGTERM)'},
    ),
    "of a loop": ("loop.add_signal_handler(signal.SIGTERM, stop)", {1: "pass"}),
    "of a loop, with arguments": ("loop.add_signal_handler(SIGTERM, task.cancel, 'SIGTERM')", {1: "pass"}),
    "of several signals": (
        "for each in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(each, stop)",
        {2: "pass"},
    ),
}


@pytest.mark.parametrize(("source", "expected"), REMOVED.values(), ids=REMOVED)
def test_the_registration_is_left_out(source: str, expected: dict[int, str]) -> None:
    (mutant,) = of_kind("listener removed", source)

    assert changed(source, mutant) == expected
    assert mutant.file == "export.py"


NO_LISTENER = {
    "nothing": "def main_handler(event, context):\n    return event",
    "another signal": "signal.signal(signal.SIGINT, stop)",
    "other signals": "for each in (signal.SIGINT, signal.SIGHUP):\n    signal.signal(each, stop)",
    "the default": "signal.signal(signal.SIGTERM, signal.SIG_DFL)",
    "ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the one before": "before = signal.getsignal(signal.SIGTERM)\nsignal.signal(signal.SIGTERM, before)",
    "a question": "signal.getsignal(signal.SIGTERM)",
    "no Python": "def main_handler(:",
    "a null byte": "\0",
    "empty": "",
}


@pytest.mark.parametrize("source", NO_LISTENER.values(), ids=NO_LISTENER)
def test_code_without_a_listener_has_no_mutants(source: str) -> None:
    assert made(source) == []


# -- registered late ---------------------------------------------------------------------------------------------------


def late(end: str) -> str:
    beginning = "def main_handler(event, context):\n    signal.signal(SIGTERM, stop)\n    work()\n"
    return f"{beginning}{textwrap.indent(end, '    ')}"


LATE = {
    "before return": ("return done", {2: "pass", 4: "signal.signal(SIGTERM, stop); return done"}),
    "before raise": ("raise Done", {2: "pass", 4: "signal.signal(SIGTERM, stop); raise Done"}),
    "behind a statement": ("work()  # more", {2: "pass", 4: "work(); signal.signal(SIGTERM, stop)  # more"}),
    "behind a statement of several lines": (
        "work(\n    1,\n)",
        {2: "pass", 6: "); signal.signal(SIGTERM, stop)"},
    ),
    "behind a loop at the end of the file": (
        "for each in jobs:\n    work(each)",
        {2: "pass", 6: "signal.signal(SIGTERM, stop)"},
    ),
    "behind a loop": (
        "for each in jobs:\n    work(each)\n\nmore = 1",
        {2: "pass", 7: "more = 1; signal.signal(SIGTERM, stop)"},
    ),
    "in place of a comment": (
        "with lock:\n    work()\n# that is all\n\n",
        {2: "pass", 6: "signal.signal(SIGTERM, stop)"},
    ),
}


@pytest.mark.parametrize(("end", "expected"), LATE.values(), ids=LATE)
def test_the_registration_moves_to_the_end_of_its_function(end: str, expected: dict[int, str]) -> None:
    (mutant,) = of_kind("registered late", late(end))

    assert changed(late(end), mutant) == expected
    assert (mutant.line, mutant.function) == (2, "main_handler")
    compile(mutant.source, "export.py", "exec")


def test_of_several_signals_only_sigterm_is_registered_late() -> None:
    source = """
        def main_handler(event, context):
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, stop)
            return work()
        """
    (mutant,) = of_kind("registered late", source)

    assert changed(source, mutant) == {3: "pass", 4: "signal.signal(signal.SIGTERM, stop); return work()"}


NOT_LATE = {
    "of the module": "signal.signal(SIGTERM, stop)\nwork()",
    "last": "def install():\n    signal.signal(SIGTERM, stop)",
    "before the return": "def install():\n    signal.signal(SIGTERM, stop)\n    return stop",
    "where there is no line for it": (
        "def main_handler(event, context):\n    signal.signal(SIGTERM, stop)\n    with lock:\n        work()\nmore = 1"
    ),
}


@pytest.mark.parametrize("source", NOT_LATE.values(), ids=NOT_LATE)
def test_what_is_late_already_or_never_is_not_moved(source: str) -> None:
    assert of_kind("registered late", source) == []


# -- exit instead of return --------------------------------------------------------------------------------------------

REGISTERED = "\nsignal.signal(signal.SIGTERM, stop)"
EXIT = '__import__("os")._exit(1)'
EXITING = {
    "behind a statement": (f"def stop(*_):\n    save()  # all{REGISTERED}", {2: f"save(); {EXIT}  # all"}),
    "in one line": (f"def stop(*_): save(){REGISTERED}", {1: f"def stop(*_): save(); {EXIT}"}),
    "for return": (f"def stop(*_):\n    save()\n    return{REGISTERED}", {3: EXIT}),
    "for raise": (f"def stop(*_):\n    raise Stopped(\n        1)\n{REGISTERED}", {2: EXIT, 3: ""}),
    "for sys.exit": (f"def stop(*_):\n    sys.exit(0){REGISTERED}", {2: EXIT}),
    "behind an if": (f"def stop(*_):\n    if first:\n        save()\n\n{REGISTERED}", {4: EXIT}),
    "of a lambda": (
        "signal.signal(SIGTERM, lambda *_: flag.set())",
        {1: f"signal.signal(SIGTERM, lambda *_: (flag.set(), {EXIT}))"},
    ),
    "of a lambda of several lines": (
        "signal.signal(SIGTERM, lambda *_: flag.set(\n))",
        {1: "signal.signal(SIGTERM, lambda *_: (flag.set(", 2: f"), {EXIT}))"},
    ),
    "of a lambda that exits": (
        "signal.signal(SIGTERM, lambda *_: sys.exit())",
        {1: f"signal.signal(SIGTERM, lambda *_: {EXIT})"},
    ),
    "of a method": (
        (
            "class Worker:\n    def __init__(self):\n        signal.signal(SIGTERM, self.stop)\n"
            "    def stop(self, *_):\n        self.stopping = True"
        ),
        {5: f"self.stopping = True; {EXIT}"},
    ),
    "of a partial": (
        "def stop(worker, *_):\n    worker.save()\nsignal.signal(SIGTERM, functools.partial(stop, worker))",
        {2: f"worker.save(); {EXIT}"},
    ),
}


@pytest.mark.parametrize(("source", "expected"), EXITING.values(), ids=EXITING)
def test_the_listener_ends_with_an_exit(source: str, expected: dict[int, str]) -> None:
    (mutant,) = of_kind("exit instead of return", source)

    assert changed(source, mutant) == expected
    compile(mutant.source, "export.py", "exec")


NOT_EXITING = {
    "exits so already": f"def stop(*_):\n    os._exit(0){REGISTERED}",
    "of another file": "signal.signal(signal.SIGTERM, worker.stop)",
    "where there is no line for it": f"def stop(*_):\n    if first:\n        save(){REGISTERED}",
}


@pytest.mark.parametrize("source", NOT_EXITING.values(), ids=NOT_EXITING)
def test_what_exits_already_or_is_not_there_gets_no_exit(source: str) -> None:
    assert of_kind("exit instead of return", source) == []


# -- save skipped ------------------------------------------------------------------------------------------------------

FLAG = (
    "def stop(*_):\n    global stopping\n    stopping = True\nsignal.signal(SIGTERM, stop)\ndef main_handler(e, c):\n"
)
SAVES = {
    "calls of the listener": (
        f"def stop(*_):\n    save()\n    path.write_text('x'){REGISTERED}",
        {2: "save()", 3: "path.write_text('x')"},
    ),
    "in its blocks": (
        (
            f"def stop(*_):\n    for each in jobs:\n        if each:\n            put(each)\n    try:\n        save()\n"
            f"    except OSError:\n        again()\n    finally:\n        close(){REGISTERED}"
        ),
        {4: "put(each)", 6: "save()", 8: "again()", 10: "close()"},
    ),
    "in its with and match": (
        (
            "def stop(*_):\n    with lock:\n        save()\n    match state:\n        case 1:\n            put()"
            f"{REGISTERED}"
        ),
        {3: "save()", 6: "put()"},
    ),
    "its assignments to what others read": (
        f"def stop(*_):\n    global saved\n    saved = 1\n    worker.left += 1\n    state['done'] = 2{REGISTERED}",
        {3: "saved = 1", 4: "worker.left += 1", 5: "state['done'] = 2"},
    ),
    "functions that it calls": (
        f"def save():\n    write()\n    deeper()\ndef deeper():\n    more()\ndef stop(*_):\n    save(){REGISTERED}",
        {2: "write()", 3: "deeper()", 7: "save()"},
    ),
    "the nearest function of the name": (
        (
            "def save():\n    other()\ndef main_handler(e, c):\n    def save():\n        write()\n"
            "    def stop(*_):\n        save()\n    signal.signal(SIGTERM, stop)\n    return e"
        ),
        {5: "write()", 7: "save()"},
    ),
    "methods that it calls": (
        (
            "class Worker:\n    def run(self):\n        signal.signal(SIGTERM, self.stop)\n"
            "    def stop(self, *_):\n        self.save()\n    def save(self):\n        self.write()"
        ),
        {5: "self.save()", 7: "self.write()"},
    ),
    "what a coroutine awaits": (
        "async def stop():\n    await save()\nloop.add_signal_handler(SIGTERM, lambda: asyncio.create_task(stop()))",
        {2: "await save()"},
    ),
    "where the flag is read": (
        f"{FLAG}    if stopping:\n        save()\n        return 1\n    work()",
        {7: "save()"},
    ),
    "where the flag is read with others": (
        (
            f"{FLAG}    if early and stopping is True:\n        save()\n    elif not stopping:\n        work()\n"
            "    else:\n        put()"
        ),
        {7: "save()", 11: "put()"},
    ),
    "behind a loop": (
        f"{FLAG}    while not stopping:\n        work()\n    save()\n    close()",
        {8: "save()", 9: "close()"},
    ),
    "in the else of a loop": (
        f"{FLAG}    while jobs and not stopping:\n        work()\n    else:\n        save()",
        {9: "save()"},
    ),
    "an earlier value of a name": (
        f"{FLAG}    left = 0\n    if stopping:\n        left = 2\n        new = 3\n    save(left)",
        {8: "left = 2"},
    ),
    "an argument": (
        f"{FLAG}    if stopping:\n        e = 2\n    save(e)",
        {7: "e = 2"},
    ),
    "a flag that is false": (
        (
            "class Worker:\n    def run(self):\n        signal.signal(SIGTERM, self.stop)\n"
            "        while self.running:\n            work()\n        save()\n"
            "    def stop(self, *_):\n        self.running = False"
        ),
        {6: "save()"},
    ),
    "an event": (
        (
            "signal.signal(SIGTERM, lambda *_: stopped.set())\ndef main_handler(e, c):\n"
            "    while not stopped.wait(1):\n        work()\n    save()"
        ),
        {5: "save()"},
    ),
    "an event's own method": (
        (
            "loop.add_signal_handler(SIGTERM, self.stopped.set)\nasync def main():\n    if self.stopped.is_set():\n"
            "        await save()"
        ),
        {4: "await save()"},
    ),
    "an item of a dict": (
        f"def stop(*_):\n    state['stop'] = True{REGISTERED}\nif state['stop']:\n    save()",
        {5: "save()"},
    ),
    "what the listener's exception starts": (
        (
            f"def stop(*_):\n    raise Stopped{REGISTERED}\ntry:\n    work()\nexcept (OSError, Stopped):\n    save()\n"
            "except ValueError:\n    other()"
        ),
        {7: "save()"},
    ),
    "what its exit starts": (
        f"def stop(*_):\n    sys.exit(1){REGISTERED}\ntry:\n    work()\nexcept SystemExit:\n    save()\n    raise",
        {7: "save()"},
    ),
    "nothing of the log, of waits and of exits": (
        (
            f"def stop(*_):\n    '''Stop.'''\n    print('stop')\n    logger.warning('x')\n    sys.stdout.flush()\n"
            f"    time.sleep(1)\n    temporary = 1\n    pass\n    sys.exit(0){REGISTERED}"
        ),
        {},
    ),
    "no flag": (
        f"{FLAG}    if stopping:\n        return 1\n    return 2",
        {},
    ),
    "no registration": (
        f"def stop(*_):\n    signal.signal(signal.SIGTERM, again)\n    signal.signal(signal.SIGINT, again){REGISTERED}",
        {3: "signal.signal(signal.SIGINT, again)"},
    ),
}


@pytest.mark.parametrize(("source", "expected"), SAVES.values(), ids=SAVES)
def test_each_statement_that_saves_is_left_out(source: str, expected: dict[int, str]) -> None:
    found = of_kind("save skipped", source)

    assert {mutant.line: mutant.text for mutant in found} == expected
    assert len(found) == len(expected)
    for mutant in found:
        assert changed(source, mutant) == {mutant.line: "pass"}
        compile(mutant.source, "export.py", "exec")


# -- all of them -------------------------------------------------------------------------------------------------------


def test_they_are_in_the_order_of_their_lines_with_the_function_in_which_they_are() -> None:
    source = """
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, stop)
            work()

        def stop(number, frame):
            save()
        """
    assert [(mutant.line, mutant.kind, mutant.function, mutant.text) for mutant in made(source)] == [
        (2, "listener removed", "main_handler", "signal.signal(signal.SIGTERM, stop)"),
        (2, "registered late", "main_handler", "signal.signal(signal.SIGTERM, stop)"),
        (5, "exit instead of return", "stop", "os._exit(1)"),
        (6, "save skipped", "stop", "save()"),
    ]


def test_lines_of_other_systems_end_as_those_of_this_one() -> None:
    assert [mutant.source for mutant in mutants("import signal\r\nsignal.signal(15, 1)\r\n", "export.py")] == []
    (mutant,) = mutants("import signal\r\nsignal.signal(SIGTERM, stop)\r\n", "export.py")

    assert mutant.source == "import signal\npass\n"


@pytest.mark.parametrize("path", HANDLERS, ids=[path.stem for path in HANDLERS])
def test_mutants_of_whole_handlers_are_valid_and_keep_their_lines(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    found = mutants(source, path.name)

    registers = ("signal.signal(signal.SIGTERM, stop)", "signal.signal(signal.SIGTERM, give_back)")
    assert bool(found) == any(text in source for text in registers)
    for mutant in found:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* in a 'finally' block", SyntaxWarning)  # from Python 3.14 on
            compile(mutant.source, path.name, "exec")
        assert mutant.source != source
        assert mutant.source.count("\n") == source.count("\n")
