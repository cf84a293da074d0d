"""Plans what is to become of one file: a pure function of its bytes and the options."""

from __future__ import annotations

import ast
import contextlib
import gc
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..blocks import edited, markers, templates, wraps
from ..blocks.markers import Markers, Region, entry_points
from ..blocks.owners import Owners
from ..blocks.removal import import_removal, region_removal, strip, strip_edits, unwrap, unwrap_edits
from ..blocks.wraps import ENTRY_POINTS, only_in_wraps, wraps_with
from ..finding import calls
from ..finding.bindings import build
from ..finding.resolve import Names
from ..model import (
    BLOCKS,
    BlockChange,
    CallSite,
    ClassPlan,
    Decision,
    Edit,
    FilePlan,
    Options,
    Problem,
    Refusal,
    State,
)
from ..source.fingerprints import fingerprint
from ..source.scopes import ClassInfo, own_nodes
from ..source.syntax import last_line, shown
from ..source.text import Source, apply, parse
from ..tables.libraries import Library
from ..tables.lookup import catalogue
from . import block_states, class_blocks, insertion
from .class_blocks import ClassWork
from .verify import verify

__all__ = ["plan", "strip"]

_MOST_TOKENS = 2_000_000
"""Of a large file; some seconds."""
_LONGEST_WITH_FSTRING = 100_000
_FSTRING = re.compile(r"(?<!\w)(?:[fF][rR]?|[rR][fF])['\"]")


def is_candidate(data: bytes, options: Options) -> bool:
    """Return False for a file that can have neither a call nor a block, as a quick look at its bytes tells."""
    if markers.MENTION.encode() in data or wraps.mentioned(data):
        return True
    return not options.remove and catalogue(options.transports).mentioned_in(data)


def plan(data: bytes, path: Path, options: Options, in_package: bool = False) -> FilePlan:
    """Return what is to become of a file. Nothing is read or written; no code of the file is run.

    Args:
        data: the file's bytes.
        path: its name, for the report.
        options: what the user asked for.
        in_package: the file lies in a package, so that the runtime can lie beside it.
    """
    unchanged = FilePlan(path, data, data)
    if not is_candidate(data, options):
        return unchanged
    if len(data) > options.largest and _is_candidate_without_texts(data, options):
        return replace(unchanged, problems=(Problem(0, _too_large(data, options)),))
    with _no_garbage_collection():
        return _plan(unchanged, options, in_package)


def _is_candidate_without_texts(data: bytes, options: Options) -> bool:
    """Return False for a large file that only speaks of requests: in its strings and comments, as data does.

    Its tokens are looked at one by one; the tree of such a file would take long, and much memory.
    """
    if markers.MENTION.encode() in data:
        return True
    pieces: list[str] = []
    try:
        text = Source.decode(data).text
        for number, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
            if number > _MOST_TOKENS:
                return True
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NEWLINE):
                pieces.append(f" {token.string}" if token.type == tokenize.NAME else token.string)
    except (SyntaxError, UnicodeError, LookupError, tokenize.TokenError, RecursionError, MemoryError):
        return True
    return is_candidate("".join(pieces).replace(". ", ".").encode(errors="replace"), options)


def _too_large(data: bytes, options: Options) -> str:
    return (
        f"it has {len(data):,} bytes, more than --max-size ({options.largest:,}); raise that, or move its data out "
        "of the code"
    )


