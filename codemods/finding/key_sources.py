"""Where a class keeps its API key, and where it takes it from by itself: the environment, settings, a helper.

Whose key it is, and so which variable could be read for it, is settled when the file is planned.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..source.scopes import ClassInfo, Scope
from ..source.syntax import all_within, children, decorator_name, shown
from ..tables import key_variables
from ..tables.key_variables import KEY_ATTRIBUTES, NOT_A_KEY, TOKEN_ATTRIBUTES, words_of

_READS = re.compile(r"(?:^|[._])(?:getenv|environb?|env)(?:$|[._])|(?:^|[._])from_env")
"""Functions that read the environment: `os.getenv`, `os.environ.get`, `env.str`, `get_from_dict_or_env`."""
_SETTINGS = re.compile(r"(?i)(?:^|[._])(?:settings|config|configuration|conf|cfg|secrets|credentials)$")
"""What holds a project's settings: `settings.API_KEY`, `self.config["api_key"]`, `get_settings().key`."""
_HELPER = re.compile(
    r"(?i)(?:^|[._])_*(?:get|load|read|fetch|find|resolve|lookup)_\w*(?:key|token|secret|credential)s?$"
)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")
_OF_A_KEY = re.compile(r"(?:KEY|TOKEN|SECRET)(?:_|$)")
_HARMLESS_BASES = frozenset({"object", "ABC", "Generic", "Protocol"})
_DEEPEST = 4
"""Helpers and names that are followed from where the key is assigned."""


@dataclass(frozen=True)
class KeySource:
    """Where a class, or a base of it, keeps the key.

    Attributes:
        attribute: in which it is kept.
        is_defined: the class's body defines that attribute, as a property or a field.
        comes_from: where the class takes it from by itself, where its constructor is not given one; or nothing.
        variables: environment variables of a key that the class reads somewhere else, as in a method `from_env`.
        is_bare: the constructor keeps what it is given, and makes nothing else of it.
    """

    attribute: str
    is_defined: bool = False
    comes_from: str = ""
    variables: tuple[str, ...] = ()
    is_bare: bool = True


def key_source(info: ClassInfo) -> KeySource | None:
    """Return where a class of the file, or a base of it in the file, keeps its API key; None if it keeps none."""
    attribute = key_attribute(info)
    if not attribute:
        return None
    return KeySource(
        attribute,
        _is_defined(info, attribute),
        _own_source(info, attribute),
        _read_in_class(info),
        all(_is_parameter(value, scope) for value, scope in _values(info, attribute)),
    )


def key_attribute(info: ClassInfo) -> str:
    """Return the attribute in which a class, or a base of it in the file, keeps its API key, or nothing."""
    kept = {name for cls in info.lineage() for name in cls.attributes}
    attribute = next((a for a in KEY_ATTRIBUTES if a in info.attributes), "")
    attribute = attribute or next((a for a in KEY_ATTRIBUTES if a in kept), "")
    return attribute or next((a for a in TOKEN_ATTRIBUTES if a in kept and _is_given_token(info, a)), "")


def _is_given_token(info: ClassInfo, attribute: str) -> bool:
    """Return True if an attribute is what the constructor is given, and stays so; a token of a login is none of ours.

    Nor is one that is compared with None, as a login's is, nor one that is sent as a page's, a form's or the like.
    """
    bases = [base for cls in info.lineage() for base in cls.node.bases]
    named = {decorator_name(base.value if isinstance(base, ast.Subscript) else base) for base in bases}
    known = {cls.node.name for cls in info.lineage()} | _HARMLESS_BASES
    if {name.rpartition(".")[2] for name in named} - known or NOT_A_KEY & set(words_of(info.node.name)):
        return False
    values = _values(info, attribute)
    if len(values) != 1 or not _is_parameter(*values[0]):
        return False
    if getattr(values[0][1].node, "name", "") != "__init__":
        return False
    return not any(_is_no_key(node, attribute) for cls in info.lineage() for node in ast.walk(cls.node))


