"""How the wrap around a call looks, whatever the names of the entry points are."""

from __future__ import annotations

import ast

OF_MODULE = ":"
"""What the name of a module's entry point begins with, to tell it from a method's."""


def wraps_with(node: ast.Call) -> str:
    """Return the name of the entry point if a call looks like a wrap, `self.method(function)`; nothing otherwise."""
    function = node.func
    if len(node.args) != 1 or any(keyword.arg != "retry" for keyword in node.keywords):
        return ""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.attr
    return OF_MODULE + function.id if isinstance(function, ast.Name) else ""
