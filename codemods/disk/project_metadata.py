"""Reads what a project says of itself in `pyproject.toml`, `setup.cfg` or `setup.py`. None of them is run."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from . import regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Said = TypeVar("Said")
_LARGEST = 1_000_000
"""Bytes of a file that is looked into."""


def nearest(folder: Path, readers: Mapping[str, Callable[[str], Said | None]]) -> tuple[Path, Said] | None:
    """Return what a project says of something, and in which of its files: the nearest that says it counts.

    Args:
        folder: looked into first; then come those around it, up to the top of the repository.
        readers: name of a file, first choice first -> what reads it from the file's text. What cannot be read says nothing.
    """
    for here in _up_to_the_top(folder.absolute()):
        for name, read in readers.items():
            try:
                said = read(regular.read(here / name, _LARGEST).decode())
            except (OSError, ValueError, SyntaxError, configparser.Error, RecursionError, MemoryError):
                continue
            if said:
                return here / name, said
    return None


def _up_to_the_top(folder: Path) -> Iterator[Path]:
    for here in (folder, *folder.parents):
        yield here
        if (here / ".git").exists():
            return


def toml(text: str) -> dict[str, Any]:
    """Return a TOML file as a table."""
    table: dict[str, Any] = tomllib.loads(text)
    return table


def table_in(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return a table inside others; an empty one where there is none."""
    for key in keys:
        value = table.get(key)
        table = value if isinstance(value, dict) else {}
    return table


def option(text: str, name: str) -> str:
    """Return an option of the section `[options]` of a `setup.cfg`."""
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser.get("options", name, fallback="")
