"""How two runs differ, in the words of the report."""

from __future__ import annotations

import json
import math

import pytest
from compared_runs import (
    AUTOMATIC,
    CONTENTS,
    DATABASE,
    DIRECTORY,
    NAME,
    VALUES,
    by_id,
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
from sweep_internals import (
    difference_text,
    sweep_comparison,
    sweep_differences,
    sweep_effects,
    sweep_ignored,
    sweep_legitimate,
)

Difference = sweep_differences.Difference
EffectKind = sweep_effects.EffectKind
Effects = sweep_effects.Effects
FileContent = sweep_effects.FileContent
Ignored = sweep_ignored.Ignored
Key = sweep_effects.Key
Kind = sweep_differences.Kind
Part = sweep_differences.Part
canonical = sweep_effects.canonical
compare = sweep_comparison.compare
legitimate_differences = sweep_legitimate.legitimate_differences

LINES = "row 1\nrow 2\nrow 3\n"
DOCUMENT = '{"rows": [1, 2, 3], "state": "done"}'
CASES = [
    # files
    ("a file is lost", files(a__txt="x", b__txt="y"), files(a__txt="x"), ["lost: file b.txt"]),
    ("a file is left behind", files(a="x"), files(a="x", export__tmp="y"), ["left behind: file export.tmp"]),
    ("an empty directory is lost", files(spool=DIRECTORY), files(), ["lost: directory spool"]),
    ("a directory is left behind", files(), files(spool=DIRECTORY), ["left behind: directory spool"]),
    (
        "a directory is not named beside what is in it",
        Effects(files={"spool": DIRECTORY, "spool/in": DIRECTORY, "spool/in/a": file("x"), "spool/out": DIRECTORY}),
        Effects(files={"tmp": DIRECTORY, "tmp/b": file("x")}),
        ["lost: file spool/in/a", "lost: directory spool/out", "left behind: file tmp/b"],
    ),
    (
        "a link leads elsewhere",
        files(link=FileContent("symbolic link", b"v1")),
        files(link=FileContent("symbolic link", b"v2")),
        ['diverged: symbolic link link leads to "v2" instead of "v1"'],
    ),
    ("another kind of entry", files(a="x"), files(a=DIRECTORY), ["diverged: a is a directory instead of a file"]),
    ("a lost database", rows({"a": 1}), Effects(), ["lost: database orders.db"]),
    ("a database left behind", Effects(), rows({"a": 1}), ["left behind: database orders.db"]),
    (
        "a damaged database",
        rows({"a": 1}),
        files(orders__db="SQLite format 3"),
        ["diverged: orders.db is a file instead of a database"],
    ),
    ("an emptied database", rows({"a": 1}), files(orders__db=""), ["lost: table orders.db:orders"]),
    (
        "a name with a newline",
        Effects(files={"a b\nc": file("x")}),
        Effects(),
        ["lost: file a b\\x0ac"],
    ),
    ("a name that is no UTF-8", Effects(files={"\udcff": file("")}), Effects(), ["lost: file \\xdcff"]),
    # lines
    ("a line is lost", files(out=LINES), files(out="row 1\nrow 3\n"), ['lost: line "row 2" of out']),
    ("the last lines", files(out=LINES), files(out="row 1\n"), ['lost: 2 lines of out, the first "row 2"']),
    ("a line that is torn", files(out=LINES), files(out="row 1\nro"), ['lost: 2 lines of out, the first "row 2"']),
    (
        "a line that is torn after one was doubled",
        files(out=LINES),
        files(out="row 1\nrow 1\nrow 2\nro"),
        ['lost: line "row 3" of out', 'doubled: line "row 1" of out, 2 times instead of 1'],
    ),
    (
        "only the last newline after a doubled line",
        files(out=LINES),
        files(out=f"row 1\n{LINES[:-1]}"),
        ['doubled: line "row 1" of out, 2 times instead of 1'],
    ),
    (
        "an unfinished line more",
        files(out=LINES),
        files(out=f"{LINES}ro"),
        ["diverged: file out has 20 other bytes instead of 18"],
    ),
    ("an emptied file", files(out=LINES), files(out=""), ['lost: 3 lines of out, the first "row 1"']),
    ("the last newline", files(out=LINES), files(out=LINES[:-1]), ["lost: the last 1 of 18 bytes of out"]),
    (
        "a newline more",
        files(out=LINES[:-1]),
        files(out=LINES),
        ["diverged: file out has 18 other bytes instead of 17"],
    ),
    (
        "a line is doubled",
        files(out=LINES),
        files(out=f"{LINES}row 2\n"),
        ['doubled: line "row 2" of out, 2 times instead of 1'],
    ),
    ("all lines", files(out=LINES), files(out=LINES * 2), ['doubled: 3 lines of out, the first "row 1"']),
    (
        "one of equal lines is lost",
        files(out="x\nx\nx\n"),
        files(out="x\nx\n"),
        ['lost: line "x" of out, 2 times instead of 3'],
    ),
    (
        "one is lost and one doubled",
        files(out=LINES),
        files(out="row 1\nrow 1\nrow 3\n"),
        ['lost: line "row 2" of out', 'doubled: line "row 1" of out, 2 times instead of 1'],
    ),
    (
        "a line is another one",
        files(checkpoint="20\n"),
        files(checkpoint="19\n"),
        ['diverged: line 1 of checkpoint is "19" instead of "20"'],
    ),
    (
        "a line more",
        files(out=LINES),
        files(out=f"{LINES}stopped\n"),
        ['diverged: line "stopped" of out, which the undisturbed run does not have'],
    ),
    (
        "one is lost, and another there",
        files(out=LINES),
        files(out="row 1row 2\nrow 3\n"),
        [
            'lost: 2 lines of out, the first "row 1"',
            'diverged: line "row 1row 2" of out, which the undisturbed run does not have',
        ],
    ),
    (
        "the order",
        files(out=LINES),
        files(out="row 1\nrow 3\nrow 2\n"),
        ['diverged: the order of the lines of out: line 2 is "row 3" instead of "row 2"'],
    ),
    ("latin-1", files(out=b"\xe9t\xe9\nx\n"), files(out="x\n"), ['lost: line "\\xdce9t\\xdce9" of out']),
    (
        "another end of lines",
        files(out="a\nb\n"),
        files(out="a\nb\r\n"),
        ['diverged: line 2 of out is "b\\r" instead of "b"'],
    ),
    # other contents
    ("a binary file is cut", files(out=b"\0" * 9), files(out=b"\0" * 3), ["lost: the last 6 of 9 bytes of out"]),
    (
        "a binary file is another one",
        files(out=b"\0ab"),
        files(out=b"\0abcd"),
        ["diverged: file out has 5 other bytes instead of 3"],
    ),
    (
        "a large file is another one",
        files(out=FileContent("file", None, 20_000_000, "a")),
        files(out=FileContent("file", None, 20_000_000, "b")),
        ["diverged: file out has 20000000 other bytes instead of 20000000"],
    ),
    # files of JSON
    ("layout", files(s__json=DOCUMENT), files(s__json=json.dumps(json.loads(DOCUMENT), indent=1, sort_keys=True)), []),
    (
        "an item is lost",
        files(s__json=DOCUMENT),
        files(s__json='{"rows": [1, 3], "state": "done"}'),
        ["lost: item 2 of s.json ['rows']"],
    ),
    (
        "JSON without a suffix",
        files(state=DOCUMENT),
        files(state='{"rows": [1, 2, 3], "state": "open"}'),
        ['diverged: state [\'state\'] is "open" instead of "done"'],
    ),
    ("JSON is cut", files(s__json=DOCUMENT), files(s__json=DOCUMENT[:9]), ["lost: the last 27 of 36 bytes of s.json"]),
    (
        "JSON is damaged",
        files(s__json=DOCUMENT),
        files(s__json='{"rows": [1, 2}'),
        ["diverged: file s.json has 15 other bytes instead of 36"],
    ),
    ("NaN", files(s__json='{"a": NaN, "b": 1}'), files(s__json='{"b": 1.0, "a": NaN}'), []),
    ("a number as text", files(s__json="1"), files(s__json='"1"'), ['diverged: s.json is "1" instead of 1']),
    ("true is not 1", files(s__json="[1]"), files(s__json="[true]"), ["diverged: s.json [0] is true instead of 1"]),
    (
        "one line of JSON lines is doubled",
        files(audit__jsonl='{"a": 1}\n'),
        files(audit__jsonl='{"a": 1}\n{"a": 1}\n'),
        ['doubled: line "{\\"a\\": 1}" of audit.jsonl, 2 times instead of 1'],
    ),
    (
        "JSON that Python cannot walk through",
        files(s__json="[" * 900 + "]" * 900),
        files(s__json="[" * 900),
        ["lost: the last 900 of 1,800 bytes of s.json"],
    ),
    (
        "JSON that Python cannot read",
        files(s__json="[" * 300_000),
        files(s__json="[" * 300_001),
        [f'diverged: line 1 of s.json is "{"[" * 78}… instead of "{"[" * 78}…'],
    ),
    # result and observed values
    ("no result", result(20), Effects(), ["lost: result (undisturbed: 20)"]),
    ("a result", Effects(), result(20), ["diverged: result (found: 20), which the undisturbed run does not have"]),
    ("None is a result", result(None), Effects(), ["lost: result (undisturbed: null)"]),
    ("a number", result({"rows": 20}), result({"rows": 19}), ["diverged: result ['rows'] is 19 instead of 20"]),
    ("1 and 1.0", result({"rows": 20, "sum": 1.5}), result({"rows": 20.0, "sum": 1.5}), []),
    ("a key", result({"a": 1, "b": 2}), result({"a": 1}), ["lost: result ['b'] (undisturbed: 2)"]),
    ("two keys", result({"a": 1, "b": 2}), result({}), ["lost: result ['a'] (undisturbed: 1), and 1 more"]),
    (
        "another key",
        result({"a": 1}),
        result({"a": 1, "b": 2}),
        ["diverged: result ['b'] (found: 2), which the undisturbed run does not have"],
    ),
    ("observed is missing", observed([1]), Effects(), ["lost: observed objects (undisturbed: [1])"]),
    (
        "observed in addition",
        Effects(),
        observed([1]),
        ["diverged: observed objects (found: [1]), which the undisturbed run does not have"],
    ),
    ("an item", observed(["a", "b"]), observed(["b"]), ['lost: item "a" of observed objects']),
    ("items", observed(["a", "b", "b"]), observed([]), ['lost: 3 items of observed objects, the first "a"']),
    (
        "doubled",
        observed(["a"]),
        observed(["a", "a"]),
        ['doubled: item "a" of observed objects, 2 times instead of 1'],
    ),
    (
        "an item within an item",
        observed({"x": [[1, 2], [3]]}),
        observed({"x": [[1], [3]]}),
        ["lost: item 2 of observed objects ['x'][0]"],
    ),
    (
        "items in another order",
        observed(["a", "b"]),
        observed(["b", "a"]),
        ['diverged: the order of items: observed objects [0] is "b" instead of "a"'],
    ),
    ("a set has no order", observed({"a", "b"}), observed({"b", "a"}), []),
    ("NaN is itself", observed(math.nan), observed(float("nan")), []),
    (
        "a float",
        observed(0.1 + 0.2),
        observed(0.3),
        ["diverged: observed objects is 0.3 instead of 0.30000000000000004"],
    ),
    (
        "a plugin and the test have one name",
        Effects(observed={"mail": 1}, more={"mail": [1]}),
        Effects(observed={"mail": 1}, more={"mail": []}),
        ["lost: item 1 of observed mail (plugin)"],
    ),
    ("what a plugin adds", Effects(more={"mail": [1]}), Effects(more={"mail": []}), ["lost: item 1 of observed mail"]),
    # records
    ("a record is lost", records("a", "b"), records("b"), ['lost: record put(key="a")']),
    ("records are lost", records("a", "b"), records(), ['lost: 2 records put, the first put(key="a")']),
    ("doubled record", records("a"), records("a", "a"), ['doubled: record put(key="a"), 2 times instead of 1']),
    ("the order of records", records("a", "b"), records("b", "a"), []),
    (
        "lost, doubled and another one",
        records("a", "b"),
        records("a", "a", "c"),
        [
            'lost: record put(key="b")',
            'doubled: record put(key="a"), 2 times instead of 1',
            'diverged: record put(key="c"), which the undisturbed run does not have',
        ],
    ),
    (
        "another record in the same place",
        records("a", "b"),
        records("a", "c"),
        ['lost: record put(key="b")', 'diverged: record put(key="c"), which the undisturbed run does not have'],
    ),
    ("a record without fields", Effects(records=[("done", {})]), Effects(), ["lost: record done()"]),
    # rows
    (
        "a row is lost",
        by_id("a", "b", "c"),
        rows({"id": 1, "name": "a"}, {"id": 3, "name": "c"}, key=AUTOMATIC),
        ["lost: row id=2 of orders.db:orders"],
    ),
    ("rows are lost", by_id("a", "b", "c"), by_id("a"), ["lost: 2 rows of orders.db:orders, the first id=2"]),
    (
        "a row is lost, and the key of the next one is smaller",
        by_id("a", "b", "c"),
        by_id("a", "c"),
        ["lost: row id=2 of orders.db:orders"],
    ),
    (
        "of equal rows the one with its key",
        by_id("x", "x", "x"),
        rows({"id": 1, "name": "x"}, {"id": 3, "name": "x"}, key=AUTOMATIC),
        ["lost: row id=2 of orders.db:orders"],
    ),
    (
        "a row is doubled",
        by_id("a", "b"),
        by_id("a", "b", "a"),
        ['doubled: row name="a" of orders.db:orders, 2 times instead of 1'],
    ),
    (
        "a row is doubled, and the keys of the next ones are larger",
        by_id("a", "b", "c"),
        by_id("a", "a", "b", "c"),
        ['doubled: row name="a" of orders.db:orders, 2 times instead of 1'],
    ),
    (
        "a row is changed",
        by_id("a", "b"),
        by_id("a", "z"),
        ['diverged: row id=2 of orders.db:orders has name="z" instead of name="b"'],
    ),
    (
        "two rows are exchanged",
        by_id("a", "b"),
        by_id("b", "a"),
        ['diverged: row id=1 of orders.db:orders has name="b" instead of name="a", and 1 more'],
    ),
    (
        "only a key is another one",
        by_id("a"),
        rows({"id": 2, "name": "a"}, key=AUTOMATIC),
        ["diverged: row id=1 of orders.db:orders has id=2 instead of id=1"],
    ),
    (
        "a row more",
        by_id("a"),
        by_id("a", "z"),
        ["diverged: row id=2 of orders.db:orders, which the undisturbed run does not have"],
    ),
    (
        "a changed row of a table with another key",
        rows({"name": "a", "paid": 1}, {"name": "b", "paid": 1}, key=NAME),
        rows({"name": "b", "paid": 0}, {"name": "a", "paid": 1}, key=NAME),
        ['diverged: row name="b" of orders.db:orders has paid=0 instead of paid=1'],
    ),
    (
        "one lost, one changed and one more",
        rows({"name": "a", "paid": 1}, {"name": "b", "paid": 1}, key=NAME),
        rows({"name": "b", "paid": 0}, {"name": "c", "paid": 1}, key=NAME),
        [
            'lost: row name="a" of orders.db:orders',
            'diverged: row name="b" of orders.db:orders has paid=0 instead of paid=1',
            'diverged: row name="c" of orders.db:orders, which the undisturbed run does not have',
        ],
    ),
    (
        "the only row of a table without a key",
        rows({"last": 20}),
        rows({"last": 19}),
        ["diverged: row last=20 of orders.db:orders has last=19 instead of last=20"],
    ),
    (
        "equal rows without a key",
        rows({"a": 1}, {"a": 1}, {"a": 2}),
        rows({"a": 1}, {"a": 2}, {"a": 2}),
        [
            "lost: row a=1 of orders.db:orders, 1 time instead of 2",
            "doubled: row a=2 of orders.db:orders, 2 times instead of 1",
        ],
    ),
    ("the order of rows", rows({"a": 1}, {"a": 2}), rows({"a": 2}, {"a": 1}), []),
    ("1.0 of a column and 1", rows({"a": 1}), rows({"a": 1.0}), []),
    (
        "a table more",
        Effects(files={"orders.db": DATABASE}),
        rows(),
        ["diverged: table orders.db:orders, which the undisturbed run does not have"],
    ),
    (
        "a column more",
        rows({"a": 1}),
        rows({"a": 1, "b": None}),
        ["diverged: row a=1 of orders.db:orders has b=null instead of no b"],
    ),
    # /tmp
    ("left in /tmp", Effects(tmp=("cache",)), Effects(tmp=("cache", "x.part")), ["left behind: file /tmp/x.part"]),
    ("no longer in /tmp", Effects(tmp=("cache",)), Effects(), []),
]


@pytest.mark.parametrize(("undisturbed", "found", "expected"), [each[1:] for each in CASES], ids=[c[0] for c in CASES])
def test_how_a_run_differs(undisturbed, found, expected):
    assert texts(undisturbed, found) == expected
    assert compare(undisturbed, undisturbed, Ignored()) == compare(found, found, Ignored()) == []
    assert [*map(difference_text, compare(undisturbed, found, legitimate_differences(undisturbed, undisturbed)))] == (
        expected
    )


def test_a_difference_is_data():
    assert compare(records("a", "b"), records("a", "a"), Ignored()) == [
        Difference(Kind.LOST, EffectKind.RECORD, "put", missing=(Part("record", "", '{"key": "b"}', 1, 0),)),
        Difference(Kind.DOUBLED, EffectKind.RECORD, "put", extra=(Part("record", "", '{"key": "a"}', 1, 2),)),
    ]
    (changed,) = compare(result([1, 2]), result([1, 3]), Ignored())
    assert changed == Difference(
        Kind.DIVERGED,
        EffectKind.RESULT,
        "result",
        (Part("value", "[1]", "2", 1, 0),),
        (Part("value", "[1]", "3", 0, 1),),
    )
    assert len({changed, *compare(result([1, 2]), result([1, 3]), Ignored())}) == 1


@pytest.mark.parametrize("kind", Kind)
def test_a_difference_of_others_has_a_text(kind):
    assert difference_text(Difference(kind, EffectKind.RESULT, "result")) == f"{kind.value}: result"


def test_a_text_is_one_line_and_bounded():
    value = {"k\n" * 5_000: "v\x1b[0m" * 5_000}
    (text,) = texts(observed([value]), observed([]))
    assert len(text) < 300
    assert text.isprintable()
    (text,) = texts(Effects(records=[("p" * 9_000, value)]), Effects())
    assert len(text) < 300


@settings(max_examples=150)
@given(VALUES, VALUES)
def test_values_differ_exactly_where_they_are_not_the_same(first, second):
    same = canonical(first) == canonical(second)
    assert (texts(result(first), result(second)) == []) == same


@settings(max_examples=150)
@given(CONTENTS, CONTENTS)
def test_files_differ_exactly_where_their_content_does(first, second):
    assert (texts(files(a=first), files(a=second)) == []) == (first == second)


def test_one_of_many_lines_is_found_fast():
    lines = [f"row {at}" for at in range(10_000)]
    undisturbed = files(out="\n".join(lines))
    seconds, found = seconds_of(undisturbed, files(out="\n".join((*lines[:7_000], "row", *lines[7_001:]))), Ignored())
    assert found == ['diverged: line 7001 of out is "row" instead of "row 7000"']
    assert seconds < 0.05
