"""Without mount namespaces: a TMPDIR, and one warning for a literal path in the machine's /tmp."""

from __future__ import annotations

import os
import re
import tempfile
import warnings

import pytest
from internals import version_of
from process_support import user_lines

from pytest_scf_async.errors import ScfAsyncWarning, ScfUsageError

# once: mounts and directories are the same on all Pythons
pytestmark = [pytest.mark.sandbox, pytest.mark.once]


@pytest.fixture
def runtime(make_runtime):
    return make_runtime(sandbox="none")


@pytest.fixture
def literal():
    """A path in the machine's /tmp, which goes again."""
    handle, path = tempfile.mkstemp(prefix="scf-async-test-", dir="/tmp")
    os.close(handle)
    yield path
    os.unlink(path)


READS = """
    import io, os, pathlib
    def main_handler(event, context):
        path, way = event["path"], event["way"]
        if way == "open":
            open(path).close()
        elif way == "os.open":
            os.close(os.open(os.fsencode(path), os.O_RDONLY))
        elif way == "pathlib":
            pathlib.Path(path).read_text()
        elif way == "sqlite3":
            import sqlite3
            sqlite3.connect(path).close()
        elif way == "mkdir":
            try:
                os.mkdir(path)
            except FileExistsError:
                pass
        return "done"
"""


@pytest.mark.parametrize(
    ("way", "line"), [("open", 6), ("os.open", 8), ("pathlib", 10), ("sqlite3", 13), ("mkdir", 16)]
)
def test_a_literal_tmp_is_one_warning_with_the_users_line(deploy, literal, way, line):
    function, other = deploy(READS), deploy(READS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answers = [each.run({"path": literal, "way": way}) for each in (function, function, other)]
    assert answers == ["done"] * 3
    assert [warning.category for warning in caught] == [ScfAsyncWarning]
    text = str(caught[0].message)
    file = re.escape(version_of(function).code.entry)
    assert re.match(rf"{file}:{line} uses '{literal}', which belongs to the machine and not to the instance: ", text)
    assert "it has no mount namespace (sandbox='none', ScfSettings(...)), and its own /tmp is in TMPDIR, " in text


def test_the_timeline_has_it_too(deploy, literal):
    event = deploy(READS).invoke_async({"path": literal, "way": "open"})
    with pytest.warns(ScfAsyncWarning):
        event.wait()
    assert f"index.py:6 uses '{literal}'" in event.timeline


def test_a_warning_that_is_an_error_comes_out_of_the_call_and_the_event_can_go_on(deploy, literal):
    event = deploy(READS).invoke_async({"path": literal, "way": "open"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ScfAsyncWarning, match="which belongs to the machine"):
            event.wait()
    assert event.wait().result == "done"


def test_what_is_the_instances_or_the_tests_own_is_no_warning(deploy, tmp_path, tmp_path_factory):
    (tmp_path / "file").write_text("")
    outside = tmp_path_factory.getbasetemp()
    function = deploy(
        """
        import os, subprocess, tempfile
        def main_handler(event, context):
            for path in event:
                open(path).close()
            with tempfile.TemporaryFile() as file:
                file.write(b"x")
            open(os.path.join(os.environ["TMPDIR"], "own"), "w").close()
            print(open("/proc/self/stat").read().split()[0] == str(os.getpid()))
        """,
        mounts=[outside],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        event = function.invoke_async([str(tmp_path / "file"), __file__]).wait()
    assert event.status == "FINISHED", event.log
    assert user_lines(event) == ["True"]


def test_a_child_that_user_code_forks_reports_nothing(deploy, literal):
    function = deploy("""
        import os
        def main_handler(event, context):
            pid = os.fork()
            if pid == 0:
                open(event).close()
                os._exit(0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert function.run(literal) == 0


def test_a_mount_at_another_path_needs_a_namespace(deploy, tmp_path):
    event = deploy("def main_handler(event, context): pass", mounts=[(tmp_path, "/mnt/x")]).invoke_async()
    with pytest.raises(
        ScfUsageError, match=r"/mnt/x'\), and without mount namespaces a directory is at its own path only"
    ):
        event.wait()


def test_the_environment_names_the_hosts_directories(deploy, tmp_path):
    (tmp_path / "layer").mkdir()
    function = deploy(
        """
        import os, sys
        def main_handler(event, context):
            names = "USER_CODE_ROOT", "PWD", "PYTHONPATH", "TMPDIR"
            return [os.environ[name] for name in names], os.getcwd(), sys.path[:2]
        """,
        layers=[tmp_path / "layer"],
    )
    event = function.invoke_async().wait()
    (root, pwd, python_path, tmp), cwd, path = event.result
    assert (root, pwd, tmp) == (f"{cwd}/", cwd, str(event.instance.tmp))
    assert path == [cwd, str(tmp_path / "layer")] == python_path.split(":")
