"""Settles where a class's API key comes from: its attribute, and the environment variables that are its own.

A variable that the class reads itself wins over any that could be made up, and no class gets another vendor's.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ..blocks.configured import key_arguments
from ..finding.key_sources import KeySource, key_source
from ..model import Options
from ..source.scopes import ClassInfo
from ..source.syntax import decorator_name
from ..tables import key_variables
from ..tables.key_variables import KEY_ATTRIBUTES, TOKEN_ATTRIBUTES

_ELSEWHERE = frozenset({"base_url", "api_base", "azure_endpoint", "endpoint", "server_url", "host"})
"""Arguments by which an SDK's client is sent to another company's server."""


@dataclass(frozen=True)
class Key:
    """Where a class keeps its key, and where that comes from.

    Attributes:
        empty_is_missing: the constructor makes "" of a key that is not given.
    """

    attribute: str
    variables: tuple[str, ...]
    metadata_names: tuple[str, ...]
    empty_is_missing: bool


def key_of(
    info: ClassInfo, libraries: frozenset[str], options: Options, of_base: KeySource | None = None
) -> Key | str:
    """Return where the key of a class comes from, or why it gets no block for it.

    Args:
        libraries: names of the libraries that its calls go through.
        of_base: where a base in another file keeps the key.
    """
    source = key_source(info) or of_base
    if source is None:
        return f"the class keeps no API key in an attribute ({', '.join(KEY_ATTRIBUTES[:2])}, ...)"
    attribute, name = source.attribute, info.node.name
    if source.is_defined:
        return f"the class defines `{attribute}` itself"
    asked = dict(options.key_variables_of).get(name, ())
    if not asked and source.comes_from:
        return f"`self.{attribute}` {source.comes_from}"
    variables = (
        asked
        or options.key_variables
        or source.variables
        or _of_vendor(info, libraries)
        or key_variables.made_up(name, attribute)
    )
    if not variables:
        return f"no variable can be called after {name}, which does not say whose key it is; give --key-env {name}=NAME"
    return Key(attribute, variables, key_variables.metadata_names(name, variables), not source.is_bare)


def variables_in(code: str) -> tuple[str, ...]:
    """Return the variables that an env_key block reads."""
    arguments = key_arguments(code) or {}
    return tuple(arguments.get("variables", ()))


def is_token(attribute: str) -> bool:
    """Return True for an attribute that is taken for a key only under conditions, of which the report tells."""
    return attribute in TOKEN_ATTRIBUTES


# Whose it is.


def _of_vendor(info: ClassInfo, libraries: frozenset[str]) -> tuple[str, ...]:
    """Return the variables of the vendor that the class is for, or whose SDK it uses with the vendor's own server."""
    vendor = key_variables.vendor_named(info.node.name)
    if vendor is None and not _goes_elsewhere(info):
        vendor = key_variables.vendor_of(libraries)
    return vendor.variables if vendor is not None else ()


def _goes_elsewhere(info: ClassInfo) -> bool:
    """Return True if the class tells an SDK's client which server to ask, or uses the form of it for Azure."""
    return any(
        isinstance(node, ast.Call)
        and (
            "Azure" in decorator_name(node).rpartition(".")[2]
            or any(keyword.arg in _ELSEWHERE for keyword in node.keywords)
        )
        for cls in info.lineage()
        for node in ast.walk(cls.node)
    )
