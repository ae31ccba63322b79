"""The zygote's cache of compiled code, in this process: what it holds, for how long, and when it is not trusted."""

from __future__ import annotations

import os

import pytest
from internals import clocks, loading

pytestmark = pytest.mark.interpreter


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """A cache of its own, and what is compiled in the meantime."""
    monkeypatch.setattr(loading, "_compiled", {})
    monkeypatch.setattr(loading, "_young", set())


def written(path, text: str, age: float) -> str:
    """Write a file, last changed *age* seconds ago."""
    path.write_text(text)
    changed = clocks.real_time_ns() - int(age * 1e9)
    os.utime(path, ns=(changed, changed))
    return str(path)


def value_of(path: str) -> object:
    """The value in a file of the form ``what = 1``, by the cached code."""
    return loading._compiled[path][2].co_consts[0]


def test_code_is_compiled_once_as_long_as_the_file_is_the_same(tmp_path):
    path = written(tmp_path / "index.py", "what = 1", age=10)
    loading.compile_ahead(path)
    first = loading._compiled[path]
    loading.compile_ahead(path)
    assert loading._compiled[path] is first


@pytest.mark.parametrize(("text", "age"), [("what = 2", 5), ("what = 22", 10)])
def test_another_time_or_another_size_is_another_file(tmp_path, text, age):
    path = written(tmp_path / "index.py", "what = 1", age=10)
    loading.compile_ahead(path)
    written(tmp_path / "index.py", text, age=age)
    loading.compile_ahead(path)
    assert value_of(path) == int(text.split()[-1])


def test_a_file_that_was_just_written_may_change_without_a_sign(tmp_path):
    path = written(tmp_path / "index.py", "what = 1", age=0)
    loading.compile_ahead(path)
    state = os.stat(path)
    (tmp_path / "index.py").write_text("what = 2")
    os.utime(path, ns=(state.st_mtime_ns, state.st_mtime_ns))

    loading.compile_ahead(path)

    assert value_of(path) == 2


def test_code_that_cannot_be_compiled_is_forgotten(tmp_path):
    path = written(tmp_path / "index.py", "what = 1", age=0)
    loading.compile_ahead(path)
    written(tmp_path / "index.py", "what = ", age=0)
    loading.compile_ahead(path)
    assert (loading._compiled, loading._young) == ({}, set())


def test_only_so_many_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MOST_COMPILED", 3)
    paths = [written(tmp_path / f"{number}.py", f"what = {number}", age=0) for number in range(5)]
    for path in paths:
        loading.compile_ahead(path)
    assert list(loading._compiled) == paths[2:]
    assert loading._young == set(paths[2:])
