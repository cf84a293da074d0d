"""Settles what the members of a class's blocks are called, where the class, or one that it is related to, has such a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set

from ..blocks import templates
from ..blocks.markers import Region
from ..blocks.wraps import ENTRY_POINTS
from ..finding.kin import Kin
from ..source.scopes import ClassInfo

_MEMBERS = frozenset(name for names in templates.MEMBERS.values() for name in names)
_METHODS = frozenset({"submit", "map", "priority", "queue_stats", "request_queue", "current_requests"})
"""Of the members, those that hide what a base, or a client inside, has of the same name; `close` goes on to the base's."""


def names_used(classes: Iterable[ClassInfo], kin: Mapping[int, Kin]) -> dict[int, set[str]]:
    """Return `id` of a class -> which of the names that blocks define it uses itself, or a class above or below it does.

    Where nothing is known of a base, that is any name of a method.

    Args:
        kin: `id` of a class -> the classes above and below it in other files.
    """
    own = {id(info): (info.used | info.defined) & _MEMBERS for info in classes}
    used = {key: set(names) for key, names in own.items()}
    for info in classes:
        for base in info.lineage():
            used[id(info)] |= own[id(base)]
            used[id(base)] |= own[id(info)]
    for info in classes:
        others = kin[id(info)]
        used[id(info)] |= others.used & _MEMBERS
        if others.out_of_sight:
            used[id(info)] |= _METHODS
        if _hands_names_on(info, others):
            used[id(info)] |= {*_METHODS, "close"}
    return used


def _hands_names_on(info: ClassInfo, kin: Kin) -> bool:
    """Return True if a class has a `__getattr__`: what it lacks may be there all the same, of a client inside it."""
    return "__getattr__" in kin.used or any("__getattr__" in cls.defined for cls in info.lineage())


def other_names(
    info: ClassInfo,
    kin: Kin,
    region: Region | None,
    block: str,
    used: Set[str],
    identifiers: frozenset[str],
    inherits: bool,
) -> dict[str, str]:
    """Return other names for what a block defines, where the class, or one that it is related to, uses the name for something else.

    Args:
        region: the block, if the class has an older one: the names that it has are its own already.
        inherits: it has bases, one of which may have a `close`.
    """
    has = re.findall(r"\w+", region.code) if region is not None else ()
    inherits = inherits and not _hands_names_on(info, kin)
    if block == "queue" and ("close" in info.defined or inherits):
        used = used - {"close"}  # what the class has, or inherits, is called by the block's
    names = {}
    for member in templates.MEMBERS[block]:
        if member in has or (region is not None and member in region.values):
            continue
        # The entry point is found again by its name, so no other code of the file may have it.
        taken = identifiers if member in ENTRY_POINTS.values() else used
        if member in taken:
            new = f"retrofit_{member.lstrip('_')}"
            new = f"_{new}" if member.startswith("_") else new
            while new in identifiers:
                new += "_"
            names[member] = new
    return names


def notes_of_names(info: ClassInfo, kin: Kin, names: Mapping[str, str]) -> list[str]:
    """Return what a user has to know of the names that the blocks do not have as usual."""
    own = {name for cls in info.lineage() for name in cls.used | cls.defined}
    handed_on = sorted(names.keys() - own) if _hands_names_on(info, kin) else []
    told = [
        f"the class uses `{member}` already, so the block's is called `{other}`"
        for member, other in sorted(names.items())
        if member not in handed_on
    ]
    if handed_on:
        told.append(
            f"its `__getattr__` may provide {', '.join(f'`{member}`' for member in handed_on)}; the block's are called `retrofit_...`"
        )
    return told
