"""What holds of an instance's disk in both forms: with mount namespaces, and with a TMPDIR alone."""

from __future__ import annotations

import os
import textwrap
import zipfile

import pytest
from process_support import files_in

from pytest_scf_async import assert_nothing_lost
from pytest_scf_async.errors import HarnessError, ScfUsageError

# once: mounts and directories are the same on all Pythons
pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.sandbox, pytest.mark.once]

WRITER = """
    import os, signal, tempfile, time
    PATH = os.path.join(tempfile.gettempdir(), "state.json")
    def main_handler(event, context):
        found = open(PATH).read() if os.path.exists(PATH) else None
        with open(PATH, "w") as file:
            file.write(event["name"])
        os.makedirs(os.path.join(tempfile.gettempdir(), "deep", "er"), exist_ok=True)
        with open(os.path.join(tempfile.gettempdir(), "deep", "er", "part"), "w") as file:
            file.write(event["name"])
        time.sleep(event.get("seconds", 0))
        if event.get("end") == "exit":
            os._exit(0)
        if event.get("end") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return [found, open(PATH).read()]
"""


@pytest.fixture(params=["namespaces", "none"])
def runtime(request, make_runtime):
    return make_runtime(sandbox=request.param)


def test_two_instances_never_see_each_others_files_and_a_warm_start_sees_its_own(deploy, runtime):
    first, second = deploy(WRITER, name="first"), deploy(WRITER, name="second")
    events = [each.invoke_async({"name": each.name, "seconds": 10}) for each in (first, second, first)]
    runtime.wait_all()

    assert [event.result for event in events] == [[None, "first"], [None, "second"], [None, "first"]]
    assert second.run({"name": "again"}) == ["second", "again"]
    assert len({event.instance.pid for event in events}) == 3


@pytest.mark.parametrize(
    ("payload", "end"),
    [
        ({"name": "x", "end": "exit"}, None),
        ({"name": "x", "end": "kill"}, None),
        ({"name": "x", "seconds": 100}, "terminate"),
        ({"name": "x"}, "idle"),
    ],
)
def test_what_was_in_tmp_is_known_however_the_instance_ended(deploy, runtime, payload, end):
    event = deploy(WRITER).invoke_async(payload)
    if end == "terminate":
        event.settle()
        assert event.instance.lost_files == ()
        event.terminate()
    elif end == "idle":
        event.wait()
        assert event.instance.lost_files == ()
        runtime.clock.advance(300)
    else:
        event.wait()

    assert event.instance.reclaimed
    assert event.instance.lost_files == ("deep/er/part", "state.json")
    assert not os.path.exists(event.instance.tmp)
    with pytest.raises(
        AssertionError, match=r"^expected nothing left in /tmp; found 2 files: deep/er/part, state.json"
    ):
        assert_nothing_lost(event)


def test_what_was_removed_again_is_not_lost(deploy, runtime):
    function = deploy("""
        import os, tempfile
        def main_handler(event, context):
            os.mkdir(os.path.join(tempfile.gettempdir(), "empty"))
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"x")
            os._exit(0)
    """)
    event = function.invoke_async().wait()

    assert event.status_code == 439
    assert event.instance.lost_files == ()
    assert_nothing_lost(event)


def test_files_of_a_kept_instance_are_in_danger(deploy):
    event = deploy(WRITER).invoke_async({"name": "x"}).wait()

    with pytest.raises(AssertionError, match="the instance may be reclaimed at any time, and its /tmp is deleted then"):
        assert_nothing_lost(event)
    for path in files_in(event.instance.tmp):
        os.unlink(os.path.join(event.instance.tmp, path))
    assert_nothing_lost(event)


def test_an_event_without_an_instance_lost_nothing(deploy):
    event = deploy(WRITER).invoke_async({"name": "x"})
    event.terminate(when="now")
    assert event.instance is None
    assert_nothing_lost(event)


def test_the_test_reads_and_writes_an_instances_tmp_while_it_lives(deploy):
    function = deploy("""
        import os, tempfile, time
        def main_handler(event, context):
            open(os.path.join(tempfile.gettempdir(), "from the handler"), "w").write("here")
            time.sleep(5)
            return open(os.path.join(tempfile.gettempdir(), "from the test")).read()
    """)
    event = function.invoke_async().settle()
    with open(os.path.join(event.instance.tmp, "from the handler"), encoding="utf-8") as file:
        assert file.read() == "here"
    with open(os.path.join(event.instance.tmp, "from the test"), "w", encoding="utf-8") as file:
        file.write("there")

    assert event.wait().result == "there"
    assert files_in(event.instance.tmp) == ["from the handler", "from the test"]  # it is frozen


def test_tmp_path_works_in_both_directions(deploy, tmp_path):
    function = deploy("""
        import os, time
        def main_handler(event, context):
            with open(os.path.join(event, "of the handler"), "w") as file:
                file.write("it")
            time.sleep(1)
            return open(os.path.join(event, "of the test")).read()
    """)
    event = function.invoke_async(str(tmp_path)).settle()
    assert (tmp_path / "of the handler").read_text() == "it"
    (tmp_path / "of the test").write_text("and it")

    assert event.wait().result == "and it"


def test_the_code_is_where_it_is_on_the_host(deploy):
    directory, file, first = deploy("""
        import os, sys
        def main_handler(event, context):
            return os.getcwd(), __file__, sys.path[0]
    """).run()
    assert (file, first) == (os.path.join(directory, "index.py"), directory)
    assert os.path.isfile(file)


