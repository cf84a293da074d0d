"""Code as HTML for the review page: highlighted, escaped, and side by side with what it was.

Everything that comes from the user's files passes through `_escape`; nothing else here makes HTML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from markupsafe import Markup
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

from ...model import CallSite, FilePlan
from ...source.text import Source
from ...source.visible import visible
from ..added_lines import runtime_lines
from ..diff import Row, inner_changes, rows
from ..safe_text import redact

CONTEXT = 3
"""Lines shown around a change and around a call."""

_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (String.Doc, "c"),
    (String, "s"),
    (Number, "m"),
    (Keyword.Constant, "m"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "d"),
)


@dataclass
class Line:
    """A row of the page's diff."""

    kind: str
    """`same`, `changed`, `added`, `gone`."""
    old: int
    new: int
    old_html: Markup
    new_html: Markup
    sites: list[int] = field(default_factory=list)
    """Indexes of the file's call sites that stand in this line."""


@dataclass
class Hunk:
    """Lines that are shown together.

    Attributes:
        skipped: how many lines between the last hunk and this one are not shown.
        fold: what a long stretch is called that is closed at first; empty: it is open.
        same_as: the anchor of an equal stretch that was shown before, in place of lines.
    """

    lines: list[Line]
    skipped: int = 0
    fold: str = ""
    anchor: str = ""
    same_as: str = ""
    count: int = 0


@dataclass
class SideBySide:
    """The diff of a file."""

    hunks: list[Hunk]
    added: int
    gone: int
    tail: int
    """How many lines after the last hunk are not shown."""


def text_of(data: bytes) -> str:
    """Return a file's text for show: keys are taken out, and line ends are line feeds."""
    try:
        text = Source.decode(data).text
    except (SyntaxError, UnicodeError, LookupError):
        text = data.decode(errors="replace")
    return redact(text.replace("\r\n", "\n").replace("\r", "\n"))


def side_by_side(plan: FilePlan, anchor: str, runtimes: dict[str, str]) -> SideBySide:
    """Return the diff of a file, with the lines around its calls, changed or not.

    Args:
        anchor: what the names of the anchors begin with.
        runtimes: where each text of the runtime is shown already; this file's is added.
    """
    before, after = _lines(text_of(plan.before)), _lines(text_of(plan.after))
    paired = rows(before, after)
    at = {row.old: index for index, row in enumerate(paired) if row.old}
    sites: dict[int, list[int]] = {}
    for number, site in enumerate(plan.sites):
        if site.line in at:
            sites.setdefault(at[site.line], []).append(number)
    shown = _shown(paired, sites)
    build = _Builder(before, after, paired, sites)
    folds = _folds(plan, paired)
    hunks: list[Hunk] = []
    last = 0
    for start, stop, folded in _stretches(shown, folds):
        hunk = Hunk([], start - last, count=stop - start)
        last = stop
        if folded:
            _fold(hunk, paired[start:stop], after, before, anchor, runtimes)
        if not hunk.same_as:
            hunk.lines = [build.line(index) for index in range(start, stop)]
        hunks.append(hunk)
    added = sum(row.changed and row.new > 0 for row in paired)
    gone = sum(row.changed and row.old > 0 for row in paired)
    return SideBySide(hunks, added, gone, len(paired) - last if hunks else 0)


def site_anchor(plan: FilePlan, site: CallSite, anchor: str, moved: dict[int, int]) -> str:
    """Return the anchor of a call's line: on the new side if it is there, else on the old one."""
    return f"{anchor}-n{moved[site.line]}" if site.line in moved else f"{anchor}-o{site.line}"


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _shown(paired: list[Row], sites: Iterable[int]) -> list[bool]:
    shown = [False] * len(paired)
    for index in (*(i for i, row in enumerate(paired) if row.changed), *sites):
        for near in range(max(0, index - CONTEXT), min(len(paired), index + CONTEXT + 1)):
            shown[near] = True
    return shown


