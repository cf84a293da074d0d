"""Recognises loops that make the same request again because it has failed.

Such a loop counts attempts, and ends when the request has succeeded. So neither of these is one: a loop over pages or
items (another request each time), one that polls until a job is done (the request had succeeded), and the endless loop
of a worker (it goes on after a success, too).
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from ..source.scopes import Scope, own_nodes
from ..source.syntax import decorator_name, last_name, shown
from .resolve import Names
from .status_tests import failing_cases, status_test

Loop = ast.For | ast.AsyncFor | ast.While

RETRYING = re.compile(
    r"(?:^|\.)(?:Async)?(?:Retrying|RetryingCaller)$|(?:^|\.)retry_context$|(?:^|\.)BoundAsyncRetryingCaller$"
)
_COUNTS = re.compile(r"retry|retries|attempt|tries", re.IGNORECASE)
_DELAYS = re.compile(r"(?:^|_)(?:delays?|waits?|backoffs?|sleeps?|pauses?)(?:_|$)", re.IGNORECASE)
_WITHOUT_PART = frozenset(
    "sleep wait print log debug info warning error exception min max pow uniform random write".split()
)
"""Functions that a counter may be given without being part of the request."""
_NOT_OF_A_REQUEST = frozenset(
    """
    KeyError IndexError ValueError TypeError AttributeError JSONDecodeError StopIteration StopAsyncIteration
    UnicodeDecodeError ImportError ModuleNotFoundError AssertionError NotImplementedError KeyboardInterrupt
    CancelledError GeneratorExit SystemExit
    """.split()
)
"""Exceptions that no failing request raises; a handler of these alone is not about the request."""


@lru_cache(maxsize=64)
def loops_in(function: ast.AST) -> Bodies[Loop]:
    """Return a function's own loops; remembered, since a function may have thousands of call sites.

    The test of a `while` is made again with each round, and may make the request.
    """
    loops = (part for part in own_nodes(function) if isinstance(part, Loop))
    return Bodies(
        (loop, [loop.test, *loop.body] if isinstance(loop, ast.While) else loop.body) for loop in loops
    )


Statement = TypeVar("Statement", bound=ast.stmt)


class Bodies(Generic[Statement]):
    """Statements with bodies, each inside another or apart from it; asked for those whose bodies hold a node."""

    def __init__(self, bodies: Iterable[tuple[Statement, Sequence[ast.expr | ast.stmt]]]) -> None:
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
            RETRYING.search(name)
            for name in (decorator_name(iterated), names.resolve(iterated, scope))
            if name
        ):
            return True
        if _enters_its_attempts(loop):
            return True
        if not _counts_only(loop):
            return False
    swallows = bool(swallowing(loop).around(node))
    if isinstance(loop, ast.While) and status_test(loop.test) == "failed":
        return True
    return (swallows or _looks_at_status(loop)) and (_names_attempts(loop) or _ends_on_success(loop))


def _enters_its_attempts(loop: ast.For | ast.AsyncFor) -> bool:
    """Return True for `for attempt in retrying: with attempt: ...`, which is how tenacity and stamina are used."""
    target = loop.target.id if isinstance(loop.target, ast.Name) else ""
    return any(
        isinstance(item.context_expr, ast.Name) and item.context_expr.id == target
        for statement in loop.body
        if isinstance(statement, ast.With | ast.AsyncWith)
        for item in statement.items
    )


def _names_attempts(loop: Loop) -> bool:
    """Return True for a loop over what is called attempts; it may well forget to end when one has succeeded."""
    if isinstance(loop, ast.While):
        return False
    return bool(_COUNTS.search(ast.unparse(loop.target)) or _COUNTS.search(ast.unparse(loop.iter)))


@lru_cache(maxsize=64)
def _counts_only(loop: ast.For | ast.AsyncFor) -> bool:
    """Return True for a loop that counts attempts, rather than going over different things."""
    if _names_attempts(loop):
        return True
    if not _goes_over_numbers(loop):
        return False
    target = loop.target.id if isinstance(loop.target, ast.Name) else ""
    if target.startswith("_"):
        return True
    # A counter that is part of the request is a page number or an index.
    for call in (part for part in own_nodes(loop) if isinstance(part, ast.Call)):
        if last_name(call.func) in _WITHOUT_PART:
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


def _goes_over_numbers(loop: ast.For | ast.AsyncFor) -> bool:
    """Return True if what a loop goes over are counts or delays: `range(3)`, `[1, 2, 4]`, `[None] * 3`, `delays`."""
    over = loop.iter
    while (
        isinstance(over, ast.Call) and last_name(over.func) in ("enumerate", "reversed", "iter") and over.args
    ):
        over = over.args[0]
    if isinstance(over, ast.Call):
        if last_name(over.func) not in ("range", "count", "repeat", "cycle"):
            return False
        return len(over.args) < 3 or ast.unparse(over.args[2]) == "-1"  # steps are of pages
    if isinstance(over, ast.BinOp) and isinstance(over.op, ast.Mult):
        over = over.left if isinstance(over.left, ast.List | ast.Tuple) else over.right
    if isinstance(over, ast.List | ast.Tuple):
        return all(isinstance(item, ast.Constant) and not isinstance(item.value, str) for item in over.elts)
    return bool(_DELAYS.search(last_name(over)) or _DELAYS.search(ast.unparse(loop.target)))


@lru_cache(maxsize=64)
def swallowing(loop: Loop) -> Bodies[ast.Try | ast.With]:
    """Return the statements of a loop that catch the failure of a request in them, so that the loop goes round again."""
    found: list[ast.Try | ast.With] = []
    for part in of_this_loop(loop.body):
        if isinstance(part, ast.Try):
            caught = (h for h in part.handlers if not is_of_another_kind(h) and _may_go_round(h.body))
            found += [part] if any(caught) else []
        elif isinstance(part, ast.With):
            suppresses = any("suppress" in shown(item.context_expr) for item in part.items)
            found += [part] if suppresses else []
    return Bodies((part, part.body) for part in found)


def is_of_another_kind(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return False
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return all(last_name(kind) in _NOT_OF_A_REQUEST for kind in types)


def _may_go_round(body: list[ast.stmt]) -> bool:
    """Return True unless a block of statements always ends the loop; what comes before its end may go round."""
    return not _leaves(body) or any(isinstance(part, ast.Continue) for part in of_this_loop(body))


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
    counted = not isinstance(loop, ast.While) or bool(_COUNTS.search(ast.unparse(loop.test)))
    counted = counted or any(
        isinstance(part, ast.Call) and last_name(part.func) == "sleep" for part in own_nodes(loop)
    )
    for part in of_this_loop(loop.body):
        if isinstance(part, ast.Match):
            if any(_may_go_round(case.body) for case in failing_cases(part)):
                return True
        elif isinstance(part, ast.If):
            kind = status_test(part.test)
            if kind == "failed" and _goes_round_again(part.body):
                return True
            if kind == "succeeded" and counted and _ends_the_loop(part.body):
                return True
        elif isinstance(part, ast.Assign) and _goes_on_while(loop, part.targets[0], status_test(part.value)):
            return True
    return False


def _goes_on_while(loop: Loop, flag: ast.expr, kind: str) -> bool:
    """Return True if a loop goes round because a variable says that a request has failed: `while not ok: ...; ok = r.ok`.

    Args:
        kind: what it says, as `status_test` has it.
    """
    if not kind or not isinstance(loop, ast.While) or not isinstance(flag, ast.Name):
        return False
    parts = list(ast.walk(loop.test))
    asked = [part for part in parts if isinstance(part, ast.Name) and part.id == flag.id]
    negated = any(
        isinstance(p, ast.UnaryOp) and isinstance(p.op, ast.Not) and p.operand in asked for p in parts
    )
    return bool(asked) and kind == ("succeeded" if negated else "failed")


def _goes_round_again(body: list[ast.stmt]) -> bool:
    """Return True if a block waits or says `continue`, and does not always end the loop."""
    again = any(
        isinstance(part, ast.Continue) or (isinstance(part, ast.Call) and last_name(part.func) == "sleep")
        for statement in body
        for part in (statement, *own_nodes(statement))
    )
    return again and _may_go_round(body)


def _ends_the_loop(body: list[ast.stmt]) -> bool:
    """Return True if a block has a `return` or `break` of the loop in it, under whatever condition, and no `raise` at its end."""
    ends = any(isinstance(part, ast.Return | ast.Break) for part in of_this_loop(body))
    return ends and not isinstance(body[-1], ast.Raise)


@lru_cache(maxsize=64)
def _ends_on_success(loop: Loop) -> bool:
    """Return True if the loop ends when the request has succeeded: a worker's loop never does."""
    test = loop.test if isinstance(loop, ast.While) else ast.Constant(True)
    names_in_test = {part.id for part in ast.walk(test) if isinstance(part, ast.Name)}
    for part in of_this_loop(loop.body, handlers=False):
        if isinstance(part, ast.Return | ast.Break):
            return True
        if isinstance(part, Loop) and any(isinstance(inner, ast.Return) for inner in own_nodes(part)):
            return True
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id in names_in_test:
            return True
    return bool(_COUNTS.search(ast.unparse(test)))


def of_this_loop(body: Iterable[ast.stmt], handlers: bool = True) -> Iterator[ast.AST]:
    """Yield what stands in statements of a loop, without what stands in loops and functions inside it.

    Args:
        handlers: also what stands in `except` clauses.
    """
    todo: list[ast.AST] = list(body)
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, Loop | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        todo += [c for c in ast.iter_child_nodes(part) if handlers or not isinstance(c, ast.ExceptHandler)]
