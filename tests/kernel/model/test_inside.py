"""``pytest_scf_async.inside`` outside of an instance: it costs little to import, and does nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_scf_async import inside


def test_record_does_nothing_where_no_harness_listens():
    assert inside.record("put", key="a", size=3) is None


@pytest.mark.parametrize("fields", [{"field": object()}, {"field": float("nan")}, {"name": 1, "fields": {2}}])
def test_record_never_fails_where_no_harness_listens(fields):
    assert inside.record("put", **fields) is None


def test_its_import_loads_nothing_of_the_package_but_itself_and_only_the_standard_library():
    code = """
import sys
before = set(sys.modules)
import pytest_scf_async.inside
loaded = {name for name in set(sys.modules) - before if name.partition('.')[0] not in sys.stdlib_module_names}
print(sorted(loaded))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "['pytest_scf_async', 'pytest_scf_async.inside']"


def test_it_makes_one_name_public():
    assert inside.__all__ == ["record"]
