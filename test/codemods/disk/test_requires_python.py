"""A project that says that it runs on an older Python than the runtime does is told of it before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_retrofit.codemods.disk.requires_python import allowed_too_old, allows

from ..command_line import command_as_text as run
from ..planning.test_file import CLIENT


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (">=3.8", "3.9"),
        (">=3.9", "3.9"),
        (">=3.8,<4", "3.9"),
        (">=3.9.7", "3.9"),
        (">3.9", "3.9"),
        ("~=3.8", "3.9"),
        ("~=3.8.1", "3.8"),
        ("==3.8.*", "3.8"),
        ("==3.9.18", "3.9"),
        ("<3.12", "3.9"),
        ("!=3.10.*", "3.9"),
        (">=3.6, !=3.9.*", "3.8"),
        ("^3.8", "3.9"),
        ("~3.9", "3.9"),
        (">=3.7 <3.9", "3.8"),
        ("^3.7 || ^3.10", "3.9"),
        ("*", "3.9"),
    ],
)
def test_C4_what_allows_a_python_that_is_too_old(tmp_path, said, version):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\nrequires-python = "{said}"\n')
    assert allowed_too_old(tmp_path / "src" / "client.py") == (tmp_path / "pyproject.toml", said, version)


@pytest.mark.parametrize(
    "said", [">=3.10", ">=3.11,<4", ">3.9.100", "~=3.10", "==3.12.*", "^3.10", "~3.11", ">=4", "rubbish", ""]
)
def test_C4_what_does_not(tmp_path, said):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\nrequires-python = "{said}"\n')
    assert allowed_too_old(tmp_path / "client.py") is None


def test_a_patch_release_is_one_of_its_minor_version():
    assert allows(">=3.9.7", (3, 9))
    assert not allows("<3.9", (3, 9))


FILES = {
    "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.8"\n',
    "setup.cfg": "[options]\npython_requires = >=3.8\n",
    "setup.py": "from setuptools import setup\n\nsetup(name='x', python_requires='>=3.8')\n",
}


@pytest.mark.parametrize("name", FILES)
def test_C4_the_nearest_file_that_says_it_counts(tmp_path, name):
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / name).write_text(FILES[name])
    (tmp_path / "src" / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    found = allowed_too_old(tmp_path / "src" / "pkg" / "client.py")
    assert found == (tmp_path / name, ">=3.8", "3.9")
    (tmp_path / "near" / "pkg").mkdir(parents=True)
    (tmp_path / "near" / "pyproject.toml").write_text('[project]\nname = "y"\nrequires-python = ">=3.10"\n')
    assert allowed_too_old(tmp_path / "near" / "pkg" / "client.py") is None


def test_C4_poetry_says_it_in_its_own_table(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.poetry.dependencies]\npython = "^3.8"\n')
    assert allowed_too_old(tmp_path / "client.py") == (tmp_path / "pyproject.toml", "^3.8", "3.9")


def test_C4_what_lies_above_the_repository_does_not_count(tmp_path):
    (tmp_path / "setup.cfg").write_text(FILES["setup.cfg"])
    (tmp_path / "project" / ".git").mkdir(parents=True)
    assert allowed_too_old(tmp_path / "project" / "client.py") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project"),
        ("pyproject.toml", "project = 5\n[tool]\npoetry = 1\n"),
        ("pyproject.toml", "[project]\nrequires-python = 3\n"),
        ("setup.cfg", "python_requires = >=3.8\n"),
        ("setup.cfg", "[options]\npython_requires = %(x)s\n"),
        ("setup.py", "def ("),
        ("setup.py", "(" * 3000),
        ("setup.py", "setup(python_requires=VERSION)"),
        ("setup.py", "\ud800"),
    ],
)
def test_a_file_that_cannot_be_read_says_nothing(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode(errors="surrogatepass"))
    assert allowed_too_old(tmp_path / "client.py") is None


def test_setup_py_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "setup.py").write_text(f"open({str(mark)!r}, 'w')\nsetup(python_requires='>=3.8')\n")
    assert allowed_too_old(tmp_path / "client.py") is not None
    assert not mark.exists()


# The command.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project; it has a package, too, so that nothing is to be said of single modules."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "pyproject.toml").write_text(FILES["pyproject.toml"])
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [(), ("--check",), ("-q",), ("--diff",), ("--check", "--format", "json")]
)
def test_C4_it_is_said_once_and_before_anything_is_written(project, arguments):
    done = run("client.py", *arguments, cwd=project)
    told = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert told == [
        "warning: pyproject.toml says requires-python '>=3.8', which allows Python 3.9; what is put into the code needs "
        "Python 3.10 or newer, and fails there when it is imported"
    ]
    assert done.stderr.startswith("warning: ")


def test_C4_it_is_among_the_facts(project):
    facts = json.loads(run("client.py", "--check", "--format", "json", cwd=project).stdout)
    assert "requires-python" in facts["warnings"][0]
    log = json.loads(run("client.py", "--check", "--format", "sarif", cwd=project).stdout)
    notes = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert [note["level"] for note in notes] == ["warning"]
    assert "::warning title=before it is written::pyproject.toml says" in run(
        "client.py", "--check", "--format", "github", cwd=project
    ).stdout  # fmt: skip


def test_C4_nothing_is_said_where_nothing_is_put_in(project):
    run("client.py", "-q", cwd=project)
    assert "warning" not in run("client.py", cwd=project).stderr
    assert "warning" not in run("client.py", "--remove", cwd=project).stderr


def test_K6_a_class_that_the_flag_names_and_that_is_not_there_is_told_of(project):
    done = run("client.py", "--key-env", "Cleint=SHOP_KEY", cwd=project)
    assert "warning: --key-env Cleint=...: there is no class Cleint with calls to wrap" in done.stderr
