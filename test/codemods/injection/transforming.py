"""The helper that every test of a transformer goes through."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable

import libcst as cst

from backend_retrofit.codemods.blocks.removal import strip
from backend_retrofit.codemods.injection.numbered import Numbers
from backend_retrofit.codemods.source.text import Source

Transform = Callable[[Source, Numbers, cst.Module], cst.CSTTransformer]


def dedented(text: str) -> str:
    """Return a text of a test without its indentation."""
    return textwrap.dedent(text).lstrip("\n")


def transformed(before: str, transform: Transform, removed: str | None = None) -> str:
    """Return a module after one transformer.

    It must do the same again to the same module, and leave that as it is; and what it puts in must come out exactly.

    Args:
        removed: what the module is without the retrofit, if it had something of that before.
    """
    module = cst.parse_module(before)
    assert module.code == before
    source = Source(before, "utf-8", b"")
    numbers = Numbers(source, ast.parse(before))
    once, again = (module.visit(transform(source, numbers, module)).code for _ in range(2))
    assert once == again
    assert module.code == before
    compile(once, "after.py", "exec")
    assert strip(once.encode()).decode() == (before if removed is None else removed)
    return once


def check_transformed(
    before: str, after: str, transform: Callable[[str], Transform], removed: str | None = None
) -> None:
    """Assert what a transformer makes of a module; the same with other line ends, tabs, and no line end at the end.

    Args:
        transform: makes the transformer for a text, whose layout differs from time to time.
        removed: see `transformed`.
    """
    before, after = dedented(before), dedented(after)
    for layout in LAYOUTS:
        plain = layout(removed if removed is not None else before)
        assert transformed(layout(before), transform(layout(before)), plain) == layout(after)


LAYOUTS: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace("    ", "\t"),
    lambda text: text.removesuffix("\n"),
)
