"""The laws that let the modules of the runtime be read one by one, and be put together into one file."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_retrofit.codemods.blocks.runtime_file import INSTALLED_ONLY, MODULES, RUNTIME

ROOT = Path(__file__).resolve().parents[2]
LONGEST = {"gate": 400}
"""Lines that a module may have, where it is not 300."""
WRITTEN = sorted(
    name
    for path in RUNTIME.rglob("*.py")
    if not (name := path.relative_to(RUNTIME).with_suffix("").as_posix()).startswith("build/")
)
"""Every module of the folder, with those that only the installed runtime has."""


def tree_of(name: str) -> ast.Module:
    return ast.parse((RUNTIME / f"{name}.py").read_text())


def names_of(tree: ast.Module) -> Iterator[str]:
    """Yield what a module binds at its top, apart from what it imports."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from (
                    part.id
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                )


def graph(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "import_graph", folder],
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_two_modules_have_a_name_in_common():
    counts = Counter(name for module in MODULES for name in set(names_of(tree_of(module))))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_name_is_that_of_a_module():
    modules = {module.rpartition("/")[2] for module in MODULES}
    names = {name for module in MODULES for name in names_of(tree_of(module))}
    assert names & modules == set()


def test_no_import_runs_back():
    done = graph(RUNTIME)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "line", "fault"),
    [
        ("slots", "from .engine import RequestEngine\n", "slots: an arrow back, to engine"),
        ("slots", "from . import errors\n", "slots: no module "),
        ("slots", "from .errors import QueueClosed as Closed\n", "not `from .module import name`"),
        ("slots", "def late():\n    from .errors import QueueClosed\n", "not at the top"),
        ("vendors/grpc", "from .aiohttp import VENDORS\n", "too many dots, or too few"),
        ("news", "", "news: not in MODULES"),
    ],
)
def test_the_graph_tells_of_an_import_that_is_against_the_laws(tmp_path, module, line, fault):
    folder = shutil.copytree(RUNTIME, tmp_path / "runtime")
    with (folder / f"{module}.py").open("a") as file:
        file.write(line)
    done = graph(folder)
    assert done.returncode == 1
    assert fault in done.stderr


@pytest.mark.parametrize("module", WRITTEN)
def test_a_module_can_be_read_in_a_sitting(module):
    assert len((RUNTIME / f"{module}.py").read_text().splitlines()) <= LONGEST.get(module, 300)


@pytest.mark.parametrize("module", WRITTEN)
def test_a_module_says_what_lives_in_it(module):
    assert ast.get_docstring(tree_of(module))


@pytest.mark.parametrize("module", MODULES)
def test_what_another_module_imports_has_no_underscore(module):
    """A leading underscore says that a name is used in its own module alone."""
    for node in tree_of(module).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            assert not any(alias.name.startswith("_") for alias in node.names), node.lineno


def test_every_module_of_the_folder_is_put_into_the_file():
    apart = {name for name in WRITTEN if name.partition("/")[0] in INSTALLED_ONLY}
    assert set(WRITTEN) - apart - {"vendors/__init__"} == set(MODULES)


def test_each_library_has_one_row():
    from backend_retrofit_runtime.vendor import VENDORS

    rows = [vendor.name for vendor in VENDORS]
    assert len(rows) == len(set(rows)) == len(list((RUNTIME / "vendors").glob("[!_]*.py")))
    for vendor in VENDORS:
        hooks = [value for value in vendor._replace(name="", owned=()) if value]
        assert hooks, f"{vendor.name} says nothing"
        assert all(map(inspect.isfunction, hooks))
