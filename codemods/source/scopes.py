"""The scopes and classes of a file as plain data, and the walk over what belongs to each. `bindings` fills them."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .syntax import children, shortened

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Binding = str | ast.expr | FunctionNode | ast.ClassDef
_OPENS_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_MOST_BASES = 100
"""Of a class; where each has the one before it as its base, thousands of them would take minutes."""


@dataclass(eq=False)
class Scope:
    """A module, class or function, with the names that are bound in it: each has the expressions it may stand for."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)
    """Names that `global` and `nonlocal` put in another scope."""
    class_info: ClassInfo | None = None
    self_name: str | None = None
    """In a method: the name of its first parameter, if that is the instance or the class."""
    type_parameters: dict[str, ast.expr] = field(default_factory=dict)
    """Type variables in brackets behind its name (PEP 695) -> what bounds them."""
    parts: list[ast.AST] = field(default_factory=list)
    """What is evaluated in it, but for names and constants."""
    calls: list[ast.Call] = field(default_factory=list)
    """The calls among that."""
    loops: list[ast.For | ast.AsyncFor | ast.While] = field(default_factory=list)
    returns: list[ast.expr] = field(default_factory=list)
    """In a function: what it returns or yields."""

    def outwards(self) -> Iterator[Scope]:
        """Yield the scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def class_around(self) -> ClassInfo | None:
        """Return the innermost class around a place, or None."""
        return next((scope.class_info for scope in self.outwards() if scope.class_info is not None), None)

    @cached_property
    def path(self) -> str:
        """The names of the classes and functions around a place: `Client.get`; of the module's own, `<module>`."""
        nodes = (scope.node for scope in self.outwards())
        parts = [
            n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        return shortened(".".join(reversed(parts)) or "<module>")

    @cached_property
    def ends(self) -> list[ast.Try | ast.Return]:
        """What decides how a request in it ends: its `try` statements and what it returns."""
        return [node for node in self.parts if isinstance(node, ast.Try | ast.Return)]

    def bind(self, name: str, value: Binding) -> None:
        """Add what a name may stand for."""
        scope = self.elsewhere.get(name, self)
        scope.bindings.setdefault(name, []).append(value)


@dataclass(eq=False)
class ClassInfo:
    """A class of the file, and what is known of its attributes.

    Attributes:
        index: its number in the file.
        used: names of attributes that the class's code assigns or reads on `self` or `cls`.
        defined: names that its body binds.
    """

    node: ast.ClassDef
    scope: Scope
    index: int
    bases: list[ClassInfo] = field(default_factory=list)
    attributes: dict[str, list[tuple[ast.expr, Scope]]] = field(default_factory=dict)
    annotations: dict[str, list[tuple[ast.expr, Scope]]] = field(default_factory=dict)
    methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    self_types: list[tuple[ast.expr, Scope]] = field(default_factory=list)
    """What its methods annotate `self` with, as a mixin does."""
    used: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)

    def lineage(self) -> Iterator[ClassInfo]:
        """Yield the class and its base classes in this file; no more of them than any class has."""
        seen: set[int] = set()
        todo = deque([self])
        while todo and len(seen) < _MOST_BASES:
            info = todo.popleft()
            if id(info) not in seen:
                seen.add(id(info))
                yield info
                todo += info.bases


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is evaluated in the scope of a function, class or module, or in a statement of one.

    Of a function or class inside it that is what stands `outside`, which is not part of its own scope.
    """
    todo = inside(node) if isinstance(node, _OPENS_SCOPE) else children(node)
    while todo:
        child = todo.pop()
        yield child
        todo += outside(child) if isinstance(child, _OPENS_SCOPE) else children(child)


def inside(node: FunctionNode | ast.ClassDef) -> list[ast.AST]:
    """Return what is evaluated in a function's or class's own scope."""
    return [node.body] if isinstance(node, ast.Lambda) else [*node.body]


def outside(node: FunctionNode | ast.ClassDef) -> list[ast.AST]:
    """Return what a function or class evaluates in the scope around it: decorators, defaults, base classes."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(keyword.value for keyword in node.keywords), *decorators]
    return [*node.args.defaults, *filter(None, node.args.kw_defaults), *decorators]
