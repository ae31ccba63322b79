"""Objects that forks share: nobody counts the references of those that were there before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import collections, gc, json, sys, weakref
from pytest_scf_async.zygote import immortal

class Ended: pass
def function(): return json.dumps(collections.OrderedDict())
before = [json, function, function.__code__, function.__code__.co_names, "a text" * 2]
for _ in immortal.make_immortal(gc.get_objects()): pass

counts = [sys.getrefcount(each) for each in before]
more = [list(before) for _ in range(100)]
assert function() == "{}"
after = [sys.getrefcount(each) for each in before]
print([now - then >= 100 for now, then in zip(after, counts)])

ended = []
later = Ended()
weakref.finalize(later, ended.append, True)
del later
assert ended == [True]
"""


@pytest.mark.interpreter
def test_what_is_there_is_not_counted_any_more_and_what_comes_later_ends_as_ever() -> None:
    project = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", CODE], cwd=project, capture_output=True, text=True, timeout=60, check=False
    )

    counted = sys.version_info < (3, 12)  # Python 3.10 and 3.11 have no immortal objects
    assert (ended.stdout, ended.stderr) == (f"{[counted] * 5}\n", "")
