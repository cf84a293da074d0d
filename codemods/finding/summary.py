"""What other files have to know of one file, as plain data: its classes, its functions, and what its names stand for.

Names of other files are left as they are written; `follow` finds out what they are. A name that the file itself
defines begins with `@` and the module, as in `@0/shop.http:Client().session`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..source.scopes import Binding, ClassInfo, Scope
from ..source.syntax import decorator_name, is_super
from ..tables.lookup import Catalogue
from ..tables.request_shapes import (
    CLIENT_WORDS,
    HTTP_METHODS,
    OF_CONTAINERS,
    SDK_CALL,
    SDK_METHODS,
    has_http_keyword,
)
from . import existing_retries
from .bindings import build
from .elsewhere import Elsewhere
from .handed_on import NOT_CALLERS, arguments
from .key_sources import KeySource, key_source
from .resolve import Names

Names_ = tuple[str, ...]
_MOST = 8
"""Things that one name may stand for; more are of no use."""
_LONGEST = 300
_ALIAS = (ast.Subscript, ast.BinOp)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS_GIVEN = (ast.Attribute, ast.Name, ast.Lambda)


@dataclass(frozen=True, slots=True)
class CallMade:
    """A call in a function.

    Attributes:
        line: where it stands.
        name: what is called; `$client.get` for a method of the parameter `client`.
        arguments: parameter's name or place -> what is given, where that is known.
        again: what repeats it when it has failed, or nothing.
        method: name of the method. If nothing tells whose it is, it may be any of that name in the project.
    """

    line: int
    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    again: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method.

    Attributes:
        name: with those of the classes around it: `Client.get`.
        kind: `function`, `method`, `class` (a class method), `static` or `property`.
        parameters: names of those that can be given by place, without `self`.
        repeats: how it repeats the function that it is given, as a decorator or a helper; or nothing.
        decorators: what decorates it.
    """

    name: str
    line: int
    kind: str
    parameters: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    calls: tuple[CallMade, ...] = ()
    repeats: str = ""
    decorators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Class:
    """A class.

    Attributes:
        bases: what it derives from.
        attributes: attribute of an instance -> what it may be.
        methods: names of methods that stand in its body.
        used: every name that its code binds, assigns or reads on itself.
        fields: annotated names of its body, which a dataclass or model makes parameters of.
        key: where it keeps its API key, if it keeps one.
    """

    name: str
    line: int
    bases: tuple[str, ...] = ()
    attributes: dict[str, Names_] = field(default_factory=dict)
    methods: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    key: KeySource | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A file.

    Attributes:
        names: name that the module binds -> what it may stand for.
        stars: modules of which it imports all names.
        calls: those that stand in no function.
    """

    module: str
    names: dict[str, Names_] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    calls: tuple[CallMade, ...] = ()


class _Written(Elsewhere):
    """Leaves the names of other files as they are written."""

    def __init__(self, module: str) -> None:
        self.module = module

    def imported(self, written: str) -> str:
        return written

    def member(self, info: ClassInfo, name: str) -> str:
        return f"@{self.module}:{info.scope.path}().{name}"

    def star(self, module: str, name: str) -> str:
        return "" if hasattr(builtins, name) else f"@{self.module}:{name}"


def summarise(tree: ast.Module, module: str, known: Catalogue, names_retries: bool = True) -> Summary:
    """Return what others have to know of a file.

    Args:
        module: what the file is known by (see `modules`).
        names_retries: something in the file may be called after what retries: `retry`, `backoff`.
    """
    names = build(tree, known, _Written(module))
    return _Reader(names, module, names_retries).read()


class _Reader:
    """Reads the parts of a summary from the bindings of a file."""

    def __init__(self, names: Names, module: str, names_retries: bool) -> None:
        self.names = names
        self.module = module
        self.names_retries = names_retries
        self.repeaters = existing_retries.repeaters(names, names_retries)
        self.repeats = {function: how for (function, _), how in self.repeaters.items()}
        self.own = {f"<{info.index}>": f"@{module}:{info.scope.path}" for info in names.classes}

    def read(self) -> Summary:
        functions: dict[str, Function] = {}
        for node, scope in self.names.scopes.items():
            if isinstance(node, _FUNCTION):
                functions[scope.path] = self._function(node, scope)
        module = self.names.module
        return Summary(
            self.module,
            {name: found for name, values in module.bindings.items() if (found := self._bound(values, name))},
            {info.scope.path: self._class(info) for info in self.names.classes},
            functions,
            tuple(self.names.stars),
            self._calls(module, ()),
        )

    def _bound(self, values: list[Binding], name: str) -> Names_:
        found: list[str] = []
        for value in values:
            if isinstance(value, str):
                found.append(value)
            elif isinstance(value, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(f"@{self.module}:{name}")
            elif isinstance(value, ast.expr) and not isinstance(value, ast.Lambda | ast.Constant):
                found.append(self._named(value, self.names.module))
        return _few(found)

    def _named(self, node: ast.expr, scope: Scope) -> str:
        return self._public(self.names.resolve(node, scope))

    def _public(self, name: str) -> str:
        """Return a name with a class of the file called by what others call it."""
        if name.startswith("<"):
            number, end, rest = name.partition(">")
            name = f"{self.own.get(number + end, '')}{rest}"
        return name if len(name) <= _LONGEST else ""

    def _class(self, info: ClassInfo) -> Class:
        outer = info.scope.parent or self.names.module
        attributes: dict[str, Names_] = {}
        for name in {*info.attributes, *info.annotations}:
            values = [
                *(self._named(value, scope) for value, scope in info.attributes.get(name, ())),
                *(
                    self._public(self.names.annotated(a, scope))
                    for a, scope in info.annotations.get(name, ())
                ),
            ]
            if kept := _few(values):
                attributes[name] = kept
        bases = (base.value if isinstance(base, ast.Subscript) else base for base in info.node.bases)
        return Class(
            info.scope.path,
            info.node.lineno,
            tuple(self._named(base, outer) or f"?{decorator_name(base)}" for base in bases),
            attributes,
            frozenset(info.methods),
            frozenset(info.used | info.defined),
            frozenset(
                name for name, found in info.annotations.items() if any(s is info.scope for _, s in found)
            ),
            key_source(info),
        )

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Function:
        parent = scope.parent or self.names.module
        in_class = isinstance(parent.node, ast.ClassDef)
        decorators = tuple(decorator_name(decorator) for decorator in node.decorator_list)
        last = {name.rpartition(".")[2] for name in decorators}
        kind = "method" if in_class else "function"
        if in_class and last & {"property", "cached_property"}:
            kind = "property"
        elif in_class and last & {"staticmethod", "classmethod"}:
            kind = "static" if "staticmethod" in last else "class"
        named = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        every = (*named, *(arg.arg for arg in node.args.kwonlyargs))
        returns = [self._named(value, scope) for value in scope.returns]
        if node.returns is not None:
            returns.append(self._public(self.names.annotated(node.returns, scope)))
        return Function(
            scope.path,
            node.lineno,
            kind,
            tuple(named[int(in_class and kind != "static") :]),
            _few(returns),
            self._calls(scope, every),
            self.repeats.get(node, ""),
            tuple(
                self._function_named(d.func if isinstance(d, ast.Call) else d, parent) or written
                for d, written in zip(node.decorator_list, decorators, strict=True)
            ),
        )

    def _calls(self, scope: Scope, parameters: Iterable[str]) -> tuple[CallMade, ...]:
        return tuple(self._calls_of(scope, frozenset(parameters)))

    def _calls_of(self, scope: Scope, parameters: frozenset[str]) -> Iterator[CallMade]:
        """Yield the calls of a scope that may be requests, or lead to some."""
        by_decorator = existing_retries.retried_by_decorator(self.names, scope) if self.names_retries else ""
        for part in scope.calls:
            name = self._callee(part.func, scope, parameters)
            method = _method_of_any(part)
            if name or method:
                again = existing_retries.repeated_in(self.names, scope, part.func) or by_decorator
                if name or again or has_http_keyword(part):
                    yield CallMade(
                        part.lineno, name or "?", tuple(self._arguments(part, scope)), again, method
                    )
            for request in _requests_given(part):
                if name := self._callee(request, scope, parameters):
                    again = existing_retries.repeated_in(self.names, scope, request) or by_decorator
                    yield CallMade(request.lineno, name, (), again)
            given = [value for value in arguments(part) if isinstance(value, _FUNCTIONS_GIVEN)]
            if not given:
                continue
            handed = existing_retries.retrying_call(self.names, scope, part) if self.names_retries else ""
            helper = self.names.method_called(part.func, scope) if self.repeaters and not handed else None
            for value in given:
                by = handed
                if helper is not None:
                    place = existing_retries.parameter_of(self.names, helper, part, value)
                    by = self.repeaters.get(place, "")
                yield from self._called_with(value, scope, parameters, by, by_decorator)

    def _called_with(
        self, value: ast.expr, scope: Scope, parameters: frozenset[str], handed: str, by_decorator: str
    ) -> Iterator[CallMade]:
        """Yield the calls of a function that a call is given.

        Args:
            handed: what the call repeats it by, or nothing.
        """
        if not isinstance(value, ast.Lambda):
            if handed and (name := self._callee(value, scope, parameters)):
                yield CallMade(value.lineno, name, (), handed)
            return
        inner = self.names.scopes[value]
        for call in inner.calls:
            if name := self._callee(call.func, inner, parameters):
                again = handed or existing_retries.repeated_in(self.names, scope, call.func) or by_decorator
                yield CallMade(call.lineno, name, tuple(self._arguments(call, inner)), again)

    def _callee(self, callee: ast.expr, scope: Scope, parameters: frozenset[str]) -> str:
        if isinstance(callee, ast.Attribute):
            receiver = self._named(callee.value, scope)
            if receiver.startswith("@"):
                return f"{receiver}.{callee.attr}"
            if not receiver and isinstance(callee.value, ast.Name) and callee.value.id in parameters:
                is_client = callee.attr in HTTP_METHODS - {"send"} and CLIENT_WORDS.search(callee.value.id)
                return f"${callee.value.id}.{callee.attr}" if is_client else ""
            if not receiver and SDK_CALL.search(ast.unparse(callee)) and _first(callee) in parameters:
                return f"${ast.unparse(callee)}"
        elif not isinstance(callee, ast.Name | ast.Call):
            return ""
        name = self._function_named(callee, scope) or self._of_super(callee, scope)
        is_known = self.names.catalogue.transport(name) is not None
        return name if is_known or name.startswith(("@", ".")) or self._may_be_of_project(name) else ""

    def _of_super(self, callee: ast.expr, scope: Scope) -> str:
        """Return what `super().create` is called by in the first base of the class that has a name."""
        if not isinstance(callee, ast.Attribute) or not is_super(callee.value):
            return ""
        info = scope.class_around()
        if info is None:
            return ""
        bases = (self._named(base, info.scope.parent or self.names.module) for base in info.node.bases)
        return next((f"{base}().{callee.attr}" for base in bases if base), "")

    def _function_named(self, node: ast.expr, scope: Scope) -> str:
        name = self._named(node, scope)
        if isinstance(node, ast.Name) and not name and node.id in self.names.module.bindings:
            return f"@{self.module}:{node.id}"
        return name

    def _may_be_of_project(self, name: str) -> bool:
        return (
            bool(name)
            and name.partition(".")[0] in self.names.libraries
            and not self.names.catalogue.has(name.partition(".")[0])
        )

    def _arguments(self, call: ast.Call, scope: Scope) -> Iterator[tuple[str, str]]:
        """Yield what is known of the first arguments of a call: they may be clients."""
        for index, value in enumerate(call.args[:4]):
            if isinstance(value, ast.Name | ast.Attribute | ast.Call) and (name := self._named(value, scope)):
                yield str(index), name
        for keyword in call.keywords[:12]:
            value = keyword.value
            if keyword.arg and isinstance(value, ast.Name | ast.Attribute | ast.Call):
                name = self._named(value, scope)
                yield from [(keyword.arg, name)] if name else []


def _method_of_any(call: ast.Call) -> str:
    """Return the name of a method that is called, unless half of all classes have one of that name."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return "" if method in OF_CONTAINERS and not has_http_keyword(call) else method


def _requests_given(call: ast.Call) -> Iterator[ast.Attribute]:
    """Yield what looks like a request among the functions that a call is given, to call them: `method=self.session.get`."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name not in NOT_CALLERS:
        for value in arguments(call):
            if isinstance(value, ast.Attribute) and (value.attr in HTTP_METHODS or value.attr in SDK_METHODS):
                yield value


def _first(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")


def _few(names: Iterable[str]) -> Names_:
    """Return the names that say something, each once."""
    return tuple(dict.fromkeys(name for name in names if name))[:_MOST]
