"""What code asks of a response's status: whether the request has failed, or has succeeded."""

from __future__ import annotations

import ast
import re

from ..source.syntax import last_name

_PASSING = frozenset({408, 425, 429, 498})
_CODES = re.compile(r"status|code")
_RETRYABLE = re.compile(r"retr(?:y|ies|yable|iable|ied)(?![a-z])|force_?list|transient", re.IGNORECASE)
"""What statuses are called for which a request is made again."""
_ASKS = re.compile(
    r"(?:^|_)(?:should|is|can|needs?|must|to)_(?:\w+_)?(?:retry|retryable|retriable|transient)(?:_|$)"
)


def status_test(test: ast.expr) -> str:
    """Tell what a condition asks of a response: whether it `failed`, whether it `succeeded`, or nothing."""
    if isinstance(test, ast.BoolOp):
        return next((kind for value in test.values if (kind := status_test(value))), "")
    if isinstance(test, ast.NamedExpr):
        return status_test(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return {"succeeded": "failed", "failed": "succeeded"}.get(status_test(test.operand), "")
    asked = test.func if isinstance(test, ast.Call) else test
    if _ASKS.search(last_name(asked)):
        return "failed"
    if isinstance(test, ast.Attribute):
        return (
            "succeeded" if test.attr in ("ok", "is_success") else "failed" if test.attr == "is_error" else ""
        )
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not _CODES.search(ast.unparse(test.left)):
        return ""
    numbers = _codes(test.comparators[0])
    if not numbers and _RETRYABLE.search(ast.unparse(test.comparators[0])):
        return {ast.In: "failed", ast.NotIn: "succeeded"}.get(type(test.ops[0]), "")
    if not numbers or not all(100 <= number < 600 for number in numbers):
        return ""
    bad, op = min(numbers) >= 400, test.ops[0]
    passing = bad and _is_passing(numbers)
    if isinstance(op, ast.Eq | ast.In):
        return "failed" if passing else "" if bad else "succeeded"
    if isinstance(op, ast.NotEq | ast.NotIn):
        return "succeeded" if passing else "" if bad else "failed"
    return "failed" if isinstance(op, ast.GtE | ast.Gt) else "succeeded"


def failing_cases(match: ast.Match) -> list[ast.match_case]:
    """Return the cases of `match response.status_code:` for answers that another attempt may better."""
    if not _CODES.search(ast.unparse(match.subject)):
        return []
    return [case for case in match.cases if _is_passing(_codes(case.pattern))]


def _codes(node: ast.AST) -> list[int]:
    """Return the status codes that stand in an expression or pattern."""
    numbers = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is int]
    named = re.findall(r"\.(?:ok|OK|TOO_MANY_REQUESTS|SERVICE_UNAVAILABLE)\b", ast.unparse(node))
    return numbers + [200 if code.lower() == ".ok" else 429 for code in named]


def _is_passing(numbers: list[int]) -> bool:
    """Return True for statuses that pass; 401, 403, 404 and their like are looked at for other reasons."""
    return bool(numbers) and any(number in _PASSING or number >= 500 for number in numbers)
