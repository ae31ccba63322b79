"""What ``deploy_image`` refuses: one sentence with the value, where it came from, and what is valid."""

from __future__ import annotations

import os
import sys

import pytest
from image_support import program

from pytest_scf_async.errors import ScfApiError, ScfUsageError

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once

FORM = 'it must be a list of words, the program first, as in command=["python", "app.py"]'
PORTS = "it must be a list of the ports of the test's own servers, as in ports=[6379]"
OWN = "the port on which the image's program listens itself (port=9000)"
GIVE_IMAGE = "give it as image=, and command=[...] is a program of this machine"
NO_PYTHON_PROCESS = (
    "is called in the Python process of an instance, before the first line of its code, and 'python -I app.py' runs in "
    "a process of its own: have environment= point it to a fake server of the test instead, whose port is among "
    "ports="
)
PORT = "a port is a whole number from 1 to 65535"


def refused(deploy, *args, **options):
    with pytest.raises(ScfUsageError) as raised:
        deploy(*args, **options)
    text = str(raised.value)
    assert "\n" not in text
    assert text.count(". ") == 0
    return text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("python app.py", "'python app.py'"),
        (b"python", "b'python'"),
        (None, "None"),
        ([], "[]"),
        (["python", 3], "['python', 3]"),
        (["python", ""], "['python', '']"),
        (["python", "a\0b"], "['python', 'a\\x00b']"),
        ({"python"}, "{'python'}"),
    ],
)
def test_a_command_that_is_no_list_of_words(runtime, tmp_path, command, shown):
    text = refused(runtime.deploy_image, command, cwd=tmp_path)

    assert text == f"command={shown} (deploy_image(...)) is not valid: {FORM}"


@pytest.mark.parametrize("port", [0, -2, 65_536, True, "9000", 9000.0, -1.0, None])
def test_a_port_that_is_none(runtime, port):
    text = refused(runtime.deploy_image, ["python", "-c", "pass"], port=port)

    assert text == f"port={port!r} (deploy_image(...)) is not valid: {PORT}, or -1 for a job image"


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (
            6379,
            f"ports=6379 (deploy_image(...)) is not valid: {PORTS}",
        ),
        (
            "6379",
            f"ports='6379' (deploy_image(...)) is not valid: {PORTS}",
        ),
        ([6379, "1"], f"ports=[6379, '1'] (deploy_image(...)) is not valid: '1' is not a port; {PORT}"),
        ([0], f"ports=[0] (deploy_image(...)) is not valid: 0 is not a port; {PORT}"),
        (
            [6379, 9000],
            f"ports=[6379, 9000] (deploy_image(...)) is not valid: 9000 is {OWN}",
        ),
    ],
)
def test_ports_that_are_none(runtime, ports, said):
    assert refused(runtime.deploy_image, ["python", "-c", "pass"], ports=ports) == said


def test_a_directory_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path / "nowhere")

    assert text == f"cwd='{tmp_path}/nowhere' (deploy_image(...)) is not a directory: there is no {tmp_path}/nowhere"


def test_a_directory_that_is_a_file(runtime, tmp_path):
    (tmp_path / "file").write_text("")

    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path / "file")

    assert text == f"cwd='{tmp_path}/file' (deploy_image(...)) is not a directory: {tmp_path}/file is a file"


def test_a_relative_directory_is_looked_up_as_code_is(runtime):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd="nowhere")

    assert text.startswith("cwd='nowhere' (deploy_image(...)) is not a directory: there is no /")
    assert text.count("/nowhere") == 2
    assert " and no " in text


def test_a_script_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path)

    assert text == (
        f"command=['python', 'app.py'] (deploy_image(...)) runs 'app.py', and there is no file {tmp_path}/app.py: "
        "cwd= is the directory in which the program is started"
    )


def test_a_program_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["no-such-program", "x"], cwd=tmp_path)

    assert text == (
        f"command=['no-such-program', 'x'] (deploy_image(...)): there is no program 'no-such-program' in "
        f"{os.path.dirname(sys.executable)} nor on the PATH; install it, or pass its path"
    )


def test_the_path_of_a_program_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["./serve"], cwd=tmp_path)

    assert text == (
        f"command=['./serve'] (deploy_image(...)): there is no file {tmp_path}/serve; "
        "cwd= is the directory in which the program is started"
    )


def test_m_without_a_module(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "-m"], cwd=tmp_path)

    assert text == "command=['python', '-m'] (deploy_image(...)) is not valid: -m takes the name of a module"


def test_a_python_of_another_version_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python3.99", "app.py"], cwd=tmp_path)

    assert "there is no program 'python3.99' in " in text


@pytest.mark.parametrize("directory", [3, b"image", True, ["image"]])
def test_a_directory_that_is_no_path(runtime, directory):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=directory)

    assert text == (
        f"cwd={directory!r} (deploy_image(...)) of type {type(directory).__name__} is not valid: it must be the path "
        "of a "
        'directory, a str or a path, as in cwd="image"'
    )


def test_before_init_of_a_program_with_a_process_of_its_own(runtime, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): pass\n")
    (tmp_path / "app.py").write_text("")

    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path, before_init=f"{tmp_path}/fakes.py:install")

    assert text == (
        f"before_init='{tmp_path}/fakes.py:install' (deploy_image(...)) "
        + NO_PYTHON_PROCESS.replace(" -I", "").replace(
            "have environment=", "give in_process=True if it is a program of one process, or have environment="
        )
    )
    assert runtime.functions == {}


