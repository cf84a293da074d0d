"""A three-way merge of lines (C3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_retrofit.codemods.blocks.three_way_merge import Conflict, merge

BASE = list("abcdefgh")


@pytest.mark.parametrize(
    ("edited", "made", "wanted"),
    [
        ("abcdefgh", "abcdefgh", "abcdefgh"),
        ("aXcdefgh", "abcdefgh", "aXcdefgh"),
        ("abcdefgh", "abcdefYh", "abcdefYh"),
        ("aXcdefgh", "abcdefYh", "aXcdefYh"),
        ("abcdefghX", "Yabcdefgh", "YabcdefghX"),
        ("acdefgh", "abcdefg", "acdefg"),
        ("aXcdefgh", "aXcdefgh", "aXcdefgh"),
        ("aXcdefgh", "aXcdeYgh", "aXcdeYgh"),
    ],
)
def test_changes_that_do_not_meet_are_both_made(edited, made, wanted):
    assert merge(BASE, edited, made) == list(wanted)


@pytest.mark.parametrize(
    ("edited", "made", "line"),
    [
        ("aXcdefgh", "aYcdefgh", 1),
        ("abXdefgh", "aYcdefgh", 2),
        ("abcdefghX", "abcdefghY", 8),
        ("aQQXcdefgh", "acdefgh", 1),
    ],
)
def test_changes_that_meet_are_a_conflict_at_a_line_of_the_edited_form(edited, made, line):
    with pytest.raises(Conflict) as caught:
        merge(BASE, edited, made)
    assert caught.value.line == line


lines = st.lists(st.sampled_from("abcd"), max_size=8)


@given(lines, lines)
def test_one_sided_changes_are_taken_whole(base, changed):
    assert merge(base, changed, base) == changed
    assert merge(base, base, changed) == changed
    assert merge(base, changed, changed) == changed


@given(lines, lines, lines)
def test_the_sides_can_be_exchanged(base, one, other):
    def outcome(first, second):
        try:
            return merge(base, first, second)
        except Conflict:
            return None

    assert outcome(one, other) == outcome(other, one)
