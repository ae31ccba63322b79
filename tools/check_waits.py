"""Holds that each wait of the test's process for another process or thread has a bound, or says here why it ends.

A call of WAITS without an argument waits as long as it takes: ``queue.get()``, ``thread.join()``, ``process.wait()``,
``lock.acquire()``, ``poller.poll()``. So do ``subprocess.run`` and its like, and ``communicate``, without ``timeout``,
``os.waitpid`` without ``WNOHANG``, and a socket's ``settimeout(None)``. What runs in other processes (`side/`,
`python/`, `zygote/`, `programs/`) is not looked at: whoever waits for it has the bound.
Run: python tools/check_waits.py [the package's directory]
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGE = "pytest_scf_async"
OWN_PACKAGE = Path(__file__).resolve().parent.parent / PACKAGE

ELSEWHERE = frozenset({"side", "python", "zygote", "programs"})
"""Rooms that the test's process never has."""
HERE = "programs/runtimes/"
"""Except for this part of one."""
WAITS = frozenset({"get", "join", "wait", "acquire", "result"})
POLLERS = frozenset({"poller", "_poller", "epoll", "_epoll"})
"""Names of objects whose ``poll()`` waits; that of a process does not."""
PROGRAMS = frozenset({"run", "call", "check_call", "check_output"})

A_CALL = "a blocking call of ours, which real_timeout and real_limit bound"
KILLED = "it was killed, or has ended: the kernel alone has to do something"
KNOWN: dict[str, str] = {
    "endpoint/control.py:_wait:self._known(request_id).wait()": A_CALL,
    "endpoint/serve.py:run:self._stop.wait()": "that is what `serve` does until a signal comes",
    "endpoint/serve.py:_end_events:event.wait()": A_CALL,
    "async_event.py:stop:self.wait()": A_CALL,
    "function.py:run:event.wait()": A_CALL,
    "programs/runtimes/port_forwarder.py:close:self._thread.join()": "our own thread was woken, and waits for"
    " nothing else",
    "programs/runtimes/container.py:ask:process.wait()": KILLED,
    "programs/runtimes/container.py:close:self._process.wait()": KILLED,
    "programs/runtimes/go.py:_run:process.wait()": "the reaper of the compilers, which ends by SIGTERM",
    "lockstep/running.py:running:thread.join()": "its call is done when it looks, and what it does before has bounds",
    "lockstep/scheduler.py:_driving:self._condition.acquire()": "who has the lock gives it up in each wait",
    "lockstep/features/test_process.py:_fake_wait:waiter.acquire()": "a new lock, which nobody else has",
    "plugin/timeout.py:cancel:timer.join()": "it was cancelled, or ends this process",
    "sweep/repro.py:_ran:event.wait()": A_CALL,
    "sweep/run.py:_resume:event.wait()": A_CALL,
    "sweep/run.py:_made:event.wait()": A_CALL,
}
"""By ``file:function:call``: why it ends all the same. The list only gets shorter."""


def _is_unbounded(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    on = function.value.id if isinstance(function.value, ast.Name) else getattr(function.value, "attr", "")
    given = {keyword.arg for keyword in call.keywords}
    if (on == "subprocess" and function.attr in PROGRAMS) or function.attr == "communicate":
        return "timeout" not in given
    if on == "os" and function.attr == "waitpid":
        return "WNOHANG" not in ast.unparse(call)
    if function.attr == "settimeout":
        return ast.unparse(call.args[0]) == "None" if call.args else False
    if call.args or given:
        return False
    return function.attr in WAITS or (function.attr == "poll" and on in POLLERS)


def _found(tree: ast.AST, function: str = "") -> list[tuple[str, int, str]]:
    """Each wait without a bound: in which function, the line, and the call."""
    found = []
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        if isinstance(node, ast.Call) and _is_unbounded(node):
            found.append((function, node.lineno, ast.unparse(node)))
        found += _found(node, inner)
    return found


def check(root: Path) -> list[str]:
    """The violations in the package at *root*, sorted."""
    violations = []
    used = set()
    for path in sorted(root.rglob("*.py")):
        shown = path.relative_to(root).as_posix()
        if path.relative_to(root).parts[0] in ELSEWHERE and not shown.startswith(HERE):
            continue
        for function, line, call in _found(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{shown}:{function}:{call}"
            if place in KNOWN:
                used.add(place)
            else:
                violations.append(f"{PACKAGE}/{shown}:{line}: {call} in {function}() waits without a bound.")
    gone = sorted(KNOWN.keys() - used) if root.resolve() == OWN_PACKAGE else []
    return violations + [f"KNOWN has {place}, which is in order: take it out." for place in gone]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else OWN_PACKAGE
    if not root.is_dir() or not any(root.rglob("*.py")):
        print(f"check_waits: no Python files in {root}", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"check_waits: {len(violations)} violations" if violations else "check_waits: each wait has a bound")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
