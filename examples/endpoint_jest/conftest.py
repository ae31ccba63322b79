def pytest_configure(config):
    config.addinivalue_line("markers", "npm: needs npm and its registry")
