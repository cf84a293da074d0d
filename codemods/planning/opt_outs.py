"""Reads what the user has written beside a call, a method or a class: `# retrofit: skip`, `# retrofit: no-retry`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property

from ..blocks.strings import Strings, is_string, nodes_at
from ..source.syntax import children, first_line, last_line
from ..source.text import Source

SKIP, NO_RETRY = "skip", "no-retry"
WORDS = (SKIP, NO_RETRY)
_COMMENT = re.compile(r"#[ \t]*retrofit:[ \t]*([\w-]+)")
_OURS = frozenset({"import", "queue", "backoff", "env_key", "functions", "runtime"})
"""What this tool itself writes behind the colon."""


def written(word: str) -> str:
    """Return a comment as it is shown in a reason."""
    return f"`# retrofit: {word}`"


class OptOuts:
    """The comments of a file.

    One counts for a call if it stands at the end of a line of the call or of the last line of its statement, or alone in
    the line above that; for a method or class, in its head or alone in the line above.

    Args:
        source: the file's text, without the blocks.
        tree: of that text.
    """

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self.tree = tree
        self.by_line: dict[int, str] = {}
        self.alone: set[int] = set()
        self.unknown: list[tuple[int, str]] = []
        for line, word in _comments(source, tree):
            if word in WORDS:
                self.by_line[line] = word
                self.alone |= {line} if source.line(line).lstrip().startswith("#") else set()
            elif word not in _OURS:
                self.unknown.append((line, word))

    @cached_property
    def _parents(self) -> dict[int, ast.AST]:
        """`id` of a node -> the node around it."""
        parents: dict[int, ast.AST] = {}
        nodes: list[ast.AST] = [self.tree]
        for node in nodes:  # which grows meanwhile
            inside = children(node)
            parents.update(dict.fromkeys(map(id, inside), node))
            nodes += inside
        return parents

    def of(self, node: ast.expr) -> str:
        """Return what is written for the call of a function, or for a function that is handed on: a word, or nothing."""
        if not self.by_line:
            return ""
        found = {self.by_line[line] for line in self._lines(node) if line in self.by_line}
        return next((word for word in WORDS if word in found), "")

    def _lines(self, node: ast.expr) -> Iterator[int]:
        """Yield the lines in which a comment counts for a call."""
        inner: ast.AST = node
        while isinstance(call := self._parents.get(id(inner)), ast.Call):
            is_wrap = call.args[:1] == [inner] and isinstance(self._parents.get(id(call)), ast.Call)
            if call.func is not inner and not is_wrap:
                break
            inner = call
        yield from range(node.lineno, (getattr(inner, "end_lineno", None) or node.lineno) + 1)
        outer: ast.AST | None = inner
        is_innermost = True
        while (outer := self._parents.get(id(outer))) is not None:
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                head = range(first_line(outer), max(outer.lineno, outer.body[0].lineno - 1) + 1)
                yield from (line for line in head if line not in self.alone)
                yield from self._alone_above(first_line(outer))
            elif isinstance(outer, ast.stmt) and is_innermost:
                if not hasattr(outer, "body"):
                    yield last_line(outer)
                yield from self._alone_above(outer.lineno)
            is_innermost = is_innermost and not isinstance(outer, ast.stmt)

    def _alone_above(self, line: int) -> Iterator[int]:
        if line - 1 in self.alone:
            yield line - 1


def _comments(source: Source, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the comments of this form: line, and word."""
    found = [(source.line_at(match.start()), match) for match in _COMMENT.finditer(source.text)]
    if not found:
        return
    nodes = nodes_at(tree, [line for line, _ in found], into_strings=False)
    strings = Strings(source, [node for node in nodes if is_string(node)])
    for line, match in found:
        if not strings.hold(match.start()):
            yield line, match[1]