# -- layers ------------------------------------------------------------------------------------------------------------

USES_LAYERS = """
    import shared, only_in_zip
    def main_handler(event, context):
        return [shared.NAME, only_in_zip.NAME, shared.__file__]
"""


@pytest.fixture
def layers(tmp_path):
    """Two layers, a directory and a zip; both have the module ``shared``."""
    directory = tmp_path / "layer"
    directory.mkdir()
    (directory / "shared.py").write_text("NAME = 'of the directory'\n")
    (directory / "other.txt").write_text("other")
    with zipfile.ZipFile(tmp_path / "layer.zip", "w") as archive:
        archive.writestr("shared.py", "NAME = 'of the zip'\n")
        archive.writestr("only_in_zip.py", "NAME = 'in the zip'\n")
        tool = zipfile.ZipInfo("bin/tool")
        tool.external_attr = 0o755 << 16
        archive.writestr(tool, "#!/bin/sh\necho tool\n")
    return [directory, tmp_path / "layer.zip"]


def test_later_layers_lie_over_earlier_ones(deploy, layers):
    names = [deploy(USES_LAYERS, layers=order).run()[:2] for order in (layers, layers[::-1])]
    assert names == [["of the zip", "in the zip"], ["of the directory", "in the zip"]]


def test_the_code_lies_over_the_layers(runtime, layers, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.py").write_text(textwrap.dedent(USES_LAYERS))
    (tmp_path / "code" / "shared.py").write_text("NAME = 'of the code'\n")
    assert runtime.deploy(f"{tmp_path}/code/index.py:main_handler", layers=layers).run()[0] == "of the code"


def test_an_instance_without_layers_has_none_of_anothers(deploy, layers):
    assert deploy(USES_LAYERS, layers=layers).run()[0] == "of the zip"
    event = deploy(USES_LAYERS).invoke_async().wait()
    assert event.status_code == 443


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["no such layer"], "layers has 'no such layer', and there is no "),
        (["{tmp}/text"], "{tmp}/text is neither a directory nor a zip"),
        ("{tmp}/text", "layers='{tmp}/text' is not valid: it must be a list of directories and zips"),
        ([3], "layers has 3 of type int; it must be paths"),
        (["{tmp}/evil.zip"], "evil.zip has the member '../evil.py', which lies outside the layer directory"),
        (["{tmp}/absolute.zip"], "absolute.zip has the member '/evil.py', which lies outside the layer directory"),
    ],
)
def test_a_layer_that_cannot_be_is_refused_at_deploy(deploy, tmp_path, given, said):
    (tmp_path / "text").write_text("text")
    for name, member in (("evil", "../evil.py"), ("absolute", "/evil.py")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(member, "")
    fill = lambda each: each.format(tmp=tmp_path) if isinstance(each, str) else each  # noqa: E731
    given = fill(given) if isinstance(given, str) else [fill(each) for each in given]
    with pytest.raises(ScfUsageError) as refusal:
        deploy(USES_LAYERS, layers=given)
    assert said.format(tmp=tmp_path) in str(refusal.value)
    assert not (tmp_path / "evil.py").exists()


def test_a_file_of_a_later_layer_replaces_a_directory_and_the_other_way_round(deploy, tmp_path):
    (tmp_path / "one" / "name").mkdir(parents=True)
    (tmp_path / "one" / "name" / "inside.txt").write_text("")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "name").write_text("a file")
    function = """
        import os, sys
        def main_handler(event, context):
            return [name for name in os.listdir(sys.path[1]) if os.path.isdir(os.path.join(sys.path[1], name))]
    """
    one, two = tmp_path / "one", tmp_path / "two"
    assert [deploy(function, layers=layers).run() for layers in ([one, two], [two, one])] == [[], ["name"]]


def test_the_permissions_of_a_zip_are_kept(deploy, layers):
    function = deploy("""
        import os, subprocess, sys
        def main_handler(event, context):
            return subprocess.run([os.path.join(sys.path[1], "bin", "tool")], capture_output=True, text=True).stdout
    """, layers=layers)  # fmt: skip
    assert function.run() == "tool\n"


def test_a_layer_that_is_gone_when_an_instance_starts_is_one_sentence(deploy, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    event = deploy(USES_LAYERS, layers=[tmp_path / "one", tmp_path / "two"]).invoke_async()
    (tmp_path / "one").rmdir()
    with pytest.raises(HarnessError, match=r"the layers .*/one, .*/two cannot be made below .*: No such file"):
        event.wait()
    assert event.status == "FAILED"
    assert event.instance is None


# -- mounts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["no such directory"], "mounts has 'no such directory', and there is no "),
        ([__file__], "is not a directory"),
        ("/tmp", "mounts='/tmp' is not valid: it must be a list of directories"),
        (["/tmp"], "mounts has '/tmp', and an instance has a /tmp of its own"),
        ([("/usr", "/opt")], "an instance has a /opt of its own"),
        ([("/usr", "relative")], "'relative' is not an absolute path"),
        ([("/usr", 3)], "3 is not an absolute path"),
    ],
)
def test_a_mount_that_cannot_be_is_refused_at_deploy(deploy, given, said):
    with pytest.raises(ScfUsageError) as refusal:
        deploy(WRITER, mounts=given)
    assert said in str(refusal.value)
