"""Places in user code: what the text of a place names in a code directory, and the error when that is not there."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
from internals import Place, entries, find, first_entry

from pytest_scf_async.errors import ScfUsageError

pytestmark = pytest.mark.interpreter

EXPORT = """\
'''Module.'''
import json


def main_handler(event, context):
    '''Docstring.'''
    # comment
    total = sum(
        row
        for row in event
    )
    return total


class Writer:
    @staticmethod
    def close(): pass

    class Part:
        async def close(self):
            return 1


def outer():
    def inner():
        return lambda row: row
    return inner


if True:
    def conditional():
        pass
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    files = {
        "export.py": EXPORT,
        "pkg/__init__.py": "",
        "pkg/table.py": "rows = 1\n\n\nrows = 2\n",
        "pkg/deep/table.py": "rows = 1\n",
        "pkg/deep/cell.py": "def main_handler():\n    return 1\n",
        "broken.py": "def main_handler(:\n    rows = 1\n",
        ".hidden/secret.py": "rows = 1\n",
        "venv/pyvenv.cfg": "",
        "venv/lib/site.py": "def vendored():\n    pass\n",
        "notes.txt": "def noted():\n",
    }
    for name, text in files.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "code"


def place(directory: Path, text: str) -> Place:
    return find(text, [str(directory)], str(directory / "export.py"))


def spots(directory: Path, text: str) -> set[tuple[object, ...]]:
    """What was found, with paths below the code directory."""
    found = [spot for spot in place(directory, text).spots if spot[0].startswith(str(directory))]
    return {(os.path.relpath(spot[0], directory), *spot[1:]) for spot in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("export.py:12", {("export.py", "main_handler", 5, 12, 12, 12)}),
        ("./export.py:12", {("export.py", "main_handler", 5, 12, 12, 12)}),
        ("export.py:8", {("export.py", "main_handler", 5, 8, 8, 11)}),
        ("export.py:9", {("export.py", "<genexpr>", 8, 9, 8, 11)}),
        ("export.py:5", {("export.py", "<module>", 1, 5, 5, 5)}),
        ("export.py:16", {("export.py", "Writer", 15, 16, 16, 17)}),
        ("export.py:17", {("export.py", "Writer", 15, 17, 16, 17), ("export.py", "close", 16, 17, 17, 17)}),
        ("export.py:26", {("export.py", "inner", 25, 26, 26, 26)}),
        ("pkg/table.py:4", {("pkg/table.py", "<module>", 1, 4, 4, 4)}),
        ("deep/table.py:1", {("pkg/deep/table.py", "<module>", 1, 1, 1, 1)}),
        ("cell.py:2", {("pkg/deep/cell.py", "main_handler", 1, 2, 2, 2)}),
    ],
)
def test_a_line_of_a_file(directory, text, expected):
    assert spots(directory, text) == expected


def test_a_file_can_be_named_by_its_whole_path(directory):
    assert spots(directory, f"{directory}/pkg/table.py:1") == {("pkg/table.py", "<module>", 1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("main_handler", {("export.py", "main_handler", 5), ("pkg/deep/cell.py", "main_handler", 1)}),
        ("close", {("export.py", "close", 16), ("export.py", "close", 20)}),
        ("Writer.close", {("export.py", "close", 16)}),
        ("Part.close", {("export.py", "close", 20)}),
        ("Writer.Part.close", {("export.py", "close", 20)}),
        ("inner", {("export.py", "inner", 25)}),
        ("outer.inner", {("export.py", "inner", 25)}),
        ("outer.<locals>.inner", {("export.py", "inner", 25)}),
        ("conditional", {("export.py", "conditional", 31)}),
    ],
)
def test_a_function(directory, text, expected):
    assert spots(directory, text) == {(*one, 0, 0, 0) for one in expected}


def test_the_instances_own_paths_of_the_code_directory_are_places_too(directory):
    found = find("export.py:12", [str(directory), "/kept/copy"], str(directory / "export.py"))

    assert [spot[0] for spot in found.spots] == [
        f"{directory}/export.py",
        "/kept/copy/export.py",
        "/var/user/export.py",
    ]


@pytest.mark.parametrize(
    ("text", "number", "rest"),
    [
        ("export.py:12", None, "export.py:12"),
        ("export.py:12#1", 1, "export.py:12"),
        ("main_handler#30", 30, "main_handler"),
        ("init#2", 2, "init"),
    ],
)
def test_the_number_of_a_pass(directory, text, number, rest):
    (directory / "pkg" / "more.py").write_text("def init():\n    pass\n")

    found = place(directory, text)

    assert (found.number, found.text) == (number, rest)


def test_places_are_equal_whatever_they_are_called_and_whatever_pass_is_meant(directory):
    assert place(directory, "export.py:12#2") == place(directory, "./export.py:12")
    assert place(directory, "Writer.Part.close") == place(directory, "Part.close#3")
    assert place(directory, "export.py:12") != place(directory, "export.py:8")


