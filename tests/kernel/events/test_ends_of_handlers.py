"""How an event ends by what its handler does: returns, raises, or returns what cannot be given on."""

from __future__ import annotations

import json

import pytest
from internals import version_of
from process_support import assert_body, assert_end, assert_kept, assert_reclaimed_for_good, short_log

from pytest_scf_async.assertions import assert_finished
from pytest_scf_async.errors import HandlerError
from pytest_scf_async.model.tracebacks import exception_line

pytestmark = pytest.mark.sandbox

MEGABYTE = 1024 * 1024
PLATFORM_OF_A_COLD_430 = ["START", "INIT 0ms", "ERROR 430", "END", "REPORT 0ms"]


def test_a_handler_that_returns_is_finished_and_its_instance_stays(deploy):
    event = (
        deploy("""
        def main_handler(event, context):
            return {"got": event, "text": "出力 é"}
    """)
        .invoke_async({"rows": 3})
        .wait()
    )

    response = 'RESPONSE {"got": {"rows": 3}, "text": "出力 é"}'
    assert_end(event, "FINISHED", 200, log=["START", "INIT 0ms", response, "END", "REPORT 0ms"])
    assert event.result == {"got": {"rows": 3}, "text": "出力 é"}
    assert event.error is None
    assert_kept(event)


def test_a_handler_that_works_for_a_day_takes_a_day_of_simulated_time(deploy):
    event = (
        deploy("""
        import time
        def main_handler(event, context):
            time.sleep(86_399.5)
            print("done")
    """)
        .invoke_async()
        .wait()
    )

    log = ["START", "INIT 0ms", "done", "RESPONSE null", "END", "REPORT 86399500ms"]
    assert_end(event, "FINISHED", 200, after=86_399.5, log=log)


def test_none_is_the_result_null_and_no_payload_is_an_empty_event(deploy):
    event = (
        deploy("""
        def main_handler(event, context):
            assert event == {} and type(event) is dict
    """)
        .invoke_async()
        .wait()
    )

    assert event.result is None
    assert short_log(event)[2] == "RESPONSE null"


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        ('"text"', "text"),
        ("0", 0),
        ("1.5", 1.5),
        ("True", True),
        ("[1, (2, 3)]", [1, [2, 3]]),
        ("{1: 2, None: 3}", {"1": 2, "null": 3}),
        ("decimal.Decimal('1.10')", "1.10"),
        (r"'\u2028 \0 \"'", '\u2028 \0 "'),
    ],
)
def test_what_json_can_write_is_a_result(deploy, returned, result):
    event = (
        deploy(f"""
        import decimal
        def main_handler(event, context):
            return {returned}
    """)
        .invoke_async()
        .wait()
    )

    assert (event.status, event.result) == ("FINISHED", result)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ('float("nan")', "NaN"),
        ('float("-inf")', "-Infinity"),
        ('{"rates": [float("nan"), (float("inf"), 1)]}', '{"rates": [NaN, [Infinity, 1]]}'),
    ],
)
def test_nan_and_infinity_in_a_result_are_written_as_pythons_json_writes_them(deploy, returned, text):
    """They are not JSON, and the platform's runtime for Python takes them all the same."""
    event = deploy(f"def main_handler(event, context): return {returned}").invoke_async().wait()

    assert_end(event, "FINISHED", 200, log=["START", "INIT 0ms", f"RESPONSE {text}", "END", "REPORT 0ms"])
    assert json.dumps(event.result) == text
    assert_finished(event, result=json.loads(text))
    assert_kept(event)


def test_a_handler_that_raises_is_430_with_its_stack_and_its_instance_is_reclaimed(deploy, runtime):
    event = (
        deploy("""
        import time
        def main_handler(event, context):
            time.sleep(2)
            print("about to fail")
            raise ValueError("no such row")
    """)
        .invoke_async()
        .wait()
    )

    log = ["START", "INIT 0ms", "about to fail", "ERROR 430", "END", "REPORT 2000ms"]
    assert_end(event, "FAILED", 430, after=2, log=log)
    path = version_of(runtime.functions["index"]).code.entry
    assert_body(
        event,
        errorCode=1,
        errorMessage="user code exception caught",
        stackTrace=(
            "Traceback (most recent call last):\n"
            f'  File "{path}", line 6, in main_handler\n'
            '    raise ValueError("no such row")\n'
            "ValueError: no such row\n"
        ),
    )
    assert_reclaimed_for_good(event, "raised")
    with pytest.raises(HandlerError, match="ValueError: no such row") as refusal:
        _ = event.result
    assert refusal.value.body == event.error


