import os
import shutil
import subprocess

import pytest

IMAGE = "localhost/export:example"


def pytest_configure(config: pytest.Config):
    config.addinivalue_line("markers", "go: needs the `go` command")
    config.addinivalue_line("markers", "podman: needs podman")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory):
    """The image, as a step of your CI builds it before the tests."""
    place = tmp_path_factory.mktemp("image")
    source = os.path.join(os.path.dirname(__file__), "image")
    go = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", place / "program", "."], cwd=source, env={**os.environ, **go}, check=True)
    shutil.copy(os.path.join(source, "Containerfile"), place)
    subprocess.run(["podman", "build", "--quiet", "--tag", IMAGE, place], check=True)
    return IMAGE
