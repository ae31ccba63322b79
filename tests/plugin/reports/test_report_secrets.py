"""No value of a function's environment gets into what the plugin prints or writes."""

from __future__ import annotations

import pytest
from plugin_support import ALONE_AND_WITH_A_WORKER, run_with

# once: pytest's side: the same on all Pythons
pytestmark = pytest.mark.once

CANARY = "canary-5e1f"
HANDLER = """
    import os, time

    def main_handler(event, context):
        assert os.environ["PASSWORD"].startswith("canary")
        print("has it")
        if event == "raise":
            raise ValueError("boom")
        if event == "sleep":
            time.sleep(3600)
"""
# The value is put together, so that what pytest shows of the test's own source does not have it.
SOURCE = """
    import pytest
    from pytest_scf_async import ScfSettings, assert_finished

    SECRET = {"PASSWORD": "canary" + "-5e1f"}

    @pytest.fixture
    def scf_settings():
        return ScfSettings(environment={"OTHER": "canary" + "-5e1f"})

    @pytest.mark.parametrize("payload", ["raise", "sleep", None])
    def test_fails(scf_runtime, scf_settings, payload):
        function = scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET)
        event = function.invoke_async(payload).settle()
        assert function.configuration == scf_settings

    def test_helper(scf_runtime):
        event = scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET).invoke_async("raise").wait()
        assert_finished(event)

    def test_unchecked(scf_runtime):
        scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET).invoke_async("raise").wait()

    def test_result(scf_runtime):
        scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET).run("raise")

    def test_gate(scf_runtime):
        function = scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET)
        function.invoke_async().wait_for_log("never")

    BAD = {"name": {**SECRET, 1: ""}, "value": {"PASSWORD": b"canary" + b"-5e1f"}, "no mapping": list(SECRET.items())}

    @pytest.mark.parametrize("what", BAD)
    def test_refused(scf_runtime, what):
        scf_runtime.deploy("handlers/secret.py:main_handler", environment=BAD[what])

    def test_refused_beside_another(scf_runtime):
        scf_runtime.deploy("handlers/secret.py:main_handler", environment=SECRET, timeout=-1)

    @pytest.mark.scf_function("handlers/secret.py:main_handler", environment=SECRET, time_out=3)
    def test_marker(async_event): pass
"""


@ALONE_AND_WITH_A_WORKER
def test_a_password_in_the_environment_is_in_no_output(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project.path.joinpath("handlers", "secret.py").write_text(__import__("textwrap").dedent(HANDLER))
    project.makepyfile(SOURCE)
    options = ("-vv", "-rA", "--scf-async-artifacts=kept", "--scf-async-live-log", "--junitxml=junit.xml")
    result = run_with(project, workers, *options)
    result.assert_outcomes(failed=10, passed=1, errors=2)
    result.stdout.fnmatch_lines(["*has it*"])
    said = result.stdout.str() + result.stderr.str()
    assert CANARY not in said, [line for line in said.splitlines() if CANARY in line]
    files = [file for file in (*(project.path / "kept").rglob("*"), project.path / "junit.xml") if file.is_file()]
    assert len(files) > 4
    assert [file for file in files if CANARY in file.read_text(encoding="utf-8")] == []
