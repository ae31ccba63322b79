"""The steps of scripts: what they take, how they are shown, and what is refused when a function is deployed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_scf_async import ScfRuntime
from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.scripted import after, exited, failed, finished, logged, running_for, timed_out

# once: rules of our own: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (running_for(7200), "running_for(7200)"),
        (running_for(timedelta(hours=2)), "running_for(datetime.timedelta(seconds=7200))"),
        (logged("row 1"), "logged('row 1')"),
        (finished(), "finished()"),
        (finished({"rows": 20}), "finished({'rows': 20})"),
        (failed(), "failed()"),
        (failed(443, message="boom"), "failed(443, message='boom')"),
        (failed(message="full", error_type="OSError"), "failed(message='full', error_type='OSError')"),
        (exited(), "exited()"),
        (timed_out(), "timed_out()"),
        (after(60), "after(60)"),
        (after(0, exited()), "after(0, exited())"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_step_is_shown_as_it_is_written(step: object, shown: str) -> None:
    assert repr(step) == shown


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: running_for(-5), "running_for(duration) is -5, which is negative; simulated time moves only forward"),
        (lambda: running_for("5"), "running_for(duration) is '5' of type str; it must be seconds (int or float) or a"),
        (lambda: after(-1), "after(duration) is -1, which is negative"),
        (
            lambda: after(5, running_for(5)),
            "after(5, running_for(5)): then=running_for(5) is not valid: it must be finished",
        ),
        (lambda: after(5, timed_out()), "after(5, timed_out()): then=timed_out() is not valid"),
        (lambda: logged(5), "logged(text) is 5 of type int; it must be a str"),
        (lambda: finished({1, 2}), "finished(result) is {1, 2}, which JSON cannot write: Object of type set is not"),
        (lambda: finished("\ud800"), "which JSON cannot write"),
        (
            lambda: finished("x" * 6_291_455),
            "finished(result) has 6,291,457 bytes of JSON, and the platform allows 6 MB",
        ),
        (lambda: failed(431), "failed(431): status_code=431 is not valid: an event ends FAILED with 405, 407, 430, "),
        (lambda: failed("430"), "status_code='430' is not valid: an event ends FAILED with"),
        (lambda: failed(200), "failed(200): status_code=200 is not valid: an event that succeeds is finished(result)"),
        (
            lambda: failed(433),
            "status_code=433 is not valid: an event that reaches the function's timeout is timed_out()",
        ),
        (
            lambda: failed(499),
            ("status_code=499 is not valid: an event becomes ABORTED by a forced termination, which is not"),
        ),
        (lambda: failed(202), "failed(202): status_code=202 is not valid: an event ends FAILED with 405"),
        (lambda: failed(432), "ResourceLimitReached refuses an invocation, and then there is no event; an event ends"),
        (lambda: failed(443, error_type="OSError"), "error_type is the type of an exception, which is 430 and not 443"),
        (lambda: failed(message=""), "failed(message=''): message='' is not valid: it must be a non-empty string"),
    ],
)
def test_what_a_step_refuses(make, sentence: str) -> None:
    with pytest.raises(ScfUsageError) as refusal:
        make()
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_largest_result() -> None:
    assert finished("x" * 6_291_454) is not None


RULES = "and its last step must end the event: finished(), failed(430), exited() or timed_out()"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"script": []}, f"script=[] (deploy_scripted(...)) is not valid: it has no step, {RULES}"),
        (
            {"script": [running_for(60)]},
            f"script=[running_for(60)] (deploy_scripted(...)) is not valid: it ends with running_for(60), {RULES}",
        ),
        (
            {"script": "finished"},
            "script='finished' (deploy_scripted(...)) is not valid: it must be a list of steps, as in",
        ),
        (
            {"script": finished()},
            "script=finished() (deploy_scripted(...)) is not valid: it must be a list of steps, as in",
        ),
        ({"script": {finished()}}, "is not valid: it must be a list of steps, as in [running_for(60), finished()]"),
        (
            {"script": [running_for(60), finished]},
            "script[1] (deploy_scripted(...)) is the function finished, not a step: call it, as in finished()",
        ),
        (
            {"script": [failed, finished()]},
            "script[0] (deploy_scripted(...)) is the function failed, not a step: call it, as in failed()",
        ),
        (
            {"script": [60, finished()]},
            "script[0]=60 (deploy_scripted(...)) is not valid: it must be a step, such as running_for",
        ),
        (
            {"script": [after(60), finished()]},
            "script[0]=after(60) (deploy_scripted(...)) is not valid: it must be a step",
        ),
        (
            {"script": [finished(), running_for(5)]},
            "script[1]=running_for(5) (deploy_scripted(...)) is not valid: it comes after finished(), which ends the",
        ),
        ({"script": [timed_out(), finished()]}, "script[1]=finished() (deploy_scripted(...)) is not valid: it comes"),
        (
            {"on_terminate": "honor"},
            "on_terminate='honor' (deploy_scripted(...)) is not valid: it must be 'honour', 'ignore'",
        ),
        (
            {"on_terminate": 60},
            "on_terminate=60 (deploy_scripted(...)) is not valid: it must be 'honour', 'ignore' or after(",
        ),
        (
            {"by_event": [[finished()]]},
            "is not valid: it must be None, or a mapping of indexes in function.events to scripts",
        ),
        (
            {"by_event": {"0": [finished()]}},
            "by_event has the key '0' (deploy_scripted(...)), which is not valid: it must be",
        ),
        ({"by_event": {-1: [finished()]}}, "by_event has the key -1 (deploy_scripted(...)), which is not valid"),
        (
            {"by_event": {1: [logged("a")]}},
            "by_event[1]=[logged('a')] (deploy_scripted(...)) is not valid: it ends with",
        ),
        ({"timeout": -1}, "timeout=-1 (deploy_scripted(...)) is not valid"),
        (
            {"memory": 128},
            "deploy_scripted(...) has no keyword 'memory' (valid keywords: name, script, on_terminate, by_event",
        ),
        ({"name": "2"}, "name='2' (deploy_scripted(...)) is not valid"),
    ],
)
def test_what_a_deployment_refuses(given: dict[str, object], sentence: str) -> None:
    with ScfRuntime() as runtime:
        with pytest.raises(ScfUsageError) as refusal:
            runtime.deploy_scripted(**{"name": "export", "script": [finished()], **given})
        assert sentence in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert runtime.functions == {}


def test_a_name_that_is_taken() -> None:
    with ScfRuntime() as runtime:
        runtime.deploy_scripted("export", [finished()])
        with pytest.raises(ScfUsageError, match=r"name='export' \(deploy_scripted\(\.\.\.\)\) is taken"):
            runtime.deploy_scripted("export", [finished()])
        assert runtime.deploy_scripted("export", [finished()], namespace="other").namespace == "other"
