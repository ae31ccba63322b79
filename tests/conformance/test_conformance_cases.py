"""The cases of ``conformance``: what they expect, their rows in docs/fidelity.md, and what is no reading."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pytest_scf_async import ScfSettings, ScfUsageError
from pytest_scf_async.conformance.account import Account, Address, Refused, address_of
from pytest_scf_async.conformance.bench import MEMORY_MB, Bench
from pytest_scf_async.conformance.cases import CASES, LONG, Case
from pytest_scf_async.conformance.report import Report, Verdict
from pytest_scf_async.conformance.runner import Plan, ask, report_of
from pytest_scf_async.conformance.state import State, new_state, read_state

FIDELITY = Path(__file__).parents[2] / "docs" / "fidelity.md"
BY_ID = {case.id: case for case in CASES}
ADDRESS = Address("https", "scf.example", "ap-guangzhou")
RUNNING = {"Status": "RUNNING", "StatusCode": 0}
TIMES = "%Y-%m-%d %H:%M:%S.%f"
EXITED = {"Status": "FAILED", "StatusCode": 439}


def cases_of_rows() -> dict[str, str]:
    """The rows of the open readings that name cases, by the ids."""
    table = FIDELITY.read_text().partition("## What the documents leave open")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for row in re.findall(r"^\| .*$", table, re.MULTILINE):
        for named in re.findall(r"\(cases? ([^)]*)\)", row):
            ids = re.findall(r"`([a-z0-9-]+)`", named)
            assert named == ", ".join(f"`{id_}`" for id_ in ids)
            assert not found.keys() & set(ids), f"two rows name {ids}"
            found |= dict.fromkeys(ids, row)
    return found


def test_the_rows_of_fidelity_name_the_cases() -> None:
    assert sorted(cases_of_rows()) == sorted(BY_ID)


def test_the_settings_of_readings_are_those_of_the_rows() -> None:
    rows, settings = cases_of_rows(), ScfSettings()
    for case in CASES:
        assert case.ours.setting == ""
        for reading in case.readings:
            if reading.setting:
                name, _, value = reading.setting.partition("=")
                assert f"`{name}`" in rows[case.id], f"{case.id}: its row has no {name}"
                if name != "time_zone":
                    assert settings.replace("", **{name: ast.literal_eval(value)}) != settings


def test_each_reading_is_known_by_facts_of_its_own() -> None:
    assert max(Counter(case.id for case in CASES).values()) == 1
    for case in CASES:
        for reading in case.readings:
            assert case.reading_of(dict(reading.expected)) is reading, f"{case.id}: {reading.name}"
        assert case.reading_of({}) is None
        assert len({reading.name for reading in case.readings}) == len(case.readings)


def test_the_page_says_what_a_run_is() -> None:
    page = " ".join((FIDELITY.parent / "conformance.md").read_text().split())
    every, short = Plan(CASES), Plan([case for case in CASES if not case.later])

    assert f"{len(every.functions)} functions of {MEMORY_MB} MB and one namespace" in page
    assert (
        f"together {round(short.gb_seconds, -1):.0f} GB-seconds in a run, and {LONG * MEMORY_MB / 1024:.0f} more"
        in page
    )


# -- what is no reading ----------------------------------------------------------------------------------------------


class Time:
    """A platform's time, which its sleeps move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Platform:
    """A platform whose events end *ends_after* seconds after SIGTERM, with *end*; what it says of that lags behind."""

    def __init__(self, pace: Time, ends_after: float = 0, end: Mapping[str, Any] = EXITED, lag: float = 0) -> None:
        self.pace, self.ends_after, self.end, self.lag = pace, ends_after, end, lag
        self.starts = pace.now()
        self.ends: datetime | None = None
        self.refusals: list[str] = []
        """Codes with which the next calls are refused that invoke or terminate."""

    def __call__(self, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if action in ("Invoke", "TerminateAsyncEvent") and self.refusals:
            raise Refused(action, self.refusals.pop(0), "no")
        if action == "TerminateAsyncEvent":
            self.ends = self.ends or self.pace.now() + timedelta(seconds=self.ends_after)
        if action == "Invoke":
            self.starts = self.pace.now()
        ended = self.ends is not None and self.pace.now() >= self.ends + timedelta(seconds=self.lag)
        row = {"StartTime": f"{self.starts:{TIMES}}", "EndTime": f"{self.ends:{TIMES}}" if ended else ""}
        answers: dict[str, dict[str, Any]] = {
            "GetFunction": {"Status": "Active"},
            "Invoke": {"RequestId": "id", "Result": {}},
            "GetAsyncEventStatus": {"Result": {**(self.end if ended else RUNNING)}},
            "ListAsyncEvents": {"EventList": [row]},
        }
        return answers.get(action, {})


class Terminating:
    """A platform where TerminateAsyncEvent takes *call* seconds and the the event ends *ends* seconds after it came.

    What it says of that lags *lag* seconds behind.
    """

    def __init__(self, call: float, ends: float, lag: float) -> None:
        self.pace = Time()
        self.call, self.ends, self.lag = (timedelta(seconds=each) for each in (call, ends, lag))
        self.times: dict[str, list[datetime]] = {}
        """Of each event its start, and its end."""

    def __call__(self, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        now, id_ = self.pace.now(), parameters.get("InvokeRequestId", f"event {len(self.times)}")
        if action == "Invoke":
            lasts = json.loads(parameters["ClientContext"])["seconds"]
            self.times[id_] = [now, now + timedelta(seconds=lasts)]
            return {"RequestId": id_, "Result": {}}
        if action == "GetFunction":
            return {"Status": "Active"}
        if action == "TerminateAsyncEvent":
            self.times[id_][1] = now + self.ends
            self.status = "FINISHED" if parameters["GraceShutdown"] else "ABORTED"
            self.pace.sleep(self.call.total_seconds())
        if id_ not in self.times:
            return {}
        start, end = self.times[id_]
        known = now >= end + self.lag
        row = {"StartTime": f"{start:{TIMES}}", "EndTime": f"{end:{TIMES}}" if known else ""}
        status = {"Status": self.status, "StatusCode": 200} if known else RUNNING
        return {"Result": status, "EventList": [row]}


@pytest.mark.parametrize("lag", [0, 10])
@pytest.mark.parametrize(
    ("case", "call", "ends", "reading"),
    [
        ("terminate-graceful-returns-when", 0.3, 5.3, "signal sent"),
        ("terminate-graceful-returns-when", 5.4, 5.3, "event ended"),
        ("terminate-forced-returns-when", 0.8, 0.5, "event ended"),
        ("terminate-forced-returns-when", 0.3, 2.0, "order taken"),
    ],
)
def test_when_a_termination_returns_is_measured_where_a_status_lags(
    tmp_path: Path, case: str, call: float, ends: float, *, reading: str, lag: float
) -> None:
    verdict = asked(case, Terminating(call, ends, lag), tmp_path)

    assert verdict.reading is not None
    assert (verdict.reading.name, verdict.facts["seconds"]) == (reading, call)


def asked(case: str, platform: Platform | Terminating, tmp_path: Path) -> Verdict:
    state = new_state(tmp_path / f"{uuid.uuid4()}.json", ADDRESS, "")
    bench = Bench(Account(platform, platform.pace, ADDRESS), state, note=lambda _: None)
    ask(bench, [BY_ID[case]], lambda _: None)
    (verdict,) = report_of(read_state(state.path), [BY_ID[case]]).verdicts
    return verdict


@pytest.mark.parametrize(
    "case", ["terminate-graceful-exit", "terminate-graceful-sys-exit", "terminate-graceful-ignored"]
)
def test_an_event_that_may_not_have_listened_yet_decides_nothing(case: str, tmp_path: Path) -> None:
    """Its process ended by SIGTERM, so its status and code are those of the reading."""
    for lag in (0, 10):  # the status may lag behind, and the end of the record says when it was
        at_once = asked(case, Platform(Time(), lag=lag), tmp_path)
        later = asked(case, Platform(Time(), ends_after=5, lag=lag), tmp_path)

        assert at_once.outcome == "undecided"
        assert "may not have listened yet" in at_once.detail
        assert later.reading is not None
        assert later.reading.name == "FAILED 439"


def test_an_event_that_does_not_end_decides_nothing(tmp_path: Path) -> None:
    verdict = asked("terminate-graceful-unlistened", Platform(Time(), ends_after=1e6), tmp_path)

    assert (verdict.outcome, verdict.decided) == ("undecided", False)
    assert verdict.detail == "event id is RUNNING, or not known, after 180 s"


@pytest.mark.parametrize(
    "code", ["LimitExceeded.Quota", "InternalError", "RequestLimitExceeded", "UnauthorizedOperation.CAM"]
)
def test_codes_that_say_nothing_of_the_question(code: str, tmp_path: Path) -> None:
    platform = Platform(Time())
    platform.refusals = [code] * 20

    verdict = asked("invoke-payload-no-json", platform, tmp_path)

    assert (verdict.outcome, verdict.detail) == ("undecided", f"Invoke: {code}: no")


def test_an_answer_that_is_not_as_documented(tmp_path: Path) -> None:
    verdict = asked("terminate-forced", Platform(Time(), end={}), tmp_path)

    assert verdict.outcome == "undecided"
    assert verdict.detail == "an answer could not be read: KeyError: 'Status'"


# -- the report ------------------------------------------------------------------------------------------------------


def report(case: Case, **outcome: Any) -> Report:
    return Report("scf.example", "ap-guangzhou", "today", [Verdict(case, **outcome)])


def test_a_reading_that_is_not_ours_is_no_failure() -> None:
    case = BY_ID["terminate-graceful-return"]
    found = report(case, outcome="reading", facts={"Status": "ABORTED", "StatusCode": 499})

    assert found.exit_code == 0
    assert (
        'ABORTED 499 (it was terminated); by default it is FINISHED 200 here; graceful_return_status="ABORTED" gives'
        in (found.text())
    )
    assert '<property name="reading" value="ABORTED 499" />' in found.junit()
    assert '"is_default_here": false' in found.json()
    assert found.text().endswith("\n\n1 case: 0 as by default here, 1 otherwise\n")


@pytest.mark.parametrize(
    ("outcome", "code", "tag"),
    [("unforeseen", 1, "failure"), ("undecided", 1, "error"), ("pending", 0, "skipped"), ("left out", 0, "skipped")],
)
def test_what_has_no_reading(outcome: str, code: int, tag: str) -> None:
    found = report(BY_ID["terminate-graceful-return"], outcome=outcome, facts={}, detail="why")

    assert found.exit_code == code
    assert f"    {outcome.upper()}: why\n" in found.text()
    assert f'<{tag} message="{outcome.upper()}: why" />' in found.junit()
    assert '"reading": null' in found.json()


# -- where -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "scheme", "host"),
    [
        (None, "https", "scf.tencentcloudapi.com"),
        ("", "https", "scf.tencentcloudapi.com"),
        ("127.0.0.1:40001", "http", "127.0.0.1:40001"),
        ("localhost:40001", "http", "localhost:40001"),
        ("scf.ap-x.example", "https", "scf.ap-x.example"),
        ("https://127.0.0.1:1", "https", "127.0.0.1:1"),
    ],
)
def test_the_address(given: str | None, scheme: str, host: str) -> None:
    environment = {"TENCENTCLOUD_REGION": "r", **({} if given is None else {"SCF_ENDPOINT": given})}
    assert address_of(environment) == Address(scheme, host, "r")


@pytest.mark.parametrize("given", ["ftp://x", "https://", "https://x/y"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(ScfUsageError, match="SCF_ENDPOINT is"):
        address_of({"SCF_ENDPOINT": given})


def test_a_state_is_what_was_written(tmp_path: Path) -> None:
    state = new_state(tmp_path / "state.json", ADDRESS, "today")
    state.functions.append([f"{state.prefix}-traced", "default"])
    state.write()

    found: State = read_state(state.path)

    assert found == state
    assert not found.clean
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
