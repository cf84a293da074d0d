"""Plans what is to become of one file: a pure function of its bytes and the options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import libcst

from . import api_keys, discover, markers, render
from .libraries import MENTIONED
from .markers import Markers, Region
from .model import (
    BLOCKS,
    BlockChange,
    CallSite,
    ClassPlan,
    Decision,
    Edit,
    FilePlan,
    Options,
    Problem,
)
from .names import ClassInfo, Names, Scope, build, decorator_name
from .source import Source, apply

ENTRY_POINTS = {"queue": "_queued", "backoff": "_retried"}
_MODEL_BASES = frozenset({"BaseModel", "BaseSettings", "SQLModel", "Struct", "Model"})
_HARMLESS_BASES = frozenset({"object", "ABC", "Generic", "Protocol"})
_REFUSED_BASES = {
    "NamedTuple": "a NamedTuple cannot be referred to weakly, which the queue needs",
    "TypedDict": "a TypedDict has no methods",
    "Enum": "the members of an Enum are its attributes",
    "IntEnum": "the members of an Enum are its attributes",
    "StrEnum": "the members of an Enum are its attributes",
}


class Refusal(Exception):
    """The file is to be left alone."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(line, reason)


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
        ast.parse(source.text)
        found = markers.find(source)
        if found.problems:
            return replace(unchanged, problems=found.problems)
        planner = _Planner(source, path, found, options, in_package)
        planned = planner.remove() if options.remove else planner.add()
        _verify(source, found, planned, options)
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


def strip(data: bytes) -> bytes:
    """Return a file without anything that the retrofit put into it."""
    source = Source.decode(data)
    return source.encode(apply(source.text, _strip_edits(source, markers.find(source))))


def _strip_edits(source: Source, found: Markers) -> list[Edit]:
    edits = [
        markers.removal(source, region.first, region.last, markers.BLANK_LINES.get(region.block, 1))
        for region in found.regions
    ]
    if found.import_line:
        edits.append(markers.removal(source, found.import_line, found.import_line, 0))
    if found.regions:
        edits += _unwrap_edits(source, _entry_points(found.regions))
    return edits


def _entry_points(regions: Iterable[Region]) -> frozenset[str]:
    """Return the names of the entry points that the blocks of a file define."""
    return frozenset(
        region.values.get(name, name)
        for region in regions
        for block, name in ENTRY_POINTS.items()
        if region.block == block
    )


