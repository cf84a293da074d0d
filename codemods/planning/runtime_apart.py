"""Keeps the code of an inline runtime from LibCST, which would take a second for its 8,000 lines and change none of them.

Where it is exactly what this tool writes, a statement with as many lines stands for it between its two markers, and it
is put back into what LibCST generates: what stands around it, and every line's number, is as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..blocks import markers, templates
from ..blocks.markers import Region
from ..injection.add_runtime import NewRuntime
from ..injection.injections import Injections
from ..model import Edit
from ..source.text import Source

_NAME = "_retrofit_runtime_is_here"


@dataclass(frozen=True)
class Apart:
    """What is to be done to a file, with a statement in the place of the runtime's code.

    Attributes:
        stands_in, code: that statement, and what it stands for; both empty if LibCST is to see the whole file.
    """

    edits: tuple[Edit, ...]
    injections: Injections
    stands_in: str = ""
    code: str = ""

    def put_back(self, text: str) -> str:
        """Return what LibCST has generated with the runtime's code in it."""
        return text.replace(self.stands_in, self.code) if self.stands_in else text


def set_apart(
    source: Source, region: Region | None, edits: tuple[Edit, ...], injections: Injections
) -> Apart:
    """Return what is to be done with the runtime's code set apart: of the runtime that is there, or of the new one.

    Args:
        region: the runtime that is in the file.
    """
    head = injections.head
    if _NAME in source.text:
        return Apart(edits, injections)
    if isinstance(head, NewRuntime):
        last = head.lines.index(markers.end("runtime"))
        code = head.lines[1:last]
        lines = _lines(len(code))
        new = replace(injections, head=replace(head, lines=(head.lines[0], *lines, *head.lines[last:])))
        return Apart(edits, new, head.newline.join(lines), head.newline.join(code))
    if region is None or not _is_as_written(source, region):
        return Apart(edits, injections)
    start, stop = source.line_start(region.first + 1), source.line_end(region.last - 1)
    if any(edit.start < stop and start < edit.end for edit in edits):
        return Apart(edits, injections)
    stands_in = source.newline_at(region.first).join(_lines(region.last - region.first - 1))
    return Apart((*edits, Edit(start, stop, stands_in)), injections, stands_in, source.text[start:stop])


def _is_as_written(source: Source, region: Region) -> bool:
    """Return True if a runtime is to the letter what this tool writes: only then it is sure to be whole statements."""
    code = templates.inline_runtime(region.values.get("engine", templates.ENGINE)).code
    start, stop = source.line_start(region.first), source.line_end(region.last)
    text = source.text[start:stop].replace(source.newline_at(region.first), "\n").split("\n", 1)[1]
    return text.startswith(code) and text[len(code) :].startswith(markers.end("runtime"))


def _lines(count: int) -> list[str]:
    """Return a statement of `count` lines: compound and indented by four spaces, like the runtime's last statement."""
    return [f"if {_NAME}:", '    """', *[""] * (count - 3), '    """']
