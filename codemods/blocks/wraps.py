"""The wraps around calls: how they look, and which are ours where no block says so.

`self._queued(function)(...)` goes through the queue of an instance, `_queued(function)(...)` through that of the module.
The name of a module's entry point is written with a colon before it here, `:_queued`, to tell it from a method's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..source.wrapping import OF_MODULE, wraps_with

ENTRY_POINTS = {"queue": "_queued", "backoff": "_retried"}
"""Block -> the method through which calls go; the queue's is the one if a class has both."""
_ENTRY_POINT = r"_(?:retrofit_)?(?:queued|retried)_*"
_NAMES = re.compile(rf"(\.?)\b({_ENTRY_POINT})\s*\)?\s*\(")
_BYTES = re.compile(rf"\b{_ENTRY_POINT}\s*\)?\s*\(".encode())


def mentioned(data: bytes) -> bool:
    """Return True if a file may have wraps, as a quick look at its bytes tells."""
    return bool(_BYTES.search(data))


def names_in(text: str) -> frozenset[str]:
    """Return the names of what may be entry points in a text."""
    return frozenset(name if dot else OF_MODULE + name for dot, name in _NAMES.findall(text))


def names_bound(code: str) -> frozenset[str]:
    """Return the entry point that the block of a module's functions binds."""
    names = {
        OF_MODULE + name for name in ENTRY_POINTS.values() if re.search(rf"^{name}\b", code, re.MULTILINE)
    }
    return frozenset(names)


def word_of(name: str) -> str:
    """Return the name of an entry point as it is written."""
    return name.removeprefix(OF_MODULE)


def after_a_word(text: str, start: int) -> bool:
    """Return True if a keyword stands directly before what is to be wrapped: `return(session or requests).get(url)`.

    Args:
        text: of the file.
        start: where that begins in it.
    """
    return start > 0 and (text[start - 1] == "_" or text[start - 1].isalnum())


def block_of(name: str) -> str:
    """Return the block that defines an entry point."""
    return "queue" if "queued" in name else "backoff"


def only_in_wraps(tree: ast.Module, name: str) -> bool:
    """Return True if code uses a name for wraps, and nowhere for anything else: it is not defined, handed on, ...

    Args:
        name: as it is written; a class and the module may have an entry point of that name.
    """
    nodes = list(ast.walk(tree))
    both = (name, OF_MODULE + name)
    ours = {id(node.func) for node in nodes if isinstance(node, ast.Call) and wraps_with(node) in both}
    return bool(ours) and not any(id(node) not in ours and name in _strings(node) for node in nodes)


def _strings(node: ast.AST) -> Iterator[str]:
    """Yield the names, and the texts, that a node consists of."""
    for _, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item


def left_over(tree: ast.Module, names: frozenset[str]) -> frozenset[str]:
    """Return those of the names that wraps of ours go through although no block of the file defines them.

    Somebody has deleted the blocks by hand, or moved the code here. A method of the user's own that is called so is
    told by its being defined or used otherwise in the file, or by what is done with its result.

    Args:
        tree: of the file without the blocks.
        names: that no block of the file defines.
    """
    nodes = list(ast.walk(tree))
    owners = {"self", "cls"}
    used: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            owners.update(arg.arg for arg in [*node.args.posonlyargs, *node.args.args][:1])
        elif isinstance(node, ast.Call):
            used.update(map(id, [node.func, *node.args, *(keyword.value for keyword in node.keywords)]))
    certain = set()
    for name in names:
        wraps = [node for node in nodes if isinstance(node, ast.Call) and wraps_with(node) == name]
        of_module = name.startswith(OF_MODULE)
        ours = of_module or all(_owner(wrap) in owners for wrap in wraps)
        ours = ours and any(id(wrap) in used for wrap in wraps)
        if ours and only_in_wraps(tree, word_of(name)):
            certain.add(name)
    return frozenset(certain)


def _owner(wrap: ast.Call) -> str:
    """Return the name of the instance or class through whose method a wrap goes."""
    assert isinstance(wrap.func, ast.Attribute)
    assert isinstance(wrap.func.value, ast.Name)
    return wrap.func.value.id
