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

All others that look like requests are listed as skipped, with what to do about it.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass

from ..source.scopes import Scope
from ..source.syntax import is_super, last_name_called, shown
from ..tables.known_bases import names_of
from ..tables.lookup import Transport
from ..tables.request_shapes import (
    ASKS_MODEL,
    BOTO_METHODS,
    CLIENT_WORDS,
    CONTAINERS,
    HTTP_KEYWORDS,
    HTTP_METHODS,
    NO_REQUESTS,
    OF_BOTO,
    OF_IMPORTED_SDK,
    OF_SDK_CLIENT,
    SDK_CALL,
    SDK_KEYWORDS,
    SDK_METHODS,
    SDKS,
    SURE_SDK_CALL,
    TAKEN_FOR,
    TALKS,
    TOLD_MODEL,
    has_http_keyword,
)
from ..tables.rows import Library
from . import boto_shapes
from .advice import clients_of_project, foreign, only_library, unknown
from .project_names import Project
from .resolve import Names

_SDK_ROW = Library("an SDK", own_retries="off")
_URL_WORDS = re.compile(r"(?:^|_|\b)(?:url|uri|endpoint|href|link)s?\b", re.IGNORECASE)
_SURE_KEYWORDS = frozenset({"headers", "json", "allow_redirects", "follow_redirects", "cookies", "proxies"})
_DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.Tuple, ast.DictComp, ast.ListComp, ast.SetComp, ast.JoinedStr)
_CONTAINERS = frozenset({"dict", "list", "set", "tuple", "str", "vars", "globals", "locals"})
_HOLDERS = frozenset(
    """
    contextvars.ContextVar queue.Queue queue.LifoQueue queue.PriorityQueue queue.SimpleQueue asyncio.Queue weakref.ref
    weakref.WeakValueDictionary concurrent.futures.Future asyncio.Future
    """.split()
)
"""What gives back whatever was put into it."""
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
        entered: the call is in an `async with`.
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
    several = boto_shapes.several_requests(names.libraries, receiver, method, call)
    is_sdk = dynamic is None and (
        SDK_CALL.search(path) is not None
        or (OF_IMPORTED_SDK.search(path) is not None and _uses_an_sdk(names))
    )
    is_http = not is_sdk and _looks_like_http(names, receiver, method, call, keywords, bool(dynamic))
    if (
        not several
        and not is_sdk
        and not is_http
        and not _looks_like_sdk(names, receiver, method, call, keywords)
    ):
        return None
    if names.instance(receiver, scope) is not None or is_super(receiver):
        return None
    kind = names.resolve(receiver, scope)
    if kind.partition("()")[0] in _HOLDERS:
        kind = "" if kind.partition("()")[2] else kind
    if not is_sdk and "(" not in kind and names.catalogue.is_module(kind.partition(".")[0]):
        return None  # of a module of a library of the table, such as `aiohttp.web`
    if (
        names.own_class(kind) is not None
        or _is_no_client(names, kind)
        or (not kind and _is_data(names, scope, receiver))
    ):
        return None  # of a class of this file the own requests are found there
    if kind.startswith("@"):
        return _of_project(names, kind, shown(receiver), method)
    if several:
        return Looks(None, several)
    text = shown(receiver)
    if is_sdk and isinstance(callee, ast.Attribute):
        return _sdk(names, callee, kind, keywords)
    if not is_http:
        return _sdk_method(names, receiver, kind, method, keywords)
    told = sorted(keywords & HTTP_KEYWORDS)
    evidence = f"passes {told[0]}=" if told else "is entered by `async with`" if entered else ""
    if kind:
        return _of_known_type(kind, text, method, bool(evidence), call)
    library = only_library(names)
    if (
        evidence
        and library
        and TAKEN_FOR[library][0].search(last_name_called(receiver))
        and (call.args or "url" in keywords)
        and not clients_of_project(names, method)  # wrapped there: a second wrap would multiply the attempts
    ):
        method = "get" if dynamic is not None else method
        transport = names.catalogue.transport(f"{TAKEN_FOR[library][1]}.{method}")
        if transport is not None:
            reason = f"`{text}` is taken for a client of {library}: it is called so, and the call {evidence}"
            return Looks(transport, reason)
    return Looks(None, unknown(names, receiver, method))


def is_like_a_request(method: str, call: ast.Call) -> bool:
    """Return True if a method's name, or what it is given, is that of a client's request."""
    return method in HTTP_METHODS or method in SDK_METHODS or has_http_keyword(call)


