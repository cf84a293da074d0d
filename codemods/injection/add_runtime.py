"""Puts the runtime into a module, above the first statement that needs it."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from .rendered import in_module, with_leading_lines
from .top_level import AddBeside, index_of


@dataclass(frozen=True)
class NewRuntime:
    """The runtime, to be put into a file.

    Attributes:
        lines: of the block, with its markers.
        beside: where in the text the first statement of the module begins that needs it.
        newline: the line end there.
    """

    lines: tuple[str, ...]
    beside: int
    newline: str


_BLANK_LINES = ["", ""]


class AddRuntime(AddBeside[NewRuntime]):
    """Adds the runtime above a statement of a module."""

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        """Return the module with the runtime, two blank lines away from what is above it, or below it."""
        body = list(updated_node.body)
        index = index_of(updated_node, self._number)
        above = body[index].leading_lines
        at_top = index == 0 and not updated_node.header and not above
        lines = [*self._new.lines, *_BLANK_LINES] if at_top else [*_BLANK_LINES, *self._new.lines]
        added = in_module(lines, self._new.newline, updated_node)
        if index == 0:
            added, above = added.behind(above), ()
        body[index] = with_leading_lines(body[index], [*added.footer, *above])
        return updated_node.with_changes(body=[*body[:index], *added.statements, *body[index:]])
