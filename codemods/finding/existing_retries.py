"""Recognises calls that the code retries already: by a decorator, by a retrying object, or by a loop of its own.

A loop retries if it makes the *same* request again because it *failed*, and ends when it has succeeded. So neither of
these is one: a loop over pages or items (another request each time), one that polls until a job is done (the request
had succeeded), and the endless loop of a worker (it goes on after a success, too).
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Generic, TypeVar

from ..source.scopes import Scope, own_nodes
from ..source.syntax import decorator_name, shown
from .resolve import Names

Loop = ast.For | ast.AsyncFor | ast.While

_WORDS = re.compile(
    r"(?:^|_)(?:retry|retries|retried|retrying|retryable|retryer|retrier|backoff)(?:_|$|\d)", re.IGNORECASE
)
_NO_WORDS = re.compile(r"(?:^|_)(?:no|not|should|is|can|never|without|disable)_", re.IGNORECASE)
_RETRYING = re.compile(
    r"(?:^|\.)(?:Async)?(?:Retrying|RetryingCaller)$|(?:^|\.)retry_context$|(?:^|\.)BoundAsyncRetryingCaller$"
)
_DECORATORS = frozenset({"backoff.on_exception", "backoff.on_predicate", "on_exception", "on_predicate"})
_COUNTS = re.compile(r"retry|retries|attempt|tries", re.IGNORECASE)
_PASSING = frozenset({408, 425, 429, 498})
_NOT_OF_A_REQUEST = frozenset(
    """
    KeyError IndexError ValueError TypeError AttributeError JSONDecodeError StopIteration StopAsyncIteration
    UnicodeDecodeError ImportError ModuleNotFoundError AssertionError NotImplementedError KeyboardInterrupt
    CancelledError GeneratorExit SystemExit
    """.split()
)
"""Exceptions that no failing request raises; a handler of these alone is not about the request."""


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


def says_retry(name: str) -> bool:
    """Return True if the last part of a dotted name says that it retries: `retry`, `with_retries`, `Retrying`."""
    last = name.removesuffix("()").rpartition(".")[2]
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last)
    return bool(_RETRYING.search(last)) or bool(_WORDS.search(snake) and not _NO_WORDS.search(snake))


def retrying_call(names: Names, scope: Scope, call: ast.Call) -> str:
    """Return what retries a function that is handed to this call, or nothing: `Retrying(...)(requests.get, url)`."""
    function = call.func
    written = decorator_name(function.func if isinstance(function, ast.Call) else function)
    resolved = names.resolve(function, scope)
    parts = (part for name in (written, resolved) for part in name.split("."))
    if any(part and says_retry(part) for part in parts):
        return f"`{written}` (line {call.lineno})"
    return ""


def repeaters(names: Names) -> dict[ast.AST, str]:
    """Return the functions of a file that repeat a function which they are given, and how: a decorator of the project."""
    found: dict[ast.AST, str] = {}
    for node, scope in names.scopes.items():
        if isinstance(node, ast.ClassDef | ast.Module):
            continue
        loops = _loops_in(node)
        for call in (part for part in own_nodes(node) if isinstance(part, ast.Call)):
            given = [call.func] if loops.statements else []
            gives_result = isinstance(call.func, ast.Call) and isinstance(call.func.func, ast.Call)
            if not gives_result and retrying_call(names, scope, call):
                given += call.args[:1]
            for value in given:
                owner = _function_given(scope, value)
                if owner is None or owner in found:
                    continue
                if value is not call.func:
                    found[owner] = f"`{shown(call.func)}` in line {call.lineno}"
                for loop in loops.around(value) if value is call.func else ():
                    if retries(names, scope, loop, value):
                        found[owner] = f"the loop in line {loop.lineno}"
    return found


def _function_given(scope: Scope, value: ast.expr) -> ast.AST | None:
    """Return the function of which a name is a parameter that nothing binds again."""
    if not isinstance(value, ast.Name):
        return None
    for owner in scope.outwards():
        if value.id in owner.bindings and not isinstance(owner.node, ast.ClassDef):
            if isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef) and owner.self_name != value.id:
                args = owner.node.args
                named = {arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
                return owner.node if value.id in named else None
            return None
    return None


def loops_around(function: ast.AST, node: ast.expr) -> list[Loop]:
    """Return the loops of a function that hold a node, whether in the function itself or deeper; the outermost first."""
    return _loops_in(function).around(node)


@lru_cache(maxsize=64)
def _loops_in(function: ast.AST) -> Bodies[Loop]:
    """Return a function's own loops; remembered, since a function may have thousands of call sites."""
    return Bodies((part, part.body) for part in own_nodes(function) if isinstance(part, Loop))


