"""Creating, Updating, Publishing and Deleting: states of a function that last, where a test sets it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError, ScfUsageError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

WORKS = "import time\ndef main_handler(event, context): time.sleep(event or 0); return context['function_version']\n"
STATUS_ERROR = "FailedOperation.FunctionStatusError"


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


@pytest.fixture
def timed(make_runtime):
    return make_runtime(function_states="timed", function_state_time=5)


@pytest.fixture
def active(timed, deploy):
    """A function that is Active since 5 seconds after START."""
    function = deploy(WORKS, to=timed, name="export")
    timed.clock.advance(5)
    return function


def test_a_function_is_active_at_once_unless_a_test_asks(deploy, runtime):
    function = deploy(WORKS)
    assert (function.status, function.run()) == ("Active", "$LATEST")
    function.update(timeout=5)
    assert (function.publish_version(), function.status) == ("1", "Active")


def test_a_function_that_is_being_created_cannot_be_used(timed, deploy):
    function = deploy(WORKS, to=timed, name="export")
    assert function.status == timed.get_function("export").status == "Creating"
    assert timed.list_functions(filters={"Status": ["Creating"]}).total_count == 1

    assert refused(function.invoke_async) == STATUS_ERROR
    assert refused(timed.invoke, "export") == STATUS_ERROR
    assert refused(function.update, timeout=5) == STATUS_ERROR
    assert refused(timed.update_function_configuration, "export", timeout=5) == STATUS_ERROR
    assert refused(function.publish_version) == "FailedOperation.PublishVersion"
    assert refused(function.delete) == "FailedOperation.DeleteFunction"
    assert (function.events, function.versions) == ([], ["$LATEST"])

    timed.clock.advance(4.999999)
    assert refused(function.invoke_async) == STATUS_ERROR
    timed.clock.advance(0.000001)
    assert (function.status, function.run()) == ("Active", "$LATEST")


def test_while_it_is_updated_published_versions_can_be_invoked(timed, active):
    active.publish_version()
    timed.clock.advance(5)
    active.update(timeout=5)

    assert active.status == "Updating"
    assert refused(active.invoke_async) == STATUS_ERROR
    assert refused(active.update, timeout=6) == STATUS_ERROR
    assert refused(active.publish_version) == "FailedOperation.PublishVersion"
    assert active.run(qualifier="1") == "1"
    timed.clock.advance(5)
    assert (active.status, active.run()) == ("Active", "$LATEST")


def test_an_event_that_runs_is_not_touched_by_an_update(timed, active):
    event = active.invoke_async(60).settle()
    active.update(timeout=100)
    assert event.wait().result == "$LATEST"


def test_a_version_that_is_being_published(timed, active):
    active.publish_version()

    assert active.status == "Publishing"
    assert [(row.version, row.status) for row in active.list_versions().versions] == [
        ("$LATEST", "Publishing"), ("1", "Publishing"),
    ]  # fmt: skip
    assert refused(active.invoke_async, qualifier="1") == STATUS_ERROR
    assert active.invoke_async(1).wait().status == "FINISHED"  # $LATEST is there
    assert refused(active.update, timeout=5) == STATUS_ERROR
    timed.clock.advance(4)
    assert active.run(qualifier="1") == "1"
    assert [row.status for row in active.list_versions().versions] == ["Active", "Active"]


def test_an_update_publishes_what_it_makes(timed, active):
    timed.update_function_configuration("export", timeout=9, publish="TRUE")
    assert (active.status, active.versions) == ("Updating", ["$LATEST", "1"])
    timed.clock.advance(5)
    assert timed.get_function("export", qualifier="1").configuration.timeout == 9


def test_a_function_that_is_being_deleted_is_there_until_it_is_gone(timed, active):
    event = active.invoke_async(60).settle()
    active.delete()

    assert (event.status, event.status_code) == ("ABORTED", 499)
    assert timed.get_function("export").status == "Deleting"
    assert refused(timed.invoke, "export") == STATUS_ERROR
    assert refused(timed.update_function_configuration, "export", timeout=5) == STATUS_ERROR
    assert "export" in timed.functions
    timed.clock.advance(5)
    assert timed.functions == {}
    assert refused(timed.get_function, "export") == "ResourceNotFound.Function"


def test_a_name_is_free_when_its_function_is_gone(timed, active, deploy):
    active.delete()
    with pytest.raises(ScfUsageError, match="is taken"):
        deploy(WORKS, to=timed, name="export")
    timed.clock.advance(5)
    assert deploy(WORKS, to=timed, name="export").added_at == START + timedelta(seconds=10)


def test_a_queued_event_waits_for_an_update(timed, deploy):
    function = deploy(WORKS, to=timed, name="one", max_instances=1, over_quota="queue")
    timed.clock.advance(5)
    function.invoke_async(30)
    queued = function.invoke_async(0)
    timed.clock.advance(58)
    function.update(timeout=100)  # Active again 63 s after the invocations
    assert queued.wait().started_at == START + timedelta(seconds=5 + 120)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"function_states": "slow"}, "function_states='slow'"),
        ({"function_state_time": 0}, "function_state_time=0"),
        ({"function_state_time": "2"}, "function_state_time='2'"),
    ],
)
def test_what_can_be_no_setting(make_runtime, settings, text):
    with pytest.raises(ScfUsageError, match=text):
        make_runtime(**settings)
