"""What `--exclude` names: patterns as in a `.gitignore`, counted from one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pathspec


class Exclusion:
    """Patterns of files and folders that are left alone.

    Args:
        patterns: as in a `.gitignore`; raises ValueError for one that is none.
        base: the folder that they count from.
    """

    def __init__(self, patterns: Sequence[str], base: Path) -> None:
        self._spec = pathspec.GitIgnoreSpec.from_lines(patterns) if patterns else None
        self._base = os.path.abspath(base)

    def excludes(self, path: Path, is_folder: bool = False) -> bool:
        """Return True for a file or folder that is left alone; a folder stands for all that is in it."""
        if self._spec is None:
            return False
        name = Path(os.path.relpath(os.path.abspath(path), self._base)).as_posix()
        return self._spec.match_file(f"{name}/" if is_folder else name)
