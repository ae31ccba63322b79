"""Checks of parameters that several operations have."""

from __future__ import annotations

from collections.abc import Mapping

from ...model.configuration import DESCRIPTION_RULE, MAX_DESCRIPTION
from .error_texts import api_error


def check_description(text: object) -> None:
    """Raise ScfApiError ``InvalidParameterValue.Description`` for what can be no description."""
    if not isinstance(text, str) or len(text) > MAX_DESCRIPTION:
        shown = text[:100] if isinstance(text, str) else text
        raise api_error("InvalidParameterValue.Description", value=shown, valid=DESCRIPTION_RULE)


def check_part(name: str, text: object) -> None:
    """Raise ScfApiError ``InvalidParameterValue`` unless *text*, the parameter *name*, is a text, or None."""
    if text is not None and not isinstance(text, str):
        raise api_error("InvalidParameterValue", name=name, value=text, valid="it must be a string")


def check_pairs(code: str, pairs: object) -> None:
    """Raise ScfApiError *code* unless *pairs* have texts as keys."""
    if not isinstance(pairs, Mapping):
        raise api_error(code, value=pairs, valid="pairs of a name and what is looked for")
