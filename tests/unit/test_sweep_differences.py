"""How two runs differ, in the words of the report, and which differences mean nothing."""

from __future__ import annotations

import json
import math
import re
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from internals import difference_text, sweep_differences, sweep_effects

from pytest_scf_async.errors import ScfUsageError

Difference = sweep_differences.Difference
EffectKind = sweep_differences.EffectKind
Ignored = sweep_differences.Ignored
Kind = sweep_differences.Kind
Part = sweep_differences.Part
compare = sweep_differences.compare
ignored_by_user = sweep_differences.ignored_by_user
legitimate_differences = sweep_differences.legitimate_differences
Effects = sweep_effects.Effects
FileContent = sweep_effects.FileContent
Key = sweep_effects.Key

DIRECTORY = FileContent("directory")
DATABASE = FileContent("database")


def file(content: str | bytes) -> FileContent:
    return FileContent("file", content.encode() if isinstance(content, str) else content)


def files(**contents: str | bytes | FileContent) -> Effects:
    """Files; ``__`` in a keyword is the dot of its name."""
    return Effects(
        files={
            name.replace("__", "."): content if isinstance(content, FileContent) else file(content)
            for name, content in contents.items()
        }
    )


def result(value: object) -> Effects:
    return Effects(result=value, has_result=True)


def observed(value: object) -> Effects:
    return Effects(observed={"objects": value})


def records(*keys: str) -> Effects:
    return Effects(records=[("put", {"key": key}) for key in keys])


def rows(*values: dict[str, object], key: Key | None = None) -> Effects:
    where = ("orders.db", "orders")
    return Effects(rows={where: [*values]}, files={"orders.db": DATABASE}, keys={where: key} if key else {})


AUTOMATIC = Key(("id",), automatic=True)
NAME = Key(("name",))


def by_id(*names: str) -> Effects:
    return rows(*({"id": at, "name": name} for at, name in enumerate(names, 1)), key=AUTOMATIC)


