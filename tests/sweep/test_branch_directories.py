"""What a branch writes, no other process of the sweep sees: its runs end as those that are made from the beginning."""

from __future__ import annotations

from typing import Any

import pytest
from internals import sweep_of_function
from sweeping import Deploy, each_run

from pytest_scf_async import ScfRuntime, ScfSettings

HANDLER = """
    import os, shutil, signal
    from pytest_scf_async.inside import record

    OUT = os.environ["OUT"]
    stopped = False

    def on_sigterm(signum, frame):
        global stopped
        stopped = True
        {listener}

    def add(path, text):
        with open(path, "a") as file:
            file.write(text)

    def content(path):
        if os.path.isdir(path):
            return {{name: content(f"{{path}}/{{name}}") for name in sorted(os.listdir(path))}}
        with open(path) as file:
            return [file.read(), os.stat(path).st_mode]

    def main_handler(event, context):
        signal.signal(signal.SIGTERM, on_sigterm)
        record("begun")
        {begin}
        for number in range(2):
            {work}
            if stopped:
                break
        found = []
        for place in (OUT, "/tmp", "/dev/shm"):
            names = os.listdir(place) if os.path.isdir(place) else ()
            found.append({{name: content(f"{{place}}/{{name}}") for name in sorted(names) if name.startswith("job")}})
        return [os.getcwd().replace(OUT, "OUT"), os.stat(OUT).st_mode, os.stat("/tmp").st_mode, found]
"""
CASES = {
    "files that are open": (
        "files = [open(path, 'a+') for path in (OUT + '/job', '/tmp/job', '/tmp/job-2')]; os.unlink('/tmp/job-2')",
        "for each in files: each.write('x'); each.flush(); each.seek(0); add('/tmp/job-read', each.read())",
        "add('/tmp/job', 'stop;'); add(OUT + '/job', 'stop;')",
    ),
    "files that are removed and made": (
        "os.makedirs('/tmp/job/below', exist_ok=True); add('/tmp/job/below/one', '1'); add(OUT + '/job', '1')",
        "add('/tmp/job/below/one', f'{number};'); add(f'{OUT}/job-{number}', 'x')",
        "shutil.rmtree('/tmp/job'); os.makedirs('/tmp/job/below'); os.unlink(OUT + '/job'); os.mkdir('/tmp/job-new')",
    ),
    "shared memory": (
        "add('/dev/shm/job', 'begun;')",
        "add('/dev/shm/job', f'{number};')",
        "add('/dev/shm/job', 'stop;'); add('/dev/shm/job-new', 'x')",
    ),
    "the working directory": (
        "os.makedirs(OUT + '/job-in', exist_ok=True); os.chdir(OUT + '/job-in')",
        "add('job', f'{number};')",
        "add('job', 'stop;'); os.chdir('/tmp'); add('job', 'stop;')",
    ),
    "the run's own directory": (
        "add(OUT + '/job', 'begun;')",
        "os.makedirs(OUT, exist_ok=True); add(OUT + '/job', f'{number};')",
        "shutil.rmtree(OUT)",
    ),
    "permissions": (
        "os.makedirs('/tmp/job', exist_ok=True); os.chmod('/tmp', 0o755)",
        "add('/tmp/job-modes', f'{os.stat(OUT).st_mode}, {os.stat(\"/tmp\").st_mode};')",
        "os.chmod(OUT, 0o500); os.chmod('/tmp', 0o500)",
    ),
    "permissions at the next cold start": ("len('x')", "len('x')", "os.chmod(OUT, 0o500); os._exit(3)"),
    "a directory that cannot be written to": (
        "os.makedirs('/tmp/job/below', exist_ok=True); os.chmod('/tmp/job', 0o500)",
        "len('x')",
        "os.chmod('/tmp/job', 0o700); add('/tmp/job/one', 'stop;')",
    ),
}


@pytest.fixture
def scf_settings(scf_settings: ScfSettings) -> ScfSettings:
    """With mount namespaces, also where other tests run without: there are no branches else."""
    return scf_settings.replace("test", sandbox="namespaces")


def outcomes(sweep: Any) -> dict[str, Any]:
    return {
        run.key: (
            *(run.outcome.effects, run.outcome.done, run.outcome.listened),
            [(each.status, each.status_code, each.seconds, each.cold) for each in run.outcome.attempts],
        )
        for run in sweep.runs
    }


@pytest.mark.sandbox
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("without_second_stops")
def test_runs_end_as_they_do_from_the_beginning(
    scf_runtime: ScfRuntime, deployed: Deploy, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    begin, work, listener = CASES[case]
    function = deployed(HANDLER.format(begin=begin, work=work, listener=listener))

    def swept() -> Any:
        return scf_runtime.sweep(function, each_run=each_run, attempts=2)

    monkeypatch.setattr(sweep_of_function, "_REPEATED", 0)
    sweep = swept()
    branched = [run for run in sweep.runs if run.outcome.branched and run.how == "graceful"]
    assert len(branched) > 10
    monkeypatch.setattr(sweep_of_function, "_FEW", 1_000_000)
    again = swept()
    assert not any(run.outcome.branched for run in again.runs)
    assert outcomes(sweep) == outcomes(again)


@pytest.mark.sandbox
@pytest.mark.usefixtures("without_second_stops")
def test_a_process_that_a_branch_leaves_is_killed_before_anything_else_runs(
    scf_runtime: ScfRuntime, deployed: Deploy
) -> None:
    function = deployed(
        """
        import os, signal
        left = os.environ["OUT"] + "/left"

        def on_sigterm(signum, frame):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                while True:
                    with open(left, "a") as file:
                        file.write("x")
            while not os.path.exists(left):
                pass
            os._exit(3)

        def main_handler(event, context):
            signal.signal(signal.SIGTERM, on_sigterm)
            for _ in range(10):
                len("x")
            return os.path.exists(left)
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, compares_nothing=True)

    left = {run.how for run in sweep.runs if run.kinds}
    assert left == {"graceful"}, "a process that went on has written to what another run found"
    assert sum(run.outcome.branched for run in sweep.runs if run.how == "forced") > 20
