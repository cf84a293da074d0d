"""The hooks of `.pre-commit-hooks.yaml`, run by the real pre-commit in a repository of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / ".pre-commit-hooks.yaml"
CLIENT = """\
import requests


class Weather:
    def today(self, url):
        return requests.get(url)
"""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not MANIFEST.exists(), reason="this is not a checkout"),
]


def test_pre_commit_accepts_the_manifest():
    validate = [sys.executable, "-m", "pre_commit", "validate-manifest", str(MANIFEST)]
    subprocess.run(validate, check=True)


def test_the_hooks_call_the_installed_command():
    hooks = {hook["id"]: hook for hook in yaml.safe_load(MANIFEST.read_text())}
    assert hooks["add-queue-backoff"]["entry"] == "add-queue-backoff"
    assert hooks["add-queue-backoff-check"]["entry"] == "add-queue-backoff --check"
    assert all(hook["require_serial"] for hook in hooks.values())


def git(*arguments: str, cwd: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


def test_both_hooks_do_what_they_say(tmp_path):
    """One installation by pre-commit itself serves both."""
    source = tmp_path / "tool"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    for name in ("pyproject.toml", ".pre-commit-hooks.yaml", "codemods", "templates"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    git("add", "--all", cwd=source)
    git("commit", "--quiet", "--allow-empty", "-m", "As it is in the working tree", cwd=source)
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    client = work / "src" / "weather.py"
    client.write_text(CLIENT)
    (work / "setup.py").write_text("import requests\n\nrequests.get('u')\n")
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True
    )
    (work / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {source}\n  rev: {revision.stdout.strip()}\n  hooks:\n"
        "  - id: add-queue-backoff-check\n    files: ^src/\n  - id: add-queue-backoff\n    files: ^src/\n"
    )
    git("init", "--quiet", cwd=work)
    git("add", "--all", cwd=work)

    def hook(*names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", *names, "--all-files"],
            cwd=work,
            env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache"), "PIP_NO_COMPILE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = hook("add-queue-backoff-check")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 file would change, 1 would be added: 1 call wrapped, none skipped." in done.stdout
    assert client.read_text() == CLIENT
    done = hook("add-queue-backoff")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "files were modified by this hook" in done.stdout
    assert "self._queued(requests.get)(url)" in client.read_text()
    git("add", "--all", cwd=work)
    done = hook()  # both
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Passed") == 2
