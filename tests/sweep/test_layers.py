"""The lines of a layer are the user's own: a sweep interrupts them as those of the code directory."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path

import pytest
from sweeping import each_run

from pytest_scf_async import ScfRuntime, ScfSettings

# once: what differs by Python are points, which have tests of their own
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("without_second_stops")]

HANDLER = """
    import os, signal, time
    import runner

    class Stop(BaseException):
        pass

    def stop(signum, frame):
        raise Stop

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, stop)
        try:
            runner.work(os.environ["OUT"])
        except Stop:
            return "stopped"
        return "done"
"""
RUNNER = """
    import os, time

    def work(out):
        done = len(os.listdir(out))
        for number in range(done, 2):
            time.sleep(1)
            rows = open(os.path.join(out, f"rows-{number}"), "w")
            rows.write(f"row {number}")
            rows.close()
"""
LOST = "rows = open("


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.py").write_text(textwrap.dedent(HANDLER))
    return tmp_path / "code"


def packed(directory: Path) -> Path:
    with zipfile.ZipFile(directory.with_suffix(".zip"), "w") as archive:
        for path in directory.rglob("*"):
            archive.write(path, path.relative_to(directory))
    return directory.with_suffix(".zip")


@pytest.fixture(params=["beside it", "a layer", "a zip", "the second layer"])
def layers(request: pytest.FixtureRequest, code: Path, tmp_path: Path) -> list[Path]:
    """Where ``runner`` is."""
    layer = code if request.param == "beside it" else tmp_path / "layer"
    layer.mkdir(exist_ok=True)
    (layer / "runner.py").write_text(textwrap.dedent(RUNNER))
    other = tmp_path / "other"
    other.mkdir()
    return {
        "beside it": [],
        "a layer": [layer],
        "a zip": [packed(layer)] if request.param == "a zip" else [],
        "the second layer": [other, layer],
    }[request.param]


def test_a_loss_in_a_layer_is_found_at_its_line(scf_runtime: ScfRuntime, code: Path, layers: list[Path]) -> None:
    function = scf_runtime.deploy(code, handler="index.main_handler", layers=layers)
    sweep = scf_runtime.sweep(function, each_run=each_run)
    lines = {(run.point.file, run.point.line) for run in sweep.runs}
    assert {("index.py", 14), ("runner.py", 8)} <= lines
    wrong = {run.point.file for run in sweep.runs if run.kinds and run.how == "graceful"}
    assert wrong == {"runner.py"}
    if not any(layer.suffix == ".zip" for layer in layers):
        assert "rows.write(" in sweep.report or LOST in sweep.report
    with pytest.raises(AssertionError, match=r"runner\.py:\d"):
        sweep.assert_survives()
    only = scf_runtime.sweep(function, each_run=each_run, include=["runner.py"], how="graceful")
    assert {run.point.file for run in only.runs} == {"runner.py"}


@pytest.mark.sandbox
def test_where_each_run_has_its_layers_elsewhere_their_lines_are_said_to_be_untried(code: Path, tmp_path: Path) -> None:
    for name in ("layer", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "layer" / "runner.py").write_text(textwrap.dedent(RUNNER))
    with ScfRuntime(ScfSettings(sandbox="none"), lookup=["/"]) as runtime:
        layers = [tmp_path / "layer", tmp_path / "other"]
        function = runtime.deploy(code, handler="index.main_handler", layers=layers)
        sweep = runtime.sweep(function, each_run=each_run, points="waits")
    assert "lines of layers (without mount namespaces each run has them elsewhere)." in sweep.report


def test_a_library_in_a_layer_is_none(scf_runtime: ScfRuntime, code: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    (layer / "runner-1.0.dist-info").mkdir(parents=True)
    (layer / "runner-1.0.dist-info" / "RECORD").write_text("runner.py,,\nrunner-1.0.dist-info/RECORD,,\n")
    (layer / "runner.py").write_text(textwrap.dedent(RUNNER))
    function = scf_runtime.deploy(code, handler="index.main_handler", layers=[layer])
    sweep = scf_runtime.sweep(function, each_run=each_run)
    assert {run.point.file for run in sweep.runs if run.point.line} == {"index.py"}
