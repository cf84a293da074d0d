"""The marker lines around what the codemod adds, and the fingerprints that tell an edited block from a clean one.

A block stands between two marker lines at its own indentation:

    # >>> retrofit:backoff v1 0123456789
    ...
    # <<< retrofit:backoff

The import of the runtime is one line that ends in the comment `# retrofit:import`. The fingerprint is that of the
block's syntax tree, so formatters, line ends and quotes do not change it, and a person's edit does.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import json
import re
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .model import Edit, Problem
from .source import Source

MENTION = "retrofit:"
_BEGIN = re.compile(r"# >>> retrofit:(\w+) v(\d+) ([0-9a-f]{10})(?: (\{.*\}))?\s*$")
_END = re.compile(r"# <<< retrofit:(\w+)\s*$")
_ANY = re.compile(r"#\s*(?:>>>|<<<)\s*retrofit:")
IMPORT_COMMENT = "# retrofit:import"
_IMPORT = re.compile(r"from \.?(\w+) import (\w+)(?: as (\w+))?\s+# retrofit:import\s*$")
BLANK_LINES = {"runtime": 2}
"""How many blank lines stand before a block; 1 where it is not named here."""


@dataclass(frozen=True)
class Region:
    """A block that is in the file.

    Attributes:
        first, last: the lines of its markers.
        code: what stands between them, with its common indentation taken off.
        values: what its begin marker carries besides, such as other names for what it defines.
    """

    block: str
    version: int
    fingerprint: str
    first: int
    last: int
    code: str
    values: Mapping[str, str]

    @property
    def edited(self) -> bool:
        return fingerprint(self.code) != self.fingerprint


@dataclass(frozen=True)
class Markers:
    """All that the retrofit has in a file."""

    regions: tuple[Region, ...] = ()
    import_line: int = 0
    engine: str = ""
    """The name by which the file knows the runtime's class, if the import line is there."""
    problems: tuple[Problem, ...] = ()


def begin(block: str, version: int, code: str, values: Mapping[str, str]) -> str:
    """Return the line that begins a block with this code."""
    extra = " " + json.dumps(dict(sorted(values.items())), separators=(",", ":")) if values else ""
    return f"# >>> retrofit:{block} v{version} {fingerprint(code)}{extra}"


def end(block: str) -> str:
    """Return the line that ends a block."""
    return f"# <<< retrofit:{block}"


@lru_cache(maxsize=256)
def fingerprint(code: str) -> str:
    """Return ten hexadecimal digits for the syntax tree of a block; "invalid" if it has none.

    Remembered, because a folder's files hold the same few blocks, and an inline runtime is 2000 lines long.
    """
    try:
        tree = ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError):
        return "invalid"
    return hashlib.sha256("\n".join(_dump(tree)).encode()).hexdigest()[:10]


def _dump(node: ast.AST) -> Iterator[str]:
    """Yield a description of a tree that is the same in every version of Python and for every layout."""
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or name in ("ctx", "kind", "type_comment", "type_params"):
            continue
        yield name
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield from _dump(item)
            elif isinstance(item, str):
                yield repr(inspect.cleandoc(item))
            else:
                yield repr(item)


def find(source: Source) -> Markers:
    """Find the blocks and the import line in a file, by its comments: what stands inside a string is none."""
    if MENTION not in source.text:
        return Markers()
    problems: list[Problem] = []
    regions: list[Region] = []
    open_match: tuple[int, re.Match[str]] | None = None
    import_line, engine = 0, ""
    for number, comment in _comments(source.text):
        if comment.strip() == IMPORT_COMMENT and (match := _IMPORT.match(source.line(number))):
            if import_line:
                problems.append(
                    Problem(number, f"the import of the runtime is here and in line {import_line}")
                )
            import_line, engine = number, match[3] or match[2]
            continue
        if not _ANY.match(comment):
            continue
        begins, ends = _BEGIN.match(comment), _END.match(comment)
        if begins and open_match is None:
            open_match = (number, begins)
        elif ends and open_match is not None and open_match[1][1] == ends[1]:
            first, match = open_match
            code = source.text[source.line_end(first) : source.line_start(number)]
            values = json.loads(match[4]) if match[4] else {}
            code = textwrap.dedent(code.replace("\r\n", "\n").replace("\r", "\n"))
            regions.append(Region(match[1], int(match[2]), match[3], first, number, code, values))
            open_match = None
        else:
            problems.append(
                Problem(number, "this marker line has no partner, or is damaged; mend or delete it")
            )
    if open_match is not None:
        problems.append(
            Problem(open_match[0], "the line that ends this block is missing; mend or delete the block")
        )
    return Markers(tuple(regions), import_line, engine, tuple(problems))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def masked(source: Source, markers: Markers) -> str:
    """Return the text with the retrofit's own lines left blank, so that line numbers stay."""
    text = source.text
    lines = {number for region in markers.regions for number in range(region.first, region.last + 1)}
    if markers.import_line:
        lines.add(markers.import_line)
    for number in sorted(lines, reverse=True):
        text = text[: source.line_start(number)] + text[source.line_end(number) :]
    return text


def removal(source: Source, first: int, last: int, blank_lines: int) -> Edit:
    """Return the edit that takes lines out again, with the blank lines and the line end that came with them."""
    while blank_lines and first > 1 and not source.line(first - 1).strip():
        first -= 1
        blank_lines -= 1
    start, stop = source.line_start(first), source.line_end(last)
    if first > 1:
        start = source.line_end(first - 1)
    else:
        while last < source.line_count and blank_lines >= 0:
            if blank_lines and source.line(last + 1).strip():
                break
            last += 1
            blank_lines -= 1
            stop = source.line_start(last)
    return Edit(start, stop, "")
