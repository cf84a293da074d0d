"""Finds the call sites of a file, and what is known of each: what it calls, whose queue it can go through, what retries it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..source.scopes import ClassInfo, Scope
from ..source.wrapping import wraps_with
from ..tables.libraries import ADAPTERS
from ..tables.lookup import Transport
from ..tables.request_shapes import LAZY_ATTRIBUTES
from ..tables.rows import Library
from ..tables.transports import ADAPTER
from . import existing_retries, module_functions, probes, through, unknown_receivers
from .callers import Callers
from .handed_on import KEEPERS, NOT_CALLERS, REFERENCES, arguments, values_kept
from .instances import enclosing_method, why_no_method
from .project_names import Project
from .resolve import Names

_SENDS = frozenset({"send", "handle_request", "handle_async_request"})
_PART = "it may be a part of the client rather than a method; if it makes a request, hand on a function that calls it"
_LAZY = "boto3 makes a request when it is first read; call `load()` before, which is wrapped"


@dataclass(frozen=True)
class Site:
    """A call site, with all that a decision about it needs.

    Attributes:
        node: the expression to be wrapped: the callee of a call, or a function that is handed on.
        info: the class whose queue it can go through; None if there is an obstacle.
        owner: the name by which the class or instance is known there: `self`, `cls`.
        library: that is called; None if that is not known.
        obstacle: why it cannot be wrapped, or nothing.
        note: what is to be told of it, if anything: why it is taken for a request, what retries it already.
        retried: it is not to be made again by us: a loop or a decorator around it retries already, a failure is what it
            asks for, or it makes several requests.
        wrapper: the call of the entry point, if the call is wrapped already.
        stray: True if it is wrapped where there is no such name as the wrap's `self`.
        of_module: there is no instance, but it could go through the queue of the module.
    """

    node: ast.expr
    info: ClassInfo | None
    owner: str
    scope_name: str
    library: Library | None
    obstacle: str = ""
    note: str = ""
    retried: bool = False
    wrapper: ast.Call | None = None
    stray: bool = False
    of_module: bool = False


def find(tree: ast.Module, names: Names, entry_points: frozenset[str], guessing: bool = True) -> list[Site]:
    """Return all call sites, in no particular order.

    Args:
        entry_points: names of the retrofit's own methods; what they wrap is wrapped already.
        guessing: take a receiver of unknown type for a client where all else says so (see `unknown_receivers`).
    """
    callers = Callers(names)
    sites: list[Site] = []
    for scope in names.scopes.values():
        sites += _Finder(names, scope, entry_points, callers, guessing).find()
    return sites


class _Finder:
    """Looks through one scope."""

    def __init__(
        self, names: Names, scope: Scope, entry_points: frozenset[str], callers: Callers, guessing: bool
    ) -> None:
        self.names = names
        self.scope = scope
        self.entry_points = entry_points
        self.callers = callers
        self.guessing = guessing
        self.entered: frozenset[int] = frozenset()
        """Calls that `async with` enters."""
        self.called: frozenset[int] = frozenset()
        """Calls whose result is called."""
        self.decorators: frozenset[int] = frozenset()
        """Calls that decorate what is defined in the scope: `@app.get("/items")` is a route, not a request."""
        self.outer: dict[int, ast.Call] = {}
        """Calls that are arguments of others."""

    def find(self) -> Iterator[Site]:
        """Yield the call sites of the scope."""
        parts, calls = self.scope.parts, self.scope.calls
        wrapped = {id(call.args[0]): call for call in calls if self._entry_point(call)}
        self.entered = frozenset(
            id(item.context_expr) for part in parts if isinstance(part, ast.AsyncWith) for item in part.items
        )
        self.called = callees = frozenset(id(call.func) for call in calls)
        self.outer = {id(arg): call for call in calls for arg in arguments(call) if isinstance(arg, ast.Call)}
        self.decorators = frozenset(
            id(decorator) for part in parts for decorator in getattr(part, "decorator_list", ())
        )
        compared = {id(side) for part in parts if isinstance(part, ast.Compare) for side in part.comparators}
        for part in parts:
            if isinstance(part, ast.Call):
                yield from self._of_call(part, wrapped)
            elif isinstance(part, ast.Attribute) and part.attr in LAZY_ATTRIBUTES:
                if isinstance(part.ctx, ast.Load) and id(part) not in callees and self._is_lazy(part):
                    yield self._obstructed(part, None, _LAZY)
            elif isinstance(part, KEEPERS) and id(part) not in compared:
                for value in values_kept(part):
                    if id(value) not in wrapped:
                        yield from self._handed_on(value, None)

    def _is_lazy(self, node: ast.Attribute) -> bool:
        return self.names.catalogue.is_lazy(self.names.resolve(node.value, self.scope))

    def _of_call(self, call: ast.Call, wrapped: dict[int, ast.Call]) -> Iterator[Site]:
        inner = call.func
        if isinstance(inner, ast.Call) and self._entry_point(inner):
            yield from self._of_callee(inner.args[0], call, inner)
        elif self._entry_point(call):
            if not self._is_called(call):
                yield from self._handed_on(call.args[0], None, call)
        else:
            yield from self._of_callee(inner, call, None)
        name = inner.id if isinstance(inner, ast.Name) else getattr(inner, "attr", "")
        if name not in NOT_CALLERS and not self._entry_point(call):
            for value in arguments(call):
                if isinstance(value, REFERENCES) and id(value) not in wrapped:
                    yield from self._handed_on(value, call)

    def _is_called(self, wrapper: ast.Call) -> bool:
        return id(wrapper) in self.called

    def _entry_point(self, node: ast.Call) -> str:
        name = wraps_with(node)
        return name if name in self.entry_points else ""

    def _of_callee(self, callee: ast.expr, call: ast.Call, wrapper: ast.Call | None) -> Iterator[Site]:
        name = self.names.resolve(callee, self.scope)
        known = self._transport(name)
        if known is not None:
            yield self._site_of(callee, known, wrapper, call)
            return
        if name.startswith("@") and wrapper is None:
            yield from self._through_project(callee, name, call)
            return
        if id(call) in self.decorators:
            return
        looks = unknown_receivers.look(
            self.names, self.scope, callee, name, call, entered=id(call) in self.entered
        )
        if looks is None:
            if wrapper is not None:
                yield self._site_of(callee, None, wrapper, call, "it is wrapped already")
        elif looks.taken_for is not None and (self.guessing or wrapper is not None):
            yield self._site_of(callee, looks.taken_for, wrapper, call, looks.reason)
        elif wrapper is not None:
            yield self._site_of(callee, None, wrapper, call, looks.reason)
        else:
            reason = looks.reason
            if looks.taken_for is not None:
                reason = f"{reason.replace(' is taken for ', ' looks like ', 1)}; but --no-guess was given"
            yield self._obstructed(callee, None, reason)

    def _through_project(self, callee: ast.expr, name: str, call: ast.Call) -> Iterator[Site]:
        """Yield a call that makes requests through another file of the project: a module function, or like a client's."""
        project = self.names.elsewhere
        if not isinstance(project, Project):
            return
        if isinstance(callee, ast.Attribute) and not name.endswith(":"):
            is_method = "." in name.partition(":")[2]
            if is_method and not unknown_receivers.is_like_a_request(callee.attr, call):
                return
        if reason := through.goes_through(project.follower, name):
            yield self._obstructed(callee, None, reason)

    def _transport(self, name: str) -> Transport | None:
        if not name:
            return None
        if name.endswith(".*"):  # `getattr(requests, method)` is a request if `requests.get` is one
            find = self.names.catalogue.transport
            return find(name[:-1] + "get") or find(name[:-1] + "post")
        return self.names.catalogue.transport(name)

    def _handed_on(
        self, value: ast.expr, call: ast.Call | None, wrapper: ast.Call | None = None
    ) -> Iterator[Site]:
        known = self._transport(self.names.resolve(value, self.scope))
        if known is not None and known.may_be_a_part and wrapper is None:
            yield self._obstructed(value, known.library, _PART)
        elif known is not None:
            yield self._site_of(value, known, wrapper, call)
        elif wrapper is not None:
            yield self._site_of(value, None, wrapper, call, "it is wrapped already")
        elif reason := unknown_receivers.look_handed_on(self.names, self.scope, value):
            yield self._obstructed(value, None, reason)

    def _obstructed(
        self, node: ast.expr, library: Library | None, reason: str, wrapper: ast.Call | None = None
    ) -> Site:
        stray = wrapper is not None and not self._is_bound(wrapper)
        return Site(node, None, "", self.scope.path, library, reason, wrapper=wrapper, stray=stray)

    def _is_bound(self, wrapper: ast.Call) -> bool:
        """Return True if something binds the `self` whose method a wrap goes through."""
        if isinstance(wrapper.func, ast.Name):
            return True  # the module's queue, which is bound wherever the module has its block
        owner = getattr(getattr(wrapper.func, "value", None), "id", "")
        return any(
            owner in scope.bindings
            for scope in self.scope.outwards()
            if scope is self.scope or not isinstance(scope.node, ast.ClassDef)
        )

    def _site_of(
        self,
        node: ast.expr,
        known: Transport | None,
        wrapper: ast.Call | None,
        call: ast.Call | None,
        note: str = "",
    ) -> Site:
        library = known.library if known is not None else None
        if known is not None and known.refusal:
            return self._obstructed(node, library, known.refusal, wrapper)
        method = enclosing_method(self.scope)
        owner = method.self_name if method is not None else None
        if method is None or owner is None:
            return self._of_module(node, known, wrapper, call, note)
        if self.names.method_of_self(owner, self.scope) is not method:
            reason = f"`{owner}` is not the instance here: it is bound again"
            return self._obstructed(node, library, reason, wrapper)
        if getattr(method.node, "name", "") in ("__getattr__", "__getattribute__") and (
            call is None or call.func is not node
        ):
            return self._obstructed(
                node,
                library,
                "it is handed to the caller; its calls are wrapped where they are made",
                wrapper,
            )
        if self._is_of_adapter(method):
            return self._obstructed(node, library, ADAPTER, wrapper)
        once = self._why_once(node, known, call)
        return Site(
            node,
            method.class_info,
            owner,
            self.scope.path,
            library,
            note=once or note,
            retried=bool(once),
            wrapper=wrapper,
        )

    def _why_once(self, node: ast.expr, known: Transport | None, call: ast.Call | None) -> str:
        """Return why a request is not to be made again by us, or nothing."""
        by = self._retried_by(node, call)
        if not by and known is not None and known.library.name == "grpc":
            by = existing_retries.retried_by_channel(self.names.module.node)
        once = f"already retried by {by}" if by else known.queued_only if known is not None else ""
        return once or probes.why_probe(self.scope, node)

    def _of_module(
        self,
        node: ast.expr,
        known: Transport | None,
        wrapper: ast.Call | None,
        call: ast.Call | None,
        note: str,
    ) -> Site:
        """Return a site without an instance: its module could hold the queue."""
        found = self._obstructed(
            node, known.library if known is not None else None, why_no_method(self.scope), wrapper
        )
        is_called = call is not None and call.func in (node, wrapper)
        if isinstance(self.scope.node, ast.ClassDef) or module_functions.why_none(self.scope):
            return replace(found, obstacle=module_functions.why_none(self.scope) or found.obstacle)
        is_kept = isinstance(self.scope.node, ast.Module) and wrapper is None and not is_called
        if is_kept and not self._runs_what_it_is_given(call):
            return found  # what a module keeps is wrapped where it is called
        once = self._why_once(node, known, call)
        return replace(found, note=once or note, retried=bool(once), of_module=True)

    def _runs_what_it_is_given(self, call: ast.Call | None) -> bool:
        return call is not None and self.names.resolve(call.func, self.scope) != "functools.partial"

    def _is_of_adapter(self, method: Scope) -> bool:
        """Return True for the method by which a transport sends what its session hands on to it."""
        if getattr(method.node, "name", "") not in _SENDS or method.class_info is None:
            return False
        return self.names.client_base(method.class_info) in ADAPTERS

    def _retried_by(self, node: ast.expr, call: ast.Call | None) -> str:
        """Return what retries the site already, or nothing."""
        given, outer = node, call if call is not None and call.func is not node else None
        while outer is not None:
            if by := self.callers.repeated_by(self.scope, outer, given):
                return by
            given, outer = outer, self.outer.get(id(outer))
        by = self.callers.repeated_as_variable(self.scope, given) if given is not node else ""
        by = by or (self.callers.repeated_as_item(self.scope, node) if call is None else "")
        return by or self.callers.retried_by(self.scope, node)
