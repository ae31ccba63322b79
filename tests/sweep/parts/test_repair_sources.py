"""A source file that is changed: its diff, and its bytes, in whatever encoding and with whatever line ends."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pytest_scf_async import ScfUsageError
from pytest_scf_async.sweep.repairs.sources import Source, sources_of, write

# once: texts and files; no process of ours
pytestmark = pytest.mark.once

TEXT = "first\nsecond\nthird\nfourth\n"
SWAPPED = "second\nfirst\nthird\nadded\nfourth\n"


def source_of(directory: Path, content: bytes) -> Source:
    path = directory / "job.py"
    path.write_bytes(content)
    return sources_of(str(directory), iter(["job.py"]))["job.py"]


CONTENTS = {
    "plain": (TEXT.encode(), SWAPPED.encode()),
    "CRLF": (TEXT.replace("\n", "\r\n").encode(), SWAPPED.replace("\n", "\r\n").encode()),
    "CR": (TEXT.replace("\n", "\r").encode(), SWAPPED.replace("\n", "\r").encode()),
    "mixed": (b"first\r\nsecond\nthird\r\nfourth\r\n", b"second\nfirst\r\nthird\r\nadded\r\nfourth\r\n"),
    "no end": (TEXT[:-1].encode(), SWAPPED[:-1].encode()),
    "BOM": (b"\xef\xbb\xbf" + TEXT.encode(), b"\xef\xbb\xbf" + SWAPPED.encode()),
    "Latin-1": (
        b"# -*- coding: latin-1 -*-\n\xe4\n" + TEXT.encode(),
        b"# -*- coding: latin-1 -*-\n\xe4\n" + SWAPPED.encode(),
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_change_keeps_encoding_and_line_ends(content: str, tmp_path: Path) -> None:
    before, after = CONTENTS[content]
    source = source_of(tmp_path, before)
    assert "\r" not in source.text
    changed = source.text.replace("first\nsecond\n", "second\nfirst\n").replace("third\n", "third\nadded\n")
    assert source.encoded(source.text) == before
    assert source.encoded(changed) == after
    assert source.diff(source.text) == ""
    assert source.size(changed) == (5 if content == "BOM" else 3)


@pytest.mark.parametrize("content", [name for name in CONTENTS if name != "CR"])
def test_its_diff_can_be_applied(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git knows no line that a carriage return alone ends."""
    before, after = CONTENTS[content]
    (tmp_path / "code").mkdir()
    source = source_of(tmp_path / "code", before)
    monkeypatch.chdir(tmp_path)
    changed = source.text.replace("first\nsecond\n", "second\nfirst\n").replace("third\n", "third\nadded\n")
    diff = source.diff(changed)
    assert diff.startswith("--- a/code/job.py\n+++ b/code/job.py\n@@ ")
    encoding = "latin-1" if content == "Latin-1" else "utf-8"
    subprocess.run(["git", "apply", "-"], input=diff.encode(encoding), check=True, cwd=tmp_path)
    assert (tmp_path / "code" / "job.py").read_bytes() == after


def test_a_file_elsewhere_has_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    source = source_of(tmp_path, TEXT.encode())
    monkeypatch.chdir(tmp_path / "here")
    assert source.diff(SWAPPED).startswith(f"--- {tmp_path}/job.py\n+++ {tmp_path}/job.py\n")


def test_the_numbers_of_its_lines_then(tmp_path: Path) -> None:
    source = source_of(tmp_path, TEXT.encode())
    assert source.moved(f"# one more\n{TEXT}") == {1: 2, 2: 3, 3: 4, 4: 5}


# -- writing -----------------------------------------------------------------------------------------------------------


def test_it_is_written_with_the_mode_that_it_has(tmp_path: Path) -> None:
    source = source_of(tmp_path, TEXT.encode())
    path = tmp_path / "job.py"
    path.chmod(0o764)
    number = path.stat().st_ino
    write(source, SWAPPED)
    assert path.read_text() == SWAPPED
    assert stat.S_IMODE(path.stat().st_mode) == 0o764
    assert path.stat().st_ino != number  # another file has taken its place
    assert os.listdir(tmp_path) == ["job.py"]


def test_a_link_to_it_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "job.py").write_text(TEXT)
    (tmp_path / "job.py").symlink_to("real/job.py")
    write(sources_of(str(tmp_path), iter(["job.py"]))["job.py"], SWAPPED)
    assert (tmp_path / "job.py").is_symlink()
    assert (tmp_path / "real" / "job.py").read_text() == SWAPPED


def test_one_that_has_changed_since_is_left(tmp_path: Path) -> None:
    source = source_of(tmp_path, TEXT.encode())
    (tmp_path / "job.py").write_text("other\n")
    with pytest.raises(
        ScfUsageError, match=rf"--apply: {tmp_path}/job.py has changed since the sweep: it is left as it"
    ):
        write(source, SWAPPED)
    assert (tmp_path / "job.py").read_text() == "other\n"


def test_one_that_cannot_be_written_is_left(tmp_path: Path) -> None:
    source = source_of(tmp_path, TEXT.encode())
    (tmp_path / "job.py").chmod(0o444)
    with pytest.raises(ScfUsageError, match=rf"--apply: {tmp_path}/job.py cannot be written: it is read-only"):
        write(source, SWAPPED)
    assert (tmp_path / "job.py").read_text() == TEXT


def test_where_it_is_gone_that_is_said(tmp_path: Path) -> None:
    source = source_of(tmp_path, TEXT.encode())
    (tmp_path / "job.py").unlink()
    with pytest.raises(ScfUsageError, match=r"job.py cannot be written: No such file or directory"):
        write(source, SWAPPED)


def test_where_it_fails_half_way_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tmp_path, TEXT.encode())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ScfUsageError, match=r"job.py cannot be written: No space left on device"):
        write(source, SWAPPED)
    assert (tmp_path / "job.py").read_text() == TEXT
    assert os.listdir(tmp_path) == ["job.py"]
