"""Reads a whole project, so that calls are found whose client, function or base class comes from another file.

One pass over the files makes a `View`: plain data, which is shared between processes. Only files are read that make
requests themselves, that import such files, or that a name leads to; of all others no more than the imports. Nothing
is imported or run.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from ..source.garbage import no_garbage_collection
from ..source.text import parse
from ..tables.lookup import Catalogue
from . import through
from .follow import Follower, View, heirs_of
from .modules import Modules
from .project_names import Project
from .summary import CallMade, Summary, summarise
from .tests import is_test_file

Read = Callable[[str], bytes]
Summaries = Callable[[dict[str, str], list[str]], dict[str, Summary]]

LARGEST = 1_000_000
"""Bytes of a file that is summarised."""
_RETRIES = re.compile(rb"(?i)retr(?:y|ie)|backoff|on_exception|on_predicate")
_LONGEST_LINE = 100_000
"""Bytes; before Python 3.12 an f-string takes time by the square of its length."""
_ROUNDS = 20
"""How often names may lead to files that were not read yet."""
_MOST_MEANT = 20
"""Methods of one name that a call may mean: a loop around a backend of any kind retries those of all kinds."""
_OF_INTEREST = re.compile(
    rb"\.(?:get|post|put|patch|delete|head|options|request|send|stream|create|generate|chat|invoke\w*|embed\w*|upload\w*)\("
    rb"|retr(?:y|ies)|attempt|backoff|\bclass\b[^\n]*\("
)
"""What a file has in it that imports one that makes requests, and may make some through it, or repeat them."""


def view_of(
    files: Iterable[str],
    planned: Iterable[str],
    read: Read,
    known: Catalogue,
    summaries: Summaries | None = None,
) -> View:
    """Return the view of a project.

    Args:
        files: absolute paths of all Python files of the project.
        planned: those that the run is about.
        read: gives a file's bytes; raises OSError.
        known: the libraries.
        summaries: makes the summaries of some files, given path -> module of all files and the paths of those; by
            default this process does.
    """
    modules = Modules.of(files)
    view = View(modules, planned=frozenset(modules.names[path] for path in planned if path in modules.names))
    texts = _Files(modules, read)

    def add(wanted: Iterable[str]) -> None:
        paths = [modules.paths[module] for module in wanted]
        if summaries is not None:
            made = summaries(modules.names, paths)
            view.summaries |= {summary.module: summary for summary in made.values()}
        for module in wanted:
            if module not in view.summaries:
                view.summaries[module] = (
                    Summary(module) if summaries else summary_of(texts.bytes_of(module), module, known)
                )

    follower = Follower(view, known)
    imports = _Imports(modules, texts, known)
    provided: dict[str, set[str]] = {}
    wanted, relevant, passing_on = imports.candidates, set(imports.candidates), set(imports.candidates)
    for _ in range(_ROUNDS):
        add(sorted(wanted))
        follower.forget()
        wanted = _missing(view, follower, relevant, passing_on)
        if not wanted:
            _find_provided(view, follower, provided)
            users, passing_on = imports.users_of(provided)
            wanted = users - relevant
            relevant |= users
            if not wanted and not (wanted := _missing(view, follower, relevant, passing_on)):
                break
        wanted = wanted - view.summaries.keys()
    _connect(view, follower)
    return view


def _connect(view: View, follower: Follower) -> None:
    """Note what derives from a class, and what calls a function."""
    view.heirs = heirs_of(view.summaries, follower)
    follower.forget()
    _find_callers(view, follower)


class _Files:
    """Reads files by their modules."""

    def __init__(self, modules: Modules, read: Read) -> None:
        self.modules = modules
        self.read = read

    def bytes_of(self, module: str) -> bytes:
        """Return a file's bytes; nothing if it cannot be read, or is too large."""
        try:
            data = self.read(self.modules.paths[module])
        except OSError:
            return b""
        return data if len(data) <= LARGEST else b""


class _Imports:
    """What the files of a project import, as a look at their bytes tells.

    Attributes:
        candidates: modules that import a library of the table, or have the shape of a request in them.
    """

    def __init__(self, modules: Modules, files: _Files, known: Catalogue) -> None:
        self.files = files
        self.candidates: set[str] = set()
        self.of_interest: set[str] = set()
        self.importers: dict[str, list[tuple[str, set[tuple[str, str]]]]] = {}
        for module in modules.paths:
            data = files.bytes_of(module)
            if known.mentioned_in(data):
                self.candidates.add(module)
            if _OF_INTEREST.search(data):
                self.of_interest.add(module)
            for imported, names in modules.imports_of(module, data).items():
                self.importers.setdefault(imported, []).append((module, names))

    def users_of(self, provided: dict[str, set[str]]) -> tuple[set[str], set[str]]:
        """Return the modules that import something which leads to requests, and those that pass it on.

        Args:
            provided: module -> those of its names that lead to requests.
        """
        found: set[str] = set()
        known = {module: set(names) for module, names in provided.items()}
        todo = deque(known)
        while todo:
            module = todo.popleft()
            for importer, names in self.importers.get(module, ()):
                got = {alias for name, alias in names if name in known[module]}
                whole = {alias for name, alias in names if name == "*"}
                if "*" in whole:
                    got |= known[module]
                elif whole and self._names_one(importer, known[module]):
                    got |= whole
                new = got - known.get(importer, set())
                if not new:
                    continue
                known.setdefault(importer, set()).update(new)
                todo.append(importer)
                if importer in self.of_interest:
                    found.add(importer)
        return found, known.keys() | found

    def _names_one(self, module: str, names: set[str]) -> bool:
        """Return True if a file has one of the names in it, as that of an attribute."""
        pattern = rb"\.\s*(?:%s)\b" % b"|".join(re.escape(name.encode()) for name in names)
        return re.search(pattern, self.files.bytes_of(module)) is not None


