"""Reads the bindings of a file: which names its scopes bind, and to what, and what its classes have."""

from __future__ import annotations

import ast
import sys
from typing import Any

from ..source.scopes import ClassInfo, FunctionNode, Scope, inside, outside
from ..source.syntax import children, decorator_name
from ..tables.lookup import Catalogue, catalogue
from .elsewhere import UNKNOWN, Elsewhere
from .resolve import Names
from .type_comments import parsed, types_in_comment

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
ANY_NAME = "*"
"""Among the names that a class uses: it sets attributes by names that it is given."""
_ACCESS = frozenset({"getattr", "setattr", "hasattr", "delattr"})
_TYPE_ALIAS: tuple[Any, ...] = (getattr(ast, "TypeAlias"),) if sys.version_info >= (3, 12) else ()  # noqa: B009
_BINDING = frozenset({
    ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem,
    ast.Attribute, ast.Return, ast.Yield, ast.Call, ast.ExceptHandler, ast.MatchAs, ast.MatchStar,
    ast.MatchMapping, ast.For, ast.AsyncFor, ast.While, ast.comprehension,
    *_TYPE_ALIAS,
})  # fmt: skip


def build(tree: ast.Module, known: Catalogue | None = None, elsewhere: Elsewhere | None = None) -> Names:
    """Read all bindings of a file.

    Args:
        known: the libraries; by default those of the table.
        elsewhere: the other files of the project, if they are known.
    """
    module = Scope(tree, None)
    names = Names(module, {tree: module}, [], known or catalogue())
    if elsewhere is not None:
        names.elsewhere = elsewhere
        elsewhere.classes = names.classes
    builder = _Builder(names)
    builder.fill(module, children(tree))
    used: dict[str, set[str]] = {}
    for name, attribute in builder.used:
        used.setdefault(name, set()).add(attribute)
    for info in names.classes:
        outer = info.scope.parent or module
        bases = (base.value if isinstance(base, ast.Subscript) else base for base in info.node.bases)
        found = (names.own_class(names.resolve(base, outer)) for base in bases)
        info.bases = [base for base in found if base is not None and base is not info]
        info.used |= used.get(info.node.name, set())
    names.libraries = frozenset(builder.imported)
    # What was resolved so far did not know the annotations of parameters and the base classes.
    for scope, name, annotation, outer in builder.annotated:
        scope.bind(name, names.annotated(annotation, outer))
    names.forget()
    _store(names, builder.stored)
    return names


def _store(names: Names, stored: list[tuple[ast.Attribute, ast.expr, Scope]]) -> None:
    """Note what is assigned to attributes of other things than `self`: `config.session = requests.Session()`."""
    found: list[tuple[str, str, ast.expr, Scope]] = []
    for target, value, scope in stored:
        if kind := names.resolve(target.value, scope):
            found.append((kind, target.attr, value, scope))
    for kind, attribute, value, scope in found:
        if (info := names.own_class(kind)) is not None:
            info.attributes.setdefault(attribute, []).append((value, scope))
        else:
            names.stored.setdefault((kind, attribute), []).append((value, scope))
    if found:
        names.forget()


