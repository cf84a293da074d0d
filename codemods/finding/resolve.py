"""Resolves expressions to dotted names, such as `requests.post` or `requests.Session().post`.

What can be read in the file is used: imports, assignments, annotations, `with`, attributes of `self`, base classes,
and helper methods that return a client. What comes from other files is asked of `Elsewhere`. Nothing is imported or
run. `bindings` reads the file; `search` says how names look.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import partial

from ..source.scopes import Binding, ClassInfo, Scope
from ..tables.not_covered import not_covered
from . import members
from .annotations import annotated, is_generic
from .call_results import function_called, given_by
from .elsewhere import UNKNOWN
from .members import attribute
from .search import Search, Seen

_DISPLAYS = (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Tuple, ast.Set, ast.SetComp)
_MOST_HELD = 8


@dataclass
class Names(Search):
    """What each expression of a file stands for."""

    libraries: frozenset[str] = frozenset()
    """First parts of what the file imports absolutely."""
    imports: list[tuple[str, int]] = field(default_factory=list)
    """What the file imports, wherever in it, and in which line."""

    def not_covered(self) -> dict[str, int]:
        """Return the well-known API libraries that the file imports and that no row covers -> in which line, each once."""
        found: dict[str, int] = {}
        for imported, line in self.imports:
            library = not_covered(imported)
            if library and not self.catalogue.is_module(library) and not self.elsewhere.has(imported):
                found.setdefault(library, line)
        return found

    def resolve_node(self, node: ast.expr, scope: Scope, seen: frozenset[Seen]) -> str:
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id, scope, seen)
        if isinstance(node, ast.Attribute):
            return attribute(self, node, scope, seen)
        if isinstance(node, ast.Call):
            return given_by(self, node, scope, seen)
        if isinstance(node, ast.Await | ast.NamedExpr):
            return self.within(node.value, scope, seen)
        if isinstance(node, ast.Subscript):
            if is_generic(node):
                return annotated(self, node, scope, seen).removesuffix("()")  # an alias of a type
            base = self.within(node.value, scope, seen)
            if self.catalogue.is_collection(base):
                return base  # its methods are those of the things that it gives
            return base[:-2] if base.endswith("[]") else UNKNOWN
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return annotated(self, node, scope, seen).removesuffix("()")
        if isinstance(node, _DISPLAYS):
            held = self.best([(value, scope) for value in _held(node)], seen)
            return f"{held}[]" if held.endswith("()") and self.catalogue.is_client(held[:-2]) else UNKNOWN
        if isinstance(node, ast.BoolOp):
            return self.best([(value, scope) for value in node.values], seen)
        if isinstance(node, ast.IfExp):
            return self.best([(node.body, scope), (node.orelse, scope)], seen)
        return UNKNOWN

    def _resolve_name(self, name: str, scope: Scope, seen: frozenset[Seen]) -> str:
        owner: Scope | None = scope
        first = True
        while owner is not None:
            # A function does not see the names of the class around it.
            visible = first or not isinstance(owner.node, ast.ClassDef)
            if visible and name in owner.bindings:
                if (
                    name == owner.self_name
                    and owner.class_info is not None
                    and len(owner.bindings[name]) == 1
                ):
                    return f"<{owner.class_info.index}>()"
                search = partial(self._resolve_bound, owner.bindings[name], owner)
                return self.once((id(owner), name), seen, search)
            owner, first = owner.parent, False
        return self._starred(name)

    def _starred(self, name: str) -> str:
        """Return what a name is that no scope binds: one that `from module import *` brought."""
        for module in self.stars:
            if self.catalogue.has(f"{module}.{name}"):
                return f"{module}.{name}"
        return next((found for module in self.stars if (found := self.elsewhere.star(module, name))), UNKNOWN)

    def _resolve_bound(self, values: list[Binding], scope: Scope, seen: frozenset[Seen]) -> str:
        names: list[str] = []
        for value in values:
            if isinstance(value, str):
                by_user = f".{value.lstrip('.')}" if value.startswith(".") else value
                is_own = self.catalogue.is_own(by_user)
                names.append(by_user if is_own else self.elsewhere.imported(value))
            elif isinstance(value, ast.ClassDef):
                info = self.scopes[value].class_info
                names.append(f"<{info.index}>" if info is not None else UNKNOWN)
            elif isinstance(value, ast.expr) and not isinstance(value, ast.Lambda):
                names.append(self.within(value, scope, seen))
        return self.best_name(names)

    def annotated(self, annotation: ast.expr, scope: Scope) -> str:
        """Return `Client()` for an annotation that names a class, alone or in a union; for a client, if one is there."""
        return annotated(self, annotation, scope)

    def client_base(self, info: ClassInfo) -> str:
        """Return the library's class that a class derives from, such as `requests.Session`, or nothing."""
        return members.client_base(self, info)

    def method_called(
        self, function: ast.expr, scope: Scope
    ) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return the method or function of this file that an expression stands for."""
        if isinstance(function, ast.Name | ast.Attribute):
            return function_called(self, function, scope, frozenset())
        return None

    def instance(self, node: ast.expr, scope: Scope) -> ClassInfo | None:
        """Return the class if an expression is the `self` or `cls` of a method around it."""
        if not isinstance(node, ast.Name):
            return None
        method = self.method_of_self(node.id, scope)
        return method.class_info if method is not None else None

    @staticmethod
    def method_of_self(name: str, scope: Scope) -> Scope | None:
        """Return the method whose first parameter a name means here."""
        owner: Scope | None = scope
        while owner is not None:
            if not isinstance(owner.node, ast.ClassDef) and name in owner.bindings:
                return owner if owner.self_name == name and len(owner.bindings[name]) == 1 else None
            owner = owner.parent
        return None


def _held(node: ast.expr) -> list[ast.expr]:
    """Return what a display holds, or as much of it as tells what that is: `{"eu": requests.Session()}`."""
    if isinstance(node, ast.Dict):
        return node.values[:_MOST_HELD]
    if isinstance(node, ast.DictComp):
        return [node.value]
    if isinstance(node, ast.ListComp | ast.SetComp):
        return [node.elt]
    return node.elts[:_MOST_HELD] if isinstance(node, ast.List | ast.Tuple | ast.Set) else []
