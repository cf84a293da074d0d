"""Tells test files and test classes of pytest and unittest, which are left alone: a test that expects a 503 would wait."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from ..source.scopes import ClassInfo
from ..source.syntax import decorator_name

TEST_FOLDERS = frozenset({"test", "tests", "__tests__"})
_TEST_FILES = ("test_*.py", "*_test.py", "tests.py", "conftest.py")


def is_test_file(path: Path) -> bool:
    """Return True for a file that pytest or unittest would collect by its name, or that lies in a folder of tests."""
    by_name = any(fnmatch.fnmatch(path.name, pattern) for pattern in _TEST_FILES)
    return by_name or bool(TEST_FOLDERS & set(path.parts[:-1]))


def is_test_class(info: ClassInfo) -> bool:
    """Return True for a class that unittest or pytest would run: a `TestCase`, or `Test...` with methods `test_...`."""
    bases = [decorator_name(base).rpartition(".")[2] for cls in info.lineage() for base in cls.node.bases]
    if any(base.endswith("TestCase") for base in bases):
        return True
    methods = {name for cls in info.lineage() for name in cls.methods}
    return (
        info.node.name.startswith("Test")
        and "__init__" not in methods  # pytest collects no class that has one
        and any(name.startswith("test_") for name in methods)
    )
