"""Kills a training job, or stops it with SIGTERM, at every point, and starts it again until it exits with 0."""

import pytest

from pytest_scf_async import Run, ScfRuntime, Sweep


def job_of(scf_runtime: ScfRuntime, program: str, in_process: bool):
    command = ["python", f"programs/{program}.py", "--out", "{path}", "--epochs", "2"]
    return scf_runtime.deploy_image(command, port=-1, in_process=in_process)


def each_run(run: Run):
    yield dict[str, str]()


def findings(sweep: Sweep):
    """What goes wrong, and the program's call at which it does; at a line the message of the report names that, too."""
    wrong = {(kind.value, run.how) for run in sweep.runs for kind in run.kinds}
    return {kind_and_how for kind_and_how in wrong if ">" not in kind_and_how[1]}


@pytest.mark.parametrize("in_process", [True, False])
def test_a_checkpoint_that_is_written_in_place_is_torn_and_exit_code_0_ends_the_training(
    scf_runtime: ScfRuntime, in_process: bool
):
    sweep = scf_runtime.sweep(job_of(scf_runtime, "train", in_process=in_process), each_run=each_run)

    assert {("never finishes", "forced"), ("lost", "graceful")} <= findings(sweep)
    assert "NEVER FINISHES: killed " in sweep.report
    assert "write checkpoint.json.new, then " in sweep.report  # the fix
    assert "exited with 0, which says that its work is done" in sweep.report
    with pytest.raises(AssertionError):
        sweep.assert_survives()


def test_one_that_renames_its_checkpoint_and_exits_with_143_survives(scf_runtime: ScfRuntime):
    sweep = scf_runtime.sweep(job_of(scf_runtime, "fixed", in_process=False), each_run=each_run)

    sweep.assert_exactly_once()
