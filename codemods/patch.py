"""The change of one file as a patch, as pairs of lines side by side, and as a map from old to new line numbers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .model import FilePlan

_LINES = re.compile(b"[^\n]*\n|[^\n]+")
_LINE_END = re.compile(b"\r\n|\r|\n")
_TO_QUOTE = re.compile(rb'[\x00-\x1f"\\\x7f]')
_ESCAPES = {b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b'"': b'\\"', b"\\": b"\\\\"}
Opcode = tuple[str, int, int, int, int]


def shown_path(path: Path) -> str:
    """Return the name by which a file is shown: from the working directory on if it lies below it, with slashes."""
    if path.is_absolute():
        here = Path.cwd()
        for base in (here, here.resolve()):
            if path.is_relative_to(base):
                path = path.relative_to(base)
                break
    return path.as_posix()


def opcodes(before: Sequence[bytes | str], after: Sequence[bytes | str]) -> list[Opcode]:
    """Return how the lines `before` become the lines `after`, as `difflib` tells it.

    The common head and tail are set aside first: most of a retrofitted file is the same.
    """
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    middle = difflib.SequenceMatcher(
        None, before[head : len(before) - tail], after[head : len(after) - tail], autojunk=False
    ).get_opcodes()
    result: list[Opcode] = [("equal", 0, head, 0, head)] if head else []
    result += [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in middle]
    if tail:
        result.append(("equal", len(before) - tail, len(before), len(after) - tail, len(after)))
    return _merged(result)


def _merged(codes: list[Opcode]) -> list[Opcode]:
    """Join equal stretches that follow one another."""
    result: list[Opcode] = []
    for code in codes:
        if result and result[-1][0] == code[0] == "equal":
            last = result.pop()
            code = ("equal", last[1], code[2], last[3], code[4])
        result.append(code)
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
    """Return a name as git writes it: in quotes where it has a quote, a backslash or a control character."""
    if not _TO_QUOTE.search(name):
        return name

    def escape(match: re.Match[bytes]) -> bytes:
        return _ESCAPES.get(match[0]) or b"\\%03o" % match[0][0]

    return b'"' + _TO_QUOTE.sub(escape, name) + b'"'


def _grouped(codes: list[Opcode], context: int) -> Iterator[list[Opcode]]:
    """Yield the hunks: changes with so many lines around them."""
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


def line_map(plan: FilePlan) -> dict[int, int]:
    """Return for each line of the file before the run the number that it has afterwards, where it has one."""
    if not plan.changed:
        return {}
    before, after = _LINE_END.split(plan.before), _LINE_END.split(plan.after)
    result: dict[int, int] = {}
    for tag, i1, i2, j1, j2 in opcodes(before, after):
        if tag in ("equal", "replace"):
            result.update((i1 + k + 1, j1 + k + 1) for k in range(min(i2 - i1, j2 - j1)))
    return result


def changed_lines(plan: FilePlan) -> set[int]:
    """Return the lines of the file before the run that change or go."""
    if not plan.changed:
        return set()
    codes = opcodes(_LINE_END.split(plan.before), _LINE_END.split(plan.after))
    return {line for tag, i1, i2, _, _ in codes if tag != "equal" for line in range(i1 + 1, i2 + 1)}


def inner_changes(old: str, new: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return which characters of an old line go and which of the new one come, as spans; none if nearly all do."""
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
