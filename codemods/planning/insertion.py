"""Tells where things go: at the end of a class, behind the imports, in the place of an older block."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from ..blocks import templates
from ..blocks.markers import Region
from ..injection.add_blocks import NewBlocks
from ..injection.add_import import NewImport
from ..injection.add_runtime import NewRuntime
from ..model import Edit
from ..source.scopes import ClassInfo
from ..source.syntax import first_line, last_line
from ..source.text import Source, indent_of


def append(source: Source, info: ClassInfo, blocks: Sequence[templates.Block]) -> NewBlocks:
    """Return new blocks for a class."""
    indent, unit = layout(source, info)
    lines: list[str] = []
    for block in blocks:
        lines += ["", *_lines(block, indent, unit)]
    return NewBlocks(source.span(info.node)[0], tuple(lines), source.newline_at(last_line(info.node)))


def replacement(source: Source, region: Region, info: ClassInfo | None, block: templates.Block) -> Edit:
    """Return the edit that puts a block in the place of its older form; `info` is its class, if it has one."""
    indent = indent_of(source.line(region.first))
    unit = layout(source, info)[1] if info is not None else "    "
    text = source.newline_at(region.first).join(_lines(block, indent, unit))
    return Edit(source.line_start(region.first), source.line_end(region.last), text)


def import_line(source: Source, tree: ast.Module, classes: Iterable[ClassInfo], line: str) -> NewImport:
    """Return where an import goes: behind the last import before the code begins, or behind the docstring.

    Among relative imports it stands in the order that isort gives them, so that linters have nothing to say.
    """
    limit = first_line(_first_statement(tree, classes))
    last = None
    for index, node in enumerate(tree.body):
        if node.lineno >= limit or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or (docstring and last is None):
            if line.startswith("from .") and _goes_before(source, node, tree.body[index - 1 : index], line):
                return _import_beside(source, line, node, before=True)
            last = node
    return _import_beside(source, line, last or tree.body[0], before=last is None)


def _import_beside(source: Source, line: str, node: ast.stmt, before: bool) -> NewImport:
    newline = source.newline_at(max(1, first_line(node) - 1) if before else last_line(node))
    return NewImport(line, source.span(node)[0], before, newline)


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


def runtime(
    source: Source, tree: ast.Module, classes: Iterable[ClassInfo], block: templates.Block
) -> NewRuntime:
    """Return where the runtime goes: above the first statement that holds a class with blocks."""
    node = _first_statement(tree, classes)
    newline = source.newline_at(max(1, first_line(node) - 1))
    return NewRuntime(tuple(_lines(block, "", "    ")), source.span(node)[0], newline)


def _lines(block: templates.Block, indent: str, unit: str) -> list[str]:
    code = block.code.rstrip("\n").split("\n")
    return [indent + block.begin, *templates.indented(code, indent, unit), indent + block.end]


def layout(source: Source, info: ClassInfo) -> tuple[str, str]:
    """Return a class's indentation, and what one level more is in it."""
    body = indent_of(source.line(info.node.body[0].lineno))
    head = indent_of(source.line(info.node.lineno))
    unit = body[len(head) :] if body.startswith(head) else ""
    return body, unit or "    "


def _first_statement(tree: ast.Module, classes: Iterable[ClassInfo]) -> ast.stmt:
    """Return the first statement of the module that holds one of the classes."""
    line = min(info.node.lineno for info in classes)
    return next(node for node in tree.body if first_line(node) <= line <= last_line(node))
