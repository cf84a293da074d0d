"""Asks LibCST whether it reads a result as Python does, where LibCST can be trusted to answer in a bounded time.

LibCST's parser cannot be interrupted. It takes time with the depth of brackets, doubles it with each level of a nested
pattern or of a nested `del`, and may overflow the stack where expressions are nested without brackets.
"""

from __future__ import annotations

import ast
import re

import libcst

from ..source.syntax import children
from ..source.text import Source

_DEEPEST = 200
"""Levels of a syntax tree in one statement."""
_DEEPEST_THAT_DOUBLES = 3
"""Levels of brackets in `case` and `del`; each takes up to three times as long as the one before."""
_MOST_WORK = 500_000
"""Characters, each counted once more for every bracket around it; some seconds, and more than files kept by hand have."""
_BRACKET = re.compile(r"[()\[\]{}]")
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def agrees(data: bytes) -> bool:
    """Return True if LibCST gives back the file that it reads; it does not with odd ends of files."""
    try:
        return libcst.parse_module(data).bytes == data
    except Exception:  # whatever it is: LibCST does not read this file, and that is its last word
        return False


def can_be_asked(source: Source, tree: ast.Module) -> bool:
    """Return False for a file that would take LibCST long, or that it might not survive.

    Args:
        tree: the file's syntax tree.
    """
    if len(source.text) > _MOST_WORK:
        return False
    work = 0
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        inside = [
            child
            for name in _BODIES
            if isinstance(found := getattr(node, name, None), list)
            for child in found
        ]
        todo += inside
        if isinstance(node, ast.match_case):
            start, stop = source.line_start(node.pattern.lineno), source.span(node.body[0])[0]
        elif isinstance(node, ast.stmt):
            start, stop = source.span(node)
            stop = min([stop, *(source.span(child)[0] for child in inside if isinstance(child, ast.stmt))])
            if stop - start > _DEEPEST and _deeper_than(node, inside, _DEEPEST):
                return False
        else:
            continue
        depth, cost = _depth(source.text, start, stop)
        work += cost
        doubles = isinstance(node, ast.match_case | ast.Delete) and depth > _DEEPEST_THAT_DOUBLES
        if doubles or work > _MOST_WORK:
            return False
    return True


def _depth(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return how deep brackets are nested between two offsets, and how much work that is."""
    depth = deepest = work = 0
    done = start
    for match in _BRACKET.finditer(text, start, stop):
        work += (match.start() - done) * (depth + 1)
        done = match.start()
        depth = depth + 1 if match[0] in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest, work + (stop - done) * (depth + 1)


def _deeper_than(node: ast.AST, without: list[ast.AST], limit: int) -> bool:
    """Return True if a statement has more levels, what it holds in its bodies not counted."""
    passed_over = {id(child) for child in without}
    level = [child for child in children(node) if id(child) not in passed_over]
    for _ in range(limit):
        if not level:
            return False
        level = [child for parent in level for child in children(parent)]
    return True
