"""Reads the types that comments name (PEP 484)."""

from __future__ import annotations

import ast
import re

from ..source.scopes import FunctionNode


def parsed(comment: str | None) -> ast.expr | None:
    """Return the type that a comment names, or None."""
    try:
        return ast.parse(comment.strip(), mode="eval").body if comment else None
    except (SyntaxError, ValueError):
        return None


def types_in_comment(node: FunctionNode, is_method: bool) -> dict[str, ast.expr]:
    """Return parameter -> its type, from the comment behind a function's first line: `# type: (Session, str) -> None`."""
    comment = getattr(node, "type_comment", None) or ""
    match = re.match(r"\s*(\(.*\))\s*->", comment)
    types = parsed(match[1]) if match else None
    if types is None:
        return {}
    given = types.elts if isinstance(types, ast.Tuple) else [types]
    named = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
    return dict(zip(named[int(is_method and len(named) > len(given)) :], given, strict=False))
