"""What a call gives: an instance, a client that a helper returns, or what functions such as `cast` and `partial` hand on."""

from __future__ import annotations

import ast

from ..source.scopes import Scope
from ..source.syntax import is_super
from .annotations import annotated
from .elsewhere import UNKNOWN
from .members import attribute, of_super, returned
from .search import Search, Seen

_ENTERS = frozenset({"__enter__", "__aenter__", "enter_context", "enter_async_context"})
"""Methods that give what they are given, or what they are called on, having entered it."""
_NEW_TYPES = frozenset({"typing.NewType", "typing_extensions.NewType"})
_TYPE_VARIABLES = frozenset({"typing.TypeVar", "typing_extensions.TypeVar"})
_FACTORIES = frozenset({"field", "Field", "attrib", "ib", "PrivateAttr"})


def given_by(search: Search, node: ast.Call, scope: Scope, seen: frozenset[Seen]) -> str:
    """Resolve the value of a call."""
    function = node.func
    if is_super(node):
        return of_super(search, scope)
    if isinstance(function, ast.Name) and function.id == "getattr" and len(node.args) >= 2:
        wanted = node.args[1]
        if isinstance(wanted, ast.Constant) and isinstance(wanted.value, str) and wanted.value.isidentifier():
            access = ast.copy_location(ast.Attribute(node.args[0], wanted.value, ast.Load()), node)
            return attribute(search, access, scope, seen)
        base = search.within(node.args[0], scope, seen)
        return f"{base}.*" if base else UNKNOWN
    name = search.within(function, scope, seen)
    if name in ("typing.cast", "typing_extensions.cast") and len(node.args) == 2:
        named = annotated(search, node.args[0], scope, seen)
        value = search.within(node.args[1], scope, seen)
        return search.best_name([value, named] if value else [named])
    if name == "functools.partial" and node.args and isinstance(scope.node, ast.Module):
        # Inside a method what it is given is wrapped where it stands; at module level, where the result is called.
        return search.within(node.args[0], scope, seen)
    is_import = name == "importlib.import_module" or getattr(function, "id", "") == "__import__"
    if is_import and node.args and isinstance(node.args[0], ast.Constant):
        return search.elsewhere.imported(str(node.args[0].value))
    if name in _NEW_TYPES and len(node.args) == 2:
        return annotated(search, node.args[1], scope, seen).removesuffix("()")
    if name in _TYPE_VARIABLES:
        bounds = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "bound")]
        return search.best_name(annotated(search, bound, scope, seen) for bound in bounds).removesuffix("()")
    if isinstance(function, ast.Attribute) and function.attr in _ENTERS:
        entered = node.args[0] if node.args else function.value
        return search.within(entered, scope, seen)
    if isinstance(function, ast.Name) and function.id == "type" and len(node.args) == 1 and not name:
        return search.within(node.args[0], scope, seen).removesuffix("()")
    if isinstance(function, ast.Name | ast.Attribute):
        written = function.id if isinstance(function, ast.Name) else function.attr
        if written in _FACTORIES:
            made = next((k.value for k in node.keywords if k.arg in ("default_factory", "factory")), None)
            return (
                f"{made_by}()"
                if made is not None and (made_by := search.within(made, scope, seen))
                else UNKNOWN
            )
        if helper := function_called(search, function, scope, seen):
            return returned(search, helper, seen)
    if search.own_class(name) is not None:
        return UNKNOWN if name.endswith("()") else f"{name}()"  # an instance that is called
    return search.elsewhere.called(name) if name else UNKNOWN


def function_called(
    search: Search, function: ast.Name | ast.Attribute, scope: Scope, seen: frozenset[Seen]
) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return the function of this file that is called."""
    if isinstance(function, ast.Name):
        owner: Scope | None = scope
        while owner is not None:
            for value in owner.bindings.get(function.id, ()):
                if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef) and (
                    owner is scope or not isinstance(owner.node, ast.ClassDef)
                ):
                    return value
            owner = owner.parent
        return None
    info = search.own_class(search.within(function.value, scope, seen))
    lineage = info.lineage() if info is not None else ()
    return next((cls.methods[function.attr] for cls in lineage if function.attr in cls.methods), None)
