"""What the tests of files on disk share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backend_retrofit.codemods.blocks import templates
from backend_retrofit.codemods.disk import find, processes
from backend_retrofit.codemods.disk.runtime_files import runtime_plans
from backend_retrofit.codemods.disk.write import write_all
from backend_retrofit.codemods.model import FilePlan, Options, Run

ROOT = Path(__file__).resolve().parents[3]


RUNTIME = f"{templates.RUNTIME_MODULE}.py"


def run(
    *arguments: object, cwd: Path | None = None, check: int | None = 0, **options
) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "backend_retrofit.codemods.command.entry", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False, **options
    )
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


def plans(*paths: Path, **options) -> list[FilePlan]:
    """Plan what is at and below the paths, with the runtime."""
    chosen = Options(**options)
    found = processes.plan_files(list(find.python_files(paths, Run())), chosen)
    return found + runtime_plans(found, chosen)


def write(*paths: Path, **options) -> list[FilePlan]:
    """Plan and write; return the outcome."""
    planned = plans(*paths, **options)
    write_all(planned)
    return planned


def problems(planned: list[FilePlan]) -> dict[str, str]:
    """Return why files were left alone."""
    return {plan.path.name: plan.problems[0].reason for plan in planned if plan.problems}


def content(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder that is not Python's own."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
