"""The page of a trace: whatever texts are in its data, they come back, and none of them is markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trace_internals import OfTest, facts_in, page, trace_facts

# once: texts alone
pytestmark = pytest.mark.once

HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            ["</script>", "<!--", "-->", "<script>", "]]>", "&lt;", "\u2028", "\x1b[31m", "\x00", "\\", '"']
        ),
        st.text(max_size=5),
        st.characters(min_codepoint=0xD800, max_codepoint=0xDBFF),  # halves that form no character with what follows
    ),
    max_size=8,
).map("".join)


class Elements(HTMLParser):
    """The elements of a page, and the texts of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.policy = ""
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.policy = self.policy or dict(attrs).get("content") or ""
        self.inside = tag
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in self.texts:
            self.texts[self.inside][-1] += data


def made(text: str) -> str:
    return page(trace_facts(OfTest(text, "failed", "/", text), [], []))


EMPTY = Elements(made("test_it.py::test_it"))


@given(HOSTILE)
@example("</title></head><body onload=alert(1)>")
def test_any_text_comes_back_and_makes_no_element(text: str) -> None:
    whole = made(text)
    facts = facts_in(whole.encode().decode(), "trace.html")  # it can be written, and read
    assert (facts["test"], facts["failure"]) == (text, text)
    assert Elements(whole).names == EMPTY.names


def test_the_policy_has_the_hashes_of_what_may_run() -> None:
    (style,), (data, script) = EMPTY.texts["style"], EMPTY.texts["script"]
    assert data.strip().startswith('{"format":')
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert EMPTY.policy == (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_the_page_loads_nothing() -> None:
    whole = made("test_it.py::test_it")
    assert re.findall(r"\b(?:src|href)\s*=", whole) == []
    assert not re.search(r"https?://", whole)