def texts(undisturbed: Effects, found: Effects, ignored: Ignored | None = None) -> list[str]:
    return [difference_text(each) for each in compare(undisturbed, found, ignored or Ignored())]


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
        ['diverged: symbolic link link leads to "v2" in place of "v1"'],
    ),
    ("another kind of entry", files(a="x"), files(a=DIRECTORY), ["diverged: a is a directory in place of a file"]),
    ("a lost database", rows({"a": 1}), Effects(), ["lost: database orders.db"]),
    ("a database left behind", Effects(), rows({"a": 1}), ["left behind: database orders.db"]),
    (
        "a damaged database",
        rows({"a": 1}),
        files(orders__db="SQLite format 3"),
        ["diverged: orders.db is a file in place of a database"],
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
        ['lost: line "row 3" of out', 'doubled: line "row 1" of out, 2 times in place of 1'],
    ),
    (
        "only the last newline after a doubled line",
        files(out=LINES),
        files(out=f"row 1\n{LINES[:-1]}"),
        ['doubled: line "row 1" of out, 2 times in place of 1'],
    ),
    (
        "an unfinished line more",
        files(out=LINES),
        files(out=f"{LINES}ro"),
        ["diverged: file out has 20 other bytes in place of 18"],
    ),
    ("an emptied file", files(out=LINES), files(out=""), ['lost: 3 lines of out, the first "row 1"']),
    ("the last newline", files(out=LINES), files(out=LINES[:-1]), ["lost: the last 1 of 18 bytes of out"]),
    (
        "a newline more",
        files(out=LINES[:-1]),
        files(out=LINES),
        ["diverged: file out has 18 other bytes in place of 17"],
    ),
    (
        "a line is doubled",
        files(out=LINES),
        files(out=f"{LINES}row 2\n"),
        ['doubled: line "row 2" of out, 2 times in place of 1'],
    ),
    ("all lines", files(out=LINES), files(out=LINES * 2), ['doubled: 3 lines of out, the first "row 1"']),
    (
        "one of equal lines is lost",
        files(out="x\nx\nx\n"),
        files(out="x\nx\n"),
        ['lost: line "x" of out, 2 times in place of 3'],
    ),
    (
        "one is lost and one doubled",
        files(out=LINES),
        files(out="row 1\nrow 1\nrow 3\n"),
        ['lost: line "row 2" of out', 'doubled: line "row 1" of out, 2 times in place of 1'],
    ),
    (
        "a line is another one",
        files(checkpoint="20\n"),
        files(checkpoint="19\n"),
        ['diverged: line 1 of checkpoint is "19" in place of "20"'],
    ),
    (
        "a line more",
        files(out=LINES),
        files(out=f"{LINES}stopped\n"),
        ['diverged: line "stopped" of out, beside what the undisturbed run has'],
    ),
    (
        "one is lost, and another there",
        files(out=LINES),
        files(out="row 1row 2\nrow 3\n"),
        [
            'lost: 2 lines of out, the first "row 1"',
            'diverged: line "row 1row 2" of out, beside what the undisturbed run has',
        ],
    ),
    (
        "the order",
        files(out=LINES),
        files(out="row 1\nrow 3\nrow 2\n"),
        ['diverged: the order of the lines of out: line 2 is "row 3" in place of "row 2"'],
    ),
    ("latin-1", files(out=b"\xe9t\xe9\nx\n"), files(out="x\n"), ['lost: line "\\xdce9t\\xdce9" of out']),
    (
        "another end of lines",
        files(out="a\nb\n"),
        files(out="a\nb\r\n"),
        ['diverged: line 2 of out is "b\\r" in place of "b"'],
    ),
    # other contents
    ("a binary file is cut", files(out=b"\0" * 9), files(out=b"\0" * 3), ["lost: the last 6 of 9 bytes of out"]),
    (
        "a binary file is another one",
        files(out=b"\0ab"),
        files(out=b"\0abcd"),
        ["diverged: file out has 5 other bytes in place of 3"],
    ),
    (
        "a large file is another one",
        files(out=FileContent("file", None, 20_000_000, "a")),
        files(out=FileContent("file", None, 20_000_000, "b")),
        ["diverged: file out has 20000000 other bytes in place of 20000000"],
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
        ['diverged: state [\'state\'] is "open" in place of "done"'],
    ),
    ("JSON is cut", files(s__json=DOCUMENT), files(s__json=DOCUMENT[:9]), ["lost: the last 27 of 36 bytes of s.json"]),
    (
        "JSON is damaged",
        files(s__json=DOCUMENT),
        files(s__json='{"rows": [1, 2}'),
        ["diverged: file s.json has 15 other bytes in place of 36"],
    ),
    ("NaN", files(s__json='{"a": NaN, "b": 1}'), files(s__json='{"b": 1.0, "a": NaN}'), []),
    ("a number as text", files(s__json="1"), files(s__json='"1"'), ['diverged: s.json is "1" in place of 1']),
    ("true is not 1", files(s__json="[1]"), files(s__json="[true]"), ["diverged: s.json [0] is true in place of 1"]),
    (
        "one line of JSON lines is doubled",
        files(audit__jsonl='{"a": 1}\n'),
        files(audit__jsonl='{"a": 1}\n{"a": 1}\n'),
        ['doubled: line "{\\"a\\": 1}" of audit.jsonl, 2 times in place of 1'],
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
        [f'diverged: line 1 of s.json is "{"[" * 78}… in place of "{"[" * 78}…'],
    ),
    # result and observed values
    ("no result", result(20), Effects(), ["lost: result (undisturbed: 20)"]),
    ("a result", Effects(), result(20), ["diverged: result (found: 20), beside what the undisturbed run has"]),
    ("None is a result", result(None), Effects(), ["lost: result (undisturbed: null)"]),
    ("a number", result({"rows": 20}), result({"rows": 19}), ["diverged: result ['rows'] is 19 in place of 20"]),
    ("1 and 1.0", result({"rows": 20, "sum": 1.5}), result({"rows": 20.0, "sum": 1.5}), []),
    ("a key", result({"a": 1, "b": 2}), result({"a": 1}), ["lost: result ['b'] (undisturbed: 2)"]),
    ("two keys", result({"a": 1, "b": 2}), result({}), ["lost: result ['a'] (undisturbed: 1), and 1 more"]),
    (
        "another key",
        result({"a": 1}),
        result({"a": 1, "b": 2}),
        ["diverged: result ['b'] (found: 2), beside what the undisturbed run has"],
    ),
    ("observed is missing", observed([1]), Effects(), ["lost: observed objects (undisturbed: [1])"]),
    (
        "observed in addition",
        Effects(),
        observed([1]),
        ["diverged: observed objects (found: [1]), beside what the undisturbed run has"],
    ),
    ("an item", observed(["a", "b"]), observed(["b"]), ['lost: item "a" of observed objects']),
    ("items", observed(["a", "b", "b"]), observed([]), ['lost: 3 items of observed objects, the first "a"']),
    (
        "doubled",
        observed(["a"]),
        observed(["a", "a"]),
        ['doubled: item "a" of observed objects, 2 times in place of 1'],
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
        ['diverged: the order of items: observed objects [0] is "b" in place of "a"'],
    ),
    ("a set has no order", observed({"a", "b"}), observed({"b", "a"}), []),
    ("NaN is itself", observed(math.nan), observed(float("nan")), []),
    (
        "a float",
        observed(0.1 + 0.2),
        observed(0.3),
        ["diverged: observed objects is 0.3 in place of 0.30000000000000004"],
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
    ("doubled record", records("a"), records("a", "a"), ['doubled: record put(key="a"), 2 times in place of 1']),
    ("the order of records", records("a", "b"), records("b", "a"), []),
    (
        "lost, doubled and another one",
        records("a", "b"),
        records("a", "a", "c"),
        [
            'lost: record put(key="b")',
            'doubled: record put(key="a"), 2 times in place of 1',
            'diverged: record put(key="c"), beside what the undisturbed run has',
        ],
    ),
    (
        "another record in the same place",
        records("a", "b"),
        records("a", "c"),
        ['lost: record put(key="b")', 'diverged: record put(key="c"), beside what the undisturbed run has'],
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
        ['doubled: row name="a" of orders.db:orders, 2 times in place of 1'],
    ),
    (
        "a row is doubled, and the keys of the next ones are larger",
        by_id("a", "b", "c"),
        by_id("a", "a", "b", "c"),
        ['doubled: row name="a" of orders.db:orders, 2 times in place of 1'],
    ),
    (
        "a row is changed",
        by_id("a", "b"),
        by_id("a", "z"),
        ['diverged: row id=2 of orders.db:orders has name="z" in place of name="b"'],
    ),
    (
        "two rows are exchanged",
        by_id("a", "b"),
        by_id("b", "a"),
        ['diverged: row id=1 of orders.db:orders has name="b" in place of name="a", and 1 more'],
    ),
    (
        "only a key is another one",
        by_id("a"),
        rows({"id": 2, "name": "a"}, key=AUTOMATIC),
        ["diverged: row id=1 of orders.db:orders has id=2 in place of id=1"],
    ),
    (
        "a row more",
        by_id("a"),
        by_id("a", "z"),
        ["diverged: row id=2 of orders.db:orders, beside what the undisturbed run has"],
    ),
    (
        "a changed row of a table with another key",
        rows({"name": "a", "paid": 1}, {"name": "b", "paid": 1}, key=NAME),
        rows({"name": "b", "paid": 0}, {"name": "a", "paid": 1}, key=NAME),
        ['diverged: row name="b" of orders.db:orders has paid=0 in place of paid=1'],
    ),
    (
        "one lost, one changed and one more",
        rows({"name": "a", "paid": 1}, {"name": "b", "paid": 1}, key=NAME),
        rows({"name": "b", "paid": 0}, {"name": "c", "paid": 1}, key=NAME),
        [
            'lost: row name="a" of orders.db:orders',
            'diverged: row name="b" of orders.db:orders has paid=0 in place of paid=1',
            'diverged: row name="c" of orders.db:orders, beside what the undisturbed run has',
        ],
    ),
    (
        "the only row of a table without a key",
        rows({"last": 20}),
        rows({"last": 19}),
        ["diverged: row last=20 of orders.db:orders has last=19 in place of last=20"],
    ),
    (
        "equal rows without a key",
        rows({"a": 1}, {"a": 1}, {"a": 2}),
        rows({"a": 1}, {"a": 2}, {"a": 2}),
        [
            "lost: row a=1 of orders.db:orders, 1 time in place of 2",
            "doubled: row a=2 of orders.db:orders, 2 times in place of 1",
        ],
    ),
    ("the order of rows", rows({"a": 1}, {"a": 2}), rows({"a": 2}, {"a": 1}), []),
    ("1.0 of a column and 1", rows({"a": 1}), rows({"a": 1.0}), []),
    (
        "a table more",
        Effects(files={"orders.db": DATABASE}),
        rows(),
        ["diverged: table orders.db:orders, beside what the undisturbed run has"],
    ),
    (
        "a column more",
        rows({"a": 1}),
        rows({"a": 1, "b": None}),
        ["diverged: row a=1 of orders.db:orders has b=null in place of no b"],
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


# -- what differs between two undisturbed runs -------------------------------------------------------------------------

FIRST = datetime(2025, 1, 31, 23, 59, 58, 999_999, timezone.utc)
SECOND = FIRST + sweep_differences.OTHER_START
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
        'doubled: line "… row 2 at … ok" of audit.log, 2 times in place of 1'
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
        'doubled: line "{\\"at\\": \\"…\\"}" of audit.jsonl, 2 times in place of 1'
    ]


def test_a_file_is_doubled_beside_one_that_is_another_one():
    def run(first_id: int, *contents: str) -> Effects:
        numbered = enumerate(contents, first_id)
        return Effects(files={f"{at:08x}-0000-4000-8000-{at:012x}.part": file(each) for at, each in numbered})

    first = run(1, "a", "b")
    ignored = legitimate_differences(first, run(11, "a", "b"))
    assert texts(first, run(21, "a", "b", "b"), ignored) == ["doubled: file ….part, 3 times in place of 2"]
    assert texts(first, run(21, "a", "a", "c"), ignored) == [
        "doubled: file ….part, 3 times in place of 2",
        'diverged: line 1 of ….part is "c" in place of "b"',
    ]


def test_of_several_files_the_largest_is_the_one_that_is_compared():
    def run(number: int, *contents: str) -> Effects:
        return Effects(files={f"{at}{number}-part": file(each) for at, each in enumerate(contents)})

    ignored = legitimate_differences(run(1, "x\n"), run(2, "x\n"))
    assert texts(run(1, "x\n"), run(3, "", "y\ny\n"), ignored) == [
        "left behind: file …-part, 2 times in place of 1",
        'lost: line "x" of …-part',
        'diverged: line "y" of …-part, 2 times in place of 0, beside what the undisturbed run has',
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
    other = start + sweep_differences.OTHER_START
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
        'doubled: row name="a" of orders.db:orders, 2 times in place of 1'
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
        "doubled: file export-…-1.csv, 2 times in place of 1",
        "doubled: file export-…-2.csv, 2 times in place of 1",
    ]
    partial = Effects(files={**run(IDS[2]).files, f"export-{IDS[1]}-1.csv": file("half")})
    assert texts(first, partial, ignored) == ["left behind: file export-…-1.csv, 2 times in place of 1"]
    assert texts(first, run(IDS[2], content="y\n"), ignored)[0] == (
        'diverged: line 1 of export-…-1.csv is "y" in place of "x"'
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
        "left behind: file /tmp/…, 2 times in place of 1"
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats(width=16) | st.text("ab 1-:.", max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1-", max_size=3), inner, max_size=3),
    max_leaves=8,
)
CONTENTS = st.lists(st.sampled_from([b"a", b"a 1", b"a 2", b"b", b"\xff", b"\n", b"\n", b"\0"])).map(b"".join)
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
@given(VALUES, VALUES)
def test_values_differ_exactly_where_they_are_not_the_same(first, second):
    same = sweep_effects.canonical(first) == sweep_effects.canonical(second)
    assert (texts(result(first), result(second)) == []) == same


@settings(max_examples=150)
@given(CONTENTS, CONTENTS)
def test_files_differ_exactly_where_their_content_does(first, second):
    assert (texts(files(a=first), files(a=second)) == []) == (first == second)


@settings(max_examples=150)
@given(RUNS, RUNS, RUNS)
def test_two_undisturbed_runs_never_differ_once_they_were_compared(first, second, third):
    ignored = legitimate_differences(first, second)
    assert texts(first, second, ignored) == texts(second, first, ignored) == []
    assert all(text.isprintable() and len(text) <= 300 for text in texts(first, third, ignored))
    assert (ignored.names == []) == (texts(first, second) == texts(second, first) == [])


# -- what the user ignores ---------------------------------------------------------------------------------------------

ALL = Effects(
    result={"a": 1},
    has_result=True,
    files={"logs/a.log": file("x"), "orders.db": DATABASE, "a[1].csv": file("x")},
    rows={("orders.db", "orders"): [{"id": 1, "at": 1}], ("orders.db", "items"): [{"id": 1}]},
    records=[("put", {})],
    observed={"objects": 1},
    tmp=("cache",),
)
NONE = Effects(
    files={"orders.db": DATABASE},
    rows={("orders.db", "orders"): [{"id": 1, "at": 2}], ("orders.db", "items"): []},
    tmp=("cache", "new"),
)


@pytest.mark.parametrize(
    ("ignore", "gone"),
    [
        ("*.log", {"lost: file logs/a.log"}),
        ("logs/a.log", {"lost: file logs/a.log"}),
        ("a[1].csv", {"lost: file a[1].csv"}),
        ("put", {"lost: record put()"}),
        ("objects", {"lost: observed objects (undisturbed: 1)"}),
        ("result", {'lost: result (undisturbed: {"a": 1})'}),
        ("new", {"left behind: file /tmp/new"}),
        ("orders.db:items", {"lost: row id=1 of orders.db:items"}),
        (
            "orders.db:orders.at",
            {"diverged: row at=1, id=1 of orders.db:orders has at=2 in place of at=1"},
        ),
        (
            "orders.db",
            {
                "lost: row id=1 of orders.db:items",
                "diverged: row at=1, id=1 of orders.db:orders has at=2 in place of at=1",
            },
        ),
        (lambda name: name == "put" or None, {"lost: record put()"}),
        (["put", re.compile(r".*\.log").fullmatch], {"lost: record put()", "lost: file logs/a.log"}),
        (None, set()),
        ([], set()),
    ],
    ids=lambda value: "" if isinstance(value, set) else str(value).partition(" at 0x")[0],
)
def test_what_the_user_ignores(ignore, gone):
    everything = {*texts(ALL, NONE)}
    assert len(everything) == 8
    by_user = ignored_by_user(ignore)
    assert everything - {*texts(ALL, NONE, Ignored(by_user=by_user))} == gone
    left = legitimate_differences(ALL, NONE, by_user)
    assert texts(ALL, NONE, left) == []
    assert len(left.names) == len(everything) - len(gone)


@pytest.mark.parametrize(
    ("ignore", "why"),
    [
        (7, "ignore=7 is not valid: it is names of files relative to run.path (or patterns such as '*.log')"),
        (b"x", "ignore=b'x' is not valid: it is names of files"),
        ({"a": 1}, "ignore={'a': 1} is not valid: it is names of files"),
        ([""], "ignore=[''] is not valid: '' is none of these: names of files"),
        (["a", 7], "ignore=['a', 7] is not valid: 7 is none of these: names of files"),
        (
            "/tmp/x",
            "ignore='/tmp/x' is not valid: '/tmp/x' is an absolute path, and files have their paths relative to",
        ),
    ],
)
def test_what_nobody_can_ignore_is_refused(ignore, why):
    with pytest.raises(ScfUsageError) as refused:
        ignored_by_user(ignore)
    assert str(refused.value).startswith(why)


# -- large ones --------------------------------------------------------------------------------------------------------


def seconds_of(undisturbed: Effects, found: Effects, ignored: Ignored) -> tuple[float, list[str]]:
    """The best of a few times, and what was found."""
    times = []
    for _ in range(5):
        again = Effects(files=found.files)
        before = time.process_time()
        differences = compare(undisturbed, again, ignored)
        times.append(time.process_time() - before)
    return min(times), [*map(difference_text, differences)]


def test_one_of_many_lines_is_found_fast():
    lines = [f"row {at}" for at in range(10_000)]
    undisturbed = files(out="\n".join(lines))
    seconds, found = seconds_of(undisturbed, files(out="\n".join((*lines[:7_000], "row", *lines[7_001:]))), Ignored())
    assert found == ['diverged: line 7001 of out is "row" in place of "row 7000"']
    assert seconds < 0.05


def test_one_of_many_lines_with_times_is_found():
    def run(start: datetime, skipped: int = -1) -> Effects:
        times = (f"row {at} at {start + timedelta(seconds=at)}\n" for at in range(10_000) if at != skipped)
        return files(out="".join(times))

    undisturbed = run(FIRST)
    ignored = legitimate_differences(undisturbed, run(SECOND))
    seconds, found = seconds_of(undisturbed, run(LATER, 7_000), ignored)
    assert found == ['lost: line "row 7000 at …" of out']
    assert seconds < 0.5
