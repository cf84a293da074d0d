"""Takes the retrofit out of a file's text again: the blocks, the import of the runtime, and the wraps around calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from . import markers
from .markers import Markers, Region
from .model import Edit
from .source import Source, apply

ENTRY_POINTS = {"queue": "_queued", "backoff": "_retried"}
"""Block -> the method through which calls go; the queue's is the one if a class has both."""


def strip(data: bytes) -> bytes:
    """Return a file without anything that the retrofit put into it."""
    source = Source.decode(data)
    return source.encode(stripped(source, markers.find(source)))


def stripped(source: Source, found: Markers) -> str:
    """Return a file's text without anything that the retrofit put into it."""
    return apply(source.text, strip_edits(source, found))


def strip_edits(source: Source, found: Markers) -> list[Edit]:
    """Return the edits that take out all blocks, the import of the runtime, and all wraps."""
    edits = [region_removal(source, region) for region in found.regions]
    if found.import_line:
        edits.append(markers.removal(source, found.import_line, found.import_line, 0))
    if found.regions:
        edits += unwrap_edits(source, found, entry_points(found.regions))
    return edits


def region_removal(source: Source, region: Region) -> Edit:
    """Return the edit that takes one block out, with the blank lines that came with it."""
    return markers.removal(source, region.first, region.last, markers.BLANK_LINES.get(region.block, 1))


def entry_points(regions: Iterable[Region]) -> frozenset[str]:
    """Return the names of the entry points that the blocks of a file define."""
    return frozenset(
        region.values.get(name, name)
        for region in regions
        for block, name in ENTRY_POINTS.items()
        if region.block == block
    )


def unwrap_edits(source: Source, found: Markers, names: frozenset[str]) -> list[Edit]:
    """Return the edits that turn `self._queued(function)` into `function` again.

    Args:
        names: of the entry points.
    """
    edits: list[Edit] = []
    for node in ast.walk(ast.parse(markers.masked(source, found))):
        if isinstance(node, ast.Call) and wraps_with(node) in names:
            outer, inner = span(source, node), span(source, node.args[0])
            edits += [Edit(outer[0], inner[0], ""), Edit(inner[1], outer[1], "")]
    return edits


def wraps_with(node: ast.Call) -> str:
    """Return the name of the method if a call looks like a wrap, `self.method(function)`; nothing otherwise."""
    function = node.func
    looks_so = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and len(node.args) == 1
        and all(keyword.arg == "retry" for keyword in node.keywords)
    )
    return function.attr if looks_so and isinstance(function, ast.Attribute) else ""


def span(source: Source, node: ast.expr) -> tuple[int, int]:
    """Return the offsets at which an expression begins and ends."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return source.offset(node.lineno, node.col_offset), source.offset(node.end_lineno, node.end_col_offset)
