"""Some of the same calls through ``tccli``, a process each. `make wire` installs it, in a directory of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from wire_cases import CASES, EXPORT, SETTINGS, Answered, Client, check, prepare

from pytest_scf_async import ScfEndpoint, ScfRuntime, ScfSettings

PACKAGES = Path(sys.prefix) / "tccli"
"""It needs the SDK of all products, whose files would stand in place of those of the SDK of SCF."""
CHOSEN = (
    "the fields of an event",
    "list by two statuses",
    "list by start",
    "ListAsyncEvents an unknown function",
    "status of failed",
    "terminate unsignalled {'GraceShutdown': True}",
    "status of unsignalled",
)
"""Few, as each takes a second of a processor."""
REFUSAL = re.compile(r"\[TencentCloudSDKException\] code:(\S+) message:(.*) requestId:\S+")


@pytest.fixture
def scf_settings() -> ScfSettings:
    return SETTINGS


def tccli(endpoint: ScfEndpoint, home: Path, *also: str) -> Client:
    """The command, with credentials and the region from its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PACKAGES),
        "HOME": str(home),
        "TENCENTCLOUD_SECRET_ID": endpoint.secret_id,
        "TENCENTCLOUD_SECRET_KEY": endpoint.secret_key,
        "TENCENTCLOUD_REGION": endpoint.region,
    }

    def call(action: str, sent: Mapping[str, Any]) -> Answered:
        options = [
            option
            for name, value in sent.items()
            for option in (f"--{name}", value if isinstance(value, str) else json.dumps(value))
        ]
        done = subprocess.run(
            [PACKAGES / "bin" / "tccli", "scf", action, "--endpoint", endpoint.url, *also, *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode == 0:
            return json.loads(done.stdout), None
        refusal = REFUSAL.search(done.stderr)
        assert refusal, done.stderr
        return refusal[2], refusal[1]

    return call


def test_tccli(scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path) -> None:
    prepared = prepare(scf_runtime)
    call = tccli(scf_endpoint, tmp_path)
    chosen = [case for case in CASES if case.name in CHOSEN]
    assert [case.name for case in chosen] == list(CHOSEN)

    for case in chosen:
        check(case, prepared, call)

    assert [entry.error for entry in scf_endpoint.calls] == [case.error for case in chosen]
    assert all("_CLI_" in entry.client for entry in scf_endpoint.calls)


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
def test_its_language(
    scf_runtime: ScfRuntime, scf_endpoint: ScfEndpoint, tmp_path: Path, language: str, message: str
) -> None:
    scf_runtime.deploy(EXPORT, name="export")
    call = tccli(scf_endpoint, tmp_path, "--language", language)

    assert call("ListAsyncEvents", {"FunctionName": "export", "Limit": 0}) == (message, "InvalidParameterValue.Limit")
