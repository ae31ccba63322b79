"""The official client of Python finds the endpoint where nothing of Python is patched: in programs, and in children."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_support import program

from pytest_scf_async import ScfEndpoint, ScfRuntime
from pytest_scf_async.scripted import finished

POLLS = """
from tencentcloud.common.credential import Credential
from tencentcloud.scf.v20180416 import models
from tencentcloud.scf.v20180416.scf_client import ScfClient

def main_handler(event, context):
    client = ScfClient(Credential(event["id"], event["key"]), "ap-guangzhou")
    request = models.GetAsyncEventStatusRequest()
    request.InvokeRequestId = event["of"]
    return client.GetAsyncEventStatus(request).Result.Status
"""
ANSWERS = f"{POLLS}\nhandle = lambda event, request: main_handler(event, None)\n"
CHILD_POLLS = """
import json, subprocess, sys

def main_handler(event, context):
    code = "import json, sys, polls; print(polls.main_handler(json.loads(sys.argv[1]), None))"
    command = [sys.executable, "-c", code, json.dumps(event)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
"""


@pytest.mark.parametrize("kind", ["image", "simulated children", "simulated child"])
def test_the_official_client_where_nothing_is_patched(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path, kind: str
) -> None:
    event = scf_runtime.deploy_scripted("done", [finished()]).invoke_async().wait()
    (tmp_path / "polls.py").write_text(POLLS)
    (tmp_path / "parent.py").write_text(CHILD_POLLS)
    (tmp_path / "app.py").write_text(program(ANSWERS))
    if kind == "image":
        polling = scf_runtime.deploy_image(["python", "app.py"], cwd=tmp_path)
    else:
        file = tmp_path / ("parent.py" if kind == "simulated child" else "polls.py")
        polling = scf_runtime.deploy(f"{file}:main_handler", children="simulated")

    answer = polling.run({"of": event.request_id, "id": scf_endpoint.secret_id, "key": scf_endpoint.secret_key})

    assert str(answer).strip() == "FINISHED"


def test_a_real_child_of_a_handler_is_refused(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "polls.py").write_text(POLLS)
    (tmp_path / "parent.py").write_text(CHILD_POLLS)
    event = scf_runtime.deploy(f"{tmp_path}/parent.py:main_handler").invoke_async({"of": "x", "id": "i", "key": "k"})
    event.wait()

    assert "Connection refused" in str(event.log)
    assert scf_endpoint.calls == []
