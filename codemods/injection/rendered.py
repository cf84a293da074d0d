"""Reads rendered lines into nodes that keep every character of them, the comments at both ends too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import libcst as cst

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True)
class Rendered:
    """Statements, and what stands behind the last of them.

    Attributes:
        statements: the lines above the first one are its leading lines.
        footer: blank lines and comments.
    """

    statements: Sequence[Statement]
    footer: Sequence[cst.EmptyLine]

    def behind(self, lines: Sequence[cst.EmptyLine]) -> Rendered:
        """Return the same with other lines above it."""
        first, *others = self.statements
        return replace(self, statements=[with_leading_lines(first, [*lines, *first.leading_lines]), *others])


def with_leading_lines(statement: Statement, lines: Sequence[cst.EmptyLine]) -> Statement:
    """Return a statement with other blank lines and comments above it."""
    return statement.with_changes(leading_lines=lines)


def in_class(lines: Sequence[str], newline: str, module: cst.Module) -> Rendered:
    """Return what stands in the body of a class of a module.

    Args:
        lines: with the indentation of that body.
        newline: the line end there.
    """
    tree = _parsed(_head(module), newline.join(["class _:", *lines, ""]))
    body = cst.ensure_type(tree.body[-1], cst.ClassDef).body
    assert isinstance(body, cst.IndentedBlock)
    return Rendered([node for node in body.body if isinstance(node, Statement)], body.footer)


def in_module(lines: Sequence[str], newline: str, module: cst.Module) -> Rendered:
    """Return what stands in a module itself; for the arguments see `in_class`."""
    tree = _parsed(_head(module), newline.join([*lines, ""]))
    return Rendered(tree.body[1:], tree.footer)


def _head(module: cst.Module) -> str:
    """Return a statement from which LibCST learns what is usual in a module: what differs from that, nodes tell."""
    newline = module.default_newline
    return f"if _:{newline}{module.default_indent}pass{newline}"


@lru_cache(maxsize=8)  # the runtime is long, and the same in every file
def _parsed(head: str, text: str) -> cst.Module:
    return cst.parse_module(head + text)
