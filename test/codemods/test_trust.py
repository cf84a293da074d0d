"""A folder that came from elsewhere: nothing of it is run, nothing outside is written, and its file names do no harm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from .command_line import command
from .planning.test_file import CLIENT

BROKEN = b"def (\nimport requests\n"
ALL_WAYS = [
    ("--check",),
    ("--check", "-v"),
    ("--diff",),
    ("--explain",),
    ("--check", "--format", "json"),
    ("--check", "--format", "sarif"),
    ("--check", "--format", "github"),
    (),
]

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without git's variables, and with no one's git configuration."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return own | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "NO_COLOR": "1"} | more


def git(*arguments: str, cwd: Path) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=environment(), check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def tool(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    return command(*arguments, cwd=cwd, environment=environment(**more))


def clients(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(CLIENT)


def changed(folder: Path) -> list[str]:
    """Return the files of a folder that were retrofitted."""
    files = (path for path in sorted(folder.rglob("*.py")) if path.name != "_request_engine.py")
    return [
        path.relative_to(folder).as_posix()
        for path in files
        if path.exists() and "_queued(" in path.read_text()
    ]


# C12: git runs nothing of the folder.


def program(folder: Path, mark: Path) -> str:
    """Put a program into a folder that leaves a mark where it is run."""
    path = folder / "x.sh"
    path.write_text(f"#!/bin/sh\necho run >> '{mark}'\n")
    path.chmod(0o755)
    return "./x.sh"


@needs_git
@pytest.mark.parametrize("arguments", [("--diff",), ("--check",), ("-q",)])
def test_C12_a_program_in_a_repositorys_configuration_is_not_run(tmp_path, arguments):
    folder, mark = tmp_path / "unpacked", tmp_path / "mark"
    clients(folder, "client.py", "made.py")
    (folder / ".gitignore").write_text("made.py\n")
    git("init", "-q", cwd=folder)
    git("add", "-A", cwd=folder)
    git("config", "core.fsmonitor", program(folder, mark), cwd=folder)
    git("config", "core.hooksPath", ".", cwd=folder)
    git("status", cwd=folder)
    assert mark.exists(), "git itself runs it"
    mark.unlink()
    tool("unpacked", *arguments, cwd=tmp_path)
    assert not mark.exists()
    assert changed(folder) == ([] if "-q" not in arguments else ["client.py"])


@needs_git
def test_C12_a_bare_repository_inside_another_one_is_only_a_folder(tmp_path):
    host, mark = tmp_path / "host", tmp_path / "mark"
    inner = host / "src"
    inner.mkdir(parents=True)
    git("init", "-q", cwd=host)
    (host / ".gitignore").write_text("made.py\n")
    git("init", "-q", "--bare", str(inner), cwd=host)
    clients(inner, "client.py", "made.py")
    for key, value in {
        "core.bare": "false",
        "core.worktree": ".",
        "core.fsmonitor": program(inner, mark),
    }.items():
        git("config", "-f", "config", key, value, cwd=inner)
    git("status", cwd=inner)
    assert mark.exists(), "git itself takes it for a repository"
    mark.unlink()
    tool("src", "-q", cwd=host)
    assert not mark.exists()
    assert changed(inner) == ["client.py"], "the outer repository says what is ignored"


@needs_git
def test_C12_a_missing_object_is_not_fetched_with_a_command_of_the_repositorys(tmp_path):
    origin, folder, mark = tmp_path / "origin", tmp_path / "partial", tmp_path / "mark"
    clients(origin / "pkg", "client.py")
    (origin / "pkg" / ".gitignore").write_text("made.py\n")
    git("init", "-q", cwd=origin)
    git("add", "-A", cwd=origin)
    git("commit", "-qm", "x", cwd=origin)
    git("config", "uploadpack.allowFilter", "true", cwd=origin)
    git("clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{origin}", str(folder), cwd=tmp_path)
    git("read-tree", "HEAD", cwd=folder)
    git("update-index", "--skip-worktree", "pkg/.gitignore", cwd=folder)
    clients(folder / "pkg", "client.py")
    git("config", "protocol.ext.allow", "always", cwd=folder)
    git("config", "remote.origin.url", f"ext::{program(folder, mark)} %S", cwd=folder)
    for _ in range(2):
        tool("pkg", "-q", cwd=folder)
    assert not mark.exists()
    assert changed(folder) == ["pkg/client.py"]


@needs_git
def test_C12_in_a_hook_of_a_linked_worktree_the_same_files_are_ignored(tmp_path):
    main, tree = tmp_path / "main", tmp_path / "tree"
    clients(main / "src", "client.py")
    (main / ".gitignore").write_text("gen/\n")
    git("init", "-q", cwd=main)
    git("add", "-A", cwd=main)
    git("commit", "-qm", "x", cwd=main)
    git("worktree", "add", "-q", str(tree), cwd=main)
    clients(tree / "src" / "gen", "made.py")
    git_dir = git("rev-parse", "--absolute-git-dir", cwd=tree)
    tool("src", "-q", cwd=tree, GIT_DIR=git_dir, GIT_INDEX_FILE=f"{git_dir}/index", GIT_PREFIX="")
    assert changed(tree) == ["src/client.py"]


@needs_git
def test_C12_git_variables_of_the_environment_name_no_other_repository_or_program(tmp_path):
    folder, mark = tmp_path / "project", tmp_path / "mark"
    clients(folder, "client.py", "made.py")
    (folder / ".gitignore").write_text("made.py\n")
    git("init", "-q", cwd=folder)
    git("add", "client.py", cwd=folder)
    run = program(tmp_path, mark)
    tool(
        "project",
        "-q",
        cwd=tmp_path,
        GIT_WORK_TREE="/",
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="core.fsmonitor",
        GIT_CONFIG_VALUE_0=str(tmp_path / run),
        GIT_TRACE=str(tmp_path / "trace"),
    )
    assert changed(folder) == ["client.py"]
    assert not mark.exists()
    assert not (tmp_path / "trace").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for git")
def test_C12_a_program_called_git_in_the_folder_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    clients(tmp_path, "client.py")
    (tmp_path / ".git").mkdir()
    (tmp_path / program(tmp_path, mark)).rename(tmp_path / "git")
    tool(".", "-q", cwd=tmp_path, PATH=f".{os.pathsep}{os.environ['PATH']}")
    assert not mark.exists()
    assert changed(tmp_path) == ["client.py"]


# C12: a configuration writes nothing outside of its own folder.


@pytest.mark.parametrize("flag", ["--check", "--diff", "-q"])
@pytest.mark.parametrize("place", ["absolute", "above", "a linked folder", "a linked file"])
def test_C12_a_report_elsewhere_is_refused_where_a_file_asks_for_it(tmp_path, place, flag):
    project, victim = tmp_path / "project", tmp_path / "victim"
    clients(project, "client.py")
    victim.mkdir()
    page = victim / "index.html"
    page.write_text("mine")
    (project / "link").symlink_to(victim)
    (project / "index.html").symlink_to(page)
    name = {
        "absolute": str(page),
        "above": "../victim/index.html",
        "a linked folder": "link/index.html",
        "a linked file": "index.html",
    }[place]
    (project / "pyproject.toml").write_text(f"[tool.backend-retrofit]\nreport = '{name}'\n")
    done = tool("client.py", flag, cwd=project)
    assert page.read_text() == "mine"
    assert done.returncode == 2
    assert b"outside of the folder" in done.stderr
    assert changed(project) == []


def test_C12_a_report_within_the_folder_of_the_file_is_written_there(tmp_path):
    clients(tmp_path / "src", "client.py")
    (tmp_path / "pyproject.toml").write_text('[tool.backend-retrofit]\nreport = "review.html"\n')
    assert tool("client.py", "--check", cwd=tmp_path / "src").returncode == 1
    assert (tmp_path / "review.html").exists()


def test_C12_the_command_line_may_name_any_place(tmp_path):
    clients(tmp_path / "src", "client.py")
    assert tool("client.py", "--check", "--report", "../review.html", cwd=tmp_path / "src").returncode == 1
    assert (tmp_path / "review.html").exists()


@pytest.mark.parametrize("place", ["above", "a linked folder"])
def test_C12_a_runtime_elsewhere_is_refused_where_a_file_asks_for_it(tmp_path, place):
    project, victim = tmp_path / "project", tmp_path / "victim"
    clients(project / "shop", "client.py")
    (victim / "pkg").mkdir(parents=True)
    if place == "a linked folder":
        (project / "victim").symlink_to(victim)
    (project / "pyproject.toml").write_text('[tool.backend-retrofit]\nruntime = "victim.pkg.engine"\n')
    done = tool("shop", cwd=project)
    assert [path.name for path in victim.rglob("*")] == ["pkg"]
    assert done.returncode == 3
    assert (
        b"its runtime cannot be victim.pkg.engine: the project that names it has no such folder"
        in done.stdout + done.stderr
    )
    assert changed(project) == []


@pytest.mark.parametrize("name", ["setup.py", "client.py", ".git/hooks/pre-commit"])
def test_C12_a_report_takes_the_place_of_no_code_where_a_file_asks_for_it(tmp_path, name):
    clients(tmp_path, "client.py", "setup.py")
    (tmp_path / "pyproject.toml").write_text(f'[tool.backend-retrofit]\nreport = "{name}"\n')
    done = tool("client.py", "--check", cwd=tmp_path)
    assert done.returncode == 2
    assert b"takes the name of an .html file" in done.stderr
    assert (tmp_path / "setup.py").read_text() == (tmp_path / "client.py").read_text() == CLIENT


# C12: what is no file, or has no end, is not read.

ENDLESS = ["a pipe"] + ["a link to /dev/zero"] * Path("/dev/zero").exists()
READ_BESIDE = [
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "shop/pyproject.toml",
    "shop/other.py",
    "shop/__init__.py",
    "shop/_request_engine.py",
    "shop/link.py",
]


def endless(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", READ_BESIDE)
def test_C12_what_has_no_end_is_not_read(tmp_path, name, kind):
    clients(tmp_path / "shop", "client.py", "__init__.py")
    endless(tmp_path / name, kind)
    assert tool("shop", "--check", cwd=tmp_path).returncode in (1, 3)
    assert tool("shop", cwd=tmp_path).returncode in (0, 3)
    assert tool("shop", "--remove", cwd=tmp_path).returncode in (0, 3)
    assert (tmp_path / "shop/client.py").read_text() == CLIENT


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("option", ["report", "baseline"])
def test_C12_a_file_that_the_configuration_names_may_be_no_pipe(tmp_path, option):
    clients(tmp_path, "client.py")
    endless(tmp_path / "it.html", "a pipe")
    (tmp_path / "pyproject.toml").write_text(f'[tool.backend-retrofit]\n{option} = "it.html"\n')
    done = tool("client.py", "--check", cwd=tmp_path)
    assert done.returncode == 2
    assert b"not a regular file" in done.stderr


# C12: file names.

NAMES = {
    "an escape sequence": "a\x1b]0;owned\x07\\.py",
    "a right-to-left override": "rtl\u202eyp.exe.py",
    "a line feed and a workflow command": "x\n::stop-commands::token\n.py",
    "a carriage return": "y\r::error::made up.py",
    "a C1 control character": "c1\x9b31m.py",
    "a zero-width space and a line separator": "z\u200bw\u2028.py",
    "a tab": "tab\t.py",
    "a byte that is not UTF-8": os.fsdecode(b"bad\xff.py"),
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with files of each odd name, some to be changed and some that do not parse."""
    for name in NAMES.values():
        (tmp_path / name).write_bytes(CLIENT.encode())
        (tmp_path / f"broken {name}").write_bytes(BROKEN)
    (tmp_path / "link.py").symlink_to("/nowhere/\x1b[31m\n.py")
    return tmp_path


