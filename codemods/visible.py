"""Makes characters visible that cannot be seen, that turn a line around, or that a terminal takes as orders."""

from __future__ import annotations

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
