"""Tells where in a file text goes: behind a class, behind the imports, in the place of an older block."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from ..blocks import templates
from ..blocks.markers import Region
from ..model import Edit
from ..source.scopes import ClassInfo
from ..source.syntax import first_line, last_line
from ..source.text import Source, indent_of


def append(
    source: Source, info: ClassInfo, blocks: Sequence[templates.Block], regions: Iterable[Region]
) -> Edit:
    """Return the edit that puts new blocks at the end of a class, behind those that it has."""
    indent, unit = layout(source, info)
    last = max([_end_of_class(source, info, indent), *(region.last for region in regions)])
    lines: list[str] = []
    for block in blocks:
        lines += ["", *_lines(block, indent, unit)]
    return _behind(source, last, lines)


def replacement(source: Source, region: Region, info: ClassInfo | None, block: templates.Block) -> Edit:
    """Return the edit that puts a block in the place of its older form; `info` is its class, if it has one."""
    indent = indent_of(source.line(region.first))
    unit = layout(source, info)[1] if info is not None else "    "
    text = source.newline_at(region.first).join(_lines(block, indent, unit))
    return Edit(source.line_start(region.first), source.line_end(region.last), text)


def import_line(source: Source, tree: ast.Module, classes: Iterable[ClassInfo], line: str) -> Edit:
    """Return the edit that puts an import behind the last import before the code begins, or behind the docstring.

    Among relative imports it stands in the order that isort gives them, so that linters have nothing to say.
    """
    limit = _first_statement(tree, classes)
    last = None
    for index, node in enumerate(tree.body):
        if node.lineno >= limit or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or (docstring and last is None):
            if line.startswith("from .") and _goes_before(source, node, tree.body[index - 1 : index], line):
                return _insert(source, node.lineno - 1, [line])
            last = index
    place = _line_before(tree) if last is None else _end_of_line(source, tree.body[last:])
    return _insert(source, place, [line])


def _goes_before(source: Source, node: ast.stmt, previous: Sequence[ast.stmt], line: str) -> bool:
    """Return True if isort puts the import in `line` before a relative import, above which no comment stands."""
    return (
        isinstance(node, ast.ImportFrom)
        and node.level == 1
        and (
            any(last_line(p) == node.lineno - 1 for p in previous) or not source.line(node.lineno - 1).strip()
        )
        and (node.module or "").lower() > line.split()[1].lstrip(".").lower()
    )


def runtime(source: Source, tree: ast.Module, classes: Iterable[ClassInfo], block: templates.Block) -> Edit:
    """Return the edit that puts the runtime before the first statement that holds a class with blocks."""
    first = _first_statement(tree, classes)
    previous = [node for node in tree.body if last_line(node) < first]
    after = _end_of_line(source, previous[-1:]) if previous else _line_before(tree)
    return _insert(source, after, ["", "", *_lines(block, "", "    ")])


def _lines(block: templates.Block, indent: str, unit: str) -> list[str]:
    code = block.code.rstrip("\n").split("\n")
    return [indent + block.begin, *templates.indented(code, indent, unit), indent + block.end]


def layout(source: Source, info: ClassInfo) -> tuple[str, str]:
    """Return a class's indentation, and what one level more is in it."""
    body = indent_of(source.line(info.node.body[0].lineno))
    head = indent_of(source.line(info.node.lineno))
    unit = body[len(head) :] if body.startswith(head) else ""
    return body, unit or "    "


def _end_of_class(source: Source, info: ClassInfo, indent: str) -> int:
    """Return a class's last line, with the comments that stand in it behind its last statement."""
    last = _end_of_line(source, [info.node])
    number = last + 1
    while number <= source.line_count:
        line = source.line(number)
        if line.strip() and not (line.startswith(indent) and line.lstrip().startswith("#")):
            break
        if line.strip():
            last = number
        number += 1
    return last


def _end_of_line(source: Source, nodes: Sequence[ast.stmt]) -> int:
    """Return the line on which the line of the first statement ends, which the others follow.

    That is further down than the statement's own end where a backslash or a semicolon joins more to it.
    """
    last = nodes[0]
    for node in nodes[1:]:
        if node.lineno > last_line(last):
            break
        last = node
    number = last_line(last)
    rest = source.text[source.offset(number, last.end_col_offset or 0) : source.line_end(number)]
    while rest.endswith("\\") and "#" not in rest and number < source.line_count:
        number += 1
        rest = source.line(number)
    return number


def _first_statement(tree: ast.Module, classes: Iterable[ClassInfo]) -> int:
    """Return the first line of the first statement of the module that holds one of the classes."""
    line = min(info.node.lineno for info in classes)
    return next(first_line(node) for node in tree.body if first_line(node) <= line <= last_line(node))


def _line_before(tree: ast.Module) -> int:
    """Return the line before the file's first statement; 0 if that is the first line."""
    return first_line(tree.body[0]) - 1


def _insert(source: Source, after: int, lines: list[str]) -> Edit:
    """Return the edit that puts lines behind a line, or at the top of the file."""
    if after:
        return _behind(source, after, lines)
    while not lines[0]:
        lines = [*lines[1:], ""]
    newline = source.newline_at(1)
    return Edit(0, 0, newline.join(lines) + newline)


def _behind(source: Source, line: int, lines: list[str]) -> Edit:
    newline = source.newline_at(line)
    offset = source.line_end(line)
    return Edit(offset, offset, newline + newline.join(lines))
