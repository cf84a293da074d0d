"""Prints the change of a run as a patch: in colour on a terminal, byte for byte elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from ..model import FilePlan
from ..source.visible import visible
from .diff import inner_changes, unified_diff
from .terminal import Terminal

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", "d": "bold", "n": "bold", "\\": "dim"}


def print_diff(console: Terminal, plans: Iterable[FilePlan]) -> None:
    """Print the patch of all changed files: in colour on a terminal, byte for byte elsewhere."""
    for plan in plans:
        if not plan.changed:
            continue
        patch = unified_diff(plan)
        if console.is_terminal:
            text = patch.decode(errors="replace").replace("\r\n", "\n")
            lines = visible(text).removesuffix("\n").split("\n")
            _print_coloured(console, _without_runtime(lines, plan.is_runtime))
        else:
            console.file.flush()
            console.file.buffer.write(patch)  # type: ignore[attr-defined]
            console.file.flush()


def _without_runtime(lines: list[str], is_runtime: bool) -> list[str]:
    """Leave the runtime out of a patch that a person looks at: thousands of lines, the same everywhere."""
    result: list[str] = []
    hidden = 0
    inside = False
    for line in lines:
        begins, ends = (line[1:].startswith(f"# {sign} retrofit:runtime") for sign in (">>>", "<<<"))
        if (
            (inside or is_runtime)
            and not begins
            and not ends
            and line[:1] in "+-"
            and line[:3] not in ("+++", "---")
        ):
            hidden += 1
            continue
        if hidden:
            result.append(f"\\ {hidden} lines of the runtime; a file or a pipe gets them all")
            hidden = 0
        inside = begins or (inside and not ends)
        result.append(line)
    return (
        [*result, f"\\ {hidden} lines of the runtime; a file or a pipe gets them all"] if hidden else result
    )


def _print_coloured(console: Terminal, lines: list[str]) -> None:
    """Print a patch in colour, and what changes within a line with emphasis."""
    index = 0
    while index < len(lines):
        gone = _run_of("-", lines, index)
        come = _run_of("+", lines, index + len(gone))
        if gone and len(gone) == len(come) and not gone[0].startswith("--- "):
            pairs = [inner_changes(old[1:], new[1:]) for old, new in zip(gone, come, strict=True)]
            for line, (spans, _) in zip(gone, pairs, strict=True):
                console.put(_emphasised(line, spans))
            for line, (_, spans) in zip(come, pairs, strict=True):
                console.put(_emphasised(line, spans))
            index += len(gone) + len(come)
            continue
        console.put(_emphasised(lines[index], []))
        index += 1


def _run_of(sign: str, lines: list[str], start: int) -> list[str]:
    stop = start
    while stop < len(lines) and lines[stop].startswith(sign):
        stop += 1
    return lines[start:stop]


def _emphasised(line: str, spans: list[tuple[int, int]]) -> Text:
    bold = line.startswith(("--- ", "+++ "))
    style = "bold" if bold else _DIFF_STYLES.get(line[:1], "")
    text = Text(line, style=style)
    for start, stop in spans:
        text.stylize("bold underline", start + 1, stop + 1)
    return text
