"""What cannot be read or planned is named, and ends no run (C9)."""

from __future__ import annotations

import os

from backend_retrofit.codemods.disk import processes, read
from backend_retrofit.codemods.disk.regular import LARGEST
from backend_retrofit.codemods.model import Options

from ..planning.test_file import CLIENT
from .folders import plans, problems


def test_a_file_that_is_far_too_large_is_named(package):
    os.truncate(package / "client.py", LARGEST + 1)
    assert "larger than" in problems(plans(package))["client.py"]


def test_a_failure_of_ours_is_named_and_the_others_are_done(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(CLIENT)
    (tmp_path / "b.py").write_text(CLIENT)
    original = read.plan

    def plan(data, path, *arguments):
        if path.name == "a.py":
            raise KeyError("oops")
        return original(data, path, *arguments)

    monkeypatch.setattr(read, "plan", plan)
    planned = processes.plan_files([tmp_path / "a.py", tmp_path / "b.py"], Options())
    assert "KeyError" in planned[0].problems[0].reason
    assert planned[1].changed
