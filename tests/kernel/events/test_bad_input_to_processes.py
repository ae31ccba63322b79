"""Bad input is one clear sentence with the value, where it came from, and what is valid."""

from __future__ import annotations

import fcntl
import math
import os
import re

import helpers_in_instances  # noqa: F401
import pytest
from process_support import grow_impatient, user_lines

from pytest_scf_async.errors import CannotEndError, HandlerError, ScfApiError, ScfUsageError

# once: the test's side: the same on all Pythons
pytestmark = pytest.mark.once

WORKS = "def main_handler(event, context): return event"
FORMS = 'it must be "path/to/file.py:main_handler", a code directory or a zip with handler="index.main_handler"'


def at_top_level(event, context):
    return "top"


class InAClass:
    def handler(self, event, context):
        return "method"


def refusal_of(call, *arguments, **options):
    with pytest.raises(ScfUsageError) as refusal:
        call(*arguments, **options)
    text = str(refusal.value)
    assert "\n" not in text
    return text


# -- the code --------------------------------------------------------------------------------------------------------


def test_a_path_that_does_not_exist_names_every_place_that_was_looked_at(runtime):
    text = refusal_of(runtime.deploy, "handlers/nothing.py:main_handler")

    assert text.startswith("code is 'handlers/nothing.py:main_handler', and there is no ")
    assert "tests/kernel/events/handlers/nothing.py" in text
    assert FORMS in text


def test_a_path_without_a_function_says_so(runtime, tmp_path):
    (tmp_path / "index.py").write_text(WORKS)

    text = refusal_of(runtime.deploy, f"{tmp_path}/index.py")

    meant = f"(did you mean '{tmp_path}/index.py:main_handler'?)"
    assert text.startswith(f"code is '{tmp_path}/index.py', which names no function {meant}; it must be ")


@pytest.mark.parametrize(
    "given", ["shop.jobs:main_handler", "shop.jobs.main_handler", "shop/jobs:main_handler", "shop/jobs.py"]
)
def test_a_module_in_place_of_a_file_is_told_the_file(runtime, tmp_path, given):
    project = tmp_path / "release-1.2"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "jobs.py").write_text(WORKS)

    text = refusal_of(runtime.deploy, f"{project}/{given}")
    meant = text.partition("did you mean '")[2].partition("'?)")[0]

    assert meant == f"{project}/shop/jobs.py:main_handler"
    assert runtime.deploy(meant).run(3) == 3


@pytest.mark.parametrize("function", ["", "main handler", "1st", "a.b", "main_handler()"])
def test_what_is_no_name_of_a_function_is_named(runtime, tmp_path, function):
    (tmp_path / "index.py").write_text(WORKS)

    text = refusal_of(runtime.deploy, f"{tmp_path}/index.py:{function}")

    assert f"{function!r} is not the name of a function" in text
    assert FORMS in text


@pytest.mark.parametrize("name", ["data.txt", "folder"])
def test_a_file_that_is_no_python_file_is_named(runtime, tmp_path, name):
    (tmp_path / "data.txt").write_text("")
    (tmp_path / "folder").mkdir()

    text = refusal_of(runtime.deploy, f"{tmp_path}/{name}:main_handler")

    assert f"{tmp_path}/{name} is not a Python file" in text


@pytest.mark.parametrize("handler", ["index", "", ".main_handler", "index."])
def test_a_handler_that_is_not_file_and_function_is_named(runtime, tmp_path, handler):
    text = refusal_of(runtime.deploy, tmp_path, handler=handler)

    assert f"handler={handler!r}" in text
    assert "as in 'index.main_handler'" in text


def test_a_handler_with_a_python_file_is_refused(runtime, tmp_path):
    (tmp_path / "index.py").write_text(WORKS)

    text = refusal_of(runtime.deploy, f"{tmp_path}/index.py", handler="index.main_handler")

    assert "which is neither a directory nor a zip" in text


@pytest.mark.parametrize("code", [None, 3, b"index.py:main_handler", ["index.py"]])
def test_code_of_another_type_is_named_with_its_type(runtime, code):
    text = refusal_of(runtime.deploy, code)

    assert text.startswith(f"code is {code!r} of type {type(code).__name__}; it must be ")


def test_a_function_that_is_defined_inside_a_test_is_refused(runtime):
    def main_handler(event, context):
        return "never"

    text = refusal_of(runtime.deploy, main_handler)

    assert "main_handler, which is defined inside a function; another process cannot import it" in text
    assert text.endswith("define it at the top level of its module")


