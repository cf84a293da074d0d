"""Finds the files to be looked at, and says what is skipped: vendored, generated, ignored, linked elsewhere."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..blocks import templates
from ..blocks.markers import MENTION
from ..finding.tests import TEST_FOLDERS, is_test_file
from ..model import FilePlan, Problem, Run
from ..source.visible import visible_name
from .exclusion import Exclusion
from .git import GitError, ignored
from .regular import read

SKIPPED = frozenset(
    """
    .git .hg .svn .tox .nox .venv venv env __pycache__ node_modules site-packages build dist .eggs .mypy_cache
    .pytest_cache .ruff_cache vendor vendored _vendor third_party generated _generated
    """.split()
)
"""Folders that are not looked into, unless they are named."""
_TEXT = "it is a text file; only Python files are looked at, not code inside other files"
_NOT_PYTHON = {
    ".ipynb": "it is a notebook; export its code (jupyter nbconvert --to script) and name the .py file",
    ".md": _TEXT,
    ".markdown": _TEXT,
    ".rst": _TEXT,
}
"""Files with code in them that a user may name."""
_GENERATED_NAMES = ("*_pb2.py", "*_pb2_grpc.py")
_GENERATED_HEAD = re.compile(
    rb"^[ \t]*#.*?(?:@generated|\bgenerated\b.*\bdo not (?:edit|modify)|\bdo not (?:edit|modify)\b.*\bgenerated)",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = 1024
"""Bytes of a file that may say that it is generated."""


def python_files(paths: Iterable[Path], run: Run, exclusion: Exclusion | None = None) -> Iterator[Path]:
    """Yield the Python files at and below the paths, in order, each once; say in `run.notes` what is skipped.

    Args:
        exclusion: what is left alone, named or not.
    """
    seen: set[str] = set()
    exclusion = exclusion or Exclusion((), Path())
    for path in paths:
        if exclusion.excludes(path, path.is_dir()):
            run.notes.append(f"{visible_name(path)}: skipped: it is excluded")
            continue
        files = _Folder(path, run, exclusion).files() if path.is_dir() else [path]
        for file in files:
            if reason := _NOT_PYTHON.get(file.suffix.lower()):
                run.plans.append(FilePlan(file, b"", b"", problems=(Problem(0, reason),)))
                continue
            real = os.path.realpath(file)
            if real not in seen and file.name != f"{templates.RUNTIME_MODULE}.py":
                seen.add(real)
                yield file


class _Folder:
    """A folder that was named, with all that lies below it."""

    def __init__(self, root: Path, run: Run, exclusion: Exclusion) -> None:
        self.root = root
        self.real_root = Path(os.path.realpath(root))
        self.run = run
        self.exclusion = exclusion
        self.has_tests_named = bool(TEST_FOLDERS & {*root.parts, self.real_root.name})
        """The folder is one of tests, or lies in one."""
        self.tests = 0
        self.by_repository: dict[str, list[Path]] = {}

    def files(self) -> list[Path]:
        """Return the files to be looked at, in order."""
        found: list[Path] = []
        repositories: dict[str, str] = {}
        for folder, folders, names in os.walk(self.root, onerror=self._cannot_list):
            is_repository = ".git" in folders or ".git" in names
            above = repositories.get(os.path.dirname(folder), os.fspath(self.root))
            repositories[folder] = folder if is_repository else above
            folders[:] = [name for name in sorted(folders) if self._is_wanted_folder(Path(folder, name))]
            files = [Path(folder, name) for name in sorted(names) if name.endswith(".py")]
            files = [path for path in files if self._is_wanted(path)]
            self.by_repository.setdefault(repositories[folder], []).extend(files)
            found += files
        skipped: set[Path] = set()
        for folder, paths in self.by_repository.items():
            try:
                skipped |= ignored(folder, paths)
            except GitError as error:
                self._note(Path(folder), f"git does not say which files it ignores: {error}")
        if skipped:
            self._note(self.root, f"{_files(len(skipped))} skipped: ignored by git")
        if self.tests:
            self._note(self.root, f"{_files(self.tests)} of tests skipped; pass their paths to include them")
        return [path for path in found if path not in skipped]

    def _note(self, path: Path, what: str) -> None:
        self.run.notes.append(f"{visible_name(path)}: {what}")

    def _cannot_list(self, error: OSError) -> None:
        self._note(Path(error.filename), f"skipped: it cannot be listed: {error.strerror}")

    def _is_wanted_folder(self, path: Path) -> bool:
        if path.name in SKIPPED or path.name.endswith(".egg-info"):
            if path.name not in (".git", "__pycache__"):
                self._note(path, "skipped; pass its path to include it")
            return False
        if self.exclusion.excludes(path, is_folder=True):
            self._note(path, "skipped: it is excluded")
            return False
        return True

    def _is_wanted(self, path: Path) -> bool:
        """Return True for a file that belongs to the folder, is not a test, and was written by a person."""
        if self.exclusion.excludes(path):
            self._note(path, "skipped: it is excluded")
            return False
        is_test = not self.has_tests_named and is_test_file(path.relative_to(self.root))
        if is_test and not _is_retrofitted(path):
            self.tests += 1
            return False
        try:
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(self.real_root):
                self._note(path, f"skipped: it is a link to a file outside of {visible_name(self.root)}")
                return False
            if not stat.S_ISREG(path.stat().st_mode):
                self._note(path, "skipped: it is not a regular file")
                return False
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in _GENERATED_NAMES) or _is_generated(
                path
            ):
                self._note(path, "skipped: it is generated; pass its path to include it")
                return False
        except OSError:
            if path.is_symlink():
                self._note(path, "skipped: it is a broken link")
                return False
            return True  # reading it will tell what is wrong
        return True


def _is_generated(path: Path) -> bool:
    """Return True if a file says that a program wrote it, and has no retrofit that would have to be looked after."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if not _GENERATED_HEAD.search(head):
            return False
        with contextlib.suppress(MemoryError):
            return MENTION.encode() not in head + file.read()
    return True


def _is_retrofitted(path: Path) -> bool:
    """Return True if a file has a retrofit that has to be looked after."""
    try:
        return MENTION.encode() in read(path)
    except OSError:
        return False


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"
