"""Adds the queue of a module's functions, below or above a statement, with the import of the runtime where that is new."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from .rendered import in_module, with_leading_lines
from .top_level import AddBeside, index_of


@dataclass(frozen=True)
class NewFunctions:
    """The block of a module.

    Attributes:
        lines: of the block, with its markers.
        import_line: the import of the runtime, if that goes to the same place.
        beside: where in the text a statement of the module begins.
        before: it goes directly above that statement; otherwise below it.
        newline: the line end there.
    """

    lines: tuple[str, ...]
    import_line: str
    beside: int
    before: bool
    newline: str


class AddFunctions(AddBeside[NewFunctions]):
    """Adds the block beside a statement of a module, with a blank line above it."""

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        """Return the module with the block."""
        new = self._new
        body = list(updated_node.body)
        index = index_of(updated_node, self._number)
        head = [new.import_line] if new.import_line else []
        added = in_module([*head, "", *new.lines], new.newline, updated_node)
        if new.before:
            # Comments above the statement stay above, as they may be about all imports.
            added = added.behind(body[index].leading_lines)
            body[index] = with_leading_lines(body[index], added.footer)
        else:
            index += 1
            body[index] = with_leading_lines(body[index], [*added.footer, *body[index].leading_lines])
        return updated_node.with_changes(body=[*body[:index], *added.statements, *body[index:]])
