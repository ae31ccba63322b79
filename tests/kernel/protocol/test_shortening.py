from __future__ import annotations

import pytest
from internals import shortened, shortened_line, shortened_lines, shortened_list


@pytest.mark.parametrize(
    ("text", "given", "shown"),
    [
        ("", (3,), ""),
        ("abc", (3,), "abc"),
        ("abcd", (3,), "abc… (1 more characters)"),
        ("x" * 5_000, (2,), "xx… (4,998 more characters)"),
        ("abcde", (3, 2), "abcde"),
        ("abc--de", (3, 2), "abc\n... 2 characters left out ...\nde"),
    ],
)
def test_a_text_has_its_first_and_its_last_characters(text, given, shown):
    assert shortened(text, *given) == shown


@pytest.mark.parametrize(("line", "shown"), [("", ""), ("abc", "abc"), ("abcd", "ab…"), ("x" * 900, "xx…")])
def test_a_line_has_so_many_characters_at_most(line, shown):
    assert shortened_line(line, 3) == shown


@pytest.mark.parametrize("number", [0, 1, 5, 6])
def test_lines_of_which_one_at_most_would_be_left_out_are_all_shown(number):
    text = "\n".join(map(str, range(number)))
    assert shortened_lines(text, 2, 3) == text


def test_more_lines_are_the_first_and_the_last_ones():
    text = "\n".join(map(str, range(2_000)))
    assert shortened_lines(text, 2, 1) == "0\n1\n... 1,997 lines left out ...\n1999"


@pytest.mark.parametrize(
    ("names", "shown"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("a" * 1_003, "a, a, a and 1,000 more")],
)
def test_a_list_has_its_first_names(names, shown):
    assert shortened_list(names, 3) == shown
