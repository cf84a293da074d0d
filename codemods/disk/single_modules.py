"""Tells whether a module is one that its distribution names by itself, so that a new file beside it is not packaged."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

from .project_metadata import nearest, option, table_in, toml

_ANY = "*"
"""Any module beside the file that says it."""
_BY_NAME = ("flit", "hatchling", "poetry")
"""Build backends that package the one module with the project's name, unless they are told otherwise."""


def packaged_without(file: Path, runtime: Path) -> Path | None:
    """Return the project's file that says which modules are packaged, if they are `file` and not `runtime`; or None.

    A distribution names its modules in `py-modules` of setuptools. Where nothing is named, setuptools packages the only
    module that it finds, and none whose name begins with an underscore (its `FlatLayoutModuleFinder`); Flit, Hatch and
    Poetry package the one that is called like the project.
    """
    folder = file.absolute().parent
    if (folder / "__init__.py").exists():
        return None
    said = _modules_of(folder)
    if said is None or runtime.stem in said[1]:
        return None
    where, modules = said
    is_it = file.stem in modules or (_ANY in modules and folder == where.parent and not _has_packages(folder))
    return where if is_it else None


@cache
def _modules_of(folder: Path) -> tuple[Path, tuple[str, ...]] | None:
    named = {"pyproject.toml": _named, "setup.cfg": _named_in_cfg, "setup.py": _named_in_script}
    return nearest(folder, named) or nearest(folder, {"pyproject.toml": _by_default})


def _has_packages(folder: Path) -> bool:
    return (folder / "src").exists() or any(folder.glob("*/__init__.py"))


def _named(text: str) -> tuple[str, ...]:
    modules = table_in(toml(text), "tool", "setuptools").get("py-modules")
    return tuple(map(str, modules)) if isinstance(modules, list) else ()


def _named_in_cfg(text: str) -> tuple[str, ...]:
    return tuple(option(text, "py_modules").replace(",", " ").split())


def _named_in_script(text: str) -> tuple[str, ...]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "py_modules":
            elements = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else []
            return tuple(str(each.value) for each in elements if isinstance(each, ast.Constant))
    return ()


def _by_default(text: str) -> tuple[str, ...]:
    table = toml(text)
    project = table_in(table, "project") or table_in(table, "tool", "poetry")
    backend = str(table_in(table, "build-system").get("build-backend", "setuptools.build_meta"))
    if "name" not in project:
        return ()
    if backend.startswith("setuptools"):
        return () if "packages" in table_in(table, "tool", "setuptools") else (_ANY,)
    told: dict[str, Any] = {
        **table_in(table, "tool", "hatch", "build"),
        **_lists(table_in(table, "tool", "poetry")),
    }
    name = table_in(table, "tool", "flit", "module").get("name", project["name"])
    return (str(name).replace("-", "_"),) if backend.startswith(_BY_NAME) and not told else ()


def _lists(table: dict[str, Any]) -> dict[str, Any]:
    return {key: table[key] for key in ("packages", "include") if key in table}
