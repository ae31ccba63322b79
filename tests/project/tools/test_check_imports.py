"""tools/check_imports.py catches imports that run the wrong way, wherever in a file they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from package_checks import PACKAGE, load_tool, run_tool, write_package

# once: reads the sources of the package
pytestmark = pytest.mark.once

Check = Callable[[dict[str, str]], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("check_imports")


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(files: dict[str, str]) -> list[str]:
        empty = ("__init__", "instances/__init__", "python/__init__", "protocol/messages", "model/__init__")
        return list(tool.check(write_package(tmp_path, dict.fromkeys(empty, "") | files)))

    return write_and_check


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("errors", "import pytest_scf_async.model"),
        ("errors", "from pytest_scf_async.model import codes"),
        ("errors", "from . import clock"),
        ("errors", "from .clock import SimulatedClock"),
        ("hookspecs", "from .runtime import Function"),
        ("hookspecs", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .runtime import Function"),
        ("options", "from .model import codes"),
        ("clock", "from .options import ScfSettings"),
        ("model/states", "from ..clock import SimulatedClock"),
        ("model/states", "from ..protocol.messages import Message"),
        ("model/states", "def late():\n    from pytest_scf_async import runtime"),
        ("instances/pool", "from ..runtime import Function"),
        ("instances/pool", "from .. import report"),
        ("instances/pool", "from importlib import import_module\nimport_module('pytest_scf_async.runtime')"),
        ("report/text", "from ..runtime import AsyncEvent"),
        ("report/text", "from ..clock import SimulatedClock"),
        ("runtime", "from .assertions import assert_status"),
        ("runtime", "from .plugin import scf_runtime"),
        ("runtime", "import pytest_scf_async"),
        ("runtime", "from pytest_scf_async import ScfRuntime"),
        ("assertions", "from .instances import pool"),
        ("__init__", "def late():\n    from . import plugin"),
        ("__init__", "from .errors import ScfAsyncError"),
        ("instances/__init__", "from .pool import Pool"),
        ("protocol/messages", "from ..errors import HarnessError"),
        ("python/main", "from ..instances.pool import Pool"),
        ("python/main", "from ..errors import HarnessError"),
        ("python/main", "from pytest_scf_async.inside import record"),
        ("inside", "from .protocol.messages import Message"),
        ("errors", "from .api import server"),
        ("runtime", "from .endpoint.operations.functions import FunctionPage"),
        ("runtime", "def late():\n    from .sweep.sweep import sweep"),
        ("function", "from .endpoint.operations.functions import AliasPage"),
        ("session", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .sweep.guide import Guide"),
        ("plugin/plugin", "def late():\n    from ..trace.of_test import write_trace"),
        ("command_line", "from .conformance.command import run_conformance"),
        ("instances/pool", "from ..python import clock"),
        ("lockstep/calls", "from pytest_scf_async.python.scheduler.scheduler import Waiter"),
        ("instances/pool", "def late():\n    from ..programs.supervisor import supervisor"),
        ("programs/supervisor/tree", "from ...instances import pool"),
        ("programs/agent", "from .runtimes import go"),
        ("programs/runtimes/go", "from .. import agent"),
        ("instances/pool", "from ..programs.runtimes import go"),
        ("programs/supervisor/__init__", "from .tree import Tree"),
        ("python/main", "def late():\n    from pytest_scf_async.programs.supervisor.supervisor import serve"),
        ("python/instance", "from pytest_scf_async.programs.supervisor.supervisor import serve"),
        ("python/instance", "def late():\n    from pytest_scf_async.programs.supervisor.tree import Tree"),
    ],
)
def test_an_import_of_a_room_above_is_caught(check: Check, name: str, text: str) -> None:
    violations = check({name: text})
    assert len(violations) == 1
    assert violations[0].startswith(f"pytest_scf_async/{name}.py:{len(text.splitlines())}: ")


@pytest.mark.parametrize(("room", "wing"), [("runtime", "sweep"), ("lockstep", "endpoint"), ("plugin", "trace")])
def test_a_row_with_which_the_kernel_would_know_a_wing_is_caught(tool: ModuleType, room: str, wing: str) -> None:
    (violation,) = tool._know_wings(tool.KNOWS | {room: tool.KNOWS[room] | {wing}})
    assert f"{room} knows ({wing})" in violation


@pytest.mark.parametrize(("room", "other"), [("trace", "sweep"), ("endpoint", "operations"), ("conformance", "wings")])
def test_a_row_with_which_a_wing_would_know_another_is_caught(tool: ModuleType, room: str, other: str) -> None:
    (violation,) = tool._know_wings(tool.KNOWS | {room: tool.KNOWS[room] | {other}})
    assert violation == f"KNOWS lets {room} know {other}: no wing knows another one."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model/states", "import os"),
        ("model/states", "import os.path"),
        ("model/states", "from os import path"),
        ("model/states", "def late():\n    import subprocess"),
        ("model/states", "from time import time"),
        ("model/states", "import socket"),
        ("model/states", "import threading"),
        ("model/states", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pytest"),
        ("python/main", "import pytest"),
        ("python/main", "from dateutil import tz"),
        ("protocol/messages", "import coverage"),
        ("inside", "import freezegun"),
        ("programs/supervisor/tree", "import coverage"),
    ],
)
def test_a_module_that_a_room_must_do_without_is_caught(check: Check, name: str, text: str) -> None:
    violations = check({name: text})
    assert len(violations) == 1
    assert violations[0].startswith(f"pytest_scf_async/{name}.py:{len(text.splitlines())}: ")


@pytest.mark.parametrize("file", ["__init__", "model/states", "instances/pool", "lockstep/calls", "plugin/plugin"])
@pytest.mark.parametrize("room", ["side", "python", "zygote", "programs", "programs.supervisor"])
@pytest.mark.parametrize(
    "text",
    [
        "import pytest_scf_async.{room}.zygote",
        "import pytest_scf_async.{room} as inner",
        "from pytest_scf_async.{room} import zygote",
        "from {above} import {name}",
        "def late():\n    from pytest_scf_async.{room} import zygote",
        "class Late:\n    from pytest_scf_async.{room}.zygote import main",
        "if True:\n    import pytest_scf_async.{room}",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pytest_scf_async.{room} import zygote",
        "try: ...\nexcept ImportError:\n    from pytest_scf_async.{room} import zygote",
        "import_module('pytest_scf_async.{room}')",
        "importlib.import_module('.{room}', 'pytest_scf_async')",
        "importlib.import_module('..{room}.zygote', __package__)",
        "importlib.import_module(f'{{__name__}}.{room}.zygote')",
        "importlib.import_module(__name__ + '.{room}')",
        "importlib.import_module('json' if late else 'pytest_scf_async.{room}')",
        "__import__('pytest_scf_async.{room}.zygote')",
        "name = 'pytest_scf_async.{room}.zygote'",
        "_START = 'from pytest_scf_async.{room}.zygote import main'",
        "runpy.run_module('pytest_scf_async.{room}.zygote')",
        "late = sys.modules['pytest_scf_async.{room}.zygote']",
        "def late(): exec('from pytest_scf_async.{room} import zygote')",
    ],
)
def test_the_tests_process_imports_nothing_of_other_processes(check: Check, file: str, room: str, text: str) -> None:
    where = "root" if file == "__init__" else file.partition("/")[0]
    refusal = f"pytest_scf_async/{file}.py:{text.count(chr(10)) + 1}: {where} must not import {room}, which runs in "
    above, _, name = f"pytest_scf_async.{room}".rpartition(".")
    assert any(each.startswith(refusal) for each in check({file: text.format(room=room, above=above, name=name)}))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("programs/agent", "from .supervisor.tree import Tree"),
        ("programs/agent", "from . import supervisor"),
        ("zygote/reaper", "from ..programs.supervisor import tree"),
        ("instances/pool", "from pytest_scf_async.programs import supervisor"),
        ("instances/pool", "name = 'pytest_scf_async.programs.supervisor.tree'"),
    ],
)
def test_a_room_in_a_room_has_a_row_of_its_own(check: Check, name: str, text: str) -> None:
    (violation,) = check({name: text})
    assert " must not import programs.supervisor" in violation


def test_no_row_of_the_table_lets_it(check: Check, tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tool.KNOWS, "instances", tool.KNOWS["instances"] | {"python"})
    (violation,) = check({"instances/pool": "from ..python import clock"})
    assert violation.endswith("instances must not import python, which runs in the zygote and in instances.")


@pytest.mark.parametrize("text", ["import_module(name)", "import_module(f'{__name__}.x')", "__import__(x)"])
def test_a_computed_name_is_imported_in_no_room_of_the_tests_process(check: Check, text: str) -> None:
    assert check({"instances/pool": text}) == [
        "pytest_scf_async/instances/pool.py:1: the name of the module that is imported here has to be written out."
    ]
    (violation,) = check({"instances/pool": "import_module('json' if late else name)"})
    assert violation.endswith(" has to be written out.")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("instances/zygote", "_START = 'from pytest_scf_async.zygote.zygote import main'"),
        ("inside", "_RECORDS = 'pytest_scf_async.python.records'"),
        ("instances/pool", "'As `pytest_scf_async.zygote.zygote` has it.'"),
        ("instances/pool", "class Pool:\n    def take(self):\n        'See `zygote.zygote.main`.'"),
        ("instances/pool", "PYTHON = 'python'\nplace = join('python', 'scheduler.py')"),
        ("instances/pool", "import_module('json' if late else 'tomllib')"),
        ("__init__", "import_module(f'{__name__}.{module}')"),
        ("python/loading", "import_module(name)\n__import__('pytest_scf_async.python.instance')"),
        ("programs/supervisor/probe", "_PROGRAM = 'import pytest_scf_async.python.clock'"),
    ],
)
def test_a_program_of_another_process_may_name_its_modules(check: Check, file: str, text: str) -> None:
    assert check({file: text}) == []


@pytest.mark.parametrize("text", ["def late():\n    _START = {}", "print({})", "_OTHER = {}", "if _START == {}: ..."])
def test_only_the_constant_that_is_listed_may(check: Check, text: str) -> None:
    (violation,) = check({"instances/zygote": text.format("'import pytest_scf_async.zygote.zygote'")})
    assert violation.endswith(" runs in the zygote and in its reaper: this text names a module of it.")


def test_an_entry_that_nobody_needs_is_refused(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tool.CHILD_PROGRAMS, "pytest_scf_async.clock", {"_START": "why"})
    assert tool.check(PACKAGE) == [
        "CHILD_PROGRAMS names _START of pytest_scf_async.clock, which names no module of another process: take it out."
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"lockstep/one": "from .other import x", "lockstep/other": "from .one import y"},
        {"lockstep/one": "from .features.other import x", "lockstep/features/other": "from .. import one"},
        {"model/one": "from . import two", "model/three": "from .one import x", "model/two": "from .three import x"},
        {
            "model/one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .other import x",
            "model/other": "def late():\n    from .one import y",
        },
    ],
)
def test_files_that_import_each_other_are_caught(check: Check, files: dict[str, str]) -> None:
    names = [f"pytest_scf_async.{name.replace('/', '.')}" for name in sorted(files)]
    assert check(files) == [f"{' and '.join(names)} import each other in a circle."]


def test_a_file_beside_a_circle_is_not_named(check: Check) -> None:
    (violation,) = check({"model/one": "from . import two", "model/two": "from . import one, last", "model/last": ""})
    assert "last" not in violation


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hookspecs", "import pluggy\nimport pytest"),
        ("options", "from .errors import ScfUsageError"),
        ("model/states", "import datetime\nfrom . import codes\nfrom ..errors import ScfUsageError"),
        ("clock", "import time\nfrom pytest_scf_async import errors, protocol"),
        ("instances/pool", "from ..protocol import messages\nfrom ..clock import SimulatedClock"),
        ("python/main", "import os\nimport freezegun\nfrom ..protocol import messages\nfrom . import loop"),
        ("python/instance", "from ..wings.in_zygote import PARTS"),
        ("programs/roles", "def late():\n    from .supervisor.supervisor import serve"),
        ("programs/supervisor/tree", "import ctypes\nfrom ...python import clock\nfrom ...linux import procfs"),
        ("programs/supervisor/supervisor", "from .. import agent\nfrom ..clients import job"),
        ("programs/runtimes/go", "from ...instances.runtimes import strategy"),
        ("wings/runtimes", "def late():\n    from ..programs.runtimes import kinds"),
        ("report/text", "from ..model import states"),
        ("runtime", "from . import clock, hookspecs, instances, model, options, report"),
        ("assertions", "from .runtime import AsyncEvent\nfrom .report import text"),
        ("plugin", "import pytest\nfrom . import assertions, hookspecs, inside, runtime"),
        ("__init__", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .runtime import ScfRuntime"),
        ("__init__", "def __getattr__(name):\n    from . import runtime"),
    ],
)
def test_an_import_that_runs_the_right_way_is_fine(check: Check, name: str, text: str) -> None:
    assert check({name: text}) == []


def test_a_room_that_nobody_knows_is_named(check: Check) -> None:
    assert check({"extras": ""}) == [
        "pytest_scf_async/extras.py:1: 'extras' is no room of the package: add it to KNOWS in check_imports.py."
    ]


def test_dots_that_lead_out_of_the_package_are_caught(check: Check) -> None:
    assert check({"clock": "from .. import something"}) == [
        "pytest_scf_async/clock.py:1: this relative import leads out of the package."
    ]


def test_a_file_that_is_not_python_is_named(check: Check) -> None:
    (violation,) = check({"clock": "\ndef (:"})
    assert violation.startswith("pytest_scf_async/clock.py:2: this file is not valid Python: ")


def test_the_command_prints_each_violation_and_fails(tmp_path: Path) -> None:
    root = write_package(
        tmp_path, {"clock": "from . import errors\n\nfrom .plugin import scf_clock\n", "errors": "", "plugin": ""}
    )
    ended = run_tool("check_imports", root)
    assert ended.stdout.splitlines() == [
        "pytest_scf_async/clock.py:3: clock must not import plugin: nobody does.",
        "check_imports: 1 violations",
    ]
    assert ended.returncode == 1
