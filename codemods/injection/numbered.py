"""Statements by their number: how a plan, made with `ast`, names the nodes of a LibCST tree.

Metadata would tell positions, but for a whole file it takes as long as reading it twice. So a statement is named by a
way: its number in the module, or the numbers of the class and the function that lead to it and its own in there, each
counted from 1 in the order of the text. Classes and functions that no way leads through are not looked into.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

import libcst as cst

from ..source.syntax import first_line
from ..source.text import Source

Way = tuple[int, ...]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BODIES = ("body", "handlers", "cases", "orelse", "finalbody")
_PARTS = frozenset(
    {cst.IndentedBlock, cst.Else, cst.Finally, cst.ExceptHandler, cst.ExceptStarHandler, cst.MatchCase}
)
"""What holds statements, and is none."""


@cache  # every node is asked, and `isinstance` takes long with LibCST's abstract classes
def _is_statement(kind: type[cst.CSTNode]) -> bool:
    return issubclass(kind, cst.BaseSmallStatement | cst.BaseCompoundStatement)


class Numbers:
    """Tells the numbers of the statements of a text.

    Args:
        tree: of that text.
    """

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self._source = source
        self._tree = tree
        self._known: dict[ast.AST, tuple[list[int], list[ast.stmt]]] = {}

    def way_to(self, offset: int) -> tuple[Way, ast.stmt]:
        """Return the innermost statement around an offset, and the way to it; raise LookupError if there is none.

        What a `def` or `class` evaluates itself, such as its decorators, is part of that statement.
        """
        scope: ast.AST = self._tree
        way: Way = ()
        while True:
            number, statement = self._innermost(scope, offset)
            way = (*way, number)
            if not isinstance(statement, _SCOPES) or offset < self._start(statement.body[0]):
                return way, statement
            scope = statement

    def in_module(self, offset: int) -> int:
        """Return which of the module's own statements stands at an offset, counted from 0."""
        for number, statement in enumerate(self._tree.body):
            if self._start(statement) <= offset < self._source.span(statement)[1]:
                return number
        raise LookupError(offset)

    def _innermost(self, scope: ast.AST, offset: int) -> tuple[int, ast.stmt]:
        if scope not in self._known:
            statements = list(_own_statements(scope))
            self._known[scope] = ([self._start(statement) for statement in statements], statements)
        starts, statements = self._known[scope]
        for index in range(bisect_right(starts, offset) - 1, -1, -1):
            if offset < self._source.span(statements[index])[1]:
                return index + 1, statements[index]
        raise LookupError(offset)

    def _start(self, statement: ast.stmt) -> int:
        """Return where a statement begins, with its decorators."""
        if getattr(statement, "decorator_list", None):
            return self._source.line_start(first_line(statement))
        return self._source.span(statement)[0]


def _own_statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module, class or function in their order, but not those of classes and functions in it."""
    for name in _BODIES:
        for part in getattr(node, name, ()):
            if isinstance(part, ast.stmt):
                yield part
            if not isinstance(part, _SCOPES):
                yield from _own_statements(part)


@dataclass
class _Scope:
    """A module, class or function that is being visited.

    Attributes:
        wanted: numbers of the statements in it that are named, or lead to one that is.
        count: how many statements of it have been seen.
    """

    way: Way
    wanted: frozenset[int]
    last: int = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.last = max(self.wanted, default=0)


class NumberedStatements(cst.CSTTransformer):
    """Goes to the statements that are named by their numbers, and not to what no way leads through.

    A subclass overrides `change`; and `look_into`, if it is to see the expressions of such a statement as well.
    """

    def __init__(self, ways: Iterable[Way]) -> None:
        super().__init__()
        self._named = frozenset(ways)
        wanted: dict[Way, set[int]] = {}
        for way in self._named:
            for depth in range(len(way)):
                wanted.setdefault(way[:depth], set()).add(way[depth])
        self._wanted = {way: frozenset(numbers) for way, numbers in wanted.items()}
        self._scopes: list[_Scope] = []
        self._default_indent = ""
        self._indents: list[str] = []
        self._statements: list[tuple[Way, bool]] = []
        """The statements around a node: the way to each, and whether its expressions are visited."""

    def look_into(self, node: cst.CSTNode, way: Way) -> bool:
        """Return True if the expressions of a named statement are to be visited."""
        return False

    def change(self, original: cst.CSTNode, updated: cst.CSTNode, way: Way) -> cst.CSTNode:
        """Return what becomes of a named statement."""
        return updated

    def change_inside(self, original: cst.CSTNode, updated: cst.CSTNode) -> cst.CSTNode:
        """Return what becomes of a node in a statement that is looked into."""
        return updated

    @property
    def indent(self) -> str:
        """The indentation of the statement that is being visited."""
        return "".join(self._indents)

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Count statements; return True for a node that may hold what is named."""
        if type(node) is cst.Module:
            self._default_indent = node.default_indent
            self._scopes.append(_Scope((), self._wanted.get((), frozenset())))
            return bool(self._named)
        scope = self._scopes[-1]
        if type(node) is cst.IndentedBlock:
            self._indents.append(self._default_indent if node.indent is None else node.indent)
        if type(node) is cst.SimpleStatementLine or type(node) is cst.SimpleStatementSuite:
            first = scope.count + 1
            if scope.wanted.isdisjoint(range(first, first + len(node.body))):
                scope.count += len(node.body)
                return False
            return True
        if _is_statement(type(node)):
            return self._see_statement(node, scope)
        looked_into = bool(self._statements) and self._statements[-1][1]
        return looked_into or (type(node) in _PARTS and scope.count < scope.last)

    def _see_statement(self, node: cst.CSTNode, scope: _Scope) -> bool:
        scope.count += 1
        way = (*scope.way, scope.count)
        looked_into = way in self._named and self.look_into(node, way)
        self._statements.append((way, looked_into))
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._scopes.append(_Scope(way, self._wanted.get(way, frozenset())))
            return looked_into or way in self._wanted
        return looked_into or (isinstance(node, cst.BaseCompoundStatement) and scope.count < scope.last)

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        """Change what is named."""
        if type(original_node) is cst.IndentedBlock:
            self._indents.pop()
        if _is_statement(type(original_node)):
            if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
                self._scopes.pop()
            way, _ = self._statements.pop()
            return self.change(original_node, updated_node, way) if way in self._named else updated_node
        if self._statements and self._statements[-1][1]:
            return self.change_inside(original_node, updated_node)
        return updated_node
