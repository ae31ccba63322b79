import pytest


def pytest_configure(config: pytest.Config):
    config.addinivalue_line("markers", "npm: needs npm and its registry")
