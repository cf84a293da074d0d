"""Statements of a module by their number, counted from 0 as `ast` counts them: `import a; import b` are two."""

from __future__ import annotations

from typing import Generic, TypeVar

import libcst as cst

NewT = TypeVar("NewT")


def index_of(module: cst.Module, number: int) -> int:
    """Return the index, in the body of a module, of what holds a statement; raise LookupError if there is none."""
    for index, node in enumerate(module.body):
        number -= len(node.body) if isinstance(node, cst.SimpleStatementLine) else 1
        if number < 0:
            return index
    raise LookupError(number)


class AddBeside(cst.CSTTransformer, Generic[NewT]):
    """Adds something beside a statement of a module.

    Args:
        number: of that statement.
    """

    def __init__(self, new: NewT, number: int) -> None:
        super().__init__()
        self._new = new
        self._number = number

    def visit_Module(self, node: cst.Module) -> bool:
        """Look at the module's own statements only."""
        return False
