"""A Celery worker as an image's program, whose broker is a real redis-server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.once, pytest.mark.redis_server]

TASKS = """
import os, time
from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS"], backend=os.environ["REDIS"], broker_connection_retry_on_startup=True)

@app.task
def export(number):
    for step in range(2):
        time.sleep(1)
        os.write(1, b"task %d, step %d\\n" % (number, step))
"""
SENDS = "import sys, tasks; [tasks.export.delay(number) for number in range(2)]"


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_worker_takes_its_tasks_and_is_stopped(
    runtime: ScfRuntime, tmp_path: Path, redis_port: int, pool: str
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    environment = {"REDIS": f"redis://127.0.0.1:{redis_port}/0", "C_FORCE_ROOT": "1"}
    subprocess.run([sys.executable, "-c", SENDS], cwd=tmp_path, env=environment, check=True)
    command = ["python", "-m", "celery", "-A", "tasks", "worker", "--pool", pool, "--concurrency", "1"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    function = runtime.deploy_image(
        command,
        cwd=tmp_path,
        port=-1,
        ports=[redis_port],
        idle_ok=[f"127.0.0.1:{redis_port}"],
        environment=environment,
    )

    event = function.invoke_async()
    # Each second the worker asks for tasks (BRPOP), which holds the clock for a real second as long as there is none.
    for number in range(2):
        for step in range(2):
            event.wait_for_log(f"task {number}, step {step}")
    event.stop(within=30, exit_ok=True)