def raw(text: str) -> set[str]:
    """Return the characters of a text that cannot be seen, or that a terminal takes as orders."""
    return {
        char for char in text if char not in "\n" and unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")
    }


@pytest.mark.parametrize("arguments", ALL_WAYS, ids=" ".join)
def test_C12_names_are_shown_with_what_cannot_be_seen_escaped(odd, arguments):
    done = tool(".", *arguments, cwd=odd)
    assert b"Traceback" not in done.stderr
    # The code of the files is in the patch as it is; it has no such characters here.
    for output in (done.stdout.decode(), done.stderr.decode()):
        assert not raw(output.replace("\t\n", "\n"))  # so ends a name with a space in a patch
        assert not [
            line for line in output.split("\n") if line.startswith(("::stop-commands", "::error::made"))
        ]


@pytest.mark.parametrize(
    "arguments",
    [("missing\x1b[31m\n.py",), ("--report", "no\x1b\nfolder/x.html", "."), ("--jobs", "\x1b[31m", ".")],
    ids=["path", "report", "jobs"],
)
def test_C12_names_in_errors_about_the_command_line_are_escaped(odd, arguments):
    done = tool(*arguments, cwd=odd)
    assert done.returncode == 2
    assert not raw(done.stderr.decode())


def test_C12_the_page_shows_names_escaped(odd):
    tool(".", "--check", "--report", "page.html", cwd=odd)
    page = (odd / "page.html").read_text()
    assert not raw(page)
    assert "bad\N{LEFT CEILING}xFF\N{RIGHT CEILING}.py" in page


