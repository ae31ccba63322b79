"""Limits of the platform that hold inside an instance, where the model is not."""

from __future__ import annotations

RESULT_LIMIT = 6 * 1024 * 1024
"""The most UTF-8 bytes of JSON that a function may return; more is status code 407 (document 42611)."""
