"""What code hands on without calling it: the arguments of a call, and what statements and displays keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator

REFERENCES = (ast.Name, ast.Attribute)
KEEPERS = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Return, ast.Yield, ast.Assign)
NOT_CALLERS = frozenset(
    {
        "callable",
        "hasattr",
        "id",
        "isinstance",
        "issubclass",
        "repr",
        "signature",
        "type",
        "getattr",
        "cast",
        "setattr",
        "hash",
        "iscoroutinefunction",
        "update_wrapper",
        "wraps",
    }
)
"""Functions that look at a function they are given, but do not call it."""


def arguments(call: ast.Call) -> list[ast.expr]:
    """Return what a call is given."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def values_kept(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the names that a statement or display hands on as they are, other than to a plain name.

    What is assigned to a name or an attribute is found again where that is called.
    """
    values: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        values = [*node.values]
    elif isinstance(node, ast.List | ast.Tuple | ast.Set) and not isinstance(
        getattr(node, "ctx", None), ast.Store
    ):
        values = [*node.elts]
    elif isinstance(node, ast.Return | ast.Yield) or (
        isinstance(node, ast.Assign) and any(isinstance(target, ast.Subscript) for target in node.targets)
    ):
        values = [node.value]
    for value in values:
        if isinstance(value, REFERENCES):
            yield value
