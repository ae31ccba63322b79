"""Runs the checks of tools/ (``check_imports`` and the others) on this package, or on files that a test writes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[3]
PACKAGE = PROJECT / "pytest_scf_async"


def tool_file(name: str) -> Path:
    return PROJECT / "tools" / f"{name}.py"


def load_tool(name: str) -> ModuleType:
    """The module of a check, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", tool_file(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(tool_file(name).parent))  # where it finds the other tools that it imports
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(tool_file(name).parent))
    return module


def write_package(directory: Path, files: dict[str, str]) -> Path:
    """Write a package with these *files*, whose names have no suffix, into *directory*; the package's directory."""
    root = directory / "pytest_scf_async"
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def run_tool(name: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a check as `make check` does."""
    return subprocess.run([sys.executable, tool_file(name), root], capture_output=True, text=True, check=False)
