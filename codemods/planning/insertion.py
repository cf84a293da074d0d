"""Tells where things go: at the end of a class, behind the imports, in the place of an older block."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..blocks import templates
from ..blocks.markers import Region
from ..injection.add_blocks import NewBlocks
from ..injection.add_functions import NewFunctions
from ..injection.add_import import NewImport
from ..injection.add_runtime import NewRuntime
from ..model import Edit
from ..source.scopes import ClassInfo
from ..source.syntax import first_line, last_line
from ..source.text import Source, indent_of


def append(source: Source, info: ClassInfo, blocks: Sequence[templates.Block]) -> NewBlocks:
    """Return new blocks for a class."""
    indent, unit = layout(source, info)
    lines = tuple(("", *_lines(block, indent, unit)) for block in blocks)
    return NewBlocks(source.span(info.node)[0], lines, source.newline_at(last_line(info.node)))


def replacement(source: Source, region: Region, info: ClassInfo | None, block: templates.Block) -> Edit:
    """Return the edit that puts a block in the place of its older form; `info` is its class, if it has one."""
    indent = indent_of(source.line(region.first))
    unit = layout(source, info)[1] if info is not None else "    "
    text = source.newline_at(region.first).join(_lines(block, indent, unit))
    return Edit(source.line_start(region.first), source.line_end(region.last), text)


def import_line(source: Source, tree: ast.Module, first_use: int, line: str) -> NewImport:
    """Return where an import goes: behind the last import before the code begins, or behind the docstring.

    Among relative imports it stands in the order that isort gives them, so that linters have nothing to say.

    Args:
        first_use: the line of what needs it first.
    """
    last = None
    for index, node in _imports_above(tree, first_use):
        if line.startswith("from .") and _goes_before(source, node, tree.body[index - 1 : index], line):
            return _import_beside(source, line, node, before=True)
        last = node
    return _import_beside(source, line, last or tree.body[0], before=last is None)


def functions(
    source: Source,
    tree: ast.Module,
    first_use: int,
    block: templates.Block,
    head: NewImport | NewRuntime | None,
    imported: int,
) -> NewFunctions:
    """Return where the block of a module's functions goes: behind the imports, and that of the runtime.

    Args:
        first_use: the line of the first call that goes through it.
        head: the import of the runtime, if that is new.
        imported: the line of that import, if it is there.
    """
    last = next((node for _, node in reversed(list(_imports_above(tree, first_use)))), None)
    beside, before = last or tree.body[0], last is None
    start = source.span(beside)[0]
    newline = source.newline_at(max(1, first_line(beside) - 1) if before else last_line(beside))
    if imported and isinstance(head, NewImport):
        imported = 0
    if imported and (before or imported > last_line(beside)):
        start, before = source.line_start(imported), False
    with_import = isinstance(head, NewImport) and (head.beside, head.before) == (start, before)
    line = head.line if with_import and isinstance(head, NewImport) else ""
    return NewFunctions(tuple(_lines(block, "", "    ")), line, start, before, newline)


def runtime_with(runtime: NewRuntime, block: templates.Block) -> NewRuntime:
    """Return the runtime with the block of a module's functions below it."""
    return replace(runtime, lines=(*runtime.lines, "", *_lines(block, "", "    ")))


def _imports_above(tree: ast.Module, first_use: int) -> Iterator[tuple[int, ast.stmt]]:
    """Yield the imports before the code begins, with their numbers; the docstring first, if there is one."""
    limit = first_line_of(tree, first_use)
    for index, node in enumerate(tree.body):
        if node.lineno >= limit or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            break
        docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Import | ast.ImportFrom) or docstring:
            yield index, node


def first_line_of(tree: ast.Module, line: int) -> int:
    """Return the line in which the statement of the module begins that reaches to a line."""
    return first_line(_statement_at(tree, line))


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


def runtime(source: Source, tree: ast.Module, first_use: int, block: templates.Block) -> NewRuntime:
    """Return where the runtime goes: above the first statement that needs it, which `first_use` is a line of."""
    node = _statement_at(tree, first_use)
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


def _statement_at(tree: ast.Module, line: int) -> ast.stmt:
    """Return the statement of the module that a line belongs to; where it is a block's, the next one."""
    return next(node for node in tree.body if line <= last_line(node))
