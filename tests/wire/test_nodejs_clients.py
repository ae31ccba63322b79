"""The same calls through clients in Node.js, which `make wire` installs: the official SDK, and that of Serverless."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wire_cases import CASES, EXPORT, SETTINGS, Answered, Client, check, prepare

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings

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
