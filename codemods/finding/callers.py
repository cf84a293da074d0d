"""Tells what retries a place in the code as a whole: around it, or around all calls of the function that it is in."""

from __future__ import annotations

import ast

from ..source.scopes import Scope
from . import existing_retries, through
from .handed_on import arguments
from .project_names import Project
from .resolve import Names


class Callers:
    """Knows what retries a place in the code: around it, or around all the calls of the method that it is in."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._calls: dict[ast.AST, list[tuple[ast.expr, Scope, ast.Call]]] | None = None
        self._through: dict[tuple[int, int], str] = {}
        self._repeaters: dict[existing_retries.Parameter, str] | None = None

    def retried_by(self, scope: Scope, node: ast.expr, seen: frozenset[int] = frozenset()) -> str:
        """Return what retries the code at `node`, or nothing."""
        inner: Scope | None = scope
        while inner is not None and not isinstance(inner.node, ast.ClassDef | ast.Module):
            if by := existing_retries.retried_by_decorator(self.names, inner):
                return by
            if by := existing_retries.repeated_in(self.names, inner, node):
                return by
            if by := self._through_calls(inner, seen) or self._in_project(inner):
                return by
            inner = inner.parent
        return ""

    def repeated_by(self, scope: Scope, call: ast.Call, given: ast.expr) -> str:
        """Return what repeats a function that is given to a call, or nothing."""
        if by := existing_retries.retrying_call(self.names, scope, call):
            return by
        helper = self.names.method_called(call.func, scope)
        if helper is not None:
            if self._repeaters is None:
                self._repeaters = existing_retries.repeaters(self.names)
            if by := self._repeaters.get(existing_retries.parameter_of(self.names, helper, call, given), ""):
                return f"{by}, as `{helper.name}` runs it"
        project = self.names.elsewhere
        if not isinstance(project, Project):
            return ""
        if helper is not None:
            return through.by_decorator(
                project.follower, f"@{project.module}:{self.names.scopes[helper].path}"
            )
        return through.repeats_what_it_is_given(project.follower, self.names.resolve(call.func, scope))

    def repeated_as_variable(self, scope: Scope, value: ast.expr) -> str:
        """Return what repeats a function that a name stands for: `send = partial(requests.get, url)`; or nothing."""
        names = [name for name, bound in scope.bindings.items() if any(each is value for each in bound)]
        for call in scope.calls if names else ():
            for given in (call.func, *arguments(call)):
                if not isinstance(given, ast.Name) or given.id not in names:
                    continue
                if given is call.func:
                    by = existing_retries.repeated_in(self.names, scope, given)
                else:
                    by = self.repeated_by(scope, call, given)
                if by:
                    return by
        return ""

    def repeated_as_item(self, scope: Scope, item: ast.expr) -> str:
        """Return what repeats an item of a dict or list that a function is in, `self.senders[verb]`; or nothing."""
        kept = {
            ast.unparse(target)
            for part in scope.parts
            if isinstance(part, ast.Assign) and any(each is item for each in ast.walk(part.value))
            for target in part.targets
        }
        for where in self.names.scopes.values() if kept else ():
            for call in where.calls:
                if _container(call.func) in kept and (by := self.retried_by(where, call.func)):
                    return by
                for given in arguments(call):
                    if _container(given) in kept and (by := self.repeated_by(where, call, given)):
                        return by
        return ""

    def _in_project(self, scope: Scope) -> str:
        """Return what repeats a function, its decorator or its callers in the project, or nothing."""
        project = self.names.elsewhere
        if not isinstance(project, Project) or isinstance(scope.node, ast.Lambda):
            return ""
        return through.repeated(project.follower, f"@{project.module}:{scope.path}")

    def _through_calls(self, scope: Scope, seen: frozenset[int]) -> str:
        """Return what retries a function as a whole: if any call of it in the file is retried, as attempts would multiply."""
        if id(scope) in seen or len(seen) > 5:
            return ""
        # Whatever it is asked through, what it comes back to is not retried. How far it looks makes a difference.
        key = (id(scope), len(seen))
        if key not in self._through:
            self._through[key] = self._search_calls(scope, seen)
        return self._through[key]

    def _search_calls(self, scope: Scope, seen: frozenset[int]) -> str:
        found = ""
        others: list[int] = []
        for node, where, call in self._uses().get(scope.node, []):
            by = ""
            if call.func is not node:
                by = self.repeated_by(where, call, node)
            by = by or self.retried_by(where, node, seen | {id(scope)})
            if not by and where is not scope:
                others.append(call.lineno)
            found = found or by
        name = getattr(scope.node, "name", "this lambda")
        return through.by_callers(found, name, [f"line {line}" for line in others])

    def _uses(self) -> dict[ast.AST, list[tuple[ast.expr, Scope, ast.Call]]]:
        """Return, for each function of the file, where it is called or handed on to a call."""
        if self._calls is None:
            self._calls = {}
            for scope in self.names.scopes.values():
                for part in scope.calls:
                    for value in (part.func, *arguments(part)):
                        target: ast.AST | None = value if isinstance(value, ast.Lambda) else None
                        target = (
                            target or self.names.method_called(value, scope) or _lambda_named(value, scope)
                        )
                        if target is not None:
                            self._calls.setdefault(target, []).append((value, scope, part))
        return self._calls


def _lambda_named(value: ast.expr, scope: Scope) -> ast.Lambda | None:
    """Return the lambda that a variable of a function stands for, and nothing else."""
    if isinstance(value, ast.Name):
        for owner in scope.outwards():
            if value.id in owner.bindings and not isinstance(owner.node, ast.ClassDef):
                (first, *others) = owner.bindings[value.id]
                return first if isinstance(first, ast.Lambda) and not others else None
    return None


def _container(value: ast.expr) -> str:
    """Return what an expression takes an item out of: `senders` for `senders[verb]` and for `senders.get(verb)`."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "get":
        return ast.unparse(value.func.value)
    return ast.unparse(value.value) if isinstance(value, ast.Subscript) else ""