def test_a_lambda_and_a_method_are_refused(runtime):
    assert "is a lambda, which another process cannot import: write a def" in refusal_of(runtime.deploy, lambda *_: 1)
    assert "belongs to a class" in refusal_of(runtime.deploy, InAClass.handler)


def test_a_function_at_the_top_level_of_a_test_file_runs(runtime):
    assert runtime.deploy(at_top_level).run() == "top"


def test_a_zip_that_reaches_outside_is_refused(runtime, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.py", "")

    text = refusal_of(runtime.deploy, tmp_path / "evil.zip", handler="index.main_handler")

    assert "'../evil.py', which lies outside the code directory" in text


# -- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "timeout=0 (deploy(...)) is not valid: the timeout of an async function is 1 to 86,400"),
        ({"timeout": 86_401}, "timeout=86401 (deploy(...)) is not valid: the timeout of an async function is 1"),
        ({"timeout": 1.5}, "timeout=1.5 (deploy(...)) is not valid"),
        ({"timeout": "3"}, "timeout='3' (deploy(...)) is not valid"),
        ({"timeout": math.nan}, "timeout=nan (deploy(...)) is not valid"),
        ({"timeout": 901, "async_run": False}, "timeout=901 (deploy(...)) is not valid: the timeout of a sync"),
        ({"init_timeout": 2}, "init_timeout=2 (deploy(...)) is not valid"),
        ({"memory": 100}, "memory=100 (deploy(...)) is not valid: it must be None, 64, or 128 to 3072"),
        ({"environment": {"1X": "v"}}, "the environment variable '1X' (deploy(...)) is not valid"),
        ({"environment": {"SCF_X": "v"}}, "the environment variable 'SCF_X' (deploy(...)) is not valid: the platform"),
        ({"environment": {"QCLOUD_X": "v"}}, "reserves names that start with QCLOUD_"),
        ({"environment": {"TENCENTCLOUD_X": "v"}}, "reserves names that start with TENCENTCLOUD_"),
        ({"environment": {"KEY": 3}}, "environment['KEY'] of type int (deploy(...)) is not valid"),
        ({"environment": {"KEY": "v" * 4096}}, "environment of 4,099 bytes (deploy(...)) is not valid"),
        ({"environment": ["X"]}, "environment of type list (deploy(...)) is not valid"),
        ({"name": "1st"}, "name='1st' (deploy(...)) is not valid"),
        ({"namespace": "a b"}, "namespace='a b' (deploy(...)) is not valid"),
        ({"runtime": "Python4"}, "runtime='Python4' (deploy(...)) is not valid: the platform has Python2.7"),
        ({"runtime": "python3.10"}, "Java8, Java11, CustomRuntime, CustomImage; did you mean 'Python3.10'?"),
        ({"runtime": "GO1"}, "CustomRuntime, CustomImage; did you mean 'Go1'?"),
        ({"runtime": "Java8"}, "runtime='Java8' (deploy(...)) is not valid: its code cannot be run here"),
        ({"runtime": "CustomImage"}, "an image is deployed with deploy_image(command=[...])"),
        ({"max_instances": 0}, "max_instances=0 (deploy(...)) is not valid"),
        ({"async_run": 1}, "async_run=1 (deploy(...)) is not valid: it must be True or False"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_names_the_value_its_source_and_what_is_valid(deploy, options, said):
    assert said in refusal_of(deploy, WORKS, **options)


def test_a_name_that_is_taken_is_refused(deploy):
    deploy(WORKS, name="export")

    assert refusal_of(deploy, WORKS, name="export").startswith("name='export' (deploy(...)) is taken")


# -- the payload -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (slice(1), "payload=slice(None, 1, None) is a slice; it must be a value that json.dumps can write"),
        ({"rows": [1, {2}]}, 'payload["rows"][1]={2} is a set; it must be a value that'),
        ({"data": b"x"}, "payload[\"data\"]=b'x' is a bytes; it must be a value that"),
        ({1: 2}, "payload has the key 1, which is an int; the keys of a JSON object are str"),
        ([math.inf], "payload[0] is inf, which JSON cannot express"),
        ({"x": math.nan}, 'payload["x"] is nan, which JSON cannot express'),
        ("\ud800", "which is not valid Unicode"),
    ],
)
def test_a_payload_that_is_not_json_names_the_place(deploy, runtime, payload, said):
    function = deploy(WORKS)

    assert said in refusal_of(function.invoke_async, payload)
    assert runtime.events == []


