"""Tells what has become of the blocks that are in a file, and refuses those that must not be touched unasked."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from ..blocks import templates
from ..blocks.configured import is_edited
from ..blocks.markers import Markers, Region
from ..blocks.owners import Owners
from ..model import FUNCTIONS, Options, Refusal, State
from ..source.fingerprints import fingerprint
from ..source.scopes import ClassInfo
from ..source.text import Source
from . import newer_syntax

_CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ")
"""What the lines begin with that git puts around both sides of a conflict."""
OF_MODULE = ("runtime", FUNCTIONS)
"""The blocks that stand in no class."""
LayoutOfClass = dict[int, dict[str, Region]]
"""`id` of a class's ClassInfo -> block -> where it stands."""


def check_blocks(marks: Markers, options: Options) -> None:
    """Refuse a file with blocks that this tool does not know, or that were edited by hand and are not to be lost."""
    seen: dict[str, int] = {}
    for region in marks.regions:
        name = region.block
        if name not in templates.VERSIONS:
            reason = f"there is no block called {name!r}; fix its name, or delete it"
            raise Refusal(region.first, reason, State.DAMAGED)
        if region.version > templates.VERSIONS[name]:
            reason = f"the {name} block was made by a newer version of this tool (v{region.version}); update the tool"
            raise Refusal(region.first, reason, State.NEWER)
        if name in seen:
            reason = f"the file has two {name} blocks, the other in line {seen[name]}; delete one of them"
            raise Refusal(region.first, reason, State.DUPLICATED)
        if name in OF_MODULE:
            seen[name] = region.first
        merged = options.merge and not options.remove
        if not merged and not options.overwrite_edited and is_edited(region):
            raise Refusal(region.first, _edited(name, options.remove), State.EDITED)


def _edited(name: str, remove: bool) -> str:
    ways = "undo the edit, or move it out of the block"
    if remove:
        return f"the {name} block was edited by hand; {ways}, or give --overwrite-edited to remove it anyway"
    return (
        f"the {name} block was edited by hand; {ways}, or give --merge to keep it and bring the rest up to date, "
        "or --overwrite-edited to lose it"
    )


def blocks_by_class(source: Source, classes: Iterable[ClassInfo], marks: Markers) -> LayoutOfClass:
    """Return the blocks that each class has; refuse a block that is in no class, or twice in one."""
    result: LayoutOfClass = {}
    owners = Owners(source, classes)
    for region in marks.regions:
        if region.block in OF_MODULE:
            continue
        info = owners.of(region)
        if info is None:
            reason = (
                f"this {region.block} block is in no class; move it back, or delete lines {region.first} to "
                f"{region.last}"
            )
            raise Refusal(region.first, reason, State.ORPHANED)
        blocks = result.setdefault(id(info), {})
        if other := blocks.get(region.block):
            reason = (
                f"class {info.node.name} has two {region.block} blocks, the other in line {other.first}; delete one of "
                f"them, such as lines {region.first} to {region.last}, or take all out with --remove and run again"
            )
            raise Refusal(region.first, reason, State.DUPLICATED)
        blocks[region.block] = region
    return result


def why_no_python(tree: ast.Module, marks: Markers, error: SyntaxError) -> Refusal:
    """Return the refusal of a file that does not parse without its blocks.

    Args:
        tree: of the file with its blocks.
        error: what the parser says of it without them.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and all(_is_in(marks.regions, part) for part in node.body):
            reason = f"class {node.name} has nothing but its blocks; delete it, or write `pass` above them, and run again"
            return Refusal(node.lineno, reason, State.ORPHANED)
    reason = "without the blocks this does not parse: a block is in the middle of other code; move it to its class's end"
    return Refusal(error.lineno or 0, reason, State.ORPHANED)


def _is_in(regions: Iterable[Region], node: ast.stmt) -> bool:
    return any(region.first < node.lineno < region.last for region in regions)


def why_not_parsed(error: SyntaxError) -> str:
    """Return why a file does not parse, and what to do where git has left both sides of a conflict in it."""
    if (error.text or "").startswith(_CONFLICT):
        return "both sides of a merge are here; resolve it (in a block take either side), and run again"
    reason = f"it does not parse: {error.msg}"
    newer = newer_syntax.hint(error.text or "")
    return f"{reason}; {newer}" if newer else reason


def state_of(region: Region, made: templates.Block, unit: str) -> State:
    """Return the state of a block that is in its place.

    Args:
        made: the block as it would be made now.
        unit: the white space of one level of indentation there.
    """
    if region.changed:
        return State.EDITED if is_edited(region) else State.CONFIGURED
    if region.fingerprint != fingerprint(made.code):
        return State.CLEAN  # an older form, whose layout is not known
    lines = templates.indented(made.code.rstrip("\n").split("\n"), "", unit)
    return State.CLEAN if region.code.strip("\n") == "\n".join(lines) else State.REFORMATTED
