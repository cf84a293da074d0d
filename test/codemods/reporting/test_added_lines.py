"""The summary says how many lines a run adds, and where: in the files, in the runtime's, or nowhere (C4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_retrofit.codemods.command.main import main

from ..planning.test_file import CLIENT


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "shop"
    (folder / "http").mkdir(parents=True)
    for name in ("__init__.py", "http/__init__.py"):
        (folder / name).touch()
    for name in ("orders.py", "http/prices.py"):
        (folder / name).write_text(CLIENT)
    monkeypatch.chdir(tmp_path)
    return Path("shop")


def lines_of(folder: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in folder.rglob("*.py"))


def summary(capsys, *arguments: str) -> str:
    assert main(list(arguments)) in (0, 1)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if " line" in line and " files" in line)
    return line


def in_runtime(package: Path) -> int:
    return len((package / "_request_engine.py").read_bytes().splitlines())


def test_C4_lines_of_the_files_and_of_the_runtime_are_told_apart(package, capsys):
    before = lines_of(package)
    said = summary(capsys, "shop")
    runtime = in_runtime(package)
    added = lines_of(package) - before - runtime
    assert said == (
        f"{added} lines added to 2 files; {runtime:,} lines added to shop/_request_engine.py "
        "(the runtime; `--runtime package` adds none)."
    )


def test_C4_with_the_package_nothing_else_is_added(package, capsys):
    before = lines_of(package)
    said = summary(capsys, "shop", "--runtime", "package")
    assert said == (
        f"{lines_of(package) - before} lines added to 2 files; "
        "nothing for the runtime, which is the package backend_retrofit_runtime."
    )


def test_C4_inline_says_how_much_of_it_is_the_runtime(package, capsys):
    before = lines_of(package)
    said = summary(capsys, "shop", "--runtime", "inline")
    added = lines_of(package) - before
    head, _, tail = said.partition("; ")
    assert head == f"{added:,} lines added to 2 files"
    assert tail.endswith(" of them are the runtime.")
    assert added - 100 < int(tail.split()[0].replace(",", "")) < added


def test_C4_a_dry_run_says_what_would_be_added(package, capsys):
    said = summary(capsys, "shop", "--check")
    assert " would be added to 2 files; " in said
    assert " would be added to shop/_request_engine.py (the runtime; " in said


def test_C4_what_is_taken_out_is_the_same_number(package, capsys):
    added = summary(capsys, "shop")
    removed = summary(capsys, "shop", "--remove")
    assert removed == added.replace("added to", "removed from").replace("; `--runtime package` adds none", "")


def test_C4_where_the_runtime_is_there_already_it_is_not_counted_again(package, capsys):
    main(["shop", "--quiet"])
    (package / "bills.py").write_text(CLIENT)
    assert main(["shop"]) == 0
    said = capsys.readouterr().out
    assert " lines added to 1 file.\n" in said


def test_C4_where_nothing_changes_nothing_is_said_of_lines(package, capsys):
    main(["shop", "--quiet"])
    assert main(["shop"]) == 0
    assert " added to " not in capsys.readouterr().out


def test_C4_only_some_of_many_runtimes_are_named(package, capsys):
    for number in range(5):
        Path(f"script{number}").mkdir()
        Path(f"script{number}", "ask.py").write_text(CLIENT)
    said = summary(capsys, ".")
    assert said.count("_request_engine.py") == 3
    assert said.endswith(" and 3 more (the runtime; `--runtime package` adds none).")


def test_C4_json_has_the_numbers(package, capsys):
    before = lines_of(package)
    assert main(["shop", "--format", "json"]) == 0
    runtime = in_runtime(package)
    assert json.loads(capsys.readouterr().out)["lines"] == {
        "files": 2,
        "in_files": lines_of(package) - before - runtime,
        "inline": 0,
        "runtime": [{"path": "shop/_request_engine.py", "added": runtime, "new": True}],
        "package": False,
    }


def test_C4_the_review_page_says_it_below_its_headline(package, capsys, tmp_path):
    said = summary(capsys, "shop", "--report", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = said.replace("`--runtime package`", "<code>--runtime package</code>")
    assert f'<p class="added">{shown}</p>' in page
