"""Standard input in the place of a file, for editors: `add-queue-backoff - --stdin-filename src/client.py`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ..blocks.templates import RUNTIME_MODULE
from ..disk.exclusion import Exclusion
from ..disk.places import home_of
from ..disk.project_files import module_path, project_of
from ..finding.follow import Follower
from ..finding.project_names import Project
from ..model import FilePlan, Options, Problem
from ..planning.file import plan as plan_bytes
from ..tables.lookup import catalogue

MARK = Path("-")
_NAME = Path("<stdin>")


def plan(name: Path | None, options: Options, exclusion: Exclusion) -> FilePlan:
    """Plan what standard input holds.

    Only one file comes out, so the runtime goes into it, unless its module lies beside the named file already.

    Args:
        name: the file that it would be.
        exclusion: what is left alone.
    """
    data = sys.stdin.buffer.read()
    home = home_of(name or _NAME, data, options)
    beside = home.path is not None and home.path.exists()
    if name is not None and exclusion.excludes(name):
        return FilePlan(name, data, data)
    if options.runtime == "shared" and not beside:
        problem = Problem(
            0, f"--runtime shared needs {RUNTIME_MODULE}.py beside the file; run on the folder first"
        )
        return FilePlan(name or _NAME, data, data, problems=(problem,))
    return replace(
        plan_bytes(
            data, name or _NAME, options, replace(home.place, can_share=beside), _project(name, data, options)
        ),
        needs_runtime=False,
    )


def _project(name: Path | None, data: bytes, options: Options) -> Project | None:
    """Return the project that the named file lies in, with what standard input holds in its place."""
    if name is None or options.remove or name.suffix != ".py" or not name.parent.is_dir():
        return None
    view = project_of([name], options, {name: data})
    module = view.module_of(module_path(name))
    return Project(Follower(view, catalogue(options.transports)), module) if module else None


def write(planned: FilePlan) -> None:
    """Write the result to standard output; what is left alone comes out as it went in."""
    sys.stdout.flush()
    sys.stdout.buffer.write(planned.before if planned.problems else planned.after)
    sys.stdout.buffer.flush()
