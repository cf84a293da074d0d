"""A search for what an expression stands for: what it knows, remembers and gives up on.

`resolve` reads each kind of expression.

How names look: `requests.post` is what an import gives; `requests.Session()` is what calling gives, `X()[]` a container
of such; `.http.fetch` comes from a relative import; `<2>` is the third class of the file, `<2>()` an instance of it.
`@0/shop.http:Client` is a class or function of another file of the project (see `modules`).
"""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..source.scopes import ClassInfo, Scope
from ..tables.lookup import Catalogue
from .elsewhere import UNKNOWN, Elsewhere, best

Seen = int | tuple[int, str]
"""What a search has come through: the `id` of an expression, or the owner and name of a variable or attribute."""
_DEEPEST = 60
_MOST_STEPS = 5_000
"""For one expression; only code that is made to take long comes near."""
_OWN = re.compile(r"<(\d+)>(\(\))?$")

Nodes = list[tuple[ast.expr, Scope]]


@dataclass
class Search(ABC):
    """All scopes of a file, and what has been found out about them."""

    module: Scope
    scopes: dict[ast.AST, Scope]
    classes: list[ClassInfo]
    catalogue: Catalogue
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
            return self.within(node, scope, frozenset())
        self._steps, self._searching = 0, True
        try:
            return self.within(node, scope, frozenset())
        finally:
            self._searching = False

    def forget(self) -> None:
        """Forget what was resolved, because more has become known."""
        self._resolved.clear()
        self._known.clear()

    def own_class(self, name: str) -> ClassInfo | None:
        """Return the class of this file that a name, `<2>` or `<2>()`, stands for."""
        match = _OWN.match(name)
        return self.classes[int(match[1])] if match else None

    def within(self, node: ast.expr, scope: Scope, seen: frozenset[Seen]) -> str:
        """Resolve an expression that a search has come to."""
        key = (id(node), id(scope))
        if key in self._resolved:
            return self._resolved[key][0]
        self._steps += 1
        if id(node) in seen or len(seen) > _DEEPEST or self._steps > _MOST_STEPS:
            self._cuts += 1
            return UNKNOWN
        cuts = self._cuts
        result = self.resolve_node(node, scope, seen | {id(node)})
        if not seen or self._cuts == cuts:
            self._resolved[key] = result, node
        return result

    def once(
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

    @abstractmethod
    def resolve_node(self, node: ast.expr, scope: Scope, seen: frozenset[Seen]) -> str:
        """Return what an expression of its kind stands for."""

    def best(self, nodes: Nodes, seen: frozenset[Seen]) -> str:
        """Resolve what may be several things: to a client if one is among them."""
        return self.best_name(self.within(node, scope, seen) for node, scope in nodes)

    def best_name(self, names: Iterable[str]) -> str:
        """Return a client if one is among what something may be."""
        return best(names, self.catalogue)
