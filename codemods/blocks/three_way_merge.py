"""Merges three forms of a block: as it was made, as somebody edited it, and as it is made now."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import pairwise


class Conflict(Exception):
    """The edit and the new form change the same lines, or lines that touch, in different ways.

    Attributes:
        line: of the edited form, from 0, where that begins.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line}")
        self.line = line


_Change = tuple[int, int, tuple[str, ...]]
"""In the place of base[start:stop] stand these lines."""


def merge(base: Sequence[str], edited: Sequence[str], made: Sequence[str]) -> list[str]:
    """Return the lines of `made` with the changes that led from `base` to `edited`.

    Raises:
        Conflict: the two sets of changes touch each other.
    """
    by_hand, by_tool = _changes(base, edited), _changes(base, made)
    changes = sorted({**by_tool, **by_hand})
    for first, second in pairwise(changes):
        if second[0] <= first[1]:
            raise Conflict(by_hand[first] if first in by_hand else by_hand[second])
    result: list[str] = []
    done = 0
    for start, stop, lines in changes:
        result += [*base[done:start], *lines]
        done = stop
    return [*result, *base[done:]]


def _changes(base: Sequence[str], changed: Sequence[str]) -> dict[_Change, int]:
    """Return each change, and at which line of the changed form it stands; no two of them touch."""
    matcher = difflib.SequenceMatcher(None, base, changed, autojunk=False)
    return {
        (i1, i2, tuple(changed[j1:j2])): j1 for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"
    }