def look_handed_on(names: Names, scope: Scope, value: ast.expr) -> str:
    """Return why a method that is handed on looks like one that sends requests, or nothing: `call(self.session.get)`."""
    if not isinstance(value, ast.Attribute) or value.attr not in HTTP_METHODS - {"options", "send"}:
        return ""
    if (
        not CLIENT_WORDS.search(last_name_called(value.value))
        or names.instance(value.value, scope) is not None
    ):
        return ""
    kind, text = names.resolve(value.value, scope), shown(value.value)
    if kind:
        return foreign(kind, text, value.attr) if kind.startswith(".") else ""
    return unknown(names, value.value, value.attr)


def _uses_an_sdk(names: Names) -> bool:
    """Return True for a file that imports an SDK, or makes a call that only an SDK has."""
    if names.libraries & SDKS:
        return True
    paths = (_path(call.func) for scope in names.scopes.values() for call in scope.calls)
    return any(SDK_CALL.search(path) for path in paths)


def _uses_boto(names: Names) -> bool:
    return boto_shapes.uses_boto(
        names.libraries, (call for scope in names.scopes.values() for call in scope.calls)
    )


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


def _sdk(names: Names, callee: ast.Attribute, kind: str, keywords: set[str]) -> Looks | None:
    text = shown(callee.value)
    if kind.startswith("."):
        return Looks(None, foreign(kind, text, callee.attr))
    path = _path(callee)
    if SDK_CALL.search(path) and (SURE_SDK_CALL.search(path) or keywords & SDK_KEYWORDS):
        reason = f"`{text}.{callee.attr}` is taken for a call through an SDK, by its shape"
        return Looks(Transport(_SDK_ROW), reason)
    if not isinstance(callee.value, ast.Attribute):
        return None
    if kind:
        return Looks(None, foreign(kind, text, callee.attr))
    return Looks(None, unknown(names, callee.value.value, callee.attr))


def _looks_like_http(
    names: Names, receiver: ast.expr, method: str, call: ast.Call, keywords: set[str], dynamic: bool
) -> bool:
    """Return True if a call looks like that of an HTTP client, rather than of a dictionary or a cache."""
    if method not in HTTP_METHODS:
        return False
    is_called_so = bool(CLIENT_WORDS.search(last_name_called(receiver)))
    if dynamic and is_called_so:
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
    if is_called_so:
        return True
    return (
        _makes_requests(names)
        and not dynamic
        and _gives_what_a_request_needs(receiver, method, call, keywords)
    )


def _makes_requests(names: Names) -> bool:
    """Return True for a file that imports a library of the table, or makes requests through what it imports."""
    project = names.elsewhere
    is_concerned = isinstance(project, Project) and project.is_concerned
    return is_concerned or any(map(names.catalogue.is_module, names.libraries))


def _gives_what_a_request_needs(receiver: ast.expr, method: str, call: ast.Call, keywords: set[str]) -> bool:
    """Return True if a call gives a URL, or what only a request has, whatever its receiver is called."""
    if keywords & _SURE_KEYWORDS or (method in ("post", "patch", "put") and keywords & HTTP_KEYWORDS):
        return True
    if isinstance(receiver, ast.Constant | ast.Dict | ast.JoinedStr) or CONTAINERS.search(
        last_name_called(receiver)
    ):
        return False
    first = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "url"), None)
    if method == "request" and isinstance(first, ast.Constant):
        return str(first.value).lower() in HTTP_METHODS
    return first is not None and method not in ("send", "stream", "options") and _is_url(first)


