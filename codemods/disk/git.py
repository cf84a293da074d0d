"""Asks git which files it ignores. It is the one program that this tool runs, and it runs nothing of the repository's.

A repository's configuration can name programs: `core.fsmonitor`, hooks, helpers that fetch a missing object. A folder
that somebody has unpacked or cloned brings its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..source.visible import visible_name

_SETTINGS = ("core.fsmonitor=", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
"""On the command line they win over the repository's own. The first is off as an empty value in every version of git."""
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "",  # none: a partial clone would fetch what it lacks by a command of its own
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class GitError(Exception):
    """Git does not answer; the message says why."""


def ignored(folder: str, paths: Sequence[Path]) -> set[Path]:
    """Return those of the paths that git ignores; none where there is no git or no repository.

    Args:
        folder: in whose repository the paths lie.

    Raises:
        GitError: the repository is one that git refuses to look into.
    """
    program = _program()
    top = _top(os.path.realpath(folder))
    if not paths or program is None or top is None:
        return set()
    names = [os.path.join(os.path.realpath(path.parent), path.name) for path in paths]
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    try:
        done = subprocess.run(
            [program, "--no-pager", *settings, "-C", top, "check-ignore", "-z", "--stdin"],
            input=b"\0".join(os.fsencode(name) for name in names),
            env=_environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(str(error)) from None
    if done.returncode > 1:
        reason = done.stderr.decode(errors="replace").partition("\n")[0]
        if "not a git repository" in reason:
            return set()
        raise GitError(visible_name(reason))
    answer = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
    return {path for path, name in zip(paths, names, strict=True) if name in answer}


def _program() -> str | None:
    """Return where git is. A relative entry of PATH, and on Windows the working directory, could be the user's folder."""
    folders: Iterable[str] = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = (shutil.which(os.path.join(folder, "git")) for folder in folders if os.path.isabs(folder))
    return next((found for found in candidates if found is not None), None)


def _top(folder: str) -> str | None:
    """Return the nearest folder, from this one upwards, with a `.git`.

    Git itself would also take a folder that looks like a bare repository for one, such as a folder of test data.
    """
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def _environment() -> dict[str, str]:
    """Return the environment without git's own variables: in a hook they name the repository that is committed to."""
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}
    return own | _ENVIRONMENT
