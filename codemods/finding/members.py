"""What an attribute stands for: a member of a class of the file, or of a library's client; what a helper method returns."""

from __future__ import annotations

import ast

from ..source.scopes import ClassInfo, Scope
from ..source.syntax import decorator_name, is_super
from ..tables.lookup import passes_through
from .annotations import annotated
from .elsewhere import UNKNOWN
from .search import Search, Seen


def attribute(search: Search, node: ast.Attribute, scope: Scope, seen: frozenset[Seen]) -> str:
    """Resolve `thing.name`."""
    if is_super(node.value):
        return _of_super(search, node.attr, scope)
    base = search.within(node.value, scope, seen)
    info = search.own_class(base)
    if info is not None:
        if node.attr == "__class__":
            return base.removesuffix("()")
        return _member(search, info, node.attr, seen)
    if not base or base.endswith("[]"):
        return UNKNOWN
    if (base, node.attr) in search.stored:
        stored = search.stored[base, node.attr]
        if found := search.once((id(stored), node.attr), seen, lambda s: search.best(stored, s)):
            return found
    return search.elsewhere.attribute(base, node.attr)


def client_base(search: Search, info: ClassInfo) -> str:
    """Return the library's class that a class derives from, such as `requests.Session`, or nothing."""
    for cls in info.lineage():
        outer = cls.scope.parent or search.module
        for base in cls.node.bases:
            name = search.resolve(base, outer)
            if search.catalogue.is_known_class(name):
                return name
            if found := search.elsewhere.client_base(name):
                return found
    return UNKNOWN


def returned(search: Search, function: ast.FunctionDef | ast.AsyncFunctionDef, seen: frozenset[Seen]) -> str:
    """Resolve what a helper function returns: by its annotation, or by its return statements."""
    return search.once((id(function), "()"), seen, lambda s: _search_returned(search, function, s))


def _search_returned(
    search: Search, function: ast.FunctionDef | ast.AsyncFunctionDef, seen: frozenset[Seen]
) -> str:
    scope = search.scopes[function]
    named = annotated(search, function.returns, scope, seen) if function.returns is not None else UNKNOWN
    if named.endswith("()") and search.catalogue.is_client(named[:-2]):
        return named
    returns = [(value, scope) for value in scope.returns]
    found = search.best(returns, seen)
    # What a helper returns is a client, a module, or a thing of the file's own; a function that it returns is
    # wrapped there.
    is_thing = found.endswith(("()", ":")) or search.catalogue.is_module(found)
    return found if is_thing else named


def _member(search: Search, info: ClassInfo, name: str, seen: frozenset[Seen]) -> str:
    """Resolve `self.name` in a class: by assignments, by annotations, as a property, or as a client's own."""
    return search.once((id(info), name), seen, lambda s: _search_member(search, info, name, s))


def _search_member(search: Search, info: ClassInfo, name: str, seen: frozenset[Seen]) -> str:
    for cls in info.lineage():
        found = search.best_name(
            [
                *(search.within(value, scope, seen) for value, scope in cls.attributes.get(name, ())),
                *(
                    annotated(search, annotation, scope, seen)
                    for annotation, scope in cls.annotations.get(name, ())
                ),
            ]
        )
        method = cls.methods.get(name)
        if method is not None and any(_is_property(d) for d in method.decorator_list):
            found = found or returned(search, method, seen)
        if found:
            return found
        if method is not None:
            return UNKNOWN
        for annotation, scope in cls.self_types:
            other = annotated(search, annotation, scope, seen)
            if (found_class := search.own_class(other)) is not None and found_class is not cls:
                found = _member(search, found_class, name, seen)
            elif other and found_class is None:
                found = search.elsewhere.attribute(other, name)
            if found:
                return found
    maker = client_base(search, info)
    if maker and not passes_through(name, _overridden(search, info)):
        return f"{maker}().{name}"
    return search.elsewhere.member(info, name)


def _of_super(search: Search, name: str, scope: Scope) -> str:
    info = scope.class_around()
    if info is None:
        return UNKNOWN
    if any(name in base.methods for base in info.lineage() if base is not info):
        return UNKNOWN
    if maker := client_base(search, info):
        return UNKNOWN if passes_through(name, _overridden(search, info)) else f"{maker}().{name}"
    bases = ((base, cls.scope.parent or search.module) for cls in info.lineage() for base in cls.node.bases)
    written = (f"{search.resolve(base, outer)}.{name}" for base, outer in bases)
    return next((found for found in written if search.catalogue.has(found)), UNKNOWN)


def of_super(search: Search, scope: Scope) -> str:
    """Resolve `super()`, kept in a variable: the library's class that the class around it derives from."""
    info = scope.class_around()
    maker = UNKNOWN if info is None else client_base(search, info)
    return f"{maker}()" if maker else UNKNOWN


def _overridden(search: Search, info: ClassInfo) -> frozenset[str]:
    own = frozenset(name for cls in info.lineage() for name in cls.methods)
    return own | search.elsewhere.methods_of(info)


def _is_property(decorator: ast.expr) -> bool:
    return decorator_name(decorator).rpartition(".")[2] in ("property", "cached_property")
