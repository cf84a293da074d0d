"""The codemod as LibCST's own runner runs it: the same transformers, on the tree that has been read."""

import subprocess
import sys
from pathlib import Path

import libcst as cst
import pytest
from libcst.codemod import CodemodContext

from backend_retrofit.codemods.add_queue_backoff import AddQueueBackoffCommand

from .check import planned
from .planning.test_file import CLIENT

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = sorted((ROOT / "backends" / "plain").glob("*.py"))


def run(module: cst.Module, filename: str, **options) -> cst.Module:
    """Run the command on a module, as LibCST's runner does."""
    return AddQueueBackoffCommand(CodemodContext(filename=filename), **options).transform_module(module)


@pytest.mark.parametrize("path", BACKENDS, ids=lambda path: path.stem)
def test_it_makes_the_same_bytes_as_the_command(path):
    data = path.read_bytes()
    changed = run(cst.parse_module(data), "client.py", runtime="shared")
    assert changed.bytes == planned(data, in_package=False, runtime="shared").after
    assert run(changed, "client.py", remove=True).bytes == data


def test_a_module_with_nothing_to_do_stays_as_it_is():
    assert run(cst.parse_module("x = 1\n"), "client.py").code == "x = 1\n"


def test_libcsts_runner_runs_it(tmp_path):
    (tmp_path / "client.py").write_text(CLIENT)
    command = "backend_retrofit.codemods.add_queue_backoff.AddQueueBackoffCommand"
    arguments = [
        "-m",
        "libcst.tool",
        "codemod",
        "-x",
        command,
        "--no-format",
        "--runtime",
        "shared",
        "client.py",
    ]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "self._queued(" in (tmp_path / "client.py").read_text()
