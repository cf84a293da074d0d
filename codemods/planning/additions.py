"""Plans what a file gets: the blocks of its classes, the wraps around its calls, and the runtime.

Each step hands its values to the next: call sites -> a decision about each, and the classes that get blocks -> the
changes of the calls, of the blocks, of the runtime.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..blocks import markers, templates
from ..blocks.markers import Region, entry_points
from ..blocks.removal import import_removal, region_removal, unwrap
from ..blocks.wraps import after_a_word, block_of, only_in_wraps, word_of
from ..finding import calls
from ..finding.calls import Site
from ..finding.kin import kin_of
from ..finding.resolve import Names
from ..finding.self_documenting import shown_as_written
from ..finding.tests import is_test_class
from ..injection.add_blocks import NewBlocks
from ..injection.add_functions import NewFunctions
from ..injection.add_import import NewImport
from ..injection.add_runtime import NewRuntime
from ..injection.injections import Injections
from ..injection.wrap_calls import Rewrap, Wrap
from ..model import BlockChange, CallSite, ClassPlan, Decision, Edit, Options, Place, State
from ..source.scopes import ClassInfo
from ..source.syntax import last_line
from ..source.text import Source
from ..source.wrapping import wraps_with
from . import class_blocks, functions, insertion, keys, member_names
from .block_changes import plan_block
from .block_states import blocks_by_class
from .class_blocks import ClassWork
from .decisions import Home, SiteDecision, decide
from .functions import ModuleQueue, plan_functions
from .opt_outs import WORDS, OptOuts, written
from .reading import Outcome, ReadFile


def plan_additions(file: ReadFile, options: Options, only_classes_with_blocks: bool = False) -> Outcome:
    """Plan the blocks, the wraps and the runtime that a file needs.

    Args:
        only_classes_with_blocks: classes that have none get none.
    """
    names = file.names(options)
    words = _words(file)
    engine = _engine_name(file, words)
    sites = calls.find(file.tree, names, file.marks.entry_points, options.guess)
    sites = _without_shown(file, sites)
    regions = blocks_by_class(file.source, names.classes, file.marks)
    settled = _settle(file, names, sites, regions, words, options, only_classes_with_blocks)
    blocks = [
        _plan_class(file, work, regions.get(id(work.info), {}), settled.wrapped_by, words, engine, options)
        for work in settled.works
    ]
    module_queue = plan_functions(file, settled.module, settled.decisions, engine, options)
    users = [planned.info.node.lineno for planned in blocks if planned.has_blocks]
    users += [module_queue.first_use] if module_queue.first_use else []
    runtime = _plan_runtime(file, min(users), engine, options) if users else _RuntimePlan()
    new_functions = None
    if module_queue.new is not None:
        runtime, new_functions = _with_functions(file, runtime, module_queue.first_use, module_queue.new)
    edits = [edit for decision in settled.decisions for edit in _left_over_wraps(file.source, decision)]
    edits += [edit for planned in blocks for edit in planned.edits]
    edits += [*module_queue.edits, *runtime.edits]
    injections = Injections(
        tuple(change for decision in settled.decisions for change in _calls(file.source, decision)),
        tuple(planned.new for planned in blocks if planned.new is not None),
        runtime.head,
        new_functions,
    )
    classes = (*settled.told, *module_queue.told, *(planned.told for planned in blocks), *runtime.told)
    told = tuple(_told(file, decision) for decision in settled.decisions)
    return Outcome(file, edits, injections, classes, told, runtime.beside)


def _without_shown(file: ReadFile, sites: list[Site]) -> list[Site]:
    """Return the call sites with an obstacle to each whose text a string shows, which a wrap would change."""
    shown = shown_as_written(file.source, file.tree) if sites else frozenset()
    reason = 'an f-string shows its text (`f"{...=}"`), which would change'
    return [
        replace(site, info=None, of_module=False, obstacle=reason) if id(site.node) in shown else site
        for site in sites
    ]


def _words(file: ReadFile) -> frozenset[str]:
    """Return every word of the file, but for the names of entry points that its code uses for nothing but wraps."""
    words = frozenset(re.findall(r"\w+", file.text))
    names = frozenset(map(word_of, file.marks.entry_points))
    return words - {name for name in names & words if only_in_wraps(file.tree, name)}


def _engine_name(file: ReadFile, words: frozenset[str]) -> str:
    """Return the name by which the file knows the runtime's class, or is to know it."""
    inline = file.inline_runtime
    if inline is not None:
        return inline.values.get("engine", templates.ENGINE)
    if file.marks.engine:
        return file.marks.engine
    return templates.ENGINE if templates.ENGINE not in words else f"Retrofit{templates.ENGINE}"


