"""What is left alone: what `--exclude` or the project's configuration names, and tests, unless they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend_retrofit.codemods.disk import find
from backend_retrofit.codemods.disk.exclusion import Exclusion
from backend_retrofit.codemods.finding.tests import is_test_file
from backend_retrofit.codemods.model import Run

from ..check import check_noop, check_transformed
from ..command_line import command as run
from ..planning.test_file import CLIENT

FILES = "pkg/client.py pkg/vendored_http.py pkg/gen/made.py pkg/gen/keep.py lib/pkg/gen/made.py"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, names: str, code: str = CLIENT) -> None:
    for name in names.split():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


def looked_at(*paths: str, exclude: tuple[str, ...] = (), base: str = ".") -> set[str]:
    exclusion = Exclusion(exclude, Path(base))
    return {path.as_posix() for path in find.python_files([Path(p) for p in paths], Run(), exclusion)}


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["vendored_*.py"], "pkg/client.py pkg/gen/made.py pkg/gen/keep.py lib/pkg/gen/made.py"),
        (["pkg/gen"], "pkg/client.py pkg/vendored_http.py lib/pkg/gen/made.py"),
        (["gen/"], "pkg/client.py pkg/vendored_http.py"),
        (["/pkg"], "lib/pkg/gen/made.py"),
        (["**/gen/made.py"], "pkg/client.py pkg/vendored_http.py pkg/gen/keep.py"),
        (["pkg/gen/*", "!keep.py"], "pkg/client.py pkg/vendored_http.py pkg/gen/keep.py lib/pkg/gen/made.py"),
        (["# no pattern", ""], FILES),
        ([], FILES),
    ],
)
def test_C11_patterns_are_those_of_a_gitignore(project, patterns, left):
    assert looked_at("pkg", "lib", exclude=tuple(patterns)) == set(left.split())


def test_C11_patterns_count_from_their_folder_whatever_path_is_given(project, monkeypatch):
    assert looked_at(str(project / "pkg"), exclude=("pkg/gen",)) == {
        (project / "pkg" / name).as_posix() for name in ("client.py", "vendored_http.py")
    }
    monkeypatch.chdir(project / "pkg")
    assert looked_at(".", exclude=("pkg/gen",), base="..") == {"client.py", "vendored_http.py"}


def test_C11_what_is_excluded_is_left_alone_also_where_it_is_named(project):
    assert looked_at("pkg/gen/made.py", "pkg/client.py", exclude=("gen",)) == {"pkg/client.py"}
    notes = Run()
    assert not list(find.python_files([Path("pkg/gen")], notes, Exclusion(("gen",), Path())))
    assert notes.notes == ["pkg/gen: skipped: it is excluded"]


@pytest.mark.parametrize("way", ["option", "file", "file above"])
def test_C11_the_option_and_the_key_in_pyproject_do_the_same(project, way):
    if way == "option":
        done = run("pkg", "--exclude", "pkg/gen", "--exclude", "vendored_*.py", cwd=project)
    else:
        (project / "pyproject.toml").write_text(
            '[tool.backend-retrofit]\nexclude = ["pkg/gen", "vendored_*.py"]\n'
        )
        done = run(*(["pkg"] if way == "file" else ["."]), cwd=project if way == "file" else project / "pkg")
    assert done.returncode == 0
    files = (project / "pkg").rglob("[a-z]*.py")
    changed = [p.name for p in files if "_queued(" in p.read_text()]
    assert changed == ["client.py"]
    assert not (project / "pkg" / "gen" / "_request_engine.py").exists()


def test_C11_the_command_line_wins_over_the_file(project):
    (project / "pyproject.toml").write_text('[tool.backend-retrofit]\nexclude = ["client.py"]\n')
    run("pkg", "--exclude", "gen", "--exclude", "vendored*", cwd=project)
    assert "_queued(" in (project / "pkg" / "client.py").read_text()


def test_C11_a_pattern_that_is_none_is_wrong_usage(project):
    done = run("pkg", "--exclude", "!", cwd=project)
    assert done.returncode == 2
    assert b"takes a pattern as in a .gitignore" in done.stderr


def test_C11_an_editors_buffer_that_is_excluded_comes_out_as_it_went_in(project):
    done = run(
        "-", "--stdin-filename", "pkg/gen/made.py", "--exclude", "gen", cwd=project, data=CLIENT.encode()
    )
    assert done.stdout == CLIENT.encode()


# Tests.


@pytest.mark.parametrize(
    "name",
    "test_client.py client_test.py tests.py conftest.py tests/checks.py test/unit/deep/helpers.py a/tests/b/c.py a/__tests__/b.py".split(),
)
def test_C11_test_files_are_left_alone_unless_they_are_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, f"src/client.py src/{name}")
    notes = Run()
    assert [p.as_posix() for p in find.python_files([Path("src")], notes)] == ["src/client.py"]
    assert notes.notes == ["src: 1 file of tests skipped; pass their paths to include them"]
    assert looked_at(f"src/{name}") == {f"src/{name}"}


def test_C11_a_folder_of_tests_that_is_named_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "tests/test_client.py tests/unit/checks.py")
    assert len(looked_at("tests")) == len(looked_at("tests/unit", "tests")) == 2
    monkeypatch.chdir(tmp_path / "tests")
    assert len(looked_at(".")) == 2


def test_C11_a_test_file_that_has_a_retrofit_is_still_looked_after(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "tests/__init__.py", "")
    write(tmp_path, "tests/test_client.py")
    run("tests/test_client.py", "-q", cwd=tmp_path)
    assert looked_at(".") == {"tests/test_client.py"}
    run(".", "-q", "--remove", cwd=tmp_path)
    assert (tmp_path / "tests" / "test_client.py").read_text() == CLIENT


@pytest.mark.parametrize(
    "name", ["client.py", "latest.py", "contest.py", "testing.py", "attest/x.py", "pytest_plugin.py"]
)
def test_a_name_that_only_looks_like_one_is_no_test_file(name):
    assert not is_test_file(Path(name))


TEST_CLASSES = [
    ("import unittest", "class Checks(unittest.TestCase):", "test_get"),
    ("from unittest import IsolatedAsyncioTestCase", "class Checks(IsolatedAsyncioTestCase):", "test_get"),
    ("from django.test import LiveServerTestCase", "class Checks(LiveServerTestCase):", "anything"),
    ("", "class TestClient:", "test_get"),
]


@pytest.mark.parametrize(("imports", "head", "method"), TEST_CLASSES)
def test_C11_a_test_class_in_any_file_is_left_alone_and_listed(imports, head, method):
    source = f"{imports}\nimport requests\n\n\n{head}\n    def {method}(self):\n        requests.get('x')\n"
    plan = check_noop(source)
    assert plan.sites[0].reason.startswith("the class is refused: it is a test class")


@pytest.mark.parametrize("head", ["class TestClient:", "class Tester:", "class TestBench:"])
def test_a_class_that_only_has_test_in_its_name_is_none(head):
    methods = "    def __init__(self):\n        pass\n\n    def test_connection(self):\n        return requests.get('x')\n"
    if head != "class TestClient:":
        methods = "    def get(self):\n        return requests.get('x')\n"
    check_transformed(f"import requests\n\n\n{head}\n{methods}", "self._queued(requests.get)('x')")


def test_C11_the_test_classes_of_a_file_that_was_named_are_done(tmp_path):
    source = "import unittest\nimport requests\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        requests.get('x')\n"
    write(tmp_path, "tests/checks.py", source)
    run("tests/checks.py", "-q", cwd=tmp_path)
    assert "_queued(" in (tmp_path / "tests" / "checks.py").read_text()
