"""Fingerprints of code: the same in every version of Python and in every layout, another after a person's edit.

Needs nothing but the standard library, so that a test can ask every installed Python for the same answer.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache

INVALID = "invalid"
"""The fingerprint of what does not parse."""


@lru_cache(maxsize=256)
def fingerprint(code: str) -> str:
    """Return ten hexadecimal digits for the syntax tree of a block; INVALID if it has none.

    What formatters change is left out: white space, comments, quotes, parentheses, the order of imports that follow
    each other, the indentation of docstrings. Remembered, because a folder's files hold the same few blocks, and an
    inline runtime is 8,000 lines long.
    """
    try:
        return fingerprint_of(ast.parse(textwrap.dedent(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return INVALID


def fingerprint_of(tree: ast.Module) -> str:
    """Return the fingerprint of code that is a syntax tree already."""
    return hashlib.sha256("\n".join(_dump(tree)).encode()).hexdigest()[:10]


def _dump(node: ast.AST) -> Iterator[str]:
    """Yield a description of a tree. `ast.dump` would not do: its output differs from one Python to the next."""
    yield type(node).__name__
    if isinstance(node, ast.JoinedStr):
        yield from _dump_parts(node)
        return
    for name, value in ast.iter_fields(node):
        # "kind" is the prefix of u"text"; the others are empty in some versions and absent in others.
        if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
            continue
        yield name
        if name == "body" and isinstance(value, list):
            yield from _dump_body(node, value)
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield from _dump(item)
            else:
                yield repr(item)


def _dump_parts(node: ast.JoinedStr) -> Iterator[str]:
    """Yield the parts of an f-string; some versions of Python cut the text between two fields into several parts."""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        yield repr(text)
        text = ""
        yield from _dump(part)
    yield repr(text)


def _dump_body(owner: ast.AST, body: list[ast.stmt]) -> Iterator[str]:
    imports: list[str] = []
    for index, node in enumerate(body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports += _imported(node)
            continue
        yield from sorted(imports)
        imports = []
        if index == 0 and (text := _docstring(owner, node)) is not None:
            yield "docstring"
            yield "\n".join(line.rstrip() for line in inspect.cleandoc(text).split("\n"))
        else:
            yield from _dump(node)
    yield from sorted(imports)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield a line for each name, since isort sorts, joins and splits imports."""
    source = "" if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
    for alias in node.names:
        asname = None if alias.asname == alias.name else alias.asname
        yield f"{type(node).__name__} {source} {alias.name} {asname}"


def _docstring(owner: ast.AST, node: ast.stmt) -> str | None:
    has_one = isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    if has_one and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value.value if isinstance(node.value.value, str) else None
    return None
