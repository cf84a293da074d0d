"""Tells which files LibCST reads in a bounded time.

LibCST's parser cannot be interrupted. It takes time with the depth of brackets, doubles it with each level of a nested
pattern or of a nested `del`, and may overflow the stack where expressions are nested without brackets.
"""

from __future__ import annotations

import ast
import re

from ..source.syntax import children
from ..source.text import Source

_DEEPEST = 200
"""Levels of a syntax tree in one statement."""
_DEEPEST_THAT_DOUBLES = 3
"""Levels of brackets in `case` and `del`; each takes up to three times as long as the one before."""
_MOST_WORK = 3_000_000
"""Characters, each counted once more for every bracket around it; some seconds, and more than files kept by hand have."""
_LONG_STRING = 100
"""Characters of one that is worth being left out of that."""
_BRACKET = re.compile(r"[()\[\]{}]")
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def can_be_asked(source: Source, tree: ast.Module) -> bool:
    """Return False for a file that would take LibCST long, or that it might not survive.

    Args:
        tree: the file's syntax tree.
    """
    return _is_within_limits(source, source.text, tree) or _is_within_limits(
        source, _without_strings(source, tree), tree
    )


def _is_within_limits(source: Source, text: str, tree: ast.Module) -> bool:
    """Return False if there is too much in a text, which is the source's, or has other characters in its place."""
    work = 0
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        inside = [
            child for name in _BODIES if isinstance(body := getattr(node, name, None), list) for child in body
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
        depth, cost = _depth(text, start, stop)
        work += cost
        doubles = isinstance(node, ast.match_case | ast.Delete) and depth > _DEEPEST_THAT_DOUBLES
        if doubles or work > _MOST_WORK:
            return False
    return True


def _without_strings(source: Source, tree: ast.Module) -> str:
    """Return the text with spaces in place of long strings, which cost nothing."""
    strings = [
        source.span(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    ]
    pieces: list[str] = []
    done = 0
    for start, stop in sorted(strings):
        if stop - start > _LONG_STRING and start >= done:
            pieces += [source.text[done:start], " " * (stop - start)]
            done = stop
    return "".join([*pieces, source.text[done:]])


def _depth(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return how deep brackets are nested between two offsets, and how much work that is."""
    depth = deepest = work = 0
    done = start
    for match in _BRACKET.finditer(text, start, stop):
        work += (match.start() - done - text.count(" ", done, match.start())) * (depth + 1)
        done = match.start()
        depth = depth + 1 if match[0] in "([{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest, work + (stop - done - text.count(" ", done, stop)) * (depth + 1)


def _deeper_than(node: ast.AST, without: list[ast.AST], limit: int) -> bool:
    """Return True if a statement has more levels, what it holds in its bodies not counted."""
    passed_over = {id(child) for child in without}
    level = [child for child in children(node) if id(child) not in passed_over]
    for _ in range(limit):
        if not level:
            return False
        level = [child for parent in level for child in children(parent)]
    return True
