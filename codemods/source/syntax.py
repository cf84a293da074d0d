"""Small questions to nodes of a syntax tree: their children, their lines, and how they are written."""

from __future__ import annotations

import ast

_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {ast.Name: (), ast.Constant: ()}
"""Kind of a node -> those of its fields that may hold nodes; filled in as kinds are met."""
_PLAIN_FIELDS = frozenset(
    {"ctx", "attr", "module", "level", "asname", "kind", "conversion", "simple", "type_comment"}
)
_MOST_SHOWN = 500
"""Characters of an expression or a name."""


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes that a node is made of, but for `Load()` and its like; faster than `ast.iter_child_nodes`."""
    kind = type(node)
    fields = _FIELDS.get(kind)
    if fields is None:
        fields = _FIELDS[kind] = tuple(name for name in node._fields if name not in _PLAIN_FIELDS)
    nodes: list[ast.AST] = []
    for name in fields:
        value = getattr(node, name, None)
        if type(value) is list:
            if value:
                nodes += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            nodes.append(value)
    return nodes


def all_within(node: ast.AST) -> list[ast.AST]:
    """Return a node and all that it is made of, in the order of `ast.walk`; as `children`, and faster."""
    nodes = [node]
    for part in nodes:  # which grows meanwhile
        nodes += children(part)
    return nodes


def shown(node: ast.AST) -> str:
    """Return an expression as it is written, for a report; of one that is longer than any reader wants, the beginning."""
    return shortened(ast.unparse(node))


def shortened(text: str) -> str:
    """Return a text, or as much of it as a reader wants."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def last_name_called(node: ast.expr) -> str:
    """Return the last part of a dotted name, and of what is called the same."""
    return last_name(node.func if isinstance(node, ast.Call) else node)


def is_super(node: ast.expr) -> bool:
    """Return True for `super()`."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "super"


def decorator_name(node: ast.expr) -> str:
    """Return the dotted name of a decorator, a base or a callee, as written, without its arguments."""
    if isinstance(node, ast.Call):
        node = node.func
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):  # `ast.unparse` would say the same, and takes many times as long
        return ".".join([inner.id, *reversed(parts)])
    return ast.unparse(node) if parts else ""


def assigned_call(code: str, method: str) -> tuple[str, ast.Call] | None:
    """Return the name and the call of code that is `name = something.method(...)`; None if it is anything else."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1 or not isinstance(node := body[0], ast.Assign) or len(node.targets) != 1:
        return None
    target, call = node.targets[0], node.value
    is_it = isinstance(call, ast.Call) and getattr(call.func, "attr", "") == method
    return (
        (target.id, call) if isinstance(target, ast.Name) and isinstance(call, ast.Call) and is_it else None
    )


def last_line(node: ast.stmt) -> int:
    """Return the number of the line on which a statement ends."""
    return int(node.end_lineno or node.lineno)


def first_line(node: ast.stmt) -> int:
    """Return the number of the line on which a statement begins, with its decorators."""
    return int(min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]))
