"""Statements of a module by their number, counted from 0 as `ast` counts them: `import a; import b` are two."""

from __future__ import annotations

import libcst as cst


def index_of(module: cst.Module, number: int) -> int:
    """Return the index, in the body of a module, of what holds a statement; raise LookupError if there is none."""
    for index, node in enumerate(module.body):
        number -= len(node.body) if isinstance(node, cst.SimpleStatementLine) else 1
        if number < 0:
            return index
    raise LookupError(number)
