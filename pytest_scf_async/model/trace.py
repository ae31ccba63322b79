"""The status trace: the recorded events, who can still see them, and how they are listed (documents 63967, 52501).

An event is kept from its acceptance until 72 hours after its end; running events never expire. For each function
the trace keeps its events in the two orders in which they can be listed, so that a page needs no sorting.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final

from ..errors import HarnessError, hidden_from_users
from .codes import api_error
from .listing import Listed, check_choice, check_limit, check_offset, is_text, page_of
from .records import INVOKE_TYPES, EventRecord
from .statuses import State, Status

__tracebackhide__ = hidden_from_users

RETENTION_US: Final = 72 * 3600 * 1_000_000
"""Microseconds for which an event is kept after its end: three times 24 hours (document 65704)."""

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STATUSES: Final = tuple(status.value for status in Status)

Interval = tuple[int, int]
"""Times in [first, second): whole microseconds since the Unix epoch (UTC)."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a listing; `total_count` is the number of events that pass the filters, on every page."""

    total_count: int
    records: list[EventRecord]


def _end_key(record: EventRecord) -> tuple[int, int]:
    assert record.end_us is not None
    return record.end_us, record.sequence


@dataclass(slots=True)
class _FunctionEvents:
    """One function's events. All are in order of acceptance, which is that of their starts; ended ones by their end."""

    all: dict[int, EventRecord] = field(default_factory=dict)  # by sequence
    running: dict[int, EventRecord] = field(default_factory=dict)  # by sequence
    ended: list[EventRecord] = field(default_factory=list)  # sorted by _end_key

    def add_ended(self, record: EventRecord) -> None:
        if not self.ended or _end_key(self.ended[-1]) <= _end_key(record):
            self.ended.append(record)
        else:
            insort(self.ended, record, key=_end_key)

    def take_expired(self, last_end_us: int) -> list[EventRecord]:
        """Remove the events that ended at `last_end_us` or before, and return them."""
        count = bisect_right(self.ended, last_end_us, key=lambda record: _end_key(record)[0])
        expired = self.ended[:count]
        del self.ended[:count]
        if len(expired) == len(self.all):
            self.all = {}
        else:
            for record in expired:
                del self.all[record.sequence]
        return expired


