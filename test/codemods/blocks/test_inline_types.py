"""What type checkers see of a runtime inside a file (C4). That they see what they should: test/test_types.py."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

from backend_retrofit.codemods.blocks.inline_types import PREFIX
from backend_retrofit.codemods.blocks.templates import inline_runtime
from backend_retrofit_runtime import RequestEngine
from backend_retrofit_runtime.module_queue import ModuleQueue

CODE = ast.parse(inline_runtime().code)


def types() -> list[ast.stmt]:
    """Return the part of the block that only type checkers see."""
    return next(node.body for node in CODE.body if isinstance(node, ast.If))


def class_of_types(name: str) -> ast.ClassDef:
    return next(node for node in types() if isinstance(node, ast.ClassDef) and node.name == name)


def bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from map(ast.unparse, node.targets)
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target)
        elif isinstance(node, ast.If):
            yield from bound(node.body)
            yield from bound(node.orelse)


def test_no_name_of_the_block_meets_one_of_the_file():
    own = {name for name in bound(CODE.body) if not name.startswith(PREFIX)}
    assert own == {"RequestEngine", "_request_engine"}


def test_the_block_begins_with_no_import():
    """A tool that sorts imports would take it, and the marker line above it, for one of the file's imports."""
    assert not isinstance(CODE.body[0], ast.Import | ast.ImportFrom)


def test_a_class_that_is_called_otherwise_is_typed_under_that_name():
    names = set(bound(ast.parse(inline_runtime("RetrofitRequestEngine").code).body))
    assert "RequestEngine" not in names
    assert "RetrofitRequestEngine" in names


def test_the_types_have_nothing_that_the_runtime_has_not():
    named = set(bound(class_of_types("RequestEngine").body))
    assert {name for name in named if not hasattr(RequestEngine, name)} == set()


def test_the_types_have_all_that_blocks_name():
    """`RequestEngine` declares it for them: an annotation, as it is put there by the modules that come later."""
    named = set(bound(class_of_types("RequestEngine").body))
    assert RequestEngine.__annotations__.keys() <= named


@pytest.mark.parametrize(
    ("cls", "method", "wanted"),
    [
        ("RequestEngine", "for_module", RequestEngine.for_module),
        ("_retrofit_ApiKey", "__init__", RequestEngine.api_key.__init__),
        ("_retrofit_ModuleQueue", "__call__", ModuleQueue.__call__),
    ],
)
def test_the_signatures_are_those_of_the_runtime(cls, method, wanted):
    function = next(
        node for node in class_of_types(cls).body if isinstance(node, ast.FunctionDef) and node.name == method
    )
    names = [each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)]
    assert set(names) == set(inspect.signature(wanted).parameters) - {"functions"}


def test_the_types_cost_a_program_nothing():
    """They are not run: the names of the types are not bound."""
    namespace = {"__name__": "client"}
    exec(inline_runtime().code, namespace)
    ours = {name for name in namespace if name.startswith(PREFIX)}
    assert ours == {"_retrofit_typing", "_retrofit_version"}
