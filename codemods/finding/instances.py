"""Whether a place in the code has an instance, or a class, that can hold the queue; and why not."""

from __future__ import annotations

import ast

from ..source.scopes import Scope


def enclosing_method(inner: Scope) -> Scope | None:
    """Return the innermost function around a scope, itself or another, that stands directly in a class."""
    for scope in inner.outwards():
        if scope.parent is not None and isinstance(scope.parent.node, ast.ClassDef):
            if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef):
                return scope
            return None
    return None


def why_no_method(inner: Scope) -> str:
    """Return why the code of a scope has no instance to hold the queue."""
    if enclosing_method(inner) is not None:
        return "static method: there is no `self` or `cls` to hold the queue"
    if isinstance(inner.node, ast.Module):
        return "module level: there is no `self` or `cls` to hold the queue"
    if isinstance(inner.node, ast.ClassDef):
        return "class body: it runs before there is an instance"
    if any(isinstance(scope.node, ast.ClassDef) for scope in inner.outwards()):
        return "lambda in a class body: only a `def` has a known `self`"
    return "module function: there is no `self` or `cls` to hold the queue"
