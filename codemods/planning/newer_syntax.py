"""Tells whether a file that does not parse may be written for a newer Python than the one that runs this tool."""

from __future__ import annotations

import re
import sys

_F = r"(?<!\w)(?:[fF][rR]?|[rR][fF])"
_SAME_QUOTE_INSIDE = rf"{_F}(['\"])(?:(?!\1)[^{{]|{{{{)*{{(?:(?!\1).)*\1.*}}"
_BACKSLASH_OR_COMMENT_INSIDE = rf"{_F}(['\"])(?:(?!\1)[^{{]|{{{{)*{{[^}}\"']*[#\\]"
_NO_END_IN_LINE = rf"{_F}(['\"])(?:(?!\1)[^{{]|{{{{)*{{[^}}\"']*$"

_SYNTAX: tuple[tuple[tuple[int, int], str, re.Pattern[str]], ...] = (
    ((3, 11), "`except*`", re.compile(r"^\s*except\s*\*")),
    ((3, 11), "a star in brackets, or in an annotation of `*args`", re.compile(r"\w\[\s*\*|:\s*\*\w")),
    ((3, 13), "a default of a type parameter", re.compile(r"^\s*(?:class|(?:async\s+)?def|type)\s+\w+\s*\[[^\]]*=")),
    ((3, 12), "a type parameter", re.compile(r"^\s*(?:class|(?:async\s+)?def)\s+\w+\s*\[")),
    ((3, 12), "the statement `type X = ...`", re.compile(r"^\s*type\s+\w+\s*(?:\[|=)")),
    ((3, 12), "an f-string with its own quotes inside its braces", re.compile(_SAME_QUOTE_INSIDE)),
    ((3, 12), "an f-string with a backslash or a comment inside its braces", re.compile(_BACKSLASH_OR_COMMENT_INSIDE)),
    ((3, 12), "an f-string whose braces go over several lines", re.compile(_NO_END_IN_LINE)),
    ((3, 14), "a t-string", re.compile(r"(?<!\w)(?:[tT][rR]?|[rR][tT])['\"]")),
)  # fmt: skip
"""Since which version, what, and how it looks in the line that Python names. What's new in Python 3.11 to 3.14."""
_LONGEST = 1_000
"""Characters of the line that are looked at."""


def hint(line: str, running: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return what to say of a line that does not parse if it looks like the syntax of a newer Python; else nothing.

    Args:
        line: that Python names in the error.
        running: the version of Python that could not parse it.
    """
    for version, what, pattern in _SYNTAX:
        if version > running and pattern.search(line[:_LONGEST]):
            needed, ours = (".".join(map(str, v)) for v in (version, running))
            return (
                f"{what} needs Python {needed}: run this tool with Python {needed} or newer, this is {ours}"
            )
    return ""