def _check_lines(source: Source) -> None:
    """Refuse a line that Python itself, before 3.12, takes minutes for: the square of the length of an f-string."""
    for number in range(1, source.line_count + 1) if sys.version_info < (3, 12) else ():
        start, stop = source.line_start(number), source.line_end(number)
        if stop - start > _LONGEST_WITH_FSTRING and _FSTRING.search(source.text, start, stop):
            what = f"has {stop - start:,} characters and an f-string in it, which this version of Python would read for minutes"
            raise Refusal(number, f"the line {what}; break it up")


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Put garbage collection off: syntax trees are many objects and no garbage, and each round would go through them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _plan(unchanged: FilePlan, options: Options, in_package: bool) -> FilePlan:
    """Plan a file that may have calls or blocks."""
    data, path = unchanged.before, unchanged.path
    try:
        source = Source.decode(data)
        _check_lines(source)
        if source.encode(source.text) != data:
            raise Refusal(0, f"its encoding, {source.encoding}, does not give the same bytes back")
        found = markers.find(source)
        if found.problems:
            return replace(unchanged, problems=found.problems)
        planner = _Planner(source, path, found, options, in_package)
        planned = planner.remove() if options.remove else planner.add()
        if planned.changed and len(planned.after) > max(len(data), options.largest):
            reason = (
                f"it would have {len(planned.after):,} bytes then, more than --max-size ({options.largest:,})"
            )
            raise Refusal(0, f"{reason}, and could not be read again; raise that, or split the file")
        verify(source, found, planned, planner.tree)
        return planned
    except Refusal as refusal:
        return replace(unchanged, problems=(refusal.problem,))
    except SyntaxError as error:
        return replace(unchanged, problems=(Problem(error.lineno or 0, block_states.why_not_parsed(error)),))
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
        self.new_blocks: list[Edit] = []
        self.sites: list[CallSite] = []
        self.class_plans: list[ClassPlan] = []
        block_states.check_blocks(found, options)
        self.text = markers.masked(source, found)
        self.tree = self._parsed()

    def _parsed(self) -> ast.Module:
        try:
            return parse(self.text)
        except SyntaxError as error:
            if not self.found.regions:
                raise
            raise block_states.why_no_python(parse(self.source.text), self.found, error) from None

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
        names = build(self.tree, catalogue(self.options.transports))
        owners = Owners(self.source, names.classes)
        for region in going:
            state = State.EDITED if region.edited else State.CLEAN
            change = BlockChange(region.block, region.first, "removed", state=state)
            info = owners.of(region)
            name = info.node.name if info is not None else "<module>"
            self.class_plans.append(ClassPlan(name, region.first, (change,)))
        if not keep:
            self._tell_unwrapped(names, self.found.entry_points)
            self.edits = strip_edits(self.source, self.found)
            return self._result(False)
        return self._remove_some(keep, going)

    def _tell_unwrapped(self, names: Names, entry_points: frozenset[str]) -> None:
        """List the calls whose wraps are taken out."""
        for owner, scope in names.scopes.items():
            for node in own_nodes(owner):
                if isinstance(node, ast.Call) and wraps_with(node) in entry_points:
                    inner = node.args[0]
                    known = names.catalogue.transport(names.resolve(inner, scope))
                    library = known.library.name if known is not None else "?"
                    self._add_site(inner, scope.path, library, Decision.UNWRAPPED, "")

    def _remove_some(self, keep: list[Region], going: list[Region]) -> FilePlan:
        """Plan the removal of some blocks; calls go through the entry point of those that stay, then."""
        self.edits = [region_removal(self.source, region) for region in going]
        gone = (entry_points(going) | self.found.left_over) - entry_points(keep)
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
        self.names = build(self.tree, catalogue(self.options.transports))
        self.identifiers = frozenset(re.findall(r"\w+", self.text))
        self.identifiers -= self._names_of_wraps()
        sites = calls.find(self.tree, self.names, self.found.entry_points, self.options.guess)
        self.regions_of = block_states.blocks_by_class(self.source, self.names.classes, self.found)
        self.has_queue = "queue" in (*self.options.blocks, *(r.block for r in self.found.regions))
        self.inline_engine = next((r for r in self.found.regions if r.block == "runtime"), None)
        self.engine = self._engine_name()
        works: dict[int, ClassWork] = {}
        refused: dict[int, str] = {}
        used = class_blocks.names_used(self.names.classes)
        libraries: dict[int, set[Library]] = {}
        for site in sites:
            if site.info is not None and site.decision is not Decision.SKIPPED and self._wanted(site):
                own = libraries.setdefault(id(site.info), set())
                own.update([site.library] if site.library is not None else [])
        for info in self.names.classes:
            regions = self.regions_of.get(id(info), {})
            if not regions and (id(info) not in libraries or only_classes_with_blocks):
                continue
            if reason := class_blocks.why_refused(info, self.source):
                refused[id(info)] = reason
                change = BlockChange("all", info.node.lineno, "skipped", reason)
                self.class_plans.append(ClassPlan(info.node.name, info.node.lineno, (change,)))
                continue
            works[id(info)] = class_blocks.settle(
                info,
                frozenset(libraries.get(id(info), ())),
                [works[id(base)] for base in info.lineage() if id(base) in works],
                {name: region.values for name, region in regions.items()},
                self.options.blocks,
                used[id(info)],
                self.identifiers,
            )
        for site in sites:
            self._plan_site(site, works.get(id(site.info)), refused.get(id(site.info), ""))
        self.wrapped_by: dict[int, set[str]] = {}
        for site in sites:
            if site.wrapper is not None:
                self.wrapped_by.setdefault(id(site.info), set()).add(wraps.block_of(wraps_with(site.wrapper)))
        with_blocks = [work.info for work in works.values() if self._plan_class(work)]
        # Where a class ends with another one inside it, the inner one's blocks come first.
        self.edits += reversed(self.new_blocks)
        needs_runtime = bool(with_blocks) and self._plan_runtime(with_blocks)
        return self._result(needs_runtime)

    def _names_of_wraps(self) -> frozenset[str]:
        """Return the names of entry points that the file's code uses for nothing but wraps."""
        names = self.found.entry_points & self.identifiers
        return frozenset(name for name in names if only_in_wraps(self.tree, name))

    def _wanted(self, site: calls.Found) -> bool:
        if site.retry or site.wrapper is not None or self.options.existing == "wrap":
            return True
        return self.options.existing == "queue-only" and self.has_queue

    def _engine_name(self) -> str:
        if self.inline_engine is not None:
            return self.inline_engine.values.get("engine", templates.ENGINE)
        if self.found.engine:
            return self.found.engine
        return templates.ENGINE if templates.ENGINE not in self.identifiers else f"Retrofit{templates.ENGINE}"

    def _plan_site(self, site: calls.Found, work: ClassWork | None, refused: str) -> None:
        decision, reason = self._decide(site, work, refused)
        if decision is Decision.SKIPPED and site.wrapper is not None:
            decision, reason = self._decide_stray(site, reason)
        library = site.library.name if site.library is not None else "?"
        self._add_site(site.node, site.scope_name, library, decision, reason)
        if decision is Decision.UNWRAPPED and site.wrapper is not None:
            self.edits += unwrap(self.source, site.wrapper)
        if decision in (Decision.SKIPPED, Decision.UNWRAPPED) or work is None:
            return
        if site.wrapper is not None:
            self._rename_wrap(site.wrapper, work.entry_point)
            return
        start, stop = self.source.span(site.node)
        retry = "" if decision is Decision.WRAPPED else ", retry=False"
        opening = wraps.opening(self.source.text, start, f"{site.owner}.{work.entry_point}")
        self.edits.append(Edit(start, start, opening))
        self.edits.append(Edit(stop, stop, f"{retry})"))

    def _add_site(self, node: ast.expr, scope: str, library: str, decision: Decision, reason: str) -> None:
        line = node.lineno  # `ast` counts columns in bytes, readers and editors in characters
        column = self.source.offset(line, node.col_offset) - self.source.line_start(line) + 1
        self.sites.append(CallSite(line, column, scope, shown(node), library, decision, reason))

    def _decide_stray(self, site: calls.Found, reason: str) -> tuple[Decision, str]:
        """Decide about a wrap where there can be none: take it out if it cannot work as it stands."""
        lineage = site.info.lineage() if site.info is not None else ()
        regions = [region for cls in lineage for region in self.regions_of.get(id(cls), {}).values()]
        if site.stray or (site.info is not None and not entry_points(regions)):
            return Decision.UNWRAPPED, f"{reason}; its wrap was left over"
        return (
            Decision.SKIPPED,
            f"{reason}; it is wrapped, which works only with an instance that has the queue",
        )

    def _decide(self, site: calls.Found, work: ClassWork | None, refused: str) -> tuple[Decision, str]:
        if site.decision is Decision.SKIPPED:
            return site.decision, site.reason
        if refused:
            return Decision.SKIPPED, f"the class is refused: {refused}"
        if not self._wanted(site):
            what = "" if self.options.existing == "skip" else ", and the class has no queue"
            return Decision.SKIPPED, site.reason + what
        if work is None or not work.entry_point:
            return Decision.SKIPPED, "neither the queue nor the backoff block was asked for"
        if site.wrapper is not None:
            if not site.wrapper.keywords:
                return Decision.WRAPPED, site.reason if site.retry else ""
            return Decision.QUEUED_ONLY, site.reason or "`retry=False` is written there"
        if site.retry or self.options.existing == "wrap":
            return Decision.WRAPPED, site.reason
        if work.entry_point == work.names.get(ENTRY_POINTS["backoff"], ENTRY_POINTS["backoff"]):
            return Decision.SKIPPED, f"{site.reason}, and the class has no queue"
        return Decision.QUEUED_ONLY, f"{site.reason}: queued, without a second backoff"

    def _rename_wrap(self, wrapper: ast.Call, entry_point: str) -> None:
        """Let a wrapped call go through another entry point, as when the queue comes to the backoff."""
        assert isinstance(wrapper.func, ast.Attribute)
        if wrapper.func.attr != entry_point:
            stop = self.source.span(wrapper.func)[1]
            self.edits.append(Edit(stop - len(wrapper.func.attr), stop, entry_point))

    def _plan_class(self, work: ClassWork) -> bool:
        """Plan the blocks of a class; return True if it has any then."""
        info = work.info
        changes: list[BlockChange] = []
        regions = self.regions_of.get(id(info), {})
        new: list[templates.Block] = []
        told: list[str] = []
        for name in work.blocks:
            region = regions.get(name)
            rendered = class_blocks.render_block(work, name, self.engine, self.options)
            if region is not None:
                changes.append(self._plan_block(region, rendered, info))
            elif isinstance(rendered, str):
                changes.append(BlockChange(name, info.node.lineno, "skipped", rendered))
            else:
                new.append(rendered)
                if name == "env_key" and (note := class_blocks.key_note(work, rendered)):
                    told.append(note)
                changes.append(self._added(work, name))
        for name in dict.fromkeys(work.inherited):
            if name not in work.blocks:
                changes.append(
                    BlockChange(name, info.node.lineno, "kept", "it is inherited from a base class")
                )
        if new:
            self.new_blocks.append(insertion.append(self.source, info, new, regions.values()))
        notes = [
            f"the class uses `{member}` already, so the block's is called `{other}`"
            for member, other in sorted(work.names.items())
        ]
        notes += [*class_blocks.notes(work, self.identifiers), *told]
        self.class_plans.append(ClassPlan(info.node.name, info.node.lineno, tuple(changes), tuple(notes)))
        return bool(new or regions)

    def _added(self, work: ClassWork, name: str) -> BlockChange:
        """Tell of a new block; of one that was there before, as the calls show, also that."""
        line = last_line(work.info.node)
        if name in self.wrapped_by.get(id(work.info), ()):
            reason = "its calls are wrapped already, and it was gone; --remove takes all of it out"
            return BlockChange(name, line, "added", reason, State.ORPHANED)
        return BlockChange(name, line, "added")

    def _plan_block(
        self, region: Region, rendered: templates.Block | str, info: ClassInfo | None
    ) -> BlockChange:
        """Plan what becomes of a block that is there: it stays, is brought up to date, or goes."""
        name, line = region.block, region.first
        if isinstance(rendered, str):
            self.edits.append(region_removal(self.source, region))
            return BlockChange(name, line, "removed", rendered)
        unit = insertion.layout(self.source, info)[1] if info is not None else "    "
        state = block_states.state_of(region, rendered, unit)
        if state is State.EDITED and self.options.merge and not self.options.overwrite_edited:
            rendered = edited.merged(region, rendered, self.engine, unit)
            edit = insertion.replacement(self.source, region, info, rendered)
            if self.source.text[edit.start : edit.end] == edit.text:
                return BlockChange(name, line, "kept", "with the edit made by hand", state)
            self.edits.append(edit)
            return BlockChange(name, line, "merged", "with the edit made by hand", state)
        if state is not State.EDITED and fingerprint(rendered.code) == region.fingerprint:
            return BlockChange(name, line, "kept", "reformatted" if state is State.REFORMATTED else "", state)
        self.edits.append(insertion.replacement(self.source, region, info, rendered))
        return BlockChange(
            name, line, "upgraded", "the edit made by hand is lost" if region.edited else "", state
        )

    # The runtime.

    def _plan_runtime(self, users: Iterable[ClassInfo]) -> bool:
        """Plan the import of the runtime, or the runtime itself; return True if it is to lie beside the file."""
        runtime, imported = self.inline_engine, self.found.import_line
        shared = self.options.runtime == "shared"
        if self.options.runtime == "auto":
            shared = runtime is None and (bool(imported) or self.in_package)
        if shared and not imported:
            self.edits.append(insertion.import_line(self.source, self.tree, users, self._import_line()))
        if shared and runtime is not None:
            self.edits.append(region_removal(self.source, runtime))
        if not shared and runtime is None:
            block = templates.inline_runtime(self.engine)
            self.edits.append(insertion.runtime(self.source, self.tree, users, block))
        elif not shared and runtime is not None:
            change = self._plan_block(runtime, templates.inline_runtime(self.engine), None)
            if change.change != "kept" or change.state is State.EDITED:
                self.class_plans.append(ClassPlan("<module>", runtime.first, (change,)))
        if not shared and imported:
            self.edits.append(import_removal(self.source, self.found))
        return shared

    def _import_line(self) -> str:
        dot = "." if self.in_package else ""
        alias = f" as {self.engine}" if self.engine != templates.ENGINE else ""
        return (
            f"from {dot}{templates.RUNTIME_MODULE} import {templates.ENGINE}{alias}  {markers.IMPORT_COMMENT}"
        )
