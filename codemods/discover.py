"""Finds the call sites of a file and decides about each: wrap it, queue it without a second backoff, or leave it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .libraries import CLIENT_WORDS, HTTP_METHODS, NESTED_SDK_CALL, Transport, transport
from .model import Decision
from .names import ClassInfo, Names, Scope, decorator_name, own_nodes

RETRY_DECORATORS = frozenset(
    {
        "retry",
        "retrying",
        "on_exception",
        "on_predicate",
        "retry_with_exponential_backoff",
        "retry_on_exception",
    }
)
"""Last parts of the names of decorators that retry: tenacity, backoff, retry, retrying, stamina and home-made ones."""
_RETRY_WORDS = ("retry", "retries", "attempt", "tries")
_NOT_CALLERS = frozenset(
    {"callable", "hasattr", "id", "isinstance", "issubclass", "repr", "signature", "type"}
)
"""Functions that look at a function they are given, but do not call it."""


@dataclass(frozen=True)
class Found:
    """A call site, as the plan needs it.

    Attributes:
        node: the expression to be wrapped: the callee of a call, or a function that is handed on.
        info: the class whose queue it goes through; None if it cannot be wrapped.
        owner: the name by which the class or instance is known there: `self`, `cls`.
        wrapper: the call of the entry point, if the call is wrapped already.
        retry: False if a loop or a decorator around it retries already.
    """

    node: ast.expr
    info: ClassInfo | None
    owner: str
    scope_name: str
    library: str
    decision: Decision
    reason: str
    wrapper: ast.Call | None = None
    retry: bool = True


def find(tree: ast.Module, names: Names, entry_points: frozenset[str]) -> list[Found]:
    """Return all call sites, in no particular order.

    Args:
        entry_points: names of the retrofit's own methods; what they wrap is wrapped already.
    """
    found: list[Found] = []
    for node, scope in names.scopes.items():
        found += _Finder(names, scope, entry_points).find(node)
    return found


class _Finder:
    """Looks through one scope."""

    def __init__(self, names: Names, scope: Scope, entry_points: frozenset[str]) -> None:
        self.names = names
        self.scope = scope
        self.entry_points = entry_points

    def find(self, node: ast.AST) -> Iterator[Found]:
        parts = list(own_nodes(node))
        wrapped: dict[int, ast.Call] = {}
        for part in parts:
            if isinstance(part, ast.Call) and self._entry_point(part):
                wrapped[id(part.args[0])] = part
        for part in parts:
            if not isinstance(part, ast.Call):
                continue
            if self._entry_point(part):
                yield from self._site(part.args[0], part, wrapped)
            elif not (isinstance(part.func, ast.Call) and self._entry_point(part.func)):
                yield from self._site(part.func, part, wrapped)
            if not self._looks_only(part.func):
                for value in (*part.args, *(keyword.value for keyword in part.keywords)):
                    if isinstance(value, ast.Attribute | ast.Name) and id(value) not in wrapped:
                        yield from self._handed_on(value)

    def _entry_point(self, node: ast.Call) -> str:
        function = node.func
        is_ours = (
            isinstance(function, ast.Attribute)
            and function.attr in self.entry_points
            and isinstance(function.value, ast.Name)
            and len(node.args) == 1
        )
        return function.attr if is_ours and isinstance(function, ast.Attribute) else ""

    @staticmethod
    def _looks_only(function: ast.expr) -> bool:
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return name in _NOT_CALLERS

    def _site(self, callee: ast.expr, call: ast.Call, wrapped: dict[int, ast.Call]) -> Iterator[Found]:
        name = self._name_of(callee)
        known = transport(name) if name else None
        if known is None and name.endswith(".*"):
            known = self._dynamic(name)
        if known is not None:
            yield self._decide(callee, known, wrapped.get(id(callee)))
        elif reason := self._suspicion(callee, name, call):
            yield self._skip(callee, "?", reason)

    def _name_of(self, callee: ast.expr) -> str:
        return self.names.resolve(callee, self.scope)

    @staticmethod
    def _dynamic(name: str) -> Transport | None:
        """Recognise `getattr(requests, method)`: it is a request if `requests.get` is one."""
        return transport(name[:-1] + "get") or transport(name[:-1] + "post")

    def _handed_on(self, value: ast.expr) -> Iterator[Found]:
        name = self._name_of(value)
        known = transport(name) if name else None
        if known is not None:
            yield self._decide(value, known, None)

    def _suspicion(self, callee: ast.expr, name: str, call: ast.Call) -> str:
        """Return why a call whose target is not known looks like a request all the same, or nothing."""
        if name or not isinstance(callee, ast.Attribute):
            return ""
        text = ast.unparse(callee)
        receiver = callee.value
        last = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
        looks_like = bool(NESTED_SDK_CALL.search(text)) or (
            callee.attr in HTTP_METHODS
            and bool(CLIENT_WORDS.search(last))
            and not (callee.attr == "get" and len(call.args) == 2)
        )
        if not looks_like or self.names.instance(receiver, self.scope) is not None:
            return ""
        return f"the type of `{ast.unparse(receiver)}` is not known here; annotate it if this is a request"

    def _skip(self, node: ast.expr, library: str, reason: str) -> Found:
        return Found(node, None, "", self._scope_name(), library, Decision.SKIPPED, reason)

    def _decide(self, node: ast.expr, known: Transport, wrapper: ast.Call | None) -> Found:
        if known.refusal:
            return self._skip(node, known.library, known.refusal)
        method = self._enclosing_method()
        if method is None:
            return self._skip(node, known.library, self._why_no_method())
        owner = method.self_name
        if owner is None:
            return self._skip(
                node, known.library, "static method: there is no `self` or `cls` to hold the queue"
            )
        if self.names.method_of_self(owner, self.scope) is not method:
            return self._skip(node, known.library, f"`{owner}` is not the instance here: it is bound again")
        retried_by = self._retried_by()
        return Found(
            node,
            method.class_info,
            owner,
            self._scope_name(),
            known.library,
            Decision.QUEUED_ONLY if retried_by else Decision.WRAPPED,
            retried_by,
            wrapper,
            not retried_by,
        )

    def _scopes_outwards(self) -> Iterator[Scope]:
        scope: Scope | None = self.scope
        while scope is not None:
            yield scope
            scope = scope.parent

    def _enclosing_method(self) -> Scope | None:
        """Return the innermost function around the site that stands directly in a class."""
        for scope in self._scopes_outwards():
            if scope.parent is not None and isinstance(scope.parent.node, ast.ClassDef):
                if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef):
                    return scope
                return None
        return None

    def _why_no_method(self) -> str:
        if isinstance(self.scope.node, ast.Module):
            return "module level: there is no `self` or `cls` to hold the queue"
        if isinstance(self.scope.node, ast.ClassDef):
            return "class body: it runs before there is an instance"
        if any(isinstance(scope.node, ast.ClassDef) for scope in self._scopes_outwards()):
            return "lambda in a class body: only a `def` has a `self` that can be told"
        return "module function: there is no `self` or `cls` to hold the queue"

    def _scope_name(self) -> str:
        parts = [
            scope.node.name
            for scope in self._scopes_outwards()
            if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        return ".".join(reversed(parts)) or "<module>"

    def _retried_by(self) -> str:
        """Return what retries the site already: a decorator or a loop of one of the functions around it."""
        for scope in self._scopes_outwards():
            node = scope.node
            if isinstance(node, ast.ClassDef):
                break
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    name = decorator_name(decorator)
                    if name.rpartition(".")[2] in RETRY_DECORATORS:
                        return f"already retried by @{name} (line {decorator.lineno})"
                for part in own_nodes(node):
                    if isinstance(part, ast.For | ast.AsyncFor | ast.While) and _retries(part):
                        return f"already retried by the loop in line {part.lineno}"
        return ""


def _retries(loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """Return True if a loop looks like one that retries: it sleeps, and counts attempts or catches errors."""
    nodes = list(own_nodes(loop))
    sleeps = any(
        isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
        == "sleep"
        for node in nodes
    )
    head = (
        ast.unparse(loop.target) + ast.unparse(loop.iter)
        if not isinstance(loop, ast.While)
        else ast.unparse(loop.test)
    )
    counts = any(word in head.lower() for word in _RETRY_WORDS)
    catches = any(isinstance(node, ast.Try) and node.handlers for node in nodes)
    return counts or (sleeps and catches)
