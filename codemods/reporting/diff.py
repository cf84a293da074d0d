"""The change of one file as a patch, as pairs of lines side by side, and as a map from old to new line numbers."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..model import FilePlan
from ..source.visible import visible_name

_LINES = re.compile(b"[^\n]*\n|[^\n]+")
_LINE_END = re.compile(b"\r\n|\r|\n")
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_THOROUGH_UP_TO = 200_000
"""Pairs of lines up to which `difflib` looks at the frequent ones, too."""
_LONGEST_LINE = 1_000
"""Characters of a line up to which changes within it are marked."""
Opcode = tuple[str, int, int, int, int]
Line = TypeVar("Line", bytes, str)


def shown_path(path: Path) -> str:
    """Return the name by which a file is shown: from the working directory on if it lies below it, with slashes."""
    if path.is_absolute():
        here = Path.cwd()
        for base in (here, here.resolve()):
            if path.is_relative_to(base):
                path = path.relative_to(base)
                break
    return path.as_posix()


def opcodes(before: Sequence[Line], after: Sequence[Line]) -> list[Opcode]:
    """Return how the lines `before` become the lines `after`, in the form in which `difflib` tells it.

    Lines that stand once on either side are matched first ("patience diff"), and `difflib` looks only at what lies
    between them: alone it takes minutes where the same lines come again and again, as in generated code.
    """
    result: list[Opcode] = []
    i = j = 0
    for i1, j1, length in [*_matches(before, after), (len(before), len(after), 0)]:
        if i < i1 or j < j1:
            tag = "replace" if i < i1 and j < j1 else "delete" if i < i1 else "insert"
            result.append((tag, i, i1, j, j1))
        i, j = i1 + length, j1 + length
        if length:
            result.append(("equal", i1, i, j1, j))
    return result


def _matches(before: Sequence[Line], after: Sequence[Line]) -> list[tuple[int, int, int]]:
    """Return the stretches that are the same: where they begin on both sides, and how long they are; in order."""
    matches: list[tuple[int, int, int]] = []
    todo = [(0, len(before), 0, len(after))]
    while todo:
        i1, i2, j1, j2 = todo.pop()
        head = 0
        while head < min(i2 - i1, j2 - j1) and before[i1 + head] == after[j1 + head]:
            head += 1
        matches.append((i1, j1, head))
        i1, j1 = i1 + head, j1 + head
        tail = 0
        while tail < min(i2 - i1, j2 - j1) and before[i2 - 1 - tail] == after[j2 - 1 - tail]:
            tail += 1
        i2, j2 = i2 - tail, j2 - tail
        matches.append((i2, j2, tail))
        if i1 == i2 or j1 == j2:
            continue
        anchors: list[tuple[int, int]] = _anchors(before, after, i1, i2, j1, j2)
        if anchors:
            ends = [*anchors, (i2, j2)]
            starts = [(i1, j1), *((i + 1, j + 1) for i, j in anchors)]
            matches += [(i, j, 1) for i, j in anchors]
            todo += [(a, c, b, d) for (a, b), (c, d) in zip(starts, ends, strict=True)]
        else:
            junk = (i2 - i1) * (j2 - j1) > _THOROUGH_UP_TO
            matcher = difflib.SequenceMatcher(None, before[i1:i2], after[j1:j2], autojunk=junk)
            matches += [(i1 + i, j1 + j, length) for i, j, length in matcher.get_matching_blocks()]
    return _joined(sorted(match for match in matches if match[2]))


def _anchors(
    before: Sequence[Line], after: Sequence[Line], i1: int, i2: int, j1: int, j2: int
) -> list[tuple[int, int]]:
    """Return lines that stand once in both stretches, as many as come in the same order in both."""
    old, new = Counter(before[i1:i2]), Counter(after[j1:j2])
    places = {after[j]: j for j in range(j1, j2) if new[after[j]] == 1}
    pairs = [(i, places[before[i]]) for i in range(i1, i2) if old[before[i]] == 1 and before[i] in places]
    # The longest increasing subsequence, by patience sorting: `tops` are the tops of the piles.
    tops: list[int] = []
    on_top: list[int] = []
    below: list[int] = []
    for number, (_, j) in enumerate(pairs):
        pile = bisect_left(tops, j)
        below.append(on_top[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [j]
        on_top[pile : pile + 1] = [number]
    result = []
    number = on_top[-1] if on_top else -1
    while number >= 0:
        result.append(pairs[number])
        number = below[number]
    return result[::-1]


def _joined(matches: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Join stretches that follow one another on both sides."""
    result: list[tuple[int, int, int]] = []
    for i, j, length in matches:
        if result and (result[-1][0] + result[-1][2], result[-1][1] + result[-1][2]) == (i, j):
            last = result.pop()
            i, j, length = last[0], last[1], last[2] + length
        result.append((i, j, length))
    return result


