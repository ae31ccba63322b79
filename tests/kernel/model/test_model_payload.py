from __future__ import annotations

import datetime
import json
import math
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from internals import RESULT_LIMIT

from pytest_scf_async.errors import ScfUsageError
from pytest_scf_async.model.payload import ASYNC_PAYLOAD_LIMIT, SYNC_PAYLOAD_LIMIT, payload_text
from pytest_scf_async.model.statuses import Status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def refusal(payload: object, **values: object) -> str:
    with pytest.raises(ScfUsageError) as caught:
        payload_text(payload, **values)
    return str(caught.value)


@pytest.mark.once  # it is a property of our code
@given(JSON.filter(lambda value: value is not None))
def test_json_data_comes_back_as_it_was(payload):
    assert json.loads(payload_text(payload)) == payload


def test_no_payload_is_an_empty_object():
    assert payload_text(None) == "{}"


def test_text_that_is_not_ascii_stays_readable():
    assert payload_text({"名": "导出"}) == '{"名": "导出"}'


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ((1, 2), "[1, 2]"),
        (OrderedDict(a=1), '{"a": 1}'),
        (Status.RUNNING, '"RUNNING"'),
        (Level.HIGH, "3"),
        (0, "0"),
        (False, "false"),
        ("", '""'),
        ([], "[]"),
        ({}, "{}"),
    ],
)
def test_what_the_json_module_writes_is_taken(payload, text):
    assert payload_text(payload) == text


VALID = "it must be a value that json.dumps can write: dict, list, tuple, str, int, float, bool or None"


@pytest.mark.parametrize(
    ("payload", "start"),
    [
        ({1, 2}, f"payload={{1, 2}} is a set; {VALID}"),
        ({"rows": [0, 1, {3}]}, f'payload["rows"][2]={{3}} is a set; {VALID}'),
        ({"a": {"b": b"x"}}, f'payload["a"]["b"]=b\'x\' is a bytes; {VALID}'),
        ({"when": datetime.date(2026, 1, 1)}, f'payload["when"]=datetime.date(2026, 1, 1) is a date; {VALID}'),
        ([Decimal(1)], f"payload[0]=Decimal('1') is a Decimal; {VALID}"),
        ([slice(1)], f"payload[0]=slice(None, 1, None) is a slice; {VALID}"),
        ({'a"b': {1}}, 'payload["a\\"b"]={1} is a set'),
        ([1, math.nan], "payload[1] is nan, which JSON cannot express"),
        ({"x": math.inf}, 'payload["x"] is inf, which JSON cannot express'),
        ({"x": -math.inf}, 'payload["x"] is -inf, which JSON cannot express'),
        ({1: "a"}, "payload has the key 1, which is an int; the keys of a JSON object are str"),
        ([{None: "a"}], "payload[0] has the key None, which is a NoneType"),
        ({"a": {True: 1}}, 'payload["a"] has the key True, which is a bool'),
        ({"a": "\ud800"}, "payload[\"a\"] is '\\ud800', which is not valid Unicode"),
        ({"\udfff": 1}, "payload has the key '\\udfff', which is not valid Unicode"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(payload, start):
    assert refusal(payload).startswith(start)


def test_the_first_value_at_fault_is_named():
    assert refusal({"a": [{1}], "b": {2}}).startswith('payload["a"][0]={1} is a set')


def test_data_that_contains_itself_is_refused():
    rows: list[object] = [1]
    rows.append({"rows": rows})
    assert refusal(rows).startswith('payload[1]["rows"] contains itself')


def test_the_same_data_at_two_places_is_taken():
    row = {"a": 1}
    assert payload_text([row, row]) == '[{"a": 1}, {"a": 1}]'


def test_data_that_is_nested_too_deeply_is_refused():
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    assert refusal(deep) == "payload is nested too deeply to be written as JSON"


@pytest.mark.parametrize(
    ("async_run", "limit", "kind"), [(True, 131_072, "an async event"), (False, 6_291_456, "a sync call")]
)
@pytest.mark.parametrize("character", ["x", "导"])
def test_the_limit_counts_bytes_of_utf8(async_run, limit, kind, character):
    count, rest = divmod(limit - 2, len(character.encode()))  # two bytes are the quotes
    largest = character * count + "x" * rest
    assert len(payload_text(largest, async_run=async_run).encode()) == limit
    assert refusal(largest + "x", async_run=async_run) == (
        f"payload is {limit + 1:,} bytes of JSON; the data of {kind} may have {limit:,} at most"
    )


def test_the_limits_are_those_of_the_platform():
    assert (ASYNC_PAYLOAD_LIMIT, SYNC_PAYLOAD_LIMIT, RESULT_LIMIT) == (131_072, 6_291_456, 6_291_456)


def test_a_long_way_to_a_value_is_shortened():
    deep: object = {1}
    for _ in range(5000):
        deep = [deep]
    assert refusal(deep).startswith(f"payload{'[0]' * 10}…{'[0]' * 10}={{1}} is a set")


def test_a_long_text_at_fault_is_shortened():
    assert len(refusal(["x" * 100_000 + "\ud800"])) < 200
