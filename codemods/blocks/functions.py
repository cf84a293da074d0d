"""The block of a module whose functions and static methods share one queue."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from ..model import FUNCTIONS
from ..source.fingerprints import fingerprint
from ..source.syntax import assigned_call
from . import templates
from .markers import Region
from .wraps import ENTRY_POINTS

PARTS = ("queue", "backoff")
"""What the block can have of the blocks of a class."""
_SPELT_OUT = {"queue": ("max_concurrent_requests", "queue_size"), "backoff": templates.SPELT_OUT["backoff"]}


def entry_point(parts: Set[str]) -> str:
    """Return what the calls of a module go through."""
    return ENTRY_POINTS["queue" if "queue" in parts else "backoff"]


def parts_of(region: Region) -> frozenset[str]:
    """Return which parts a block has: those of which a setting is named."""
    named = keywords_of(region.code) or {}
    return frozenset(part for part in PARTS if any(name in templates.SETTINGS[part] for name in named))


def keywords_of(code: str) -> dict[str, str] | None:
    """Return setting -> its code in a block, as it stands; None if it is more than such a block."""
    name, call = assigned_call(code, "for_module") or ("", None)
    if call is None or name not in ENTRY_POINTS.values() or list(map(ast.unparse, call.args)) != ["__name__"]:
        return None
    found = {keyword.arg or "**": ast.unparse(keyword.value) for keyword in call.keywords}
    return found if found.keys() <= templates.OPTIONS.keys() else None


def own_defaults(region: Region) -> dict[str, str] | None:
    """Return setting -> the code of the default that somebody has given it in a block; None if more was changed."""
    named = keywords_of(region.code)
    if named is None:
        return None
    made = _settings(parts_of(region), region.defaults)
    return {name: code for name, code in named.items() if made.get(name) != code}


def with_own_defaults(made: templates.Block, region: Region) -> templates.Block:
    """Return a block with the settings that stand in it; its mark stays that of the block without them."""
    parts = made.arguments["parts"]
    by_hand = _settings(parts, made.defaults) | (keywords_of(region.code) or {})
    return replace(block(made.engine, parts, made.defaults, by_hand), mark=fingerprint(made.code))


def block(
    engine: str, parts: Set[str], defaults: Mapping[str, Any], by_hand: Mapping[str, str] | None = None
) -> templates.Block:
    """Render the block.

    Args:
        engine: the name by which the file knows the runtime's class.
        parts: `queue`, `backoff`, or both.
        defaults: of settings, where they are not to be those of the table.
        by_hand: setting -> its code, where somebody has written the settings that are to stand in it.
    """
    known = {name for part in parts for name in templates.SETTINGS[part]}
    own = {name: value for name, value in defaults.items() if name in known}
    template = templates.environment().get_template("functions.py.j2")
    code = template.render(
        engine=engine,
        entry_point=entry_point(parts),
        blocks=parts,
        settings=by_hand if by_hand is not None else _settings(parts, own),
    )
    code = code.strip("\n") + "\n"
    return templates.Block(FUNCTIONS, code, {}, own, engine=engine, arguments={"parts": parts})


def _settings(parts: Set[str], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Return setting -> its code, of those that stand in a block."""
    spelt_out = {
        name: templates.OPTIONS[name].default for part in PARTS if part in parts for name in _SPELT_OUT[part]
    }
    return {name: templates.literal(value) for name, value in {**spelt_out, **defaults}.items()}
