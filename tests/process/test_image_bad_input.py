"""What ``deploy_image`` refuses: one sentence with the value, where it came from, and what is valid."""

from __future__ import annotations

import os
import sys

import pytest
from image_support import program

from pytest_scf_async.errors import ScfUsageError

FORM = 'it is a list of words, the program first, as in command=["python", "app.py"]'
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
    assert refused(runtime.deploy_image, command, cwd=tmp_path) == f"command={shown} (deploy(...)) is not valid: {FORM}"


@pytest.mark.parametrize("port", [0, -1, 65_536, True, "9000", 9000.0, None])
def test_a_port_that_is_none(runtime, port):
    text = refused(runtime.deploy_image, ["python", "-c", "pass"], port=port)

    assert text == f"port={port!r} (deploy(...)) is not valid: {PORT}"


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (
            6379,
            "ports=6379 (deploy(...)) is not valid: it is a list of the ports of the test's own servers, as in ports=[6379]",
        ),
        (
            "6379",
            "ports='6379' (deploy(...)) is not valid: it is a list of the ports of the test's own servers, as in ports=[6379]",
        ),
        ([6379, "1"], f"ports=[6379, '1'] (deploy(...)) is not valid: '1' is no port; {PORT}"),
        ([0], f"ports=[0] (deploy(...)) is not valid: 0 is no port; {PORT}"),
        (
            [6379, 9000],
            "ports=[6379, 9000] (deploy(...)) is not valid: 9000 is the port on which the image's program listens itself "
            "(port=9000)",
        ),
    ],
)
def test_ports_that_are_none(runtime, ports, said):
    assert refused(runtime.deploy_image, ["python", "-c", "pass"], ports=ports) == said


def test_a_directory_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path / "nowhere")

    assert text == f"cwd='{tmp_path}/nowhere' (deploy(...)) is no directory: there is no {tmp_path}/nowhere"


def test_a_directory_that_is_a_file(runtime, tmp_path):
    (tmp_path / "file").write_text("")

    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path / "file")

    assert text == f"cwd='{tmp_path}/file' (deploy(...)) is no directory: {tmp_path}/file is a file"


def test_a_relative_directory_is_looked_up_as_code_is(runtime):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd="nowhere")

    assert text.startswith("cwd='nowhere' (deploy(...)) is no directory: there is no /")
    assert text.count("/nowhere") == 2
    assert " and no " in text


def test_a_script_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path)

    assert text == (
        f"command=['python', 'app.py'] (deploy(...)) runs 'app.py', and there is no file {tmp_path}/app.py: "
        "cwd= is the directory in which the program is started"
    )


def test_a_program_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["no-such-program", "x"], cwd=tmp_path)

    assert text == (
        f"command=['no-such-program', 'x'] (deploy(...)): there is no program 'no-such-program' in "
        f"{os.path.dirname(sys.executable)} nor on the PATH; install it, or give its path"
    )


def test_the_path_of_a_program_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["./serve"], cwd=tmp_path)

    assert text == (
        f"command=['./serve'] (deploy(...)): there is no file {tmp_path}/serve; "
        "cwd= is the directory in which the program is started"
    )


def test_m_without_a_module(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python", "-m"], cwd=tmp_path)

    assert text == "command=['python', '-m'] (deploy(...)) is not valid: -m takes the name of a module"


def test_a_python_of_another_version_that_is_not_there(runtime, tmp_path):
    text = refused(runtime.deploy_image, ["python3.99", "app.py"], cwd=tmp_path)

    assert "there is no program 'python3.99' in " in text


def test_before_init_of_a_program_that_is_free_running(runtime, tmp_path):
    (tmp_path / "fakes.py").write_text("def install(): pass\n")
    (tmp_path / "app.py").write_text("")

    text = refused(
        runtime.deploy_image, ["python", "-I", "app.py"], cwd=tmp_path, before_init=f"{tmp_path}/fakes.py:install"
    )

    assert text == (
        f"before_init='{tmp_path}/fakes.py:install' (deploy(...)) is called in the process of a Python program, and "
        "'python -I app.py' is no script or module that the interpreter of the tests can run itself"
    )


def test_a_keyword_that_is_none(runtime, tmp_path):
    text = refused(runtime.deploy_image, image="shop/app:1")

    assert text.startswith("deploy_image(...) has no keyword 'image' (valid are command, cwd, port, ports, name, ")


def test_the_runtime_of_images_is_none_of_deploy(runtime, tmp_path):
    (tmp_path / "index.py").write_text("def main_handler(event, context): pass\n")

    text = refused(runtime.deploy, f"{tmp_path}/index.py:main_handler", runtime="CustomImage")

    assert "deploy_image(command=[...])" in text


def test_values_of_the_configuration_name_deploy(runtime, tmp_path):
    (tmp_path / "app.py").write_text(program(""))

    text = refused(runtime.deploy_image, ["python", "app.py"], cwd=tmp_path, timeout=-1)

    assert text.startswith("timeout=-1 (deploy(...)) is not valid: ")
