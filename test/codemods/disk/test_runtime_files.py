"""The runtime beside the files that need it: it comes, stays and goes with them (C4)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..planning.test_file import CLIENT
from .folders import RUNTIME, content, problems, write


def test_a_package_gets_the_runtime_and_loses_it_again(package):
    before = content(package)
    write(package)
    assert set(content(package)) == {*before, RUNTIME}
    subprocess.run([sys.executable, "-c", "import pkg.client"], cwd=package.parent, check=True, timeout=60)
    write(package, remove=True)
    assert content(package) == before


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("class QueueError(RuntimeError)", "class QueueError(OSError)", "edited by hand"),
        ("retrofit:runtime v2", "retrofit:runtime v9", "made by a newer version"),
    ],
)
def test_a_runtime_that_nothing_needs_and_that_is_not_as_it_was_made_is_named(package, old, new, why):
    write(package)
    runtime = package / RUNTIME
    runtime.write_text(runtime.read_text().replace(old, new))
    outcome = write(package, remove=True)
    assert why in problems(outcome)[RUNTIME]
    assert "--overwrite-edited" in problems(outcome)[RUNTIME]
    assert runtime.exists()
    assert (package / "client.py").read_text() == CLIENT
    write(package, remove=True, overwrite_edited=True)
    assert not runtime.exists()


def test_a_module_of_the_users_with_the_runtimes_name_is_no_concern_of_a_removal(package):
    (package / RUNTIME).write_text("x = 1\n")
    outcome = write(package, remove=True)
    assert not problems(outcome)
    assert (package / RUNTIME).read_text() == "x = 1\n"


def test_a_runtime_that_is_not_ours_keeps_the_files_from_being_changed(package):
    (package / RUNTIME).write_text("x = 1\n")
    outcome = write(package)
    assert "not ours" in problems(outcome)[RUNTIME]
    assert (package / "client.py").read_text() == CLIENT


def test_the_runtime_stays_as_long_as_a_file_needs_it(package):
    (package / "other.py").write_text(CLIENT)
    write(package)
    (package / "other.py").chmod(0o444)
    outcome = write(package, remove=True)
    assert problems(outcome) == {"other.py": "it is read-only"}
    assert (package / "client.py").read_text() == CLIENT
    assert (package / RUNTIME).exists()
    (package / "other.py").chmod(0o644)
    write(package / "other.py", remove=True)
    assert not (package / RUNTIME).exists()
