"""The lines to which no run came: statements of functions, as ranges."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pytest_scf_async.sweep.reached import not_reached

# once: a source and its tree; no process
pytestmark = pytest.mark.once

SOURCE = '''
    import os
    class Worker:
        """A worker."""
        jobs = 3
        def work(self):
            """Work."""
            global done
            for each in range(3):
                if each == 7:
                    again(
                        each,
                    )

                    # and once more
                    again(each)
                done = [
                    each
                    for _ in ()
                ]
            try:
                os.stat("x")
            except OSError:
                pass
            else:
                again(0)

        @property
        def never(self):
            return [1
                    for _ in ()]
    def again(number): return number
    if __name__ == "__main__":
        again(1)
    '''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tmp_path.joinpath("jobs").mkdir()
    tmp_path.joinpath("jobs", "job.py").write_text(textwrap.dedent(SOURCE).lstrip("\n"))
    return tmp_path


def missing(root: Path, lines: set[int]) -> list[str]:
    return list(not_reached([str(root)], {("jobs/job.py", line) for line in lines}))


def test_what_was_not_reached_is_told_in_ranges_over_what_is_no_statement(root: Path) -> None:
    assert missing(root, {8, 9, 16, 20, 21, 31}) == ["jobs/job.py:10-15", "jobs/job.py:22-30"]


def test_nothing_is_told_where_all_was_reached(root: Path) -> None:
    everything = {8, 9, 10, 15, 16, 20, 21, 22, 23, 25, 29, 31}
    assert missing(root, everything) == []
    assert missing(root, everything - {29}) == ["jobs/job.py:29-30"]
    assert missing(root, everything - {31}) == ["jobs/job.py:31"]


def test_only_files_count_that_were_reached_and_can_be_read(root: Path) -> None:
    assert list(not_reached([str(root)], set())) == []
    assert list(not_reached([str(root)], {("", 0), ("jobs/gone.py", 3)})) == []
    root.joinpath("broken.py").write_text("def (")
    assert list(not_reached([str(root)], {("broken.py", 1)})) == []
