"""What is done with each file of a run, in this process or in several: it is summarised, and it is planned."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from ..blocks.removal import plain_bytes
from ..blocks.templates import RUNTIME_MODULE
from ..finding.follow import Follower, View
from ..finding.project import summary_of
from ..finding.project_names import Project
from ..finding.summary import Summary
from ..model import FUNCTIONS, FilePlan, Options, Problem
from ..tables.lookup import catalogue
from .project_files import module_path
from .read import plan_file
from .regular import read

Outcome = TypeVar("Outcome", covariant=True)


class Work(Protocol[Outcome]):
    """What is done with a file; it is sent to each process once."""

    def __call__(self, path: Path) -> Outcome:
        """Return what comes of a file."""
        ...

    def crashed(self, path: Path) -> Outcome:
        """Return what comes of a file that has crashed its process."""
        ...


def without_content(planned: FilePlan) -> FilePlan:
    """Return a plan without the file's content if nothing is to be shown of it, nor to be asked: it imports no runtime."""
    told = planned.changed or planned.classes or planned.sites or planned.problems
    if told or RUNTIME_MODULE.encode() in planned.before:
        return planned
    return replace(planned, before=b"", after=b"")


class Planning:
    """Plans files.

    Args:
        options: what the user asked for.
        view: the project that the files belong to.
    """

    def __init__(self, options: Options, view: View) -> None:
        self.options = options
        self.view = view

    @cached_property
    def _follower(self) -> Follower:
        options = self.options
        return Follower(self.view, catalogue(options.transports), FUNCTIONS in options.blocks)

    def __call__(self, path: Path) -> FilePlan:
        module = self.view.module_of(module_path(path))
        project = Project(self._follower, module) if module else None
        return without_content(plan_file(path, self.options, project=project))

    def crashed(self, path: Path) -> FilePlan:
        reason = "reading it crashed Python; please report this"
        return FilePlan(path, b"", b"", problems=(Problem(0, reason),))


class Summarising:
    """Summarises files for the view.

    Args:
        options: what the user asked for.
        modules: path -> module.
    """

    def __init__(self, options: Options, modules: dict[str, str]) -> None:
        self.options = options
        self.modules = modules

    def __call__(self, path: Path) -> Summary:
        module = self.modules[module_path(path)]
        try:
            data = plain_bytes(read(path))
        except OSError:
            data = b""
        try:
            return summary_of(data, module, catalogue(self.options.transports))
        except Exception:  # planning it will tell what is wrong; the other files do without its names
            return Summary(module)

    def crashed(self, path: Path) -> Summary:
        return Summary(self.modules[module_path(path)])
