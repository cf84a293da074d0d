"""Puts blocks at the end of class bodies, behind the comments that belong there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from .numbered import NumberedStatements, Way
from .rendered import in_class


@dataclass(frozen=True)
class NewBlocks:
    """Blocks for a class.

    Attributes:
        class_start: where the class begins in the text.
        blocks: the lines of each, with their indentation; a blank one first.
        newline: the line end there.
    """

    class_start: int
    blocks: tuple[tuple[str, ...], ...]
    newline: str


class AddBlocks(NumberedStatements):
    """Adds blocks to classes.

    Args:
        blocks: way to a class -> its blocks.
        module: that the classes are in.
    """

    def __init__(self, blocks: Mapping[Way, NewBlocks], module: cst.Module) -> None:
        super().__init__(blocks)
        self._blocks = blocks
        self._module = module

    def change(self, original: cst.CSTNode, updated: cst.CSTNode, way: Way) -> cst.CSTNode:
        """Return the class with its blocks."""
        node = cst.ensure_type(updated, cst.ClassDef)
        body = cst.ensure_type(node.body, cst.IndentedBlock)
        comments = _comments_of_body(body.footer)
        new = self._blocks[way]
        statements, above = list(body.body), body.footer[:comments]
        for lines in new.blocks:  # each by itself: most are the same in every class, and have been read
            added = in_class(lines, new.newline, self._module).behind(above)
            statements += added.statements
            above = added.footer
        return node.with_changes(
            body=body.with_changes(body=statements, footer=[*above, *body.footer[comments:]])
        )


def _comments_of_body(footer: Sequence[cst.EmptyLine]) -> int:
    """Return how many of the lines behind the last statement belong to the class: up to its last comment."""
    return max((index + 1 for index, line in enumerate(footer) if line.comment is not None), default=0)
