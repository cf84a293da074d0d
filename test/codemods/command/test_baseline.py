"""What a project has accepted as skipped: only what is new is told of, and fails; and the counts by reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..command_line import command_as_text as run

CLIENT = """\
import requests


class Weather:
    def today(self, url):
        return requests.get(url)

    @staticmethod
    def ping(url):
        return requests.head(url)


def ping(url):
    return requests.head(url)


def pong(url):
    return requests.head(url)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").write_text("")
    (tmp_path / "src" / "client.py").write_text(CLIENT)
    (tmp_path / "src" / "broken.py").write_text("import requests\ndef (\n")
    run("src", "-q", cwd=tmp_path)
    return tmp_path


def test_C11_a_baseline_accepts_what_is_skipped_and_left_alone(project):
    assert run("src", "--check", cwd=project).returncode == 3
    done = run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    assert done.returncode == 0
    done = run("src", "--check", "--baseline", "accepted.json", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == "3 files, nothing to change: 1 call wrapped, 3 skipped (3 accepted), 1 file left alone.\n"
    )


def test_C11_what_is_new_is_told_of_and_fails(project):
    run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    client = project / "src" / "client.py"
    client.write_text(client.read_text() + "\n\ndef fresh(url):\n    return requests.head(url)\n")
    done = run("src", "--check", "--baseline", "accepted.json", cwd=project)
    assert done.returncode == 3
    assert [line for line in done.stdout.splitlines() if " skipped " in line and "requests.head" in line] == [
        next(line for line in done.stdout.splitlines() if "fresh" in line)
    ]


def test_C11_a_skip_is_known_again_when_its_line_has_moved(project):
    run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    client = project / "src" / "client.py"
    client.write_text("# One line more.\n" + client.read_text())
    assert run("src", "--check", "--baseline", "accepted.json", cwd=project).returncode == 0


def test_C11_a_second_call_of_the_same_kind_is_new(project):
    run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    client = project / "src" / "client.py"
    client.write_text(
        client.read_text().replace("def pong(url):\n", "def pong(url):\n    requests.head(url)\n")
    )
    assert run("src", "--check", "--baseline", "accepted.json", cwd=project).returncode == 3


def test_C11_the_paths_count_from_the_folder_of_the_baseline(project):
    run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    assert run(".", "--check", "--baseline", "../accepted.json", cwd=project / "src").returncode == 0
    (project / "pyproject.toml").write_text('[tool.backend-retrofit]\nbaseline = "accepted.json"\n')
    assert run(".", "--check", cwd=project / "src").returncode == 0


def test_C11_what_is_accepted_is_marked_for_machines(project):
    run("src", "--check", "--baseline", "accepted.json", "--write-baseline", cwd=project)
    arguments = ("src", "--check", "--baseline", "accepted.json", "--format")
    facts = json.loads(run(*arguments, "json", cwd=project).stdout)
    sites = [site for file in facts["files"] for site in file["sites"]]
    assert [site["accepted"] for site in sites if site["decision"] == "skipped"] == [True] * 3
    assert not any(site["accepted"] for site in sites if site["decision"] == "wrapped")
    log = json.loads(run(*arguments, "sarif", cwd=project).stdout)
    suppressed = [result["ruleId"] for result in log["runs"][0]["results"] if "suppressions" in result]
    assert sorted(suppressed) == ["left-alone", "skipped", "skipped", "skipped"]
    assert "::error" not in run(*arguments, "github", cwd=project).stdout


@pytest.mark.parametrize(
    "text", [None, "", "{}", '{"version": 9, "skips": []}', '{"version": 1, "skips": [{"file": 1}]}', "[1]"]
)
def test_C11_what_is_no_baseline_is_wrong_usage_before_anything_is_written(project, text):
    (project / "src" / "client.py").write_text(CLIENT)
    if text is not None:
        (project / "accepted.json").write_text(text)
    done = run("src", "--baseline", "accepted.json", cwd=project)
    assert done.returncode == 2
    assert "--baseline accepted.json" in done.stderr
    assert (project / "src" / "client.py").read_text() == CLIENT


def test_C11_a_baseline_is_written_only_where_the_command_line_says_so(project):
    assert run("src", "--write-baseline", cwd=project).returncode == 2
    (project / "pyproject.toml").write_text("[tool.backend-retrofit]\nwrite-baseline = true\n")
    assert run("src", "--check", cwd=project).returncode == 2
    (project / "pyproject.toml").write_text('[tool.backend-retrofit]\nbaseline = "../elsewhere.json"\n')
    assert run("src", "--check", "--write-baseline", cwd=project).returncode == 2
    assert not (project.parent / "elsewhere.json").exists()


# Counts.


def test_C11_statistics_count_by_reason(project):
    out = run("src", "--check", "--statistics", cwd=project).stdout
    told = out.partition("1 file left alone.\n")[2].splitlines()
    no_self = "there is no ... or ... to hold the queue"
    assert told[0] == f"     2 skipped: module function: {no_self}"
    assert f"     1 skipped: static method: {no_self}" in told
    assert "     1 wrapped" in told
    assert any(line.startswith("     1 left alone: it does not parse") for line in told)
    assert any(line.startswith("     1 block skipped: env_key: the class keeps no API key") for line in told)
    assert len(told) == 5


def test_C11_reasons_that_differ_only_in_a_name_or_a_line_are_counted_together(tmp_path):
    method = "    def m{0}(self):\n        for attempt in range(3):\n            try:\n                return requests.get('x')\n            except OSError:\n                pass\n\n"
    (tmp_path / "c.py").write_text(
        "import requests\n\n\nclass Shop:\n" + "".join(method.format(i) for i in range(3))
    )
    facts = json.loads(run("c.py", "--check", "--format", "json", cwd=tmp_path).stdout)
    counts = {entry["what"]: (entry["count"], entry["reason"]) for entry in facts["statistics"]}
    assert counts["queued only"][0] == 3
    assert "the loop in line N" in counts["queued only"][1]


def test_python_m_runs_the_command_in_several_processes(tmp_path):
    for number in range(40):  # above a million bytes in all, from which on there are several
        (tmp_path / f"c{number}.py").write_text(CLIENT + f"# {'x' * 30_000}\n")
    command = [sys.executable, "-m", "backend_retrofit", ".", "--check", "--jobs", "2", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stderr
