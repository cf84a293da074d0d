"""Recognises probes: functions that ask whether something answers, and for which a failure is an answer.

`is_alive()` catches the error and gives False. With a backoff it would give it after half a minute.
"""

from __future__ import annotations

import ast
import re

from ..source.scopes import Scope, own_nodes
from .retry_loops import is_of_another_kind

_NAMES = re.compile(
    r"(?:^|_)(?:ping|probe|health|healthy|healthcheck|healthz|alive|live|liveness|ready|readiness|heartbeat|reachable"
    r"|available|availability|online|responding|responsive|connected|is_up|is_running|check_(?:connection|server|status)"
    r"|test_connection|verify_connection|wait_(?:for|until)\w*)(?:_|$)"
)
_ASKS = frozenset("get head options request urlopen open list retrieve send ps models version info".split())
"""Methods that ask and change nothing, or may."""


def why_probe(scope: Scope, node: ast.expr) -> str:
    """Return why the function around a request is a probe, or nothing."""
    for owner in scope.outwards():
        if isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_probe(owner.node.name, owner.ends, node):
                return f"`{owner.node.name}` asks whether something answers, and a failure is an answer"
            return ""
    return ""


def _is_probe(name: str, parts: list[ast.Try | ast.Return], node: ast.expr) -> bool:
    catching = [
        handler
        for part in parts
        if isinstance(part, ast.Try) and _holds(part.body, node)
        for handler in part.handlers
        if not is_of_another_kind(handler) and _turns_into_nothing(handler)
    ]
    if not catching:
        return False
    if _NAMES.search(name):
        return True
    returned = [part.value for part in parts if isinstance(part, ast.Return)]
    method = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return method in _ASKS and len(returned) > 1 and all(map(_is_bool, returned))


def _holds(body: list[ast.stmt], node: ast.expr) -> bool:
    end = body[-1].end_lineno or 0, body[-1].end_col_offset or 0
    return (body[0].lineno, body[0].col_offset) <= (node.lineno, node.col_offset) <= end


def _turns_into_nothing(handler: ast.ExceptHandler) -> bool:
    """Return True if a handler turns a failure into `False`, `None` or the like, and never into an error."""
    parts = [part for statement in handler.body for part in (statement, *own_nodes(statement))]
    if any(isinstance(part, ast.Raise | ast.Continue) for part in parts):
        return False
    values = [part.value for part in parts if isinstance(part, ast.Return | ast.Assign)]
    return all(value is None or _is_nothing(value) for value in values)


def _is_nothing(value: ast.expr) -> bool:
    if isinstance(value, ast.Tuple):
        return bool(value.elts) and _is_nothing(value.elts[0])
    if isinstance(value, ast.Dict | ast.List):
        return not ast.unparse(value).strip("{}[]")
    return isinstance(value, ast.Constant) and not value.value


def _is_bool(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Constant):
        return value.value is True or value.value is False
    if isinstance(value, ast.BoolOp):
        return all(map(_is_bool, value.values))
    if isinstance(value, ast.Attribute):
        return value.attr in ("ok", "is_success")
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") == "bool"
    return isinstance(value, ast.Compare) or (
        isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
    )
