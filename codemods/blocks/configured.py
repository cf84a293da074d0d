"""Reads the defaults that somebody has given a block by hand: a changed default is a setting, and no damage."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from ..model import FUNCTIONS
from ..source.fingerprints import fingerprint_of
from ..source.syntax import assigned_call
from . import functions, templates
from .markers import Region


def is_edited(region: Region) -> bool:
    """Return True if more than defaults was changed in a block since it was made."""
    return region.changed and own_defaults(region) is None


def own_defaults(region: Region) -> dict[str, str] | None:
    """Return setting -> the code of the default that somebody has given it in a block; None if more was changed.

    That nothing else was changed is seen by putting the block's own defaults back: the fingerprint fits again.
    """
    if region.block == FUNCTIONS:
        return functions.own_defaults(region)
    if region.block not in templates.SETTINGS:
        return None
    try:
        tree = ast.parse(region.code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if region.block == "env_key":
        return {} if key_arguments(region.code) is not None else None
    found: dict[str, str] = {}
    tree.body = list(_as_made(tree.body, region, found))
    return found if fingerprint_of(tree) == region.fingerprint else None


def _as_made(body: list[ast.stmt], region: Region, found: dict[str, str]) -> Iterator[ast.stmt]:
    """Yield the statements of a block with the defaults that they were made with; put the others into `found`."""
    options = {region.values.get(option, option): option for option in templates.SETTINGS[region.block]}
    made = _spelt_out(region)
    for node in body:
        attributes = _set_attributes(node)
        if attributes is None or not attributes <= options.keys():
            yield node
            continue
        assert isinstance(node, ast.Assign)
        assert isinstance(node.value, ast.Call)
        (option, *others) = (options[attribute] for attribute in attributes)
        default = node.value.args[:1]
        if others or (not default and option in templates.ON_ONE_LINE[region.block] and option not in made):
            yield _on_one_line(node, made, region)
        elif option not in made:
            found[option] = (
                ast.unparse(default[0]) if default else _written(templates.OPTIONS[option].default)
            )
        else:
            if not _is(default, made[option]):
                found[option] = (
                    ast.unparse(default[0]) if default else _written(templates.OPTIONS[option].default)
                )
                node.value.args[:1] = [ast.parse(_written(value), mode="eval").body for value in made[option]]
            yield node


def _spelt_out(region: Region) -> dict[str, tuple[Any, ...]]:
    """Return the settings that stand in a block on a line of their own -> the default that they were made with there.

    A setting with another name stands there without one, where that is the usual default.
    """
    names = templates.SETTINGS[region.block]
    usual = {option: (templates.OPTIONS[option].default,) for option in names}
    own = {option: (value,) for option, value in region.defaults.items()}
    if region.version < 2:
        return usual
    alone = {option: () for option in names if option in region.values}
    spelt_out = {option: usual[option] for option in templates.SPELT_OUT[region.block]}
    return {**alone, **spelt_out, **own}


def _set_attributes(node: ast.stmt) -> set[str] | None:
    """Return the attributes that are settings by a statement `a = b = RequestEngine.setting(...)`; else None."""
    if not (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "setting"
    ):
        return None
    names = {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names if len(names) == len(node.targets) else None


def _on_one_line(node: ast.Assign, made: Mapping[str, Any], region: Region) -> ast.Assign:
    """Return the statement that names several settings as it was made; some may have got a line of their own since."""
    wanted = templates.ON_ONE_LINE[region.block]
    names = [option for option in wanted if option in templates.OPTIONS and option not in made]
    targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
    return ast.Assign(targets, node.value)


def _is(default: list[ast.expr], made: tuple[Any, ...]) -> bool:
    return [ast.unparse(node) for node in default] == [_written(value) for value in made]


def _written(value: Any) -> str:
    return ast.unparse(ast.Constant(value))


def key_arguments(code: str) -> dict[str, Any] | None:
    """Return what an env_key block says of itself, as it stands; None if it is more than such a block."""
    found = assigned_call(code, "api_key")
    if found is None:
        return None
    attribute, call = found
    try:
        given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        variables = tuple(ast.literal_eval(argument) for argument in call.args)
    except (SyntaxError, ValueError):
        return None
    if not given.keys() <= {"metadata_names", "empty_is_missing", "missing"}:
        return None
    return {
        "attribute": attribute,
        "variables": variables,
        "metadata_names": tuple(given.get("metadata_names", ())),
        "empty_is_missing": given.get("empty_is_missing", False),
        "missing": given.get("missing"),
    }
