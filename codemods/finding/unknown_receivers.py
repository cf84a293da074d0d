"""Judges calls whose target is not known: whether they look like requests, and whether they can be nothing else.

The commonest call in real code is `self.session.post(...)` where `session` was handed to the constructor without an
annotation. Wrapping each of them would be wrong: many such receivers are dictionaries, caches, database clients, or
the project's own HTTP class, whose own requests are wrapped where it is defined; wrapped twice, a request would be
tried 36 times. So a receiver is taken for a client only if

- the path to the method is an SDK's and nobody else's (`.chat.completions.create`; or `.messages.create` with
  `model=`, `messages=` or the like), or
- the file imports boto3, and the call passes keywords as only boto3 has them (`Bucket=`); or
- its type is not known to be another one, it has the name under which the client of a library usually goes, the file
  imports that library and no other of the kind, and the call passes what only such a client takes (`json=`,
  `headers=`, ...) or, for aiohttp, is entered by `async with`.

All others that look like requests are listed as skipped, with what would mend it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ..source.scopes import Scope
from ..source.syntax import shown
from ..tables.libraries import Library
from ..tables.lookup import Transport
from ..tables.request_shapes import (
    CLIENT_WORDS,
    HTTP_KEYWORDS,
    HTTP_METHODS,
    OF_BOTO,
    SDK_CALL,
    SDK_KEYWORDS,
    SDK_METHODS,
    SURE_SDK_CALL,
    TAKEN_FOR,
)
from .resolve import Names

_SDK_ROW = Library("an SDK", own_retries="off")
_URL_WORDS = re.compile(r"(?:^|_|\b)(?:url|uri|endpoint|href|link)s?\b", re.IGNORECASE)
_PATH = re.compile(r"/|^https?:")


@dataclass(frozen=True)
class Looks:
    """A call that looks like a request: what it is taken for, if it is, and why."""

    taken_for: Transport | None
    reason: str


def look(
    names: Names, scope: Scope, callee: ast.expr, name: str, call: ast.Call, entered: bool
) -> Looks | None:
    """Return what a call of unknown target looks like; None if it does not look like a request.

    Args:
        name: what the callee resolves to, if anything.
        entered: the call stands in an `async with`.
    """
    dynamic = _dynamic_receiver(callee)
    if dynamic is not None:
        receiver, method = dynamic, "get"
    elif isinstance(callee, ast.Attribute):
        receiver, method = callee.value, callee.attr
    else:
        return None
    keywords = {keyword.arg for keyword in call.keywords if keyword.arg}
    path = _path(callee)
    is_sdk = dynamic is None and SDK_CALL.search(path) is not None
    is_http = not is_sdk and _looks_like_http(receiver, method, call, keywords, bool(dynamic))
    if not is_sdk and not is_http and not _looks_like_sdk(receiver, method, keywords):
        return None
    if names.instance(receiver, scope) is not None:
        return None
    kind = names.resolve(receiver, scope)
    if names.own_class(kind) is not None or kind.endswith("[]"):
        return None  # a class of this file: its own requests are found there
    text = shown(receiver)
    if is_sdk and isinstance(callee, ast.Attribute):
        return _sdk(names, callee, kind, keywords)
    if not is_http:
        return _sdk_method(names, receiver, kind, method, keywords)
    told = sorted(keywords & HTTP_KEYWORDS)
    evidence = f"passes {told[0]}=" if told else "is entered by `async with`" if entered else ""
    if kind:
        return _of_known_type(kind, text, method, bool(evidence), call)
    library = _only_library(names)
    if (
        evidence
        and library
        and TAKEN_FOR[library][0].search(_last(receiver))
        and (call.args or "url" in keywords)
    ):
        method = "get" if dynamic is not None else method
        transport = names.catalogue.transport(f"{TAKEN_FOR[library][1]}.{method}")
        if transport is not None:
            reason = f"`{text}` is taken for a client of {library}: it is called so, and the call {evidence}"
            return Looks(transport, reason)
    return Looks(None, _unknown(names, receiver))


def is_like_a_request(method: str, call: ast.Call) -> bool:
    """Return True if a method's name, or what it is given, is that of a client's request."""
    keywords = {keyword.arg for keyword in call.keywords if keyword.arg}
    return method in HTTP_METHODS | SDK_METHODS or bool(keywords & HTTP_KEYWORDS)


def look_handed_on(names: Names, scope: Scope, value: ast.expr) -> str:
    """Return why a method that is handed on looks like one that sends requests, or nothing: `call(self.session.get)`."""
    if not isinstance(value, ast.Attribute) or value.attr not in HTTP_METHODS - {"options", "send"}:
        return ""
    if not CLIENT_WORDS.search(_last(value.value)) or names.instance(value.value, scope) is not None:
        return ""
    kind, text = names.resolve(value.value, scope), shown(value.value)
    if kind:
        return _foreign(kind, text, value.attr) if kind.startswith(".") else ""
    return _unknown(names, value.value)


def _dynamic_receiver(callee: ast.expr) -> ast.expr | None:
    """Return `x` of `getattr(x, method)(...)`."""
    if isinstance(callee, ast.Call) and getattr(callee.func, "id", "") == "getattr" and len(callee.args) >= 2:
        return callee.args[0]
    return None


def _path(callee: ast.expr) -> str:
    """Return the attributes that an expression ends with, no more than an SDK's path has: `.chat.completions.create`."""
    names: list[str] = []
    while isinstance(callee, ast.Attribute) and len(names) < 3:
        names.append(f".{callee.attr}")
        callee = callee.value
    return "".join(reversed(names))


