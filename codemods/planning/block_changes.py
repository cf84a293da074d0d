"""Plans what becomes of a block that is there: it stays, is brought up to date, or goes."""

from __future__ import annotations

from dataclasses import replace

from ..blocks import configured, edited, functions, templates
from ..blocks.markers import Region
from ..blocks.removal import region_removal
from ..model import FUNCTIONS, BlockChange, Edit, Options, State
from ..source.fingerprints import fingerprint
from ..source.scopes import ClassInfo
from ..source.text import Source
from .block_states import state_of
from .insertion import layout, replacement


def plan_block(
    source: Source,
    region: Region,
    rendered: templates.Block | str,
    info: ClassInfo | None,
    engine: str,
    options: Options,
) -> tuple[BlockChange, Edit | None]:
    """Return what becomes of a block, and the edit of it, if there is one.

    Args:
        rendered: the block as it is made now, or why there is to be none.
        info: the class that it is in; None for the runtime.
        engine: the name by which the file knows the runtime's class.
    """
    name, line = region.block, region.first
    if isinstance(rendered, str):
        return BlockChange(name, line, "removed", rendered), region_removal(source, region)
    unit = layout(source, info)[1] if info is not None else "    "
    state = state_of(region, rendered, unit)
    if state is State.EDITED and options.merge and not options.overwrite_edited:
        rendered = edited.merged(region, rendered, engine, unit)
        edit = replacement(source, region, info, rendered)
        changed = source.text[edit.start : edit.end] != edit.text
        change = BlockChange(name, line, "merged" if changed else "kept", "with the edit made by hand", state)
        return change, edit if changed else None
    if state is State.CONFIGURED and not options.overwrite_edited:
        return _configured(source, region, rendered, info)
    if not region.changed and fingerprint(rendered.code) == region.fingerprint:
        reason = "reformatted" if state is State.REFORMATTED else ""
        return BlockChange(name, line, "kept", reason, state), None
    reason = "the edit made by hand is lost" if region.changed else ""
    return BlockChange(name, line, "upgraded", reason, state), replacement(source, region, info, rendered)


def _configured(
    source: Source, region: Region, rendered: templates.Block, info: ClassInfo | None
) -> tuple[BlockChange, Edit | None]:
    """Return what becomes of a block with defaults that somebody has given it: they stay, whatever else is new."""
    name, line, state = region.block, region.first, State.CONFIGURED
    by_hand = configured.own_defaults(region) or {}
    if name == "env_key":
        kept = "its own arguments"
        arguments = configured.key_arguments(region.code) or {}
        made = templates.block(name, rendered.engine, {}, **arguments)
        made = replace(made, mark=fingerprint(rendered.code))
    elif name == FUNCTIONS:
        kept = ", ".join(f"{option} = {code}" for option, code in by_hand.items())
        made = functions.with_own_defaults(rendered, region)
    else:
        kept = ", ".join(f"{option} = {code}" for option, code in by_hand.items())
        made = templates.with_own_defaults(rendered, by_hand)
    reason = f"with {kept}, as it stands there"
    if fingerprint(rendered.code) == region.fingerprint or fingerprint(made.code) == fingerprint(region.code):
        return BlockChange(name, line, "kept", reason, state), None
    return BlockChange(name, line, "upgraded", reason, state), replacement(source, region, info, made)
