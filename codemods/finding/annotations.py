"""The classes that an annotation names: `Client`, `Client | None`, `"Annotated[Client, ...]"`, `list[Client]`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..source.scopes import Scope
from ..source.syntax import decorator_name
from .search import Search, Seen

_SINGLE = frozenset(
    """
    Optional Union Annotated Final ClassVar Required NotRequired ReadOnly Awaitable Coroutine Iterator AsyncIterator
    Generator AsyncGenerator ContextManager AsyncContextManager AbstractContextManager AbstractAsyncContextManager
    """.split()
)
"""Generic types of which a value is, or gives, one of what they are made of."""
_MANY = frozenset(
    "list List dict Dict tuple Tuple Mapping MutableMapping Sequence defaultdict DefaultDict".split()
)


def annotated(search: Search, annotation: ast.expr, scope: Scope, seen: frozenset[Seen] = frozenset()) -> str:
    """Return `Client()` for an annotation that names a class, alone or in a union; for a client, if one is there."""
    return search.best_name(_classes_in(search, annotation, scope, seen))


def is_generic(annotation: ast.Subscript) -> bool:
    """Return True for a generic type of which a value is what it is made of: `Optional[Client]`."""
    return decorator_name(annotation.value).rpartition(".")[2] in _SINGLE


def _classes_in(search: Search, annotation: ast.expr, scope: Scope, seen: frozenset[Seen]) -> Iterator[str]:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError):
            return
    if isinstance(annotation, ast.BinOp):
        yield from _classes_in(search, annotation.left, scope, seen)
        yield from _classes_in(search, annotation.right, scope, seen)
    elif isinstance(annotation, ast.Tuple):  # the constraints of a type variable
        for part in annotation.elts:
            yield from _classes_in(search, part, scope, seen)
    elif isinstance(annotation, ast.Subscript):
        kind = decorator_name(annotation.value).rpartition(".")[2]
        parts = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        if kind in _SINGLE:
            for part in parts:
                yield from _classes_in(search, part, scope, seen)
        elif kind in _MANY:
            for part in parts[-1:]:  # none in `tuple[()]`
                yield from (f"{name}[]" for name in _classes_in(search, part, scope, seen))
        elif kind in ("type", "Type"):
            for part in parts:
                yield from (name.removesuffix("()") for name in _classes_in(search, part, scope, seen))
        else:
            yield from _class_named(search, annotation.value, scope, seen)
    elif isinstance(annotation, ast.Name | ast.Attribute):
        yield from _class_named(search, annotation, scope, seen)


def _class_named(search: Search, annotation: ast.expr, scope: Scope, seen: frozenset[Seen]) -> Iterator[str]:
    if isinstance(annotation, ast.Name):
        for owner in scope.outwards():
            if annotation.id in owner.type_parameters:
                bound = owner.type_parameters[annotation.id]
                yield from _classes_in(search, bound, owner.parent or owner, seen)
                return
    name = search.within(annotation, scope, seen) if seen else search.resolve(annotation, scope)
    if name and not name.startswith(("typing.", "typing_extensions.", "collections.")):
        yield f"{name}()"
