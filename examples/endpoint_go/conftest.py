import pytest


def pytest_configure(config: pytest.Config):
    config.addinivalue_line("markers", "go: needs the `go` command")
