"""Follows names through the files of a project: what a name of another file stands for, in the end.

Names are followed step by step over plain data (see `summary`): an import leads to a module, a module's name to a class
or function, a class's attribute to what is assigned to it, a call to what the function returns.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..tables.lookup import Catalogue, passes_through
from .elsewhere import best
from .modules import Modules
from .summary import Class, Function, Summary

_STEPS = re.compile(r"\(\)|\[\]|[^.()\[\]]+")
_PLACE = re.compile(r"@([^:]*):([^()\[\]]*)(\(\))?$")
_DEEPEST = 40
_MOST_CLASSES = 100
"""Bases of a class, or classes that derive from it, that are looked at."""


@dataclass
class View:
    """A project as plain data; it can be pickled.

    Attributes:
        planned: modules of the files that the run is about; the others are only read.
        heirs: class -> those that derive from it directly.
        callers: function -> the calls of it: module, function, line and what repeats them.
    """

    modules: Modules = field(default_factory=Modules)
    summaries: dict[str, Summary] = field(default_factory=dict)
    planned: frozenset[str] = frozenset()
    heirs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    callers: dict[str, tuple[tuple[str, str, int, str], ...]] = field(default_factory=dict)
    methods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a method -> the classes' methods of that name that may make requests."""
    concerned: frozenset[str] = frozenset()
    """Modules that make requests through what comes from other files."""

    def module_of(self, path: str) -> str:
        """Return the module that a file is, or nothing."""
        return self.modules.names.get(path, "")

    def shown(self, module: str) -> str:
        """Return the file of a module as a reader knows it: `shop/http.py`."""
        dotted = module.partition("/")[2].replace(".", "/")
        return f"{dotted}/__init__.py" if module in self.modules.packages else f"{dotted}.py"


