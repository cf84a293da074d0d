"""C4: linters, formatters with fixes, and coverage leave the runtime's file alone; type checkers, too: `test_types.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backend_retrofit.codemods.command.main import main

from .codemods.disk.folders import RUNTIME, write

TYPED = '''\
"""A client."""

import requests


class Client:
    """A client."""

    def get(self, url: str) -> int:
        """Return the status."""
        return requests.get(url, timeout=5).status_code
'''
VERSIONS = ("py310", "py311", "py312", "py313", "py314")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "client.py").write_text(TYPED)
    write(package)
    return package / RUNTIME


def tool(runtime: Path, *command: str) -> str:
    """Run a tool over the package, as its users do; return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=runtime.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert "No module named" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def test_the_file_says_what_it_is(runtime):
    head = runtime.read_text().partition('"""')[0]
    for part in ("@generated", "backend-retrofit 0.", "MIT", "docs/runtime.md", "Do not edit", "retrofit:runtime v2"):  # fmt: skip
        assert part in head


@pytest.mark.parametrize("target", VERSIONS)
def test_ruff_with_all_rules_finds_and_fixes_nothing(runtime, target):
    before = runtime.read_bytes()
    arguments = ("--isolated", "--no-cache", "--target-version", target)
    said = tool(
        runtime,
        "ruff",
        "check",
        *arguments,
        "--select=ALL",
        "--fix",
        "--unsafe-fixes",
        "--quiet",
        str(runtime),
    )
    assert RUNTIME not in said
    tool(runtime, "ruff", "format", *arguments, "pkg")
    assert runtime.read_bytes() == before
    assert main([str(runtime.parent), "--check", "-q"]) == 0


@pytest.mark.parametrize("command", [("black", "-q", "pkg"), ("isort", "-q", "pkg")])
def test_formatters_leave_it_as_it_is(runtime, command):
    before = runtime.read_bytes()
    tool(runtime, *command)
    assert runtime.read_bytes() == before
    assert main([str(runtime.parent), "--check", "-q"]) == 0


@pytest.mark.parametrize(
    "target", VERSIONS[-2:]
)  # for a later version it does all that it does for an earlier one
def test_what_pyupgrade_does_is_no_edit(runtime, target):
    before = runtime.read_bytes()
    tool(runtime, "pyupgrade", f"--{target}-plus", str(runtime))
    if target != "py314":  # which takes the quotes off annotations
        assert runtime.read_bytes() == before
    assert main([str(runtime.parent), "--check", "-q"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ("flake8", "pkg/_request_engine.py"),
        ("pylint", "--score=n", "pkg/_request_engine.py"),
    ],
)
def test_checkers_have_nothing_to_say_of_it(runtime, command):
    assert RUNTIME not in tool(runtime, *command)


def test_coverage_counts_all_of_it_as_run(runtime):
    top = runtime.parent.parent
    (top / "use.py").write_text("import pkg.client\n")
    tool(runtime, "coverage", "run", "--include=pkg/*", "use.py")
    tool(runtime, "coverage", "json", "-q", "-o", "coverage.json")
    files = json.loads((top / "coverage.json").read_text())["files"]
    (counted,) = [data for name, data in files.items() if name.endswith(RUNTIME)]
    assert counted["missing_lines"] == []
