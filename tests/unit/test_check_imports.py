"""tools/check_imports.py catches imports that run the wrong way, wherever in a file they stand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

# once: reads the sources of the package
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[2]
TOOL = PROJECT / "tools" / "check_imports.py"
Check = Callable[[dict[str, str]], "list[str]"]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_imports_under_test", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(tool: ModuleType, tmp_path: Path) -> Check:
    def write_and_check(files: dict[str, str]) -> list[str]:
        root = tmp_path / "pytest_scf_async"
        empty = ("__init__", "instances/__init__", "bootstrap/__init__", "protocol/messages", "model/__init__")
        for name, text in (dict.fromkeys(empty, "") | files).items():
            path = root / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return list(tool.check(root))

    return write_and_check


def test_this_package_imports_one_way(tool: ModuleType) -> None:
    assert tool.check(PROJECT / "pytest_scf_async") == []


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
        ("bootstrap/main", "from ..instances.pool import Pool"),
        ("bootstrap/main", "from ..errors import HarnessError"),
        ("bootstrap/main", "from pytest_scf_async.inside import record"),
        ("inside", "from .protocol.messages import Message"),
        ("errors", "from .api import server"),
        ("instances/pool", "from ..bootstrap import clock"),
        ("lockstep/calls", "from pytest_scf_async.bootstrap.scheduler.scheduler import Waiter"),
        ("instances/pool", "def late():\n    from ..supervisor import supervisor"),
        ("supervisor/tree", "from ..instances import pool"),
        ("supervisor/__init__", "from .tree import Tree"),
        ("bootstrap/main", "def late():\n    from pytest_scf_async.supervisor.supervisor import serve"),
        ("bootstrap/instance", "from pytest_scf_async.supervisor.supervisor import serve"),
        ("bootstrap/instance", "def late():\n    from pytest_scf_async.supervisor.tree import Tree"),
    ],
)
def test_an_import_of_a_room_above_is_caught(check: Check, name: str, text: str) -> None:
    violations = check({name: text})
    assert len(violations) == 1
    assert violations[0].startswith(f"pytest_scf_async/{name}.py:{len(text.splitlines())}: ")


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
        ("bootstrap/main", "import pytest"),
        ("bootstrap/main", "from dateutil import tz"),
        ("protocol/messages", "import coverage"),
        ("inside", "import freezegun"),
        ("supervisor/tree", "import coverage"),
    ],
)
def test_a_module_that_a_room_must_do_without_is_caught(check: Check, name: str, text: str) -> None:
    violations = check({name: text})
    assert len(violations) == 1
    assert violations[0].startswith(f"pytest_scf_async/{name}.py:{len(text.splitlines())}: ")


@pytest.mark.parametrize(
    "files",
    [
        {"lockstep/one": "from .other import x", "lockstep/other": "from .one import y"},
        {"lockstep/one": "from ..instances.other import x", "instances/other": "from ..lockstep import one"},
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
        ("bootstrap/main", "import os\nimport freezegun\nfrom ..protocol import messages\nfrom . import loop"),
        ("bootstrap/instance", "def late():\n    from pytest_scf_async.supervisor.supervisor import serve"),
        ("supervisor/tree", "import ctypes\nfrom ..bootstrap import clock\nfrom ..protocol import procfs"),
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
    root = tmp_path / "pytest_scf_async"
    root.mkdir()
    (root / "clock.py").write_text("from . import errors\n\nfrom .plugin import scf_clock\n")
    (root / "errors.py").touch()
    (root / "plugin.py").touch()
    ended = subprocess.run([sys.executable, TOOL, root], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == [
        "pytest_scf_async/clock.py:3: clock must not import plugin: nobody does.",
        "check_imports: 1 violations",
    ]
    assert ended.returncode == 1