# The call sites, and the classes that they call for.


@dataclass(frozen=True)
class _Settled:
    """What is decided about the call sites, and the classes that have or get blocks.

    Attributes:
        told: of classes that are refused blocks, and of comments that say nothing.
        wrapped_by: `id` of a class -> the blocks that define what its calls go through already.
        module: the queue that the module has, or is to have.
    """

    decisions: list[SiteDecision]
    works: list[ClassWork]
    told: list[ClassPlan]
    wrapped_by: dict[int, set[str]]
    module: ModuleQueue | None


def _settle(
    file: ReadFile,
    names: Names,
    sites: list[Site],
    regions: Mapping[int, Mapping[str, Region]],
    words: frozenset[str],
    options: Options,
    only_classes_with_blocks: bool,
) -> _Settled:
    """Decide about each call site, and by that which classes get blocks; base classes come before those made of them."""
    sites_of: dict[int, list[Site]] = defaultdict(list)
    for site in sites:
        sites_of[id(site.info) if site.info is not None else 0].append(site)
    opt_outs = OptOuts(file.source.with_text(file.text), file.tree)
    module = functions.settle(file, sites, words, options)
    decisions = [
        decide(site, module.home_of(site) if module else None, options, opt_outs.of(site.node))
        for site in sites_of[0]
    ]
    kin = {id(info): kin_of(names, info) for info in names.classes}
    used = member_names.names_used(names.classes, kin)
    works: dict[int, ClassWork] = {}
    told: list[ClassPlan] = []
    for info in names.classes:
        own = regions.get(id(info), {})
        if not own and not sites_of[id(info)]:
            continue
        why_refused = class_blocks.why_refused(info, kin[id(info)], file.source)
        if not own and not file.is_test_file and is_test_class(info):
            why_refused = "it is a test class, where retries would only make a failure late"
        work = None
        if own or not only_classes_with_blocks:
            work = class_blocks.settle(
                info,
                [works[id(base)] for base in info.lineage() if id(base) in works],
                kin[id(info)],
                own,
                options.blocks,
                used[id(info)],
                words,
            )
        in_file = [region for cls in info.lineage() for region in regions.get(id(cls), {}).values()]
        home = Home(why_refused, work.entry_point if work is not None else "", bool(entry_points(in_file)))
        decided = [decide(site, home, options, opt_outs.of(site.node)) for site in sites_of[id(info)]]
        decisions += decided
        calling = [decision.site.library for decision in decided if decision.calls_for_blocks]
        if work is None or not (own or calling):
            continue
        if why_refused:
            change = BlockChange("all", info.node.lineno, "skipped", why_refused)
            told.append(ClassPlan(info.node.name, info.node.lineno, (change,)))
        else:
            libraries = frozenset(library for library in calling if library is not None)
            work = replace(work, libraries=libraries)
            works[id(info)] = replace(work, key=class_blocks.key_of(work, options))
    for library, line in names.not_covered().items():
        note = f"{library} is not in the table of libraries: its calls are not queued; name its client in [tool.backend-retrofit]"
        told.append(ClassPlan("<module>", line, (), (note,)))
    for line, word in opt_outs.unknown:
        note = f"{written(word)} says nothing to this tool; it is {' or '.join(map(written, WORDS))}"
        told.append(ClassPlan("<module>", line, (), (note,)))
    wrapped_by: dict[int, set[str]] = defaultdict(set)
    for site in sites:
        if site.wrapper is not None:
            wrapped_by[id(site.info)].add(block_of(wraps_with(site.wrapper)))
    return _Settled(decisions, list(works.values()), told, wrapped_by, module)


