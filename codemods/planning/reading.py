"""A file as the planner sees it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import libcst as cst

from ..blocks import markers
from ..blocks.markers import Markers, Region
from ..blocks.removal import plain_text
from ..finding.bindings import build
from ..finding.project import project_of_one_file
from ..finding.project_names import Project
from ..finding.resolve import Names
from ..injection.injections import Injections, inject, without_odd_end
from ..model import CallSite, ClassPlan, Decision, Edit, Options, Place
from ..source.syntax import shown
from ..source.text import Source, apply, parse
from ..tables.lookup import catalogue
from .block_states import why_no_python
from .runtime_apart import Apart, set_apart


@dataclass(frozen=True)
class ReadFile:
    """A file: its text, what the retrofit has in it already, and what it is without that.

    Attributes:
        place: where it finds the runtime's module.
        project: the other files, as far as they are known.
        is_test_file: the user has named a file of tests, or a folder of them.
    """

    source: Source
    marks: Markers
    place: Place
    project: Project | None = None
    is_test_file: bool = False

    @cached_property
    def text(self) -> str:
        """The text with the blocks and the import of the runtime left blank, so that line numbers stay."""
        return markers.masked(self.source, self.marks)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of that; raises SyntaxError, or Refusal where blocks are to blame."""
        try:
            return parse(self.text)
        except SyntaxError as error:
            if not self.marks.regions:
                raise
            raise why_no_python(parse(self.source.text), self.marks, error) from None

    def names(self, options: Options) -> Names:
        """Return what the names of the file stand for."""
        known = catalogue(options.transports)
        tree, project = self.tree, self.project
        if project is None:
            plain = parse(plain_text(self.source, self.marks)) if self.marks.entry_points else tree
            project = project_of_one_file(plain, known)
        return build(tree, known, project)

    @property
    def inline_runtime(self) -> Region | None:
        """The runtime's block, if it is in the file."""
        return next((region for region in self.marks.regions if region.block == "runtime"), None)

    def call_site(
        self, node: ast.expr, scope: str, library: str, decision: Decision, reason: str
    ) -> CallSite:
        """Return what to say of a call site."""
        line = node.lineno  # `ast` counts columns in bytes, readers and editors in characters
        column = self.source.offset(line, node.col_offset) - self.source.line_start(line) + 1
        return CallSite(line, column, scope, shown(node), library, decision, reason)


@dataclass(frozen=True)
class Outcome:
    """What is to become of a file.

    Attributes:
        file: as it was read; where only some blocks go, without those.
        edits: what is taken out of its text, or replaced by a newer form.
        injections: what goes into it.
        needs_runtime: it imports a runtime that is to lie beside it.
    """

    file: ReadFile
    edits: Sequence[Edit]
    injections: Injections
    classes: tuple[ClassPlan, ...]
    sites: tuple[CallSite, ...]
    needs_runtime: bool = False

    def carried_out(self, module: cst.Module | None = None) -> tuple[str, cst.Module | None]:
        """Return the text that the file has then, and the module, where LibCST made it; raise Refusal.

        Args:
            module: the file as LibCST reads it, if it has been read.
        """
        file, edits = self.file, tuple(self.edits)
        if not self.injections:
            return apply(file.source.text, edits), None
        apart = Apart(edits, self.injections)
        if module is None:
            apart = set_apart(file.source, file.inline_runtime, edits, self.injections)
        edits, injections = apart.edits, apart.injections
        source = file.source.with_text(apply(file.source.text, edits)) if edits else file.source
        tree = file.tree if source.text == file.text else parse(source.text)
        head, tail = without_odd_end(source.text)
        injections = injections.moved(partial(moved, edits)) if edits else injections
        changed = inject(source.with_text(head), tree, injections, None if edits or tail else module)
        return apart.put_back(changed.code) + tail, None if tail or apart.code else changed


def moved(edits: Iterable[Edit], offset: int) -> int:
    """Return where something stands after edits of what is before it."""
    return offset + sum(len(edit.text) - (edit.end - edit.start) for edit in edits if edit.end <= offset)
