"""Tells whether a project says that it runs on a Python that the runtime does not run on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .project_metadata import nearest, option, table_in, toml

OLDEST = (3, 10)
"""The runtime's and the blocks' syntax is that of this version."""
_TOO_OLD = [(3, minor) for minor in range(OLDEST[1])]
_PATCHES = range(40)
"""More releases than a minor version ever had."""
_CLAUSE = re.compile(r"(===|==|!=|~=|<=|>=|<|>|\^|~)?\s*v?(\d+(?:\.\d+)*)((?:\.\*)?)$")


def allowed_too_old(file: Path) -> tuple[Path, str, str] | None:
    """Return what the project of a file says of Python if that allows one which is too old: where, what, and which.

    The nearest of `pyproject.toml`, `setup.cfg` and `setup.py` that says it counts, up to the top of the repository.
    None of them is run.
    """
    return _allowed_in(file.absolute().parent)


@cache
def _allowed_in(folder: Path) -> tuple[Path, str, str] | None:
    readers = {"pyproject.toml": _of_pyproject, "setup.cfg": _of_setup_cfg, "setup.py": _of_setup_py}
    found = nearest(folder, readers)
    if found is None:
        return None
    version = next((v for v in reversed(_TOO_OLD) if allows(found[1], v)), None)
    return (*found, ".".join(map(str, version))) if version else None


def _of_pyproject(text: str) -> str:
    table = toml(text)
    said = table_in(table, "project").get("requires-python")
    said = said or table_in(table, "tool", "poetry", "dependencies").get("python")
    return said if isinstance(said, str) else ""


def _of_setup_cfg(text: str) -> str:
    return option(text, "python_requires")


def _of_setup_py(text: str) -> str:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "python_requires":
            return str(node.value.value) if isinstance(node.value, ast.Constant) else ""
    return ""


def allows(specifiers: str, version: tuple[int, int]) -> bool:
    """Return True if one of the releases of a minor version fits what is said; False also for what cannot be read.

    Args:
        specifiers: as in PEP 440, or with Poetry's `^` and `~` and `||`.
        version: such as (3, 9).
    """
    return any(
        all(_fits(clause, (*version, patch)) for clause in _clauses(part))
        for part in specifiers.split("||")
        if part.strip()
        for patch in _PATCHES
    )


def _clauses(text: str) -> Iterator[str]:
    yield from (clause for clause in re.split(r",|\s+(?=[<>=!~^])", text.strip()) if clause.strip())


def _fits(clause: str, version: tuple[int, int, int]) -> bool:
    match = _CLAUSE.match(clause.strip())
    if match is None:
        return clause.strip() == "*"
    operator, numbers, wildcard = match[1] or "==", tuple(map(int, match[2].split("."))), bool(match[3])
    padded = (*numbers, 0, 0, 0)[:3]
    same = version[: len(numbers)] == numbers[:3] if wildcard or not match[1] else version == padded
    series = {
        "~=": numbers[:-1],
        "~": numbers[:2],
        "^": numbers[:1],
    }.get(operator)
    if series is not None:
        return version >= padded and version[: len(series)] == series[:3]
    return {
        "==": same,
        "===": same,
        "!=": not same,
        "<": version < padded,
        "<=": version <= padded,
        ">": version > padded,
        ">=": version >= padded,
    }[operator]
