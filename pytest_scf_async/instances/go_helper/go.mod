module pytest-scf-async/go_helper

go 1.18
