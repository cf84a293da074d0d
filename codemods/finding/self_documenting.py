"""Finds what an f-string shows as it is written: of `f"{get(url)=}"` the text of the call is part of the result."""

from __future__ import annotations

import ast
import re

from ..source.text import Source

_SHOWN = re.compile(r"[\s)]*=\s*(?:![rsa]\s*)?[:}]")
"""What stands behind an expression that is shown."""


def shown_as_written(source: Source, tree: ast.Module) -> frozenset[int]:
    """Return the `id` of each node whose text is part of a string.

    Args:
        tree: of the source.
    """
    if not _SHOWN.search(source.text):
        return frozenset()
    return frozenset(
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue)
        if _SHOWN.match(source.text, source.span(node.value)[1])
        for part in ast.walk(node.value)
    )
