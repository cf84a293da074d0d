"""What is said of a call that may be a request, and how the user can make its receiver known."""

from __future__ import annotations

import ast

from ..source.syntax import shown
from ..tables.not_covered import not_covered
from ..tables.request_shapes import HTTP_METHODS, TAKEN_FOR
from . import through
from .project_names import Project
from .resolve import Names

_MOST_CLASSES = 3
"""Of the project that are named because they have a method of the same name."""


def only_library(names: Names) -> str:
    """Return the one library of HTTP clients that the file imports, or nothing."""
    found = names.libraries & TAKEN_FOR.keys()
    return next(iter(found)) if len(found) == 1 else ""


def unknown(names: Names, receiver: ast.expr, method: str) -> str:
    """Say that a type is not known, and how the user can make it known."""
    text = shown(receiver)
    if told := _may_go_through(names, text, method):
        return told
    library = only_library(names) if method in HTTP_METHODS else ""
    client = TAKEN_FOR[library][1].removesuffix("()") if library else ""
    if isinstance(receiver, ast.Call):
        remedy = f"annotate what `{shown(receiver.func)}` returns" + (
            f" (`-> {client}`, say)" if client else ""
        )
    elif isinstance(receiver, ast.Name | ast.Attribute):
        remedy = "annotate it where it comes from" + (
            f" (`{text}: {client}`, say)" if client else ", with its type"
        )
    else:
        remedy = "give it another name, and annotate that" + (f" (`client: {client}`, say)" if client else "")
    own = "a class of your own also takes a row in [tool.backend-retrofit]"
    if clients_of_project(names, method):
        remedy, own = (
            "annotate it with its type",
            "several classes of the project have such a method, whose requests are wrapped there",
        )
    return f"the type of `{text}` is not known here; if this is a request, {remedy}; {own}"


def _may_go_through(names: Names, text: str, method: str) -> str:
    """Say what a call goes through if its receiver is a client class of the project that has such a method, or nothing."""
    project = names.elsewhere
    places = clients_of_project(names, method)
    if not isinstance(project, Project) or not places or len(places) > _MOST_CLASSES:
        return ""
    told = [(place, through.goes_through(project.follower, place)) for place in places]
    ways = [f"if it is a {place.partition(':')[2].rpartition('.')[0]}, the call {way}" for place, way in told]
    return f"the type of `{text}` is not known here; {'; '.join(ways)}; otherwise annotate it with its type"


def clients_of_project(names: Names, method: str) -> list[str]:
    """Return the methods of this name by which client classes of other files of the project make requests."""
    project = names.elsewhere
    if not isinstance(project, Project):
        return []
    places = through.methods_named(project.follower, method)
    return [place for place in places if not place.startswith(f"@{project.module}:")]


def foreign(kind: str, text: str, method: str) -> str:
    """Say that something comes from another file, and which lines of pyproject.toml would make it a client.

    Args:
        kind: what it resolves to: `.http.make_session()`, `shop.http.session`.
        text: how it is written.
        method: that is called on it.
    """
    path = kind.lstrip(".")
    library = "" if kind.startswith(".") else not_covered(path)
    maker, called, attributes = path.partition("()")
    told = (
        f"`{text}` comes from {library}, which is not in the table of libraries; to queue its calls, "
        if library
        else f"`{text}` comes from {path.replace('()', '')}, which is defined elsewhere: its own requests are wrapped there, "
        "if it makes any; if it is a client itself, "
    )
    if "(" in attributes or "[" in path:
        if library:
            row = "`clients` of a row in [[tool.backend-retrofit.transports]]"
            return told + f"annotate it with its class, and name that under {row}"
        return told + (
            f"annotate it (`{text}: requests.Session`, say)"
            if method in HTTP_METHODS
            else "annotate it with its type"
        )
    name = maker if called else f"{maker}.{method}"
    name = name if "." in name else f"package.{name}"  # any package does for what comes by a relative import
    lines = [
        f'{"clients" if called else "functions"} = ["{name}"]',
        *(["nested = true"] if attributes else []),
    ]
    return (
        told
        + "add to pyproject.toml the lines "
        + ", ".join(f"`{line}`" for line in ["[[tool.backend-retrofit.transports]]", *lines])
    )
