from __future__ import annotations

from datetime import datetime, timezone

from pytest_scf_async.model.codes import error_body
from pytest_scf_async.model.log_lines import (
    SIGNAL_FAILED_LINE,
    SIGNAL_RECEIVED_LINE,
    LogLine,
    end_line,
    error_line,
    init_report_line,
    report_line,
    response_line,
    start_line,
)


def test_the_lines_of_an_event_have_the_platforms_form():
    assert start_line("r-1", cold=False) == "START RequestId:r-1"
    assert start_line("r-1", cold=True) == "START RequestId: r-1"
    assert response_line("r-1", '"Hello World"') == 'Response RequestId:r-1 RetMsg:"Hello World"'
    assert end_line("r-1") == "END RequestId:r-1"
    assert (
        report_line("r-1", duration_ms=1, memory_mb=128, mem_usage_bytes=31_178_752)
        == "Report RequestId:r-1 Duration:1ms Memory:128MB MemUsage:29.734375MB"
    )


def test_a_cold_start_reports_its_parts():
    line = init_report_line(
        "r-1",
        coldstart_ms=236,
        pull_code_ms=70,
        init_runtime_ms=8,
        init_function_ms=158,
        memory_mb=640,
        mem_usage_bytes=60_670_607,
    )
    assert line == (
        "Init Report RequestId: r-1 Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms InitFunction: 158ms) "
        "Memory: 640MB MemUsage: 57.86MB"
    )


def test_an_error_line_has_the_body_without_the_request_id():
    body = error_body(430, "r-1", stack_trace='Traceback …\n  File "index.py"\nValueError: 导出\n')
    assert error_line("r-1", body) == (
        'ERROR RequestId:r-1 Result:{"errorCode":1,"errorMessage":"user code exception caught",'
        '"stackTrace":"Traceback …\\n  File \\"index.py\\"\\nValueError: 导出\\n","statusCode":430}'
    )
    assert body["requestId"] == "r-1"


def test_the_memory_that_was_used_has_six_decimals():
    line = report_line("r-1", duration_ms=1, memory_mb=128, mem_usage_bytes=60_670_607)
    assert line.endswith(" MemUsage:57.860000MB")
    assert report_line("r-1", duration_ms=1, memory_mb=128, mem_usage_bytes=0).endswith(" MemUsage:0.000000MB")


def test_the_error_code_of_code_that_cannot_be_loaded_is_another_in_the_log():
    body = error_body(443, "r-1", message="Traceback …\n")
    assert body["errorCode"] == 1
    assert error_line("r-1", body) == (
        'ERROR RequestId:r-1 Result:{"errorCode":-1,"errorMessage":"Traceback …\\n","statusCode":443}'
    )


def test_an_error_line_escapes_what_gos_encoder_escapes():
    line = error_line("r-1", error_body(430, "r-1", stack_trace='<module> a & b > "c" \u2028\u2029 é \n'))
    shown = line.partition('"stackTrace":')[2]
    assert shown == r'"\u003cmodule\u003e a \u0026 b \u003e \"c\" \u2028\u2029 é \n","statusCode":430}'


def test_the_signal_lines_are_those_of_the_document():
    assert SIGNAL_RECEIVED_LINE == "[PLATFORM] Signal received successfully."
    assert SIGNAL_FAILED_LINE == "[PLATFORM] Signal reception failed."


def test_a_line_has_its_time_to_the_microsecond():
    line = LogLine(1_767_225_600_000_001, "row 1", "Custom")
    assert line.time == datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone.utc)
    assert LogLine(0, "", "Platform").time == datetime(1970, 1, 1, tzinfo=timezone.utc)