def test_C12_a_byte_that_is_not_utf8_is_exact_in_sarif_and_visible_in_json(odd):
    log = json.loads(tool(".", "--check", "--format", "sarif", cwd=odd).stdout)
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert "bad%FF.py" in {place["artifactLocation"]["uri"] for place in places}
    text = tool(".", "--check", "--format", "json", cwd=odd).stdout.decode()
    text.encode().decode("ascii")
    paths = {file["path"] for file in json.loads(text)["files"]}
    assert {
        "bad\N{LEFT CEILING}xFF\N{RIGHT CEILING}.py",
        NAMES["a line feed and a workflow command"],
    } <= paths
    for path in paths:
        path.encode()  # no half of a surrogate pair


@needs_git
def test_C12_the_patch_of_files_with_odd_names_is_still_a_patch(odd):
    for path in odd.glob("broken*"):
        path.unlink()
    patch = tool(".", "--diff", cwd=odd).stdout
    subprocess.run(["git", "apply"], input=patch, cwd=odd, env=environment(), check=True, timeout=60)
    assert len(changed(odd)) == len(NAMES)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_terminal_cannot_show_does_no_harm(tmp_path, encoding):
    clients(tmp_path, "\u00e9\u20ac.py")
    done = subprocess.run(
        [sys.executable, "-m", "backend_retrofit.codemods.command.entry", "."],
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u20ac.py" in done.stdout
