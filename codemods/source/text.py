"""A file's bytes as text that can be edited and turned back into bytes, with nothing else changed."""

from __future__ import annotations

import ast
import codecs
import contextlib
import io
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

from ..model import Edit

_LINE_END = re.compile("\r\n|\r|\n")
_TYPE_COMMENT = re.compile("#[ \t]*type:")


@lru_cache(maxsize=4)
def parse(text: str | bytes) -> ast.Module:
    """Parse a file's text; raise SyntaxError or ValueError. What Python would warn of is the author's to see, not ours.

    The last four trees are remembered, as one file is asked about several times; nobody changes them.
    """
    has_types = re.search(rb"#[ \t]*type:", text) if isinstance(text, bytes) else _TYPE_COMMENT.search(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if has_types:
            with contextlib.suppress(SyntaxError):  # a comment where no type can stand
                tree = ast.parse(text, type_comments=True)
                tree.type_ignores = []  # of no use here, and in the way of comparing two trees
                return tree
        return ast.parse(text)


@dataclass
class Source:
    """Decoded text, with what is needed to encode it again.

    Attributes:
        text: without the byte order mark; line ends as they are.
        encoding: of the file's cookie, or UTF-8.
        bom: the byte order mark that the file begins with, or nothing.
    """

    text: str
    encoding: str
    bom: bytes
    _starts: list[int] = field(init=False, repr=False)
    _ends: list[int] = field(init=False, repr=False)
    _columns: dict[int, list[int] | None] = field(init=False, repr=False, default_factory=dict)
    """Line -> at which byte each of its characters begins; None where a character is a byte."""

    def __post_init__(self) -> None:
        self._starts, self._ends = [0], []
        for match in _LINE_END.finditer(self.text):
            self._ends.append(match.start())
            self._starts.append(match.end())
        self._ends.append(len(self.text))

    @classmethod
    def decode(cls, data: bytes) -> Source:
        """Decode a file; raise SyntaxError or UnicodeDecodeError where its encoding is wrong or unknown."""
        bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        # Python takes a cookie from a line that is not UTF-8, and `tokenize` does not.
        head = b"\n".join(data.split(b"\n", 2)[:2])
        head = bom + re.sub(rb"[\x80-\xff]", b"?", head[len(bom) :])
        encoding, _ = tokenize.detect_encoding(io.BytesIO(head).readline)
        if encoding == "utf-8-sig":
            encoding = "utf-8"
        return cls(data[len(bom) :].decode(encoding), encoding, bom)

    def encode(self, text: str) -> bytes:
        """Encode text as this file is encoded."""
        return self.bom + text.encode(self.encoding)

    def with_text(self, text: str) -> Source:
        """Return another text that is encoded in the same way."""
        return Source(text, self.encoding, self.bom)

    @property
    def line_count(self) -> int:
        return len(self._starts)

    def line(self, number: int) -> str:
        """Return a line, counted from 1, without its line end."""
        return self.text[self._starts[number - 1] : self._ends[number - 1]]

    def line_start(self, number: int) -> int:
        """Return the offset at which a line begins."""
        return self._starts[number - 1]

    def line_end(self, number: int) -> int:
        """Return the offset of a line's end, before its line end."""
        return self._ends[number - 1]

    def line_at(self, offset: int) -> int:
        """Return the number of the line that holds an offset."""
        return bisect_right(self._starts, offset)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the line of an offset, and the characters before it in that line."""
        line = self.line_at(offset)
        return line, offset - self._starts[line - 1]

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a position as `ast` gives it: a line from 1, and UTF-8 bytes into it."""
        start = self._starts[line - 1]
        if self.text.isascii():
            return start + column
        if line not in self._columns:
            text = self.line(line)
            widths = None if text.isascii() else [0, *accumulate(len(char.encode()) for char in text)]
            self._columns[line] = widths
        columns = self._columns[line]
        return start + (column if columns is None else bisect_right(columns, column) - 1)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return the offsets at which an expression or statement begins and ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def newline_at(self, number: int) -> str:
        """Return the line end that fits at a line: its own, else the file's first, else a line feed."""
        for index in (number - 1, 0):
            if index + 1 < len(self._starts):
                return self.text[self._ends[index] : self._starts[index + 1]]
        return "\n"


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made. Edits at one place are made in the order in which they are given."""
    pieces: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        if edit.start < done:
            raise ValueError(f"edits overlap at offset {edit.start}")
        pieces += (text[done : edit.start], edit.text)
        done = edit.end
    return "".join([*pieces, text[done:]])


def indent_of(line: str) -> str:
    """Return the white space that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t\f"))]
