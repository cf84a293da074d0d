"""Takes the retrofit out of a file's text again: the blocks, the import of the runtime, and the wraps around calls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from ..model import FUNCTIONS, Edit
from ..source.text import Source, apply, parse
from ..source.wrapping import wraps_with
from . import markers
from .find_markers import find_markers
from .markers import Markers, Region
from .strings import nodes_at
from .wraps import mentioned, word_of

_LINE_END = re.compile("[\r\n]")


def strip(data: bytes) -> bytes:
    """Return a file without anything that the retrofit put into it."""
    source = Source.decode(data)
    return source.encode(stripped(source, find_markers(source)))


def plain_text(source: Source, marks: Markers) -> str:
    """Return a file's text without wraps, and with the retrofit's own lines left blank, so that line numbers stay."""
    text = markers.masked(source, marks)
    masked = Source(text, source.encoding, source.bom)
    rest = replace(marks, regions=(), import_line=0)
    return apply(text, unwrap_edits(masked, rest, marks.entry_points))


@lru_cache(maxsize=8)
def plain_bytes(data: bytes) -> bytes:
    """Return a file's bytes as `plain_text` has its text; as they are, if they cannot be read.

    Remembered for the last few files: each is asked for several times, when what it imports is followed.
    """
    if markers.MENTION.encode() not in data and not mentioned(data):
        return data
    try:
        source = Source.decode(data)
        return source.encode(plain_text(source, find_markers(source)))
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return data


def stripped(source: Source, marks: Markers, tree: ast.Module | None = None) -> str:
    """Return a file's text without anything that the retrofit put into it; for `tree` see `strip_edits`."""
    return apply(source.text, strip_edits(source, marks, tree))


def strip_edits(source: Source, marks: Markers, tree: ast.Module | None = None) -> list[Edit]:
    """Return the edits that take out all blocks, the import of the runtime, and all wraps.

    Args:
        tree: the file's syntax tree, if it is known already; with or without the blocks.
    """
    edits: list[Edit] = []
    import_line = marks.import_line
    for region in marks.regions:
        if region.block == FUNCTIONS and import_line == 1 and region.first <= marks.import_last + 2:
            # At the top of a file nothing stands above them, so that the lines between go with both.
            edits.append(markers.removal(source, 1, region.last, 0))
            import_line = 0
        else:
            edits.append(region_removal(source, region))
    if import_line:
        edits.append(import_removal(source, marks))
    edits += unwrap_edits(source, marks, marks.entry_points, tree)
    return edits


def region_removal(source: Source, region: Region) -> Edit:
    """Return the edit that takes one block out, with the blank lines that came with it."""
    return markers.removal(source, region.first, region.last, markers.BLANK_LINES.get(region.block, 1))


def import_removal(source: Source, marks: Markers) -> Edit:
    """Return the edit that takes the import of the runtime out."""
    return markers.removal(source, marks.import_line, marks.import_last, 0)


def unwrap_edits(
    source: Source, marks: Markers, names: frozenset[str], tree: ast.Module | None = None
) -> list[Edit]:
    """Return the edits that turn `self._queued(function)` into `function` again.

    Args:
        names: of the entry points.
        tree: see `strip_edits`.
    """
    lines = _lines_with(names, source, marks)
    if not lines:
        return []
    edits: list[Edit] = []
    for node in nodes_at(tree or parse(markers.masked(source, marks)), lines):
        if isinstance(node, ast.Call) and wraps_with(node) in names:
            edits += unwrap(source, node)
    return edits


def _lines_with(names: frozenset[str], source: Source, marks: Markers) -> list[int]:
    """Return the lines outside of the blocks in which one of the names stands."""
    if not names:
        return []
    ours = {line for region in marks.regions for line in range(region.first, region.last + 1)}
    words = re.compile("|".join(rf"\b{re.escape(word_of(name))}\b" for name in names))
    lines = [source.line_at(word.start()) for word in words.finditer(source.text)]
    return [line for line in lines if line not in ours]


def unwrap(source: Source, node: ast.Call) -> tuple[Edit, Edit]:
    """Return the edits that leave the wrapped function only.

    A wrap that a formatter has broken over lines, or that somebody has put a comment into, leaves its parentheses
    where the function could not stand without them.
    """
    (start, stop), (inner, inner_stop) = source.span(node), source.span(node.args[0])
    opening = source.span(node.func)[1]
    if source.text.startswith("(", start):  # `(self._queued)(function)`, behind a keyword without a space
        opening = source.text.index(")", opening) + 1
    before, after = source.text[opening:inner], source.text[inner_stop:stop]
    if "#" in before or "#" in after:
        return Edit(start, opening, ""), Edit(inner_stop, stop, "".join(_without_code(after)))
    enclosed = source.text.startswith("(", start - 1) and source.text.startswith(")", stop)
    primary = isinstance(node.args[0], ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    broken = before != "(" and _LINE_END.search(source.text, inner, inner_stop) is not None
    if enclosed or (primary and not broken):
        return Edit(start, inner, ""), Edit(inner_stop, stop, "")
    return Edit(start, inner, "("), Edit(inner_stop, stop, ")")


def _without_code(after: str) -> Iterator[str]:
    """Yield what stands behind a wrapped function, up to the closing parenthesis, without `, retry=False` and commas."""
    for line in after.splitlines(keepends=True):
        code, hash_sign, comment = line.partition("#")
        yield re.sub(r",[ \t]*retry\s*=\s*False|,|retry\s*=\s*False", "", code) + hash_sign + comment
