"""Write the bytecode of the package and of the tests in the files that are named (all, without any).

CI's runs of Python write none. Else each process that a test starts would compile what it reads: what instances and
their zygotes import is there twice, as pytest rewrites the assertions of what itself imports.
"""

from __future__ import annotations

import compileall
import importlib
import pkgutil
import sys

import pytest

PACKAGE = "pytest_scf_async"
INSIDE_INSTANCES = tuple(f"{PACKAGE}.{room}" for room in ("side", "python", "zygote", "programs"))


class ImportAll:
    """Imports, where pytest rewrites it, what sessions import only when they need it."""

    def pytest_collection_finish(self) -> None:
        for module in pkgutil.walk_packages([PACKAGE], f"{PACKAGE}."):
            if not module.name.startswith(INSIDE_INSTANCES) and not module.name.endswith("__main__"):
                try:
                    importlib.import_module(module.name)
                except ModuleNotFoundError as error:  # an extra that most Pythons do not have here
                    if (error.name or "").startswith(PACKAGE):
                        raise


sys.dont_write_bytecode = False
compiled = compileall.compile_dir(PACKAGE, quiet=1)
only = f"--only={' '.join(sys.argv[1:])}"
code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", only], plugins=[ImportAll()])
sys.exit(code or not compiled)