@pytest.mark.parametrize(
    "text", ["", "export.py", "export.py:", "export.py:x", "export.py:-1", "12", ":12", "a b", "Writer.", "export:12"]
)
def test_what_is_of_no_form_is_a_usage_error(directory, text):
    with pytest.raises(ScfUsageError) as refusal:
        place(directory, text)

    assert str(refusal.value) == (
        f'run_to({text!r}) is not valid: it must be "init", "export.py:42", "function_name" or "Class.method", '
        'the last three also with "#3" for the third pass'
    )


@pytest.mark.parametrize("value", [None, 12, b"export.py:12", Path("export.py")])
def test_what_is_no_text_is_a_usage_error(directory, value):
    with pytest.raises(ScfUsageError, match=re.escape(f"run_to({value!r}) is not valid: it must be")):
        place(directory, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("export.py:12#0", "run_to('export.py:12#0') is not valid: passes are counted from 1"),
        ("main_handler#-1", "run_to('main_handler#-1') is not valid: passes are counted from 1"),
        ("export.py:12#", "run_to('export.py:12#') is not valid: '' is not the number of a pass; it must be"),
        ("export.py:12#two", "run_to('export.py:12#two') is not valid: 'two' is not the number of a pass; it must be"),
        ("export.py:12#1.5", "run_to('export.py:12#1.5') is not valid: '1.5' is not the number of a pass; it must be"),
        ("nothere.py:1", "has no file nothere.py; it has broken.py, export.py, pkg/__init__.py, pkg/table.py, "),
        ("exports.py:1", "has no file exports.py; did you mean export.py?"),
        ("other/cell.py:1", "has no file other/cell.py; did you mean pkg/deep/cell.py?"),
        ("secret.py:1", "has no file secret.py; "),
        ("site.py:1", "has no file site.py; "),
        ("../code.py:1", "has no file ../code.py; "),
        ("export.py:7", "run_to('export.py:7'): line 7 has no code; the next line of export.py with code is 8"),
        ("export.py:6", "run_to('export.py:6'): line 6 has no code; the next line of export.py with code is 8"),
        ("export.py:11", "run_to('export.py:11'): line 11 has no code; the next line of export.py with code is 12"),
        ("export.py:0", "run_to('export.py:0'): line 0 has no code; the next line of export.py with code is 1"),
        ("export.py:99", "run_to('export.py:99'): line 99 has no code; the last line of export.py with code is 32"),
        ("broken.py:2", "run_to('broken.py:2'): broken.py cannot be compiled: "),
        ("main_handle", "has a function main_handle; did you mean main_handler?"),
        ("Write.close", "has a function Write.close; did you mean Writer.close, Writer.Part.close?"),
        ("vendored", "has a function vendored; it has main_handler, Writer.close, Writer.Part.close, outer, "),
        ("noted", "has a function noted; "),
        ("Writer", "has a function Writer; "),
    ],
)
def test_what_is_not_there_is_a_usage_error_that_names_what_is(directory, text, message):
    with pytest.raises(ScfUsageError) as refusal:
        place(directory, text)

    assert message in str(refusal.value)
    assert str(refusal.value).startswith(f"run_to({text!r})")


def test_a_name_that_several_files_have_is_not_clear_unless_one_is_the_entry_or_at_that_very_path(directory):
    with pytest.raises(ScfUsageError) as refusal:
        place(directory, "table.py:1")

    assert str(refusal.value) == (
        f"run_to('table.py:1') is ambiguous: the code directory {directory} has pkg/table.py, pkg/deep/table.py; "
        "give its path"
    )
    (directory / "table.py").write_text("first = 1\n")
    assert spots(directory, "table.py:1") == {("table.py", "<module>", 1, 1, 1, 1)}
    (directory / "pkg" / "export.py").write_text("first = 1\n")
    (directory / "export.py").unlink()
    (directory / "pkg" / "deep" / "export.py").write_text("second = 1\n")
    found = find("export.py:1", [str(directory)], str(directory / "pkg" / "export.py"))
    assert found.spots[0][0] == str(directory / "pkg" / "export.py")


def test_a_directory_without_python_files_says_so(tmp_path):
    with pytest.raises(ScfUsageError, match=r"has no file export\.py; it has no Python file"):
        find("export.py:1", [str(tmp_path)], str(tmp_path / "export.py"))
    with pytest.raises(ScfUsageError, match="has a function save; it has no function"):
        find("save", [str(tmp_path)], str(tmp_path / "export.py"))


@pytest.mark.filterwarnings("error")
def test_a_file_that_python_warns_about_is_no_error(tmp_path):
    (tmp_path / "export.py").write_text("text = '\\d'\nif text is 'd':\n    done = 1\n")

    assert find("export.py:3", [str(tmp_path)], str(tmp_path / "export.py")).spots


# -- passes ------------------------------------------------------------------------------------------------------------