def unified_diff(plan: FilePlan, context: int = 3) -> bytes:
    """Return a patch that `git apply` accepts, byte for byte: line ends and a missing last one included."""
    name = shown_path(plan.path).lstrip("/").encode(errors="surrogateescape")
    before, after = _LINES.findall(plan.before), _LINES.findall(plan.after)
    out = [b"diff --git %s %s\n" % (_quoted(b"a/" + name), _quoted(b"b/" + name))]
    if not plan.before:
        out.append(b"new file mode 100644\n")
    if not plan.after:
        out.append(b"deleted file mode 100644\n")
    end = b"\t\n" if b" " in name else b"\n"  # so that a name with a space ends where it ends
    out.append(b"--- " + (_quoted(b"a/" + name) + end if plan.before else b"/dev/null\n"))
    out.append(b"+++ " + (_quoted(b"b/" + name) + end if plan.after else b"/dev/null\n"))
    for group in _grouped(opcodes(before, after), context):
        out.append(_hunk_head(group))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                out += _marked(b" ", before[i1:i2])
            if tag in ("replace", "delete"):
                out += _marked(b"-", before[i1:i2])
            if tag in ("replace", "insert"):
                out += _marked(b"+", after[j1:j2])
    return b"".join(out)


def _quoted(name: bytes) -> bytes:
    """Return a name as git writes it: in quotes where it has a quote, a backslash or what cannot be seen."""
    written = "".join(map(_as_git_writes, name.decode(errors="surrogateescape"))).encode()
    return name if written == name else b'"' + written + b'"'


def _as_git_writes(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if visible_name(char) == char:
        return char
    return "".join(f"\\{byte:03o}" for byte in char.encode(errors="surrogateescape"))


def _grouped(codes: list[Opcode], context: int) -> Iterator[list[Opcode]]:
    """Yield the hunks: changes with `context` lines around them."""
    group: list[Opcode] = []
    for index, (tag, i1, i2, j1, j2) in enumerate(codes):
        if tag != "equal":
            group.append((tag, i1, i2, j1, j2))
            continue
        first, last = index == 0, index == len(codes) - 1
        if not first and not last and i2 - i1 <= 2 * context:
            group.append((tag, i1, i2, j1, j2))
            continue
        if not first:
            keep = min(context, i2 - i1)
            group.append((tag, i1, i1 + keep, j1, j1 + keep))
            yield group
        keep = min(context, i2 - i1)
        group = [] if last else [(tag, i2 - keep, i2, j2 - keep, j2)]
    if any(code[0] != "equal" for code in group):
        yield group


def _hunk_head(group: list[Opcode]) -> bytes:
    def span(start: int, stop: int) -> str:
        length = stop - start
        return f"{start + 1 if length else start},{length}"

    return f"@@ -{span(group[0][1], group[-1][2])} +{span(group[0][3], group[-1][4])} @@\n".encode()


def _marked(sign: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield sign + line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


@dataclass(frozen=True)
class Row:
    """One line of a diff side by side: an old line, a new line, or both. Numbers count from 1; 0 means none."""

    old: int
    new: int
    changed: bool


def rows(before: Sequence[str], after: Sequence[str]) -> list[Row]:
    """Return all lines of both sides, paired."""
    result: list[Row] = []
    for tag, i1, i2, j1, j2 in opcodes(before, after):
        for index in range(max(i2 - i1, j2 - j1)):
            old = i1 + index + 1 if i1 + index < i2 else 0
            new = j1 + index + 1 if j1 + index < j2 else 0
            result.append(Row(old, new, tag != "equal"))
    return result


def line_map(old: bytes, new: bytes) -> dict[int, int]:
    """Return for each line of the old text the number that it has in the new one, where it has one."""
    before, after = _LINE_END.split(old), _LINE_END.split(new)
    result: dict[int, int] = {}
    for tag, i1, i2, j1, j2 in opcodes(before, after):
        if tag in ("equal", "replace"):
            result.update((i1 + k + 1, j1 + k + 1) for k in range(min(i2 - i1, j2 - j1)))
    return result


def changed_lines(plan: FilePlan) -> set[int]:
    """Return the lines of the file before the run that change or go."""
    if not plan.changed:
        return set()
    codes = opcodes(
        _LINE_END.split(plan.before if plan.made_from is None else plan.made_from),
        _LINE_END.split(plan.after),
    )
    return {line for tag, i1, i2, _, _ in codes if tag != "equal" for line in range(i1 + 1, i2 + 1)}


def inner_changes(old: str, new: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return which characters of an old line go and which of the new one come, as spans; none if nearly all do.

    Nobody looks through a line that is longer than any window, and comparing two would take minutes.
    """
    if len(old) > _LONGEST_LINE or len(new) > _LONGEST_LINE:
        return [], []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.real_quick_ratio() < 0.4 or matcher.ratio() < 0.4:
        return [], []
    gone, come = [], []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag in ("replace", "delete"):
            gone.append((i1, i2))
        if tag in ("replace", "insert"):
            come.append(_slid(new, j1, j2) if tag == "insert" else (j1, j2))
    return gone, come


def _slid(text: str, start: int, stop: int) -> tuple[int, int]:
    """Move an insertion as far to the left as it says the same: `self._queued(`, rather than `_queued(self.`."""
    while start and text[start - 1] == text[stop - 1]:
        start, stop = start - 1, stop - 1
    return start, stop
