"""Plans what is taken out of a file: all blocks, with the import and the wraps, or some of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from ..blocks.configured import is_edited
from ..blocks.find_markers import find_markers
from ..blocks.markers import Region, entry_points
from ..blocks.owners import Owners
from ..blocks.removal import region_removal, strip_edits, unwrap_edits
from ..finding.bindings import build
from ..finding.resolve import Names
from ..injection.injections import Injections
from ..model import BLOCKS, FUNCTIONS, BlockChange, CallSite, ClassPlan, Decision, Options, State
from ..source.scopes import ClassInfo, own_nodes
from ..source.text import apply
from ..source.wrapping import wraps_with
from ..tables.lookup import catalogue
from .additions import plan_additions
from .reading import Outcome, ReadFile


def plan_removals(file: ReadFile, options: Options) -> Outcome:
    """Plan the removal of the blocks that were asked for; of the last one, also of the import and the wraps."""
    regions = file.marks.regions
    if set(BLOCKS) <= set(options.blocks):  # all that a class can have, so that the module's goes, too
        options = replace(options, blocks=(*BLOCKS, FUNCTIONS))
    kept = [region for region in regions if region.block not in (*options.blocks, "runtime")]
    going = [region for region in regions if region.block in options.blocks]
    names = build(file.tree, catalogue(options.transports))
    owners = Owners(file.source, names.classes)
    classes = tuple(_removed(region, owners.of(region)) for region in going)
    if kept:
        return _plan_rest(file, options, kept, going, classes)
    sites = tuple(_unwrapped_sites(file, names))
    return Outcome(file, strip_edits(file.source, file.marks), Injections(), classes, sites)


def _removed(region: Region, info: ClassInfo | None) -> ClassPlan:
    state = State.EDITED if is_edited(region) else State.CONFIGURED if region.changed else State.CLEAN
    change = BlockChange(region.block, region.first, "removed", state=state)
    return ClassPlan(info.node.name if info is not None else "<module>", region.first, (change,))


def _unwrapped_sites(file: ReadFile, names: Names) -> Iterator[CallSite]:
    """Yield the calls whose wraps are taken out."""
    for owner, scope in names.scopes.items():
        for node in own_nodes(owner):
            if isinstance(node, ast.Call) and wraps_with(node) in file.marks.entry_points:
                inner = node.args[0]
                known = names.catalogue.transport(names.resolve(inner, scope))
                library = known.library.name if known is not None else "?"
                yield file.call_site(inner, scope.path, library, Decision.UNWRAPPED, "")


def _plan_rest(
    file: ReadFile,
    options: Options,
    kept: list[Region],
    going: list[Region],
    classes: tuple[ClassPlan, ...],
) -> Outcome:
    """Plan the removal of some blocks; calls go through the entry point of those that stay, then."""
    gone = (entry_points(going) | file.marks.left_over) - entry_points(kept)
    edits = [region_removal(file.source, region) for region in going]
    edits += unwrap_edits(file.source, file.marks, gone)
    source = file.source.with_text(apply(file.source.text, edits))
    blocks = tuple(block for block in (*BLOCKS, FUNCTIONS) if any(region.block == block for region in kept))
    rest = plan_additions(
        ReadFile(source, find_markers(source), file.place, file.project),
        replace(options, blocks=blocks, remove=False, runtime="auto"),
        only_classes_with_blocks=True,
    )
    return replace(rest, classes=(*classes, *rest.classes))
