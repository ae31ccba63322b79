def pytest_configure(config):
    config.addinivalue_line("markers", "go: needs the `go` command")
