"""Zips of code and layers: what is unpacked, and what is refused before anything is written."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from internals import packages

from pytest_scf_async.errors import ScfUsageError

pytestmark = pytest.mark.once


def member(name: str, kind: int = stat.S_IFREG, permissions: int = 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | permissions) << 16
    return info


def link(archive: zipfile.ZipFile, name: str, leads_to: str) -> None:
    archive.writestr(member(name, stat.S_IFLNK, 0o777), leads_to)


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[[Callable[[zipfile.ZipFile], object]], Path]:
    def make(fill: Callable[[zipfile.ZipFile], object]) -> Path:
        path = tmp_path / "code.zip"
        with zipfile.ZipFile(path, "w") as archive:
            fill(archive)
        return path

    return make


def unpacked(path: Path) -> Path:
    target = path.parent / "unpacked"
    target.mkdir()
    packages.unpack(str(path), str(target), "code")
    return target


def refusal(path: Path) -> str:
    target = path.parent / "unpacked"
    target.mkdir()
    with pytest.raises(ScfUsageError) as raised:
        packages.unpack(str(path), str(target), "code")
    text = str(raised.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text.removeprefix(str(path))


def test_links_and_permissions_are_kept(zip_of):
    def fill(archive: zipfile.ZipFile) -> None:
        link(archive, "lib/libx.so", "libx.so.1")  # before what it leads to, as zips may have it
        archive.writestr(member("lib/libx.so.1"), "the library")
        archive.writestr(member("bootstrap", permissions=0o755), "#!/bin/sh\n")
        link(archive, "current", "versions/2")
        archive.writestr(member("versions/2/data"), "two")

    target = unpacked(zip_of(fill))

    assert os.readlink(target / "lib/libx.so") == "libx.so.1"
    assert (target / "lib/libx.so").read_text() == "the library"
    assert (target / "current/data").read_text() == "two"
    assert os.access(target / "bootstrap", os.X_OK)


@pytest.mark.parametrize("leads_to", ["/etc/passwd", "../outside", "lib/../../outside"])
def test_a_link_that_leads_outside_is_refused(zip_of, leads_to):
    text = refusal(zip_of(lambda archive: link(archive, "lib", leads_to)))

    assert text == f" has the link 'lib' to {leads_to!r}, which lies outside the code directory"


def test_links_that_lead_outside_together_are_refused(zip_of):
    def fill(archive: zipfile.ZipFile) -> None:
        link(archive, "a", ".")
        link(archive, "b", "a/a/a/../../..")  # inside when read as text, outside when followed

    assert "has the link 'b' to 'a/a/a/../../..', which lies outside the code directory" in refusal(zip_of(fill))


def test_no_member_is_written_through_a_link(zip_of, tmp_path):
    def fill(archive: zipfile.ZipFile) -> None:
        link(archive, "a", str(tmp_path))
        archive.writestr(member("a/written"), "outside")

    assert "has the member 'a/written', and 'a', which is not a directory" in refusal(zip_of(fill))
    assert not (tmp_path / "written").exists()


def test_a_link_without_a_target_is_refused(zip_of):
    assert "has the link 'a', which leads nowhere" in refusal(zip_of(lambda archive: link(archive, "a", "")))


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "a/../../x", "..\\x"])
def test_a_member_outside_is_refused(zip_of, name):
    text = refusal(zip_of(lambda archive: archive.writestr(member(name), "")))

    assert text == f" has the member {name!r}, which lies outside the code directory"


def test_what_is_too_large_unpacked_is_refused_before_it_is_written(zip_of, monkeypatch):
    monkeypatch.setattr(packages, "LARGEST_CODE", 1_000)

    text = refusal(zip_of(lambda archive: [archive.writestr(f"{n}", "x" * 501) for n in range(2)]))

    assert text == " has 1,002 bytes unpacked, and the platform takes 1,000 bytes of code with its layers"


def test_too_many_members_are_refused(zip_of, monkeypatch):
    monkeypatch.setattr(packages, "MOST_MEMBERS", 2)

    text = refusal(zip_of(lambda archive: [archive.writestr(f"{n}", "") for n in range(3)]))

    assert text == " has 3 members, and at most 2 are unpacked"


def test_what_is_too_deep_is_refused(zip_of):
    text = refusal(zip_of(lambda archive: archive.writestr("d/" * 100 + "x", "")))

    shown = "d/" * 50 + "… (101 more characters)"
    assert text == f" has the member {shown!r}, 101 levels deep; at most 100 are unpacked"


def test_a_name_that_no_file_system_takes_is_refused(zip_of):
    text = refusal(zip_of(lambda archive: archive.writestr("n" * 300, "")))

    shown = "n" * 100 + "… (200 more characters)"
    assert text == f" has the member {shown!r}, which cannot be made: File name too long"


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(zip_of):
    text = refusal(zip_of(lambda archive: [archive.writestr("index.py", each) for each in "ab"]))

    assert text == " has the member 'index.py' twice"


@pytest.mark.parametrize("name", [".", "./.", "a/.."])
def test_a_member_that_is_the_directory_itself_is_refused(zip_of, name):
    assert refusal(zip_of(lambda archive: archive.writestr(name, "x"))).startswith(f" has the member {name!r}, which ")


def test_the_directory_itself_as_a_directory_is_nothing(zip_of):
    unpacked = zip_of(lambda archive: [archive.writestr("./", ""), archive.writestr("index.py", "x")])
    packages.check_archive(str(unpacked), "code")


def test_a_device_is_refused(zip_of):
    text = refusal(zip_of(lambda archive: archive.writestr(member("null", stat.S_IFCHR), "")))

    assert text == " has the member 'null', which is neither a file nor a directory nor a link"


CENTRAL = b"PK\x01\x02"


def change_header(path: Path, offset: int, value: int) -> None:
    """Change a number of two bytes in both headers of the only member: *offset* is that in the central one."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(CENTRAL) + offset, value)
    struct.pack_into("<H", data, offset - 2, value)
    path.write_bytes(bytes(data))


def test_an_encrypted_member_is_refused(zip_of):
    path = zip_of(lambda archive: archive.writestr("index.py", "secret"))
    change_header(path, 8, 1)

    assert refusal(path) == " has the member 'index.py', which is encrypted; make the zip without a password"


def test_an_unknown_compression_is_refused(zip_of):
    path = zip_of(lambda archive: archive.writestr("index.py", "text"))
    change_header(path, 10, 99)

    assert refusal(path) == (
        " has the member 'index.py', compressed by method 99; valid are stored, deflate, bzip2 and LZMA"
    )


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_data_is_refused(zip_of, compression):
    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr("index.py", b"text that is long enough" * 20, compress_type=compression)

    path = zip_of(fill)
    data = bytearray(path.read_bytes())
    middle = (30 + len("index.py") + data.index(CENTRAL)) // 2
    data[middle] ^= 0xFF
    path.write_bytes(bytes(data))

    assert refusal(path).startswith(" is a damaged zip, at the member 'index.py': ")


def test_a_zip_cut_short_is_refused(zip_of):
    path = zip_of(lambda archive: archive.writestr("index.py", "text" * 100))
    path.write_bytes(path.read_bytes()[:200])

    assert refusal(path).startswith(" is a damaged zip: ")


def test_a_full_disk_is_not_the_zips_fault(zip_of, monkeypatch):
    path = zip_of(lambda archive: archive.writestr("index.py", "text"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extract", full)
    with pytest.raises(OSError, match="No space left"):
        packages.unpack(str(path), str(path.parent), "code")
