"""What the tests of traces use of what is private in ``trace/``."""

# ruff: noqa: F401  (tests import these names from here)

from __future__ import annotations

from pytest_scf_async.trace import facts as trace_facts_module
from pytest_scf_async.trace.facts import OfTest, trace_facts
from pytest_scf_async.trace.page import facts_in, page
