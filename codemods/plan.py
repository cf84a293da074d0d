"""Plans what is to become of one file: a pure function of its bytes and the options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from . import classes, discover, markers, place, render
from .classes import ClassWork
from .libraries import MENTIONED
from .markers import Markers, Region
from .model import BLOCKS, BlockChange, CallSite, ClassPlan, Decision, Edit, FilePlan, Options, Problem
from .names import ClassInfo, build
from .source import Source, apply
from .strip import ENTRY_POINTS, entry_points, region_removal, span, strip, strip_edits, unwrap_edits
from .verify import Refusal, verify

__all__ = ["plan", "strip"]


def plan(data: bytes, path: Path, options: Options, in_package: bool = False) -> FilePlan:
    """Return what is to become of a file. Nothing is read or written; no code of the file is run.

    Args:
        data: the file's bytes.
        path: its name, for the report.
        options: what the user asked for.
        in_package: the file lies in a package, so that the runtime can lie beside it.
    """
    unchanged = FilePlan(path, data, data)
    mentioned = markers.MENTION.encode() in data
    if not mentioned and (options.remove or not MENTIONED.search(data)):
        return unchanged
    try:
        source = Source.decode(data)
        if source.encode(source.text) != data:
            raise Refusal(0, f"its encoding, {source.encoding}, does not give the same bytes back")
        found = markers.find(source)
        if found.problems:
            ast.parse(source.text)
            return replace(unchanged, problems=found.problems)
        planner = _Planner(source, path, found, options, in_package)
        planned = planner.remove() if options.remove else planner.add()
        verify(source, found, planned)
        return planned
    except Refusal as refusal:
        return replace(unchanged, problems=(refusal.problem,))
    except SyntaxError as error:
        return replace(unchanged, problems=(Problem(error.lineno or 0, f"it does not parse: {error.msg}"),))
    except (UnicodeError, LookupError) as error:
        return replace(unchanged, problems=(Problem(0, f"its encoding cannot be read: {error}"),))
    except ValueError as error:
        return replace(unchanged, problems=(Problem(0, f"it does not parse: {error}"),))
    except (RecursionError, MemoryError):
        return replace(unchanged, problems=(Problem(0, "its expressions are nested too deeply to be read"),))


class _Planner:
    """Plans one file."""

    def __init__(
        self, source: Source, path: Path, found: Markers, options: Options, in_package: bool
    ) -> None:
        self.source = source
        self.path = path
        self.found = found
        self.options = options
        self.in_package = in_package
        self.edits: list[Edit] = []
        self.sites: list[CallSite] = []
        self.class_plans: list[ClassPlan] = []
        for region in found.regions:
            self._check(region)
        self.text = markers.masked(source, found)
        self.tree = ast.parse(self.text)

    def _check(self, region: Region) -> None:
        if region.block not in render.VERSIONS:
            raise Refusal(region.first, f"there is no block called {region.block!r}; mend or delete it")
        if region.version > render.VERSIONS[region.block]:
            raise Refusal(
                region.first, f"the {region.block} block was made by a newer version of this tool; update it"
            )
        if region.edited and not self.options.overwrite_edited:
            raise Refusal(
                region.first,
                f"the {region.block} block was edited by hand; undo the edit, move it out of the block, "
                "or give --overwrite-edited to lose it",
            )

    def _result(self, needs_runtime: bool) -> FilePlan:
        before = self.source.encode(self.source.text)
        after = self.source.encode(apply(self.source.text, self.edits)) if self.edits else before
        self.sites.sort(key=lambda site: (site.line, site.column))
        return FilePlan(
            self.path, before, after, tuple(self.class_plans), tuple(self.sites), needs_runtime=needs_runtime
        )

    # Taking out.

    def remove(self) -> FilePlan:
        """Plan the removal of the blocks that were asked for; of the last one, also of the import and the wraps."""
        keep = [r for r in self.found.regions if r.block not in (*self.options.blocks, "runtime")]
        going = [r for r in self.found.regions if r.block in self.options.blocks]
        infos = build(self.tree).classes
        for region in going:
            change = BlockChange(region.block, region.first, "removed")
            info = place.owner(self.source, infos, region)
            name = info.node.name if info is not None else "<module>"
            self.class_plans.append(ClassPlan(name, region.first, (change,)))
        if not keep:
            self.edits = strip_edits(self.source, self.found)
            return self._result(False)
        return self._remove_some(keep, going)

    def _remove_some(self, keep: list[Region], going: list[Region]) -> FilePlan:
        """Plan the removal of some blocks; calls go through the entry point of those that stay, then."""
        self.edits = [region_removal(self.source, region) for region in going]
        gone = entry_points(going) - entry_points(keep)
        self.edits += unwrap_edits(self.source, self.found, gone)
        removed = self._result(False)
        source = Source.decode(removed.after)
        blocks = tuple(block for block in BLOCKS if any(region.block == block for region in keep))
        options = replace(self.options, blocks=blocks, remove=False, runtime="auto")
        rest = _Planner(source, self.path, markers.find(source), options, self.in_package).add(True)
        return replace(
            removed,
            after=rest.after,
            sites=rest.sites,
            classes=(*removed.classes, *rest.classes),
            needs_runtime=rest.needs_runtime,
        )

    # Putting in.

    def add(self, only_classes_with_blocks: bool = False) -> FilePlan:
        """Plan the blocks, the wraps and the runtime that the file needs."""
        self.names = build(self.tree)
        self.identifiers = frozenset(re.findall(r"\w+", self.text))
        known = entry_points(self.found.regions) | frozenset(ENTRY_POINTS.values())
        sites = discover.find(self.tree, self.names, known)
        self.regions_of = self._assign_regions()
        self.inline_engine = next((r for r in self.found.regions if r.block == "runtime"), None)
        self.engine = self._engine_name()
        works: dict[int, ClassWork] = {}
        refused: dict[int, str] = {}
        for info in self.names.classes:
            own = [
                s for s in sites if s.info is info and s.decision is not Decision.SKIPPED and self._wanted(s)
            ]
            regions = self.regions_of.get(id(info), {})
            if not regions and (not own or only_classes_with_blocks):
                continue
            if reason := classes.why_refused(info, self.source):
                refused[id(info)] = reason
                change = BlockChange("all", info.node.lineno, "skipped", reason)
                self.class_plans.append(ClassPlan(info.node.name, info.node.lineno, (change,)))
                continue
            works[id(info)] = classes.settle(
                info,
                frozenset(site.library.partition(".")[0] for site in own),
                [works[id(base)] for base in info.lineage() if id(base) in works],
                {name: region.values for name, region in regions.items()},
                self.options.blocks,
                self.names.classes,
                self.identifiers,
            )
        for site in sites:
            self._plan_site(site, works.get(id(site.info)), refused.get(id(site.info), ""))
        with_blocks = [work.info for work in works.values() if self._plan_class(work)]
        needs_runtime = bool(with_blocks) and self._plan_runtime(with_blocks)
        return self._result(needs_runtime)

    def _wanted(self, site: discover.Found) -> bool:
        return site.retry or self.options.existing != "skip" or site.wrapper is not None

    def _assign_regions(self) -> dict[int, dict[str, Region]]:
        """Return the blocks that each class has already."""
        result: dict[int, dict[str, Region]] = {}
        runtimes = [region for region in self.found.regions if region.block == "runtime"]
        if len(runtimes) > 1:
            raise Refusal(runtimes[1].first, "the file has two runtime blocks; delete one of them")
        for region in self.found.regions:
            if region.block == "runtime":
                continue
            info = self._owner(region)
            blocks = result.setdefault(id(info), {})
            if region.block in blocks:
                raise Refusal(
                    region.first, f"class {info.node.name} has two {region.block} blocks; delete one of them"
                )
            blocks[region.block] = region
        return result

    def _owner(self, region: Region) -> ClassInfo:
        info = place.owner(self.source, self.names.classes, region)
        if info is None:
            raise Refusal(
                region.first, f"this {region.block} block stands in no class; move it back or delete it"
            )
        return info

    def _engine_name(self) -> str:
        if self.inline_engine is not None:
            return self.inline_engine.values.get("engine", render.ENGINE)
        if self.found.engine:
            return self.found.engine
        return render.ENGINE if render.ENGINE not in self.identifiers else f"Retrofit{render.ENGINE}"

    def _plan_site(self, site: discover.Found, work: ClassWork | None, refused: str) -> None:
        decision, reason = self._decide(site, work, refused)
        line, column = site.node.lineno, site.node.col_offset + 1
        callee = ast.unparse(site.node)
        self.sites.append(CallSite(line, column, site.scope_name, callee, site.library, decision, reason))
        if decision is Decision.SKIPPED or work is None:
            return
        if site.wrapper is not None:
            self._rename_wrap(site.wrapper, work.entry_point)
            return
        start, stop = span(self.source, site.node)
        retry = "" if decision is Decision.WRAPPED else ", retry=False"
        self.edits.append(Edit(start, start, f"{site.owner}.{work.entry_point}("))
        self.edits.append(Edit(stop, stop, f"{retry})"))

    def _decide(self, site: discover.Found, work: ClassWork | None, refused: str) -> tuple[Decision, str]:
        if site.decision is Decision.SKIPPED:
            return site.decision, site.reason
        if refused:
            return Decision.SKIPPED, f"the class is refused: {refused}"
        if not self._wanted(site):
            return Decision.SKIPPED, site.reason
        if work is None or not work.entry_point:
            return Decision.SKIPPED, "neither the queue nor the backoff block was asked for"
        if site.wrapper is not None:
            if not site.wrapper.keywords:
                return Decision.WRAPPED, ""
            return Decision.QUEUED_ONLY, site.reason or "`retry=False` is written there"
        if site.retry or self.options.existing == "wrap":
            return Decision.WRAPPED, ""
        return Decision.QUEUED_ONLY, f"{site.reason}: queued, without a second backoff"

    def _rename_wrap(self, wrapper: ast.Call, entry_point: str) -> None:
        """Let a wrapped call go through another entry point, as when the queue comes to the backoff."""
        assert isinstance(wrapper.func, ast.Attribute)
        if wrapper.func.attr != entry_point:
            stop = span(self.source, wrapper.func)[1]
            self.edits.append(Edit(stop - len(wrapper.func.attr), stop, entry_point))

    def _plan_class(self, work: ClassWork) -> bool:
        """Plan the blocks of a class; return True if it has any then."""
        info = work.info
        changes: list[BlockChange] = []
        regions = self.regions_of.get(id(info), {})
        new: list[render.Block] = []
        for name in work.blocks:
            region = regions.get(name)
            rendered = classes.render_block(work, name, self.engine, self.options)
            if region is None:
                if isinstance(rendered, str):
                    changes.append(BlockChange(name, info.node.lineno, "skipped", rendered))
                else:
                    new.append(rendered)
                    changes.append(BlockChange(name, place.last_line(info.node), "added"))
            elif isinstance(rendered, str):
                self.edits.append(region_removal(self.source, region))
                changes.append(BlockChange(name, region.first, "removed", rendered))
            elif markers.fingerprint(rendered.code) == region.fingerprint and not region.edited:
                changes.append(BlockChange(name, region.first, "kept"))
            else:
                self.edits.append(place.replacement(self.source, region, info, rendered))
                changes.append(BlockChange(name, region.first, "upgraded"))
        for name in dict.fromkeys(work.inherited):
            if name not in work.blocks:
                changes.append(
                    BlockChange(name, info.node.lineno, "kept", "it is inherited from a base class")
                )
        if new:
            self.edits.append(place.append(self.source, info, new, regions.values()))
        notes = [
            f"the class uses `{member}` already, so the block's is called `{other}`"
            for member, other in sorted(work.names.items())
        ]
        self.class_plans.append(ClassPlan(info.node.name, info.node.lineno, tuple(changes), tuple(notes)))
        return bool(new or regions)

    # The runtime.

    def _plan_runtime(self, users: Iterable[ClassInfo]) -> bool:
        """Plan the import of the runtime, or the runtime itself; return True if it is to lie beside the file."""
        runtime, imported = self.inline_engine, self.found.import_line
        shared = self.options.runtime == "shared"
        if self.options.runtime == "auto":
            shared = runtime is None and (bool(imported) or self.in_package)
        if shared and not imported:
            self.edits.append(place.import_line(self.source, self.tree, users, self._import_line()))
        if shared and runtime is not None:
            self.edits.append(region_removal(self.source, runtime))
        if not shared and runtime is None:
            block = render.inline_runtime(self.engine)
            self.edits.append(place.runtime(self.source, self.tree, users, block))
        elif not shared and runtime is not None:
            block = render.inline_runtime(self.engine)
            if markers.fingerprint(block.code) != runtime.fingerprint or runtime.edited:
                self.edits.append(place.replacement(self.source, runtime, None, block))
        if not shared and imported:
            self.edits.append(markers.removal(self.source, imported, imported, 0))
        return shared

    def _import_line(self) -> str:
        dot = "." if self.in_package else ""
        alias = f" as {self.engine}" if self.engine != render.ENGINE else ""
        return f"from {dot}{render.RUNTIME_MODULE} import {render.ENGINE}{alias}  {markers.IMPORT_COMMENT}"
