"""What Go builds for the harness: the user's package, once, and the helper, for every session of the user."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from process_support import eventually
from program_internals import go

from pytest_scf_async.errors import HarnessError, ScfUsageError

pytestmark = pytest.mark.go

PROGRAM = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("%s") }\n'


@pytest.fixture
def scratch(tmp_path):
    directory = tmp_path / "scratch"
    directory.mkdir()
    return lambda: str(directory)


@pytest.fixture
def package(tmp_path):
    """A Go package that is a module of its own."""
    directory = tmp_path / "code"
    directory.mkdir()
    (directory / "go.mod").write_text("module example.test/export\n\ngo 1.18\n")
    (directory / "main.go").write_text(PROGRAM % "first")
    return directory


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory of ours that is empty, beside Go's own, which is not."""
    own = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pytest-scf-async"


def output_of(binary: str) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stdout.strip()


def refused(code: Path, scratch) -> str:
    with pytest.raises(ScfUsageError) as caught:
        go.go_program(str(code), "main", scratch, given="./export")
    assert os.listdir(scratch()) == []
    return str(caught.value)


def processes_in(directory: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found += [process.name] if os.readlink(process / "cwd") == directory else []
        except OSError:
            continue  # it is gone, or another user's
    return found


def picture(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_package_is_built_once_and_nothing_is_written_where_it_is(package, scratch):
    before = picture(package)
    program = go.go_program(str(package), "main", scratch)
    assert program.directory == str(package)
    assert os.path.basename(program.binary) == "main"
    assert os.path.relpath(program.binary, scratch()).startswith("go-")
    assert output_of(program.binary) == "first"
    assert go.go_program(str(package), "main", scratch) == program
    assert len(os.listdir(scratch())) == 1
    assert picture(package) == before


def test_a_change_in_its_module_is_built_again(package, scratch):
    (package / "words").mkdir()
    (package / "words" / "words.go").write_text('package words\n\nconst Word = "one"\n')
    (package / "main.go").write_text(
        'package main\n\nimport "example.test/export/words"\n\nfunc main() { println(words.Word) }\n'
    )
    first = go.go_program(str(package), "main", scratch)
    (package / "words" / "words.go").write_text('package words\n\nconst Word = "another"\n')
    second = go.go_program(str(package), "main", scratch)
    assert first.binary != second.binary
    run = subprocess.run([second.binary], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "another"


def test_a_package_without_a_module_is_built_of_its_files(package, scratch):
    (package / "go.mod").unlink()
    (package / "main.go").write_text("package main\n\nfunc main() { say() }\n")
    (package / "say.go").write_text('package main\n\nimport "fmt"\n\nfunc say() { fmt.Println("said") }\n')
    (package / "say_test.go").write_text("package main\n\nthis is no Go\n")
    assert output_of(go.go_program(str(package), "main", scratch).binary) == "said"


def test_another_system_in_the_environment_does_not_matter(package, scratch, monkeypatch):
    monkeypatch.setenv("GOOS", "windows")
    monkeypatch.setenv("GOARCH", "s390x")
    assert output_of(go.go_program(str(package), "main", scratch).binary) == "first"


def test_a_package_that_does_not_compile_is_reported_with_the_compilers_text(package, scratch):
    (package / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    first, *text = refused(package, scratch).splitlines()
    assert first == "code is './export', a Go package that does not compile:"
    assert text == ["# example.test/export", "./main.go:3:15: undefined: missing"]


def test_a_package_that_is_not_main(package, scratch):
    (package / "main.go").write_text("package export\n\nfunc Export() {}\n")
    assert refused(package, scratch) == (
        "code is './export', a Go package that is not 'package main': a function is a program, so name the directory "
        "that has its 'func main'"
    )


@pytest.mark.parametrize("flags", ["", "-mod=mod", "-trimpath --mod=mod"])
def test_a_module_that_is_not_on_the_machine_is_not_fetched(package, scratch, monkeypatch, flags):
    monkeypatch.setenv("GOFLAGS", flags)
    monkeypatch.setenv("GOMODCACHE", os.path.join(os.path.dirname(scratch()), "modules"))
    (package / "go.mod").write_text("module example.test/export\n\ngo 1.18\n\nrequire other.test/words v1.0.0\n")
    (package / "go.sum").write_text(
        f"other.test/words v1.0.0 h1:{'A' * 43}=\nother.test/words v1.0.0/go.mod h1:{'A' * 43}=\n"
    )
    (package / "main.go").write_text('package main\n\nimport "other.test/words"\n\nfunc main() { words.Say() }\n')
    before = picture(package)
    first, *text = refused(package, scratch).splitlines()
    assert first == (
        "code is './export', a Go package that does not compile without the network; run 'go mod download' (or 'go mod "
        f"vendor') in {package} once:"
    )
    assert "GOPROXY=off" in "\n".join(text)
    assert picture(package) == before


REPLACED = "replace other.test/words => ./words\n"
TOO_OLD = (
    "require other.test/words v1.0.0\nrequire third.test/sounds v1.0.0\n"
    f"{REPLACED}replace third.test/sounds => ./sounds\n"
)
UNTIDY = {
    "no entry in go.sum": ("require other.test/words v1.0.0\n", "missing go.sum entry"),
    "no requirement": ("", "no required module provides package"),
    "a replacement of what is not required": (REPLACED, "is replaced but not required"),
    "a requirement that is too old": (TOO_OLD, "updates to go.mod needed"),
}


@pytest.mark.parametrize("mistake", UNTIDY)
def test_a_module_that_is_not_tidy_says_what_tidies_it(package, scratch, monkeypatch, mistake):
    monkeypatch.setenv("GOFLAGS", "")
    monkeypatch.setenv("GOMODCACHE", os.path.join(os.path.dirname(scratch()), "modules"))
    lines, says = UNTIDY[mistake]
    (package / "go.mod").write_text(f"module example.test/export\n\ngo 1.18\n\n{lines}")
    (package / "main.go").write_text('package main\n\nimport "other.test/words"\n\nfunc main() { words.Say() }\n')
    for name, source, requires in (
        ("other.test/words", 'package words\n\nimport _ "third.test/sounds"\n\nfunc Say() {}\n', "v1.1.0"),
        ("third.test/sounds", "package sounds\n", None),
    ):
        directory = package / name.rpartition("/")[2]
        directory.mkdir()
        required = "" if requires is None else f"\nrequire third.test/sounds {requires}\n"
        (directory / "go.mod").write_text(f"module {name}\n\ngo 1.18\n{required}")
        (directory / "code.go").write_text(source)
    before = picture(package)
    first, *text = refused(package, scratch).splitlines()
    assert first == (
        "code is './export', a Go package that does not compile with its go.mod and go.sum as they are; run 'go mod "
        f"tidy' (with the network) in {package} once:"
    )
    assert says in "\n".join(text)
    assert picture(package) == before


def test_flags_of_the_user_that_change_the_module_are_left_out(package, scratch, monkeypatch):
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    (package / "words").mkdir()
    (package / "words" / "go.mod").write_text("module example.test/words\n\ngo 1.18\n")
    (package / "words" / "words.go").write_text("package words\n\nfunc Say() {}\n")
    with (package / "go.mod").open("a") as file:
        file.write("\nreplace example.test/words => ./words\n")
    (package / "main.go").write_text('package main\n\nimport "example.test/words"\n\nfunc main() { words.Say() }\n')
    before = picture(package)
    assert "does not compile" in refused(package, scratch)  # -mod=mod would add what it requires to go.mod
    assert picture(package) == before


def test_a_vendored_module_is_built(package, scratch):
    words = package / "vendor" / "other.test" / "words"
    words.mkdir(parents=True)
    (words / "words.go").write_text('package words\n\nconst Word = "vendored"\n')
    (package / "vendor" / "modules.txt").write_text("# other.test/words v1.0.0\n## explicit\nother.test/words\n")
    (package / "go.mod").write_text("module example.test/export\n\ngo 1.18\n\nrequire other.test/words v1.0.0\n")
    (package / "main.go").write_text(
        'package main\n\nimport (\n\t"fmt"\n\t"other.test/words"\n)\n\nfunc main() { fmt.Println(words.Word) }\n'
    )
    assert output_of(go.go_program(str(package), "main", scratch).binary) == "vendored"


def test_a_build_that_does_not_end_is_ended_with_its_children(scratch, monkeypatch, tmp_path):
    shell = shutil.which("sh")
    begun = tmp_path / "begun"
    limits = (0.25, 0.5, 1, 2, 4, 8, 16)
    for limit in limits:  # a slow machine has not started the build within the first ones
        monkeypatch.setattr(go, "BUILD_LIMIT", limit)
        with pytest.raises(HarnessError, match=rf"^{shell} -c .* has not ended within {limit:g} real seconds$"):
            print(go._run([shell, "-c", f"cat /dev/zero >/dev/null & : >{begun}; wait"], scratch(), os.environ))
        assert eventually(lambda: not processes_in(scratch()))
        if begun.exists():
            return
    pytest.fail(f"the build has not begun within {limits[-1]} real seconds")


def test_go_has_a_home_and_a_cache_wherever_it_runs(scratch, monkeypatch, tmp_path):
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = go._environment(scratch())
    assert (found["HOME"], found["GOCACHE"]) == (str(tmp_path), str(tmp_path / ".cache" / "go-build"))
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    assert go._environment(scratch())["HOME"] == scratch()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert go._environment(scratch())["GOCACHE"] == os.path.join(scratch(), "go-build")
