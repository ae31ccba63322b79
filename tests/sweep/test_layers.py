"""The lines of a layer are the user's own: a sweep interrupts them as those of the code directory."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path

import pytest
from sweeping import bare_repro, each_run

from pytest_scf_async import ScfRuntime, ScfSettings, ScfUsageError

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


RESUMES = """
    import os
    import runner

    def main_handler(event, context):
        runner.work(os.environ["OUT"])
        return len(os.listdir(os.environ["OUT"]))
"""
IN_CHILD = """
    import os, subprocess, sys

    def main_handler(event, context):
        subprocess.run([sys.executable, "-m", "runner", os.environ["OUT"]], check=True)
        return len(os.listdir(os.environ["OUT"]))
"""


def found_by_repro(scf_runtime: ScfRuntime, code: Path, handler: str, layers: list[Path], repro: Path) -> None:
    """Its repro shows the loss, without this package and without the platform's ``/opt``."""
    (code / "index.py").write_text(textwrap.dedent(handler))
    function = scf_runtime.deploy(code, handler="index.main_handler", layers=layers)
    sweep = scf_runtime.sweep(function, each_run=each_run, how="forced")
    assert ".write_repro(path)" in sweep.report
    assert sweep.failures[0].write_repro(repro) == repro
    exit_code, printed = bare_repro(repro)
    assert (exit_code, "\nit has left something else " in printed) == (1, True), printed
    exit_code, printed = bare_repro(repro, "undisturbed")
    assert exit_code == 0, printed


def test_a_repro_has_the_layers(scf_runtime: ScfRuntime, code: Path, layers: list[Path], tmp_path: Path) -> None:
    runner = RUNNER.replace("time.sleep(1)", "time.sleep(0)")  # seconds are real ones in a repro
    for place in {code if not layers else layers[-1].with_suffix("")}:
        (place / "runner.py").write_text(textwrap.dedent(runner))
    for each in layers:
        if each.suffix == ".zip":
            packed(each.with_suffix(""))
    found_by_repro(scf_runtime, code, RESUMES, layers, tmp_path / "repro")
    assert (tmp_path / "repro" / "layers").is_dir() is bool(layers)
    assert ("Its layers are in `layers/`." in (tmp_path / "repro" / "ISSUE.md").read_text()) is bool(layers)


def test_a_process_that_a_handler_starts_in_a_repro_finds_its_modules_in_the_layers(
    scf_runtime: ScfRuntime, code: Path, tmp_path: Path
) -> None:
    runner = textwrap.dedent(RUNNER.replace("time.sleep(1)", "time.sleep(0)")) + "\nimport sys\nwork(sys.argv[1])\n"
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "runner.py").write_text(runner)
    found_by_repro(scf_runtime, code, IN_CHILD, [tmp_path / "layer"], tmp_path / "repro")


@pytest.mark.sandbox
def test_there_is_no_repro_of_what_reads_its_layer_at_opt(code: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "rows").write_text("2")
    runner = RUNNER.replace("range(done, 2)", 'range(done, int(open("/opt/rows").read()))')
    (code / "runner.py").write_text(textwrap.dedent(runner))
    (code / "index.py").write_text(textwrap.dedent(RESUMES))
    with ScfRuntime(ScfSettings(sandbox="namespaces"), lookup=["/"]) as runtime:
        function = runtime.deploy(code, handler="index.main_handler", layers=[tmp_path / "layer"])
        sweep = runtime.sweep(function, each_run=each_run, how="forced")
        with pytest.raises(ScfUsageError, match=r"'/opt/rows'; of its layers \(layer\) it has a copy, not at /opt$"):
            sweep.failures[0].write_repro(tmp_path / "repro")
    assert not (tmp_path / "repro").exists()