class _Builder:
    """Walks a file once, scope by scope."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.imported: set[str] = set()
        self.used: list[tuple[str, str]] = []
        """Names and the attributes that are used of them; some of the names are those of classes."""
        self.annotated: list[tuple[Scope, str, ast.expr, Scope]] = []
        self.stored: list[tuple[ast.Attribute, ast.expr, Scope]] = []
        """Assignments to attributes of other things than `self`."""

    def fill(self, scope: Scope, nodes: list[ast.AST]) -> None:
        """Bind what `nodes` bind in `scope`, and open the scopes inside them."""
        todo = nodes[::-1]
        while todo:
            node = todo.pop()
            if type(node) is ast.Constant:
                continue
            if type(node) is ast.Name:
                if isinstance(node.ctx, ast.Store):
                    self._hide(scope, node.id)
                continue
            scope.parts.append(node)
            if isinstance(node, _FUNCTIONS):
                self._open_function(scope, node)
                continue
            if isinstance(node, ast.ClassDef):
                self._open_class(scope, node)
                continue
            if type(node) in _BINDING:
                if isinstance(node, ast.Call):
                    scope.calls.append(node)
                self._bind(scope, node)
            todo += children(node)[::-1]

    def _open_function(self, scope: Scope, node: FunctionNode) -> None:
        inner = Scope(node, scope)
        self.names.scopes[node] = inner
        args = node.args
        named = [*args.posonlyargs, *args.args]
        is_method = isinstance(scope.node, ast.ClassDef) and not _is_static(node)
        _bind_type_parameters(inner, node)
        told_apart = types_in_comment(node, is_method)
        for index, arg in enumerate([*named, *args.kwonlyargs]):
            inner.bind(arg.arg, UNKNOWN)
            annotation = arg.annotation or parsed(arg.type_comment) or told_apart.get(arg.arg)
            if annotation is not None and not (is_method and index == 0):
                self.annotated.append((inner, arg.arg, annotation, inner if inner.type_parameters else scope))
            elif annotation is not None and scope.class_info is not None:
                scope.class_info.self_types.append((annotation, scope))
        self._bind_defaults(inner, args, named)
        for arg in filter(None, (args.vararg, args.kwarg)):
            inner.bind(arg.arg, UNKNOWN)
        self.fill(scope, outside(node))
        if isinstance(node, ast.Lambda):
            if is_method and named and named[0].arg == "self":
                inner.class_info, inner.self_name = scope.class_info, "self"
            self.fill(inner, inside(node))
            return
        scope.bind(node.name, node)
        info = scope.class_info
        if info is not None and isinstance(scope.node, ast.ClassDef):
            info.methods[node.name] = node
            info.defined.add(node.name)
            if named and is_method:
                inner.class_info, inner.self_name = info, named[0].arg
        self.fill(inner, inside(node))

    @staticmethod
    def _bind_defaults(inner: Scope, args: ast.arguments, named: list[ast.arg]) -> None:
        """Bind parameters to what they are where they are not given: `def f(self, http=requests)`."""
        defaults = [*zip(named[len(named) - len(args.defaults) :], args.defaults, strict=True)]
        defaults += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
        for arg, default in defaults:
            if isinstance(default, ast.Name | ast.Attribute) and arg.arg != getattr(default, "id", ""):
                inner.bind(arg.arg, default)

    def _open_class(self, scope: Scope, node: ast.ClassDef) -> None:
        scope.bind(node.name, node)
        if scope.class_info is not None and isinstance(scope.node, ast.ClassDef):
            scope.class_info.defined.add(node.name)
        self.fill(scope, outside(node))
        inner = Scope(node, scope)
        info = ClassInfo(node, inner, len(self.names.classes))
        inner.class_info = info
        _bind_type_parameters(inner, node)
        self.names.scopes[node] = inner
        self.names.classes.append(info)
        self.fill(inner, inside(node))
        info.defined.update(inner.bindings)

    def _bind(self, scope: Scope, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute):  # the most frequent ones first
            self._use(scope, node.value, node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(scope, node)
        elif isinstance(node, ast.Global):
            scope.elsewhere.update(dict.fromkeys(node.names, self.names.module))
        elif isinstance(node, ast.Nonlocal):
            for name in node.names:
                if (owner := _function_that_binds(name, scope)) is not None:
                    scope.elsewhere[name] = owner
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(scope, target, node.value)
            if (annotation := parsed(node.type_comment)) is not None and len(node.targets) == 1:
                self._annotate(scope, node.targets[0], annotation)
        elif isinstance(node, _TYPE_ALIAS):
            scope.bind(node.name.id, node.value)
        elif isinstance(node, ast.AnnAssign):
            self._annotate(scope, node.target, node.annotation)
            if node.value is not None:
                self._assign(scope, node.target, node.value)
        elif isinstance(node, ast.Return | ast.Yield):
            if node.value is not None:
                scope.returns.append(node.value)
        elif isinstance(node, ast.NamedExpr):
            self._assign(scope, node.target, node.value)
        elif isinstance(node, ast.While):
            scope.loops.append(node)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            if not isinstance(node, ast.comprehension):
                scope.loops.append(node)
            if isinstance(node.target, ast.Name) and node.target.id != scope.self_name:
                item = ast.Subscript(node.iter, ast.Constant(0), ast.Load())
                scope.bind(node.target.id, ast.copy_location(item, node.iter))
        elif isinstance(node, ast.withitem):
            if node.optional_vars is not None:
                self._assign(scope, node.optional_vars, node.context_expr)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            self._hide(scope, node.name)
        elif isinstance(node, ast.MatchMapping):
            self._hide(scope, node.rest)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ACCESS and len(node.args) >= 2:
            attribute = node.args[1]
            if getattr(node.func, "id", "") == "setattr" and not isinstance(attribute, ast.Constant):
                self._use(scope, node.args[0], ANY_NAME)
            if isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
                self._use(scope, node.args[0], attribute.value)
                if getattr(node.func, "id", "") == "setattr" and len(node.args) == 3:
                    self._assign(
                        scope, ast.Attribute(node.args[0], attribute.value, ast.Store()), node.args[2]
                    )

    @staticmethod
    def _hide(scope: Scope, name: str | None) -> None:
        """Bind a name to something that is not known, so that it is not what it is in the scopes around."""
        if name is None:
            return
        if name == scope.self_name:
            scope.bind(name, UNKNOWN)
        elif name not in scope.elsewhere:
            scope.bindings.setdefault(name, [UNKNOWN])

    def _use(self, scope: Scope, owner: ast.expr, attribute: str) -> None:
        """Note that an attribute of `self`, `cls` or a class of the file is used."""
        info = self.names.instance(owner, scope)
        if info is not None:
            info.used.add(attribute)
        elif isinstance(owner, ast.Name):
            self.used.append((owner.id, attribute))

    def _import(self, scope: Scope, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                self.imported.add(first)
                self.names.imports.append((alias.name, node.lineno))
                scope.bind(alias.asname or first, alias.name if alias.asname else first)
            return
        module = node.module or ""
        if not node.level:
            self.imported.add(module.partition(".")[0])
        start = "." * node.level
        for alias in node.names:
            if alias.name == "*":
                self.names.stars.append(f"{start}{module}")
                continue
            name = f"{start}{module}.{alias.name}" if module else f"{start}{alias.name}"
            self.names.imports.append((name, node.lineno))
            scope.bind(alias.asname or alias.name, name)

    def _annotate(self, scope: Scope, target: ast.expr, annotation: ast.expr) -> None:
        if isinstance(target, ast.Name) and isinstance(scope.node, ast.ClassDef) and scope.class_info:
            scope.class_info.defined.add(target.id)
            scope.class_info.annotations.setdefault(target.id, []).append((annotation, scope))
        elif isinstance(target, ast.Name):
            scope.bind(target.id, UNKNOWN)
            self.annotated.append((scope, target.id, annotation, scope))
        elif isinstance(target, ast.Attribute) and (info := self.names.instance(target.value, scope)):
            info.annotations.setdefault(target.attr, []).append((annotation, scope))

    def _assign(self, scope: Scope, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, value)
            if scope.class_info is not None and isinstance(scope.node, ast.ClassDef):
                scope.class_info.defined.add(target.id)
                scope.class_info.attributes.setdefault(target.id, []).append((value, scope))
                if target.id == "__slots__":  # each is a member of the class
                    scope.class_info.defined |= _words_in(value)
        elif isinstance(target, ast.Attribute):
            info = self.names.instance(target.value, scope)
            if info is not None:
                info.attributes.setdefault(target.attr, []).append((value, scope))
            else:
                self.stored.append((target, value, scope))
        elif (
            isinstance(target, ast.Tuple | ast.List)
            and isinstance(value, ast.Tuple | ast.List)
            and len(target.elts) == len(value.elts)
        ):
            for part, part_value in zip(target.elts, value.elts, strict=True):
                self._assign(scope, part, part_value)


def _function_that_binds(name: str, scope: Scope) -> Scope | None:
    owner = scope.parent
    while owner is not None:
        if name in owner.bindings and not isinstance(owner.node, ast.ClassDef | ast.Module):
            return owner
        owner = owner.parent
    return None


def _words_in(value: ast.expr) -> set[str]:
    """Return the names that the strings in an expression hold: `("a", "b")`, `"a b".split()`, `{"a": "what it is"}`."""
    parts = filter(None, value.keys) if isinstance(value, ast.Dict) else ast.walk(value)
    texts = (part.value for part in parts if isinstance(part, ast.Constant))
    return {word for text in texts if isinstance(text, str) for word in text.split()}


def _bind_type_parameters(scope: Scope, node: ast.AST) -> None:
    """Note what bounds the type variables of a generic function or class: `def f[T: httpx.Client](client: T)`."""
    for parameter in getattr(node, "type_params", ()):
        if (bound := getattr(parameter, "bound", None)) is not None:
            scope.type_parameters[parameter.name] = bound


def _is_static(node: FunctionNode) -> bool:
    return any(
        decorator_name(d).rpartition(".")[2] == "staticmethod" for d in getattr(node, "decorator_list", [])
    )
