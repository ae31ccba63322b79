"""A function over its memory limit, the update that fixes it, and the old version, which callers can still name."""

from datetime import timedelta

from pytest_scf_async import ScfRuntime, SimulatedClock, assert_failed, assert_finished, assert_logged


def test_too_many_rows_end_with_434(scf_runtime: ScfRuntime):
    function = scf_runtime.deploy("handlers/statement.py:main_handler", memory=128)

    event = function.invoke_async({"rows": 5_000}).wait()

    assert_failed(event, code=434)
    assert_logged(event, "row 1000")
    assert event.duration is not None
    assert event.duration < timedelta(seconds=20)


def test_an_update_leaves_what_runs_alone(scf_runtime: ScfRuntime, scf_clock: SimulatedClock):
    function = scf_runtime.deploy("handlers/statement.py:main_handler", memory=128)
    function.publish_version()  # "1", which never changes
    function.create_alias("prod", "1")
    running = function.invoke_async({"rows": 300}, qualifier="prod")
    scf_clock.advance(2.5)

    function.update("handlers/statement_v2.py:main_handler", timeout=3600)
    assert function.run({"rows": 5_000}) == {"version": "$LATEST", "bytes": 500_000_000}
    assert_finished(running.wait(), result={"version": "1", "bytes": 30_000_000})

    function.update_alias("prod", function.publish_version())
    assert function.run({"rows": 5_000}, qualifier="prod")["version"] == "2"
