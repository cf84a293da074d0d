"""Resolves expressions to dotted names, such as `requests.post` or `requests.Session().post`.

Only what can be read in the one file is used: imports, assignments, annotations, `with`, attributes of `self`, base
classes, and helper methods that return a client. Nothing is imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .libraries import is_client

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
UNKNOWN = ""


@dataclass
class Scope:
    """A module, class or function, with the names that are bound in it: each has the expressions it may stand for."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[str | ast.expr | FunctionNode | ast.ClassDef]] = field(default_factory=dict)
    class_info: ClassInfo | None = None
    self_name: str | None = None
    """In a method: the name of its first parameter, if that is the instance or the class."""

    def bind(self, name: str, value: str | ast.expr | FunctionNode | ast.ClassDef) -> None:
        self.bindings.setdefault(name, []).append(value)


@dataclass
class ClassInfo:
    """A class of the file, and what is known of its attributes."""

    node: ast.ClassDef
    scope: Scope
    bases: list[ClassInfo] = field(default_factory=list)
    attributes: dict[str, list[tuple[ast.expr, Scope]]] = field(default_factory=dict)
    annotations: dict[str, list[tuple[ast.expr, Scope]]] = field(default_factory=dict)
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Names of attributes that the class's code assigns or reads on `self` or `cls`."""
    defined: set[str] = field(default_factory=set)
    """Names that its body binds."""

    def lineage(self) -> Iterator[ClassInfo]:
        """Yield the class and its base classes in this file."""
        seen: set[int] = set()
        todo = [self]
        while todo:
            info = todo.pop(0)
            if id(info) not in seen:
                seen.add(id(info))
                yield info
                todo += info.bases


