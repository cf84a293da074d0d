"""Tells where the runtime of a file lies: once for each top-level package that was given, or beside a lone script."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..blocks.templates import RUNTIME_MODULE, runtime_state
from ..model import Options, Place
from ..tables.libraries import LIBRARIES
from ..tables.not_covered import NOT_COVERED
from .regular import read

FILE = f"{RUNTIME_MODULE}.py"
_AS_SCRIPT = re.compile(rb"^#!|^if\s*\(?\s*(?:__name__\s*==|['\"]__main__['\"]\s*==)", re.MULTILINE)
_RELATIVE = re.compile(rb"^from[ \t]+\.(?!_request_engine\b|\.*_request_engine\b)", re.MULTILINE)
_IMPORTED = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
NO_FOLDER = "the project that names it has no such folder at or above this file"
_OF_OTHERS = frozenset(
    name.partition(".")[0].encode()
    for name in (*(row.name for row in LIBRARIES), *NOT_COVERED, *sys.stdlib_module_names)
)
_NO_PACKAGE = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
"""What is in the top folder of a project, which is not a package."""


@dataclass(frozen=True)
class Home:
    """Where the runtime of a file lies, and how the file imports it."""

    path: Path | None
    """None: it is to be in a package that is not there."""
    place: Place


def home_of(path: Path, data: bytes, options: Options) -> Home:
    """Return where the runtime of a file is to lie.

    Args:
        data: the content of the file.
    """
    folder = path.parent
    named = options.runtime if "." in options.runtime else ""
    if named:
        return Home(_named(named, path, options.runtime_within), Place(named))
    if not _is_package(folder):
        may_be_in_one = folder.absolute().name.isidentifier() and not any(
            (folder / n).exists() for n in _NO_PACKAGE
        )
        place = Place(f".{RUNTIME_MODULE}", RUNTIME_MODULE) if may_be_in_one else Place(RUNTIME_MODULE)
        return Home(folder / FILE, place)
    if _runs_alone(path, data):
        return Home(folder / FILE, Place(f".{RUNTIME_MODULE}", RUNTIME_MODULE))
    top, up = folder, 0
    best = (top, up)
    while _is_package(top.absolute().parent):
        top, up = (top.parent if top.name not in ("", "..") else top.absolute().parent), up + 1
        if is_given(top, options.given) or _has_current(top):
            best = (top, up)
    return Home(best[0] / FILE, Place(f"{'.' * (best[1] + 1)}{RUNTIME_MODULE}"))


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").exists()


def is_given(folder: Path, given: Iterable[str]) -> bool:
    """Return True if a folder is one of those that were given, or lies in one."""
    name = os.path.abspath(folder)
    return any(
        name == other or name.startswith(os.path.join(other, "")) for other in given if os.path.isdir(other)
    )


def _has_current(folder: Path) -> bool:
    try:
        return runtime_state(read(folder / FILE)) == "current"
    except OSError:
        return False


def _runs_alone(path: Path, data: bytes) -> bool:
    """Return True if a file of a package is also run as a script, or imported from inside the folder by its plain name."""
    if _RELATIVE.search(data):
        return False
    if path.name == "__main__.py" or _AS_SCRIPT.search(data):
        return True
    return path.stem.encode() in _imported_in(path.absolute().parent)


@cache
def _imported_in(folder: Path) -> frozenset[bytes]:
    """Return the names that the modules of a folder import without a dot, and that are not those of known libraries.

    A module `openai.py` beside others that `import openai` is not what they mean.
    """
    names: set[bytes] = set()
    for path in folder.glob("*.py"):
        try:
            names |= set(_IMPORTED.findall(read(path))) - {path.stem.encode()} if path.name != FILE else set()
        except OSError:
            continue
    return frozenset(names) - _OF_OTHERS


def _named(module: str, path: Path, within: str) -> Path | None:
    """Return where a module lies that is named, seen from a file: in the nearest folder above that has its package.

    Args:
        within: the folder that it has to lie in, also through links; if empty, any will do.
    """
    parts = module.split(".")
    for folder in path.absolute().parents:
        for root in (folder, folder / "src"):
            file = root.joinpath(*parts).with_suffix(".py")
            if (root / parts[0]).is_dir() and (not within or _lies_in(within, file)):
                here = Path.cwd()
                return file.relative_to(here) if file.is_relative_to(here) else file
    return None


def _lies_in(folder: str, file: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