def _is_no_key(node: ast.AST, attribute: str) -> bool:
    """Return True if a node does with an attribute what is not done with a key."""
    if isinstance(node, ast.Attribute) and node.attr == attribute and isinstance(node.ctx, ast.Del):
        return True
    if isinstance(node, ast.AugAssign) and getattr(node.target, "attr", "") == attribute:
        return True
    if (
        isinstance(node, ast.Compare)
        and getattr(node.left, "attr", "") == attribute
        and any(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
    ):
        return True
    return any(
        getattr(value, "attr", "") == attribute and NOT_A_KEY & set(words_of(name.replace("-", "_")))
        for name, value in _sent_as(node)
    )


def _values(info: ClassInfo, attribute: str) -> list[tuple[ast.expr, Scope]]:
    """Return what a class and its bases in the file assign to an attribute, each with where that is."""
    return [value for cls in info.lineage() for value in cls.attributes.get(attribute, ())]


def _is_defined(info: ClassInfo, attribute: str) -> bool:
    """Return True if the body of a class defines the attribute in which it, or a base, keeps the key."""
    keeps = next(cls for cls in info.lineage() if attribute in cls.attributes)
    return attribute in keeps.defined or any(attribute in cls.methods for cls in info.lineage())


def _sent_as(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names under which a dict, a call or an assignment hands values on: `{"pageToken": value}`."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(node, ast.keyword):
        yield node.arg or "", node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield str(target.slice.value), node.value


def _is_parameter(value: ast.expr, scope: Scope) -> bool:
    """Return True if a value is just a parameter of the function in which it is assigned."""
    node = scope.node
    if not isinstance(value, ast.Name) or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given = [*node.args.defaults, *node.args.kw_defaults]
    bound_again = any(
        isinstance(bound, ast.AST) and not any(bound is default for default in given)
        for bound in scope.bindings.get(value.id, ())
    )
    return any(arg.arg == value.id for arg in args) and not bound_again


# What the class reads by itself.


def _own_source(info: ClassInfo, attribute: str) -> str:
    """Return where the class takes its key from by itself, where the constructor is not given one; else nothing."""
    for value, scope in _values(info, attribute):
        for node, where in _parts(value, scope, info, _DEEPEST):
            of_file = isinstance(node, ast.Call) and any(_functions(node.func, where, info))
            if of_file:
                continue  # what it is made of comes, too
            if _reads_environment(node):
                variable = next(_variables_in(node), "")
                return f"is read from {f'{variable} in ' if variable else ''}the environment already"
            if isinstance(node, ast.Attribute | ast.Subscript | ast.Call) and _is_setting(node):
                return f"comes from `{shown(node)}` already"
            if isinstance(node, ast.Call) and _HELPER.search(decorator_name(node)):
                return f"comes from `{shown(node)}` already"
    return ""


def _reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return bool(_READS.search(decorator_name(node)))
    return isinstance(node, ast.Subscript) and decorator_name(node.value).rpartition(".")[2] in (
        "environ",
        "environb",
    )


def _is_setting(node: ast.Attribute | ast.Subscript | ast.Call) -> bool:
    """Return True for something that is taken out of a settings object."""
    if isinstance(node, ast.Call):
        owner = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr == "get" else None
    else:
        owner = node.value
    return owner is not None and bool(_SETTINGS.search(decorator_name(owner)))


def _variables_in(node: ast.AST) -> Iterator[str]:
    """Yield the names of environment variables that a call or a subscript mentions."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _VARIABLE.fullmatch(part.value):
            yield part.value


def _parts(value: ast.AST, scope: Scope, info: ClassInfo, depth: int) -> Iterator[tuple[ast.AST, Scope]]:
    """Yield the nodes of an expression, and of what its names stand for and its helpers are made of, a few levels deep."""
    todo: list[tuple[ast.AST, Scope, int]] = [(value, scope, depth)]
    seen: set[int] = set()
    while todo:
        node, where, left = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node, where
        todo += [(child, where, left) for child in children(node)]
        if left and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            todo += [(bound, owner, left - 1) for bound, owner in _bound(node.id, where)]
        elif left and isinstance(node, ast.Call):
            todo += [(part, where, left - 1) for f in _functions(node.func, where, info) for part in f.body]


def _bound(name: str, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
    """Yield the expressions that a name may stand for; of a parameter, also its default."""
    for owner in scope.outwards():
        if name not in owner.bindings or (owner is not scope and isinstance(owner.node, ast.ClassDef)):
            continue
        yield from ((value, owner) for value in owner.bindings[name] if isinstance(value, ast.expr))
        if isinstance(owner.node, ast.FunctionDef | ast.AsyncFunctionDef) and owner.parent is not None:
            args = owner.node.args
            named = [*args.posonlyargs, *args.args]
            defaults = [*zip(named[len(named) - len(args.defaults) :], args.defaults, strict=True)]
            defaults += [
                (a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None
            ]
            yield from ((default, owner.parent) for arg, default in defaults if arg.arg == name)
        return


def _functions(
    function: ast.expr, scope: Scope, info: ClassInfo
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of the file that a callee stands for."""
    if isinstance(function, ast.Name):
        for owner in scope.outwards():
            for value in owner.bindings.get(function.id, ()):
                if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield value
    elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        names = {"self", "cls", info.node.name}
        if function.value.id in names:
            yield from (cls.methods[function.attr] for cls in info.lineage() if function.attr in cls.methods)


def _read_in_class(info: ClassInfo) -> tuple[str, ...]:
    """Return the variables of a key that the class reads somewhere else, as in a method `from_env`.

    Of several that may be keys for different servers, those count that are called after the class.
    """
    every = (node for cls in info.lineage() for node in all_within(cls.node))
    nodes = (n for n in every if isinstance(n, ast.Call | ast.Subscript) and _reads_environment(n))
    found = dict.fromkeys(name for node in nodes for name in _variables_in(node) if _OF_A_KEY.search(name))
    words = set(key_variables.own_words(info.node.name))
    return tuple(
        found if len(found) == 1 else [name for name in found if words & set(words_of(name.lower()))]
    )
