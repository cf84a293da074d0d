"""The marker lines around what the codemod adds: their form, and how they are found again.

A block stands between two marker lines at its own indentation:

    # >>> retrofit:backoff v2 0123456789
    ...
    # <<< retrofit:backoff

The import of the runtime is a statement that carries the comment `# retrofit:import`. The fingerprint is that of the
block's syntax tree as it was made, so a person's edit shows, and a formatter's work does not.
"""

from __future__ import annotations

import ast
import io
import json
import keyword
import re
import textwrap
import tokenize
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeGuard

from ..model import FUNCTIONS, Edit, Place, Problem, State
from ..source.fingerprints import fingerprint
from ..source.syntax import children, last_line
from ..source.text import Source, parse
from . import wraps

__all__ = ["Markers", "Region", "begin", "end", "entry_points", "find", "fingerprint", "masked", "removal"]

RUNTIME_MODULE = "_request_engine"
DISTRIBUTION = "backend_retrofit_runtime"
ENGINE = "RequestEngine"
MENTION = "retrofit:"
_BEGIN = re.compile(r"# >>> retrofit:(\w+) v(\d{1,6}) ([0-9a-f]{10})(?: (\{.*\}))?\s*$")
_END = re.compile(r"# <<< retrofit:(\w+)\s*$")
_MARK = re.compile(r"#[ \t]*(?:(?:>>>|<<<)[ \t]*retrofit:|retrofit:import[ \t]*(?:[\r\n]|\Z))")
IMPORT_COMMENT = "# retrofit:import"
_DEFAULTS = "defaults"
"""The key under which a marker line carries the settings that the block was made with."""
_MOST_VALUES = 10_000
"""Characters; no marker line of ours comes near."""
_MOST_COMPLAINTS = 20
"""Problems of one file that are told one by one."""
BLANK_LINES = {"runtime": 2}
"""How many blank lines stand before a block; 1 where it is not named here."""


@dataclass(frozen=True)
class Region:
    """A block that is in the file.

    Attributes:
        first, last: the lines of its markers.
        code: what stands between them, with its common indentation taken off, and line feeds as line ends.
        values: other names for what it defines, which its begin marker carries.
        defaults: settings that it was made with, where they are not the table's; its begin marker carries them, too.
    """

    block: str
    version: int
    fingerprint: str
    first: int
    last: int
    code: str
    values: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def changed(self) -> bool:
        """Whether its code is another than when it was made."""
        return fingerprint(self.code) != self.fingerprint


@dataclass(frozen=True)
class Markers:
    """All that the retrofit has in a file."""

    regions: tuple[Region, ...] = ()
    import_line: int = 0
    """The first line of the import of the runtime; 0 if there is none."""
    import_last: int = 0
    """Its last line; another one where a formatter has broken it up."""
    engine: str = ""
    """The name by which the file knows the runtime's class, if the import line is there."""
    place: Place | None = None
    """Where that import finds the runtime."""
    problems: tuple[Problem, ...] = ()
    left_over: frozenset[str] = frozenset()
    """Entry points that calls of the file go through, although none of its blocks defines them."""

    @property
    def entry_points(self) -> frozenset[str]:
        """The names of the methods that all wraps of ours in the file go through."""
        return entry_points(self.regions) | self.left_over


def begin(
    block: str,
    version: int,
    mark: str,
    values: Mapping[str, str],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the line that begins a block; `mark` is the fingerprint of its code as it was made."""
    carried: dict[str, Any] = dict(sorted(values.items()))
    if defaults:
        carried[_DEFAULTS] = dict(sorted(defaults.items()))
    extra = " " + json.dumps(carried, separators=(",", ":")) if carried else ""
    return f"# >>> retrofit:{block} v{version} {mark}{extra}"


def end(block: str) -> str:
    """Return the line that ends a block."""
    return f"# <<< retrofit:{block}"


def find(source: Source, tree: ast.Module | None = None) -> Markers:
    """Find the blocks and the import line in a file, by its comments: what stands inside a string is none.

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
        strings = _Strings(source, [node for node in nodes if _is_string(node)])
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
    except SyntaxError:  # whoever plans the file says what is wrong with it
        return frozenset()


def entry_points(regions: Iterable[Region]) -> frozenset[str]:
    """Return the names of the entry points that blocks define."""
    names: set[str] = set()
    for region in regions:
        if region.block in wraps.ENTRY_POINTS:
            name = wraps.ENTRY_POINTS[region.block]
            names.add(region.values.get(name, name))
        elif region.block == FUNCTIONS:
            names |= wraps.names_bound(region.code)
    return frozenset(names)


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
            self._complain(line, "this import of the runtime imports more; give that a line of its own")
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
    defaults = values.pop(_DEFAULTS, {})
    if not isinstance(defaults, dict) or any(isinstance(value, list | dict) for value in defaults.values()):
        return None
    if not all(isinstance(value, str) for value in values.values()):
        return None
    good = all(value.isidentifier() and not keyword.iskeyword(value) for value in values.values())
    return (values, defaults) if good and len(set(values.values())) == len(values) else None


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


def _is_string(node: ast.AST) -> TypeGuard[ast.expr]:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


class _Strings:
    """The strings of a file that could hold a mark, none inside another."""

    def __init__(self, source: Source, nodes: list[ast.expr]) -> None:
        self.source = source
        self.spans = sorted(source.span(node) for node in nodes)
        self.comments: dict[int, frozenset[int]] = {}

    def hold(self, offset: int) -> bool:
        """Return True if what stands at an offset is part of a string."""
        index = bisect_left(self.spans, (offset, 0)) - 1
        if index < 0 or offset >= self.spans[index][1]:
            return False
        if index not in self.comments:
            # Strings that are joined without an operator can have comments between them.
            self.comments[index] = frozenset(self._comments(*self.spans[index]))
        return offset not in self.comments[index]

    def _comments(self, start: int, stop: int) -> Iterator[int]:
        part = Source(f"({self.source.text[start:stop]})", "utf-8", b"")
        try:
            for token in tokenize.generate_tokens(io.StringIO(part.text, newline="").readline):
                if token.type == tokenize.COMMENT:
                    yield start + part.line_start(token.start[0]) + token.start[1] - 1
        except (tokenize.TokenError, SyntaxError):
            return


def masked(source: Source, markers: Markers) -> str:
    """Return the text with the retrofit's own lines left blank, so that line numbers stay."""
    spans = [(region.first, region.last) for region in markers.regions]
    if markers.import_line:
        spans.append((markers.import_line, markers.import_last))
    pieces: list[str] = []
    done = 0
    for first, last in sorted(spans):
        for number in range(first, last + 1):
            pieces.append(source.text[done : source.line_start(number)])
            done = source.line_end(number)
    return "".join([*pieces, source.text[done:]])


def removal(source: Source, first: int, last: int, blank_lines: int) -> Edit:
    """Return the edit that takes lines out again, with the blank lines and the line end that came with them."""
    while blank_lines and first > 1 and not source.line(first - 1).strip():
        first -= 1
        blank_lines -= 1
    start, stop = source.line_start(first), source.line_end(last)
    if first > 1:
        start = source.line_end(first - 1)
    else:
        while last < source.line_count and blank_lines >= 0:
            if blank_lines and source.line(last + 1).strip():
                break
            last += 1
            blank_lines -= 1
            stop = source.line_start(last)
    return Edit(start, stop, "")
