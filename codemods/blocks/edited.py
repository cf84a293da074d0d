"""Brings a block that somebody edited by hand up to date, and keeps the edit (`--merge`).

What the block was before the edit is not stored anywhere: it is made again from the template, with what the marker line
and the block's own lines say of it, and the fingerprint in the marker line tells whether that is it. It is not where the
template itself has changed since, and then the edit is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..model import Refusal, State
from ..source.fingerprints import fingerprint
from . import templates, wraps
from .markers import Region
from .three_way_merge import Conflict, merge

_CLOSERS = re.compile(r"(\w+) = \w+\.(context|closing)\((\w*)\)")


def merged(region: Region, made: templates.Block, engine: str, unit: str) -> templates.Block:
    """Return the block as it is made now, with the edit.

    Args:
        region: the edited block.
        made: the block as it is made now.
        engine: the name by which the file knows the runtime's class.
        unit: the white space of one level of indentation in the file.

    Raises:
        Refusal: the block cannot be made again as it was, or the edit and the new form meet.
    """
    base = next(
        (form for form in _forms(region, made, engine) if fingerprint(form) == region.fingerprint), None
    )
    if base is None:
        raise Refusal(
            region.first,
            f"the {region.block} block (v{region.version}) was edited by hand, and its template has changed since, so "
            "that --merge cannot tell what the edit was; move the edit out of the block, or give --overwrite-edited "
            "to lose it",
            State.EDITED,
        )
    edited = region.code.split("\n")[1:-1]
    try:
        lines = merge(_lines(base, unit), edited, _lines(made.code, unit))
    except Conflict as conflict:
        raise Refusal(
            region.first + 1 + conflict.line,
            f"the edit of the {region.block} block and the block's new form change the same lines here, so that --merge "
            "cannot join them; move the edit out of the block, or give --overwrite-edited to lose it",
            State.EDITED,
        ) from None
    code = "\n".join(_with_four_spaces(line, unit) for line in lines) + "\n"
    return replace(made, code=code, mark=fingerprint(made.code))


def _lines(code: str, unit: str) -> list[str]:
    return templates.indented(code.rstrip("\n").split("\n"), "", unit)


def _with_four_spaces(line: str, unit: str) -> str:
    """Return a line of the file with the indentation that blocks have before they are put into a file."""
    depth = 0
    while line.startswith(unit):
        line, depth = line[len(unit) :], depth + 1
    return "    " * depth + line if line else ""


def _forms(region: Region, made: templates.Block, engine: str) -> Iterator[str]:
    """Yield the code that the block can have had: as it is made now, and with what its lines say of themselves."""
    yield made.code
    if region.block in wraps.ENTRY_POINTS and region.version == templates.VERSIONS[region.block]:
        arguments = _arguments(region)
        yield templates.block(region.block, engine, region.values, region.defaults, **arguments).code


def _arguments(region: Region) -> dict[str, Any]:
    """Return what the template of a queue or backoff block was given."""
    closes: dict[str, str] = {}
    enters = False
    members = {new: member for member, new in region.values.items()}
    for name, method, own in _CLOSERS.findall(region.code):
        enters = enters or method == "context"
        closes[members.get(name, name)] = "own" if own else "inherited"
    return {
        "closes": closes,
        "enters": enters,
        "queued": "entry_point(" not in region.code,
        "shared": "shared=True" in region.code,
    }