def _last(receiver: ast.expr) -> str:
    if isinstance(receiver, ast.Call):
        receiver = receiver.func
    return receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")


def _only_library(names: Names) -> str:
    """Return the one library of HTTP clients that the file imports, or nothing."""
    found = names.libraries & TAKEN_FOR.keys()
    return next(iter(found)) if len(found) == 1 else ""


def _sdk(names: Names, callee: ast.Attribute, kind: str, keywords: set[str]) -> Looks | None:
    text = shown(callee.value)
    if kind.startswith("."):
        return Looks(None, _foreign(kind, text, callee.attr))
    if SURE_SDK_CALL.search(_path(callee)) or keywords & SDK_KEYWORDS:
        reason = f"`{text}.{callee.attr}` is taken for a call through an SDK, by its shape"
        return Looks(Transport(_SDK_ROW), reason)
    if not isinstance(callee.value, ast.Attribute):
        return None
    if kind:
        return Looks(None, _foreign(kind, text, callee.attr))
    return Looks(None, _unknown(names, callee.value.value))


def _looks_like_http(
    receiver: ast.expr, method: str, call: ast.Call, keywords: set[str], dynamic: bool
) -> bool:
    """Return True if a call looks like that of an HTTP client, rather than of a dictionary or a cache."""
    if method not in HTTP_METHODS or not CLIENT_WORDS.search(_last(receiver)):
        return False
    if dynamic:
        return True
    if not call.args and not keywords and not call.keywords:
        return False
    if method in ("get", "delete") and call.args and not keywords:
        first = call.args[0]
        if len(call.args) == 2 and method == "get":
            return False  # a key and a default
        if isinstance(first, ast.Constant) and not (
            isinstance(first.value, str) and _PATH.search(first.value)
        ):
            return False
    return True


def _looks_like_sdk(receiver: ast.expr, method: str, keywords: set[str]) -> bool:
    """Return True if a call looks like one of an SDK's client itself, or of a client of boto3 (`Bucket=`, `Key=`)."""
    if not CLIENT_WORDS.search(_last(receiver)):
        return False
    return (method in SDK_METHODS and bool(keywords & SDK_KEYWORDS)) or any(
        OF_BOTO.fullmatch(keyword) for keyword in keywords
    )


def _sdk_method(names: Names, receiver: ast.expr, kind: str, method: str, keywords: set[str]) -> Looks:
    """Judge what looks like a call of an SDK's client itself."""
    text = shown(receiver)
    if kind:
        return Looks(None, _foreign(kind, text, method))
    told = sorted(keyword for keyword in keywords if OF_BOTO.fullmatch(keyword))
    if told and "boto3" in names.libraries:
        transport = names.catalogue.transport(f"boto3.client().{method}")
        if transport is not None:
            reason = f"`{text}` is taken for a client of boto3: the file imports it, and the call passes {told[0]}="
            return Looks(transport, reason)
    return Looks(None, _unknown(names, receiver))


def _of_known_type(kind: str, text: str, method: str, evident: bool, call: ast.Call) -> Looks | None:
    """Judge a receiver whose type is known, and is none of the table's clients: is it a client all the same?"""
    first = shown(call.args[0]).strip("f'\"") if call.args else ""
    says_so = bool(_PATH.search(first) or _URL_WORDS.search(first))
    if not (kind.startswith(".") or evident or says_so or method in ("post", "put", "patch", "head")):
        return None
    return Looks(None, _foreign(kind, text, method))


def _unknown(names: Names, receiver: ast.expr) -> str:
    """Say that a type is not known, and how the user can make it known."""
    text = shown(receiver)
    library = _only_library(names)
    client = TAKEN_FOR[library][1].removesuffix("()") if library else "requests.Session"
    if isinstance(receiver, ast.Call):
        mend = f"annotate what `{shown(receiver.func)}` returns (`-> {client}`, say)"
    elif isinstance(receiver, ast.Name | ast.Attribute):
        mend = f"annotate it where it comes from (`{text}: {client}`, say)"
    else:
        mend = f"give it a name of its own, and annotate that (`client: {client}`, say)"
    own = "a class of your own also takes a row in [tool.backend-retrofit]"
    return f"the type of `{text}` is not known here; if this is a request, {mend}; {own}"


def _foreign(kind: str, text: str, method: str) -> str:
    """Say that something comes from another file, and which lines of pyproject.toml would make it a client.

    Args:
        kind: what it resolves to: `.http.make_session()`, `shop.http.session`.
        text: how it is written.
        method: that is called on it.
    """
    path = kind.lstrip(".")
    maker, called, attributes = path.partition("()")
    told = (
        f"`{text}` comes from {path.replace('()', '')}, which is defined elsewhere: its own requests are wrapped there, "
        "if it makes any; if it is a client itself, "
    )
    if "(" in attributes or "[" in path:
        return told + f"annotate it (`{text}: requests.Session`, say)"
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
