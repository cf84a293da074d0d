"""The scripts that measure and soak the runtime run; what they measure is judged by whoever runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

if not (ROOT / "scripts").is_dir():
    pytest.skip("this is not a checkout", allow_module_level=True)
for library in ("backoff", "matplotlib", "stamina", "tenacity", "trustme"):
    pytest.importorskip(library, reason="the bench extra is not installed")


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def test_bench_runtime_measures_each_way_and_says_what_is_met(tmp_path):
    done = run(
        "bench_runtime", "--quick", "--only", "sync", "--only", "memory", "--json", tmp_path / "figures.json"
    )
    assert done.returncode == 0, done.stderr
    sync, memory = json.loads((tmp_path / "figures.json").read_text())
    assert {"ours", "hand-written", "semaphore + tenacity"} < set(sync["values"])
    assert all(value > 0 for value in sync["values"].values())
    assert memory["checks"][1] == {"name": "threads afterwards", "value": 0, "sense": "=", "target": 0}
    assert "÷ hand-written" in done.stdout


def test_soak_finds_nothing_on_the_runtime_as_it_is():
    done = run("soak", "--minutes", "0.015", "--callers", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was lost" in done.stdout
    assert "submit: answered" in done.stdout


def test_soak_finds_a_limit_that_is_not_kept():
    """With a runtime that admits one too many; else a soak that checks nothing would pass as well."""
    done = run("soak", "--minutes", "1", "--callers", "20", "--break-limit")  # it ends as soon as it is found
    assert done.returncode == 1, done.stdout + done.stderr
    assert "in flight" in done.stdout