PASSES = """
import contextlib
@contextlib.contextmanager
def block():  # 1
    yield  # 5
def rows(count):
    for row in range(count):  # 4
        yield row  # 3
def work(count):
    for row in range(count):  # 4
        done = row  # 3
    left = 0  # 1
    while left < count:  # 4
        left += 1  # 3
    flat = [row for row in range(count)]  # 1
    made = {  # 1
        str(row): row  # 3
        for row in range(count)  # 1
    }
    with block() as entered:  # 1
        done = entered  # 1
    print(  # 1
        "a" +  # 1
        "b",
        file=None if count else None,  # 1
        end="",  # 1
    )
    try:  # 1
        1 / 0  # 1
    except ZeroDivisionError as error:  # 1
        done = 1  # 1
    finally:
        done = 2  # 1
    for row in rows(count):  # 4
        if row == 1:  # 3
            continue  # 1
        done = row  # 2
    while True:  # 4
        left -= 1  # 4
        if left < 0:  # 4
            break  # 1
    total = sum(row for row in range(count))  # 1
    same = (lambda row: row)(count)  # 1
    for row in range(2):  # 3
        with block():  # 2
            done = row  # 2
    with block(), \\\\
         block():
        return same  # 1
def short(row): return row  # 5
def same(function):  # 1
    return function  # 2
class Table:  # 1
    @same  # 1
    def one(self): return 1  # 2
    @same  # 1
    def two(  # 1
        self,
    ):
        return 2  # 1
Table().one()  # 1
Table().two()  # 1
for row in range(2):  # 3
    short(row)  # 2
if (row and  # 1
    short(1)):  # 1
    done = 1  # 1
elif row == 7:  # 0
    done = 2  # 0
match row:  # 1
    case 5:  # 1
        done = 5  # 0
    case 1 if \\\\
        short(2):  # 1
        done = 6  # 1
work(3)  # 1
""".replace("\\\\", "\\")


def count_passes(path: Path, numbers: list[int]) -> dict[int, int]:
    """How often the lines of the file at *path* are passed while it runs, as the interpreter reports it."""
    watched: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
    for number in numbers:
        for file, name, first, *line in find(f"passes.py:{number}", [str(path.parent)], str(path)).spots:
            if file == str(path):
                watched.setdefault((name, first), []).append(tuple(line))
    passed = dict.fromkeys(numbers, 0)
    offsets, begins = cache(entries), cache(first_entry)

    def report(frame, start):
        entry, early = begins(frame.f_code)
        if frame.f_lasti == entry and early is not start and sys.version_info >= (3, 12):
            return  # a body on the line of its head: 3.13 reports that line for the first call only
        code = frame.f_code
        offset = entry if start else frame.f_lasti
        for number, low, high in watched.get((code.co_name, code.co_firstlineno), ()):
            passed[number] += offset in offsets(code, number, low, high)

    code = compile(path.read_text(), str(path), "exec", dont_inherit=True)
    if sys.version_info < (3, 12):

        def trace(frame, event, arg):
            if event == "line":
                report(frame, False)
            return trace if frame.f_code.co_filename == str(path) else None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            exec(code, {"__name__": "passes"})  # noqa: S102
        finally:
            sys.settrace(before)
        return passed

    monitoring = sys.monitoring
    tool = next(number for number in (3, 4) if monitoring.get_tool(number) is None)
    monitoring.use_tool_id(tool, "test")

    def start(code, offset):
        if code.co_filename != str(path):
            return monitoring.DISABLE
        monitoring.set_local_events(tool, code, monitoring.events.LINE)
        if begins(code)[1]:
            report(sys._getframe(1), True)
        return None

    monitoring.register_callback(tool, monitoring.events.PY_START, start)
    monitoring.register_callback(tool, monitoring.events.LINE, lambda *_: report(sys._getframe(1), False))
    monitoring.set_events(tool, monitoring.events.PY_START)
    try:
        exec(code, {"__name__": "passes"})  # noqa: S102
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return passed


def test_a_pass_is_that_a_statement_begins_on_every_python(tmp_path):
    path = tmp_path / "passes.py"
    path.write_text(textwrap.dedent(PASSES))
    lines = PASSES.splitlines()
    expected = {
        number: int(line.rpartition("# ")[2]) for number, line in enumerate(lines, 1) if re.search(r"# \d+$", line)
    }

    assert count_passes(path, list(expected)) == expected


def test_a_line_without_code_in_the_file_of_the_handler_names_the_lines_of_the_handler(directory):
    entry = str(directory / "export.py")
    for function, lines in {"main_handler": "lines 8 to 12", "close": "", "nowhere": ""}.items():
        with pytest.raises(ScfUsageError) as refusal:
            find("export.py:99", [str(directory)], entry, function)
        named = f", and {function} has code in {lines}" if lines else ""
        assert str(refusal.value).endswith(f"the last line of export.py with code is 32{named}")
    with pytest.raises(ScfUsageError) as refusal:
        find("table.py:99", [str(directory)], entry, "main_handler")
    assert "main_handler" not in str(refusal.value)
