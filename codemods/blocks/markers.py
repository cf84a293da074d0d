"""The marker lines around what the codemod adds: their form, and what is known of those in a file. `find_markers` finds them.

A block stands between two marker lines at its own indentation:

    # >>> retrofit:backoff v2 0123456789
    ...
    # <<< retrofit:backoff

The import of the runtime is a statement that carries the comment `# retrofit:import`. The fingerprint is that of the
block's syntax tree as it was made, so a person's edit shows, and a formatter's work does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ..model import FUNCTIONS, Edit, Place, Problem
from ..source.fingerprints import fingerprint
from ..source.text import Source
from . import wraps

RUNTIME_MODULE = "_request_engine"
DISTRIBUTION = "backend_retrofit_runtime"
ENGINE = "RequestEngine"
MENTION = "retrofit:"
IMPORT_COMMENT = "# retrofit:import"
DEFAULTS = "defaults"
"""The key under which a marker line carries the settings that the block was made with."""
_IN_LINE = re.compile("[^\r\n]+")
BLANK_LINES = {"runtime": 2}
"""How many blank lines stand before a block; 1 where it is not named here."""


@dataclass(frozen=True)
class Region:
    """A block that is in the file.

    Attributes:
        first, last: the lines of its markers.
        code: what stands between them, with its common indentation taken off, and line feeds as line ends.
        values: other names for what it defines, which its begin marker carries.
        defaults: settings that it was made with, where they are not the table's; its begin marker carries them, too.
    """

    block: str
    version: int
    fingerprint: str
    first: int
    last: int
    code: str
    values: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def changed(self) -> bool:
        """Whether its code differs from when it was made."""
        return fingerprint(self.code) != self.fingerprint


@dataclass(frozen=True)
class Markers:
    """All that the retrofit has in a file."""

    regions: tuple[Region, ...] = ()
    import_line: int = 0
    """The first line of the import of the runtime; 0 if there is none."""
    import_last: int = 0
    """Its last line; another one where a formatter has broken it up."""
    engine: str = ""
    """The name by which the file knows the runtime's class, if the import line is there."""
    place: Place | None = None
    """Where that import finds the runtime."""
    problems: tuple[Problem, ...] = ()
    left_over: frozenset[str] = frozenset()
    """Entry points that calls of the file go through, although none of its blocks defines them."""

    @property
    def entry_points(self) -> frozenset[str]:
        """The names of the methods that all wraps of ours in the file go through."""
        return entry_points(self.regions) | self.left_over


def begin(
    block: str,
    version: int,
    mark: str,
    values: Mapping[str, str],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Return the line that begins a block; `mark` is the fingerprint of its code as it was made."""
    carried: dict[str, Any] = dict(sorted(values.items()))
    if defaults:
        carried[DEFAULTS] = dict(sorted(defaults.items()))
    extra = " " + json.dumps(carried, separators=(",", ":")) if carried else ""
    return f"# >>> retrofit:{block} v{version} {mark}{extra}"


def end(block: str) -> str:
    """Return the line that ends a block."""
    return f"# <<< retrofit:{block}"


def entry_points(regions: Iterable[Region]) -> frozenset[str]:
    """Return the names of the entry points that blocks define."""
    names: set[str] = set()
    for region in regions:
        if region.block in wraps.ENTRY_POINTS:
            name = wraps.ENTRY_POINTS[region.block]
            names.add(region.values.get(name, name))
        elif region.block == FUNCTIONS:
            names |= wraps.names_bound(region.code)
    return frozenset(names)


def masked(source: Source, markers: Markers) -> str:
    """Return the text with the retrofit's own lines left blank, so that line numbers stay."""
    spans = [(region.first, region.last) for region in markers.regions]
    if markers.import_line:
        spans.append((markers.import_line, markers.import_last))
    pieces: list[str] = []
    done = 0
    for first, last in sorted(spans):
        start, stop = source.line_start(first), source.line_end(last)
        pieces += [source.text[done:start], _IN_LINE.sub("", source.text[start:stop])]
        done = stop
    return "".join([*pieces, source.text[done:]])


def removal(source: Source, first: int, last: int, blank_lines: int) -> Edit:
    """Return the edit that takes lines out again, with the blank lines and the line end that came with them."""
    while blank_lines and first > 1 and not source.line(first - 1).strip():
        first -= 1
        blank_lines -= 1
    start, stop = source.line_start(first), source.line_end(last)
    if first > 1:
        start = source.line_end(first - 1)
    else:
        while last < source.line_count and blank_lines >= 0:
            if blank_lines and source.line(last + 1).strip():
                break
            last += 1
            blank_lines -= 1
            stop = source.line_start(last)
    return Edit(start, stop, "")