class Follower:
    """Follows names; remembers what it has found.

    Args:
        functions: modules get a queue, too, so that no request is out of reach.
    """

    def __init__(self, view: View, catalogue: Catalogue, functions: bool = False) -> None:
        self.view = view
        self.catalogue = catalogue
        self.functions = functions
        self.wanted: set[str] = set()
        """Modules that a name led to and of which there is no summary."""
        self.requests: dict[str, bool] = {}
        """Function -> whether it makes requests."""
        self.repeats: dict[tuple[str, int], str] = {}
        """Function, and how many callers it is asked through -> what repeats it."""
        self.named: dict[str, list[str]] = {}
        """Name of a method -> those of the project's classes by which they make requests."""
        self.unsure = 0
        """How often something was asked that more summaries may change."""
        self._found: dict[tuple[str, str], str] = {}
        self._tentative: dict[tuple[str, str], str] = {}
        self._under_way: set[tuple[str, str]] = set()
        self._cuts = 0

    def forget(self) -> None:
        """Forget what more summaries may change."""
        self._tentative.clear()
        self.requests = {place: True for place, makes_some in self.requests.items() if makes_some}
        self.repeats.clear()
        self.named.clear()
        self.wanted.clear()

    def summary(self, module: str) -> Summary:
        """Return a module's summary; an empty one if there is none."""
        found = self.view.summaries.get(module)
        if found is None:
            if module in self.view.modules.paths:
                self.wanted.add(module)
                self.unsure += 1
            return Summary(module)
        return found

    def follow(self, name: str, module: str) -> str:
        """Return what a name stands for that is written in a module: a library's name, a place (`@...`), or nothing."""
        key = (name, "" if name.startswith("@") else module)
        if key in self._found:
            return self._found[key]
        if key in self._tentative:
            self.unsure += 1
            return self._tentative[key]
        if key in self._under_way or len(self._under_way) > _DEEPEST:
            self._cuts += 1
            return ""
        self._under_way.add(key)
        cuts, unsure = self._cuts, self.unsure
        try:
            result = self._follow(name, module)
        finally:
            self._under_way.discard(key)
        if self._cuts == cuts or not self._under_way:
            (self._found if self.unsure == unsure else self._tentative)[key] = result
        return result

    def _follow(self, name: str, module: str) -> str:
        if not name or name[0] in "$?<":
            return ""
        if name.startswith("@"):
            start, _, rest = name.partition(":")
            current, steps = f"{start}:", _STEPS.findall(rest)
        else:
            dotted = re.split(r"[(\[]", name, maxsplit=1)[0]
            target = self.target(dotted.rstrip("."), module)
            if target is None:
                return f".{name.lstrip('.')}" if name.startswith(".") else name
            current = f"@{target[0]}:"
            steps = [*target[1], *_STEPS.findall(name[len(dotted) :])]
        for step in steps:
            current = self.step(current, step)
            if not current:
                return ""
        return current

    def target(self, written: str, module: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the module of the project that an import leads to, and what is left of its name; None for a library's.

        A file `openai.py` beside others that import `openai` is not what they mean; what gRPC's generator has made is
        known by its name, and makes no requests of its own.
        """
        if "_pb2_grpc" in written:
            return None
        first = written.partition(".")[0]
        own = module.partition("/")[2].partition(".")[0]
        if first != own and self.catalogue.is_module(first):
            return None
        return self.view.modules.find(written, module)

    def step(self, current: str, step: str) -> str:
        """Return what an attribute (`name`), a call (`()`) or a container (`[]`) makes of what a name stands for."""
        if step == "[]":
            return f"{current}[]"
        place = _PLACE.match(current)
        if place is None:
            if step == "()":
                return f"{current}()"
            return "" if current.endswith("[]") else f"{current}.{step}"
        module, name, made = place[1], place[2], bool(place[3])
        if step == "()":
            return "" if made or not name else self._called(module, name)
        if not name:
            return self.of_module(module, step)
        if made:
            return self.member(module, name, step)
        return self._of_class(module, name, step)

    def of_module(self, module: str, name: str) -> str:
        """Return what a name stands for that a module binds, imports, or has as a submodule."""
        summary = self.summary(module)
        own = f"@{module}:{name}"
        if name in summary.names:
            values = summary.names[name]
            if own in values and (name in summary.classes or name in summary.functions):
                return own
            return best((self.follow(value, module) for value in values if value != own), self.catalogue)
        if submodule := self.view.modules.submodule(module, name):
            return f"@{submodule}:"
        for star in summary.stars if not name.startswith("_") else ():
            target = self.target(star, module)
            if target is not None and not target[1] and target[0] != module:
                key = (f"*{name}", module)
                if key in self._under_way:
                    continue
                self._under_way.add(key)
                found = self.of_module(target[0], name)
                self._under_way.discard(key)
                if found:
                    return found
            elif self.catalogue.has(f"{star}.{name}"):
                return f"{star}.{name}"
        return ""

    def _called(self, module: str, name: str) -> str:
        summary = self.summary(module)
        if name in summary.classes:
            return f"@{module}:{name}()"
        function = summary.functions.get(name)
        return self.returned(module, function) if function is not None else ""

    def returned(self, module: str, function: Function) -> str:
        """Return what a function gives, if that is a client, a module, or a thing of the project."""
        names = (self.follow(name, module) for name in function.returns)
        things = (n for n in names if n.endswith(("()", "[]", ":")) or self.catalogue.is_module(n))
        return best(things, self.catalogue)

    def _of_class(self, module: str, name: str, attribute: str) -> str:
        summary = self.summary(module)
        inner = f"{name}.{attribute}"
        if inner in summary.classes or (name not in summary.classes and inner in summary.functions):
            return f"@{module}:{inner}"
        if name not in summary.classes:
            return ""
        for owner, cls in self.lineage(module, name):
            if attribute in cls.methods:
                return f"@{owner}:{cls.name}.{attribute}"
            if attribute in cls.attributes:
                return best((self.follow(n, owner) for n in cls.attributes[attribute]), self.catalogue)
        return ""

    def member(self, module: str, name: str, attribute: str) -> str:
        """Return what an attribute of an instance is: what its class or a base assigns, declares, or gives."""
        if attribute == "__class__":
            return f"@{module}:{name}"
        if found := self._member_of(self.lineage(module, name), attribute):
            return found
        base = self.client_base(module, name)
        if base and not passes_through(attribute, self.methods(module, name)):
            return f"{base}().{attribute}"
        # A mixin uses what the classes that it is mixed into have.
        self.unsure += 1
        for heir in self.heirs(f"@{module}:{name}"):
            if (place := _PLACE.match(heir)) and (
                found := self._member_of(self.lineage(place[1], place[2]), attribute)
            ):
                return found
        return ""

    def _member_of(self, lineage: Iterable[tuple[str, Class]], attribute: str) -> str:
        for owner, cls in lineage:
            values = cls.attributes.get(attribute, ())
            if found := best((self.follow(value, owner) for value in values), self.catalogue):
                return found
            if attribute in cls.methods:
                function = self.summary(owner).functions.get(f"{cls.name}.{attribute}")
                if function is not None and function.kind == "property":
                    return self.returned(owner, function)
                return f"@{owner}:{cls.name}.{attribute}"
        return ""

    def methods(self, module: str, name: str) -> frozenset[str]:
        """Return the names of the methods of a class and its bases in the project."""
        return frozenset(method for _, cls in self.lineage(module, name) for method in cls.methods)

    def lineage(self, module: str, name: str) -> Iterator[tuple[str, Class]]:
        """Yield a class and its bases in the project, each with its module."""
        seen: set[str] = set()
        todo = deque([(module, name)])
        while todo and len(seen) < _MOST_CLASSES:
            owner, current = todo.popleft()
            cls = self.summary(owner).classes.get(current)
            if cls is None or f"@{owner}:{current}" in seen:
                continue
            seen.add(f"@{owner}:{current}")
            yield owner, cls
            for base in cls.bases:
                if (place := _PLACE.match(self.follow(base, owner))) and not place[3]:
                    todo.append((place[1], place[2]))

    def foreign_bases(self, module: str, name: str) -> Iterator[str]:
        """Yield the bases of a class and of its bases that are not of the project: `requests.Session`; `?X` if unknown."""
        for owner, cls in self.lineage(module, name):
            for base in cls.bases:
                found = self.follow(base, owner)
                if not found.startswith("@"):
                    yield found or base

    def client_base(self, module: str, name: str) -> str:
        """Return the library's class that a class derives from, such as `requests.Session`, or nothing."""
        bases = self.foreign_bases(module, name)
        return next((base for base in bases if self.catalogue.is_known_class(base)), "")

    def heirs(self, place: str) -> Iterator[str]:
        """Yield the classes that derive from one, and those that derive from them."""
        seen = {place}
        todo = deque(self.view.heirs.get(place, ()))
        while todo and len(seen) < _MOST_CLASSES:
            heir = todo.popleft()
            if heir not in seen:
                seen.add(heir)
                yield heir
                todo += self.view.heirs.get(heir, ())

    def function(self, name: str) -> tuple[str, Function] | None:
        """Return the function that a place such as `@0/shop.http:fetch` is, with its module."""
        place = _PLACE.match(name)
        if place is None or place[3]:
            return None
        function = self.summary(place[1]).functions.get(place[2])
        return (place[1], function) if function is not None else None


def heirs_of(summaries: Mapping[str, Summary], follower: Follower) -> dict[str, tuple[str, ...]]:
    """Return class -> those that derive from it directly."""
    found: dict[str, list[str]] = {}
    for module, summary in summaries.items():
        for cls in summary.classes.values():
            for base in cls.bases:
                place = follower.follow(base, module)
                if place.startswith("@"):
                    found.setdefault(place, []).append(f"@{module}:{cls.name}")
    return {place: tuple(heirs) for place, heirs in found.items()}