@dataclass
class Names:
    """All scopes of a file."""

    module: Scope
    scopes: dict[ast.AST, Scope]
    classes: list[ClassInfo]

    def resolve(self, node: ast.expr, scope: Scope) -> str:
        """Return the dotted name of what an expression stands for, or UNKNOWN."""
        return self._resolve(node, scope, frozenset())

    def _resolve(self, node: ast.expr, scope: Scope, seen: frozenset[int]) -> str:
        if id(node) in seen or len(seen) > 30:
            return UNKNOWN
        seen |= {id(node)}
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id, scope, seen)
        if isinstance(node, ast.Attribute):
            return self._resolve_attribute(node, scope, seen)
        if isinstance(node, ast.Call):
            return self._resolve_call(node, scope, seen)
        if isinstance(node, ast.Await):
            return self._resolve(node.value, scope, seen)
        if isinstance(node, ast.NamedExpr):
            return self._resolve(node.value, scope, seen)
        if isinstance(node, ast.BoolOp):
            return self._first_client(((value, scope) for value in node.values), seen)
        if isinstance(node, ast.IfExp):
            return self._first_client(((value, scope) for value in (node.body, node.orelse)), seen)
        return UNKNOWN

    def _first_client(self, nodes: Iterable[tuple[ast.expr, Scope]], seen: frozenset[int]) -> str:
        names = [self._resolve(node, scope, seen) for node, scope in nodes]
        return next((name for name in names if name.endswith("()") and is_client(name[:-2])), "") or next(
            (name for name in names if name), UNKNOWN
        )

    def _resolve_name(self, name: str, scope: Scope, seen: frozenset[int]) -> str:
        owner: Scope | None = scope
        first = True
        while owner is not None:
            # A function does not see the names of the class around it.
            visible = first or not isinstance(owner.node, ast.ClassDef)
            if visible and name in owner.bindings:
                if name == owner.self_name:
                    return UNKNOWN
                return self._resolve_bound(owner.bindings[name], owner, seen)
            owner, first = owner.parent, False
        return UNKNOWN

    def _resolve_bound(
        self, values: list[str | ast.expr | FunctionNode | ast.ClassDef], scope: Scope, seen: frozenset[int]
    ) -> str:
        nodes: list[tuple[ast.expr, Scope]] = []
        for value in values:
            if isinstance(value, str):
                if value:
                    return value
            elif isinstance(value, ast.expr) and not isinstance(value, ast.Lambda):
                nodes.append((value, scope))
        return self._first_client(nodes, seen)

    def _resolve_attribute(self, node: ast.Attribute, scope: Scope, seen: frozenset[int]) -> str:
        info = self.instance(node.value, scope)
        if info is not None:
            return self._resolve_member(info, node.attr, seen)
        base = self._resolve(node.value, scope, seen)
        return f"{base}.{node.attr}" if base else UNKNOWN

    def _resolve_member(self, info: ClassInfo, name: str, seen: frozenset[int]) -> str:
        """Resolve `self.name` in a class: by assignments, by annotations, or as a property."""
        for cls in info.lineage():
            if found := self._first_client(cls.attributes.get(name, ()), seen):
                return found
            for annotation, scope in cls.annotations.get(name, ()):
                if found := self._annotated(annotation, scope):
                    return found
            method = cls.methods.get(name)
            if method is not None and any(_is_property(d) for d in method.decorator_list):
                return self._returned(method, seen)
        return UNKNOWN

    def _resolve_call(self, node: ast.Call, scope: Scope, seen: frozenset[int]) -> str:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "getattr" and len(node.args) >= 2:
            base = self._resolve(node.args[0], scope, seen)
            return f"{base}.*" if base else UNKNOWN
        if isinstance(function, ast.Attribute):
            info = self.instance(function.value, scope)
            if info is not None:
                for cls in info.lineage():
                    if function.attr in cls.methods:
                        return self._returned(cls.methods[function.attr], seen)
        elif isinstance(function, ast.Name):
            target = self._function(function.id, scope)
            if target is not None:
                return self._returned(target, seen)
        name = self._resolve(function, scope, seen)
        return f"{name}()" if name else UNKNOWN

    def _function(self, name: str, scope: Scope) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        owner: Scope | None = scope
        while owner is not None:
            for value in owner.bindings.get(name, ()):
                if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef):
                    return value
            owner = owner.parent
        return None

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef, seen: frozenset[int]) -> str:
        """Resolve what a helper function returns: by its annotation, or by its return statements."""
        if id(function) in seen:
            return UNKNOWN
        scope = self.scopes[function]
        if function.returns is not None and (found := self._annotated(function.returns, scope)):
            return found
        returns = [
            (node.value, scope)
            for node in own_nodes(function)
            if isinstance(node, ast.Return | ast.Yield) and node.value is not None
        ]
        return self._first_client(returns, seen | {id(function)})

    def _annotated(self, annotation: ast.expr, scope: Scope) -> str:
        """Return `Client()` if an annotation names a client, alone or in a union."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError):
                return UNKNOWN
        if isinstance(annotation, ast.BinOp):
            return self._annotated(annotation.left, scope) or self._annotated(annotation.right, scope)
        if isinstance(annotation, ast.Subscript):
            parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
            return next((found for part in parts if (found := self._annotated(part, scope))), UNKNOWN)
        name = (
            self.resolve(annotation, scope) if isinstance(annotation, ast.Name | ast.Attribute) else UNKNOWN
        )
        return f"{name}()" if is_client(name) else UNKNOWN

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


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands in a function, class or module, without what stands in those inside it."""
    todo = list(ast.iter_child_nodes(node))
    while todo:
        child = todo.pop()
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(child))


def decorator_name(node: ast.expr) -> str:
    """Return the dotted name of a decorator, as written, without its arguments."""
    if isinstance(node, ast.Call):
        node = node.func
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _is_property(decorator: ast.expr) -> bool:
    return decorator_name(decorator).rpartition(".")[2] in ("property", "cached_property")


def build(tree: ast.Module) -> Names:
    """Read all bindings of a file."""
    module = Scope(tree, None)
    names = Names(module, {tree: module}, [])
    _Builder(names).fill(module, list(ast.iter_child_nodes(tree)))
    by_name: dict[str, ClassInfo] = {}
    for info in names.classes:
        info.bases = [
            by_name[base.id] for base in info.node.bases if isinstance(base, ast.Name) and base.id in by_name
        ]
        by_name[info.node.name] = info
    return names


