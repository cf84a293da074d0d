"""Plans what will become of one file: a pure function of its bytes, the project around it, and the options."""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libcst as cst

from ..blocks import markers, wraps
from ..blocks.find_markers import find_markers
from ..finding.project_names import Project
from ..finding.tests import is_test_file
from ..model import BESIDE, FilePlan, Options, Place, Problem, Refusal
from ..source.garbage import no_garbage_collection
from ..source.text import Source
from ..tables.lookup import catalogue
from ..tables.request_shapes import CLIENT_WORDS, HTTP_METHODS
from . import block_states
from .additions import plan_additions
from .reading import Outcome, ReadFile
from .removals import plan_removals
from .verify import check_outcome

_MOST_TOKENS = 2_000_000
"""Of a large file; some seconds."""
_ASKS = re.compile(rf"(\w+)(?:\(\))?\.(?:{'|'.join(sorted(HTTP_METHODS))})\(")
_LONGEST_WITH_FSTRING = 100_000
_FSTRING = re.compile(r"(?<!\w)(?:[fF][rR]?|[rR][fF])['\"]")


def is_candidate(data: bytes, options: Options) -> bool:
    """Return False for a file that can have neither a call nor a block, as a quick look at its bytes tells."""
    if markers.MENTION.encode() in data or wraps.mentioned(data):
        return True
    return not options.remove and catalogue(options.transports).mentioned_in(data)


def plan(
    data: bytes, path: Path, options: Options, place: Place = BESIDE, project: Project | None = None
) -> FilePlan:
    """Return what is to become of a file. Nothing is read or written; no code of the file is run.

    Args:
        data: the file's bytes.
        path: its name, for the report.
        options: what the user asked for.
        place: where the file finds the runtime's module.
        project: the other files, as far as they are known.
    """
    with no_garbage_collection():  # until the trees are gone, which it would go through in vain
        return _plan_gated(data, path, options, place, project)[0]


def plan_module(
    module: cst.Module, path: Path, options: Options, place: Place = BESIDE
) -> tuple[FilePlan, cst.Module]:
    """Return what is to become of a module that LibCST has read, and what it is then; see `plan`."""
    planned, changed = _plan_gated(module.bytes, path, options, place, module=module)
    if changed is not None or not planned.changed:
        return planned, changed or module
    return planned, cst.parse_module(planned.after)  # something was taken out, which is done to the text


def _plan_gated(
    data: bytes,
    path: Path,
    options: Options,
    place: Place,
    project: Project | None = None,
    module: cst.Module | None = None,
) -> tuple[FilePlan, cst.Module | None]:
    """Plan a file unless a quick look tells that nothing can be done, or that it would take too long."""
    unchanged = FilePlan(path, data, data)
    if not is_candidate(data, options) and (project is None or not project.is_concerned):
        return unchanged, None
    if len(data) > options.largest and _is_candidate_without_texts(data, options):
        return replace(unchanged, problems=(Problem(0, _too_large(data, options)),)), None
    with no_garbage_collection():
        return _plan(unchanged, options, place, project, module)


def _is_candidate_without_texts(data: bytes, options: Options) -> bool:
    """Return False for a large file that makes no request: it only speaks of some, or imports a library and never uses it.

    Its tokens are looked at one by one; the tree of such a file would take long, and much memory.
    """
    if markers.MENTION.encode() in data:
        return True
    known = catalogue(options.transports)
    pieces: list[str] = []
    imported: set[str] = set()
    try:
        for line in _lines_of_code(Source.decode(data).text):
            if not line.startswith(("import ", "from ")):
                pieces.append(line)
            else:
                imported.update(name for part, name in _bound_by(line) if known.mentioned_in(part.encode()))
    except (SyntaxError, UnicodeError, LookupError, tokenize.TokenError, RecursionError, MemoryError):
        return True
    code = "\n".join(pieces)
    uses_library = "*" in imported or any(re.search(rf"(?<![\w.]){name}\b", code) for name in imported)
    return uses_library or known.mentioned_in(code.encode(errors="replace")) or _asks_a_client(code)