def _told(file: ReadFile, decision: SiteDecision) -> CallSite:
    site = decision.site
    library = site.library.name if site.library is not None else "?"
    told = file.call_site(site.node, site.scope_name, library, decision.decision, decision.reason)
    return replace(told, of_module=site.of_module)


def _left_over_wraps(source: Source, decision: SiteDecision) -> Iterable[Edit]:
    """Return the edits that take the wrap of a call site out."""
    wrapper = decision.site.wrapper
    return unwrap(source, wrapper) if wrapper and decision.decision is Decision.UNWRAPPED else ()


def _calls(source: Source, decision: SiteDecision) -> Iterator[Wrap | Rewrap]:
    """Yield how a call site is wrapped, or how its wrap goes through another entry point."""
    site, entry_point = decision.site, decision.entry_point
    if not entry_point:
        return
    retry = decision.decision is Decision.WRAPPED
    if site.wrapper is None:
        span = source.span(site.node)
        yield Wrap(span, site.owner, word_of(entry_point), retry, after_a_word(source.text, span[0]))
    else:
        retry = retry or bool(site.wrapper.keywords)
        if not retry or wraps_with(site.wrapper) != entry_point:  # as when the queue comes to the backoff
            yield Rewrap(source.span(site.wrapper), site.owner, word_of(entry_point), retry)


# The blocks.


@dataclass(frozen=True)
class _ClassEdits:
    """What becomes of the blocks of a class.

    Attributes:
        edits: of the blocks that it has.
        new: the blocks that it gets.
        has_blocks: it has any afterwards.
    """

    info: ClassInfo
    told: ClassPlan
    edits: list[Edit]
    new: NewBlocks | None
    has_blocks: bool


def _plan_class(
    file: ReadFile,
    work: ClassWork,
    regions: Mapping[str, Region],
    wrapped_by: Mapping[int, set[str]],
    words: frozenset[str],
    engine: str,
    options: Options,
) -> _ClassEdits:
    """Plan the blocks of a class: new ones at its end, and what becomes of those that it has."""
    info = work.info
    changes: list[BlockChange] = []
    edits: list[Edit] = []
    new: list[templates.Block] = []
    notes = member_names.notes_of_names(info, work.kin, work.names) + class_blocks.notes(work, words)
    variables: tuple[str, ...] = ()
    for name in work.blocks:
        rendered = class_blocks.render_block(work, name, engine, options)
        if name == "env_key" and not isinstance(rendered, str):
            variables = keys.variables_in(rendered.code)
        if name in regions:
            change, edit = plan_block(file.source, regions[name], rendered, info, engine, options)
            changes.append(change)
            edits += [edit] if edit is not None else []
        elif isinstance(rendered, str):
            changes.append(BlockChange(name, info.node.lineno, "skipped", rendered))
        else:
            new.append(rendered)
            changes.append(_added(info, name, was_there=name in wrapped_by.get(id(info), ())))
            if name == "env_key" and (note := class_blocks.key_note(work)):
                notes.append(note)
    for name in dict.fromkeys(work.inherited):
        if name not in work.blocks:
            changes.append(BlockChange(name, info.node.lineno, "kept", "it is inherited from a base class"))
    told = ClassPlan(info.node.name, info.node.lineno, tuple(changes), tuple(notes), variables)
    added = insertion.append(file.source, info, new) if new else None
    return _ClassEdits(info, told, edits, added, bool(new or regions))


def _added(info: ClassInfo, name: str, was_there: bool) -> BlockChange:
    """Tell of a new block; of one that was there before, as the calls show, also that."""
    line = last_line(info.node)
    if was_there:
        reason = "its calls are wrapped already, and it was gone; --remove takes all of it out"
        return BlockChange(name, line, "added", reason, State.ORPHANED)
    return BlockChange(name, line, "added")


# The runtime.


