"""Finds the blocks and the import of the runtime in a file, and says which marker lines are damaged."""

from __future__ import annotations

import ast
import json
import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model import Place, Problem, State
from ..source.syntax import last_line
from ..source.text import Source, parse
from . import wraps
from .markers import (
    DEFAULTS,
    DISTRIBUTION,
    ENGINE,
    IMPORT_COMMENT,
    MENTION,
    RUNTIME_MODULE,
    Markers,
    Region,
    end,
    entry_points,
    masked,
)
from .strings import Strings, is_string, nodes_at

_BEGIN = re.compile(r"# >>> retrofit:(\w+) v(\d{1,6}) ([0-9a-f]{10})(?: (\{.*\}))?\s*$")
_END = re.compile(r"# <<< retrofit:(\w+)\s*$")
_MARK = re.compile(r"#[ \t]*(?:(?:>>>|<<<)[ \t]*retrofit:|retrofit:import[ \t]*(?:[\r\n]|\Z))")
_MOST_VALUES = 10_000
"""Characters; no marker line of ours comes near."""
_MOST_COMPLAINTS = 20
"""Problems of one file that are told one by one."""


def find_markers(source: Source, tree: ast.Module | None = None) -> Markers:
    """Find the blocks and the import line in a file, by its comments: what is inside a string does not count.

    Args:
        tree: the file's syntax tree, if it is known already.

    Raises:
        SyntaxError: the file has something that looks like a mark, and does not parse.
    """
    offsets = [match.start() for match in _MARK.finditer(source.text)] if MENTION in source.text else []
    marks = Markers()
    if offsets:
        tree = tree or parse(source.text)
        lines = [source.line_at(offset) for offset in offsets]
        nodes = list(nodes_at(tree, lines, into_strings=False))
        finder = _Finder(source, [node for node in nodes if isinstance(node, ast.ImportFrom)])
        strings = Strings(source, [node for node in nodes if is_string(node)])
        for line, offset in zip(lines, offsets, strict=True):
            if not strings.hold(offset):
                finder.see(line, offset)
        marks = finder.finish(tree)
    return replace(marks, left_over=_left_over(source, marks))


def _left_over(source: Source, marks: Markers) -> frozenset[str]:
    """Return the entry points of wraps whose blocks are no longer there."""
    text = masked(source, marks)
    names = wraps.names_in(text) - entry_points(marks.regions)
    if not names or marks.problems:
        return frozenset()
    try:
        return wraps.left_over(parse(text), names)
    except SyntaxError:  # the planner says what is wrong with it
        return frozenset()


