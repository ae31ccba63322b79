"""The catalogue of failures: calls that a test cannot make, refused with what is valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from catalogue_support import TEXTS

# once: what a call is refused for before any code of the user runs
pytestmark = pytest.mark.once

MARKED = """
import pytest

@pytest.mark.scf_function({arguments})
def test_export(async_event):
    async_event.wait()
"""
DEPLOYS = """
def main_handler(event, context):
    return 1

def test_export(scf_runtime):
    {statement}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param('"handlers/echo.py:main_handler", timout=60', id="typo_in_a_marker_keyword"),
        pytest.param('"handlers/ecoh.py:main_handler"', id="typo_in_the_path_of_a_handler"),
        pytest.param('"handlers/echo.py"', id="path_without_a_handler"),
        pytest.param('"handlers/echo.py:main_handler", payload={1, 2}', id="payload_not_json"),
        pytest.param('"handlers/echo.py:main_handler", timeout=-5', id="negative_timeout"),
        pytest.param('"handlers/echo.py:main_handler", environment={"ROWS": 5}', id="environment_that_is_no_text"),
    ],
)
def test_marker(catalogue: Callable[..., str], arguments: str) -> None:
    catalogue(test=MARKED.format(arguments=arguments))


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param('scf_runtime.deploy(main_handler, env={"ROWS": "5"})', id="deploy_with_env"),
        pytest.param("scf_runtime.deploy(main_handler).invoke_async({1, 2})", id="invoke_with_a_payload_not_json"),
        pytest.param("scf_runtime.deploy(lambda event, context: 1)", id="lambda_as_a_handler"),
        pytest.param("scf_runtime.deploy(main_handler).update(env={})", id="update_with_env"),
        pytest.param(
            "scf_runtime.deploy(main_handler).invoke_async().terminate(graceful=True)", id="terminate_with_graceful"
        ),
        pytest.param(
            "scf_runtime.wait_all(scf_runtime.deploy(main_handler).invoke_async())", id="one_event_for_wait_all"
        ),
        pytest.param(
            'scf_runtime.deploy(main_handler).invoke_async().run_to("test_export.py:99")', id="place_not_there"
        ),
    ],
)
def test_call(catalogue: Callable[..., str], statement: str) -> None:
    catalogue(test=DEPLOYS.format(statement=statement))


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("deploy([running_for(60)])", id="script_without_an_end"),
        pytest.param("deploy([finished(), running_for(60)])", id="script_with_a_step_after_its_end"),
        pytest.param("deploy([running_for(60), finished])", id="step_that_is_not_called"),
        pytest.param("deploy([failed(432)])", id="status_code_that_no_event_ends_with"),
        pytest.param("deploy([finished()], on_terminate='honor')", id="typo_in_on_terminate"),
        pytest.param("deploy([finished()], memory=256)", id="memory_of_a_scripted_function"),
        pytest.param(
            "assert_signal_handled(deploy([finished()]).invoke_async().wait())", id="signal_handled_by_a_scripted_event"
        ),
        pytest.param("deploy([finished()]).invoke_async().wait().instance.tmp", id="tmp_of_a_scripted_event"),
        pytest.param("deploy([finished()]).invoke_async().run_to('export.py:5')", id="place_in_a_scripted_event"),
        pytest.param(
            "deploy([finished()], by_event=lambda payload: payload['rows']).invoke_async()", id="by_event_that_raises"
        ),
    ],
)
def test_scripted(catalogue: Callable[..., str], statement: str) -> None:
    test = f"""
        from functools import partial

        from pytest_scf_async import assert_signal_handled
        from pytest_scf_async.scripted import failed, finished, running_for

        def test_export(scf_runtime):
            deploy = partial(scf_runtime.deploy_scripted, "export")
            {statement}
    """
    catalogue(test=test)


def test_function_defined_in_a_test(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(scf_runtime):
            def main_handler(event, context):
                return 1

            scf_runtime.deploy(main_handler)
    """
    catalogue(test=test)


def test_fixture_without_a_marker(catalogue: Callable[..., str]) -> None:
    test = """
        def test_export(async_event):
            async_event.wait()
    """
    catalogue(test=test)


def test_typo_in_the_name_of_the_marker(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest

        @pytest.mark.scf_functon("handlers/echo.py:main_handler")
        def test_export(async_event):
            async_event.wait()
    """
    catalogue("--override-ini=addopts=", "-pno:cacheprovider", "-pno:randomly", "-Wdefault", test=test)


def test_parametrize_without_indirect(catalogue: Callable[..., str]) -> None:
    test = """
        import pytest
        from pytest_scf_async import assert_finished

        @pytest.mark.scf_function("handlers/echo.py:main_handler")
        @pytest.mark.parametrize("async_event", [{"rows": 1}])
        def test_export(async_event):
            assert_finished(async_event)
    """
    catalogue(test=test)


def test_typo_in_a_setting(catalogue: Callable[..., str]) -> None:
    conftest = """
        import pytest
        from pytest_scf_async import ScfSettings

        @pytest.fixture
        def scf_settings():
            return ScfSettings(timout=60)
    """
    catalogue(test=MARKED.format(arguments='"handlers/echo.py:main_handler"'), files={"conftest.py": conftest})


def test_every_text_that_is_kept_has_its_test() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_catalogue_*.py"))
    kept = sorted(path.stem for path in TEXTS.iterdir())
    assert len(kept) >= 25
    assert [name for name in kept if f'id="{name}"' not in sources and f"def test_{name}(" not in sources] == []
