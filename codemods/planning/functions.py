"""Plans the queue of a module, which its functions and static methods share: asked for with `--functions`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..blocks import functions as block
from ..blocks.markers import Region
from ..blocks.templates import Block
from ..finding.calls import Site
from ..model import FUNCTIONS, BlockChange, ClassPlan, Edit, Options, State
from ..source.wrapping import OF_MODULE, wraps_with
from .block_changes import plan_block
from .decisions import Home, SiteDecision
from .reading import ReadFile

_GONE = "its calls are wrapped already, and it was gone; --remove takes all of it out"


@dataclass(frozen=True)
class ModuleQueue:
    """The block that a module has or could get.

    Attributes:
        region: where it stands, if it is there.
        parts: `queue`, `backoff`, or both.
        refused: why the module cannot have it, or nothing.
        was_there: calls go through it, and it is not there.
    """

    region: Region | None
    parts: frozenset[str]
    refused: str
    was_there: bool

    def home_of(self, site: Site) -> Home | None:
        """Return what a decision asks of the module; None where a call goes through an instance that it is given."""
        wrapper = site.wrapper
        if not site.of_module or (
            wrapper and not wraps_with(wrapper).startswith(OF_MODULE) and not site.stray
        ):
            return None
        entry_point = OF_MODULE + block.entry_point(self.parts)
        return Home(self.refused, entry_point, self.region is not None, "module")


@dataclass(frozen=True)
class FunctionsPlan:
    """What becomes of the block.

    Attributes:
        first_use: the line of the first call that goes through it; 0 if there is none.
        new: the block, if it is to be added.
    """

    told: tuple[ClassPlan, ...] = ()
    edits: tuple[Edit, ...] = ()
    first_use: int = 0
    new: Block | None = None


def settle(
    file: ReadFile, sites: Iterable[Site], words: frozenset[str], options: Options
) -> ModuleQueue | None:
    """Return the queue of the module; None if it has none, and is to have none.

    Args:
        words: every word of the file, without those of wraps.
    """
    region = next((region for region in file.marks.regions if region.block == FUNCTIONS), None)
    wrappers = [wraps_with(site.wrapper) for site in sites if site.wrapper is not None]
    was_there = region is None and any(name.startswith(OF_MODULE) for name in wrappers)
    asked = FUNCTIONS in options.blocks
    if not (asked or region or was_there):
        return None
    parts = block.parts_of(region) if region is not None else frozenset()
    if asked or not parts:
        parts |= frozenset(options.blocks) & frozenset(block.PARTS)
    parts = parts or frozenset(block.PARTS)
    return ModuleQueue(
        region, parts, _why_refused(file, region, block.entry_point(parts), words, options), was_there
    )


def _why_refused(
    file: ReadFile, region: Region | None, name: str, words: frozenset[str], options: Options
) -> str:
    if name in words:
        return f"it uses the name `{name}`{_where(file.tree, name)} itself"
    inline = any(other.block == "runtime" for other in file.marks.regions)
    if region is None and inline and options.runtime != "shared":
        return "the runtime is in it already, below its imports; take it out with --remove, and run again"
    return ""


def _where(tree: ast.Module, name: str) -> str:
    """Say where a name is used first, if that is code."""
    lines = [
        int(getattr(node, "lineno", 0))
        for node in ast.walk(tree)
        if name in (getattr(node, "id", ""), getattr(node, "name", ""), getattr(node, "arg", ""), getattr(node, "attr", ""))
    ]  # fmt: skip
    return f" (line {min(lines)})" if lines else ""


def plan_functions(
    file: ReadFile,
    queue: ModuleQueue | None,
    decisions: Sequence[SiteDecision],
    engine: str,
    options: Options,
) -> FunctionsPlan:
    """Plan the block of a module.

    Args:
        decisions: about the call sites of the file.
        engine: the name by which the file knows the runtime's class.
    """
    if queue is None:
        return FunctionsPlan()
    lines = [
        decision.site.node.lineno
        for decision in decisions
        if decision.entry_point.startswith(OF_MODULE)
    ]  # fmt: skip
    calling = [decision for decision in decisions if decision.site.of_module and decision.calls_for_blocks]
    line = queue.region.first if queue.region else min((d.site.node.lineno for d in calling), default=0)
    if queue.refused:
        change = BlockChange(FUNCTIONS, line, "skipped", queue.refused)
        return FunctionsPlan((ClassPlan("<module>", line, (change,)),) if line else ())
    rendered = block.block(engine, queue.parts, dict(options.settings))
    if queue.region is not None:
        change, edit = plan_block(file.source, queue.region, rendered, None, engine, options)
        told = ClassPlan("<module>", line, (change,))
        return FunctionsPlan((told,), (edit,) if edit is not None else (), min([line, *lines]))
    if not lines:
        return FunctionsPlan()
    state, reason = (State.ORPHANED, _GONE) if queue.was_there else (State.CLEAN, "")
    change = BlockChange(FUNCTIONS, min(lines), "added", reason, state)
    return FunctionsPlan((ClassPlan("<module>", min(lines), (change,)),), (), min(lines), rendered)