class _Finder:
    """Goes through the marks of a file from top to bottom."""

    def __init__(self, source: Source, imports: list[ast.ImportFrom]) -> None:
        self.source = source
        self.import_on = {
            line: node for node in imports for line in range(node.lineno, (node.end_lineno or 0) + 1)
        }
        self.problems: list[Problem] = []
        self.complaints = 0
        self.regions: list[Region] = []
        self.open: tuple[int, re.Match[str]] | None = None
        self.runtime_import: ast.ImportFrom | None = None

    def see(self, line: int, offset: int) -> None:
        comment = self.source.text[offset : self.source.line_end(line)]
        if comment.strip() == IMPORT_COMMENT:
            self._see_import(line)
            return
        alone = not self.source.text[self.source.line_start(line) : offset].strip()
        begins, ends = _BEGIN.match(comment), _END.match(comment)
        if begins and alone:
            if self.open is not None:
                self._complain_of_open()
            self.open = (line, begins)
        elif ends and alone and self.open is not None and self.open[1][1] == ends[1]:
            self._close(line)
        elif ends and alone and self.open is not None:
            (first, match), self.open = self.open, None
            reason = f"this line ends a block called {ends[1]}, which begins in line {first} as {match[1]}; fix one of the two"
            self._complain(line, reason)
        elif ends and alone:
            reason = (
                f"the line that begins this block, `# >>> retrofit:{ends[1]} ...`, is missing or damaged; delete this "
                "line and the block above it, and run again"
            )
            self._complain(line, reason)
        else:
            self._complain(line, "this marker line has no partner, or is damaged; fix or delete it")

    def _see_import(self, line: int) -> None:
        node = self.import_on.get(line)
        if node is None:
            return
        if len(node.names) != 1:
            self._complain(line, "this line imports more than the runtime; put the rest on another line")
        elif self.runtime_import not in (None, node):
            other = self.runtime_import.lineno if self.runtime_import is not None else 0
            reason = f"the import of the runtime is here and in line {other}; delete one"
            self._complain(line, reason, State.DUPLICATED)
        else:
            self.runtime_import = node

    def _close(self, last: int) -> None:
        assert self.open is not None
        first, match = self.open
        self.open = None
        carried = _carried(match[4])
        if carried is None:
            self._complain(
                first, "the names in this marker line are malformed; fix them, or delete the block"
            )
            return
        code = self.source.text[self.source.line_end(first) : self.source.line_start(last)]
        code = textwrap.dedent(code.replace("\r\n", "\n").replace("\r", "\n"))
        self.regions.append(Region(match[1], int(match[2]), match[3], first, last, code, *carried))

    def _complain(self, line: int, reason: str, state: State = State.DAMAGED) -> None:
        self.complaints += 1
        if self.complaints <= _MOST_COMPLAINTS:
            self.problems.append(Problem(line, reason, state))

    def _complain_of_open(self) -> None:
        assert self.open is not None
        line, match = self.open
        self.open = None
        reason = (
            f"the line that ends this block, `{end(match[1])}`, is missing; put it back behind the block's last line, "
            "or delete this line and the block"
        )
        self._complain(line, reason)

    def finish(self, tree: ast.Module) -> Markers:
        if self.open is not None:
            self._complain_of_open()
        if self.complaints > _MOST_COMPLAINTS:
            more = self.complaints - _MOST_COMPLAINTS
            self.problems.append(Problem(0, f"{more:,} more of its marker lines are damaged", State.DAMAGED))
        regions, problems = tuple(self.regions), tuple(self.problems)
        node = self.runtime_import or _unmarked_import(tree, regions)
        if node is None:
            return Markers(regions, problems=problems)
        name = node.names[0].asname or node.names[0].name
        whole, place = _whole_import(tree, node)
        return Markers(regions, whole.lineno, last_line(whole), name, place, problems)


def _whole_import(tree: ast.Module, node: ast.ImportFrom) -> tuple[ast.stmt, Place]:
    """Return the statement that imports the runtime: the import, or the one that asks how the file is run."""
    place = Place(_module_of(node))
    for statement in tree.body:
        if not isinstance(statement, ast.If) or node not in statement.body:
            continue
        body = [*statement.body, *statement.orelse]
        if (
            ast.unparse(statement.test) == "__package__"
            and [type(part) for part in body] == [ast.ImportFrom] * 2
        ):
            alone = body[1]
            assert isinstance(alone, ast.ImportFrom)
            return statement, Place(place.module, _module_of(alone))
    return node, place


def _module_of(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _unmarked_import(tree: ast.Module, regions: Iterable[Region]) -> ast.ImportFrom | None:
    """Return the import of the runtime that has lost its comment, if the blocks need it."""
    if any(region.block == "runtime" for region in regions):
        return None
    code = "".join(region.code for region in regions)
    for node in tree.body:
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module == DISTRIBUTION or (node.module or "").split(".")[-1] == RUNTIME_MODULE)
            and len(node.names) == 1
        ):
            alias = node.names[0]
            if alias.name == ENGINE and re.search(rf"\b{alias.asname or ENGINE}\.", code):
                return node
    return None


def _carried(text: str | None) -> tuple[Mapping[str, str], Mapping[str, Any]] | None:
    """Return the names and the defaults that a marker line carries; None if they are none: anybody may write there."""
    if not text:
        return {}, {}
    try:
        values = json.loads(text) if len(text) <= _MOST_VALUES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    defaults = values.pop(DEFAULTS, {})
    if not isinstance(defaults, dict) or any(isinstance(value, list | dict) for value in defaults.values()):
        return None
    if not all(isinstance(value, str) for value in values.values()):
        return None
    good = all(value.isidentifier() and not keyword.iskeyword(value) for value in values.values())
    return (values, defaults) if good and len(set(values.values())) == len(values) else None
