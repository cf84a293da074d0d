"""Expressions of a statement by where they stand: positions are asked for in the statements that are to be changed only."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import libcst as cst
from libcst.metadata import CodePosition, CodeRange, MetadataWrapper, PositionProvider

from ..source.text import Source
from .numbered import NumberedStatements, Numbers, Way

Span = tuple[int, int]
"""Where an expression begins and ends in the text, its own parentheses not counted."""
_Place = tuple[int, int, int, int]
"""Line and column of both ends. Lines count from the statement's; columns in that line from where the statement begins."""


class ChangeExpressions(NumberedStatements):
    """Changes the expressions that stand at some places; a subclass overrides `change_expression`.

    Args:
        source: the text of the module.
        numbers: of its statements.
        spans: of the expressions.
    """

    def __init__(self, source: Source, numbers: Numbers, spans: Iterable[Span]) -> None:
        self._places: dict[Way, dict[_Place, Span]] = {}
        for span in spans:
            way, statement = numbers.way_to(span[0])
            start = source.span(statement)[0]
            if isinstance(statement, ast.If) and source.text.startswith("elif", start):
                start += len("el")  # which is not part of the node in LibCST
            place = _place(source, start, span)
            self._places.setdefault(way, {})[place] = span
        self._spans: dict[cst.CSTNode, Span] = {}
        super().__init__(self._places)

    def change_expression(self, updated: cst.BaseExpression, span: Span) -> cst.BaseExpression:
        """Return what becomes of an expression."""
        raise NotImplementedError

    def look_into(self, node: cst.CSTNode, way: Way) -> bool:
        """Find the expressions in a statement; raise LookupError if one is not there."""
        assert isinstance(node, cst.BaseSmallStatement | cst.BaseCompoundStatement)
        expressions = _expressions(node, self.indent, self._default_indent)
        for place, span in self._places[way].items():
            if place not in expressions:
                raise LookupError(place)
            self._spans[expressions[place]] = span
        return True

    def change_inside(self, original: cst.CSTNode, updated: cst.CSTNode) -> cst.CSTNode:
        """Change an expression, if it is one of those."""
        span = self._spans.get(original)
        if span is None:
            return updated
        assert isinstance(updated, cst.BaseExpression)
        return self.change_expression(updated, span)


def _place(source: Source, start: int, span: Span) -> _Place:
    line, column = source.position(start)
    (first, first_column), (last, last_column) = source.position(span[0]), source.position(span[1])
    return (
        first - line,
        first_column - (column if first == line else 0),
        last - line,
        last_column - (column if last == line else 0),
    )


def _expressions(
    statement: cst.BaseSmallStatement | cst.BaseCompoundStatement, indent: str, default_indent: str
) -> dict[_Place, cst.BaseExpression]:
    """Return the expressions of a statement that stands in a block with this indentation."""
    line = (
        cst.SimpleStatementLine([statement]) if isinstance(statement, cst.BaseSmallStatement) else statement
    )
    # In the module itself there is no block around it.
    around = [cst.If(cst.Name("_"), cst.IndentedBlock([line], indent=indent))] if indent else [line]
    module = cst.Module(around, default_indent=default_indent)
    ranges = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    start = ranges[statement].start
    return {
        _relative(code_range, start): node
        for node, code_range in ranges.items()
        if isinstance(node, cst.BaseExpression)
    }


def _relative(code_range: CodeRange, start: CodePosition) -> _Place:
    first, last = code_range.start, code_range.end
    return (
        first.line - start.line,
        first.column - (start.column if first.line == start.line else 0),
        last.line - start.line,
        last.column - (start.column if last.line == start.line else 0),
    )
