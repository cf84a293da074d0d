"""Which file of a project is which module, and which files an import leads to. Only names and bytes are looked at.

A module is known by the folder that its top-level package lies in and its dotted name: `2/shop.http`, where 2 is the
folder's number. So two scripts of the same name in different folders are two modules.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*[ \t]*[\w.]*)[ \t]+import[ \t]*(\([^)]{0,20000}\)|[^\n\r]*)|import[ \t]+([^\n\r]+))",
    re.MULTILINE,
)
_NAMESPACES = 4
"""How many folders without `__init__.py` around a module may be packages."""
_NAMED = re.compile(r"([\w.]+)(?:\s+as\s+(\w+))?")


@dataclass
class Modules:
    """The files of a project as modules.

    Attributes:
        names: path of a file -> its module.
        paths: module -> path of its file.
        packages: modules that are packages: their file is an `__init__.py`.
    """

    names: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)
    """The folders that top-level packages and scripts lie in; a module's number is an index of this list."""
    _by_place: dict[str, str] = field(default_factory=dict)
    """Path without `.py` or `/__init__.py` -> module; of a folder without `__init__.py`: nothing."""
    _by_first: dict[str, list[str]] = field(default_factory=dict)
    """Name of a top-level package or script -> the folders that have one of that name."""

    @classmethod
    def of(cls, files: Iterable[str]) -> Modules:
        """Arrange files, given by absolute paths."""
        result = cls()
        paths = sorted(files)
        with_init = {os.path.dirname(path) for path in paths if os.path.basename(path) == "__init__.py"}
        numbers: dict[str, int] = {}
        for path in paths:
            folder, name = os.path.split(path)
            parts = [] if name == "__init__.py" else [name.removesuffix(".py")]
            while folder in with_init:
                folder, package = os.path.split(folder)
                parts.insert(0, package)
            number = numbers.setdefault(folder, len(numbers))
            module = f"{number}/{'.'.join(parts)}"
            result.names[path], result.paths[module] = module, path
            place = os.path.dirname(path) if name == "__init__.py" else path.removesuffix(".py")
            if name == "__init__.py":
                result.packages.add(module)
            result._by_place[place] = module
            above = os.path.dirname(place)
            while above not in result._by_place and len(above) > len(folder):
                result._by_place[above] = ""
                above = os.path.dirname(above)
            result._by_first.setdefault(parts[0], [])
            if folder not in result._by_first[parts[0]]:
                result._by_first[parts[0]].append(folder)
        result.folders = list(numbers)
        for folder in result.folders:  # folders without `__init__.py` can be packages, too
            result._add_namespace(folder)
        return result

    def _add_namespace(self, folder: str) -> None:
        for _ in range(_NAMESPACES):
            self._by_place.setdefault(folder, "")
            folder, name = os.path.split(folder)
            if not name:
                break
            found = self._by_first.setdefault(name, [])
            if folder not in found:
                found.append(folder)

    def find(self, written: str, module: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the module that a dotted name leads to, and the parts of the name that are left; None if it is foreign.

        Args:
            written: as an import gives it, with the dots of a relative one: `.util.session`.
            module: in which it is written.
        """
        rest = written.lstrip(".")
        parts = tuple(rest.split(".")) if rest else ()
        path = self.paths.get(module)
        if path is None:
            return None
        if level := len(written) - len(rest):
            folder = path
            for _ in range(level):
                folder = os.path.dirname(folder)
            return self._below(folder, parts) or self._of_package(folder, parts)
        if not parts or parts[0] in sys.stdlib_module_names or parts[0] not in self._by_first:
            return None
        candidates = self._by_first[parts[0]]
        around = [folder for folder in candidates if path.startswith(folder + os.sep)]
        nearest = [*sorted(around, key=len, reverse=True), *(f for f in candidates if f not in around)]
        for folder in nearest[:4]:
            if (found := self._below(folder, parts)) is not None:
                return found
        return None

    def _of_package(self, folder: str, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        module = self._by_place.get(folder)
        return (module, parts) if module else None

    def _below(self, folder: str, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """Follow the parts of a name from a folder downwards, as far as they are modules."""
        found: tuple[str, tuple[str, ...]] | None = None
        for index, part in enumerate(parts):
            folder = os.path.join(folder, part)
            module = self._by_place.get(folder)
            if module is None:
                break
            if module:
                found = module, parts[index + 1 :]
        return found

    def submodule(self, module: str, name: str) -> str:
        """Return the module of this name in a package, or nothing."""
        if module not in self.packages:
            return ""
        return self._by_place.get(os.path.join(os.path.dirname(self.paths[module]), name), "")

    def imports_of(self, module: str, data: bytes) -> dict[str, set[tuple[str, str]]]:
        """Return the modules of the project that a file imports, as a look at its bytes tells, and the names of each.

        A name comes with what the file calls it. `*` stands for the module itself, and for all that it has.
        """
        found: dict[str, set[tuple[str, str]]] = {}
        for written, alias in _written_imports(data):
            target = self.find(written, module)
            if target is not None and target[0] != module:
                name = target[1][0] if target[1] else "*"
                found.setdefault(target[0], set()).add((name, alias))
        return found


def _written_imports(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield what is imported, as it is written, and what it is called then."""
    for match in _IMPORT.finditer(data):
        start, names, modules = (part.decode("utf-8", "replace") if part else "" for part in match.groups())
        if modules:
            for part in modules.partition("#")[0].split(","):
                if word := _NAMED.match(part.strip()):
                    yield word[1], word[2] or word[1].partition(".")[0]
            continue
        start = start.replace(" ", "").replace("\t", "")
        lines = names.strip("()").splitlines() or [""]
        for part in ",".join(line.partition("#")[0] for line in lines).split(","):
            if word := _NAMED.match(part.strip()):
                yield f"{start}{word[1]}" if start.endswith(".") else f"{start}.{word[1]}", word[2] or word[1]
            elif part.strip() == "*":
                yield start, "*"
