"""Looks once more at what was planned, before it is written: a second opinion, and a proof that it can be undone."""

from __future__ import annotations

import ast

import libcst

from . import markers
from .markers import Markers
from .model import FilePlan, Problem
from .source import Source, apply
from .strip import region_removal, stripped


class Refusal(Exception):
    """The file is to be left alone."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(line, reason)


def verify(source: Source, found: Markers, planned: FilePlan) -> None:
    """Refuse a result that does not parse, or that is more than the original and the retrofit.

    Args:
        source: the file as it was.
        found: the retrofit's marks in it.
    """
    if not planned.changed:
        return
    try:
        after = Source.decode(planned.after)
        found_after = markers.find(after)
        ast.parse(after.text)
        _ask_libcst(after, found_after, planned.before)
    except (SyntaxError, ValueError, libcst.ParserSyntaxError) as error:
        raise Refusal(0, f"the result would not parse ({error}); please report this") from None
    if found_after.problems or any(region.edited for region in found_after.regions):
        raise Refusal(0, "the blocks could not be found again in the result; please report this")
    if stripped(after, found_after) != stripped(source, found):
        raise Refusal(0, "what would be added could not be taken out again exactly; please report this")


def _ask_libcst(after: Source, found: Markers, before: bytes) -> None:
    """Refuse a result that LibCST reads differently, unless it reads the original differently, too.

    The runtime is left out if it stands in the file: it is the same everywhere, and long.
    """
    runtime = [region_removal(after, region) for region in found.regions if region.block == "runtime"]
    data = after.encode(apply(after.text, runtime)) if runtime else after.encode(after.text)
    if not _faithful(data) and _faithful(before):
        raise Refusal(0, "LibCST reads the result differently; please report this")


def _faithful(data: bytes) -> bool:
    """Return True if LibCST gives back the file that it reads; it does not with odd ends of files."""
    try:
        return libcst.parse_module(data).bytes == data
    except (RecursionError, SyntaxError, ValueError, libcst.ParserSyntaxError):
        return False
