"""Resolves expressions to dotted names, such as `requests.post` or `requests.Session().post`.

What can be read in the file is used: imports, assignments, annotations, `with`, attributes of `self`, base classes,
and helper methods that return a client. What comes from other files is asked of `Elsewhere`. Nothing is imported or
run. `bindings` reads the file.

How names look: `requests.post` is what an import gives; `requests.Session()` is what calling gives, `X()[]` a container
of such; `.http.fetch` comes from a relative import; `<2>` is the third class of the file, `<2>()` an instance of it.
`@0/shop.http:Client` is a class or function of another file of the project (see `modules`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from ..source.scopes import Binding, ClassInfo, Scope
from ..source.syntax import decorator_name
from ..tables.lookup import Catalogue, passes_through
from ..tables.not_covered import not_covered
from .elsewhere import UNKNOWN, Elsewhere, best

Seen = int | tuple[int, str]
"""What a search has come through: the `id` of an expression, or the owner and name of a variable or attribute."""
_DEEPEST = 60
_MOST_STEPS = 5_000
"""For one expression; only code that is made to take long comes near."""
_OWN = re.compile(r"<(\d+)>(\(\))?$")
_SINGLE = frozenset(
    """
    Optional Union Annotated Final ClassVar Required NotRequired ReadOnly Awaitable Coroutine Iterator AsyncIterator
    Generator AsyncGenerator ContextManager AsyncContextManager AbstractContextManager AbstractAsyncContextManager
    """.split()
)
"""Generic types of which a value is, or gives, one of what they are made of."""
_MANY = frozenset(
    "list List dict Dict tuple Tuple Mapping MutableMapping Sequence defaultdict DefaultDict".split()
)
_ENTERS = frozenset({"__enter__", "__aenter__", "enter_context", "enter_async_context"})
"""Methods that give what they are given, or what they are called on, having entered it."""
_DISPLAYS = (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Tuple, ast.Set, ast.SetComp)
_MOST_HELD = 8
_NEW_TYPES = frozenset({"typing.NewType", "typing_extensions.NewType"})
_TYPE_VARIABLES = frozenset({"typing.TypeVar", "typing_extensions.TypeVar"})
_FACTORIES = frozenset({"field", "Field", "attrib", "ib", "PrivateAttr"})


Nodes = list[tuple[ast.expr, Scope]]


@dataclass
class Names:
    """All scopes of a file."""

    module: Scope
    scopes: dict[ast.AST, Scope]
    classes: list[ClassInfo]
    catalogue: Catalogue
    libraries: frozenset[str] = frozenset()
    """First parts of what the file imports absolutely."""
    imports: list[tuple[str, int]] = field(default_factory=list)
    """What the file imports, wherever in it, and in which line."""
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    stars: list[str] = field(default_factory=list)
    """Modules of which the file imports all names."""
    stored: dict[tuple[str, str], Nodes] = field(default_factory=dict)
    """What an object is -> what is assigned to an attribute of it that nobody declares: `local.session = ...`."""
    _resolved: dict[tuple[int, int], tuple[str, ast.expr]] = field(default_factory=dict)
    """Holds the expressions, too, so that no other can get the `id` of one of them."""
    _known: dict[tuple[int, str], str] = field(default_factory=dict)
    """What variables and attributes stand for, and what functions return."""
    _cuts: int = 0
    """How often a search was broken off: its outcome may be another when it is begun elsewhere."""
    _steps: int = 0
    _searching: bool = False

    def resolve(self, node: ast.expr, scope: Scope) -> str:
        """Return the dotted name of what an expression stands for, or UNKNOWN."""
        if self._searching:
            return self._resolve(node, scope, frozenset())
        self._steps, self._searching = 0, True
        try:
            return self._resolve(node, scope, frozenset())
        finally:
            self._searching = False

    def not_covered(self) -> dict[str, int]:
        """Return the well-known API libraries that the file imports and that no row covers -> in which line, each once."""
        found: dict[str, int] = {}
        for imported, line in self.imports:
            library = not_covered(imported)
            if library and not self.catalogue.is_module(library):
                found.setdefault(library, line)
        return found

    def forget(self) -> None:
        """Forget what was resolved, because more has become known."""
        self._resolved.clear()
        self._known.clear()

    def own_class(self, name: str) -> ClassInfo | None:
        """Return the class of this file that a name, `<2>` or `<2>()`, stands for."""
        match = _OWN.match(name)
        return self.classes[int(match[1])] if match else None

    def _resolve(self, node: ast.expr, scope: Scope, seen: frozenset[Seen]) -> str:
        key = (id(node), id(scope))
        if key in self._resolved:
            return self._resolved[key][0]
        self._steps += 1
        if id(node) in seen or len(seen) > _DEEPEST or self._steps > _MOST_STEPS:
            self._cuts += 1
            return UNKNOWN
        cuts = self._cuts
        result = self._resolve_node(node, scope, seen | {id(node)})
        if not seen or self._cuts == cuts:
            self._resolved[key] = result, node
        return result

    def _once(
        self, key: tuple[int, str], seen: frozenset[Seen], search: Callable[[frozenset[Seen]], str]
    ) -> str:
        """Return the outcome of a search for what a name stands for, and remember it.

        `x = x.this()` many times over would otherwise be followed in every order there is.
        """
        if key in self._known:
            return self._known[key]
        if key in seen:
            self._cuts += 1
            return UNKNOWN
        cuts = self._cuts
        outermost = not any(isinstance(come_through, tuple) for come_through in seen)
        result = search(frozenset({key}) if outermost else seen | {key})
        if outermost or self._cuts == cuts:
            self._known[key] = result
        return result

    def _resolve_node(self, node: ast.expr, scope: Scope, seen: frozenset[Seen]) -> str:
        if isinstance(node, ast.Name):
            return self._resolve_name(node.id, scope, seen)
        if isinstance(node, ast.Attribute):
            return self._resolve_attribute(node, scope, seen)
        if isinstance(node, ast.Call):
            return self._resolve_call(node, scope, seen)
        if isinstance(node, ast.Await | ast.NamedExpr):
            return self._resolve(node.value, scope, seen)
        if isinstance(node, ast.Subscript):
            if decorator_name(node.value).rpartition(".")[2] in _SINGLE:
                return self.annotated(node, scope, seen).removesuffix("()")  # an alias of a type
            base = self._resolve(node.value, scope, seen)
            if self.catalogue.is_collection(base):
                return base  # its methods are those of the things that it gives
            return base[:-2] if base.endswith("[]") else UNKNOWN
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.annotated(node, scope, seen).removesuffix("()")
        if isinstance(node, _DISPLAYS):
            held = self._best([(value, scope) for value in _held(node)], seen)
            return f"{held}[]" if held.endswith("()") and self.catalogue.is_client(held[:-2]) else UNKNOWN
        if isinstance(node, ast.BoolOp):
            return self._best([(value, scope) for value in node.values], seen)
        if isinstance(node, ast.IfExp):
            return self._best([(node.body, scope), (node.orelse, scope)], seen)
        return UNKNOWN

    def _best(self, nodes: Nodes, seen: frozenset[Seen]) -> str:
        """Resolve what may be several things: to a client if one is among them."""
        return self._best_name(self._resolve(node, scope, seen) for node, scope in nodes)

    def _best_name(self, names: Iterable[str]) -> str:
        return best(names, self.catalogue)

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
                return self._once((id(owner), name), seen, search)
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
                names.append(self._resolve(value, scope, seen))
        return self._best_name(names)

    def _resolve_attribute(self, node: ast.Attribute, scope: Scope, seen: frozenset[Seen]) -> str:
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super":
            return self._resolve_super(node.attr, scope)
        base = self._resolve(node.value, scope, seen)
        info = self.own_class(base)
        if info is not None:
            if node.attr == "__class__":
                return base.removesuffix("()")
            return self._resolve_member(info, node.attr, seen)
        if not base or base.endswith("[]"):
            return UNKNOWN
        if (base, node.attr) in self.stored:
            stored = self.stored[base, node.attr]
            if found := self._once((id(stored), node.attr), seen, lambda s: self._best(stored, s)):
                return found
        return self.elsewhere.attribute(base, node.attr)

    def _resolve_member(self, info: ClassInfo, name: str, seen: frozenset[Seen]) -> str:
        """Resolve `self.name` in a class: by assignments, by annotations, as a property, or as a client's own."""
        return self._once((id(info), name), seen, lambda s: self._search_member(info, name, s))

    def _search_member(self, info: ClassInfo, name: str, seen: frozenset[Seen]) -> str:
        for cls in info.lineage():
            found = self._best_name(
                [
                    *(self._resolve(value, scope, seen) for value, scope in cls.attributes.get(name, ())),
                    *(
                        self.annotated(annotation, scope, seen)
                        for annotation, scope in cls.annotations.get(name, ())
                    ),
                ]
            )
            method = cls.methods.get(name)
            if method is not None and any(_is_property(d) for d in method.decorator_list):
                found = found or self._returned(method, seen)
            if found:
                return found
            if method is not None:
                return UNKNOWN
            for annotation, scope in cls.self_types:
                other = self.annotated(annotation, scope, seen)
                if (found_class := self.own_class(other)) is not None and found_class is not cls:
                    found = self._resolve_member(found_class, name, seen)
                elif other and found_class is None:
                    found = self.elsewhere.attribute(other, name)
                if found:
                    return found
        maker = self.client_base(info)
        if maker and not passes_through(name, self._overridden(info)):
            return f"{maker}().{name}"
        return self.elsewhere.member(info, name)

    def _resolve_super(self, name: str, scope: Scope) -> str:
        owner: Scope | None = scope
        while owner is not None and owner.class_info is None:
            owner = owner.parent
        if owner is None or owner.class_info is None:
            return UNKNOWN
        info = owner.class_info
        if any(name in base.methods for base in info.lineage() if base is not info):
            return UNKNOWN
        maker = self.client_base(info)
        return f"{maker}().{name}" if maker and not passes_through(name, self._overridden(info)) else UNKNOWN

    def client_base(self, info: ClassInfo) -> str:
        """Return the library's class that a class derives from, such as `requests.Session`, or nothing."""
        for cls in info.lineage():
            outer = cls.scope.parent or self.module
            for base in cls.node.bases:
                name = self.resolve(base, outer)
                if self.catalogue.is_known_class(name):
                    return name
                if found := self.elsewhere.client_base(name):
                    return found
        return UNKNOWN

    @staticmethod
    def _overridden(info: ClassInfo) -> frozenset[str]:
        return frozenset(name for cls in info.lineage() for name in cls.methods)

    def _resolve_call(self, node: ast.Call, scope: Scope, seen: frozenset[Seen]) -> str:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "getattr" and len(node.args) >= 2:
            wanted = node.args[1]
            if (
                isinstance(wanted, ast.Constant)
                and isinstance(wanted.value, str)
                and wanted.value.isidentifier()
            ):
                access = ast.copy_location(ast.Attribute(node.args[0], wanted.value, ast.Load()), node)
                return self._resolve_attribute(access, scope, seen)
            base = self._resolve(node.args[0], scope, seen)
            return f"{base}.*" if base else UNKNOWN
        name = self._resolve(function, scope, seen)
        if name in ("typing.cast", "typing_extensions.cast") and len(node.args) == 2:
            named = self.annotated(node.args[0], scope, seen)
            value = self._resolve(node.args[1], scope, seen)
            return self._best_name([value, named] if value else [named])
        if name == "functools.partial" and node.args and isinstance(scope.node, ast.Module):
            # Inside a method what it is given is wrapped where it stands; at module level, where the result is called.
            return self._resolve(node.args[0], scope, seen)
        if name == "importlib.import_module" and node.args and isinstance(node.args[0], ast.Constant):
            return self.elsewhere.imported(str(node.args[0].value))
        if name in _NEW_TYPES and len(node.args) == 2:
            return self.annotated(node.args[1], scope, seen).removesuffix("()")
        if name in _TYPE_VARIABLES:
            bounds = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "bound")]
            return self._best_name(self.annotated(bound, scope, seen) for bound in bounds).removesuffix("()")
        if isinstance(function, ast.Attribute) and function.attr in _ENTERS:
            entered = node.args[0] if node.args else function.value
            return self._resolve(entered, scope, seen)
        if isinstance(function, ast.Name) and function.id == "type" and len(node.args) == 1 and not name:
            return self._resolve(node.args[0], scope, seen).removesuffix("()")
        if isinstance(function, ast.Name | ast.Attribute):
            written = function.id if isinstance(function, ast.Name) else function.attr
            if written in _FACTORIES:
                made = next((k.value for k in node.keywords if k.arg in ("default_factory", "factory")), None)
                return (
                    f"{made_by}()"
                    if made is not None and (made_by := self._resolve(made, scope, seen))
                    else UNKNOWN
                )
            if target := self._target(function, scope, seen):
                return self._returned(target, seen)
        if self.own_class(name) is not None:
            return UNKNOWN if name.endswith("()") else f"{name}()"  # an instance that is called
        return self.elsewhere.called(name) if name else UNKNOWN

    def _target(
        self, function: ast.Name | ast.Attribute, scope: Scope, seen: frozenset[Seen]
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
        info = self.own_class(self._resolve(function.value, scope, seen))
        lineage = info.lineage() if info is not None else ()
        return next((cls.methods[function.attr] for cls in lineage if function.attr in cls.methods), None)

    def method_called(
        self, function: ast.expr, scope: Scope
    ) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return the method or function of this file that an expression stands for."""
        if isinstance(function, ast.Name | ast.Attribute):
            return self._target(function, scope, frozenset())
        return None

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef, seen: frozenset[Seen]) -> str:
        """Resolve what a helper function returns: by its annotation, or by its return statements."""
        return self._once((id(function), "()"), seen, lambda s: self._search_returned(function, s))

    def _search_returned(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, seen: frozenset[Seen]
    ) -> str:
        scope = self.scopes[function]
        annotated = self.annotated(function.returns, scope, seen) if function.returns is not None else UNKNOWN
        if annotated.endswith("()") and self.catalogue.is_client(annotated[:-2]):
            return annotated
        returns = [(value, scope) for value in scope.returns]
        found = self._best(returns, seen)
        # What a helper returns is a client, a module, or a thing of the file's own; a function that it returns is
        # wrapped there.
        is_thing = found.endswith(("()", ":")) or self.catalogue.is_module(found)
        return found if is_thing else annotated

    def annotated(self, annotation: ast.expr, scope: Scope, seen: frozenset[Seen] = frozenset()) -> str:
        """Return `Client()` for an annotation that names a class, alone or in a union; for a client, if one is there."""
        return self._best_name(self._classes_in(annotation, scope, seen))

    def _classes_in(self, annotation: ast.expr, scope: Scope, seen: frozenset[Seen]) -> Iterator[str]:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError):
                return
        if isinstance(annotation, ast.BinOp):
            yield from self._classes_in(annotation.left, scope, seen)
            yield from self._classes_in(annotation.right, scope, seen)
        elif isinstance(annotation, ast.Tuple):  # the constraints of a type variable
            for part in annotation.elts:
                yield from self._classes_in(part, scope, seen)
        elif isinstance(annotation, ast.Subscript):
            kind = decorator_name(annotation.value).rpartition(".")[2]
            parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
            if kind in _SINGLE:
                for part in parts:
                    yield from self._classes_in(part, scope, seen)
            elif kind in _MANY:
                for part in parts[-1:]:  # none in `tuple[()]`
                    yield from (f"{name}[]" for name in self._classes_in(part, scope, seen))
            else:
                yield from self._class_named(annotation.value, scope, seen)
        elif isinstance(annotation, ast.Name | ast.Attribute):
            yield from self._class_named(annotation, scope, seen)

    def _class_named(self, annotation: ast.expr, scope: Scope, seen: frozenset[Seen]) -> Iterator[str]:
        if isinstance(annotation, ast.Name):
            for owner in scope.outwards():
                if annotation.id in owner.type_parameters:
                    bound = owner.type_parameters[annotation.id]
                    yield from self._classes_in(bound, owner.parent or owner, seen)
                    return
        name = self._resolve(annotation, scope, seen) if seen else self.resolve(annotation, scope)
        if name and not name.startswith(("typing.", "typing_extensions.", "collections.")):
            yield f"{name}()"

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


def _is_property(decorator: ast.expr) -> bool:
    return decorator_name(decorator).rpartition(".")[2] in ("property", "cached_property")
