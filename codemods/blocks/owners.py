"""Tells to which class a block belongs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from ..source.scopes import ClassInfo
from ..source.syntax import last_line
from ..source.text import Source, indent_of
from .markers import Region


class Owners:
    """Tells in which class's body a block stands, by its place and its indentation.

    A class's own end does not tell: a block that stands at its end is not part of the tree it is taken from.
    """

    def __init__(self, source: Source, classes: Iterable[ClassInfo]) -> None:
        self.source = source
        self.by_indent: dict[str, list[ClassInfo]] = {}
        for info in sorted(classes, key=lambda info: info.node.lineno):
            first = info.node.body[0].lineno
            if first == info.node.lineno:
                continue
            indent = indent_of(source.line(first))
            self.by_indent.setdefault(indent, []).append(info)
        self.seen: dict[int, int] = {}
        """`id` of a class -> the line up to which nothing ends it; looked at once, for all the blocks below it."""

    def of(self, region: Region) -> ClassInfo | None:
        """Return the class; None if nothing but a class that has ended stands above the block."""
        indent = indent_of(self.source.line(region.first))
        infos = self.by_indent.get(indent, [])
        index = bisect_left(infos, region.first, key=lambda info: info.node.lineno) - 1
        if index < 0:
            return None
        # Of classes with one indentation, the nearest above is the only one that can reach so far.
        info = infos[index]
        number = self.seen.get(id(info), last_line(info.node) + 1)
        while number < region.first and not self._ends(self.source.line(number), indent):
            number += 1
        self.seen[id(info)] = number
        return info if number >= region.first else None

    @staticmethod
    def _ends(line: str, indent: str) -> bool:
        """Return True if a line ends a class whose body has this indentation."""
        dedented = len(indent_of(line)) < len(indent)
        return dedented and bool(line.strip()) and not line.lstrip().startswith("#")
