"""Puts all that is planned for a module into it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import libcst as cst

from ..model import Refusal
from ..source.text import Source
from .add_blocks import AddBlocks, NewBlocks
from .add_functions import AddFunctions, NewFunctions
from .add_import import AddImport, NewImport
from .add_runtime import AddRuntime, NewRuntime
from .libcst_limits import can_be_asked
from .numbered import Numbers
from .wrap_calls import Rewrap, Wrap, WrapCalls

_LINE_END = re.compile("[ \t\f]*(?:\r\n|\r|\n)")


@dataclass(frozen=True)
class Injections:
    """What goes into a module; places are offsets in its text."""

    calls: tuple[Wrap | Rewrap, ...] = ()
    blocks: tuple[NewBlocks, ...] = ()
    head: NewImport | NewRuntime | None = None
    functions: NewFunctions | None = None

    def __bool__(self) -> bool:
        return bool(self.calls or self.blocks or self.head or self.functions)

    def moved(self, move: Callable[[int], int]) -> Injections:
        """Return the same for a text in which each offset has become another."""

        def span(change: Wrap | Rewrap) -> tuple[int, int]:
            return move(change.span[0]), move(change.span[1])

        return Injections(
            tuple(replace(change, span=span(change)) for change in self.calls),
            tuple(replace(new, class_start=move(new.class_start)) for new in self.blocks),
            replace(self.head, beside=move(self.head.beside)) if self.head is not None else None,
            replace(self.functions, beside=move(self.functions.beside))
            if self.functions is not None
            else None,
        )


def inject(
    source: Source, tree: ast.Module, injections: Injections, module: cst.Module | None = None
) -> cst.Module:
    """Return a module with all that goes into it.

    Args:
        tree: of the text.
        module: that LibCST has read, if it has.

    Raises:
        Refusal: LibCST cannot read the text in a bounded time. Whether it gives it back as it is shows in the result.
    """
    if not can_be_asked(source, tree):
        reason = (
            "LibCST, which makes the changes, would take too long to read it, or could not: too much is in brackets, "
            "or is nested too deeply; move that out of the code"
        )
        raise Refusal(0, reason)
    numbers = Numbers(source, tree)
    try:
        return _with(module or cst.parse_module(source.text), source, numbers, injections)
    except cst.ParserSyntaxError as error:
        raise Refusal(
            error.raw_line, f"LibCST, which makes the changes, cannot read it: {error.message}"
        ) from None
    except cst.CSTLogicError as error:
        raise Refusal(0, f"LibCST, which makes the changes, cannot read it: {error}") from None
    except LookupError:
        raise Refusal(0, "a place that is to be changed was not found again; please report this") from None
    except cst.CSTValidationError as error:
        raise Refusal(0, f"LibCST refuses a change ({error}); please report this") from None


def without_odd_end(text: str) -> tuple[str, str]:
    """Return a text up to its last line that is not blank, and the rest, if that has anything that LibCST would lose."""
    code = len(text.rstrip())
    end = _LINE_END.match(text, code)
    start = end.end() if end else code
    is_odd = bool(text[start:].replace("\r\n", "").strip("\n"))
    return (text[:start], text[start:]) if is_odd else (text, "")


def gives_back(text: str) -> bool:
    """Return True if LibCST gives back a text that it reads; it does not with odd ends of files."""
    try:
        return cst.parse_module(text).code == text
    except Exception:  # whatever it is: LibCST does not read this file, and that is its last word
        return False


def _with(module: cst.Module, source: Source, numbers: Numbers, injections: Injections) -> cst.Module:
    # Statements are named by their numbers as they are, so what adds statements to the module itself comes last.
    if injections.calls:
        module = module.visit(WrapCalls(source, numbers, injections.calls))
    if injections.blocks:
        blocks = {numbers.way_to(new.class_start)[0]: new for new in injections.blocks}
        module = module.visit(AddBlocks(blocks, module))
    if injections.functions is not None:  # never above the import, hence before it: their numbers stay
        functions = injections.functions
        module = module.visit(AddFunctions(functions, numbers.in_module(functions.beside)))
    head = injections.head
    if isinstance(head, NewImport):
        module = module.visit(AddImport(head, numbers.in_module(head.beside)))
    elif head is not None:
        module = module.visit(AddRuntime(head, numbers.in_module(head.beside)))
    return module