def test_a_payload_of_exactly_128_kb_of_utf_8_goes_and_one_byte_more_is_refused(deploy, runtime):
    function = deploy("def main_handler(event, context): return len(event)")
    fits = "é" * (64 * 1024 - 1)

    assert function.run(fits) == 64 * 1024 - 1
    assert refusal_of(function.invoke_async, fits + "x") == (
        "payload is 131,073 bytes of JSON; the data of an async event may have 131,072 at most"
    )
    assert len(runtime.events) == 1


def test_an_unknown_qualifier_and_invoke_type_are_refused(deploy):
    function = deploy(WORKS)

    for options, code, said in [
        ({"qualifier": "7"}, "ResourceNotFound.Qualifier", "'7'"),
        ({"invoke_type": "HTTP"}, "InvalidParameterValue.InvokeType", "'HTTP'.*OTHERS"),
    ]:
        with pytest.raises(ScfApiError, match=said) as refusal:
            function.invoke_async(**options)
        assert refusal.value.code == code


# -- the event -------------------------------------------------------------------------------------------------------


def test_the_result_of_an_event_that_runs_says_to_wait(deploy):
    event = deploy(WORKS).invoke_async()

    with pytest.raises(HandlerError, match=r"no result yet: none of its code has run; call wait\(\) first") as refusal:
        _ = event.result

    assert refusal.value.body == {}


def test_the_result_of_a_failed_event_says_what_failed(deploy):
    event = deploy("def main_handler(event, context): return event['missing']").invoke_async().wait()

    with pytest.raises(HandlerError) as refusal:
        _ = event.result

    first, *stack = str(refusal.value).splitlines()
    assert first == (f"event {event.request_id} of index is FAILED (430) and has no result: user code exception caught")
    assert stack[-1] == "KeyError: 'missing'"
    assert refusal.value.body == event.error


def test_the_result_of_a_terminated_event_says_so(deploy):
    event = deploy("import time\ndef main_handler(event, context): time.sleep(9)").invoke_async()
    event.terminate()

    with pytest.raises(HandlerError, match=r"is ABORTED \(499\) and has no result: RequestCanceled"):
        _ = event.result


def test_the_status_read_a_thousand_times_names_wait(deploy):
    event = deploy("import time\ndef main_handler(event, context): time.sleep(9)").invoke_async()

    for _ in range(1000):
        assert event.status == "RUNNING"
    with pytest.raises(
        CannotEndError,
        match=r"was read 1,000 times \(status_reads_limit, default\) without a blocking call in between.*call wait\(\)",
    ):
        _ = event.status

    event.settle()
    assert event.status == "RUNNING"
    event.wait()
    assert {str(event.status) for _ in range(2000)} == {"FINISHED"}


@pytest.mark.parametrize(
    "asks",
    [
        lambda _, event: event.ended,
        lambda _, event: event.status_code,
        lambda _, event: event.ended_at,
        lambda _, event: event.doing,
        lambda runtime, event: runtime.get_async_event_status(event.request_id),
        lambda runtime, event: runtime.list_async_events(event.function_name),
    ],
    ids=["ended", "status_code", "ended_at", "doing", "get", "list"],
)
def test_a_loop_that_only_asks_how_far_an_event_is_ends_with_an_error(deploy, runtime, asks):
    event = deploy("import time\ndef main_handler(event, context): time.sleep(9)").invoke_async().settle()

    for _ in range(1000):
        asks(runtime, event)
    with pytest.raises(CannotEndError, match=r"was read 1,000 times .*or have a polling loop advance the clock"):
        asks(runtime, event)


def test_reads_are_counted_from_the_last_call_that_moves_the_clock(deploy, runtime):
    event = deploy("import time\ndef main_handler(event, context): time.sleep(3000)").invoke_async()

    for _ in range(3000):
        assert event.status == "RUNNING"
        runtime.clock.advance(0.5)


# -- waits that cannot end -------------------------------------------------------------------------------------------


