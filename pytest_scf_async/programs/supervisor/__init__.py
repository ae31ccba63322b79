"""Beside a program's process tree: it is traced, so that its clocks and waits are simulated."""
