"""What differs between two undisturbed runs means nothing, and what else differs does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from compared_runs import (
    AUTOMATIC,
    CONTENTS,
    DATABASE,
    VALUES,
    file,
    files,
    observed,
    records,
    result,
    rows,
    seconds_of,
    texts,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_internals import sweep_effects, sweep_legitimate

Effects = sweep_effects.Effects
Key = sweep_effects.Key
OTHER_START = sweep_legitimate.OTHER_START
legitimate_differences = sweep_legitimate.legitimate_differences

FIRST = datetime(2025, 1, 31, 23, 59, 58, 999_999, timezone.utc)
SECOND = FIRST + OTHER_START
LATER = FIRST + timedelta(days=33, seconds=5)
IDS = (
    "0f3bd2a1-93c8-4a7e-8d8a-0c2f8a1be5d1",
    "7c1ae09e-2b6f-4f0c-9f43-6a5ddc11aa02",
    "aa5e4bb1-0c3f-4b7d-b1f6-d6b1b2a90f93",
)


def log(start: datetime, request: str, wanted: tuple[int, ...] = (1, 2, 3)) -> Effects:
    lines = [f"{request} row {at} at {(start + timedelta(seconds=at)).isoformat()} ok" for at in wanted]
    return files(audit__log="\n".join(("begin", *lines, "")))


def test_a_time_and_an_id_in_a_line_are_ignored_and_the_rest_is_not():
    first = log(FIRST, IDS[0])
    ignored = legitimate_differences(first, log(SECOND, IDS[1]))
    assert ignored.names == ["audit.log: 2 tokens of 3 lines"]
    assert texts(first, log(LATER, IDS[2]), ignored) == []
    assert texts(first, log(LATER, IDS[2], (1, 3)), ignored) == ['lost: line "… row 2 at … ok" of audit.log']
    assert texts(first, log(LATER, IDS[2], (1, 2, 2, 3)), ignored) == [
        'doubled: line "… row 2 at … ok" of audit.log, 2 times instead of 1'
    ]
    torn = log(LATER, IDS[2]).files["audit.log"].content[:-9]
    assert texts(first, files(audit__log=torn), ignored) == ['lost: line "… row 3 at … ok" of audit.log']
    failed = files(audit__log=log(LATER, IDS[2]).files["audit.log"].content.replace(b"ok", b"failed", 1))
    (text,) = texts(first, failed, ignored)
    assert text.startswith("diverged: line 2 of audit.log is ")


def test_a_time_without_a_fraction_is_one_too():
    first = files(out=f"at {FIRST.isoformat()}\n")
    ignored = legitimate_differences(first, files(out=f"at {SECOND.replace(microsecond=0).isoformat()}\n"))
    assert texts(first, files(out="at 2031-02-03 04:05:06Z\n"), ignored) == []
    assert texts(first, files(out="on 2031-02-03 04:05:06Z\n"), ignored) != []


def test_of_two_patterns_the_one_that_says_more_is_taken():
    first = files(out="x 1\na 1\n")
    ignored = legitimate_differences(first, files(out="y 2\na 2\n"))
    assert texts(first, files(out="z 3\na 3\n"), ignored) == []
    assert texts(first, files(out="z 3\n"), ignored) == ['lost: line "a …" of out']


def test_a_file_of_one_line_of_json_is_one_of_lines():
    def run(*times: datetime) -> Effects:
        return files(audit__jsonl="".join(f'{{"at": "{at.isoformat()}"}}\n' for at in times))

    ignored = legitimate_differences(run(FIRST), run(SECOND))
    assert texts(run(FIRST), run(LATER, SECOND), ignored) == [
        'doubled: line "{\\"at\\": \\"…\\"}" of audit.jsonl, 2 times instead of 1'
    ]


def test_a_file_is_doubled_beside_one_that_is_another_one():
    def run(first_id: int, *contents: str) -> Effects:
        numbered = enumerate(contents, first_id)
        return Effects(files={f"{at:08x}-0000-4000-8000-{at:012x}.part": file(each) for at, each in numbered})

    first = run(1, "a", "b")
    ignored = legitimate_differences(first, run(11, "a", "b"))
    assert texts(first, run(21, "a", "b", "b"), ignored) == ["doubled: file ….part, 3 times instead of 2"]
    assert texts(first, run(21, "a", "a", "c"), ignored) == [
        "doubled: file ….part, 3 times instead of 2",
        'diverged: line 1 of ….part is "c" instead of "b"',
    ]


def test_of_several_files_the_largest_is_the_one_that_is_compared():
    def run(number: int, *contents: str) -> Effects:
        return Effects(files={f"{at}{number}-part": file(each) for at, each in enumerate(contents)})

    ignored = legitimate_differences(run(1, "x\n"), run(2, "x\n"))
    assert texts(run(1, "x\n"), run(3, "", "y\ny\n"), ignored) == [
        "left behind: file …-part, 2 times instead of 1",
        'lost: line "x" of …-part',
        'diverged: line "y" of …-part, 2 times instead of 0, which the undisturbed run does not have',
    ]


def test_names_without_one_normal_form_are_ignored():
    first, second = ("1-", "a-"), ("-1", "--")
    for one, other in (
        (Effects(tmp=first), Effects(tmp=second)),
        (Effects(files=dict.fromkeys(first, file("x"))), Effects(files=dict.fromkeys(second, file("x")))),
    ):
        ignored = legitimate_differences(one, other)
        assert texts(one, other, ignored) == texts(other, one, ignored) == []


def test_a_line_that_is_the_same_in_both_runs_is_compared_though_it_matches_a_pattern():
    first, second = files(out="hello world\na b\n"), files(out="hello world\nc d\n")
    ignored = legitimate_differences(first, second)
    assert texts(first, files(out="hello world\ne f\n"), ignored) == []
    assert texts(first, files(out="e f\n"), ignored) == ['lost: line "hello world" of out']


@pytest.mark.parametrize("start", [FIRST + timedelta(days=days, seconds=days * 7_919) for days in range(0, 800, 13)])
def test_each_part_of_a_time_is_another_one_at_the_other_start(start):
    written = "%Y %m %d %H %M %S %f %j %a %b"
    other = start + OTHER_START
    same = [
        one
        for one, theirs in zip(start.strftime(written).split(), other.strftime(written).split(), strict=True)
        if one == theirs
    ]
    assert same == []
    assert start.timestamp() % 1 != other.timestamp() % 1


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (files(out="a\n"), files(out="a\nb\n"), "out: its content, 1 line and 2 lines"),
        (files(out="a b\n"), files(out="a\n"), "out: its content"),
        (files(out=b"\0a"), files(out=b"\0b"), "out: its content"),
        (files(out=b"\0a"), files(out="text"), "out: its content"),
        (files(s__json="[1]"), files(s__json="[1, 2]"), "s.json: its value"),
        (files(s__json='{"a": [1]}'), files(s__json='{"a": [1, 2]}'), "s.json: ['a']"),
        (files(lock=""), files(), "file lock: only one of two undisturbed runs has it"),
        (rows({"a": 1}), rows(), "orders.db: orders: 1 row and 0 rows"),
        (
            rows({"a": 1, "b": 2}, {"a": 2, "b": 1}),
            rows({"a": 1, "b": 1}, {"a": 2, "b": 2}),
            "orders.db: orders: its rows",
        ),
        (records("a"), records("a", "a"), "record put: 1 and 2 of them"),
        (observed([1]), Effects(), "observed objects: only one of two undisturbed runs has it"),
        (observed([1, 2]), observed([2, 1]), "observed objects: the order of its items"),
        (result(1), Effects(), "result: only one of two undisturbed runs has it"),
        (result(1), result(2), "result: its value"),
        (Effects(tmp=("a",)), Effects(), "tmp a: only one of two undisturbed runs has it"),
    ],
)
def test_what_differs_otherwise_is_named_and_ignored_as_a_whole(first, second, name):
    for one, other in ((first, second), (second, first)):
        ignored = legitimate_differences(one, other)
        assert texts(one, other, ignored) == texts(other, one, ignored) == []
    assert legitimate_differences(first, second).names == [name]


def test_a_lost_binary_file_is_found_though_its_content_differs():
    ignored = legitimate_differences(files(out=b"\0a"), files(out=b"\0b"))
    assert texts(files(out=b"\0a"), files(), ignored) == ["lost: file out"]


def test_columns_that_differ_are_ignored_and_rows_are_not():
    def run(at: float, *names: str) -> Effects:
        return rows(*({"id": n, "name": name, "created_at": at + n} for n, name in enumerate(names, 1)), key=AUTOMATIC)

    first = run(1.5, "a", "b", "b")
    ignored = legitimate_differences(first, run(7.5, "a", "b", "b"))
    assert ignored.names == ["orders.db: orders.created_at"]
    assert texts(first, run(9.5, "a", "b", "b"), ignored) == []
    assert texts(first, run(9.5, "b", "b"), ignored) == ["lost: row id=1 of orders.db:orders"]
    assert texts(first, run(9.5, "a", "b", "b", "a"), ignored) == [
        'doubled: row name="a" of orders.db:orders, 2 times instead of 1'
    ]


def test_rows_whose_key_differs_have_none():
    def run(*keys: str) -> Effects:
        return rows(*({"uuid": key, "name": "a" if at < 2 else "b"} for at, key in enumerate(keys)), key=Key(("uuid",)))

    first = run("1", "5", "3")
    ignored = legitimate_differences(first, run("9", "8", "7"))
    assert ignored.names == ["orders.db: orders.uuid"]
    assert texts(first, run("2", "1", "4"), ignored) == []
    assert texts(first, run("2", "4"), ignored) == ['lost: row name="b" of orders.db:orders']


def test_fields_of_records_that_differ_are_ignored():
    def run(request: str, *keys: str) -> Effects:
        return Effects(
            records=[("put", {"key": key, "request_id": request, "at": {"s": len(request)}}) for key in keys]
        )

    first = run(IDS[0], "a", "b")
    ignored = legitimate_differences(first, run(f"{IDS[1]}x", "a", "b"))
    assert ignored.names == ["record put: at['s']", "record put: request_id"]
    assert texts(first, run(IDS[2], "b", "a"), ignored) == []
    assert texts(first, run(IDS[2], "b"), ignored) == ['lost: record put(at={"s": "…"}, key="a", request_id="…")']


def test_paths_of_values_that_differ_are_ignored():
    first = result({"id": IDS[0], "rows": [{"n": 1, "at": 1.5}, {"n": 2, "at": 2.5}]})
    second = result({"id": IDS[1], "rows": [{"n": 1, "at": 8.5}, {"n": 2, "at": 9.5}]})
    ignored = legitimate_differences(first, second)
    assert ignored.names == ["result: ['id']", "result: ['rows'][*]['at']"]
    found = {"id": IDS[2], "rows": [{"n": 1, "at": 3}, {"n": 2, "at": None}]}
    assert texts(first, result(found), ignored) == []
    assert texts(first, result({**found, "rows": found["rows"][:1]}), ignored) == [
        'lost: item {"at": "…", "n": 2} of result [\'rows\']'
    ]
    assert texts(first, result({"rows": found["rows"]}), ignored) == ["lost: result ['id'] (undisturbed: \"…\")"]


def test_keys_and_texts_with_an_id_are_compared_by_what_else_they_have():
    def run(request: str, *parts: int) -> Effects:
        return observed({f"exports/{request}/{part}": f"part {part} of {request}" for part in parts})

    first = run(IDS[0], 1, 2)
    ignored = legitimate_differences(first, run(IDS[1], 1, 2))
    assert texts(first, run(IDS[2], 1, 2), ignored) == []
    assert texts(first, run(IDS[2], 1), ignored) == [
        "lost: observed objects ['exports/…/2'] (undisturbed: \"part 2 of …\")"
    ]
    twice = {**run(IDS[1], 1, 2).observed["objects"], **run(IDS[2], 1).observed["objects"]}
    assert texts(first, observed(twice), ignored) == [
        "doubled: observed objects ['exports/…/1 (2)'] (found: \"part 1 of …\")"
    ]
    assert len(ignored.names) == 3


def test_names_of_files_that_differ_are_compared_by_what_else_they_have():
    def run(*requests: str, content: str = "x\n") -> Effects:
        return Effects(
            files={
                "constant-x.csv": file("same"),
                **{f"export-{request}-{part}.csv": file(content) for request in requests for part in (1, 2)},
            }
        )

    first = run(IDS[0])
    ignored = legitimate_differences(first, run(IDS[1]))
    assert ignored.names == ["file export-…-1.csv", "file export-…-2.csv"]
    assert texts(first, run(IDS[2]), ignored) == []
    assert texts(first, run(), ignored) == ["lost: file export-…-1.csv", "lost: file export-…-2.csv"]
    assert texts(first, run(IDS[1], IDS[2]), ignored) == [
        "doubled: file export-…-1.csv, 2 times instead of 1",
        "doubled: file export-…-2.csv, 2 times instead of 1",
    ]
    partial = Effects(files={**run(IDS[2]).files, f"export-{IDS[1]}-1.csv": file("half")})
    assert texts(first, partial, ignored) == ["left behind: file export-…-1.csv, 2 times instead of 1"]
    assert texts(first, run(IDS[2], content="y\n"), ignored)[0] == (
        'diverged: line 1 of export-…-1.csv is "y" instead of "x"'
    )


def test_a_name_that_is_the_same_in_both_runs_is_not_one_of_those_that_differ():
    first, second = files(out__txt="1", tmpa__txt="2"), files(out__txt="1", tmpb__txt="2")
    ignored = legitimate_differences(first, second)
    assert texts(first, files(out__txt="1", tmpz__txt="2"), ignored) == []
    assert texts(first, files(tmpz__txt="2"), ignored) == ["lost: file out.txt"]


def test_entries_of_tmp_with_random_names():
    first = Effects(tmp=("tmpa8x",))
    ignored = legitimate_differences(first, Effects(tmp=("tmp9zq",)))
    assert texts(first, Effects(tmp=("tmp123",)), ignored) == []
    assert texts(first, Effects(tmp=("tmp123", "tmp456")), ignored) == [
        "left behind: file /tmp/…, 2 times instead of 1"
    ]


def test_rows_of_a_database_whose_name_differs():
    def run(request: str, *names: str) -> Effects:
        name = f"{request}.db"
        return Effects(files={name: DATABASE}, rows={(name, "t"): [{"a": each} for each in names]})

    first = run(IDS[0], "x", "y", "z")
    ignored = legitimate_differences(first, run(IDS[1], "x", "y", "z"))
    assert texts(first, run(IDS[2], "x", "y", "z"), ignored) == []
    assert texts(first, run(IDS[2], "x", "z"), ignored) == ['lost: row a="y" of ….db:t']


def test_equal_runs_have_no_legitimate_differences():
    ignored = legitimate_differences(log(FIRST, IDS[0]), log(FIRST, IDS[0]))
    assert (ignored.names, ignored.whole, ignored.files) == ([], set(), {})


RUNS = st.builds(
    lambda result, seen, contents, names, keys, in_tmp: Effects(
        result=result,
        has_result=True,
        files={**{name: file(each) for name, each in contents.items()}, "d": DATABASE},
        rows={("d", "t"): [{"id": at, "name": each} for at, each in enumerate(names)], ("d", "u"): [{"x": 1}] * keys},
        keys={("d", "t"): AUTOMATIC},
        records=[("put", {"key": each}) for each in names],
        observed=seen,
        tmp=tuple(in_tmp),
    ),
    VALUES,
    st.dictionaries(st.text("ab1-", max_size=3), VALUES, max_size=3),
    st.dictionaries(
        st.sampled_from(["f", "f 1", "f 2", "f-1", "f.json"]),
        CONTENTS | VALUES.map(lambda value: json.dumps(value).encode()),
        max_size=3,
    ),
    st.lists(VALUES, max_size=3),
    st.integers(0, 2),
    st.sets(st.text("ab1-", min_size=1, max_size=3), max_size=2),
)


@settings(max_examples=150)
@given(RUNS, RUNS, RUNS)
def test_two_undisturbed_runs_never_differ_once_they_were_compared(first, second, third):
    ignored = legitimate_differences(first, second)
    assert texts(first, second, ignored) == texts(second, first, ignored) == []
    assert all(text.isprintable() and len(text) <= 300 for text in texts(first, third, ignored))
    assert (ignored.names == []) == (texts(first, second) == texts(second, first) == [])


def test_one_of_many_lines_with_times_is_found():
    def run(start: datetime, skipped: int = -1) -> Effects:
        times = (f"row {at} at {start + timedelta(seconds=at)}\n" for at in range(10_000) if at != skipped)
        return files(out="".join(times))

    undisturbed = run(FIRST)
    ignored = legitimate_differences(undisturbed, run(SECOND))
    seconds, found = seconds_of(undisturbed, run(LATER, 7_000), ignored)
    assert found == ['lost: line "row 7000 at …" of out']
    assert seconds < 0.5
