"""Clients in Node.js, which `make wire` installs: the official SDK, that of Serverless, and its component toolkit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wire_cases import CASES, EXPORT, SETTINGS, Answered, Client, check, prepare

from pytest_scf_async import ScfAsyncWarning, ScfEndpoint, ScfRuntime, ScfSettings

PACKAGES = Path(sys.prefix) / "node" / "node_modules"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not PACKAGES.exists(),
    reason="needs Node.js and npm, with which make wire installs these clients",
)


@pytest.fixture
def scf_settings() -> ScfSettings:
    return SETTINGS


@contextmanager
def nodejs(kind: str, endpoint: ScfEndpoint, **settings: Any) -> Iterator[Client]:
    """A process of Node.js with one client."""
    settings = {
        "endpoint": endpoint.address,
        "id": endpoint.secret_id,
        "key": endpoint.secret_key,
        "region": endpoint.region,
        **settings,
    }
    process = subprocess.Popen(
        ["node", Path(__file__).parent / "node" / "client.js", kind, json.dumps(settings)],
        env={**os.environ, "NODE_PATH": str(PACKAGES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def call(action: str, sent: Mapping[str, Any]) -> Answered:
        print(json.dumps({"action": action, "parameters": sent}), file=process.stdin, flush=True)
        line = process.stdout.readline()
        assert line, "the client ended"
        answered = json.loads(line)
        return (answered["answer"], None) if "answer" in answered else (answered["message"], answered["code"])

    try:
        yield call
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("signature", ["TC3-HMAC-SHA256", "HmacSHA256"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_sdk_for_nodejs(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, method: str, signature: str) -> None:
    prepared = prepare(scf_runtime)

    with nodejs("sdk", scf_endpoint, method=method, signature=signature) as call:
        for case in CASES:
            check(case, prepared, call)

    assert [entry.error for entry in scf_endpoint.calls] == [case.error for case in CASES]
    assert all(entry.client.startswith("SDK_NODEJS_") for entry in scf_endpoint.calls)


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en-US", "Limit=0 is not valid: it must be a whole number from 1 to 100."),
        (
            "zh-CN",
            "Limit取值与规范不符，请修正后再试。(Limit=0 is not valid: it must be a whole number from 1 to 100.)",
        ),
    ],
    ids=["English", "Chinese"],
)
def test_the_language_of_the_sdk(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, language: str, message: str
) -> None:
    scf_runtime.deploy(EXPORT, name="export")

    with nodejs("sdk", scf_endpoint, method="POST", signature="TC3-HMAC-SHA256", language=language) as call:
        refused = call("ListAsyncEvents", {"FunctionName": "export", "Limit": 0})

    assert refused == (message, "InvalidParameterValue.Limit")


@pytest.mark.parametrize(
    ("signature", "method"),
    [("TC3-HMAC-SHA256", "POST"), ("HmacSHA256", "POST"), ("HmacSHA1", "POST"), ("HmacSHA1", "GET")],
)
def test_capi(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, method: str, signature: str) -> None:
    """Its forms are in a body that is declared as JSON, with ``Action`` among the parameters."""
    prepared = prepare(scf_runtime)

    with nodejs("capi", scf_endpoint, method=method, signature=signature) as call:
        for case in CASES:
            check(case, prepared, call)

    assert [entry.error for entry in scf_endpoint.calls] == [case.error for case in CASES]
    assert {entry.client for entry in scf_endpoint.calls} == {"TENCENT_SDK_CAPI"}


HANDLER = """
import os

def main_handler(event, context):
    return {"version": 1, "bucket": os.environ.get("BUCKET")}
"""


def put_object(buckets: Path, version: int) -> None:
    """Have the code of a *version* lie in the bucket ``exports``, as ``code.zip``."""
    bucket = buckets / "exports"
    bucket.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(bucket / "code.zip", "w") as archive:
        archive.writestr("index.py", HANDLER.replace('"version": 1', f'"version": {version}'))


@pytest.fixture
def toolkit(tmp_path: Path, scf_settings: ScfSettings) -> Iterator[tuple[ScfRuntime, ScfEndpoint, Client]]:
    """The component toolkit, with buckets in a directory of this test."""
    put_object(tmp_path, 1)
    settings = scf_settings.replace("test", cos_directory=tmp_path)
    with (
        ScfRuntime(settings, seed="toolkit") as runtime,
        ScfEndpoint(runtime) as endpoint,
        nodejs("toolkit", endpoint) as call,
    ):
        yield runtime, endpoint, call


@pytest.mark.filterwarnings("always::pytest_scf_async.ScfAsyncWarning")
def test_the_component_toolkit(
    toolkit: tuple[ScfRuntime, ScfEndpoint, Client], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    runtime, endpoint, call = toolkit
    inputs = {
        "name": "export",
        "namespace": "default",
        "code": {"bucket": "exports", "object": "code.zip"},
        "handler": "index.main_handler",
        "runtime": "Python3.10",
        "description": "exports pages",
        "timeout": 7200,
        "memorySize": 256,
        "asyncRunEnable": True,
        "traceEnable": True,
        "environment": {"variables": {"BUCKET": "exports"}},
        "role": "SCF_QcsRole",
        "vpcConfig": {"vpcId": "vpc-1", "subnetId": "subnet-1"},
        "eip": True,
        "publish": True,
    }

    def run() -> Any:
        answer, error = call("invoke", {"functionName": "export", "clientContext": {"page": 1}})
        assert error is None, answer
        return runtime.event(answer["RequestId"]).wait().result

    deployed, error = call("deploy", inputs)
    assert error is None, deployed
    assert deployed["Environment"] == {"Variables": [{"Key": "BUCKET", "Value": "exports"}]}
    assert deployed["EipConfig"] == {"EipFixed": "TRUE", "Eips": []}
    assert deployed["PublicNetConfig"]["EipConfig"] == {"EipStatus": "ENABLE", "EipAddress": []}
    assert (deployed["Role"], deployed["InstallDependency"], deployed["L5Enable"]) == ("SCF_QcsRole", "FALSE", "FALSE")
    assert (deployed["VpcConfig"], deployed["LastVersion"]) == ({"VpcId": "vpc-1", "SubnetId": "subnet-1"}, "1")
    assert run() == {"version": 1, "bucket": "exports"}

    put_object(tmp_path, 2)
    updated, error = call("deploy", {**inputs, "timeout": 60, "environment": {}, "layers": [], "publish": False})
    assert error is None, updated
    assert run() == {"version": 2, "bucket": None}

    got, error = call("get", {"functionName": "export"})
    assert (got["Timeout"], got["Environment"], got["Layers"]) == (60, {"Variables": []}, [])
    assert call("remove", {"functionName": "export"}) == (True, None)
    assert call("get", {"functionName": "export"}) == (None, None)
    assert list(runtime.functions) == []
    warned = [str(each.message).partition(",")[0] for each in recwarn if each.category is ScfAsyncWarning]
    assert sorted(warned) == ["AsyncRunEnable", "DeployMode", "DiskSize", "ShowTriggers"]
    assert {each.client for each in endpoint.calls} == {"ServerlessComponentV2"}


@pytest.mark.filterwarnings("always::pytest_scf_async.ScfAsyncWarning")
def test_an_object_that_is_not_there(toolkit: tuple[ScfRuntime, ScfEndpoint, Client]) -> None:
    inputs = {"name": "export", "code": {"bucket": "exports", "object": "none.zip"}, "runtime": "Python3.10"}

    message, code = toolkit[2]("deploy", inputs)

    assert code == "ResourceNotFound.CosObject"
    assert "The bucket 'exports' has no object 'none.zip'." in message
