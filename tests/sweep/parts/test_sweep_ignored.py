"""What the user has ignored with ``ignore=``."""

from __future__ import annotations

import re

import pytest
from compared_runs import DATABASE, file, texts
from sweep_internals import sweep_effects, sweep_ignored, sweep_legitimate

from pytest_scf_async.errors import ScfUsageError

Effects = sweep_effects.Effects
Ignored = sweep_ignored.Ignored
ignored_by_user = sweep_ignored.ignored_by_user
legitimate_differences = sweep_legitimate.legitimate_differences

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
            {"diverged: row at=1, id=1 of orders.db:orders has at=2 instead of at=1"},
        ),
        (
            "orders.db",
            {
                "lost: row id=1 of orders.db:items",
                "diverged: row at=1, id=1 of orders.db:orders has at=2 instead of at=1",
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
