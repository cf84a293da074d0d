"""Recognises calls that the code retries already: by a decorator, by a retrying object, by a loop or recursion of its own.

What retries makes the *same* request again because it *failed*. Which loops do so is told in `retry_loops`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from ..source.scopes import Scope, own_nodes
from ..source.syntax import decorator_name, last_name, shown
from .handed_on import arguments
from .resolve import Names
from .retry_loops import RETRYING, is_of_another_kind, loops_in, retries
from .status_tests import failing_cases, status_test

_WORDS = re.compile(
    r"(?:^|_)(?:retry|retries|retried|retrying|retryable|retryer|retrier|backoff)(?:_|$|\d)", re.IGNORECASE
)
_NO_WORDS = re.compile(r"(?:^|_)(?:no|not|should|is|can|never|without|disable)_", re.IGNORECASE)
_DECORATORS = frozenset({"backoff.on_exception", "backoff.on_predicate", "on_exception", "on_predicate"})
_BRANCHES = frozenset({ast.Try, ast.If, ast.While, ast.Match})
_WRAP = re.compile(r"_(?:retrofit_)?(?:queued|retried)_*$")


def repeated_in(names: Names, scope: Scope, node: ast.expr) -> str:
    """Return what a function itself does to make the request at `node` again when it has failed, or nothing."""
    for loop in loops_in(scope.node).around(node) if scope.loops else ():
        if retries(names, scope, loop, node):
            return f"the loop in line {loop.lineno}"
    if not isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    again = _again_after_failure(scope)
    if not again.statements:
        return ""
    for call in again.calls:
        if not _is_after_failure(again, call, node):
            continue
        if last_name(call.func) == scope.node.name and names.method_called(call.func, scope) is scope.node:
            return f"`{scope.node.name}`, which calls itself in line {call.lineno}"
        if id(call) in again.returned and (helper := _calls_back(names, scope, call)):
            return f"`{scope.node.name}`, which `{helper}` calls again (line {call.lineno})"
    for first, second in again.pairs:
        if node in (first, second):
            return f"the same request in line {second.lineno if node is first else first.lineno}"
    return ""


def _calls_back(names: Names, scope: Scope, call: ast.Call) -> str:
    """Return the name of a helper that calls the function again which calls it here, with what that was given; or nothing."""
    function, helper = scope.node, names.method_called(call.func, scope)
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or helper is None:
        return ""
    given = {value.id for value in arguments(call) if isinstance(value, ast.Name)}
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    if given.isdisjoint(arg.arg for arg in every):
        return ""  # it logs in, perhaps, by a request of its own
    inside = names.scopes[helper]
    for back in inside.calls:
        if last_name(back.func) == function.name and names.method_called(back.func, inside) is function:
            return helper.name
    return ""


class _AgainAfterFailure:
    """The places of a function that are reached when a request has failed: handlers, and tests of a status.

    Attributes:
        statements: what is tried, or what is asked -> the statements that follow a failure.
        calls: calls in these.
        returned: ids of those of `calls` whose result is the function's own.
        pairs: the callees of a request and of the same request again after it has failed.
    """

    def __init__(self, scope: Scope) -> None:
        self.statements: list[tuple[ast.stmt, list[ast.stmt]]] = []
        for part in scope.parts:
            if type(part) not in _BRANCHES:
                continue
            if isinstance(part, ast.Try):
                handlers = [h for h in part.handlers if not is_of_another_kind(h)]
                self.statements += [(part, handler.body) for handler in handlers]
            elif isinstance(part, ast.If) and (kind := status_test(part.test)):
                self.statements.append((part, part.body if kind == "failed" else part.orelse))
            elif isinstance(part, ast.While) and status_test(part.test) == "failed":
                self.statements.append((part, part.body))
            elif isinstance(part, ast.Match):
                self.statements += [(part, case.body) for case in failing_cases(part)]
        self.statements = [(part, body) for part, body in self.statements if body]
        inside = [part for _, body in self.statements for statement in body for part in _all_of(statement)]
        self.calls = list(dict.fromkeys(part for part in inside if isinstance(part, ast.Call)))
        results = (part.value for part in inside if isinstance(part, ast.Return))
        self.returned = {id(each.value if isinstance(each, ast.Await) else each) for each in results}
        self.pairs = list(self._pairs(scope)) if self.calls else []

    def _pairs(self, scope: Scope) -> Iterator[tuple[ast.expr, ast.expr]]:
        every: dict[str, list[ast.Call]] = {}
        for part in scope.parts:
            if isinstance(part, ast.Call) and isinstance(_callee(part), ast.Attribute | ast.Name):
                every.setdefault(_as_written(part), []).append(part)
        for second in self.calls:
            for first in every.get(_as_written(second), ()) if second.args or second.keywords else ():
                if first is not second and _is_after_failure(self, second, _callee(first)):
                    yield _callee(first), _callee(second)


@lru_cache(maxsize=64)
def _again_after_failure(scope: Scope) -> _AgainAfterFailure:
    return _AgainAfterFailure(scope)


def _is_after_failure(again: _AgainAfterFailure, call: ast.Call, node: ast.expr) -> bool:
    """Return True if a call is reached when the request at `node` has failed."""
    for statement, body in again.statements:
        if not _holds(body, call):
            continue
        if isinstance(statement, ast.Try):
            if _holds(statement.body, node):
                return True
        elif _start(node) < _start(statement) or (_holds([statement], node) and not _holds(body, node)):
            return True
    return False


def _holds(body: list[ast.stmt], node: ast.expr) -> bool:
    end = body[-1].end_lineno or 0, body[-1].end_col_offset or 0
    return _start(body[0]) <= _start(node) <= end


def _start(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _all_of(statement: ast.stmt) -> Iterator[ast.AST]:
    yield statement
    yield from own_nodes(statement)


def _callee(call: ast.Call) -> ast.expr:
    """Return what a call calls, also where it is wrapped."""
    inner = call.func
    if isinstance(inner, ast.Call) and len(inner.args) == 1 and _WRAP.search(last_name(inner.func)):
        return inner.args[0]
    return inner


def _as_written(call: ast.Call) -> str:
    """Return what a call calls, and the first thing that it gives: two such calls make the same request."""
    first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "url"), None)
    if first is None:
        return ast.unparse(_callee(call)) + ", ".join(ast.unparse(keyword) for keyword in call.keywords)
    return f"{ast.unparse(_callee(call))}({ast.unparse(first)}"


def retried_by_decorator(names: Names, scope: Scope) -> str:
    """Return which decorator of a function retries it, or nothing: that of a library, or one whose name says so."""
    node = scope.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for decorator in node.decorator_list:
            written = decorator_name(decorator)
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            for name in (written, names.resolve(function, scope.parent or scope)):
                if name and (name in _DECORATORS or says_retry(name)):
                    return f"@{written} (line {decorator.lineno})"
    return ""


@lru_cache(maxsize=1024)
def says_retry(name: str) -> bool:
    """Return True if the last part of a dotted name says that it retries: `retry`, `with_retries`, `Retrying`."""
    last = name.removesuffix("()").rpartition(".")[2]
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last)
    return bool(RETRYING.search(last)) or bool(_WORDS.search(snake) and not _NO_WORDS.search(snake))


@lru_cache(maxsize=4)
def retried_by_channel(tree: ast.AST) -> str:
    """Return the `retryPolicy` of a service config that a file gives its gRPC channels, or nothing.

    gRPC retries by it, below all that can be seen at run time: neither a channel nor a call tells of it.
    https://grpc.io/docs/guides/retry/
    """
    texts = [
        (part.value, part.lineno)
        for part in ast.walk(tree)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    if any(text == "grpc.service_config" for text, _ in texts):
        for text, line in texts:
            if "retryPolicy" in text or text == "retry_policy":
                return f"the channel's retryPolicy (line {line})"
    return ""


def retrying_call(names: Names, scope: Scope, call: ast.Call) -> str:
    """Return what retries a function that is handed to this call, or nothing: `Retrying(...)(requests.get, url)`."""
    function = call.func
    written = decorator_name(function.func if isinstance(function, ast.Call) else function)
    resolved = names.resolve(function, scope)
    parts = (part for name in (written, resolved) for part in name.split("."))
    if any(part and says_retry(part) for part in parts):
        return f"`{written}` (line {call.lineno})"
    return ""


Parameter = tuple[ast.AST, str]
"""A function, and the name of one of its parameters."""


def repeaters(names: Names, named: bool = True) -> dict[Parameter, str]:
    """Return parameter -> how its function repeats the function that is given for it: decorators and helpers of a file.

    Args:
        named: something in the file may be called after what retries.
    """
    found: dict[Parameter, str] = {}
    scopes = [
        scope for node, scope in names.scopes.items() if not isinstance(node, ast.ClassDef | ast.Module)
    ]
    for scope in scopes:
        for call in scope.calls:
            called = _parameter(scope, call.func)
            if (
                called
                and called not in found
                and (how := _repeated_inside(names, scope, call, called[0], named))
            ):
                found[called] = how
            gives_result = isinstance(call.func, ast.Call) and isinstance(call.func.func, ast.Call)
            first = call.args[0] if named and call.args and not gives_result else None
            given = _parameter(scope, first) if isinstance(first, ast.Name) else None
            if given and retrying_call(names, scope, call):
                found.setdefault(given, f"`{shown(call.func)}` in line {call.lineno}")
    todo = list(found)
    handing = list(_handing(names, scopes)) if found else []
    while todo:
        repeater = todo.pop()
        for own, of_helper in handing:
            if of_helper == repeater and own not in found:
                found[own] = found[repeater]
                todo.append(own)
    return found


def parameter_of(names: Names, helper: ast.AST, call: ast.Call, value: ast.expr) -> Parameter:
    """Return which parameter of a function of the file a call gives a value for."""
    if not isinstance(helper, ast.FunctionDef | ast.AsyncFunctionDef):
        return helper, ""
    own = names.scopes[helper].self_name
    by_place = [arg.arg for arg in (*helper.args.posonlyargs, *helper.args.args)]
    if by_place and by_place[0] == own:
        by_place = by_place[1:]
    for name, given in zip(by_place, call.args, strict=False):
        if given is value:
            return helper, name
    return helper, next((keyword.arg for keyword in call.keywords if keyword.value is value), None) or ""


def _repeated_inside(names: Names, scope: Scope, call: ast.Call, owner: ast.AST, named: bool) -> str:
    """Return what repeats a call of a parameter of `owner`, there or in a function inside it; or nothing."""
    if how := repeated_in(names, scope, call.func):
        return how
    for around in scope.outwards() if named else ():
        if how := retried_by_decorator(names, around):
            return how
        if around.node is owner:
            break
    return ""


def _handing(names: Names, scopes: list[Scope]) -> Iterator[tuple[Parameter, Parameter]]:
    """Yield the parameters that are handed on to another function of the file, and which of that they are then."""
    for scope in scopes:
        for call in scope.calls:
            given = [(value, own) for value in arguments(call) if (own := _parameter(scope, value))]
            helper = names.method_called(call.func, scope) if given else None
            if helper is not None:
                for value, own in given:
                    yield own, parameter_of(names, helper, call, value)


def _parameter(scope: Scope, value: ast.expr) -> Parameter | None:
    """Return the parameter that a name stands for, if nothing binds it again."""
    if not isinstance(value, ast.Name):
        return None
    for owner in scope.outwards():
        if value.id in owner.bindings and not isinstance(owner.node, ast.ClassDef):
            if isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef) and owner.self_name != value.id:
                args = owner.node.args
                named = {arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
                return (owner.node, value.id) if value.id in named else None
            return None
    return None
