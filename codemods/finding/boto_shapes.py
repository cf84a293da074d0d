"""Tells what boto3 gives by its shape, where its type is not known: waiters, pages, things of a resource.

    waiter.wait(Bucket=name)    bucket.objects.filter(Prefix="x")    s3.Object("bucket", "key").get()

They are never wrapped on that ground, only listed: a waiter and pages make several requests, and the methods of a
resource's things have names that many others have.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from ..source.syntax import last_name_called, shown
from ..tables.amazon import PAGES_LATER, WAITER
from ..tables.request_shapes import BOTO_COLLECTIONS, GOES_OVER, HAS_COLLECTIONS, OF_BOTO

_LIBRARIES = frozenset({"boto3", "botocore", "aioboto3", "aiobotocore", "types_boto3"})
_BY_METHOD = {"wait": WAITER, "paginate": PAGES_LATER}
_MAKERS = {"wait": "get_waiter", "paginate": "get_paginator"}
_NAMES = {
    "wait": re.compile(r"waiter\d*$", re.IGNORECASE),
    "paginate": re.compile(r"paginator\d*$", re.IGNORECASE),
}
_OF_COLLECTIONS = frozenset({"delete", "terminate", "start", "stop", "reboot", "create_tags"})
"""What is done to all that is in one, with a request for each page."""
_THING = re.compile(
    r"(?:^|_)(?:obj|s3_?obj|object|object_summary|bucket|table|queue|topic|instance)\d*$", re.IGNORECASE
)
_MADE = re.compile(r"[A-Z][A-Za-z]+$")
_OF_THINGS = frozenset("get delete load reload terminate".split())
"""Methods of a resource's things that are called with nothing."""
_TRANSFERS = re.compile(r"(?:upload|download)_(?:file|fileobj)$")


def uses_boto(libraries: frozenset[str], calls: Iterable[ast.Call]) -> bool:
    """Return True for a file that imports boto3, or that goes over a collection whose names say whose it is.

    Args:
        libraries: that the file imports.
        calls: in the file.
    """
    return bool(libraries & _LIBRARIES) or any(
        isinstance(call.func, ast.Attribute) and _is_named_so(call.func.value, call.func.attr)
        for call in calls
    )


def several_requests(libraries: frozenset[str], receiver: ast.expr, method: str, call: ast.Call) -> str:
    """Return why a call of a waiter, of pages or of a collection is not wrapped, or nothing if it is none.

    Args:
        libraries: that the file imports.
    """
    keywords = [keyword.arg for keyword in call.keywords if keyword.arg]
    is_botos = bool(libraries & _LIBRARIES)
    if method in _BY_METHOD and not call.args:
        sure = bool(keywords) and all(map(OF_BOTO.fullmatch, keywords))
        if sure or (
            is_botos
            and (_is_called(receiver, _MAKERS[method]) or _NAMES[method].search(last_name_called(receiver)))
        ):
            return _looks(receiver, _BY_METHOD[method])
    if _is_collection(receiver, method, keywords) and (is_botos or _is_named_so(receiver, method)):
        return _looks(receiver, PAGES_LATER)
    return ""


def is_of_thing(receiver: ast.expr, method: str, call: ast.Call) -> bool:
    """Return True for what may be a request of a thing of a resource, in a file that uses boto3: of a bucket, a table."""
    if _TRANSFERS.match(method):
        return True
    if isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Attribute):
        inner = receiver.func
        if inner.attr in GOES_OVER and _is_collection(inner.value, inner.attr, []):
            return method in _OF_COLLECTIONS
        is_thing = bool(_MADE.match(inner.attr)) and not _MADE.match(last_name_called(inner.value))
    else:
        is_thing = bool(_THING.search(last_name_called(receiver)))
    return is_thing and method in _OF_THINGS and not call.args and not call.keywords


def _is_collection(receiver: ast.expr, method: str, keywords: list[str]) -> bool:
    """Return True for `bucket.objects.filter(Prefix="x")`, and not for `Model.objects.filter(name="x")`."""
    if (
        method not in GOES_OVER
        or not isinstance(receiver, ast.Attribute)
        or receiver.attr not in BOTO_COLLECTIONS
    ):
        return False
    is_model = isinstance(receiver.value, ast.Name | ast.Attribute) and _MADE.match(
        last_name_called(receiver.value)
    )
    return all(map(OF_BOTO.fullmatch, keywords)) and not is_model


def _is_named_so(receiver: ast.expr, method: str) -> bool:
    """Return True for a collection whose names say that it is boto3's: `bucket.objects.all()`."""
    if not isinstance(receiver, ast.Attribute) or not _is_collection(receiver, method, []):
        return False
    return bool(HAS_COLLECTIONS.search(shown(receiver.value)))


def _is_called(receiver: ast.expr, name: str) -> bool:
    return isinstance(receiver, ast.Call) and last_name_called(receiver) == name


def _looks(receiver: ast.expr, why: str) -> str:
    return f"`{shown(receiver)}` looks like boto3's: {why}"
