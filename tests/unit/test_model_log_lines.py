from __future__ import annotations

from datetime import datetime, timezone

from pytest_scf_async.model import (
    SIGNAL_FAILED_LINE,
    SIGNAL_RECEIVED_LINE,
    LogLine,
    end_line,
    error_body,
    error_line,
    init_report_line,
    report_line,
    response_line,
    start_line,
)


def test_the_lines_of_an_event_have_the_platforms_form():
    assert start_line("r-1") == "START RequestId:r-1"
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


def test_the_signal_lines_are_those_of_the_document():
    assert SIGNAL_RECEIVED_LINE == "[PLATFORM] Signal received successfully."
    assert SIGNAL_FAILED_LINE == "[PLATFORM] Signal reception failed."


def test_a_line_has_its_time_to_the_microsecond():
    line = LogLine(1_767_225_600_000_001, "row 1", "Custom")
    assert line.time == datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone.utc)
    assert LogLine(0, "", "Platform").time == datetime(1970, 1, 1, tzinfo=timezone.utc)
