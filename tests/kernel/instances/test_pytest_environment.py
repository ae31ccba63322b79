"""What pytest's own environment has (credentials, say) is in no process between it and a handler."""

from __future__ import annotations

import os
import secrets

import pytest
from internals import close_shared_zygote

# once: the test's side: the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]

OWN = """
    import os, time

    def main_handler(event, context):
        time.sleep(1)
        return [name for name, value in os.environ.items() if event in value]
"""


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def environment_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


def test_only_pytest_itself_has_its_environment(deploy, monkeypatch: pytest.MonkeyPatch):
    canary = secrets.token_hex(8)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", canary)
    close_shared_zygote()  # the next one is started with that environment around it

    event = deploy(OWN).invoke_async(canary).settle()

    pid = event.instance.pid
    for _ in ("the instance", "the zygote", "its reaper"):
        found = environment_of(pid)
        assert found
        assert canary.encode() not in found
        pid = parent_of(pid)
    assert pid == os.getpid()
    assert event.wait().result == []
