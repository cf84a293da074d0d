"""Which marks of a file are inside strings, and so are not marks of ours."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_left
from collections.abc import Iterator
from typing import TypeGuard

from ..source.syntax import children
from ..source.text import Source


def nodes_at(tree: ast.Module, lines: list[int], into_strings: bool = True) -> Iterator[ast.AST]:
    """Yield the nodes that reach over one of the lines. Only what reaches over one is looked into.

    Args:
        lines: their numbers, in order.
        into_strings: also what stands in an f-string; where that stands some versions of Python do not know.
    """
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        first, last = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if first is not None and last is not None:
            first = min([first, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            index = bisect_left(lines, first)
            if index == len(lines) or lines[index] > last:
                continue
        if not isinstance(node, ast.JoinedStr):
            yield node
            todo += children(node)
        elif into_strings:
            yield from ast.walk(node)
        else:
            yield node


def is_string(node: ast.AST) -> TypeGuard[ast.expr]:
    """Return True for a string, bytes or an f-string."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


class Strings:
    """The strings of a file that could hold a mark, none inside another."""

    def __init__(self, source: Source, nodes: list[ast.expr]) -> None:
        self.source = source
        self.spans = sorted(source.span(node) for node in nodes)
        self.comments: dict[int, list[range]] = {}

    def hold(self, offset: int) -> bool:
        """Return True if what stands at an offset is part of a string."""
        index = bisect_left(self.spans, (offset, 0)) - 1
        if index < 0 or offset >= self.spans[index][1]:
            return False
        if index not in self.comments:
            # Strings that are joined without an operator can have comments between them.
            self.comments[index] = list(self._comments(*self.spans[index]))
        return not any(offset in comment for comment in self.comments[index])

    def _comments(self, start: int, stop: int) -> Iterator[range]:
        part = Source(f"({self.source.text[start:stop]})", "utf-8", b"")
        try:
            for token in tokenize.generate_tokens(io.StringIO(part.text, newline="").readline):
                if token.type == tokenize.COMMENT:
                    first = start + part.line_start(token.start[0]) + token.start[1] - 1
                    yield range(first, first + len(token.string))
        except (tokenize.TokenError, SyntaxError):
            return
