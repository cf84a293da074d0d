"""Reads the project that files belong to, for its view: the files that were given, and the packages around them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ..blocks.removal import plain_bytes
from ..blocks.templates import RUNTIME_MODULE
from ..finding.follow import View
from ..finding.project import LARGEST, view_of
from ..finding.summary import Summary
from ..model import Options
from ..tables.lookup import catalogue
from .find import SKIPPED

_MOST_FILES = 50_000
"""Files that are looked at, beside those that were given."""


Summaries = Callable[[dict[str, str], list[str]], dict[str, Summary]]
"""Returns the summaries of some files; it is given path -> module of all files, and the paths of those."""


def project_of(
    paths: Iterable[Path],
    options: Options,
    contents: Mapping[Path, bytes] | None = None,
    summaries: Summaries | None = None,
) -> View:
    """Return the view of the project that files belong to. Nothing is written, and no code is run.

    Args:
        paths: the files that the run is about.
        contents: what is to be taken for the content of some of them.
        summaries: makes the summaries, if not this process does.
    """
    given = {module_path(path): path for path in paths}
    read_instead = {module_path(path): data for path, data in (contents or {}).items()}

    def read(path: str) -> bytes:
        if path in read_instead:
            return plain_bytes(read_instead[path])
        if not os.path.isfile(path) or os.path.getsize(path) > 2 * LARGEST:
            return b""
        return plain_bytes(Path(path).read_bytes())

    files = [path for path in {**given, **dict.fromkeys(_around(given))} if path.endswith(".py")]
    return view_of(files, given, read, catalogue(options.transports), summaries)


def module_path(path: Path) -> str:
    """Return the name by which the view knows a file."""
    return os.path.abspath(path)


def _around(paths: Iterable[str]) -> Iterator[str]:
    """Yield the files of the packages that files lie in; for scripts, those beside them."""
    count = 0
    packages: set[str] = set()
    for folder in sorted({os.path.dirname(path) for path in paths}):
        top = folder
        while os.path.exists(os.path.join(top, "__init__.py")) and os.path.dirname(top) != top:
            above = os.path.dirname(top)
            if not os.path.exists(os.path.join(above, "__init__.py")):
                break
            top = above
        is_package = os.path.exists(os.path.join(top, "__init__.py"))
        if is_package and any(f"{top}{os.sep}".startswith(f"{known}{os.sep}") for known in packages):
            continue
        if is_package:
            packages.add(top)
        for current, folders, names in os.walk(top):
            folders[:] = [name for name in sorted(folders) if is_package and name not in SKIPPED]
            for name in sorted(names):
                if name.endswith(".py") and name != f"{RUNTIME_MODULE}.py":
                    yield os.path.join(current, name)
                    count += 1
                    if count >= _MOST_FILES:
                        return