def _folds(plan: FilePlan, paired: list[Row]) -> list[bool]:
    """Return for each row whether it belongs to the runtime, which nobody needs to read in every file."""
    if plan.is_runtime:
        return [True] * len(paired)
    old, new = runtime_lines(plan.before), runtime_lines(plan.after)
    return [row.new in new if row.new else row.old in old for row in paired]


def _stretches(shown: list[bool], folds: list[bool]) -> Iterable[tuple[int, int, bool]]:
    """Yield the stretches of shown lines, each either folded or not."""
    start = 0
    for index in range(1, len(shown) + 1):
        if index == len(shown) or shown[index] != shown[start] or folds[index] != folds[start]:
            if shown[start]:
                yield start, index, folds[start]
            start = index


def _fold(
    hunk: Hunk, part: list[Row], after: list[str], before: list[str], anchor: str, runtimes: dict[str, str]
) -> None:
    text = "\n".join(after[row.new - 1] if row.new else before[row.old - 1] for row in part)
    key = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    hunk.fold = "The runtime: the same plain Python in every file and folder"
    hunk.anchor = f"{anchor}-runtime"
    if key in runtimes:
        hunk.same_as = runtimes[key]
    else:
        runtimes[key] = hunk.anchor


class _Builder:
    """Builds the lines of one file."""

    def __init__(
        self, before: list[str], after: list[str], paired: list[Row], sites: dict[int, list[int]]
    ) -> None:
        self.before, self.after, self.paired, self.sites = before, after, paired, sites

    # Not read where no line is shown, as of a runtime that is shown elsewhere.

    @cached_property
    def old_tokens(self) -> list[list[tuple[str, str]]]:
        return _tokens(self.before)

    @cached_property
    def new_tokens(self) -> list[list[tuple[str, str]]]:
        return self.old_tokens if self.after == self.before else _tokens(self.after)

    def line(self, index: int) -> Line:
        row = self.paired[index]
        gone: list[tuple[int, int]] = []
        come: list[tuple[int, int]] = []
        kind = "same"
        if row.changed:
            kind = "changed" if row.old and row.new else "added" if row.new else "gone"
        if kind == "changed":
            gone, come = inner_changes(self.before[row.old - 1], self.after[row.new - 1])
        old = _html(self.old_tokens[row.old - 1], gone) if row.old else Markup()
        new = _html(self.new_tokens[row.new - 1], come) if row.new else Markup()
        return Line(kind, row.old, row.new, old, new, self.sites.get(index, []))


def _tokens(lines: list[str]) -> list[list[tuple[str, str]]]:
    """Return for each line its pieces of text, each with its class for colour."""
    result: list[list[tuple[str, str]]] = [[]]
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    for _, token, text in lexer.get_tokens_unprocessed("\n".join(lines)):
        name = _class_of(token)
        for number, part in enumerate(text.split("\n")):
            if number:
                result.append([])
            if part:
                result[-1].append((name, part))
    return result


@cache  # there are few kinds, and a token in every word
def _class_of(token: Any) -> str:  # a _TokenType, whose `in` the stubs take for a tuple's
    return next((short for kind, short in _CLASSES if token in kind), "")


def _html(tokens: list[tuple[str, str]], spans: list[tuple[int, int]]) -> Markup:
    """Return a line as HTML; the spans are marked."""
    out: list[str] = []
    offset = 0
    inside = {position for start, stop in spans for position in range(start, stop)}
    for name, text in tokens:
        start = 0
        while start < len(text):
            marked = offset + start in inside
            stop = start + 1 if inside else len(text)
            while stop < len(text) and (offset + stop in inside) == marked:
                stop += 1
            classes = " ".join(part for part in (name, "x" if marked else "") if part)
            piece = _escape(text[start:stop])
            out.append(f'<span class="{classes}">{piece}</span>' if classes else piece)
            start = stop
        offset += len(text)
    return Markup("".join(out))


def _escape(text: str) -> str:
    """Return text as HTML; characters that cannot be seen, or that turn the text around, are shown by number."""
    return (
        visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
