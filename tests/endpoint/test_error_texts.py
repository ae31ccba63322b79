"""The texts of the endpoint's errors."""

from __future__ import annotations

import string

import pytest

from pytest_scf_async.endpoint.operations.error_texts import ERROR_TEXTS
from pytest_scf_async.model.codes import API_ERRORS, api_error

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once


@pytest.mark.parametrize("code", ERROR_TEXTS)
def test_every_api_error_is_a_sentence_with_its_values(code):
    names = [name for _, name, _, _ in string.Formatter().parse(ERROR_TEXTS[code]) if name]
    error = api_error(code, **{name: f"<{name}>" for name in names})
    assert error.code == code
    assert error.platform_message.endswith(".")
    assert str(error) == f"{code}: {error.platform_message}"
    assert names
    assert all(f"<{name}>" in error.platform_message for name in names)


def test_no_text_is_there_twice():
    assert not {*ERROR_TEXTS} & {*API_ERRORS}
