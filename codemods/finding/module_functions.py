"""Tells which functions cannot go through a queue of their module."""

from __future__ import annotations

import ast

from ..source.scopes import Scope
from ..source.syntax import decorator_name

_SENT_AWAY = frozenset(
    {"component", "docker", "docker_task", "external_python", "kubernetes", "virtualenv", "virtualenv_task"}
)
"""Last names of decorators that run the text of a function elsewhere, without its module: of Airflow, Kubeflow."""
_FIXTURES = frozenset({"fixture", "asyncio_fixture", "yield_fixture"})


def why_none(scope: Scope) -> str:
    """Return why the code of a scope cannot go through a queue of its module, or nothing."""
    for outer in scope.outwards():
        if not isinstance(outer.node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in outer.node.decorator_list:
            name = decorator_name(decorator)
            last = name.rpartition(".")[2]
            if last in _SENT_AWAY:
                return (
                    f"@{name} runs the text of the function elsewhere, where the queue of the module is not"
                )
            if last in _FIXTURES:
                return f"@{name}: it prepares a test, where retries would only make a failure late"
        if outer.node.name.startswith("test_") and isinstance(
            getattr(outer.parent, "node", None), ast.Module
        ):
            return "it is a test, where retries would only make a failure late"
    return ""
