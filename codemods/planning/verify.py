"""Looks once more at what was planned, before it is written: a proof that it can be undone.

Four things must hold, or the file is left alone: the result compiles; all marks are found in it again; without the
retrofit it is, to the byte, what the file is without the retrofit; and outside of the blocks, the import and the
wrapped functions the two syntax trees are the same.
"""

from __future__ import annotations

import ast
import sys
import warnings
from bisect import bisect_right
from collections.abc import Iterable

from ..blocks.configured import is_edited
from ..blocks.find_markers import find_markers
from ..blocks.markers import Markers
from ..blocks.removal import stripped
from ..injection.injections import gives_back, without_odd_end
from ..model import FilePlan, Refusal, State
from ..source.text import Source, parse
from ..source.wrapping import wraps_with


def check_outcome(source: Source, marks: Markers, planned: FilePlan, tree: ast.Module) -> None:
    """Refuse a result that does not compile, or that is more than the original and the retrofit.

    Args:
        source: the file as it was.
        marks: the retrofit's marks in it.
        tree: the file's syntax tree without the blocks and the import.
    """
    if not planned.changed:
        return
    after = Source.decode(planned.after)
    tree_after = _compiled(source, after)
    marks_after = find_markers(after, tree_after)
    blocks = [block for cls in planned.classes for block in cls.blocks]
    kept = [b for b in blocks if b.change in ("merged", "kept") and b.state is State.EDITED]
    edited = [region for region in marks_after.regions if is_edited(region)]
    if marks_after.problems or len(edited) > len(kept):
        raise Refusal(0, "the blocks could not be found again in the result; please report this")
    if stripped(after, marks_after, tree_after) != stripped(source, marks, tree):
        reason = "what would be added could not be taken out again exactly; please report this"
        if not gives_back(without_odd_end(source.text)[0]):
            reason = "LibCST, which makes the changes, does not give it back as it is: it would change other lines, too"
        raise Refusal(0, reason)
    before_lines, after_lines = _View(source, marks), _View(after, marks_after)
    if line := _difference(before_lines, tree, after_lines, tree_after):
        raise Refusal(line, "the result would mean something else from here on; please report this")


def _compiled(source: Source, after: Source) -> ast.Module:
    """Return the result's syntax tree if it compiles; nothing of it is run."""
    try:
        tree = parse(after.text)
        _compile(tree)
    except (SyntaxError, ValueError) as error:
        try:
            _compile(parse(source.text))
        except SyntaxError as own:
            raise Refusal(own.lineno or 0, f"it does not compile: {own.msg}") from None
        raise Refusal(0, f"the result would not compile ({error}); please report this") from None
    return tree


def _compile(tree: ast.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(tree, "<result>", "exec", dont_inherit=True)


class _View:
    """A syntax tree as it is without the retrofit: no blocks, no import of the runtime, no wraps."""

    def __init__(self, source: Source, marks: Markers) -> None:
        self.source = source
        spans = [(region.first, region.last) for region in marks.regions]
        self.spans = sorted([*spans, (marks.import_line, marks.import_last)])
        self.entry_points = marks.entry_points

    def body(self, nodes: Iterable[object]) -> list[object]:
        """Return the nodes of a list that are not statements of the retrofit."""
        return [node for node in nodes if not self._is_ours(node)]

    def _is_ours(self, node: object) -> bool:
        if not isinstance(node, ast.stmt):
            return False
        index = bisect_right(self.spans, (node.lineno, sys.maxsize)) - 1
        return index >= 0 and node.lineno <= self.spans[index][1]

    def unwrapped(self, node: ast.AST) -> ast.AST:
        """Return what is wrapped, if the node is one of the retrofit's wraps."""
        while isinstance(node, ast.Call) and wraps_with(node) in self.entry_points:
            node = node.args[0]
        return node

    def text(self, node: ast.stmt) -> str:
        """Return a statement as it is written, with its decorators."""
        start, stop = self.source.span(node)
        decorators = getattr(node, "decorator_list", ())
        return self.source.text[min([start, *(self.source.span(d)[0] for d in decorators)]) : stop]


def _difference(view: _View, tree: ast.AST, view_after: _View, tree_after: ast.AST) -> int:
    """Return the line, in the file as it was, of the first difference between two trees; 0 if there is none.

    Statements with the same text are not looked into.
    """
    todo: list[tuple[ast.AST, ast.AST, int]] = [(tree, tree_after, 1)]
    while todo:
        old, new, line = todo.pop()
        old, new = view.unwrapped(old), view_after.unwrapped(new)
        line = getattr(old, "lineno", line)
        if type(old) is not type(new) or _docstring(old) != _docstring(new):
            return line
        if isinstance(old, ast.stmt) and isinstance(new, ast.stmt) and view.text(old) == view_after.text(new):
            continue
        for name in old._fields:
            pairs = _pairs(view, getattr(old, name, None), view_after, getattr(new, name, None))
            if pairs is None:
                return line
            todo += [(*pair, line) for pair in pairs]
    return 0


def _docstring(node: ast.AST) -> bool:
    """Return True if a module or class begins with a docstring, which an insertion must not make a mere string."""
    if not isinstance(node, ast.Module | ast.ClassDef) or not node.body:
        return False
    return ast.get_docstring(node, clean=False) is not None


def _pairs(view: _View, old: object, view_after: _View, new: object) -> list[tuple[ast.AST, ast.AST]] | None:
    """Return the nodes to be compared in a field of two nodes; None if the field differs."""
    olds = view.body(old) if isinstance(old, list) else [old]
    news = view_after.body(new) if isinstance(new, list) else [new]
    if len(olds) != len(news):
        return None
    pairs = []
    for one, other in zip(olds, news, strict=True):
        if isinstance(one, ast.AST) and isinstance(other, ast.AST):
            pairs.append((one, other))
        elif type(one) is not type(other) or one != other:
            return None
    return pairs
