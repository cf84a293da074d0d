"""Brings a block that somebody edited by hand up to date, and keeps the edit (`--merge`).

What the block was before the edit is not stored anywhere: it is made again from the template in every form that the
class allows for, until the fingerprint in the marker line fits. That fails where the template itself has changed since,
and then the edit is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

from ..model import Refusal, State
from ..source.fingerprints import fingerprint
from . import templates
from .markers import Region
from .three_way_merge import Conflict, merge

_CLOSERS = ("close", "aclose", "__exit__", "__aexit__")


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
    """Yield the code of every form that the block can have had; first the present one."""
    yield made.code
    if region.block in ("queue", "backoff", "env_key"):
        for values, defaults in product(_values(region), (made.defaults, {})):
            yield templates.block(region.block, engine, region.values, defaults, **values).code


def _values(region: Region) -> Iterator[dict[str, Any]]:
    """Yield what the template can have been given."""
    if region.block == "backoff":
        yield from ({"queued": queued} for queued in (True, False))
    elif region.block == "queue":
        several = [c for n in range(3) for c in combinations(_CLOSERS, n)]
        truths = (False, True)
        for closes, enters, closers, quoted in product(("own", "super", ""), truths, several, truths):
            yield {"closes": closes, "enters": enters, "closers": closers, "quoted": quoted}
    else:
        yield from _key_values(region.code)


def _key_values(code: str) -> Iterator[dict[str, Any]]:
    """Yield what an env_key block says of itself, as it stands."""
    try:
        (node,) = ast.parse(code).body
        assert isinstance(node, ast.Assign)
        assert isinstance(node.value, ast.Call)
        given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.value.keywords}
        variables = tuple(ast.literal_eval(argument) for argument in node.value.args)
        attribute = ast.unparse(node.targets[0])
    except (SyntaxError, ValueError, AssertionError):
        return
    for empty_is_missing, missing in product((False, True), (None, "")):
        yield {
            "attribute": attribute,
            "variables": variables,
            "metadata_names": given.get("metadata_names", ()),
            "empty_is_missing": empty_is_missing,
            "missing": missing,
        }