def test_before_init_of_a_program_with_a_process_of_its_own_in_an_update(deploy_free, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): pass\n")
    function = deploy_free("")

    text = refused(function.update, before_init=f"{tmp_path}/fakes.py:install")

    assert text == (f"before_init='{tmp_path}/fakes.py:install' (update(...)) {NO_PYTHON_PROCESS}")
    function.update(before_init=None)


@pytest.mark.parametrize("command", [["python", "-I", "app.py"], ["python", "-c", "pass"], ["sleep", "1"]])
def test_a_program_that_the_instance_cannot_run_itself(runtime, tmp_path, command):
    (tmp_path / "app.py").write_text("")
    text = refused(runtime.deploy_image, command, cwd=tmp_path, in_process=True)

    assert text.startswith("in_process=True (deploy_image(...)) is for a program that the tests' own Python can run ")
    assert text.endswith(": leave out in_process=True, and it is supervised, on simulated time too")


def test_in_process_that_is_no_switch(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["sleep", "1"], cwd=tmp_path, in_process="yes")
    assert text == "in_process='yes' (deploy_image(...)) is not valid: it must be True or False"


def test_a_keyword_that_is_none(runtime, tmp_path):
    text = refused(runtime.deploy_image, image_uri="shop/app:1")

    assert text.startswith("deploy_image(...) has no keyword 'image_uri'")
    assert text.endswith("): image= is the name of an image of this machine")


@pytest.mark.parametrize(
    "command",
    [
        "ccr.ccs.tencentyun.com/team/app:v1.2",
        "ccr.ccs.tencentyun.com/team/app",
        "team/app:latest",
        "localhost:5000/app",
        f"team/app@sha256:{'0a' * 32}",
    ],
)
def test_the_name_of_an_image_is_no_command(runtime, tmp_path, command):
    note = f"; {command!r} reads like the name of an image: {GIVE_IMAGE}"

    text = refused(runtime.deploy_image, command, cwd=tmp_path)
    in_a_list = refused(runtime.deploy_image, [command], cwd=tmp_path)

    assert text == f"command={command!r} (deploy_image(...)) is not valid: {FORM}{note}"
    assert in_a_list == f"command=[{command!r}] (deploy_image(...)): there is no file {tmp_path}/{command}{note}"


def test_the_name_of_an_image_that_has_no_directory_is_no_command(runtime, tmp_path):
    assert refused(runtime.deploy_image, ["redis:7"], cwd=tmp_path) == (
        f"command=['redis:7'] (deploy_image(...)): there is no program 'redis:7' in {os.path.dirname(sys.executable)} "
        f"nor on the PATH; 'redis:7' reads like the name of an image: {GIVE_IMAGE}"
    )


@pytest.mark.parametrize("command", ["app.py", "app.py:handle", "./serve", "bin/serve", "/bin/x:1", "python -m a:b"])
def test_what_does_not_read_like_the_name_of_an_image(runtime, tmp_path, command):
    assert refused(runtime.deploy_image, command, cwd=tmp_path).endswith(f"is not valid: {FORM}")


def test_the_runtime_of_images_is_none_of_deploy(runtime, tmp_path):
    (tmp_path / "index.py").write_text("def main_handler(event, context): pass\n")

    text = refused(runtime.deploy, f"{tmp_path}/index.py:main_handler", runtime="CustomImage")

    assert "deploy_image(command=[...])" in text


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({"timeout": -1}, "timeout=-1 (deploy_image(...)) is not valid: "),
        ({"environment": {"1X": "v"}}, "the environment variable '1X' (deploy_image(...)) is not valid: "),
        ({"name": "1st"}, "name='1st' (deploy_image(...)) is not valid: "),
        ({"max_instances": 0}, "max_instances=0 (deploy_image(...)) is not valid: "),
        ({"before_init": 5}, "before_init=5 (deploy_image(...)) is of type int; "),
    ],
)
def test_values_of_the_configuration_name_deploy_image(runtime, tmp_path, given, begins):
    (tmp_path / "app.py").write_text(program(""))

    assert refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path, **given).startswith(begins)


def test_a_name_that_is_taken_names_deploy_image(deploy_image):
    deploy_image(program(""), name="shop")

    assert refused(deploy_image, program(""), name="shop").startswith("name='shop' (deploy_image(...)) is taken: ")


def test_the_init_timeout_of_images_is_a_default(make_runtime, deploy_image):
    def source_and_value(**settings):
        configuration = deploy_image("", to=make_runtime(**settings)).configuration
        return configuration.init_timeout, configuration.sources["init_timeout"]

    assert source_and_value() == (90, "default")
    assert source_and_value(init_timeout=65) == (65, "ScfSettings(...)")
    configuration = deploy_image("", init_timeout=20).configuration
    assert (configuration.init_timeout, configuration.sources["init_timeout"]) == (20, "deploy_image(...)")


def test_a_limit_and_a_failed_before_init_name_deploy_image(deploy_in_process, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): raise KeyError('x')\n")
    function = deploy_in_process(program(""), max_instances=1, before_init=f"{tmp_path}/fakes.py:install")
    event = function.invoke_async()

    with pytest.raises(ScfApiError, match=r"max_instances=1 \(deploy_image\(\.\.\.\)\): an event that ends"):
        function.invoke_async()
    with pytest.raises(ScfUsageError) as raised:
        event.wait()

    assert f"before_init='{tmp_path}/fakes.py:install' (deploy_image(...)) of function 'app' raised " in str(
        raised.value
    )
