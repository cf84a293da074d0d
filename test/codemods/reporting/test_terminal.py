"""One run, told in every way: the facts are the same, and no key of the user's code is among them (C6)."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from backend_retrofit.codemods.command.main import main
from backend_retrofit.codemods.disk.read import plan_file
from backend_retrofit.codemods.disk.runtime_files import runtime_plans
from backend_retrofit.codemods.model import FilePlan, Options, Problem, Run
from backend_retrofit.codemods.planning.file import plan
from backend_retrofit.codemods.reporting import annotations, patch, terminal
from backend_retrofit.codemods.reporting.facts import Facts, facts_of
from backend_retrofit.codemods.reporting.sarif import sarif_log

CANARY = "C4n4ryC4n4ryC4n4ryC4n4ryC4n4ryC4n4ry"
SOURCE = f"""\
import requests


class Weather:
    def today(self, url):
        return requests.get(url, headers={{"Authorization": "Bearer sk-{CANARY}"}})

    def send(self, url):
        for attempt in range(3):
            try:
                return requests.post(url)
            except OSError:
                pass

    def odd(self):
        return self.make("sk-{CANARY}").client.post("x")


def ping(url):
    return requests.head(url)
"""


@pytest.fixture
def found() -> Run:
    broken = FilePlan(Path("a, b:c%.py"), b"x", b"x", problems=(Problem(3, "100% odd:\nno"),))
    return Run([plan(SOURCE.encode(), Path("client.py"), Options()), broken], [f"note sk-{CANARY}"])


def told(run: Run, **options: Any) -> Facts:
    return facts_of(run, **{"written": False, **options})


def text_of(run: Run, level: int, **environment: str) -> str:
    console = terminal.Terminal()
    console.file = io.StringIO()
    terminal.print_files(console, told(run), level)
    terminal.print_problems(console, told(run))
    terminal.print_summary(console, told(run))
    return console.file.getvalue()


# JSON.


def test_the_facts_are_plain_data(found):
    assert json.loads(json.dumps(told(found))) == told(found)


def test_json_has_the_runtime_apart_from_what_somebody_wrote(package, capsys):
    data = json.loads(told_of(capsys, "--check", "--format", "json"))
    assert [Path(file["path"]).name for file in data["files"]] == ["__init__.py", "a.py"]
    assert [Path(file["path"]).name for file in data["runtime_files"]] == ["_request_engine.py"]


def test_the_numbers_are_those_of_the_lists(found):
    data = told(found)
    sites = [site for file in data["files"] for site in file["sites"]]
    numbers = data["summary"]
    assert numbers["files"] == 2
    assert numbers["changed"] == 1
    assert numbers["left_alone"] == 1
    for decision, key in (("wrapped", "wrapped"), ("queued only", "queued_only"), ("skipped", "skipped")):
        assert numbers[key] == sum(site["decision"] == decision for site in sites)
    assert {site["decision"] for site in sites} == {"wrapped", "queued only", "skipped"}


def test_lines_are_those_of_the_file_on_disk(found):
    for written, text in ((False, found.plans[0].before), (True, found.plans[0].after)):
        lines = text.decode().splitlines()
        for site in told(found, written=written)["files"][0]["sites"]:
            assert site["callee"].split("(")[0] in lines[site["line"] - 1]


def test_columns_are_counted_in_characters():
    source = (
        "import requests\n\n\nclass A:\n    def f(self, u):\n        x = 'äöü€'; return requests.get(u)\n"
    )
    (site,) = plan(source.encode(), Path("a.py"), Options()).sites
    line = source.splitlines()[site.line - 1]
    assert line[site.column - 1 :].startswith("requests.get")


def test_the_state_of_a_file_says_whether_it_was_written(found):
    assert [file["state"] for file in told(found)["files"]] == ["would change", "left alone"]
    assert [file["state"] for file in told(found, written=True)["files"]] == ["changed", "left alone"]


CLEAN = "import requests\n\n\nclass A:\n    def f(self, u):\n        return requests.get(u)\n"


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package with one client; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "a.py").write_text(CLEAN)
    return tmp_path / "pkg"


def told_of(capsys, *arguments: str) -> str:
    main([*arguments, "pkg"])
    return capsys.readouterr().out


def test_the_runtime_is_added_and_removed_rather_than_changed(package, capsys):
    def states_of(*arguments: str) -> tuple[dict[str, str], dict[str, int]]:
        data = json.loads(told_of(capsys, "--format", "json", *arguments))
        files = [*data["files"], *data["runtime_files"]]
        return {Path(file["path"]).stem: file["state"] for file in files}, data["summary"]

    states, numbers = states_of("--check")
    assert states == {"__init__": "unchanged", "_request_engine": "would be added", "a": "would change"}
    assert (numbers["changed"], numbers["added"], numbers["removed"]) == (1, 1, 0)
    assert told_of(capsys, "--check").endswith(
        "1 of 2 files would change, 1 would be added: 1 call wrapped, none skipped.\n"
    )
    assert "::warning file=pkg/_request_engine.py,title=file would be added::" in told_of(
        capsys, "--check", "--format", "github"
    )
    states, _ = states_of()
    assert (states["_request_engine"], states["a"]) == ("added", "changed")
    (package / "_request_engine.py").unlink()
    out = told_of(capsys, "--check")
    assert "pkg/_request_engine.py  would be added" in out
    assert out.endswith("1 file would be added: 1 call wrapped, none skipped.\n")
    told_of(capsys)
    states, numbers = states_of("--remove", "--check")
    assert (states["_request_engine"], states["a"]) == ("would be removed", "would change")
    assert (numbers["changed"], numbers["added"], numbers["removed"]) == (1, 0, 1)
    out = told_of(capsys, "--remove", "--report", "page.html")
    assert "1 of 3 files changed, 1 removed: 1 call unwrapped.\n" in out
    page = Path("page.html").read_text(encoding="utf-8")
    assert '<span class="state removed">removed</span>' in page
    assert "<dt>removed</dt><dd>1</dd>" in page
    assert '<span class="badge unwrapped">unwrapped</span>' in page


def test_removal_lists_the_calls_that_it_unwraps(package, capsys):
    told_of(capsys)
    written = (package / "a.py").read_text()
    line = written[: written.index("self._queued(")].count("\n") + 1
    data = json.loads(told_of(capsys, "--remove", "--check", "--format", "json"))
    (site,) = [site for file in data["files"] for site in file["sites"]]
    assert (site["line"], site["callee"], site["scope"], site["library"]) == (
        line,
        "requests.get",
        "A.f",
        "requests",
    )
    assert site["decision"] == "unwrapped"
    assert site["changed"]
    assert data["summary"]["unwrapped"] == 1
    assert written[: written.index("requests.get")].rpartition("\n")[2] == "        return self._queued("
    assert site["column"] == len("        return self._queued(") + 1
    assert "::warning" in told_of(capsys, "--remove", "--check", "--format", "github")
    assert "A.f is to be unwrapped" in told_of(capsys, "--remove", "--check", "--format", "github")
    results = json.loads(told_of(capsys, "--remove", "--check", "--format", "sarif"))["runs"][0]["results"]
    assert [r["level"] for r in results if r["ruleId"] == "unwrapped"] == ["warning"]
    assert re.search(r"\d+ unwrapped +requests.get in A.f\n", told_of(capsys, "--remove"))
    assert (package / "a.py").read_text() == CLEAN


@pytest.mark.parametrize("level", [terminal.QUIET, terminal.NORMAL, terminal.VERBOSE, terminal.EXPLAIN])
def test_no_key_is_told_in_any_way(found, level):
    data = told(found)
    for text in (
        json.dumps(data),
        json.dumps(sarif_log(data, 3)),
        "\n".join(annotations.commands(data)),
        text_of(found, level),
    ):
        assert CANARY not in text
    assert CANARY in found.plans[0].sites[2].callee + SOURCE


# Text.


def test_each_call_is_told_on_one_line_where_there_is_no_terminal(found):
    lines = text_of(found, terminal.NORMAL).splitlines()
    assert "client.py  would change" in lines
    assert any(re.match(r" +6 wrapped +requests.get in Weather.today$", line) for line in lines)
    assert any(
        re.match(r" +11 queued only requests.post in Weather.send: already retried", line) for line in lines
    )
    assert "error: a, b:c%.py:3: 100% odd:" in lines
    assert not any("\x1b" in line for line in lines)


def test_unchanged_files_are_told_only_if_asked_for(tmp_path):
    (tmp_path / "c.py").write_text(
        "import requests\n\n\nclass A:\n    def f(self):\n        return requests.get('u')\n"
    )
    done = plan_file(tmp_path / "c.py", Options(runtime="inline"))
    (tmp_path / "c.py").write_bytes(done.after)
    run = Run([plan_file(tmp_path / "c.py", Options(runtime="inline"))])
    assert text_of(run, terminal.NORMAL) == "1 file, nothing to change: 1 call wrapped, none skipped.\n"
    assert "unchanged" in text_of(run, terminal.VERBOSE)


def console_with(monkeypatch: pytest.MonkeyPatch, **environment: str) -> terminal.Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    console = terminal.Terminal()
    console.file = io.StringIO()
    return console


def test_a_terminal_gets_colours_and_lines_that_fit(found, monkeypatch):
    console = console_with(monkeypatch, FORCE_COLOR="1", COLUMNS="60")
    terminal.print_files(console, told(found), terminal.NORMAL)
    text = console.file.getvalue()
    assert "\x1b[32mwrapped" in text
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 60


def test_no_color_means_no_escape_at_all(found, monkeypatch):
    console = console_with(monkeypatch, FORCE_COLOR="1", NO_COLOR="1", COLUMNS="60")
    terminal.print_files(console, told(found), terminal.NORMAL)
    patch.print_diff(console, found.plans)
    assert "\x1b" not in console.file.getvalue()


def test_a_terminal_gets_the_diff_in_colour_with_what_changes_within_a_line(found, monkeypatch):
    console = console_with(monkeypatch, FORCE_COLOR="1", COLUMNS="60")
    patch.print_diff(console, found.plans)
    text = console.file.getvalue()
    assert "\x1b[1;4;32mself._queued(\x1b[0m" in text
    assert "\x1b[36m@@ " in text


@pytest.mark.parametrize("runtime", ["shared", "inline"])
def test_a_terminal_is_spared_the_lines_of_the_runtime(tmp_path, monkeypatch, runtime):
    (tmp_path / "client.py").write_text(SOURCE)
    options = Options(runtime=runtime)
    plans = [plan_file(tmp_path / "client.py", options)]
    plans += runtime_plans(plans, options)
    console = console_with(monkeypatch, FORCE_COLOR="1")
    patch.print_diff(console, plans)
    text = console.file.getvalue()
    assert len(text.splitlines()) < 150
    assert re.search(r"\d{4} lines of the runtime; a file or a pipe gets them all", text)
    assert "self._queued(" in text


def test_escapes_in_the_code_do_not_reach_the_terminal(monkeypatch):
    console = console_with(monkeypatch, FORCE_COLOR="1")
    patch.print_diff(
        console, [FilePlan(Path("x.py"), b"a = '\x1b]0;owned\x07'\n", b"b = '\x1b]0;owned\x07'\n")]
    )
    assert "\x1b]0" not in console.file.getvalue()
    assert "\x07" not in console.file.getvalue()


# Workflow commands.


def test_annotations_name_file_line_and_decision_and_escape_what_must_be(found):
    lines = annotations.commands(told(found))
    assert lines[0] == "::error file=a%2C b%3Ac%25.py,line=3,title=left alone::100%25 odd:%0Ano"
    assert (
        "::warning file=client.py,line=6,col=16,title=wrapped::requests.get in Weather.today is to be wrapped"
        in lines
    )
    assert any(
        re.match(r"::notice file=client.py,line=\d+,col=12,title=skipped::requests.head in ping", line)
        for line in lines
    )
    kinds = [line[2:].split()[0] for line in lines]
    assert kinds == sorted(kinds, key=["error", "warning", "notice"].index)


def test_a_run_that_wrote_warns_of_nothing(found):
    assert not any(line.startswith("::warning") for line in annotations.commands(told(found, written=True)))


# SARIF.


def test_the_log_has_every_call_and_every_problem(found):
    data = told(found)
    (run,) = sarif_log(data, 3)["runs"]
    sites = [site for file in data["files"] for site in file["sites"]]
    of_sites = [
        result for result in run["results"] if result["ruleId"] in ("wrapped", "queued-only", "skipped")
    ]
    places = [result["locations"][0]["physicalLocation"]["region"] for result in of_sites]
    assert places == [{"startLine": site["line"], "startColumn": site["column"]} for site in sites]
    (problem,) = [result for result in run["results"] if result["ruleId"] == "left-alone"]
    assert problem["level"] == "error"
    assert problem["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%2C%20b%3Ac%25.py"
    assert run["invocations"][0]["executionSuccessful"] is False


def test_rules_levels_and_kinds_belong_together(found):
    (run,) = sarif_log(told(found), 3)["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")


def test_fingerprints_do_not_depend_on_the_lines_above(found):
    below = Run([plan(("# a comment\n" + SOURCE).encode(), Path("client.py"), Options()), found.plans[1]])

    def fingerprints(run: Run) -> list[str]:
        return [
            r["partialFingerprints"]["retrofit/v1"] for r in sarif_log(told(run), 3)["runs"][0]["results"]
        ]

    shifted, as_it_was = fingerprints(below), fingerprints(found)
    assert len(set(as_it_was)) == len(as_it_was)
    same = [a == b for a, b in zip(shifted, as_it_was, strict=True)]
    assert same.count(False) <= 1  # the reason of one call names the line of its loop


def test_the_log_is_valid(found):
    """Against the model of sarif-pydantic, which was made from the standard's schema."""
    model = pytest.importorskip("sarif_pydantic")
    for written in (False, True):
        log = sarif_log(told(found, written=written), 3)
        back = model.Sarif.model_validate(log)
        assert len(back.runs[0].results or []) == len(log["runs"][0]["results"])


# The whole command.


def test_a_diff_shows_the_users_own_files_before_the_runtime(tmp_path, capfdbinary):
    for name in ("__init__.py", "zoo.py"):
        (tmp_path / name).write_text(
            "import requests\n\n\nclass A:\n    def f(self):\n        return requests.get('u')\n"
            if name == "zoo.py"
            else ""
        )
    assert main([str(tmp_path), "--diff"]) == 1
    names = re.findall(rb"^diff --git \S+?([^/\s]+\.py) ", capfdbinary.readouterr().out, re.MULTILINE)
    assert names == [b"zoo.py", b"_request_engine.py"]