class StatusTrace:
    """The store of recorded events.

    `now_us` is the simulated time of a call; it never moves backward. Existence of functions, namespaces and versions
    is for the caller to check.
    """

    def __init__(self) -> None:
        self._by_request_id: dict[str, EventRecord] = {}
        self._functions: dict[tuple[str, str], _FunctionEvents] = {}
        self._last: tuple[int, int] = (-1, 0)  # sequence and start of the event added last
        self._earliest_end_us: int | None = None  # of the ended events that are kept

    def __len__(self) -> int:
        """How many events are kept, with those that have expired and were not removed yet."""
        return len(self._by_request_id)

    def add(self, record: EventRecord) -> None:
        """Keep an accepted event; one that was accepted while the trace was off (`recorded`) is left out.

        Raises HarnessError for an event that was not accepted, whose request id is kept already, or that comes out
        of the order of acceptance.
        """
        if record.state is State.NEW:
            raise HarnessError(f"event {record.request_id} has not been accepted, so it cannot be recorded")
        if record.request_id in self._by_request_id:
            raise HarnessError(f"event {record.request_id} is recorded already")
        if record.sequence <= self._last[0] or record.start_us < self._last[1]:
            raise HarnessError(
                f"event {record.request_id} (sequence {record.sequence}, start {record.start_us} us) comes after "
                f"sequence {self._last[0]}, start {self._last[1]} us: events are added in order of acceptance"
            )
        self._last = record.sequence, record.start_us
        if not record.recorded:
            return
        self._by_request_id[record.request_id] = record
        events = self._functions.setdefault((record.namespace, record.function_name), _FunctionEvents())
        events.all[record.sequence] = record
        if record.end_us is None:
            events.running[record.sequence] = record
        else:
            self._note_end(events, record)

    def ended(self, record: EventRecord) -> None:
        """Note that an event has ended, which starts its 72 hours; nothing for an event that is not kept.

        Raises HarnessError for an event that has no end.
        """
        if record.end_us is None:
            raise HarnessError(f"event {record.request_id} has not ended")
        if self._by_request_id.get(record.request_id) is not record:
            return
        events = self._functions[record.namespace, record.function_name]
        if events.running.pop(record.sequence, None) is not None:
            self._note_end(events, record)

    def _note_end(self, events: _FunctionEvents, record: EventRecord) -> None:
        events.add_ended(record)
        assert record.end_us is not None
        if self._earliest_end_us is None or record.end_us < self._earliest_end_us:
            self._earliest_end_us = record.end_us

    def expire(self, now_us: int) -> int:
        """Remove the events whose end is 72 hours or longer ago, and return how many they were."""
        last_end_us = now_us - RETENTION_US
        if self._earliest_end_us is None or self._earliest_end_us > last_end_us:
            return 0
        removed = 0
        for key, events in list(self._functions.items()):
            expired = events.take_expired(last_end_us)
            removed += len(expired)
            for record in expired:
                del self._by_request_id[record.request_id]
            if not events.all:
                del self._functions[key]
        self._earliest_end_us = min(
            (_end_key(events.ended[0])[0] for events in self._functions.values() if events.ended), default=None
        )
        return removed

    def disable(self, function_name: str, namespace: str = "default") -> int:
        """Forget a function's events because its trace was switched off, and return how many they were."""
        events = self._functions.pop((namespace, function_name), None)
        if events is None:
            return 0
        for record in events.all.values():
            del self._by_request_id[record.request_id]
        return len(events.all)

    def get(self, request_id: str, now_us: int) -> EventRecord:
        """The event of a request id. Raises ScfApiError ``ResourceNotFound.AsyncEvent`` when it is not visible."""
        self.expire(now_us)
        record = self._by_request_id.get(request_id) if is_text(request_id) else None
        if record is None:
            raise api_error("ResourceNotFound.AsyncEvent", request_id=request_id)
        return record

    def list_events(
        self,
        *,
        now_us: int,
        function_name: str,
        namespace: str = "default",
        qualifier: str | None = None,
        invoke_types: Collection[str] = (),
        statuses: Collection[str] = (),
        start_interval: Interval | None = None,
        end_interval: Interval | None = None,
        order: str = "DESC",
        order_by: str = "StartTime",
        offset: int = 0,
        limit: int = DEFAULT_LIMIT,
        invoke_request_id: str | None = None,
    ) -> EventPage:
        """One page of a function's visible events that pass every filter that is given (document 52501).

        `order` is ASC or DESC, `order_by` StartTime or EndTime; events with equal times are in their order of
        acceptance (DESC: its reverse), and running events sort as if they had ended before all others. Intervals are
        half open; an end interval leaves running events out.

        Raises ScfApiError ``InvalidParameterValue.Limit``, ``.Offset``, ``.Order`` (for order_by too), ``.Status`` or
        ``.InvokeType``, and ``InvalidParameterValue`` for an interval that ends before it starts.
        """
        check_limit(limit, MAX_LIMIT)
        check_offset(offset)
        check_choice("InvalidParameterValue.Order", order, ("ASC", "DESC"), name="Order")
        check_choice("InvalidParameterValue.Order", order_by, ("StartTime", "EndTime"), name="Orderby")
        wanted_statuses = _checked_words("InvalidParameterValue.Status", statuses, _STATUSES)
        wanted_types = _checked_words("InvalidParameterValue.InvokeType", invoke_types, INVOKE_TYPES)
        _check_interval("StartTimeInterval", start_interval)
        _check_interval("EndTimeInterval", end_interval)

        self.expire(now_us)
        events = self._functions.get((namespace, function_name))
        if events is None:
            return EventPage(0, [])
        candidates: Listed[EventRecord]  # in ascending order; a page of all of them needs no copy
        if invoke_request_id is not None:
            record = self._by_request_id.get(invoke_request_id)
            same = record is not None and (record.namespace, record.function_name) == (namespace, function_name)
            candidates = [record] if record is not None and same else []
        elif order_by == "EndTime":
            candidates = [*events.running.values(), *events.ended] if events.running else events.ended
        elif wanted_statuses == {Status.RUNNING}:
            candidates = events.running.values()
        else:
            candidates = events.all.values()

        if qualifier is not None:
            candidates = [record for record in candidates if record.qualifier == qualifier]
        if wanted_statuses:
            states = tuple(state for state in State if state.status in wanted_statuses)
            candidates = [record for record in candidates if record.state in states]
        if wanted_types:
            candidates = [record for record in candidates if record.invoke_type in wanted_types]
        if start_interval is not None:
            first, after = start_interval
            candidates = [record for record in candidates if first <= record.start_us < after]
        if end_interval is not None:
            first, after = end_interval
            candidates = [
                record for record in candidates if (end := record.end_us) is not None and first <= end < after
            ]
        return EventPage(len(candidates), page_of(candidates, order, offset, limit))


def _checked_words(code: str, words: Collection[str], valid: Sequence[str]) -> frozenset[str]:
    """The words of a filter; a bare text is refused, since Python would take its letters for words."""
    if isinstance(words, str) or not isinstance(words, Collection):
        raise api_error(code, value=words, valid=f"lists of {', '.join(valid)}")
    for word in words:
        check_choice(code, word, valid)
    return frozenset(words)


def _check_interval(name: str, interval: Interval | None) -> None:
    if interval is not None and interval[0] > interval[1]:
        start, end = (f"{_EPOCH + timedelta(microseconds=us):%Y-%m-%d %H:%M:%S} UTC" for us in interval)
        valid = "it begins at or after its end"
        raise api_error("InvalidParameterValue", name=name, value=f"{start} to {end}", valid=valid)