def _is_url(node: ast.expr) -> bool:
    """Return True for an expression that is a URL or a path of one, by its text or its name."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(_PATH.search(node.value))
    if isinstance(node, ast.JoinedStr):
        return any(map(_is_url, node.values))
    if isinstance(node, ast.FormattedValue):
        return _is_url(node.value)
    if isinstance(node, ast.BinOp):
        return _is_url(node.left) or _is_url(node.right)
    if isinstance(node, ast.Call):
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        is_format = isinstance(inner, ast.Constant) and _is_url(inner)
        return is_format or _is_url(node.func) or "urljoin" in last_name_called(node)
    return bool(_URL_WORDS.search(last_name_called(node)))


def _looks_like_sdk(
    names: Names, receiver: ast.expr, method: str, call: ast.Call, keywords: set[str]
) -> bool:
    """Return True if a call looks like one of an SDK's client itself, or of a client of boto3 (`Bucket=`, `Key=`)."""
    if method in NO_REQUESTS:
        return False
    if boto_shapes.is_of_thing(receiver, method, call) and _uses_boto(names):
        return True
    if OF_SDK_CLIENT.search(f"{last_name_called(receiver)}.{method}"):
        return True
    if names.libraries & SDKS and TALKS.search(f"{last_name_called(receiver)}.{method}"):
        return True
    if method in ASKS_MODEL and len(keywords & TOLD_MODEL) > 1 and _makes_requests(names):
        return True
    is_of_boto = any(OF_BOTO.fullmatch(keyword) for keyword in keywords)
    if not CLIENT_WORDS.search(last_name_called(receiver)):
        return is_of_boto and "boto3" in names.libraries and BOTO_METHODS.match(method) is not None
    options_only = not call.args and any(keyword.arg is None for keyword in call.keywords)
    if options_only and "boto3" in names.libraries and BOTO_METHODS.match(method):
        return True
    return is_of_boto or (method in SDK_METHODS and bool(keywords & SDK_KEYWORDS))


def _is_no_client(names: Names, kind: str) -> bool:
    """Return True for what is known to be no client: a container, a thing of Python's own, what a request has given."""
    if kind.endswith("[]"):
        return True
    is_pythons = kind.partition(".")[0] in sys.stdlib_module_names
    return names.catalogue.is_of_table(kind) or (
        is_pythons and not names.catalogue.is_module(kind.partition("()")[0])
    )


def _is_data(names: Names, scope: Scope, receiver: ast.expr) -> bool:
    """Return True for what is a dictionary, a list, a text, as the code says that makes it."""
    values: list[object] = [receiver]
    if isinstance(receiver, ast.Name):
        owner = next((owner for owner in scope.outwards() if receiver.id in owner.bindings), None)
        values = [*owner.bindings[receiver.id]] if owner is not None else []
    elif isinstance(receiver, ast.Attribute) and (info := names.instance(receiver.value, scope)) is not None:
        values = [value for cls in info.lineage() for value, _ in cls.attributes.get(receiver.attr, ())]
    return any(
        isinstance(value, _DISPLAYS)
        or (isinstance(value, ast.Constant) and value.value is not None)
        or (isinstance(value, ast.Call) and getattr(value.func, "id", "") in _CONTAINERS)
        for value in values
    )


def _of_project(names: Names, kind: str, text: str, method: str) -> Looks | None:
    """Judge a receiver of a class of another file, which is not seen to have the method: a base out of sight may have it."""
    project = names.elsewhere
    if not isinstance(project, Project) or not kind.endswith("()"):
        return None
    module, _, path = kind[1:-2].partition(":")
    bases = [base for base in project.follower.foreign_bases(module, path) if names_of(base) is None]
    if not bases:
        return None
    where = project.follower.view.shown(module)
    base = bases[0].lstrip("?.")
    return Looks(
        None, f"`{text}` is a {path} of {where}; its `{method}` may come from {base}, which is not seen here"
    )


def _sdk_method(names: Names, receiver: ast.expr, kind: str, method: str, keywords: set[str]) -> Looks:
    """Judge what looks like a call of an SDK's client itself."""
    text = shown(receiver)
    if kind:
        return Looks(None, foreign(kind, text, method))
    told = sorted(keyword for keyword in keywords if OF_BOTO.fullmatch(keyword))
    if told and "boto3" in names.libraries and CLIENT_WORDS.search(last_name_called(receiver)):
        transport = names.catalogue.transport(f"boto3.client().{method}")
        if transport is not None:
            reason = f"`{text}` is taken for a client of boto3: the file imports it, and the call passes {told[0]}="
            return Looks(transport, reason)
    return Looks(None, unknown(names, receiver, method))


def _of_known_type(kind: str, text: str, method: str, evident: bool, call: ast.Call) -> Looks | None:
    """Judge a receiver whose type is known, and is not one of the table's clients: is it a client all the same?"""
    first = shown(call.args[0]).strip("f'\"") if call.args else ""
    says_so = bool(_PATH.search(first) or _URL_WORDS.search(first))
    if not (kind.startswith(".") or evident or says_so or method in ("post", "put", "patch", "head")):
        return None
    return Looks(None, foreign(kind, text, method))