class _Builder:
    """Walks a file once, scope by scope."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def fill(self, scope: Scope, nodes: list[ast.AST]) -> None:
        """Bind what `nodes` bind in `scope`, and open the scopes inside them."""
        todo = nodes[::-1]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                self._open_function(scope, node)
                continue
            if isinstance(node, ast.ClassDef):
                self._open_class(scope, node)
                continue
            self._bind(scope, node)
            todo.extend(list(ast.iter_child_nodes(node))[::-1])

    def _open_function(self, scope: Scope, node: FunctionNode) -> None:
        inner = Scope(node, scope)
        self.names.scopes[node] = inner
        args = node.args
        named = [*args.posonlyargs, *args.args]
        for arg in [*named, *args.kwonlyargs]:
            inner.bind(arg.arg, UNKNOWN)
            if arg.annotation is not None and (client := self.names._annotated(arg.annotation, scope)):
                inner.bind(arg.arg, client)
        for arg in filter(None, (args.vararg, args.kwarg)):
            inner.bind(arg.arg, UNKNOWN)
        outside: list[ast.AST] = [*args.defaults, *(d for d in args.kw_defaults if d is not None)]
        if isinstance(node, ast.Lambda):
            self.fill(scope, outside)
            self.fill(inner, [node.body])
            return
        scope.bind(node.name, node)
        self.fill(scope, [*outside, *node.decorator_list])
        info = scope.class_info
        if info is not None and isinstance(scope.node, ast.ClassDef):
            info.methods[node.name] = node
            info.defined.add(node.name)
            decorators = {decorator_name(d).rpartition(".")[2] for d in node.decorator_list}
            if named and "staticmethod" not in decorators:
                inner.class_info, inner.self_name = info, named[0].arg
        self.fill(inner, list(node.body))

    def _open_class(self, scope: Scope, node: ast.ClassDef) -> None:
        scope.bind(node.name, node)
        if scope.class_info is not None and isinstance(scope.node, ast.ClassDef):
            scope.class_info.defined.add(node.name)
        self.fill(scope, [*node.bases, *(k.value for k in node.keywords), *node.decorator_list])
        inner = Scope(node, scope)
        info = ClassInfo(node, inner)
        inner.class_info = info
        self.names.scopes[node] = inner
        self.names.classes.append(info)
        self.fill(inner, list(node.body))

    def _bind(self, scope: Scope, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                scope.bind(alias.asname or first, alias.name if alias.asname else first)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                known = not node.level and node.module
                scope.bind(alias.asname or alias.name, f"{node.module}.{alias.name}" if known else UNKNOWN)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(scope, target, node.value)
        elif isinstance(node, ast.AnnAssign):
            self._annotate(scope, node)
            if node.value is not None:
                self._assign(scope, node.target, node.value)
        elif isinstance(node, ast.NamedExpr):
            self._assign(scope, node.target, node.value)
        elif isinstance(node, ast.withitem):
            if node.optional_vars is not None:
                self._assign(scope, node.optional_vars, node.context_expr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            scope.bindings.setdefault(node.id, [UNKNOWN])
        elif isinstance(node, ast.Attribute):
            info = self.names.instance(node.value, scope)
            if info is not None:
                info.used.add(node.attr)

    def _annotate(self, scope: Scope, node: ast.AnnAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name) and isinstance(scope.node, ast.ClassDef) and scope.class_info:
            scope.class_info.defined.add(target.id)
            scope.class_info.annotations.setdefault(target.id, []).append((node.annotation, scope))
        elif isinstance(target, ast.Name):
            scope.bind(target.id, self.names._annotated(node.annotation, scope))
        elif isinstance(target, ast.Attribute) and (info := self.names.instance(target.value, scope)):
            info.annotations.setdefault(target.attr, []).append((node.annotation, scope))

    def _assign(self, scope: Scope, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, value)
            if scope.class_info is not None and isinstance(scope.node, ast.ClassDef):
                scope.class_info.defined.add(target.id)
                scope.class_info.attributes.setdefault(target.id, []).append((value, scope))
        elif isinstance(target, ast.Attribute):
            info = self.names.instance(target.value, scope)
            if info is not None:
                info.attributes.setdefault(target.attr, []).append((value, scope))
        elif (
            isinstance(target, ast.Tuple | ast.List)
            and isinstance(value, ast.Tuple | ast.List)
            and len(target.elts) == len(value.elts)
        ):
            for part, part_value in zip(target.elts, value.elts, strict=True):
                self._assign(scope, part, part_value)
