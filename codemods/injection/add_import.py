"""Adds the import of the runtime."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from .rendered import in_module, with_leading_lines
from .top_level import AddBeside, index_of


@dataclass(frozen=True)
class NewImport:
    """The import of the runtime.

    Attributes:
        line: its code, with its comment.
        beside: where in the text a statement of the module begins.
        before: it goes directly above that statement; otherwise below it.
        newline: the line end there.
    """

    line: str
    beside: int
    before: bool
    newline: str


class AddImport(AddBeside[NewImport]):
    """Adds an import above or below a statement of a module."""

    def leave_Module(self, original_node: cst.Module, updated_node: cst.Module) -> cst.Module:
        """Return the module with the import."""
        body = list(updated_node.body)
        index = index_of(updated_node, self._number)
        added = in_module(self._new.line.split("\n"), self._new.newline, updated_node)
        if self._new.before:
            # Comments above it stay above, as they may be about all imports.
            added = added.behind(body[index].leading_lines)
            body[index] = with_leading_lines(body[index], [])
        else:
            index += 1
        return updated_node.with_changes(body=[*body[:index], *added.statements, *body[index:]])