def _unwrap_edits(source: Source, entry_points: frozenset[str]) -> list[Edit]:
    """Return the edits that turn `self._queued(function)` into `function` again."""
    edits: list[Edit] = []
    for node in ast.walk(ast.parse(source.text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in entry_points
            and isinstance(node.func.value, ast.Name)
            and len(node.args) == 1
        ):
            outer, inner = _span(source, node), _span(source, node.args[0])
            edits += [Edit(outer[0], inner[0], ""), Edit(inner[1], outer[1], "")]
    return edits


def _span(source: Source, node: ast.expr) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return source.offset(node.lineno, node.col_offset), source.offset(node.end_lineno, node.end_col_offset)


def _verify(source: Source, found: Markers, planned: FilePlan, options: Options) -> None:
    """Refuse a result that does not parse, or that is more than the original and the retrofit."""
    if not planned.changed:
        return
    try:
        text = Source.decode(planned.after).text
        ast.parse(text)
        if libcst.parse_module(planned.after).bytes != planned.after and not _unfaithful(planned.before):
            raise Refusal(0, "LibCST reads the result differently; please report this")
    except (SyntaxError, ValueError, libcst.ParserSyntaxError) as error:
        raise Refusal(0, f"the result would not parse ({error}); please report this") from None
    if not options.remove and strip(planned.after) != strip(planned.before):
        raise Refusal(0, "what would be added could not be taken out again exactly; please report this")


def _unfaithful(data: bytes) -> bool:
    """Return True if LibCST does not give back the file that it read, as happens with odd ends of files."""
    try:
        return libcst.parse_module(data).bytes != data
    except Exception:
        return True


@dataclass
class _ClassWork:
    """A class that is to have blocks."""

    info: ClassInfo
    blocks: tuple[str, ...]
    names: dict[str, str]
    libraries: frozenset[str]
    entry_point: str = ""
    inherited: tuple[str, ...] = ()
    """Blocks that a base class in the file has."""


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
        if not keep:
            self.edits = _strip_edits(self.source, self.found)
        else:
            going = [r for r in self.found.regions if r.block in self.options.blocks]
            self.edits = [markers.removal(self.source, r.first, r.last, 1) for r in going]
            gone = _entry_points(going) - _entry_points(keep)
            self.edits += _unwrap_edits(self.source, gone)
        for region in self.found.regions:
            if region not in keep and region.block != "runtime":
                change = BlockChange(region.block, region.first, "removed")
                self.class_plans.append(ClassPlan(self._class_at(region.first), region.first, (change,)))
        return self._result(bool(keep) and bool(self.found.import_line))

    def _class_at(self, line: int) -> str:
        classes = [
            node
            for node in ast.walk(ast.parse(self.source.text))
            if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0) + 1
        ]
        return max(classes, key=lambda node: node.lineno).name if classes else "<module>"

    # Putting in.

    def add(self) -> FilePlan:
        """Plan the blocks, the wraps and the runtime that the file needs."""
        text = markers.masked(self.source, self.found)
        self.tree = ast.parse(text)
        self.names: Names = build(self.tree)
        self.identifiers = frozenset(re.findall(r"\w+", text))
        existing = _entry_points(self.found.regions)
        sites = discover.find(self.tree, self.names, existing | frozenset(ENTRY_POINTS.values()))
        self.regions_of = self._assign_regions()
        self.inline_engine = next((r for r in self.found.regions if r.block == "runtime"), None)
        self.engine = self._engine_name()
        works: dict[int, _ClassWork] = {}
        refused: dict[int, str] = {}
        for info in self.names.classes:
            own = [
                s for s in sites if s.info is info and s.decision is not Decision.SKIPPED and self._wanted(s)
            ]
            if not own and not self.regions_of.get(id(info)):
                continue
            reason = _why_refused(info, self.source)
            if reason:
                refused[id(info)] = reason
                self.class_plans.append(
                    ClassPlan(
                        info.node.name,
                        info.node.lineno,
                        (BlockChange("all", info.node.lineno, "skipped", reason),),
                    )
                )
                continue
            libraries = frozenset(site.library.partition(".")[0] for site in own)
            works[id(info)] = self._work(
                info, libraries, [works[id(b)] for b in info.lineage() if id(b) in works]
            )
        for site in sites:
            self._plan_site(site, works, refused)
        with_blocks = [work for work in works.values() if self._plan_class(work)]
        needs_runtime = bool(with_blocks) and self._plan_runtime(with_blocks)
        return self._result(needs_runtime)

    def _wanted(self, site: discover.Found) -> bool:
        return site.retry or self.options.existing != "skip"

    def _assign_regions(self) -> dict[int, dict[str, Region]]:
        """Return the blocks that each class has already."""
        result: dict[int, dict[str, Region]] = {}
        for region in self.found.regions:
            if region.block == "runtime":
                continue
            owner = self._owner(region)
            blocks = result.setdefault(id(owner), {})
            if region.block in blocks:
                raise Refusal(
                    region.first, f"class {owner.node.name} has two {region.block} blocks; delete one of them"
                )
            blocks[region.block] = region
        return result

    def _owner(self, region: Region) -> ClassInfo:
        """Return the class whose body a block stands in, by its place and its indentation."""
        indent = _indent_of(self.source.line(region.first))
        candidates = [
            info
            for info in self.names.classes
            if info.node.lineno < region.first
            and _indent_of(self.source.line(info.node.body[0].lineno)) == indent
            and not any(
                _indent_of(line) < indent and line.strip()
                for line in map(self.source.line, range(_last_line(info.node) + 1, region.first))
            )
        ]
        if not candidates:
            raise Refusal(
                region.first, f"this {region.block} block stands in no class; move it back or delete it"
            )
        return max(candidates, key=lambda info: info.node.lineno)

    def _engine_name(self) -> str:
        if self.inline_engine is not None:
            return self.inline_engine.values.get("engine", render.ENGINE)
        if self.found.engine:
            return self.found.engine
        return render.ENGINE if render.ENGINE not in self.identifiers else f"Retrofit{render.ENGINE}"

    def _work(self, info: ClassInfo, libraries: frozenset[str], bases: list[_ClassWork]) -> _ClassWork:
        """Settle which blocks a class gets, beside those of its bases, and what their members are called."""
        regions = self.regions_of.get(id(info), {})
        inherited = tuple(block for base in bases for block in (*base.blocks, *base.inherited))
        asked = [b for b in BLOCKS if b in regions or (b in self.options.blocks and b not in inherited)]
        wanted = [b for b in asked if b != "env_key"]
        names: dict[str, str] = {}
        for block in wanted:
            if block in regions:
                names.update(regions[block].values)
            else:
                names.update(self._other_names(info, block))
        entry = "queue" if "queue" in wanted else "backoff" if "backoff" in wanted else ""
        entry_point = names.get(ENTRY_POINTS[entry], ENTRY_POINTS[entry]) if entry else ""
        entry_point = next((base.entry_point for base in bases if base.entry_point), entry_point)
        return _ClassWork(info, tuple(asked), names, libraries, entry_point, inherited)

    def _other_names(self, info: ClassInfo, block: str) -> dict[str, str]:
        """Return other names for what a block defines, where the class or its kin uses the name for its own ends."""
        family = [other for other in self.names.classes if info in other.lineage() or other in info.lineage()]
        used = {name for other in family for name in other.used | other.defined}
        if block == "queue" and self._closes(info)[0] != "own":
            used.discard("close")
        names = {}
        for member in render.MEMBERS[block]:
            # The entry point is found again by its name, so no other code of the file may have it.
            taken = self.identifiers if member in ENTRY_POINTS.values() else used
            if member in taken:
                new = f"retrofit_{member.lstrip('_')}"
                new = f"_{new}" if member.startswith("_") else new
                while new in self.identifiers:
                    new += "_"
                names[member] = new
        return names

    def _closes(self, info: ClassInfo) -> tuple[str, bool, tuple[str, ...]]:
        """Return how a class is closed: who defines `close`, whether `with` is to be added, and what is to be wrapped."""
        own = info.defined
        methods = [name for name in info.methods if name in own]
        closers = tuple(name for name in methods if name in ("close", "aclose"))
        closers = closers or tuple(name for name in methods if name in ("__exit__", "__aexit__"))
        known = {name for cls in info.lineage() for name in cls.defined}
        bases = [
            decorator_name(base.value if isinstance(base, ast.Subscript) else base).rpartition(".")[2]
            for base in info.node.bases
        ]
        has_bases = any(base not in _HARMLESS_BASES for base in bases)
        enters = not has_bases and "__enter__" not in known and "__exit__" not in known
        if "close" in own:
            return ("", enters and _is_plain_method(info.methods.get("close")), closers)
        return ("super" if has_bases else "own", enters, closers)

    def _plan_site(self, site: discover.Found, works: dict[int, _ClassWork], refused: dict[int, str]) -> None:
        decision, reason = site.decision, site.reason
        if decision is not Decision.SKIPPED:
            if id(site.info) in refused:
                decision, reason = Decision.SKIPPED, f"the class is refused: {refused[id(site.info)]}"
            elif not self._wanted(site):
                decision, reason = (
                    Decision.SKIPPED,
                    site.reason.replace(": queued, without a second backoff", ""),
                )
            elif not works[id(site.info)].entry_point:
                decision, reason = Decision.SKIPPED, "neither the queue nor the backoff block was asked for"
            elif decision is Decision.QUEUED_ONLY and self.options.existing == "wrap":
                decision, reason = Decision.WRAPPED, ""
        line, column = site.node.lineno, site.node.col_offset + 1
        callee = ast.unparse(site.node)
        self.sites.append(CallSite(line, column, site.scope_name, callee, site.library, decision, reason))
        if decision is Decision.SKIPPED or site.wrapped_as:
            return
        start, stop = _span(self.source, site.node)
        retry = "" if decision is Decision.WRAPPED else ", retry=False"
        self.edits.append(Edit(start, start, f"{site.owner}.{works[id(site.info)].entry_point}("))
        self.edits.append(Edit(stop, stop, f"{retry})"))

    def _plan_class(self, work: _ClassWork) -> bool:
        """Plan the blocks of a class; return True if it has any then."""
        info, changes, notes = work.info, [], []
        regions = self.regions_of.get(id(info), {})
        new: list[render.Block] = []
        for name in work.blocks:
            region = regions.get(name)
            rendered = self._render(work, name, region)
            if isinstance(rendered, str):
                changes.append(BlockChange(name, info.node.lineno, "skipped", rendered))
            elif region is None:
                new.append(rendered)
                changes.append(BlockChange(name, _last_line(info.node), "added"))
            elif markers.fingerprint(rendered.code) == region.fingerprint and not region.edited:
                changes.append(BlockChange(name, region.first, "kept"))
            else:
                self.edits.append(self._replace(region, rendered))
                changes.append(BlockChange(name, region.first, "upgraded"))
        for name in dict.fromkeys(work.inherited):
            if name not in work.blocks:
                changes.append(
                    BlockChange(name, info.node.lineno, "kept", "it is inherited from a base class")
                )
        if new:
            self.edits.append(self._append(info, new, regions))
        for member, other in sorted(work.names.items()):
            notes.append(f"the class uses `{member}` already, so the block's is called `{other}`")
        self.class_plans.append(ClassPlan(info.node.name, info.node.lineno, tuple(changes), tuple(notes)))
        return bool(new or regions)

    def _render(self, work: _ClassWork, name: str, region: Region | None) -> render.Block | str:
        """Render a block for a class, or return why the class gets none."""
        if name == "queue":
            closes, enters, closers = self._closes(work.info)
            return render.block(name, self.engine, work.names, closes=closes, enters=enters, closers=closers)
        if name == "backoff":
            queued = "queue" in (*work.blocks, *work.inherited)
            return render.block(name, self.engine, work.names, queued=queued)
        return self._render_env_key(work, region)

    def _render_env_key(self, work: _ClassWork, region: Region | None) -> render.Block | str:
        info = work.info
        if _is_model(info):
            return "the key is a field of a model or dataclass"
        attribute = next((a for a in api_keys.KEY_ATTRIBUTES if a in info.attributes), "")
        if not attribute:
            return (
                "the class keeps no API key in an attribute ("
                + ", ".join(api_keys.KEY_ATTRIBUTES[:2])
                + ", ...)"
            )
        if attribute in info.defined:
            return f"the class defines `{attribute}` itself"
        assigned = [value for value, _ in info.attributes[attribute]]
        if any("environ" in ast.unparse(value) or "getenv" in ast.unparse(value) for value in assigned):
            return f"`self.{attribute}` is read from the environment already"
        bare = all(_is_parameter(value, scope) for value, scope in info.attributes[attribute])
        name = info.node.name
        variables = self.options.key_variables or api_keys.key_variables(name, work.libraries)
        return render.block(
            "env_key",
            self.engine,
            {},
            attribute=attribute,
            variables=variables,
            metadata_names=api_keys.metadata_names(name, variables),
            empty_is_missing=not bare,
        )

    def _layout(self, info: ClassInfo) -> tuple[str, str]:
        """Return a class's indentation, and what one level more is in it."""
        body = _indent_of(self.source.line(info.node.body[0].lineno))
        head = _indent_of(self.source.line(info.node.lineno))
        unit = body[len(head) :] if body.startswith(head) else ""
        return body, unit or "    "

    def _lines(self, block: render.Block, indent: str, unit: str) -> list[str]:
        code = block.code.rstrip("\n").split("\n")
        return [indent + block.begin, *render.indented(code, indent, unit), indent + block.end]

    def _append(self, info: ClassInfo, blocks: list[render.Block], regions: dict[str, Region]) -> Edit:
        """Return the edit that puts new blocks at the end of a class, behind those that it has."""
        indent, unit = self._layout(info)
        last = max([_last_line(info.node), *(region.last for region in regions.values())])
        while last < self.source.line_count and self.source.line(last).endswith("\\"):
            last += 1
        newline = self.source.newline_at(last)
        lines: list[str] = []
        for block in blocks:
            lines += ["", *self._lines(block, indent, unit)]
        offset = self.source.line_end(last)
        return Edit(offset, offset, newline + newline.join(lines))

    def _replace(self, region: Region, block: render.Block) -> Edit:
        line = self.source.line(region.first)
        indent = _indent_of(line)
        unit = "\t" if indent.startswith("\t") else "    "
        if region.block != "runtime":
            unit = self._layout(self._owner(region))[1]
        newline = self.source.newline_at(region.first)
        text = newline.join(self._lines(block, indent, unit))
        return Edit(self.source.line_start(region.first), self.source.line_end(region.last), text)

    # The runtime.

    def _plan_runtime(self, works: list[_ClassWork]) -> bool:
        """Plan the import of the runtime, or the runtime itself; return True if it is to lie beside the file."""
        if self.inline_engine is not None:
            block = render.inline_runtime(self.engine)
            if markers.fingerprint(block.code) != self.inline_engine.fingerprint or self.inline_engine.edited:
                self.edits.append(self._replace(self.inline_engine, block))
            return False
        if self.found.import_line:
            return True
        shared = self.options.runtime == "shared" or (self.options.runtime == "auto" and self.in_package)
        if shared:
            dot = "." if self.in_package else ""
            alias = f" as {self.engine}" if self.engine != render.ENGINE else ""
            line = (
                f"from {dot}{render.RUNTIME_MODULE} import {render.ENGINE}{alias}  {markers.IMPORT_COMMENT}"
            )
            self.edits.append(self._insert(self._import_place(works), [line]))
        else:
            block = render.inline_runtime(self.engine)
            lines = ["", "", *self._lines(block, "", "    ")]
            first = self._first_statement(works)
            previous = [node for node in self.tree.body if _last_line(node) < first]
            after = _last_line(previous[-1]) if previous else self._before_first() if first > 1 else 0
            self.edits.append(self._insert(after, lines))
        return shared

    def _first_statement(self, works: list[_ClassWork]) -> int:
        """Return the first line of the first statement of the module that holds a class with blocks."""
        line = min(work.info.node.lineno for work in works)
        statement = next(
            node
            for node in self.tree.body
            if node.lineno <= line <= _last_line(node)
            or (isinstance(node, ast.ClassDef) and node.lineno == line)
        )
        decorators = getattr(statement, "decorator_list", [])
        return int(min([statement.lineno, *(d.lineno for d in decorators)]))

    def _before_first(self) -> int:
        """Return the line before the file's first statement."""
        first = self.tree.body[0]
        return int(min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))])) - 1

    def _import_place(self, works: list[_ClassWork]) -> int:
        """Return the line after which the import goes: the last import before the code begins, or the docstring."""
        limit = self._first_statement(works)
        place = None
        for index, node in enumerate(self.tree.body):
            if node.lineno >= limit or isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            ):
                break
            docstring = index == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if isinstance(node, ast.Import | ast.ImportFrom) or (docstring and place is None):
                place = _last_line(node)
        return place if place is not None else self._before_first()

    def _insert(self, after: int, lines: list[str]) -> Edit:
        """Return the edit that puts lines behind a line, or at the top of the file."""
        if after == 0:
            newline = self.source.newline_at(1)
            while lines and not lines[0]:
                lines = [*lines[1:], ""]
            return Edit(0, 0, newline.join(lines) + newline)
        while after < self.source.line_count and self.source.line(after).endswith("\\"):
            after += 1
        newline = self.source.newline_at(after)
        offset = self.source.line_end(after)
        return Edit(offset, offset, newline + newline.join(lines))