Statement = TypeVar("Statement", bound=ast.stmt)


class Bodies(Generic[Statement]):
    """Statements with bodies, each inside another or apart from it; asked for those whose bodies hold a node."""

    def __init__(self, bodies: Iterable[tuple[Statement, list[ast.stmt]]]) -> None:
        found = sorted(bodies, key=lambda pair: (_start(pair[1][0]), -pair[0].col_offset))
        self.statements = [statement for statement, _ in found]
        self.starts = [_start(body[0]) for _, body in found]
        self.ends = [_end(body[-1]) for _, body in found]
        self.outer: list[int] = []
        """Index of the nearest one that each is inside of; -1 if there is none."""
        for index, start in enumerate(self.starts):
            around = index - 1
            while around >= 0 and self.ends[around] < start:
                around = self.outer[around]
            self.outer.append(around)

    def around(self, node: ast.expr) -> list[Statement]:
        """Return the statements whose bodies hold a node, the outermost first."""
        index = bisect_right(self.starts, _start(node)) - 1
        while index >= 0 and self.ends[index] < _end(node):
            index = self.outer[index]
        found: list[Statement] = []
        while index >= 0:
            found.append(self.statements[index])
            index = self.outer[index]
        return found[::-1]


def _start(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def retries(names: Names, scope: Scope, loop: Loop, node: ast.expr) -> bool:
    """Return True if a loop makes the request at `node` again when it has failed."""
    if isinstance(loop, ast.For | ast.AsyncFor):
        iterated = loop.iter.func if isinstance(loop.iter, ast.Call) else loop.iter
        if any(
            _RETRYING.search(name)
            for name in (decorator_name(iterated), names.resolve(iterated, scope))
            if name
        ):
            return True
        if not _counts_only(loop):
            return False
    swallows = bool(_swallowing(loop).around(node))
    return (swallows or _looks_at_status(loop)) and _ends_on_success(loop)


@lru_cache(maxsize=64)
def _counts_only(loop: ast.For | ast.AsyncFor) -> bool:
    """Return True for a loop that counts attempts, rather than going over different things."""
    if _COUNTS.search(ast.unparse(loop.target)) or _COUNTS.search(ast.unparse(loop.iter)):
        return True
    name = decorator_name(loop.iter)
    if not isinstance(loop.iter, ast.Call) or name.rpartition(".")[2] not in ("range", "count", "repeat"):
        return False
    if len(loop.iter.args) == 3:
        return False
    target = loop.target.id if isinstance(loop.target, ast.Name) else ""
    if target.startswith("_"):
        return True
    # A counter that is part of the request is a page number or an index.
    for call in (part for part in own_nodes(loop) if isinstance(part, ast.Call)):
        if _last_name(call.func) in ("sleep", "print", "log", "debug", "info", "warning", "error", "exception", "min", "max", "pow"):  # fmt: skip
            continue
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(
            isinstance(part, ast.Name) and part.id == target for value in values for part in ast.walk(value)
        ):
            return False
    return not any(
        isinstance(part, ast.Subscript)
        and any(isinstance(n, ast.Name) and n.id == target for n in ast.walk(part.slice))
        for part in own_nodes(loop)
    )


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@lru_cache(maxsize=64)
def _swallowing(loop: Loop) -> Bodies[ast.Try | ast.With]:
    """Return the statements of a loop that catch the failure of a request in them, so that the loop goes round again."""
    found: list[ast.Try | ast.With] = []
    for part in _of_this_loop(loop):
        if isinstance(part, ast.Try):
            caught = (h for h in part.handlers if not _is_of_another_kind(h) and not _leaves(h.body))
            found += [part] if any(caught) else []
        elif isinstance(part, ast.With):
            suppresses = any("suppress" in shown(item.context_expr) for item in part.items)
            found += [part] if suppresses else []
    return Bodies((part, part.body) for part in found)


def _is_of_another_kind(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return False
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return all(_last_name(kind) in _NOT_OF_A_REQUEST for kind in types)


def _leaves(body: list[ast.stmt]) -> bool:
    """Return True if a block of statements always ends the loop."""
    last = body[-1]
    if isinstance(last, ast.Return | ast.Raise | ast.Break):
        return True
    if isinstance(last, ast.If):
        return bool(last.orelse) and _leaves(last.body) and _leaves(last.orelse)
    if isinstance(last, ast.With | ast.AsyncWith):
        return _leaves(last.body)
    return False


@lru_cache(maxsize=64)
def _looks_at_status(loop: Loop) -> bool:
    """Return True if the loop goes round again because of a response's status."""
    sleeps = any(isinstance(part, ast.Call) and _last_name(part.func) == "sleep" for part in own_nodes(loop))
    for part in _of_this_loop(loop):
        if not isinstance(part, ast.If):
            continue
        kind = _status_test(part.test)
        inside = [inner for statement in part.body for inner in (statement, *own_nodes(statement))]
        again = any(
            isinstance(inner, ast.Continue)
            or (isinstance(inner, ast.Call) and _last_name(inner.func) == "sleep")
            for inner in inside
        )
        if kind == "failed" and again and not _leaves(part.body):
            return True
        counted = sleeps or (not isinstance(loop, ast.While) and _COUNTS.search(ast.unparse(loop.target)))
        if (
            kind == "succeeded"
            and counted
            and _leaves(part.body)
            and not isinstance(part.body[-1], ast.Raise)
        ):
            return True
    return False


def _status_test(test: ast.expr) -> str:
    """Tell what a condition asks of a response: whether it `failed`, whether it `succeeded`, or nothing."""
    if isinstance(test, ast.BoolOp):
        return next((kind for value in test.values if (kind := _status_test(value))), "")
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return {"succeeded": "failed", "failed": "succeeded"}.get(_status_test(test.operand), "")
    if isinstance(test, ast.Attribute):
        return (
            "succeeded" if test.attr in ("ok", "is_success") else "failed" if test.attr == "is_error" else ""
        )
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return ""
    if not re.search(r"status|code", ast.unparse(test.left)):
        return ""
    numbers = [
        n.value for n in ast.walk(test.comparators[0]) if isinstance(n, ast.Constant) and type(n.value) is int
    ]
    codes = re.findall(
        r"\.(?:ok|OK|TOO_MANY_REQUESTS|SERVICE_UNAVAILABLE)\b", ast.unparse(test.comparators[0])
    )
    numbers += [200 if code.lower() == ".ok" else 429 for code in codes]
    if not numbers or not all(100 <= number < 600 for number in numbers):
        return ""
    bad, op = min(numbers) >= 400, test.ops[0]
    # 401, 403, 404 and their like are looked at for other reasons.
    passing = bad and any(number in _PASSING or number >= 500 for number in numbers)
    if isinstance(op, ast.Eq | ast.In):
        return "failed" if passing else "" if bad else "succeeded"
    if isinstance(op, ast.NotEq | ast.NotIn):
        return "succeeded" if passing else "" if bad else "failed"
    return "failed" if isinstance(op, ast.GtE | ast.Gt) else "succeeded"


@lru_cache(maxsize=64)
def _ends_on_success(loop: Loop) -> bool:
    """Return True if the loop ends when the request has succeeded: a worker's loop never does."""
    test = loop.test if isinstance(loop, ast.While) else ast.Constant(True)
    names_in_test = {part.id for part in ast.walk(test) if isinstance(part, ast.Name)}
    for part in _of_this_loop(loop, handlers=False):
        if isinstance(part, ast.Return | ast.Break):
            return True
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id in names_in_test:
            return True
    return bool(_COUNTS.search(ast.unparse(test)))


def _of_this_loop(loop: Loop, handlers: bool = True) -> Iterator[ast.AST]:
    """Yield what stands in a loop's body, without what stands in loops and functions inside it.

    Args:
        handlers: also what stands in `except` clauses.
    """
    todo: list[ast.AST] = list(loop.body)
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, Loop | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        todo += [c for c in ast.iter_child_nodes(part) if handlers or not isinstance(c, ast.ExceptHandler)]