def _find_provided(view: View, follower: Follower, found: dict[str, set[str]]) -> None:
    """Add to module -> those of its names that lead to requests: clients, what gives one, what makes requests."""
    for module, summary in view.summaries.items():
        known = found.get(module, set())
        names = [name for name in summary.names if name not in known]
        if new := {name for name in names if through.leads_to_requests(follower, f"@{module}:{name}")}:
            found[module] = known | new


def summary_of(data: bytes, module: str, known: Catalogue) -> Summary:
    """Return the summary of a file; an empty one if it does not parse, or would take long."""
    if len(data) > LARGEST or any(len(line) > _LONGEST_LINE for line in data.splitlines()):
        return Summary(module)
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError), no_garbage_collection():
        return summarise(parse(data), module, known, _RETRIES.search(data) is not None)
    return Summary(module)


def _missing(view: View, follower: Follower, relevant: set[str], passing_on: set[str]) -> set[str]:
    """Return the modules of which there is no summary, and that names of the relevant ones lead to.

    Bases are followed wherever they are; what is called or assigned only to modules that have something to do with
    requests.
    """
    summaries = [(module, view.summaries[module]) for module in relevant if module in view.summaries]
    for module, summary in summaries:
        for cls in summary.classes.values():
            list(follower.lineage(module, cls.name))
    bases = set(follower.wanted)
    for module, summary in summaries:
        for cls in summary.classes.values():
            for values in cls.attributes.values():
                for value in values:
                    follower.follow(value, module)
        for function in summary.functions.values():
            for name in (*function.returns, *function.decorators, *(call.name for call in function.calls)):
                follower.follow(name, module)
    return bases | (follower.wanted & passing_on)


def _find_callers(view: View, follower: Follower) -> None:
    """Note for each function of the project where it is called, and what repeats that call."""
    methods: dict[str, list[str]] = {}
    for module, summary in view.summaries.items():
        for function in summary.functions.values():
            if function.calls and "." in function.name and function.kind in ("method", "class"):
                methods.setdefault(function.name.rpartition(".")[2], []).append(f"@{module}:{function.name}")
    view.methods = {name: tuple(places) for name, places in methods.items()}
    callers: dict[str, list[tuple[str, str, int, str]]] = {}
    concerned: set[str] = set()
    for module, summary in view.summaries.items():
        # Tests call what other code calls in their own way.
        is_test = is_test_file(Path(*Path(view.modules.paths[module]).parts[-2:]))
        places = [("", call) for call in summary.calls]
        places += [(f.name, call) for f in summary.functions.values() for call in f.calls]
        for name, call in places:
            targets = called(follower, call, module)
            if not targets and not is_test:
                for target in _of_any_class(follower, call, module):
                    callers.setdefault(target, []).append((module, name, call.line, call.again))
            for target in targets:
                if not is_test:
                    callers.setdefault(target, []).append((module, name, call.line, call.again))
                if not target.startswith(f"@{module}:") and through.makes_requests(follower, target):
                    concerned.add(module)
            if (found := follower.follow(call.name, module)) and known_request(follower, found):
                concerned.add(module)
    view.callers = {target: tuple(found) for target, found in callers.items()}
    view.concerned = frozenset(concerned)


def known_request(follower: Follower, name: str) -> bool:
    """Return True if a followed name is a call of the table."""
    return not name.startswith("@") and follower.catalogue.transport(name) is not None


def called(follower: Follower, call: CallMade, module: str) -> list[str]:
    """Return the functions of the project that a call may reach: also those by which subclasses override a method."""
    found = follower.follow(call.name, module)
    receiver, _, method = call.name.rpartition(".")
    instance = (
        follower.follow(receiver, module) if receiver.startswith("@") or receiver.endswith("()") else ""
    )
    targets = [found] if follower.function(found) is not None else []
    if instance.startswith("@") and instance.endswith("()"):
        for heir in follower.heirs(instance[:-2]):
            if follower.function(f"{heir}.{method}") is not None:
                targets.append(f"{heir}.{method}")
    return list(dict.fromkeys(targets))


def _of_any_class(follower: Follower, call: CallMade, module: str) -> list[str]:
    """Return the methods of the project that a call may mean by its name alone: those that make requests.

    Where one of them is repeated, it is better queued only than repeated twice.
    """
    if not call.method or follower.follow(call.name, module):
        return []
    found = through.methods_named(follower, call.method)
    return found if len(found) <= _MOST_MEANT else []


def project_of_one_file(tree: ast.Module, known: Catalogue) -> Project:
    """Return the project of a file that nothing is known around."""
    modules = Modules.of(["/one.py"])
    (module,) = modules.paths
    view = View(modules, {module: summarise(tree, module, known)}, frozenset({module}))
    follower = Follower(view, known)
    _connect(view, follower)
    return Project(follower, module)