def _lines_of_code(text: str) -> Iterator[str]:
    """Yield the logical lines of a file without its texts and numbers; raise LookupError if it has too many tokens."""
    pieces: list[str] = []
    for number, token in enumerate(tokenize.generate_tokens(io.StringIO(text).readline)):
        if number > _MOST_TOKENS:
            raise LookupError
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            yield "".join(pieces).replace(". ", ".").strip()
            pieces = []
        elif token.type in (tokenize.NAME, tokenize.OP):
            pieces.append(f" {token.string}" if token.type == tokenize.NAME else token.string)


def _bound_by(line: str) -> Iterator[tuple[str, str]]:
    """Yield each import that a line makes, and the name that it binds."""
    start, names = re.split(r"\bimport\b", line, maxsplit=1)
    for part in names.strip("() ").split(","):
        if words := part.split():
            yield f"{start}import {part.strip()}", words[-1].partition(".")[0]


def _asks_a_client(code: str) -> bool:
    """Return True if something that is called like a client is asked for something: `session.get(`."""
    return any(CLIENT_WORDS.search(found[1]) for found in _ASKS.finditer(code))


def _too_large(data: bytes, options: Options) -> str:
    return (
        f"it has {len(data):,} bytes, more than --max-size ({options.largest:,}); raise that, or move its data out "
        "of the code"
    )


def _check_lines(source: Source) -> None:
    """Refuse a line that Python itself, before 3.12, takes minutes for: the square of the length of an f-string."""
    for number in range(1, source.line_count + 1) if sys.version_info < (3, 12) else ():
        start, stop = source.line_start(number), source.line_end(number)
        if stop - start > _LONGEST_WITH_FSTRING and _FSTRING.search(source.text, start, stop):
            what = f"has {stop - start:,} characters and an f-string in it, which this version of Python would read for minutes"
            raise Refusal(number, f"the line {what}; break it up")


def _plan(
    unchanged: FilePlan,
    options: Options,
    place: Place,
    project: Project | None,
    module: cst.Module | None,
) -> tuple[FilePlan, cst.Module | None]:
    """Plan a file that may have calls or blocks."""
    data = unchanged.before
    try:
        source = Source.decode(data)
        _check_lines(source)
        if source.encode(source.text) != data:
            raise Refusal(0, f"its encoding, {source.encoding}, does not give the same bytes back")
        marks = find_markers(source)
        if marks.problems:
            return replace(unchanged, problems=marks.problems), None
        block_states.check_blocks(marks, options)
        file = ReadFile(source, marks, place, project, is_test_file(unchanged.path))
        outcome = plan_removals(file, options) if options.remove else plan_additions(file, options)
        text, changed = outcome.carried_out(module)
        planned = _file_plan(unchanged, source.encode(text), outcome)
        if planned.changed and len(planned.after) > max(len(data), options.largest):
            reason = (
                f"it would have {len(planned.after):,} bytes then, more than --max-size ({options.largest:,})"
            )
            raise Refusal(0, f"{reason}, and could not be read again; raise that, or split the file")
        check_outcome(source, marks, planned, file.tree)
        return planned, changed
    except Refusal as refusal:
        problem = refusal.problem
    except SyntaxError as error:
        problem = Problem(error.lineno or 0, block_states.why_not_parsed(error))
    except (UnicodeError, LookupError) as error:
        problem = Problem(0, f"its encoding cannot be read: {error}")
    except ValueError as error:
        problem = Problem(0, f"it does not parse: {error}")
    except (RecursionError, MemoryError):
        problem = Problem(0, "its expressions are nested too deeply to be read")
    return replace(unchanged, problems=(problem,)), None


def _file_plan(unchanged: FilePlan, after: bytes, outcome: Outcome) -> FilePlan:
    return replace(
        unchanged,
        after=after,
        classes=outcome.classes,
        sites=tuple(sorted(outcome.sites, key=lambda site: (site.line, site.column))),
        needs_runtime=outcome.needs_runtime,
    )
