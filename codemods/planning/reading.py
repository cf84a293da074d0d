"""A file as the planner sees it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from ..blocks import markers
from ..blocks.markers import Markers
from ..blocks.removal import plain_text
from ..finding.bindings import build
from ..finding.project import Project
from ..finding.resolve import Names
from ..model import CallSite, ClassPlan, Decision, Options
from ..source.syntax import shown
from ..source.text import Source, parse
from ..tables.lookup import catalogue
from .block_states import why_no_python


@dataclass(frozen=True)
class ReadFile:
    """A file: its text, what the retrofit has in it already, and what it is without that.

    Attributes:
        in_package: it lies in a package, so that the runtime can lie beside it.
        project: the other files, as far as they are known.
        is_test_file: the user has named a file of tests, or a folder of them.
    """

    source: Source
    marks: Markers
    in_package: bool
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
            project = Project.of_one_file(plain, known)
        return build(tree, known, project)

    def call_site(
        self, node: ast.expr, scope: str, library: str, decision: Decision, reason: str
    ) -> CallSite:
        """Return what is to be told of a call site."""
        line = node.lineno  # `ast` counts columns in bytes, readers and editors in characters
        column = self.source.offset(line, node.col_offset) - self.source.line_start(line) + 1
        return CallSite(line, column, scope, shown(node), library, decision, reason)


@dataclass(frozen=True)
class Outcome:
    """What is to become of a file.

    Attributes:
        text: that it is to have.
        needs_runtime: it imports a runtime that is to lie beside it.
    """

    text: str
    classes: tuple[ClassPlan, ...]
    sites: tuple[CallSite, ...]
    needs_runtime: bool = False
