"""The fixtures are those of the process tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(path) for path in (_TESTS, _TESTS / "process", _TESTS / "sweep") if str(path) not in sys.path]

_spec = importlib.util.spec_from_file_location("fixtures_of_processes", _TESTS / "process" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _fixtures
_spec.loader.exec_module(_fixtures)

make_runtime, runtime, deploy = _fixtures.make_runtime, _fixtures.runtime, _fixtures.deploy
