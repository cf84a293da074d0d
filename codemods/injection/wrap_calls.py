"""Lets calls go through a queue: `requests.get(url)` -> `self._queued(requests.get)(url)`; in a function `_queued(...)`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst

from ..source.text import Source
from .expressions import ChangeExpressions, Span
from .numbered import Numbers


@dataclass(frozen=True)
class Wrap:
    """A call that is to be wrapped.

    Attributes:
        span: of what is called, or handed on.
        owner: the name by which the instance or class is known there: `self`, `cls`; empty for the module.
        entry_point: the method, or the module's function, that the call is to go through.
        retry: False: it is to be queued, but not retried.
        after_a_word: the character before it belongs to a keyword, as in `return(session or requests).get(url)`.
    """

    span: Span
    owner: str
    entry_point: str
    retry: bool = True
    after_a_word: bool = False


@dataclass(frozen=True)
class Rewrap:
    """A wrapped call that is to go through another method, as when the queue comes to the backoff, or to be retried no more.

    Attributes:
        span: of the wrap: `self._retried(requests.get)`.
        owner: see `Wrap`.
        retry: True: that stays as it is.
    """

    span: Span
    owner: str
    entry_point: str
    retry: bool = True


_NOTHING = cst.SimpleWhitespace("")
_NO_RETRY = cst.Arg(cst.Name("False"), cst.Name("retry"), equal=cst.AssignEqual(_NOTHING, _NOTHING))


class WrapCalls(ChangeExpressions):
    """Wraps calls, and changes the wraps of those that are wrapped."""

    def __init__(self, source: Source, numbers: Numbers, changes: Iterable[Wrap | Rewrap]) -> None:
        self._changes = {change.span: change for change in changes}
        super().__init__(source, numbers, self._changes)

    def change_expression(self, updated: cst.BaseExpression, span: Span) -> cst.BaseExpression:
        """Return the wrapped expression; parentheses around it stay around the whole."""
        change = self._changes[span]
        if isinstance(change, Rewrap):
            return _rewrapped(cst.ensure_type(updated, cst.Call), change)
        function = _entry_point(change)
        if change.after_a_word:
            function = function.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        arguments = [cst.Arg(updated.with_changes(lpar=(), rpar=()))]
        if not change.retry:
            arguments.append(_NO_RETRY)
        return cst.Call(function, arguments, lpar=updated.lpar, rpar=updated.rpar)


def _entry_point(change: Wrap | Rewrap) -> cst.Attribute | cst.Name:
    name = cst.Name(change.entry_point)
    return cst.Attribute(cst.Name(change.owner), name) if change.owner else name


def _rewrapped(call: cst.Call, change: Rewrap) -> cst.Call:
    function = _entry_point(change).with_changes(lpar=call.func.lpar, rpar=call.func.rpar)
    if change.retry:
        return call.with_changes(func=function)
    (argument,) = call.args
    # What stands behind the function stays behind all arguments.
    last = _NO_RETRY.with_changes(comma=argument.comma, whitespace_after_arg=argument.whitespace_after_arg)
    first = argument.with_changes(
        comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")), whitespace_after_arg=_NOTHING
    )
    return call.with_changes(func=function, args=[first, last])
