"""Makes characters visible that cannot be seen, that turn a line around, or that a terminal takes as orders."""

from __future__ import annotations

import unicodedata
from pathlib import Path

_CONTROL = (*range(0x00, 0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
_INVISIBLE = (0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF)
_BIDIRECTIONAL = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)
_NUMBERS = {
    code: f"\N{LEFT CEILING}U+{code:04X}\N{RIGHT CEILING}"
    for code in (*_CONTROL, *_INVISIBLE, *_BIDIRECTIONAL, *_SURROGATES)
}


def visible(text: str) -> str:
    """Return the text with each such character replaced by its number; tabs and line feeds stay."""
    return text.translate(_NUMBERS)


def visible_name(name: str | Path) -> str:
    """Return the name of a file with every such character replaced by its number, also tabs and line feeds.

    A byte that is not UTF-8, which Python keeps as a surrogate (PEP 383), is shown as that byte.
    """
    text = str(name)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) if unicodedata.category(char) in _NOT_IN_NAMES else char for char in text)


_NOT_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control, format, surrogate, line separator, paragraph separator."""


def _shown(char: str) -> str:
    code = ord(char)
    number = f"x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"U+{code:04X}"
    return f"\N{LEFT CEILING}{number}\N{RIGHT CEILING}"
