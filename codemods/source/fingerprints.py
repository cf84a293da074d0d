"""Fingerprints of code: the same in every version of Python and in every layout, another after a person's edit.

Needs nothing but the standard library, so that a test can ask every installed Python for the same answer.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
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
    parts: list[str] = []
    _dump(tree, parts.append)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]


def _dump(node: ast.AST, put: Callable[[str], None]) -> None:
    """Describe a tree, part by part. `ast.dump` would not do: its output differs from one Python to the next."""
    kind = type(node)
    put(kind.__name__)
    if isinstance(node, ast.JoinedStr):
        _dump_parts(node, put)
        return
    for name in kind._fields:
        # "kind" is the prefix of u"text"; the others are empty in some versions and absent in others.
        if name in _NOT_DUMPED:
            continue
        value = getattr(node, name, None)
        if value is None:
            continue
        if not isinstance(value, list):
            put(name)
            if isinstance(value, ast.AST):
                _dump(value, put)
            else:
                put(repr(value))
        elif value:
            put(name)
            if name == "body":
                _dump_body(node, value, put)
                continue
            for item in value:
                if isinstance(item, ast.AST):
                    _dump(item, put)
                else:
                    put(repr(item))


_NOT_DUMPED = frozenset({"ctx", "kind", "type_comment"})


def _dump_parts(node: ast.JoinedStr, put: Callable[[str], None]) -> None:
    """Describe the parts of an f-string; some versions of Python cut the text between two fields into several parts."""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        put(repr(text))
        text = ""
        _dump(part, put)
    put(repr(text))


def _dump_body(owner: ast.AST, body: list[ast.stmt], put: Callable[[str], None]) -> None:
    imports: list[str] = []
    for index, node in enumerate(body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports += _imported(node)
            continue
        for line in sorted(imports):
            put(line)
        imports = []
        if index == 0 and (text := _docstring(owner, node)) is not None:
            put("docstring")
            put("\n".join(line.rstrip() for line in inspect.cleandoc(text).split("\n")))
        else:
            _dump(node, put)
    for line in sorted(imports):
        put(line)


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