def _last_line(node: ast.stmt) -> int:
    return int(node.end_lineno or node.lineno)


def _indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def _is_plain_method(node: ast.FunctionDef | ast.AsyncFunctionDef | None) -> bool:
    """Return True for a method that can be called without arguments, in a sync way."""
    if not isinstance(node, ast.FunctionDef):
        return False
    required = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
    return required == 1 and not node.args.kwonlyargs and not node.decorator_list


def _is_parameter(value: ast.expr, scope: Scope) -> bool:
    """Return True if a value is just a parameter of the function in which it is assigned."""
    node = scope.node
    if not isinstance(value, ast.Name) or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return any(arg.arg == value.id for arg in args) and len(scope.bindings.get(value.id, ())) == 1


def _is_model(info: ClassInfo) -> bool:
    decorators = {decorator_name(d).rpartition(".")[2] for d in info.node.decorator_list}
    bases = {decorator_name(base).rpartition(".")[2] for cls in info.lineage() for base in cls.node.bases}
    return bool(decorators & {"dataclass", "define", "attrs", "s", "frozen", "mutable"}) or bool(
        bases & _MODEL_BASES
    )


def _why_refused(info: ClassInfo, source: Source) -> str:
    """Return why a class cannot have blocks, or nothing."""
    node = info.node
    if (
        node.body[0].lineno == node.lineno
        or source.line(node.body[0].lineno)[: node.body[0].col_offset].strip()
    ):
        return "its body stands on the line of `class`; give it lines of its own"
    for base in node.bases:
        name = decorator_name(base).rpartition(".")[2]
        if name in _REFUSED_BASES:
            return _REFUSED_BASES[name]
    slots = info.attributes.get("__slots__")
    no_weakref = slots and not any("__weakref__" in ast.unparse(value) for value, _ in slots)
    if no_weakref and all(isinstance(base, ast.Name) and base.id == "object" for base in node.bases):
        return 'it has `__slots__` without "__weakref__", which the queue needs; add it'
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            keywords = {k.arg: ast.unparse(k.value) for k in decorator.keywords}
            if keywords.get("slots") == "True" and keywords.get("weakref_slot") != "True":
                return "it is a dataclass with slots=True; add weakref_slot=True (Python 3.11), which the queue needs"
    return ""
