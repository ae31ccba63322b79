"""The status trace against a model of it that only sorts and filters a list."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.model.records import INVOKE_TYPES, EventRecord
from pytest_scf_async.model.statuses import Status
from pytest_scf_async.model.trace import StatusTrace
from pytest_scf_async.model.transitions import Fact

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

HOUR = 3600 * 1_000_000
KEPT = 72 * HOUR
FUNCTIONS = [("export", "default"), ("export", "staging"), ("report", "default")]
QUALIFIERS = ["$LATEST", "1", "2"]
# Steps that land on the same instant, on the last microsecond of a retention, on its end, and somewhere between.
STEPS = st.sampled_from([0, 0, 1, HOUR, 24 * HOUR, KEPT - 1, KEPT, KEPT + 1])


class TraceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.trace = StatusTrace()
        self.now = 0
        self.accepted = 0
        self.records: list[EventRecord] = []  # of the model: everything recorded and not cleared

    def visible(self) -> list[EventRecord]:
        return [record for record in self.records if record.end_us is None or self.now < record.end_us + KEPT]

    @rule(
        function=st.sampled_from(FUNCTIONS),
        qualifier=st.sampled_from(QUALIFIERS),
        invoke_type=st.sampled_from(INVOKE_TYPES[:3]),
        recorded=st.sampled_from([True, True, True, False]),
        count=st.integers(1, 5),
    )
    def accept(self, function, qualifier, invoke_type, recorded, count):
        for _ in range(count):
            self.accepted += 1
            number = self.accepted
            record = EventRecord(
                number, f"r-{number}", function[0], function[1], qualifier, invoke_type, recorded, self.now
            )
            record.apply(Fact.ACCEPTED, self.now)
            self.trace.add(record)
            if recorded:
                self.records.append(record)

    @precondition(lambda self: any(record.end_us is None for record in self.records))
    @rule(data=st.data(), fact=st.sampled_from([Fact.RETURNED, Fact.RAISED, Fact.TERMINATED, Fact.SIGNAL_RECEIVED]))
    def happen(self, data, fact):
        record = data.draw(st.sampled_from([record for record in self.records if record.end_us is None]))
        if record.apply(fact, self.now).state.ended:
            self.trace.ended(record)

    @rule(step=STEPS)
    def pass_time(self, step):
        self.now += step

    @rule()
    def expire(self):
        before = len(self.trace)
        removed = self.trace.expire(self.now)
        assert len(self.trace) == before - removed == len(self.visible())

    @rule(function=st.sampled_from(FUNCTIONS))
    def disable(self, function):
        self.trace.disable(*function)
        self.records = [record for record in self.records if (record.function_name, record.namespace) != function]

    @rule(
        function=st.sampled_from(FUNCTIONS),
        qualifier=st.none() | st.sampled_from(QUALIFIERS),
        invoke_types=st.lists(st.sampled_from(INVOKE_TYPES[:3]), max_size=2),
        statuses=st.lists(st.sampled_from(list(Status)), max_size=3),
        start_back=st.none() | st.tuples(STEPS, STEPS),
        end_back=st.none() | st.tuples(STEPS, STEPS),
        order=st.sampled_from(["ASC", "DESC"]),
        order_by=st.sampled_from(["StartTime", "EndTime"]),
        offset=st.integers(0, 8),
        limit=st.integers(1, 100),
        request_number=st.none() | st.integers(1, 10),
    )
    def list_events(
        self,
        *,
        function,
        qualifier,
        invoke_types,
        statuses,
        start_back,
        end_back,
        order,
        order_by,
        offset,
        limit,
        request_number,
    ):
        start_interval = start_back and (self.now - max(start_back), self.now - min(start_back) + 1)
        end_interval = end_back and (self.now - max(end_back), self.now - min(end_back) + 1)
        request_id = request_number and f"r-{request_number}"
        expected = [
            record
            for record in self.visible()
            if (record.function_name, record.namespace) == function
            and (qualifier is None or record.qualifier == qualifier)
            and (not invoke_types or record.invoke_type in invoke_types)
            and (not statuses or record.status in statuses)
            and (start_interval is None or start_interval[0] <= record.start_us < start_interval[1])
            and (
                end_interval is None
                or (record.end_us is not None and end_interval[0] <= record.end_us < end_interval[1])
            )
            and (request_id is None or record.request_id == request_id)
        ]

        def key(record: EventRecord) -> tuple[int, int]:
            if order_by == "StartTime":
                return record.start_us, record.sequence
            return -1 if record.end_us is None else record.end_us, record.sequence

        expected.sort(key=key, reverse=order == "DESC")
        page = self.trace.list_events(
            now_us=self.now,
            function_name=function[0],
            namespace=function[1],
            qualifier=qualifier,
            invoke_types=invoke_types,
            statuses=statuses,
            start_interval=start_interval,
            end_interval=end_interval,
            order=order,
            order_by=order_by,
            offset=offset,
            limit=limit,
            invoke_request_id=request_id,
        )
        assert page.total_count == len(expected)
        assert page.records == expected[offset : offset + limit]

    @invariant()
    def get_finds_exactly_the_visible_events(self):
        visible = self.visible()
        for record in self.records[-10:]:
            try:
                found = self.trace.get(record.request_id, self.now)
            except ScfApiError:
                found = None
            assert found is (record if record in visible else None)


TraceMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTheTraceAgreesWithItsModel = TraceMachine.TestCase
