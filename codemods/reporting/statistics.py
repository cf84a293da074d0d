"""Counts a run by what was decided and why, over all files: what to look at first in a large project."""

from __future__ import annotations

import re
from collections import Counter
from typing import TypedDict

_QUOTED = re.compile(r"`[^`]*`")
_NUMBER = re.compile(r"\b\d[\d,]*\b")


class Count(TypedDict):
    """How often something was decided for one reason."""

    count: int
    what: str
    """`wrapped`, `queued only`, `skipped`, `unwrapped`; `block skipped`; `left alone`, of a file."""
    reason: str


def kind_of(reason: str) -> str:
    """Return a reason without what differs from place to place: names, which stand in backticks, and numbers."""
    return _NUMBER.sub("N", _QUOTED.sub("...", reason))


def counted(told: list[tuple[str, str]]) -> list[Count]:
    """Return the counts, the largest first.

    Args:
        told: what was decided and why, for each place.
    """
    counts = Counter((what, kind_of(reason)) for what, reason in told)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"count": number, "what": what, "reason": reason} for (what, reason), number in ranked]
