"""``pytest --help`` shows the options that one needs for one run; all settings are ini options."""

from __future__ import annotations

import re

import pytest

# once: pytest's side: the same on all Pythons
pytestmark = [pytest.mark.once, pytest.mark.sandbox]


def test_few_options_are_on_the_command_line(project: pytest.Pytester) -> None:
    shown = project.runpytest("--help").stdout.str()
    options, _, ini = shown.partition("[pytest] configuration options")
    assert sorted(set(re.findall(r"--scf-async-[\w-]+", options))) == [
        *("--scf-async-artifacts", "--scf-async-live-log", "--scf-async-real-timeout", "--scf-async-replay"),
        *("--scf-async-sandbox", "--scf-async-shard", "--scf-async-start", "--scf-async-trace"),
    ]
    assert {"scf_async_leases", "scf_async_sandbox", "scf_async_artifacts"} <= set(re.findall(r"scf_async_\w+", ini))