def test_a_wait_for_a_handler_that_computes_for_ever_names_the_line_and_what_to_do(deploy, make_runtime):
    runtime = make_runtime(compute_grace=0.05)
    handler = "def main_handler(event, context):\n    print('computes')\n    while True:\n        pass\n"
    event = deploy(handler, to=runtime).invoke_async().wait_for_log("computes")
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as refusal:
        event.wait()

    text = str(refusal.value)
    assert f"wait() on event {event.request_id} could not end: nothing has happened for 0.3 real seconds" in text
    assert "(real_timeout, ScfSettings(...))" in text
    assert f"event {event.request_id} of index is computing" in text
    assert re.search(r"index\.py:[34] in main_handler", text)
    assert "scf_clock.advance(86400) takes it to its timeout; terminate() ends it" in text
    assert "pytest_scf_async" not in text.replace("pytest-scf-async", "")
    assert event.status == "RUNNING"
    event.terminate()
    assert event.status == "ABORTED"


def test_a_wait_for_a_handler_in_a_real_wait_names_the_line_and_what_to_do(deploy, make_runtime):
    runtime = make_runtime()
    function = deploy(
        """
        import fcntl, os
        def main_handler(event, context):
            with open(os.__file__) as file:
                print("reads")
                fcntl.flock(file, fcntl.LOCK_EX)
        """,
        to=runtime,
    )
    with open(os.__file__) as locked:
        fcntl.flock(locked, fcntl.LOCK_SH)
        event = function.invoke_async()
        event.settle()
        grow_impatient(runtime)

        with pytest.raises(CannotEndError) as refusal:
            event.wait()

        text = str(refusal.value)
        assert f"event {event.request_id} of index is held by a real wait" in text
        assert "index.py:6 in main_handler" in text
        assert "past_held=True" in text
        assert event.doing == "held"
        assert user_lines(event) == ["reads"]


def test_a_wait_for_a_handler_that_prints_for_ever_ends_at_the_real_limit(deploy, make_runtime):
    runtime = make_runtime(real_limit=0.3, compute_grace=0.05)
    event = deploy(
        "import os\ndef main_handler(event, context):\n    while True: os.write(1, b'x' * 100 + b'\\n')\n", to=runtime
    ).invoke_async()

    with pytest.raises(CannotEndError, match=r"the call took 0\.3 real seconds \(real_limit, ScfSettings"):
        event.wait()


def test_a_wait_for_a_handler_that_sleeps_for_ever_in_tiny_steps_ends_at_the_real_limit(deploy, make_runtime):
    runtime = make_runtime(real_limit=0.3)
    event = deploy("import time\ndef main_handler(event, context):\n    while True: time.sleep(1e-6)\n", to=runtime)
    event = event.invoke_async()

    with pytest.raises(CannotEndError, match=r"the call took 0\.3 real seconds \(real_limit, ScfSettings"):
        event.wait()


def test_wait_all_names_every_event_that_could_not_end(deploy, make_runtime, latch):
    runtime = make_runtime()
    function = deploy("def main_handler(event, context): open(event).read(1)", to=runtime)
    events = [function.invoke_async(latch.path).settle() for _ in range(2)]
    grow_impatient(runtime)

    with pytest.raises(CannotEndError) as refusal:
        runtime.wait_all()

    for event in events:
        assert f"event {event.request_id} of index is held by a real wait" in str(refusal.value)


def test_a_closed_runtime_says_so(deploy, make_runtime):
    runtime = make_runtime()
    function = deploy(WORKS, to=runtime)
    event = function.invoke_async()
    runtime.close()

    with pytest.raises(ScfUsageError, match="the runtime is closed, as it is at the end of its test"):
        function.invoke_async()
    with pytest.raises(Exception, match="the runtime is closed"):
        event.wait()


def test_wait_until_says_that_the_time_is_over(deploy, runtime):
    event = deploy("import time\ndef main_handler(event, context): time.sleep(100)").invoke_async()

    with pytest.raises(CannotEndError, match=r"within=10\): it was still false when 10 s of simulated time had passed"):
        runtime.wait_until(lambda: event.ended, within=10)
    with pytest.raises(ScfUsageError, match="predicate is 3, which cannot be called"):
        runtime.wait_until(3, within=1)
    runtime.wait_until(lambda: event.ended, within=90)


def test_a_child_process_that_lives_for_ever_is_named_as_a_real_wait(deploy, make_runtime):
    runtime = make_runtime()
    event = deploy(
        "import subprocess\ndef main_handler(event, context): subprocess.run(['sleep', '1000'])", to=runtime
    ).invoke_async()
    event.settle()
    grow_impatient(runtime)

    with pytest.raises(CannotEndError, match="held by a real wait"):
        event.wait()
    pid = event.instance.pid
    event.terminate()
    assert not os.path.exists(f"/proc/{pid}")
