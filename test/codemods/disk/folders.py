"""What the tests of files on disk share."""

from __future__ import annotations

import functools
import importlib.util
import py_compile
import subprocess
import sys
import tempfile
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


def compile_runtime(folder: Path) -> None:
    """Compile the runtime of a package for the imports of a test; the same file is compiled once, as that takes a while."""
    path = folder / RUNTIME
    compiled = Path(importlib.util.cache_from_source(str(path)))
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(_compiled(path.read_bytes()))


@functools.lru_cache(maxsize=4)
def _compiled(source: bytes) -> bytes:
    """Return what Python takes for this source, wherever it lies and however old it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, RUNTIME)
        path.write_bytes(source)
        done = py_compile.compile(
            str(path), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
        return Path(done).read_bytes()


def problems(planned: list[FilePlan]) -> dict[str, str]:
    """Return why files were left alone."""
    return {plan.path.name: plan.problems[0].reason for plan in planned if plan.problems}


def content(folder: Path) -> dict[str, bytes]:
    """Return everything in a folder that is not Python's own."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
