"""The scenes, played as a user plays them: what each shows, and both of its times."""

import importlib.util
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "demo.py"
HAS_SDK = all(importlib.util.find_spec(name) is not None for name in ("tencentcloud", "trustme", "werkzeug"))
TITLES = [
    "A day of sleep",
    "SIGTERM at row 500",
    "439, with its cause",
    "The official SDK",
    "A sweep finds a lost invoice",
    "A Go program",
]
DAYS = re.compile(r"(?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)(?:\.\d+)?")


def played(*arguments: str, **environment: str):
    """The text of each scene by its title, and the lines after the last one."""
    process = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.stderr == ""
    assert process.returncode == 0
    _, *scenes, end = process.stdout.split("\n\n")
    assert end.startswith("All scenes: real ")
    found: dict[str, str] = {}
    for number, scene in enumerate(scenes, 1):
        title, text = scene.split("\n", 1)
        assert title.startswith(f"{number}. ")
        found[title.partition(" ")[2]] = text
    return found


def simulated(scene: str):
    """The simulated time of a scene, whose last line has both times; what it says may come in several lines."""
    times = re.fullmatch(r"   real \d+\.\d\d s, simulated (.+)", scene.splitlines()[-1])
    assert times, scene
    parts = DAYS.fullmatch(times[1])
    assert parts, scene
    return timedelta(**{unit: int(value or 0) for unit, value in parts.groupdict().items()})


@pytest.mark.go
def test_each_scene_shows_what_it_says_with_both_times():
    scenes = played("--build")

    assert list(scenes) == TITLES
    sleep, export, backup, sdk, sweep, go = scenes.values()
    assert "FINISHED (200), 23:55:00 after" in sleep
    assert simulated(sleep) == timedelta(hours=23, minutes=55)
    assert '{"row": 500}' in export
    assert simulated(export) == timedelta()
    assert "found FAILED (439: User process exit when running)" in backup
    assert "likely cause: SIGTERM arrived 1800 s after the start; no SIGTERM handler had been" in backup
    assert simulated(backup) == timedelta(minutes=30)
    assert "FAILED (439), 0:00:10 after" in go
    assert simulated(go) == timedelta(seconds=10)
    if HAS_SDK:
        ends = r"RUNNING after 1,000 seconds.*FINISHED ten minutes later.*ResourceNotFound\.AsyncEvent after three more"
        assert re.search(ends, sdk, re.DOTALL)
        assert simulated(sdk) == timedelta(days=3, seconds=1600)
    else:
        assert "the official SDK is not installed (pip install tencentcloud-sdk-python-scf werkzeug trustme)" in sdk
    assert "lost: invoices/1.txt, where it is killed before line 17:" in sweep
    assert "     > 17  invoices.joinpath" in sweep
    assert simulated(sweep) >= timedelta(minutes=10)


@pytest.mark.go
def test_go_has_compiled_its_library_or_the_scene_says_how_to_have_it_do_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    function = demo.EXAMPLES / demo.GO_FUNCTION
    subprocess.run(["go", "build", "-o", tmp_path / "exits", "."], cwd=function, check=True)
    assert demo.is_compiled()

    monkeypatch.setenv("GOCACHE", str(tmp_path / "empty"))
    assert not demo.is_compiled()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    with pytest.raises(demo.LeftOut) as left_out:
        demo.a_go_program(None, tmp_path)  # no runtime: it comes to no build
    # the command of the test above, whose Go has compiled its library
    assert str(left_out.value) == (
        f"Go would first compile its library, which takes minutes: {sys.executable} {SCRIPT} --build has it do so"
    )


def test_what_is_not_installed_is_said_in_one_line(tmp_path: Path):
    (tmp_path / "tencentcloud.py").write_text("raise ImportError\n")
    scenes = played(PATH=str(tmp_path), PYTHONPATH=str(tmp_path))

    assert list(scenes) == TITLES
    sleep, export, backup, sdk, sweep, go = scenes.values()
    assert go == "   left out: Go is not installed (Debian and Ubuntu: apt-get install golang-go)"
    assert (
        sdk
        == "   left out: the official SDK is not installed (pip install tencentcloud-sdk-python-scf werkzeug trustme)"
    )
    assert all(simulated(scene) is not None for scene in (sleep, export, backup, sweep))
