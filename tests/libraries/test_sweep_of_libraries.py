"""What a sweep finds in libraries: their modules are beside the handler, so that their own lines are points."""

from __future__ import annotations

import importlib
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_internals import points, sweep_of_function

from pytest_scf_async import Function, ScfRuntime

pytestmark = pytest.mark.once  # what the sweep asks of Python is asked in tests/sweep


def each_run(run: Any) -> Iterator[dict[str, str]]:
    yield {"OUT": str(run.path)}


Deploy = Callable[[ScfRuntime, str, str], Function]


@pytest.fixture
def beside(tmp_path: Path) -> Deploy:
    """Deploys the source of a handler that has a copy of a library beside it."""

    def deploy(runtime: ScfRuntime, library: str, source: str) -> Function:
        code = tmp_path / "code"
        module = importlib.import_module(library)
        shutil.copytree(Path(module.__file__ or "").parent, code / library, ignore=shutil.ignore_patterns("*.pyc"))
        (code / "job.py").write_text(textwrap.dedent(source))
        return runtime.deploy(f"{code}/job.py:main_handler")

    return deploy


def line_of(library: str, file: str, text: str) -> int:
    """The line of a library's file that has *text*, which is in it once."""
    path = Path(importlib.import_module(library).__file__ or "").parent / file
    (line,) = (number for number, each in enumerate(path.read_text().splitlines(), 1) if each.strip() == text)
    return line


def test_diskcache_never_finishes_where_a_signal_comes_between_begin_and_its_note_of_it(
    scf_runtime: ScfRuntime, beside: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins a transaction, then notes that it has one: after an exception between, it tries to begin for ever."""
    monkeypatch.setattr(sweep_of_function, "_FIRST_STOPS", 0)  # the loop has points without an end
    monkeypatch.setattr(points, "MOST_POINTS", 50_000)  # after so many it is told from one that has an end
    begin = line_of("diskcache", "core.py", "sql('BEGIN IMMEDIATE')")
    with ScfRuntime(scf_runtime.settings.replace("the test", real_timeout=10.0)) as runtime:
        function = beside(
            runtime,
            "diskcache",
            """
            import os, signal
            from diskcache import Index
            class Stop(BaseException):
                pass
            def on_sigterm(*_):
                raise Stop
            def main_handler(event, context):
                signal.signal(signal.SIGTERM, on_sigterm)
                index = Index(os.environ["OUT"] + "/index")
                try:
                    index["next"] = 1
                except Stop:
                    index["next"] = 0
                return "done"
            """,
        )
        sweep = runtime.sweep(function, each_run=each_run, how="graceful", include=f"diskcache/core.py:{begin}")

        assert [run.key for run in sweep.runs if run.fails()] == [f"graceful@diskcache/core.py:{begin}+1#1"]
        assert [kind.value for kind in sweep.failures[0].kinds] == ["never finishes"]


def test_atomicwrites_leaves_its_temporary_file_where_a_signal_comes_before_it_has_noted_it(
    scf_runtime: ScfRuntime, beside: Deploy
) -> None:
    """``get_fileobject`` makes the file and closes it, and only then is it known to who would remove it."""
    line = "descriptor, name = tempfile.mkstemp(suffix=suffix, prefix=prefix,"
    mkstemp = line_of("atomicwrites", "__init__.py", line)
    function = beside(
        scf_runtime,
        "atomicwrites",
        """
        import os, signal, sys
        from atomicwrites import atomic_write
        def main_handler(event, context):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
            with atomic_write(os.environ["OUT"] + "/report.txt", overwrite=True) as file:
                file.write("report")
            return "done"
        """,
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful", include="atomicwrites/__init__.py:1*")

    sweep.assert_exactly_once()
    left = [run.point.line for run in sweep.runs if "left behind" in {kind.value for kind in run.kinds}]
    assert left[0] == mkstemp