def test_the_error_line_of_the_log_is_one_line_of_json_without_the_request_id(deploy):
    event = (
        deploy("""
        def main_handler(event, context):
            raise ValueError("two\\nlines")
    """)
        .invoke_async()
        .wait()
    )

    line = event.log[2].text
    body = json.loads(line.removeprefix(f"ERROR RequestId:{event.request_id} Result:"))
    assert set(body) == {"errorCode", "errorMessage", "stackTrace", "statusCode"}
    assert body["stackTrace"].endswith("ValueError: two\nlines\n")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("object()", "TypeError: Object of type object is not JSON serializable"),
        ("{'data': b'bytes'}", "TypeError: Object of type bytes is not JSON serializable"),
        ("{1, 2}", "TypeError: Object of type set is not JSON serializable"),
        ("[Decimal('1.10')]", "TypeError: Object of type Decimal is not JSON serializable"),
        ("{(1, 2): 3}", "TypeError: keys must be str, int, float, bool or None, not tuple"),
        (r"'\ud800'", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800'"),
        ("ring", "ValueError: Circular reference detected"),
        ("deep", "RecursionError: "),
        ("Hostile(a=1)", "ZeroDivisionError: division by zero"),
    ],
    ids=[
        "object",
        "bytes",
        "set",
        "nested Decimal",
        "tuple as a key",
        "lone surrogate",
        "ring",
        "deep",
        "raises when written",
    ],
)
def test_a_result_that_json_cannot_write_is_430(deploy, returned, message):
    event = (
        deploy(f"""
        from decimal import Decimal
        class Hostile(dict):
            def items(self):
                1 / 0
        ring = []
        ring.append(ring)
        deep = []
        for _ in range(100_000):
            deep = [deep]
        def main_handler(event, context):
            return {returned}
    """)
        .invoke_async()
        .wait()
    )

    assert_end(event, "FAILED", 430, log=PLATFORM_OF_A_COLD_430)
    assert event.error["errorCode"] == 1
    assert message in exception_line(event.error["stackTrace"])  # Python 3.14 notes below it where in the result it is
    assert "pytest_scf_async" not in event.error["stackTrace"]
    assert_reclaimed_for_good(event, "result not JSON")


@pytest.mark.parametrize(
    ("letter", "count"), [("x", 6 * MEGABYTE - 2), ("é", 3 * MEGABYTE - 1)], ids=["one byte", "two bytes"]
)
def test_a_result_of_exactly_6_mb_is_finished_and_one_byte_more_is_407(deploy, letter, count):
    function = deploy("""
        def main_handler(event, context):
            return event["letter"] * event["count"] + event["more"]
    """)

    fits = function.invoke_async({"letter": letter, "count": count, "more": ""}).wait()
    over = function.invoke_async({"letter": letter, "count": count, "more": "x"}).wait()

    assert (fits.status, fits.status_code, len(fits.result)) == ("FINISHED", 200, count)
    assert_end(over, "FAILED", 407, log=["START", "ERROR 407", "END", "REPORT 0ms"])
    assert_body(over, errorCode=-1, errorMessage="The size of response exceeds the upper limit (6MB)")
    assert_reclaimed_for_good(over, "result too large")


def test_run_gives_the_result_and_raises_what_the_platform_says(deploy):
    function = deploy("""
        def main_handler(event, context):
            return 10 / event["by"]
    """)

    assert function.run({"by": 4}) == 2.5
    with pytest.raises(HandlerError, match="ZeroDivisionError: division by zero") as refusal:
        function.run({"by": 0})
    assert refusal.value.body["statusCode"] == 430
    assert refusal.value.body["errorMessage"] == "user code exception caught"


def test_a_handler_may_take_any_arguments(deploy):
    event = (
        deploy("""
        class Handler:
            def __call__(self, *args, **kwargs):
                return [len(args), len(kwargs)]
        main_handler = Handler()
    """)
        .invoke_async()
        .wait()
    )

    assert event.result == [2, 0]


def test_a_handler_with_the_wrong_number_of_arguments_is_430(deploy):
    event = (
        deploy("""
        def main_handler(event):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert_end(event, "FAILED", 430, log=PLATFORM_OF_A_COLD_430)
    assert "takes 1 positional argument but 2 were given" in event.error["stackTrace"]


def test_a_coroutine_function_is_no_handler_of_this_platform(deploy):
    event = (
        deploy("""
        async def main_handler(event, context):
            return "never"
    """)
        .invoke_async()
        .wait()
    )

    assert (event.status, event.status_code) == ("FAILED", 430)
    assert "Object of type coroutine is not JSON serializable" in event.error["stackTrace"]
