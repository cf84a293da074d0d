"""A baseline: the skips that a project has accepted, so that only new ones are reported.

It is a JSON file. A skip is known again by its file, its place and its reason, not by its line. Paths count from the
folder of the baseline.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..disk import regular
from ..model import Decision
from ..reporting.facts import Facts, ProblemFacts, SiteFacts, as_json
from ..reporting.statistics import kind_of

VERSION = 1
_Key = tuple[str, str, str, str]
"""File, scope, callee and reason; for a file that was left alone, scope and callee are empty."""
Accepted = Counter[_Key]


class BaselineError(ValueError):
    """The file is not a baseline; the message says why."""


def accept(facts: Facts, path: Path, accepted: Accepted) -> int:
    """Mark what a baseline lists as accepted; return how many skips, and files left alone, it does not list.

    Args:
        path: of the baseline.
        accepted: what it holds.
    """
    accepted = accepted.copy()
    new = 0
    for key, fact in _skips(facts, path):
        fact["accepted"] = accepted[key] > 0
        accepted[key] -= fact["accepted"]
        new += not fact["accepted"]
    return new


def text_of(facts: Facts, path: Path) -> str:
    """Return the text of a baseline that accepts all that a run has skipped."""
    counts = Counter(key for key, _ in _skips(facts, path))
    skips = [
        {"file": file, "scope": scope, "callee": callee, "reason": reason, "count": number}
        for (file, scope, callee, reason), number in sorted(counts.items())
    ]
    return as_json({"version": VERSION, "skips": skips}) + "\n"


def _skips(facts: Facts, path: Path) -> Iterator[tuple[_Key, SiteFacts | ProblemFacts]]:
    for file in facts["files"]:
        name = Path(os.path.relpath(os.path.abspath(file["path"]), os.path.abspath(path.parent))).as_posix()
        for problem in file["problems"]:
            yield (name, "", "", kind_of(problem["reason"])), problem
        for site in file["sites"]:
            if site["decision"] == Decision.SKIPPED.value:
                yield (name, site["scope"], site["callee"], kind_of(site["reason"])), site


def read(path: Path) -> Accepted:
    """Return what a baseline lists, and how often.

    Raises:
        BaselineError: the file cannot be read, or is not a baseline.
    """
    try:
        data = json.loads(regular.read(path).decode())
        if data["version"] != VERSION:
            raise BaselineError(f"has version {data['version']!r}, not {VERSION}")
        counts: Counter[_Key] = Counter()
        for skip in data["skips"]:
            counts[skip["file"], skip["scope"], skip["callee"], skip["reason"]] += int(skip["count"])
    except OSError as error:
        raise BaselineError(f"cannot be read: {error.strerror}; --write-baseline makes it") from None
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, BaselineError):
            raise
        raise BaselineError("is not a baseline; --write-baseline makes a new one") from None
    return counts