@dataclass(frozen=True)
class _RuntimePlan:
    """How the file comes by the runtime; `beside` is True if it imports one that is to lie beside it."""

    head: NewImport | NewRuntime | None = None
    edits: tuple[Edit, ...] = ()
    told: tuple[ClassPlan, ...] = ()
    beside: bool = False


def _plan_runtime(file: ReadFile, first_use: int, engine: str, options: Options) -> _RuntimePlan:
    """Plan the import of the runtime, or the runtime itself.

    Args:
        first_use: the line of the first class that has blocks, or of the first call through the module's queue.
    """
    inline, imported = file.inline_runtime, bool(file.marks.import_line)
    kind = _kind(file, inline, options)
    head: NewImport | NewRuntime | None = None
    edits: list[Edit] = []
    told: list[ClassPlan] = []
    shared = kind != "inline"
    place = Place(markers.DISTRIBUTION) if kind == "package" else file.place
    if shared and not imported:
        head = insertion.import_line(file.source, file.tree, first_use, _import_of(place, engine))
    elif shared and file.marks.place != place:
        edits.append(_other_import(file, _import_of(place, engine)))
    if shared and inline is not None:
        edits.append(region_removal(file.source, inline))
    if not shared and inline is None:
        block = templates.inline_runtime(engine)
        head = insertion.runtime(file.source, file.tree, first_use, block)
    elif not shared and inline is not None:
        block = templates.inline_runtime(engine)
        change, edit = plan_block(file.source, inline, block, None, engine, options)
        edits += [edit] if edit is not None else []
        if change.change != "kept" or change.state is State.EDITED:
            told.append(ClassPlan("<module>", inline.first, (change,)))
    if not shared and imported:
        edits.append(import_removal(file.source, file.marks))
    return _RuntimePlan(head, tuple(edits), tuple(told), kind == "shared")


def _kind(file: ReadFile, inline: Region | None, options: Options) -> str:
    """Return how the file comes by the runtime: as was asked for, or as it does already, or shared with others."""
    if options.runtime != "auto":
        return options.runtime if options.runtime in ("package", "inline") else "shared"
    if file.marks.place == Place(markers.DISTRIBUTION):
        return "package"
    imported = bool(file.marks.import_line)
    return "inline" if inline is not None or not (imported or file.place.can_share) else "shared"


def _other_import(file: ReadFile, code: str) -> Edit:
    """Return the edit that puts another import of the runtime in the place of the present one."""
    source, marks = file.source, file.marks
    text = source.newline_at(marks.import_line).join(code.split("\n"))
    return Edit(source.line_start(marks.import_line), source.line_end(marks.import_last), text)


def _with_functions(
    file: ReadFile, runtime: _RuntimePlan, first_use: int, block: templates.Block
) -> tuple[_RuntimePlan, NewFunctions | None]:
    """Return how the file comes by the runtime and the block of its functions, which stands below that."""
    head = runtime.head
    if isinstance(head, NewRuntime):
        return replace(runtime, head=insertion.runtime_with(head, block)), None
    marks = file.marks
    if head is None and marks.import_line > insertion.first_line_of(file.tree, first_use):
        # A class further down was the first that needed it.
        moved = import_removal(file.source, marks)
        line = "\n".join(file.source.text[moved.start : moved.end].strip("\r\n").splitlines())
        head = insertion.import_line(file.source, file.tree, first_use, line)
        runtime = replace(runtime, head=head, edits=(*runtime.edits, moved))
    new = insertion.functions(file.source, file.tree, first_use, block, head, marks.import_line)
    return (replace(runtime, head=None) if new.import_line else runtime), new


def _import_of(place: Place, engine: str) -> str:
    """Return the import of the runtime; where the file may also be run as a script, it asks how it is run."""
    alias = f" as {engine}" if engine != templates.ENGINE else ""
    code = f"from {place.module} import {templates.ENGINE}{alias}"
    if not place.alone:
        return f"{code}  {markers.IMPORT_COMMENT}"
    alone = f"from {place.alone} import {templates.ENGINE}{alias}"
    return f"if __package__:\n    {code}  {markers.IMPORT_COMMENT}\nelse:  # run as a script\n    {alone}"
