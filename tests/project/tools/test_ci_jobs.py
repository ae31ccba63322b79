""".ci/jobs.sh: how a job of CI in the background has ended is known, also when the shell itself has forgotten it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from package_checks import PROJECT

# once: a shell
pytestmark = pytest.mark.once

ENDS = {
    "well": ("echo said", 0),
    "with an exit code": ("echo said; exit 3", 3),
    "at a command that fails": ("echo said; false; echo too much", 1),
    "in a function": ("echo said; inner", 4),
    "killed": ("echo said; kill -KILL $BASHPID", 1),
}
SCRIPT = """
set -euo pipefail
SCRATCH=$1
. .ci/jobs.sh
inner() { return 4; }
job() { %s; }
begin_job one job
begin_job other true
%s
code=0
end_job one || code=$?
end_job other
echo "code $code, left: ${!job_of[*]}"
"""
FORGETS = "wait ${job_of[one]} || true; job_of[one]=1"
"""The id is that of no child of the shell, as where it has become that of another one, which has ended, too."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("between", ["", FORGETS], ids=["remembered", "forgotten"])
def test_its_exit_code_and_its_output_are_those_of_the_job(tmp_path: Path, end: str, between: str) -> None:
    body, code = ENDS[end]
    command = ["bash", "-c", SCRIPT % (body, between), "bash", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["said", f"code {code}, left: "]
